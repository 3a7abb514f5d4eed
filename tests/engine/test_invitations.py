"""Hearing of direct channels: what comes on the personal channel, and what is kept of it (D31)."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from chatkit import DirectOpened, Discontinuity, Draft, Event
from chatkit.engine import invitations
from chatkit.engine.context import Context
from chatkit.engine.invitations import MARK
from chatkit.errors import StoreError
from chatkit.logs.core import LogCore
from chatkit.model.directs import INVITATION
from chatkit.model.order import Ident
from chatkit.ports import Outgoing
from chatkit.testing.death import kill
from tests.engine.kit import Stage, counters, engine, frame, later, reader, taken

if TYPE_CHECKING:
    from pathlib import Path

    from chatkit.testing.clock import VirtualClock

ME = "u.ada"


@pytest.fixture
def stage(clock: VirtualClock) -> Stage:
    """A hub and a clock."""
    return Stage(clock)


def invite(stage: Stage, *users: str, device: str = "elsewhere") -> None:
    """Invite ada, as each of these users."""
    for user in users:
        envelope = stage.peer(user, device).envelope(INVITATION, channel=ME)
        outgoing = Outgoing(Ident(user, envelope.id), device, None, envelope.encode(), None)
        _, new = stage.hub.log.core.append(ME, [outgoing])
        caller: Any = next(iter(stage.hub._peers)).caller if stage.hub._peers else None
        if caller is not None:
            stage.hub.announce(caller, ME, new)


def users(events: list[Any]) -> list[str]:
    """Return who is told of."""
    return [event.user for event in events]


async def test_what_cannot_be_believed_opens_nothing(stage: Stage) -> None:
    """Forged, vouched for by nobody, of a later version, or one's own: counted, and the rest goes on (D2)."""
    async with stage.chat("ada", directs=True) as ada:
        opened = ada.events(DirectOpened)
        await asyncio.sleep(1)
        eve = stage.peer("eve")
        forged = eve.envelope(INVITATION, channel=ME, sender={"user": "bob", "device": "elsewhere"})
        later_version = eve.envelope(INVITATION, channel=ME, v=2, min=2)
        mine = stage.peer("ada").envelope(INVITATION, channel=ME)
        stage.deliver(
            frame(forged, user="eve", serial=1, unforgeable=True, channel=ME),
            frame(later_version, user="eve", serial=2, unforgeable=True, channel=ME),
            frame(mine, user="ada", serial=3, unforgeable=True, channel=ME),
            frame(eve.envelope(INVITATION, channel=ME), user="eve", channel=ME),
            frame(
                eve.envelope("direct.close", channel=ME), user="eve", serial=4, unforgeable=True, channel=ME
            ),
        )
        assert await later(opened, 1) == []
        counted = counters(ada)
        names = ("foreign:forged_sender", "foreign:unstamped", "foreign:other_kind", "refused_invitation")
        assert [counted[name] for name in names] == [1, 1, 1, 1]
        assert counted["known_invitation"] == 1
        invite(stage, "bob")
        assert users(await later(opened, 1)) == ["bob"]


async def test_nobody_vouches_for_a_member_who_publishes(clock: VirtualClock) -> None:
    """As with private client events of Pusher: an invitation of theirs opens nothing (D2)."""
    stage = Stage(clock, like="pusher")
    async with stage.chat("ada", directs=True) as ada:
        opened = ada.events(DirectOpened)
        await asyncio.sleep(1)
        stage.deliver(frame(stage.peer("eve").envelope(INVITATION, channel=ME), channel=ME))
        assert await later(opened, 1) == []
        assert counters(ada)["refused_invitation"] == 1


async def test_a_flood_is_told_at_a_measured_pace(stage: Stage) -> None:
    """A hundred a second, so that no reader is overrun; a repeat is known at once (I10)."""
    async with stage.chat("ada", directs=True) as ada:
        opened = ada.events(DirectOpened, buffer=150)
        await asyncio.sleep(1)
        everybody = [f"user{number:03}" for number in range(120)]
        invite(stage, *everybody)
        invite(stage, *everybody, device="another1")
        await asyncio.sleep(0.5)
        first = await taken(opened)
        assert users(first) == everybody[:100]
        assert users(await later(opened, 1)) == everybody[100:]
        assert counters(ada)["known_invitation"] == 120
        assert len(await ada.directs()) == 120


async def test_memory_is_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those told first are forgotten first; where nobody listens, what is too much is counted (I10)."""
    monkeypatch.setattr(invitations, "KNOWN", 2)
    async with stage.chat("ada", directs=True) as ada:
        await asyncio.sleep(1)
        invite(stage, "a", "b", "c")
        await asyncio.sleep(1)
        assert counters(ada)["dropped_invitation"] == 1
        opened = ada.events(DirectOpened)
        assert users(await later(opened, 1)) == ["a", "b"]
        invite(stage, "c", "b", device="another1")
        assert users(await later(opened, 1)) == ["c"]
        invite(stage, "a", device="another1")
        assert users(await later(opened, 1)) == ["a"]


async def test_a_store_that_fails_holds_nothing_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again, counted; what it could not keep it gets when it can."""

    async def fail(*_: object) -> None:
        raise StoreError("the disk is full")

    chat = stage.chat("ada", directs=True)
    store: Any = chat._setup.context.store
    with monkeypatch.context() as broken:
        broken.setattr(store, "registers", fail)
        _ = await chat
        opened = chat.events(DirectOpened)
        invite(stage, "bob")
        assert await later(opened, 2) == []
    with monkeypatch.context() as broken:
        broken.setattr(store, "put", fail)
        assert users(await later(opened, 3)) == ["bob"]
        assert counters(chat)["store_errors"] >= 3
    await asyncio.sleep(2)
    assert await chat.directs() == ("bob",)
    await chat.aclose()


async def test_what_was_read_is_not_read_again(stage: Stage, tmp_path: Path) -> None:
    """The mark is kept with what was heard, also through a crash: another life reads what follows (I3)."""
    store = tmp_path / "ada.db"
    ada = await stage.chat("ada", directs=True, store=store)
    opened = ada.events(DirectOpened)
    invite(stage, "bob", "eve")
    assert users(await later(opened, 2)) == ["bob", "eve"]
    await kill(ada)
    invite(stage, "mia")
    async with stage.chat("ada", directs=True, store=store) as again:
        opened = again.events(DirectOpened)
        assert users(await later(opened, 2)) == ["mia"]
        assert counters(again)["known_invitation"] == 0
        complete = engine(again, ME).progress.complete
        assert complete is not None
        assert complete.serial == f"{3:020d}"


async def test_a_mark_that_cannot_be_read_is_none(stage: Stage, tmp_path: Path) -> None:
    """All is read again, and told no second time."""
    store = tmp_path / "ada.db"
    async with stage.chat("ada", directs=True, store=store) as ada:
        opened = ada.events(DirectOpened)
        invite(stage, "bob")
        assert users(await later(opened, 2)) == ["bob"]
        found: Any = ada._setup.context.store
        [mark] = [cell for cell in await found.registers(ME) if cell.name == MARK]
        await found.put([mark._replace(value="not a place"), mark._replace(name="of something else")])
    async with stage.chat("ada", directs=True, store=store) as again:
        opened = again.events(DirectOpened)
        assert await later(opened, 2) == []
        assert counters(again)["known_invitation"] == 1


async def test_another_log_is_read_from_its_start(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mark means nothing there, and nothing is missing for it (D18)."""
    store = tmp_path / "ada.db"
    async with stage.chat("ada", directs=True, store=store) as ada:
        opened = ada.events(DirectOpened)
        invite(stage, "bob", "eve")
        assert users(await later(opened, 2)) == ["bob", "eve"]
    core = LogCore(stage.clock, Random(77), keep=1000)
    monkeypatch.setattr(stage.hub.log, "core", core)
    invite(stage, "mia", "bob")
    async with stage.chat("ada", directs=True, store=store) as again:
        opened, gaps = again.events(DirectOpened), again.events(Discontinuity)
        assert users(await later(opened, 2)) == ["mia"]
        assert await taken(gaps) == []


async def test_middleware_may_hide_who_opened_a_channel(stage: Stage) -> None:
    """As it may every event; what it hid is not brought up again."""

    class Deaf:
        async def outgoing(self, draft: Draft) -> Draft:
            return draft

        async def incoming(self, event: Event) -> Event | None:
            return None if isinstance(event, DirectOpened) and event.user == "eve" else event

    async with stage.chat("ada", directs=True) as ada:
        ada.use(Deaf())
        opened = ada.events(DirectOpened)
        invite(stage, "eve", "bob")
        assert users(await later(opened, 2)) == ["bob"]


async def test_nothing_but_directs_true_listens(stage: Stage) -> None:
    """Else no channel is attached, and what is in a personal channel stays there."""
    async with stage.chat("ada") as ada:
        opened = ada.events(DirectOpened)
        invite(stage, "bob")
        assert await later(opened, 2) == []
        assert ME not in ada.engine.channels
        assert await ada.directs() == ()
        assert isinstance(ada.engine.context, Context)
        assert reader(opened).viewer == "ada"
