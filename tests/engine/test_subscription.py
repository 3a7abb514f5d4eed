"""Readers: bounded, in order, each with its policy; one concerns no other (D17, D21, I10, I13)."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit.adapters.memory import Like
from chatkit.engine.subscription import MAX_BUFFER, Subscription
from chatkit.engine.track import PASSED, RECENT, Told, Track
from chatkit.errors import ConfigError, EventOverflow, StateError
from chatkit.model.cursor import Cursor
from chatkit.model.order import Ident, OrderKey
from chatkit.testing.clock import settle
from tests.engine.kit import (
    NUMBERED,
    PROFILES,
    C,
    Down,
    Stage,
    engine,
    later,
    odd_log,
    reader,
    ready,
    taken,
    texts,
)

if TYPE_CHECKING:
    from chatkit.testing.clock import VirtualClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SENDER = chatkit.Sender(user="cleo", device="elsewhere")


def numbers(start: int, stop: int) -> list[str]:
    return [f"{n}" for n in range(start, stop)]


def passing(number: int) -> chatkit.CustomEvent:
    return chatkit.CustomEvent(event_id=f"p{number}", channel=C, at=NOW, name="wave", sender=SENDER)


def fact(number: int, at: int | None = None) -> tuple[str, Told]:
    event = chatkit.ReactionChanged(
        event_id=f"{number}",
        channel=C,
        at=NOW,
        cursor=Cursor(f"after {number if at is None else at}"),
        message_id="m",
        user="cleo",
        emoji="👍",
        added=True,
    )
    key = OrderKey(1, f"{number:020d}")
    place = key if at is None else OrderKey(1, f"{at:020d}")
    return C, Told(event, Ident("cleo", f"{number}"), key, place)


def gap(after: int | None = None) -> chatkit.Discontinuity:
    cursor = None if after is None else Cursor(f"after {after}")
    return chatkit.Discontinuity(event_id="gap", channel=C, at=NOW, reason="backfill", after=cursor)


def subscription(*kinds: type[chatkit.Event], buffer: int = 3, overflow: Any = "raise") -> Subscription:
    return Subscription(kinds, C, buffer=buffer, overflow=overflow)


async def drained(sub: Subscription) -> list[str]:
    found = []
    while sub._queue:
        found.append((await sub.get()).event_id)
    return found


# -- queue ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("buffer", [0, -1, MAX_BUFFER + 1])
def test_a_buffer_has_bounds(buffer: int) -> None:
    """No reader may ask for a queue without one (I10)."""
    with pytest.raises(ConfigError):
        subscription(buffer=buffer)


async def test_a_reader_gets_the_types_it_asked_for() -> None:
    """Without types all but foreign frames, which must be asked for by name (D2)."""
    foreign = chatkit.ForeignFrame(event_id="f", channel=C, at=NOW, reason="unreadable")
    for kinds, expected in (
        ((), ["1", "p1"]),
        ((chatkit.ForeignFrame,), ["f"]),
        ((chatkit.ReactionChanged,), ["1"]),
        ((chatkit.Event,), ["f", "1", "p1"]),
    ):
        sub = subscription(*kinds)
        sub.offer(foreign)
        sub.offer_fact(*fact(1))
        sub.offer(passing(1))
        assert await drained(sub) == expected


async def test_a_cancelled_read_loses_nothing() -> None:
    """A reader may give up waiting at any time; the next read goes on where it was."""
    sub = subscription()
    reading = asyncio.ensure_future(sub.get())
    await settle()
    reading.cancel()
    await settle()
    sub.offer_fact(*fact(1))
    first = asyncio.ensure_future(sub.get())
    assert (await first).event_id == "1"
    waiting = asyncio.ensure_future(sub.get())
    await settle()
    sub.offer_fact(*fact(2))
    waiting.cancel()  # in the same breath
    await settle()
    assert await drained(sub) == ["2"]


async def test_what_waits_is_taken_at_once_unless_somebody_reads() -> None:
    """`take` gives events in their order, `None` without one, and takes none from a reader that waits."""
    sub = subscription()
    assert sub.take() is None
    sub.offer_fact(*fact(1))
    sub.offer_fact(*fact(2))
    first = sub.take()
    assert first is not None
    assert (first.event_id, await drained(sub)) == ("1", ["2"])

    reading = asyncio.ensure_future(sub.get())
    await settle()
    sub.offer_fact(*fact(3))
    assert sub.take() is None
    assert (await reading).event_id == "3"


async def test_a_reader_has_one_reader() -> None:
    """Two would take events from one another."""
    sub = subscription()
    reading = asyncio.ensure_future(sub.get())
    await settle()
    with pytest.raises(StateError):
        await sub.get()
    sub.close()
    with pytest.raises(StopAsyncIteration):
        await reading


async def test_what_is_queued_is_given_before_the_end() -> None:
    """Closed, a reader ends once it is empty; with a reason it raises that; nothing more is taken (D21)."""
    for error in (None, Down("gone")):
        sub = subscription()
        ended: list[int] = []
        sub.on_close = partial(ended.append, 1)
        sub.offer_fact(*fact(1))
        sub.close(error)
        sub.close(Down("again"))
        assert not sub.offer(passing(1))
        sub.offer_fact(*fact(2))
        assert (await sub.get()).event_id == "1"
        with pytest.raises(StopAsyncIteration if error is None else Down):
            await sub.get()
        assert ended == [1]


# -- overflow -------------------------------------------------------------------------------------------


async def test_a_stream_that_falls_behind_ends_with_an_error() -> None:
    """`overflow="raise"`: what was queued comes first, then the error (D21)."""
    sub = subscription()
    for number in range(5):
        sub.offer_fact(*fact(number))
    assert await drained(sub) == ["0", "1", "2"]
    with pytest.raises(EventOverflow) as overflow:
        await sub.get()
    assert overflow.value.channel == C


async def test_only_what_passes_by_may_be_dropped_quietly() -> None:
    """Ephemeral events are dropped and counted; every other one overflows, cursor or not (D21)."""
    sub = subscription(overflow="gap")
    for number in range(5):
        assert sub.offer(passing(number))
    assert (sub.dropped, sub.gaps, sub.closed) == (2, 0, False)
    without_a_cursor = chatkit.ChannelChanged(event_id="c", channel=C, at=NOW, state="attached")
    sub.offer(without_a_cursor)
    assert (sub.dropped, sub.gaps) == (3, 1)
    strict = subscription()
    for number in range(3):
        strict.offer(passing(number))
    strict.offer(without_a_cursor)
    assert isinstance(strict.error, EventOverflow)


async def test_a_gap_stands_where_events_are_missing_once() -> None:
    """`overflow="gap"`: one `Discontinuity` for each run of dropped events (D21, I6)."""
    sub = subscription(overflow="gap")
    for number in range(6):
        sub.offer_fact(*fact(number))
    assert (sub.gaps, sub.dropped) == (1, 3)
    assert await drained(sub) == ["0", "1", "2", "overflow:3"]
    for number in range(6, 10):
        sub.offer_fact(*fact(number))
    events = list(sub._queue)
    assert (sub.gaps, sub.dropped) == (2, 4)
    assert [event.event_id for event in events] == ["6", "7", "8", "overflow:9"]
    assert events[-1].certain  # type: ignore[attr-defined]  # a Discontinuity


async def test_behind_a_gap_no_cursor_leads_past_what_was_dropped() -> None:
    """Who comes back with a later cursor gets what it was not given (D17)."""
    sub = subscription(overflow="gap")
    for number in range(5):
        sub.offer_fact(*fact(number))
    await drained(sub)
    sub.offer_fact(*fact(5))
    (event,) = sub._queue
    assert event.cursor == "after 2"


async def test_a_readers_cursor_never_goes_back() -> None:
    """What it was given below a place stays given, though a later event's place lies below (D17)."""
    sub = subscription(buffer=10)
    for number, at in ((7, 7), (9, 6), (8, 9), (10, 10)):
        sub.offer_fact(*fact(number, at))
    assert [event.cursor for event in sub._queue] == ["after 7", "after 7", "after 9", "after 10"]


async def test_a_gap_that_nobody_is_told_of_shows_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A reader that does not take `Discontinuity` loses events with a warning (D21)."""
    sub = subscription(chatkit.ReactionChanged, overflow="gap")
    with caplog.at_level(logging.WARNING, "chatkit"):
        for number in range(6):
            sub.offer_fact(*fact(number))
    assert await drained(sub) == ["0", "1", "2"]
    assert (sub.gaps, len(caplog.records)) == (1, 1)


async def test_a_handler_that_falls_behind_is_read_to_again() -> None:
    """`overflow="reread"`: an uncertain gap, and the log is read from where it is (D21)."""
    sub = subscription(overflow="reread")
    asked: list[str] = []

    def reread(channel: str) -> bool:
        asked.append(channel)
        sub.track(channel).replaying = True
        return True

    sub.reread = reread
    for number in range(6):
        sub.offer_fact(*fact(number))
    track = sub.track(C)
    assert asked == [C]
    assert track.sure == OrderKey(1, f"{2:020d}")
    assert [passed.ident.id for passed in track.passed] == ["4", "5"]
    marker = sub._queue[-1]
    assert isinstance(marker, chatkit.Discontinuity)
    assert (marker.reason, marker.certain, sub.dropped) == ("handler", False, 0)


async def test_where_nothing_can_be_read_again_it_is_lost_and_told(clock: VirtualClock) -> None:
    """Without a log, or before anything was given, and for events that no log has (D21)."""
    sub = subscription(overflow="reread", buffer=1)
    sub.offer_fact(*fact(0))
    sub.offer_fact(*fact(1))
    sub.offer(chatkit.ChannelChanged(event_id="c", channel=C, at=NOW, state="attached"))
    assert (sub.gaps, sub.dropped) == (1, 2)
    assert [getattr(event, "certain", None) for event in sub._queue] == [None, True]


async def test_an_announced_gap_is_taken_by_who_asked() -> None:
    """It is counted for every reader; one that came from the log reads it there instead (D19)."""
    plain, filtered, follower, late = (
        subscription(),
        subscription(chatkit.ReactionChanged),
        subscription(),
        subscription(),
    )
    follower.track(C).follows = True
    asked: list[str] = []
    follower.reread = lambda channel: not asked.append(channel)  # type: ignore[func-returns-value]
    late.track(C).replaying = True
    assert [sub.offer_gap(gap(3), C, OrderKey(1, "8")) for sub in (plain, filtered, follower, late)] == [
        True,
        False,
        True,
        True,
    ]
    assert [sub.gaps for sub in (plain, filtered, follower, late)] == [1, 1, 0, 0]
    assert asked == [C]
    assert [sub.track(C).unkept for sub in (plain, follower, late)] == [None, *2 * (OrderKey(1, "8"),)]
    for sub in (plain, filtered):
        sub.offer_fact(*fact(9))
        assert sub._queue[-1].cursor == "after 3"
    follower.offer_fact(*fact(9))
    assert follower._queue[-1].cursor == "after 9"


# -- tracks ---------------------------------------------------------------------------------------------


def test_a_track_remembers_within_bounds() -> None:
    """What passes by, and what was given from a log whose order is not settled (I10, D17)."""
    track = Track(settled=False)
    for number in range(RECENT + 5):
        _, told = fact(number)
        track.note(told.ident, told.key, told.at)
    assert len(track.recent) == RECENT
    assert not track.has(Ident("cleo", "4"), OrderKey(1, ""))
    assert track.has(Ident("cleo", "5"), OrderKey(1, ""))
    track.note(Ident("cleo", "late"), OrderKey(1, "0"), OrderKey(1, "0"))
    assert track.sure == OrderKey(1, f"{RECENT + 4:020d}")
    for number in range(PASSED + 2):
        track.pass_by(fact(number)[1])
    assert len(track.passed) == PASSED
    assert track.unkept == OrderKey(1, f"{1:020d}")


async def test_room_is_waited_for() -> None:
    """How the log is read into a queue: a place at a time, or until half of it is free (D21)."""
    sub = subscription(buffer=4)
    for number in range(4):
        sub.offer_fact(*fact(number))
    one, half = asyncio.ensure_future(sub.room()), asyncio.ensure_future(sub.room(half=True))
    await settle()
    assert not one.done()
    await sub.get()
    await settle()
    assert (one.done(), half.done(), sub.free) == (True, False, 1)
    await sub.get()
    await settle()
    assert half.done()
    full = subscription(buffer=1)
    full.offer_fact(*fact(1))
    waiting = asyncio.ensure_future(full.room())
    await settle()
    full.close()
    await waiting


# -- over a hub -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("like", NUMBERED)
@pytest.mark.parametrize("wide", [False, True], ids=["channel", "chat"])
async def test_a_slow_handler_gets_all_in_the_end(clock: VirtualClock, like: Like, wide: bool) -> None:
    """It falls behind its buffer, and is read what it missed: each message once, in order (D21)."""
    stage = Stage(clock, like=like)
    async with stage.chat("ada") as ada:
        got: list[str] = []
        source = ada if wide else ada.channel(C)

        @source.on(chatkit.MessageCreated, buffer=5)
        async def slow(event: chatkit.MessageCreated) -> None:
            await asyncio.sleep(0.05)
            got.append(event.message.text)

        await ready(ada)
        peer = stage.peer("cleo")
        for number in range(0, 200, 10):
            peer.say(*numbers(number, number + 10))
            await asyncio.sleep(0.1)
        await asyncio.sleep(60)
        peer.say("200")
        await asyncio.sleep(5)

        assert got == numbers(0, 201)


class Slow:
    """A handler that ends with nothing before its gate opens."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.gate = asyncio.Event()

    async def __call__(self, event: chatkit.MessageCreated) -> None:
        self.got.append(event.message.text)
        await self.gate.wait()


@pytest.mark.parametrize("like", NUMBERED)
async def test_a_late_message_that_finds_no_room_is_read_again(clock: VirtualClock, like: Like) -> None:
    """It lies below what the handler was given; that is not given twice for it (D21, I2)."""
    stage, slow = Stage(clock, like=like), Slow()
    async with stage.chat("ada") as ada:
        ada.channel(C).on(chatkit.MessageCreated, buffer=2)(slow)
        await ready(ada)
        peer = stage.peer("cleo")
        peer.say("1")
        await asyncio.sleep(1)
        with stage.captured() as frames:
            peer.say("2", "3", "4")
        late, *ahead = frames
        stage.deliver(*ahead)
        await asyncio.sleep(0.32)  # told, out of patience
        stage.deliver(late)
        await asyncio.sleep(0.1)
        slow.gate.set()
        await asyncio.sleep(60)

        assert sorted(slow.got) == numbers(1, 5)


async def test_a_handler_that_fell_behind_is_read_nothing_from_before_it_listened(stage: Stage) -> None:
    """A busy channel fills its queue; of a quiet one it gets what came since, no more (D21)."""
    slow = Slow()
    async with stage.chat("ada") as ada:
        await ready(ada)
        await ada.channel("busy").attach(timeout=5)
        peer = stage.peer("cleo")
        peer.say("old")
        await asyncio.sleep(5)
        ada.on(chatkit.MessageCreated, buffer=2)(slow)
        for text in ("1", "2", "3"):
            await ada.channel("busy").send(text)
        await asyncio.sleep(1)
        peer.say("new")
        await asyncio.sleep(1)
        slow.gate.set()
        await asyncio.sleep(30)

        assert slow.got == ["1", "2", "3", "new"]


async def test_what_finds_no_room_behind_a_new_log_is_read_again(stage: Stage) -> None:
    """The place from which it is read is known although nothing was given of that log (D18, D21)."""
    slow, chat = Slow(), stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        ada.channel(C).on(chatkit.MessageCreated, buffer=2)(slow)
        await ready(ada)
        peer = stage.peer("cleo")
        peer.say("1", "2", "3")
        await asyncio.sleep(2)
        log.edit = lambda name, found: (
            found if name == "heads" else found._replace(state=found.state._replace(log_id="another"))
        )
        engine(ada).receiver.prompt_read(0.0)
        await asyncio.sleep(5)
        assert engine(ada).progress.log_id == "another"
        peer.say("4", "5")
        await asyncio.sleep(2)
        slow.gate.set()
        await asyncio.sleep(30)

        assert slow.got == numbers(1, 6)


async def test_no_cursor_leads_past_what_was_dropped_first(stage: Stage) -> None:
    """Though nothing of its channel was given before, it is known where it stands (D17)."""
    async with stage.chat("ada") as ada:
        stream = ada.events(chatkit.MessageCreated, buffer=2, overflow="gap")
        await ready(ada)
        await ada.channel("busy").attach(timeout=5)
        for text in ("busy 1", "busy 2"):
            await ada.channel("busy").send(text)
        await asyncio.sleep(1)
        peer = stage.peer("cleo")
        peer.say("1")
        await later(stream, 1)
        peer.say("2")
        (event,) = await later(stream, 1)
        again = ada.channel(C).events(chatkit.MessageCreated, since=event.cursor)

        assert texts([event]) == ["2"]
        assert texts(await later(again, 5)) == ["1", "2"]


async def test_a_handler_that_never_ends_stops_nobody(stage: Stage) -> None:
    """One that hangs, raises, cancels itself or blocks: the others, streams and the channel go on (I13)."""
    errors: list[chatkit.HandlerError] = []
    async with stage.chat("ada", on_error=errors.append) as ada:
        channel = ada.channel(C)
        stream = channel.events(chatkit.MessageCreated)
        heard: list[str] = []

        @channel.on(chatkit.MessageCreated, buffer=2)
        async def hangs(event: chatkit.MessageCreated) -> None:
            await asyncio.Event().wait()

        @channel.on(chatkit.MessageCreated)
        async def raises(event: chatkit.MessageCreated) -> None:
            raise ZeroDivisionError

        @channel.on(chatkit.MessageCreated)
        async def cancels(event: chatkit.MessageCreated) -> None:
            raise asyncio.CancelledError

        @channel.on(chatkit.MessageCreated)
        async def blocks(event: chatkit.MessageCreated) -> None:
            stage.clock.advance(0.5)

        @channel.on(chatkit.MessageCreated)
        async def hears(event: chatkit.MessageCreated) -> None:
            heard.append(event.message.text)

        await ready(ada)
        stage.peer("cleo").say(*numbers(0, 20))

        assert texts(await later(stream, 5)) == numbers(0, 20)
        assert heard == numbers(0, 20)
        assert {error.handler.rpartition(".")[2] for error in errors} == {"raises", "cancels", "blocks"}


async def test_a_handler_that_fell_behind_before_any_attach_loses_and_hears_it(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Where no place is known yet there is nowhere to read from (D21)."""
    stage.hub.network.refuse("ada", Down("not yet"), calls={"attach"})
    async with stage.chat("ada") as ada:

        @ada.channel(C).on(chatkit.MessageCreated, chatkit.Discontinuity, buffer=1)
        async def slow(event: chatkit.Event) -> None:
            await asyncio.sleep(1_000)

        (mine,) = engine(ada)._parts.dispatcher.readers(C)
        mine.offer_fact(*_created())
        await asyncio.sleep(0.1)
        mine.offer(chatkit.Discontinuity(event_id="x", channel=C, at=NOW, reason="test"))
        mine.track(C).sure = None
        mine.offer_fact(*_created())

        assert (mine.gaps, mine.dropped) == (2, 1)


def _created() -> tuple[str, Told]:
    message = chatkit.Message(
        message_id="m", channel=C, sender=SENDER, body=chatkit.Text(text="x"), own=False, at=NOW
    )
    event = chatkit.MessageCreated(event_id="e", channel=C, at=NOW, message=message)
    return C, Told(event, Ident("cleo", "e"), OrderKey(1, "1"), None)


async def test_an_overflow_while_the_log_is_read_anew_reads_once(stage: Stage) -> None:
    """A reader has one replay of a channel at a time (D21)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated, since=chatkit.START, buffer=2)
        await ready(ada)
        sub = reader(stream)
        gate = log.gate = asyncio.Event()
        assert sub.reread(C)
        await asyncio.sleep(0.1)
        reads = log.count("entries")
        assert sub.reread(C)
        await asyncio.sleep(1)
        assert log.count("entries") == reads
        log.gate = None
        gate.set()
        stage.peer("cleo").say("one")

        assert texts(await later(stream, 5)) == ["one"]


@pytest.mark.parametrize("like", PROFILES)
async def test_a_stream_that_ended_for_overflow_stops_nobody(clock: VirtualClock, like: Like) -> None:
    """Its neighbours go on (I13)."""
    stage = Stage(clock, like=like)
    async with stage.chat("ada") as ada:
        small = ada.channel(C).events(chatkit.MessageCreated, buffer=1)
        wide = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        stage.peer("cleo").say("one", "two", "three")

        assert texts(await later(wide, 1)) == ["one", "two", "three"]
        assert texts(await taken(small)) == ["one"]
        with pytest.raises(EventOverflow):
            await small.next(timeout=1)
