"""What I sent to a log that was replaced shortly before, or after (D18)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit.engine import receiver
from chatkit.model.envelope import Envelope
from tests.engine.kit import C, Down, OddLog, Stage, counters, later, odd_log, ready, shown, texts

if TYPE_CHECKING:
    from pathlib import Path

    from chatkit.testing.clock import VirtualClock

GAPS = (chatkit.MessageCreated, chatkit.MessageDeleted, chatkit.Discontinuity)


@pytest.fixture
def stage(clock: VirtualClock) -> Stage:
    return Stage(clock, like="supabase")


def replace(stage: Stage, *, keep: int = 0) -> None:
    """Put a log in the place of the log that holds its first messages, and has another id."""
    core: Any = stage.hub.log.core
    kept = core._channels[C].record.items[:keep]
    core._channels, core.log_id = {}, "e" * 32
    for one in kept:
        _ = stage.peer("cleo").publish(Envelope.parse(one.entry.data))


def orphans(chat: chatkit.Chat) -> list[str]:
    """Return the texts of the messages that are shown as not in the log any more."""
    return [m.text for m in chat.channel(C).timeline.view.messages if "orphaned" in m.flags]


def unread(log: OddLog) -> None:
    """Let reads fail, and nothing else."""

    def fail(name: str, answer: Any) -> Any:
        if name in ("entries", "messages", "find", "heads"):
            raise Down("no reads")
        return answer

    log.edit = fail


def whole(log: OddLog) -> None:
    """Let reads pass again."""
    log.edit = lambda _, answer: answer


async def test_what_a_log_took_before_it_was_replaced_is_no_part_of_the_next(
    stage: Stage, tmp_path: Path
) -> None:
    """Acknowledged in a life that had read nothing yet, it is flagged, and moves no mark of what is read then."""
    store = tmp_path / "ada.db"
    async with stage.chat("ada", store=store) as ada:
        await ready(ada)
        stage.peer("cleo").say("kept")
        await asyncio.sleep(2)
    chat = stage.chat("ada", store=store)
    log = odd_log(chat)
    unread(log)
    async with chat as ada:
        channel = ada.channel(C)
        stream = channel.events(*GAPS)
        await channel.attach(timeout=10)
        [message] = channel.timeline.view.messages
        for wish in (await channel.react(message, "👍"), await channel.send("lost")):
            await wish.wait(timeout=1)
        replace(stage, keep=1)
        dora = stage.peer("dora")
        dora.say("theirs", "theirs too", "theirs as well")
        whole(log)
        told = await later(stream, 60)
        assert channel.timeline.view.state == "live"
        dora.say("next")

        assert [getattr(event, "reason", None) for event in told] == ["log_reset"]
        assert texts(await later(stream, 1)) == ["next"]
        assert shown(ada) == ["lost", "kept", "theirs", "theirs too", "theirs as well", "next"]
        assert orphans(ada) == ["lost"]
        assert not channel.timeline.view.messages[1].reactions


async def test_an_answer_of_a_log_that_was_replaced_meanwhile_comes_late(stage: Stage) -> None:
    """The next log is read by then, and has another message of that number: both show, one is flagged (D18)."""
    chat = stage.chat("ada")
    log: Any = odd_log(chat)
    append, gate = log.append, asyncio.Event()

    async def slow(*args: Any) -> Any:
        answer = await append(*args)
        await gate.wait()
        return answer

    log.append = slow
    async with chat as ada:
        channel = ada.channel(C)
        stream = channel.events(*GAPS)
        await ready(ada)
        stage.peer("cleo").say("old")
        with stage.lost():
            mine = await channel.send("mine")
            await asyncio.sleep(1)
        replace(stage)
        dora = stage.peer("dora")
        dora.say("new 1", "new 2")
        told = await later(stream, 5)
        gate.set()
        _ = await mine.wait(timeout=1)
        dora.say("new 3")

        assert texts(told) == ["old", "Discontinuity"]
        assert texts(await later(stream, 5)) == ["new 3"]
        assert shown(ada) == ["old", "mine", "new 1", "new 2", "new 3"]
        assert orphans(ada) == ["old", "mine"]


async def test_what_the_next_log_takes_before_it_is_read_is_told_behind_the_word_of_it(stage: Stage) -> None:
    """Its number says nothing beside those of the log before: it is read first (D15, D18)."""
    async with stage.chat("ada") as ada:
        channel = ada.channel(C)
        stream = channel.events(*GAPS)
        await ready(ada)
        stage.peer("cleo").say("old 1", "old 2")
        await asyncio.sleep(1)
        replace(stage)
        dora = stage.peer("dora")
        with stage.lost():
            dora.say("before")
            _ = await (await channel.send("mine")).wait(timeout=1)
        told = await later(stream, 5)
        dora.say("next")

        assert texts(told) == ["old 1", "old 2", "Discontinuity", "mine"]
        assert texts(await later(stream, 5)) == ["next"]
        assert shown(ada) == ["old 1", "old 2", "before", "mine", "next"]
        assert orphans(ada) == ["old 1", "old 2"]


async def test_what_another_log_takes_while_nothing_is_read_is_bounded(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of too much the oldest shows only when the log is read (I10)."""
    monkeypatch.setattr(receiver, "INBOX", 3)
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        channel = ada.channel(C)
        await ready(ada)
        await (await channel.send("old")).wait(timeout=1)
        replace(stage)
        unread(log)
        with stage.lost():
            for number in range(5):
                await (await channel.send(f"{number}")).wait(timeout=1)
        await asyncio.sleep(1)
        assert shown(ada) == ["old", "2", "3", "4"]
        assert counters(ada)["inbox_overflow"] == 2
        whole(log)
        await asyncio.sleep(60)

        assert shown(ada) == ["old", "0", "1", "2", "3", "4"]
        assert orphans(ada) == ["old"]


async def test_a_log_that_was_replaced_before_it_was_read_is_noticed_by_who_had_sent_to_it(
    stage: Stage,
) -> None:
    """An acknowledgement says which log it is of: what is read later is of another (D18)."""
    async with stage.chat("ada") as ada:
        channel = ada.channel(C)
        stream = channel.events(*GAPS)
        _ = await (await channel.send("mine")).wait(timeout=1)
        replace(stage)
        stage.peer("dora").say("new 1", "new 2", "new 3")
        await ready(ada)

        assert texts(await later(stream, 1)) == ["mine", "Discontinuity"]
        assert shown(ada) == ["mine", "new 1", "new 2", "new 3"]
        assert orphans(ada) == ["mine"]


async def test_a_log_that_was_replaced_before_it_was_read_is_noticed_by_who_came_from_it(
    stage: Stage,
) -> None:
    """Who was read the old log from a place of its own hears that what follows is of another (I6, D18)."""
    stage.peer("cleo").say("old 1", "old 2")
    stage.hub.network.refuse("ada", Down("no way"), calls=["attach"])
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(*GAPS, since=chatkit.START)
        told = await later(stream, 1)
        replace(stage)
        stage.peer("dora").say("new 1", "new 2")
        stage.hub.network.refuse("ada", None)
        await asyncio.sleep(60)
        assert ada.channel(C).timeline.view.state == "live"

        assert texts(told) == ["old 1", "old 2"]
        assert texts(await later(stream, 1)) == ["Discontinuity"]
        assert shown(ada) == ["new 1", "new 2"]
