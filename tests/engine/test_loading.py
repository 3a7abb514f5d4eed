"""Pages beside live facts: nothing is hidden by a page that was on its way (D19, D24, I8)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit.adapters.memory import Like
from chatkit.engine import folding
from chatkit.errors import CapabilityError
from tests.engine.kit import (
    NUMBERED,
    C,
    Down,
    Stage,
    engine,
    later,
    odd_log,
    ready,
    shown,
    taken,
    texts,
)

if TYPE_CHECKING:
    from chatkit.testing.clock import VirtualClock


def numbers(start: int, stop: int) -> list[str]:
    return [f"{n}" for n in range(start, stop)]


@pytest.mark.parametrize("like", NUMBERED)
async def test_a_message_that_comes_while_the_newest_page_travels_shows(
    clock: VirtualClock, like: Like
) -> None:
    """A jump replaces what is loaded by a page that may be older than what came meanwhile (I8)."""
    stage = Stage(clock, like=like)
    chat = stage.chat("ada")
    log = odd_log(chat)
    peer = stage.peer("cleo")
    async with chat as ada:
        ada.channel(C).events()
        await ready(ada)
        peer.say(*numbers(0, 60))
        await asyncio.sleep(1)
        gate = log.gate = asyncio.Event()
        jumping = asyncio.ensure_future(ada.channel(C).timeline.jump("newest"))
        await asyncio.sleep(0.1)
        peer.say("60", "61")
        await asyncio.sleep(0.1)
        log.gate = None
        gate.set()
        await jumping
        await asyncio.sleep(1)

        assert shown(ada) == numbers(10, 62)


async def test_another_stretch_shows_without_what_is_new(stage: Stage) -> None:
    """Live messages above it wait for the return; changes of what it shows are shown (D19)."""
    peer = stage.peer("cleo")
    first, *_ = peer.say(*numbers(0, 200))
    async with stage.chat("ada") as ada:
        channel = ada.channel(C)
        stream = channel.events(chatkit.MessageEvent)
        await ready(ada)
        await channel.timeline.jump(await channel.get(first.id))
        peer.say("new")
        peer.edit(first, "0, edited")
        assert texts(await later(stream, 1)) == ["new", "0, edited"]
        assert shown(ada) == ["0, edited", *numbers(1, 50)]
        assert channel.timeline.view.has_newer
        assert await channel.timeline.load_older(10) == 0
        await channel.timeline.jump("newest")

        assert shown(ada) == [*numbers(151, 200), "new"]
        assert not channel.timeline.view.has_newer


async def test_older_messages_join_though_the_oldest_fall_out_meanwhile(stage: Stage) -> None:
    """In a full window each new message pushes out the oldest: a page leaves no gap there (I10, D19)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    peer = stage.peer("cleo")
    peer.say(*numbers(0, 100))
    async with chat as ada:
        channel = ada.channel(C, keep=20)
        await channel.attach(timeout=5)
        await asyncio.sleep(3)
        assert [m.text for m in channel.timeline.view.messages] == numbers(80, 100)
        gate = log.gate = asyncio.Event()
        loading = asyncio.ensure_future(channel.timeline.load_older(10))
        await asyncio.sleep(0.1)
        peer.say(*numbers(100, 105))
        await asyncio.sleep(0.1)
        log.gate = None
        gate.set()

        assert await loading == 10
        assert [m.text for m in channel.timeline.view.messages] == numbers(75, 105)


async def test_a_page_can_be_loaded_before_anything_else(stage: Stage) -> None:
    """Nobody has to attach for it: what the store holds is loaded first, and the page joins it."""
    stage.peer("cleo").say(*numbers(0, 30))
    async with stage.chat("ada") as ada:
        assert await ada.channel(C).timeline.load_older(10) == 10
        assert shown(ada) == numbers(20, 30)
        assert await ada.channel(C).timeline.load_older(100) == 20
        assert await ada.channel(C).timeline.load_older(100) == 0
        assert ada.channel(C).state == "detached"


async def test_an_empty_channel_has_nothing_older(stage: Stage) -> None:
    """Loading ends at the beginning."""
    async with stage.chat("ada") as ada:
        assert await ada.channel(C).timeline.load_older(10) == 0
        assert not ada.channel(C).timeline.view.has_older


async def test_a_page_that_does_not_come_changes_nothing(stage: Stage) -> None:
    """The error is raised to who asked, and it is safe to ask again."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    stage.peer("cleo").say(*numbers(0, 100))
    async with chat as ada:
        await ready(ada)
        log.error = Down("no answer")
        for ask in (ada.channel(C).timeline.load_older(10), ada.channel(C).timeline.jump("newest")):
            with pytest.raises(Down):
                await ask
        assert shown(ada) == numbers(50, 100)
        log.error = None

        assert await ada.channel(C).timeline.load_older(10) == 10


async def test_without_a_log_there_are_no_pages(clock: VirtualClock) -> None:
    """It is said, not waited for."""
    async with Stage(clock, like="pusher").chat("ada") as ada:
        with pytest.raises(CapabilityError):
            await ada.channel(C).timeline.load_older(10)
        with pytest.raises(CapabilityError):
            await ada.channel(C).timeline.jump("newest")


async def test_a_log_that_was_replaced_while_another_stretch_shows_shows_its_newest(stage: Stage) -> None:
    """No old stretch is kept beside new numbers (D18)."""
    peer = stage.peer("cleo")
    first, *_ = peer.say(*numbers(0, 200))
    async with stage.chat("ada") as ada:
        channel = ada.channel(C)
        await ready(ada)
        await channel.timeline.jump(await channel.get(first.id))
        core: Any = stage.hub.log.core
        core._channels, core.log_id = {}, "f" * 32
        stage.peer("dora").say("new")
        engine(ada).receiver.prompt_read(0.0)
        await asyncio.sleep(3)

        assert shown(ada) == ["new"]
        assert not channel.timeline.view.has_newer


async def test_what_a_page_shows_is_told_in_the_order_of_the_log(stage: Stage) -> None:
    """What came between attach and first page is told from the entries, if it still stands (D15, I7)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    peer = stage.peer("cleo")

    def meanwhile() -> None:
        log.on.clear()
        one, two = peer.say("one", "two")
        peer.edit(one, "one, edited")
        peer.delete(one)
        peer.react(two)
        peer.edit(two, "two, edited")

        raise Down("the first page does not come")

    log.on["messages"] = meanwhile
    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageEvent, chatkit.ReactionChanged)
        await ready(ada)
        events = await later(stream, 3)

        assert [type(event).__name__ for event in events] == [
            "MessageCreated",
            "MessageCreated",
            "MessageDeleted",
            "ReactionChanged",
            "MessageUpdated",
        ]
        assert texts([events[1], events[4]]) == ["two, edited", "two, edited"]
        assert shown(ada) == ["", "two, edited"]


async def test_repeats_are_known_within_bounds(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids of what was folded last are bounded; without a log the store knows the older ones (D20, I10)."""
    monkeypatch.setattr(folding, "KNOWN", 5)
    stage = Stage(clock, like="pusher")
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        with stage.captured() as frames:
            stage.peer("cleo").say(*numbers(0, 10))
        stage.deliver(*frames)
        assert texts(await later(stream, 2)) == numbers(0, 10)
        assert len(engine(ada)._folder._known) == 5
        stage.deliver(*frames)

        assert await taken(stream) == []
        assert shown(ada) == numbers(0, 10)
