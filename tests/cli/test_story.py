"""The story on virtual time: what holds, what breaks, and that both are seen."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from chatkit.adapters.memory import Faults, Hub
from chatkit.cli.demo import corpus, place, story
from chatkit.cli.demo.actor import Actor
from chatkit.cli.demo.story import Plan, Progress, Result, Story, play
from chatkit.core.release import Release, Released
from chatkit.errors import EventOverflow, RateLimited, StoreError, WaitTimeout
from chatkit.model.events import Discontinuity
from chatkit.testing.clock import VirtualClock, run

if TYPE_CHECKING:
    from pathlib import Path

LINES = corpus.read(corpus.packaged(), limit=60)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def plan(faults: str = "none", *, seed: int = 5, messages: int = 60) -> Plan:
    return Plan(lines=LINES[:messages], clients=3, seed=seed, faults=faults)


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def unseen(progress: Progress) -> None:
    """A screen that is switched off."""


def hub(tale: Story) -> Hub:
    """The hub inside the process."""
    assert isinstance(tale.place, place.Embedded)
    return tale.place.hub


async def told(tale: Story) -> Result:
    """Tell a story that the test has changed, to its end."""
    try:
        await tale.tell()
    finally:
        await tale.close()
    return tale.result()


@pytest.mark.parametrize("faults", ["none", "mild", "wild"])
async def test_nothing_is_lost_doubled_or_shuffled(faults: str, clock: VirtualClock, folder: Path) -> None:
    """I1, I2, I4, I6, whatever the network does; a client that dies in the middle is no exception."""
    result = await play(plan(faults), unseen, clock=clock)

    assert not result.verdict.broken
    assert (result.verdict.sent, result.verdict.logged) == (60, 60)
    assert result.verdict.once == {"ada": 60, "bob": 60, "cleo": 60}
    assert (result.death is not None) == (faults != "none")
    assert not result.interrupted
    assert left_in(folder) == []


@pytest.mark.parametrize(
    "faults",
    [pytest.param("none", marks=pytest.mark.long), "mild", pytest.param("wild", marks=pytest.mark.long)],
)
async def test_a_log_of_the_apps_own_takes_everything_once(
    faults: str, clock: VirtualClock, tmp_path_factory: pytest.TempPathFactory, folder: Path
) -> None:
    """It is as far away as the provider: appends and answers are lost too, and all counts exact (D9, D16)."""
    url = f"sqlite:///{tmp_path_factory.mktemp('log')}/shared.db"
    for seed in (1, 2):  # the second finds the channel of the first in the same file
        result = await play(replace(plan(faults, seed=seed), log=url), unseen, clock=clock)

        assert not result.verdict.broken
        assert (result.verdict.sent, result.verdict.logged) == (60, 60)
        assert result.verdict.once == {"ada": 60, "bob": 60, "cleo": 60}
    assert left_in(folder) == []


def test_one_seed_is_one_story() -> None:
    """I15: the same faults, the same death, the same figures."""
    first, second = (run(play(plan("wild"), unseen, clock=clock), clock=clock) for clock in two_clocks())

    assert first == second


def two_clocks() -> tuple[VirtualClock, VirtualClock]:
    return VirtualClock(), VirtualClock()


async def test_the_killed_client_sends_what_it_had_queued_under_the_same_ids(
    clock: VirtualClock, tmp_path: Path
) -> None:
    """I3: what `send()` returned for is in the log once, under the id that it returned."""
    tale = Story(plan("mild"), tmp_path, unseen, clock)
    result = await told(tale)

    assert result.death is not None
    assert result.death.queued
    ids = [entry.message_id for entry in tale.logged]
    assert [ids.count(id) for id in result.death.queued] == [1] * len(result.death.queued)


async def test_a_reply_names_what_its_sender_was_given(clock: VirtualClock, tmp_path: Path) -> None:
    """Where the answered message is known the reply says so; else it is said all the same."""
    lines = [corpus.Line("q", "ada", "why?"), corpus.Line("a", "ada", "because", ("elsewhere", "q"))]
    tale = Story(Plan(lines=lines, clients=2, seed=1, faults="none"), tmp_path, unseen, clock)
    speaker = next(actor for actor in tale.actors if actor.lines)
    speaker.lines = lines[:1]
    asking = asyncio.ensure_future(tale.tell())
    await asyncio.sleep(0.5)
    speaker.lines = lines
    async with asyncio.TaskGroup() as group:
        speaker.spoken.clear()
        speaker.begin(group)
    await asking
    await tale.close()

    messages = hub(tale).log.core.messages(tale.place.channel, limit=10).items
    assert tale.result().replies == 1
    assert len(messages) == 2


async def test_a_client_speaks_on_as_its_outbox_empties(
    clock: VirtualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I10: what waits in one outbox is bounded, and with it what a death leaves behind."""
    monkeypatch.setattr("chatkit.cli.demo.actor.AHEAD", 3)
    depths: list[int] = []
    tale = Story(plan(), tmp_path, lambda seen: depths.extend(one.depth for one in seen.clients), clock)
    hub(tale).network.set_faults(Faults(delay=(0.1, 0.1)))

    result = await told(tale)

    assert max(depths) == 3
    assert not result.verdict.broken


# -- what breaks is seen


@pytest.mark.usefixtures("forgetful")
async def test_without_its_memory_of_duplicates_the_receiver_doubles(clock: VirtualClock) -> None:
    """Each acknowledgement and each replayed frame is then one message more."""
    result = await play(plan(), unseen, clock=clock)

    assert result.verdict.broken
    assert {found.where for found in result.verdict.doubled} == {"ada", "bob", "cleo"}
    assert not result.verdict.lost


async def test_a_fact_that_is_dropped_is_lost(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """One listener is not given one message: after some patience the judge names both."""
    due, taken = Release.due, 0

    def leaky(self: Release[Any], *args: Any) -> list[Released[Any]]:
        nonlocal taken
        found = due(self, *args)
        before, taken = taken, taken + len(found)
        return found[1:] if before <= 30 < taken else found

    monkeypatch.setattr(Release, "due", leaky)

    result = await play(plan(), unseen, clock=clock)

    (lost,) = result.verdict.lost
    assert result.verdict.once[lost.where] == 59
    assert result.seconds > story.PATIENCE


async def test_two_facts_that_are_swapped_are_out_of_order(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One listener is given one message after its successor, and not told so."""
    due, held = Release.due, list[Released[Any]]()
    taken = 0

    def swapping(self: Release[Any], *args: Any) -> list[Released[Any]]:
        nonlocal taken
        found = due(self, *args)
        before, taken = taken, taken + len(found)
        if before <= 30 < taken:
            held.append(found.pop())
            swapping.self = self  # type: ignore[attr-defined]
        elif held and found and swapping.self is self:  # type: ignore[attr-defined]
            found.append(held.pop())
        return found

    monkeypatch.setattr(Release, "due", swapping)

    result = await play(plan(), unseen, clock=clock)

    assert len(result.verdict.shuffled) == 1
    assert not result.verdict.lost


async def test_what_an_outbox_cannot_get_rid_of_is_still_queued(clock: VirtualClock, tmp_path: Path) -> None:
    """A provider that takes nothing from one client: nothing moves any more, and the ids are named."""
    tale = Story(plan(), tmp_path, unseen, clock)
    hub(tale).network.refuse("bob", RateLimited("not now", retry_after=5.0), calls={"publish"})

    result = await told(tale)

    silenced = next(actor for actor in tale.actors if actor.user == "bob")
    assert len(result.verdict.queued) == len(silenced.lines) > 0
    assert result.verdict.broken
    assert not result.verdict.lost


# -- what the world does to it


async def test_an_interrupted_story_ends_cleanly_with_what_there_is(
    clock: VirtualClock, folder: Path
) -> None:
    """Ctrl-C cancels the main task: clients close, the folder goes, nothing counts as lost."""
    playing = asyncio.ensure_future(play(plan("wild"), unseen, clock=clock))
    await asyncio.sleep(3)

    playing.cancel()
    result = await playing

    assert result.interrupted
    assert not result.verdict.broken
    assert result.verdict.sent < 60 or result.verdict.pending
    assert left_in(folder) == []


async def test_a_story_interrupted_while_a_client_is_dead_ends_too(clock: VirtualClock) -> None:
    """There is nothing of it to close."""
    dead = asyncio.Event()

    def watch(progress: Progress) -> None:
        if any(one.state == "killed" for one in progress.clients):
            dead.set()

    playing = asyncio.ensure_future(play(plan("mild"), watch, clock=clock))
    await dead.wait()

    playing.cancel()

    assert (await playing).interrupted


async def test_a_listener_that_may_have_missed_something_comes_back(
    clock: VirtualClock, tmp_path: Path
) -> None:
    """After a `Discontinuity` or an overflow it opens a stream at the place it kept: the log has the rest."""
    tale = Story(plan(), tmp_path, unseen, clock)
    hub(tale).network.set_faults(Faults(delay=(0.2, 0.2)))
    ada = tale.actors[0]
    telling = asyncio.ensure_future(told(tale))
    await asyncio.sleep(0.7)
    assert ada._chat is not None
    dispatcher = ada._chat.engine.dispatcher
    for reader in dispatcher.readers(tale.place.channel):
        if reader.channel == tale.place.channel:
            reader.close(EventOverflow("too slow"))
    await asyncio.sleep(0.1)
    dispatcher.tell(Discontinuity(event_id="gap", channel=tale.place.channel, at=clock.wall(), reason="test"))

    result = await telling

    assert ada.gaps == {"overflow": 1, "test": 1}
    assert result.gaps == 2
    assert len(ada.visits) == 3
    assert not result.verdict.broken


async def test_a_client_is_told_when_its_network_is_back(clock: VirtualClock, tmp_path: Path) -> None:
    """It need not sit out a backoff that grew while there was none."""
    tale = Story(plan(), tmp_path, unseen, clock)
    hub(tale).network.set_faults(Faults(delay=(0.2, 0.2)))
    telling = asyncio.ensure_future(told(tale))
    await asyncio.sleep(1)
    hub(tale).network.cut("bob")
    await asyncio.sleep(20)
    assert tale.actors[1].state == "disconnected"

    hub(tale).network.heal("bob")
    await asyncio.sleep(1.5)

    assert tale.actors[1].state == "connected"
    assert not (await telling).verdict.broken


async def test_a_client_that_cannot_attach_ends_the_story(
    clock: VirtualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the library's own error, everything closed behind it."""
    monkeypatch.setattr(place, "FAULTS", {"none": Faults(lose_request=1.0, cut=(1.0, (99.0, 99.0)))})

    with pytest.raises(WaitTimeout):
        _ = await play(plan(), unseen, clock=clock)


async def test_an_error_in_the_middle_ends_the_story(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several at once the first one is told; what is no error of the library stays a defect."""

    async def fail(_self: Actor, _chat: object) -> None:
        raise failure

    monkeypatch.setattr(Actor, "_speak", fail)

    failure: Exception = StoreError("the disk is full")
    with pytest.raises(StoreError):
        _ = await play(plan(), unseen, clock=clock)
    failure = ZeroDivisionError()
    with pytest.raises(ExceptionGroup):
        _ = await play(plan(), unseen, clock=clock)


async def test_an_outbox_that_cannot_be_read_at_the_end_is_told(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All clients are closed all the same."""
    leave = Actor.leave

    async def fail(self: Actor) -> frozenset[str]:
        _ = await leave(self)
        raise StoreError("gone")

    monkeypatch.setattr(Actor, "leave", fail)

    with pytest.raises(StoreError, match="gone"):
        _ = await play(plan(messages=6), unseen, clock=clock)
