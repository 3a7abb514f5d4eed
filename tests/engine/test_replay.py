"""From a place in the log on, then live: no hole, no double, whoever writes (D15, D17-D19, I6, I14)."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chatkit
from chatkit.adapters.memory import Faults, Like
from chatkit.engine import replay as replaying
from chatkit.engine.progress import LAG
from chatkit.engine.track import PASSED
from chatkit.errors import CapabilityError, CursorInvalid, NotAllowed
from chatkit.model.cursor import Spot, encode_cursor
from chatkit.model.order import OrderKey
from chatkit.testing.clock import VirtualClock
from tests.engine.kit import (
    NUMBERED,
    C,
    Down,
    Stage,
    counters,
    engine,
    in_order,
    later,
    odd_log,
    older,
    reader,
    ready,
    shown,
    taken,
    texts,
)

GAPS = (chatkit.MessageCreated, chatkit.Discontinuity)


def numbers(start: int, stop: int) -> list[str]:
    return [f"{n}" for n in range(start, stop)]


# -- places ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "like", ["memory", *(pytest.param(like, marks=pytest.mark.long) for like in ("supabase", "ably"))]
)
async def test_from_the_start_all_that_is_kept_comes_then_what_is_new(
    clock: VirtualClock, like: Like
) -> None:
    """`since=START` is the oldest entry, then live, own ones too, with no cap (D19)."""
    stage = Stage(clock, like=like)
    peer = stage.peer("cleo")
    peer.say(*numbers(0, 1_500))
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(*GAPS, since=chatkit.START, buffer=5_000)
        await ready(ada)
        peer.say("1500")
        await ada.channel(C).send("1501")
        events = await later(stream, 20)

        assert texts(events) == numbers(0, 1_502)
        assert [event.own for event in events[-2:]] == [False, True]


async def test_a_position_is_a_cursor_a_message_a_delivery_or_a_time(stage: Stage) -> None:
    """Each names a place; what follows it comes (I14)."""
    peer = stage.peer("cleo")
    async with stage.chat("ada") as ada:
        channel = ada.channel(C)
        stream = channel.events(chatkit.MessageCreated)
        await ready(ada)
        peer.say("0")
        await asyncio.sleep(10)
        delivery = await channel.send("1")
        message = await delivery.wait(timeout=5)
        await asyncio.sleep(10)
        moment = ada._setup.context.server_time.now()
        await asyncio.sleep(10)
        peer.say("2")
        zero, one, _ = await later(stream, 1)

        for position, expected in (
            (zero.cursor, ["1", "2"]),
            (zero.message.cursor, ["1", "2"]),
            (one.message, ["2"]),
            (message, ["2"]),
            (delivery, ["2"]),
            (moment, ["2"]),
            (moment + timedelta(days=1), []),
            (datetime(2020, 1, 1, tzinfo=UTC), ["0", "1", "2"]),
        ):
            again = channel.events(chatkit.MessageCreated, since=position)
            assert texts(await later(again, 3)) == expected, position


async def test_an_empty_log_has_a_start_too(stage: Stage) -> None:
    """Nothing to read is nothing to wait for."""
    async with stage.chat("ada") as ada:
        streams = [
            ada.channel(C).events(chatkit.MessageCreated, since=since)
            for since in (
                chatkit.START,
                datetime(2020, 1, 1, tzinfo=UTC),
            )
        ]
        await ready(ada)
        stage.peer("cleo").say("first")

        assert [texts(await later(stream, 1)) for stream in streams] == [["first"], ["first"]]


@pytest.mark.parametrize("like", NUMBERED)
async def test_a_saved_cursor_gives_what_follows_in_a_new_life(clock: VirtualClock, like: Like) -> None:
    """A cursor saved with each effect loses nothing; on a contiguous log it repeats nothing either (D17)."""
    stage = Stage(clock, like=like)
    peer = stage.peer("cleo")
    chance = Random(3)
    got: list[str] = []
    cursor: Any = chatkit.START
    sent = 0
    for life in range(6):
        async with stage.chat("ada", seed=life + 1) as ada:
            stream = ada.channel(C).events(chatkit.MessageCreated, since=cursor)
            for _ in range(8):
                if chance.random() < 0.5:
                    peer.say(f"{sent}")
                    sent += 1
                await asyncio.sleep(chance.random() * 2)
                with pytest.raises(chatkit.WaitTimeout) if not reader(stream)._queue else _nothing():
                    event = await stream.next(timeout=0.01)
                    got.append(event.message.text)
                    cursor = event.cursor
        peer.say(f"{sent}")
        sent += 1
    async with stage.chat("ada") as ada:
        last = ada.channel(C).events(chatkit.MessageCreated, since=cursor)
        got += texts(await later(last, 10))

    assert list(dict.fromkeys(got)) == numbers(0, sent)
    if like != "ably":
        assert got == numbers(0, sent)


class _nothing:  # noqa: N801  # reads as the statement it stands for
    def __enter__(self) -> None: ...
    def __exit__(self, *exc: object) -> None: ...


async def test_a_cursor_of_another_log_is_refused_even_if_the_log_was_never_read(stage: Stage) -> None:
    """A cursor says who numbered its place; a place in another log is no place here (D18)."""
    stage.peer("cleo").say(*numbers(0, 5))
    wrong = encode_cursor(Spot("0" * 32, C, OrderKey(1, f"{3:020d}")))
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(since=wrong)
        with pytest.raises(CursorInvalid):
            await stream.next(timeout=5)
        await ready(ada)
        with pytest.raises(CursorInvalid):
            ada.channel(C).events(since=wrong)


async def test_a_cursor_from_before_the_log_was_known_is_good(clock: VirtualClock) -> None:
    """A message sent before the log had said its id carries a cursor of the provider's realm (D17)."""
    stage = Stage(clock, like="supabase")
    async with stage.chat("ada") as ada:
        delivery = await ada.channel(C).send("0")
        message = await delivery.wait(timeout=5)
        stage.peer("cleo").say("1")
        await ready(ada)
        stream = ada.channel(C).events(chatkit.MessageCreated, since=message.cursor)

        assert texts(await later(stream, 3)) == ["1"]


async def test_a_trimmed_place_is_refused(clock: VirtualClock) -> None:
    """What follows a cursor must still be there (D18)."""
    stage = Stage(clock, keep=10)
    stage.peer("cleo").say(*numbers(0, 30))
    async with stage.chat("ada") as ada:
        log_id = stage.hub.log.core.log_id
        trimmed = encode_cursor(Spot(log_id, C, OrderKey(1, f"{19:020d}")))
        kept = encode_cursor(Spot(log_id, C, OrderKey(1, f"{20:020d}")))
        with pytest.raises(CursorInvalid):
            await ada.channel(C).events(since=trimmed).next(timeout=5)

        stream = ada.channel(C).events(chatkit.MessageCreated, since=kept)
        assert texts(await later(stream, 5)) == numbers(20, 30)


async def test_a_place_beyond_the_log_is_refused_once_no_replica_can_be_to_blame(stage: Stage) -> None:
    """A log that does not reach a cursor was restored, unless it lags (D18)."""
    stage.peer("cleo").say(*numbers(0, 3))
    log_id = stage.hub.log.core.log_id
    beyond = encode_cursor(Spot(log_id, C, OrderKey(1, f"{5:020d}")))
    async with stage.chat("ada") as ada:
        early = ada.channel(C).events(chatkit.MessageCreated, since=beyond)
        stuck = ada.channel("other").events(
            since=encode_cursor(Spot(log_id, "other", OrderKey(1, f"{5:020d}")))
        )
        await asyncio.sleep(LAG / 2)
        stage.peer("dora").say(*numbers(3, 7))
        assert texts(await later(early, 3)) == ["5", "6"]
        with pytest.raises(CursorInvalid):
            await asyncio.wait_for(_last(stuck), LAG + 5)


async def _last(stream: chatkit.Stream[Any]) -> None:
    async for _ in stream:
        pass


async def test_without_a_log_there_is_no_place_to_begin(clock: VirtualClock) -> None:
    """It is refused when it is asked for, not later."""
    async with Stage(clock, like="pusher").chat("ada") as ada:
        with pytest.raises(CapabilityError):
            ada.channel(C).events(since=chatkit.START)


# -- joining --------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), page=st.integers(1, 5), like=st.sampled_from(NUMBERED), cut=st.booleans())
async def test_the_log_and_the_live_stream_join_without_hole_or_double(
    seed: int, page: int, like: Like, cut: bool
) -> None:
    """Whoever writes meanwhile, wherever pages end, whenever the connection breaks (D17, I14)."""
    clock = asyncio.get_running_loop().clock  # type: ignore[attr-defined]  # the virtual loop's
    before = replaying.PAGE
    replaying.PAGE = page  # type: ignore[misc]  # small pages have many ends
    try:
        await _join(Stage(clock, like=like), Random(seed), cut=cut)
    finally:
        replaying.PAGE = before  # type: ignore[misc]


async def _join(stage: Stage, chance: Random, *, cut: bool) -> None:
    stage.hub.network._random = chance
    stage.hub.network.set_faults(Faults(delay=(0.0, 0.3), duplicate=0.1, reorder=0.1))
    peer = stage.peer("cleo")
    sent = chance.randrange(12)
    peer.say(*numbers(0, sent))
    async with stage.chat("ada", seed=chance.randrange(1_000)) as ada:
        streams: list[tuple[chatkit.Stream[Any], list[Any]]] = []
        for turn in range(12):
            if turn in (1, 5):
                streams.append((ada.channel(C).events(*GAPS, since=chatkit.START, buffer=50), []))
            for stream, got in streams:
                if chance.random() < 0.5:
                    got.extend(await taken(stream))
            if cut and turn == 7:
                stage.cut("ada")
            for _ in range(chance.randrange(3)):
                peer.say(f"{sent}")
                sent += 1
            await asyncio.sleep(chance.random() * 0.5)
            if turn == 8:
                stage.heal("ada")
        for stream, got in streams:
            await asyncio.sleep(80)
            got.extend(await taken(stream))

            assert sorted(texts(got), key=int) == numbers(0, sent)
            assert in_order(got)


@pytest.mark.parametrize("like", NUMBERED)
async def test_facts_between_the_last_page_and_the_attach_are_not_lost(
    clock: VirtualClock, like: Like
) -> None:
    """A read whose answer is older than the attach does not join on to what live begins with (D15)."""
    stage = Stage(clock, like=like)
    chat = stage.chat("ada")
    log = odd_log(chat)
    peer = stage.peer("cleo")
    peer.say("0")
    gate = log.gate = asyncio.Event()
    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated, since=chatkit.START)
        stage.hub.network.refuse("ada", Down("not yet"), calls={"attach"}, count=1)
        await asyncio.sleep(0.01)  # the log has answered: up to here; the answer travels
        peer.say("1")
        await asyncio.sleep(5)
        assert ada.channel(C).state == "attached"
        log.gate = None
        gate.set()
        peer.say("2")

        assert texts(await later(stream, 20)) == ["0", "1", "2"]


async def test_a_busy_channel_joins_though_it_never_rests(stage: Stage) -> None:
    """Facts that pass by while the log is read are kept: a reader need not catch a quiet moment (D17)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    peer = stage.peer("cleo")
    peer.say("0")
    async with chat as ada:
        await ready(ada)
        stage.hub.network.set_faults(Faults(delay=(0.2, 0.2)), "ada")
        stream = ada.channel(C).events(chatkit.MessageCreated, since=chatkit.START)
        for number in range(1, 200):
            peer.say(f"{number}")
            await asyncio.sleep(0.05)
        reads = log.count("entries")
        await asyncio.sleep(5)

        assert texts(await taken(stream)) == numbers(0, 200)
        assert not reader(stream).track(C).replaying
        assert reads < 20


async def test_what_passes_by_is_bounded_and_then_read(stage: Stage) -> None:
    """A reader whose log is slow does not keep more than 1,000 live facts; the rest is read too (I10)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    peer = stage.peer("cleo")
    async with chat as ada:
        await ready(ada)
        gate = log.gate = asyncio.Event()
        stream = ada.channel(C).events(chatkit.MessageCreated, since=chatkit.START, buffer=10_000)
        await asyncio.sleep(0.1)
        for number in range(0, PASSED + 500, 100):
            peer.say(*numbers(number, number + 100))
            await asyncio.sleep(0.01)
        track = reader(stream).track(C)
        assert len(track.passed) == PASSED
        log.gate = None
        gate.set()

        assert texts(await later(stream, 20)) == numbers(0, PASSED + 500)
        assert not track.passed


async def test_a_slow_reader_is_waited_for(stage: Stage) -> None:
    """The log is read into a queue with room; who catches up does not overflow at the join (D21)."""
    peer = stage.peer("cleo")
    peer.say(*numbers(0, 100))
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated, since=chatkit.START, buffer=4)
        await ready(ada)
        got = []
        for number in range(100, 200):
            peer.say(f"{number}")
            await asyncio.sleep(0.01)
            got.append((await stream.next(timeout=5)).message.text)
        while len(got) < 200:
            got.append((await stream.next(timeout=5)).message.text)

        assert got == numbers(0, 200)


async def test_own_messages_from_before_the_attach_come_once(clock: VirtualClock) -> None:
    """What an acknowledgement told before the join and what the log holds is one fact (I2, D15)."""
    stage = Stage(clock, like="supabase")
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated, since=chatkit.START)
        for number in range(5):
            await ada.channel(C).send(f"{number}")
        await ready(ada)

        assert texts(await later(stream, 5)) == numbers(0, 5)


async def test_a_replica_behind_the_live_stream_is_waited_for(stage: Stage) -> None:
    """A log that has not yet what was told live does not make a reader miss it, nor spin (D17)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    peer = stage.peer("cleo")
    async with chat as ada:
        first = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        peer.say("0", "1", "2")
        await later(first, 1)

        def lag(name: str, answer: Any) -> Any:
            if name != "entries":
                return answer
            known = tuple(item for item in answer.items if int(item.stamp.key.serial) <= 1)
            return answer._replace(items=known, state=older(answer.state, 1))

        log.edit = lag
        stream = ada.channel(C).events(chatkit.MessageCreated, since=chatkit.START)
        reads = log.count("entries")
        await asyncio.sleep(5)
        assert texts(await taken(stream)) == ["0"]
        assert log.count("entries") - reads <= 8
        log.edit = lambda _, answer: answer

        assert texts(await later(stream, 5)) == ["1", "2"]


async def test_a_read_that_fails_goes_on_where_it_was(stage: Stage) -> None:
    """The log may be away for long; no entry is given twice for it (I2)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    stage.peer("cleo").say(*numbers(0, 500))
    async with chat as ada:
        await ready(ada)
        log.error = Down("away")
        stream = ada.channel(C).events(chatkit.MessageCreated, since=chatkit.START)
        assert await later(stream, 100) == []
        log.error = None

        assert texts(await later(stream, 60)) == numbers(0, 500)


async def test_a_refused_log_ends_the_stream_with_the_reason(stage: Stage) -> None:
    """What repeating does not help is raised to who reads."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    log.error = NotAllowed("not you")
    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated, since=chatkit.START)
        with pytest.raises(NotAllowed):
            await stream.next(timeout=5)


async def test_a_closed_stream_reads_no_further(stage: Stage) -> None:
    """Nothing goes on for a reader that is gone, not even while it waits (I12)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    stage.peer("cleo").say(*numbers(0, 1_000))
    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated, since=chatkit.START, buffer=10)
        await ready(ada)
        reads = log.count("entries")
        await stream.aclose()
        await asyncio.sleep(100)

        assert log.count("entries") == reads
        assert not [task for task in asyncio.all_tasks() if "replay" in task.get_name()]


# -- what comes -----------------------------------------------------------------------------------------


async def test_changes_come_with_their_messages(stage: Stage) -> None:
    """Edits, deletes and reactions are events of the log, too, of messages before the place as well (D22)."""
    peer = stage.peer("cleo")
    old, mid, *_ = peer.say("old", "mid", "place")
    peer.edit(old, "old, edited")
    peer.react(mid)
    peer.delete(mid)
    (new,) = peer.say("new")
    peer.edit(new, "new, edited")
    async with stage.chat("ada") as ada:
        place = (await ada.channel(C).history(limit=10)).items
        since = next(message for message in place if message.text == "place")
        stream = ada.channel(C).events(chatkit.MessageEvent, chatkit.ReactionChanged, since=since)
        await ready(ada)
        events = await taken(stream)

        assert [type(event).__name__ for event in events] == [
            "MessageUpdated",
            "ReactionChanged",
            "MessageDeleted",
            "MessageCreated",
            "MessageUpdated",
        ]
        assert (events[0].message.text, events[3].message.text, events[4].message.text) == (
            "old, edited",
            "new",
            "new, edited",
        )
        assert events[4].previous.text == "new"


async def test_raw_history_tells_what_it_can(clock: VirtualClock) -> None:
    """Where nothing can be fetched an edit of an older message is passed over, a reaction is not (D24)."""
    stage = Stage(clock, like="ably")
    peer = stage.peer("cleo")
    async with stage.chat("ada") as ada:
        first = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        (old,) = peer.say("old")
        (event,) = await later(first, 1)
        peer.edit(old, "edited")
        peer.react(old)
        peer.say("new")
        stream = ada.channel(C).events(chatkit.MessageEvent, chatkit.ReactionChanged, since=event.message)

        assert [type(e).__name__ for e in await later(stream, 3)] == ["ReactionChanged", "MessageCreated"]


async def test_a_change_whose_message_was_trimmed_shows_nothing(clock: VirtualClock) -> None:
    """The log has nothing to tell of it any more (D18); the stream goes on."""
    stage = Stage(clock)
    chat = stage.chat("ada")
    log = odd_log(chat)
    peer = stage.peer("cleo")
    (old,) = peer.say("old")
    (place,) = peer.say("place")
    peer.edit(old, "edited")
    peer.say("new")
    log.edit = lambda name, answer: answer._replace(items=()) if name == "get" else answer
    async with chat as ada:
        since = encode_cursor(Spot(stage.hub.log.core.log_id, C, OrderKey(1, f"{2:020d}")))
        stream = ada.channel(C).events(chatkit.MessageEvent, since=since)
        await ready(ada)

        assert texts(await taken(stream)) == ["new"]
        assert place.user == "cleo"


async def test_a_message_that_cannot_be_fetched_ends_the_stream_or_is_tried_again(stage: Stage) -> None:
    """An answer that may come is waited for, a refusal is raised; no entry before it is given twice (I2)."""
    for error, ends in ((Down("soon"), False), (NotAllowed("never"), True)):
        chat = stage.chat("ada")
        log = odd_log(chat)
        peer = stage.peer("cleo", "device0" + str(int(ends)))
        (old,) = peer.say("old")
        (place,) = peer.say("place")
        peer.say("one")
        peer.edit(old, "edited")
        async with chat as ada:
            found = await ada.channel(C).get(place.id)
            stream = ada.channel(C).events(chatkit.MessageEvent, since=found)
            fails: list[Exception] = [error] * 6

            def fail(fails: list[Exception] = fails) -> None:
                if fails:
                    raise fails.pop()

            log.on["get"] = fail
            await asyncio.sleep(100)
            assert texts([await stream.next(timeout=1)]) == ["one"]
            if ends:
                with pytest.raises(NotAllowed):
                    await stream.next(timeout=5)
            else:
                assert texts([await stream.next(timeout=5)]) == ["edited"]


async def test_what_nobody_can_believe_is_counted_and_passed_over(stage: Stage) -> None:
    """A bad entry costs no reader the others (D2)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    stage.peer("cleo").say("bad", "good")
    log.edit = lambda name, answer: (
        answer._replace(items=(answer.items[0]._replace(data=b"{"), *answer.items[1:]))
        if name == "entries" and answer.items
        else answer
    )
    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated, since=chatkit.START)

        assert texts(await later(stream, 5)) == ["good"]
        assert counters(ada)["refused_entry:unreadable"] >= 1


# -- over reconnects, caps and other logs ---------------------------------------------------------------


async def test_who_came_from_the_log_has_no_cap(stage: Stage) -> None:
    """After a long absence the timeline skips, a reader with `since=` reads on and hears of no gap (D19)."""
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(*GAPS, since=chatkit.START, buffer=10_000)
        plain = ada.channel(C).events(chatkit.Discontinuity)
        await ready(ada)
        peer = stage.peer("cleo")
        peer.say("0")
        await taken(stream)
        stage.cut("ada")
        peer.say(*numbers(1, 3_500))
        await asyncio.sleep(1)
        stage.heal("ada")
        await asyncio.sleep(30)
        peer.say("3500")
        events = await later(stream, 30)

        assert texts(events) == numbers(1, 3_501)
        assert [event.reason for event in await taken(plain)] == ["backfill"]
        assert len(ada.channel(C).timeline.view.gaps) == 1


async def test_a_hole_that_opens_before_live_facts_join_on_is_read(stage: Stage) -> None:
    """Read to its head, then waiting for its reader, a replay does not pass over what was skipped (D19, I6)."""
    async with stage.chat("ada") as ada:
        peer = stage.peer("cleo")
        peer.say(*numbers(0, 1_600))
        stream = ada.channel(C).events(*GAPS, since=chatkit.START, buffer=3_000)
        await ready(ada)
        assert reader(stream).track(C).replaying  # half of its queue must be free first
        stage.cut("ada")
        peer.say(*numbers(1_600, 5_000))
        await asyncio.sleep(1)
        stage.heal("ada")
        await asyncio.sleep(30)
        events = [await stream.next(timeout=5) for _ in range(5_000)]

        assert texts(events) == numbers(0, 5_000)


async def test_a_cursor_of_a_late_event_skips_no_later_one(stage: Stage) -> None:
    """Whoever stops between late messages and comes back is given the rest of them (D17)."""
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        peer = stage.peer("cleo")
        peer.say("1")
        with stage.lost():
            peer.say("2", "3", "4")
        peer.say("5", "6")
        events = await later(stream, 10)
        assert texts(events) == ["1", "5", "6", "2", "3", "4"]
        for number, event in enumerate(events, 1):
            again = ada.channel(C).events(chatkit.MessageCreated, since=event.cursor)
            given = {*texts(events[:number]), *texts(await later(again, 3))}
            assert given == set(numbers(1, 7))


async def test_a_plain_reader_that_was_kept_something_comes_back_before_it(stage: Stage) -> None:
    """Behind an announced gap no cursor leads past what the log still has (D17)."""
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(*GAPS, buffer=10_000)
        await ready(ada)
        peer = stage.peer("cleo")
        stage.cut("ada")
        peer.say(*numbers(0, 3_000))
        await asyncio.sleep(1)
        stage.heal("ada")
        *read, gap = await later(stream, 30)
        peer.say("3000")
        (event,) = await later(stream, 1)
        assert event.cursor == gap.after
    async with stage.chat("ada") as ada:
        again = ada.channel(C).events(chatkit.MessageCreated, since=event.cursor, buffer=10_000)
        assert texts(read) + texts(await later(again, 20)) == numbers(0, 3_001)


async def test_retention_that_overtakes_a_slow_reader_is_told(clock: VirtualClock) -> None:
    """A place that was good and was trimmed while the reader was slow is a gap, no error (D18, I6)."""
    stage = Stage(clock, keep=300)
    peer = stage.peer("cleo")
    peer.say(*numbers(0, 250))
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(*GAPS, since=chatkit.START, buffer=10)
        await asyncio.sleep(1)
        peer.say(*numbers(250, 1_000))
        got: list[Any] = []
        while len(got) < 1_000:
            try:
                got.append(await stream.next(timeout=5))
            except chatkit.WaitTimeout:
                break
        gaps = [event for event in got if isinstance(event, chatkit.Discontinuity)]

        assert [event.reason for event in gaps] == ["retention"]
        assert texts(got) == [*numbers(0, 200), "Discontinuity", *numbers(700, 1_000)]
        assert gaps[0].after is not None


@pytest.mark.parametrize("heard", [True, False], ids=["live first", "log first"])
async def test_a_log_that_is_replaced_while_it_is_read_is_told_once(stage: Stage, heard: bool) -> None:
    """The reader hears that its numbers mean nothing any more, and goes on with what is new (D18).

    Whoever notices first: the channel, by a frame, or what reads to the reader.
    """
    stage.peer("cleo").say(*numbers(0, 250))
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(*GAPS, since=chatkit.START, buffer=300 if heard else 10)
        await asyncio.sleep(1)
        core: Any = stage.hub.log.core
        core._channels, core.log_id = {}, "f" * 32
        dora = stage.peer("dora")
        with nullcontext() if heard else stage.lost():
            dora.say("new 1", "new 2")
        got: list[Any] = []
        while (event := await _next(stream)) is not None:
            got.append(event)
        dora.say("new 3")
        got += await later(stream, 60)

        assert texts(got)[:200] == numbers(0, 200)
        assert [event.reason for event in got if isinstance(event, chatkit.Discontinuity)] == ["log_reset"]
        assert texts(got)[-2:] == ["Discontinuity", "new 3"]


@pytest.mark.parametrize("longer", [True, False], ids=["beyond what was read", "short of it"])
async def test_a_log_that_is_put_back_while_it_is_read_is_told_once(stage: Stage, longer: bool) -> None:
    """Under its own name: it stands behind what it had shown for longer than a replica would (D18)."""
    stage.peer("cleo").say(*numbers(0, 250))
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(*GAPS, since=chatkit.START, buffer=10)
        await asyncio.sleep(1)
        core: Any = stage.hub.log.core
        core._channels = {}
        dora = stage.peer("dora")
        with stage.lost():
            dora.say(*(f"new {number}" for number in range(220 if longer else 2)))
        got: list[Any] = []
        while (event := await _next(stream, 90)) is not None:
            got.append(event)
        dora.say("last")
        got += await later(stream, 60)

        assert [event.reason for event in got if isinstance(event, chatkit.Discontinuity)] == ["log_reset"]
        assert texts(got)[-2:] == ["Discontinuity", "last"]


async def test_a_log_that_is_put_back_before_the_channel_is_there_is_told_once(stage: Stage) -> None:
    """What reads to the reader notices alone, since the channel has no mark yet (D18)."""
    stage.peer("cleo").say(*numbers(0, 250))
    stage.hub.network.refuse("ada", Down("no way"), calls=["attach"])
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(*GAPS, since=chatkit.START, buffer=10)
        await asyncio.sleep(1)
        core: Any = stage.hub.log.core
        core._channels = {}
        dora = stage.peer("dora")
        dora.say("new 1", "new 2")
        got: list[Any] = []
        while (event := await _next(stream, 30)) is not None:
            got.append(event)
        stage.hub.network.refuse("ada", None)
        await asyncio.sleep(60)
        dora.say("last")
        got += await later(stream, 60)

        assert texts(got) == [*numbers(0, 200), "Discontinuity", "last"]
        assert got[200].reason == "log_reset"


async def _next(stream: chatkit.Stream[Any], patience: float = 5) -> Any:
    try:
        return await stream.next(timeout=patience)
    except chatkit.WaitTimeout:
        return None


async def test_a_replay_ends_where_the_channel_begins_anew(stage: Stage) -> None:
    """When the channel finds another log behind it, readers go on live; no old place is read on (D18)."""
    async with stage.chat("ada") as ada:
        await ready(ada)
        stage.peer("cleo").say(*numbers(0, 50))
        stream = ada.channel(C).events(chatkit.MessageCreated, since=chatkit.START, buffer=10)
        await asyncio.sleep(1)
        head = engine(ada).progress.complete
        assert head is not None
        engine(ada).teller.restart(head)
        assert texts(await later(stream, 1)) == numbers(0, 10)
        stage.peer("dora").say("new")

        assert texts(await later(stream, 3)) == ["new"]
        assert reader(stream).track(C).follows


async def test_a_page_that_comes_after_the_channel_began_anew_is_not_given(stage: Stage) -> None:
    """Its places are those of a log that is gone (D18)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    stage.peer("cleo").say(*numbers(0, 500))
    async with chat as ada:
        await ready(ada)
        gate = log.gate = asyncio.Event()
        stream = ada.channel(C).events(chatkit.MessageCreated, since=chatkit.START)
        await asyncio.sleep(0.1)
        head = engine(ada).progress.complete
        assert head is not None
        engine(ada).teller.restart(head)
        log.gate = None
        gate.set()

        assert await later(stream, 5) == []
        assert reader(stream).track(C).sure == head


async def test_a_reader_is_given_what_it_asked_for(stage: Stage) -> None:
    """Nothing is fetched or filtered for events of other types (D22)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    peer = stage.peer("cleo")
    (old,) = peer.say("old")
    peer.say("place")
    peer.edit(old, "edited")
    peer.say("new")
    async with chat as ada:
        since = encode_cursor(Spot(stage.hub.log.core.log_id, C, OrderKey(1, f"{2:020d}")))
        stream = ada.channel(C).events(chatkit.MessageCreated, since=since)
        await ready(ada)

        assert texts(await taken(stream)) == ["new"]
        assert log.count("get") == 0


async def test_readers_of_all_channels_are_kept_apart_by_channel(stage: Stage) -> None:
    """What a chat-wide reader was given of one channel says nothing of another (D15)."""
    other = "elsewhere"
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        stream = ada.events(chatkit.MessageCreated)
        await ready(ada)
        await bob.channel(C).send("0")
        for number in range(30):
            await bob.channel(other).send(f"old {number}")
        await bob.outbox.flush(timeout=10)
        assert texts(await later(stream, 1)) == ["0"]
        await ada.channel(other).attach(timeout=5)
        await bob.channel(other).send("new")

        assert texts(await later(stream, 3)) == ["new"]
        assert len(shown(ada, other)) == 31
