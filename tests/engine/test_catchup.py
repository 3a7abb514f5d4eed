"""What was missed is read, before what follows; what cannot be read is told (D17-D19, D22, I6)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

import pytest

import chatkit
from chatkit.adapters.memory import Like
from chatkit.adapters.memory.session import MemorySession
from chatkit.engine.catchup import CAP, FIRST, PAGE
from chatkit.engine.progress import HOLES, LAG
from chatkit.engine.telling import FETCHED
from chatkit.errors import NotAllowed
from chatkit.model.cursor import decode_cursor
from chatkit.ports import Attachment, Lost, Shed
from tests.engine.kit import (
    NUMBERED,
    C,
    Down,
    Stage,
    counters,
    engine,
    frame,
    later,
    odd_log,
    older,
    ready,
    shown,
    taken,
    texts,
)

if TYPE_CHECKING:
    from pathlib import Path

    from chatkit.testing.clock import VirtualClock

GAPS = (chatkit.MessageCreated, chatkit.Discontinuity)


def numbers(start: int, stop: int) -> list[str]:
    return [f"{n}" for n in range(start, stop)]


def place(cursor: Any) -> int:
    """Return the number that a cursor stands for."""
    return int(decode_cursor(cursor).key.serial)


async def away(stage: Stage, seconds: float = 1.0, user: str = "ada") -> None:
    """Cut a client off for a while."""
    stage.cut(user)
    await asyncio.sleep(seconds)
    stage.heal(user)


# -- reconnects -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("like", NUMBERED)
async def test_what_was_missed_comes_before_what_follows(clock: VirtualClock, like: Like) -> None:
    """After a reconnect live messages wait until the missed ones were read: all in order (D19, I6)."""
    stage = Stage(clock, like=like)
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        stage.cut("ada")
        await asyncio.sleep(200)  # longer than anybody resumes
        peer = stage.peer("cleo")
        peer.say("missed")
        log.gate = asyncio.Event()
        stage.heal("ada")
        await ada.channel(C).attach(timeout=60)
        peer.say("live")
        assert await later(stream, 0.5) == []
        log.gate.set()
        events = await later(stream, 20)

        assert [event.message.text for event in events if isinstance(event, chatkit.MessageCreated)] == [
            "missed",
            "live",
        ]
        assert not any(getattr(event, "late", False) for event in events)


async def test_a_resumed_channel_is_not_read(clock: VirtualClock) -> None:
    """Where the provider vouches that nothing was missed the log stays alone; else it is read (D17)."""
    stage = Stage(clock, like="ably")
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        peer = stage.peer("cleo")
        peer.say("one")
        await asyncio.sleep(40)
        reads = log.count("entries")
        peer.say("two")
        stage.cut("ada")
        peer.say("three")
        await asyncio.sleep(1)
        stage.heal("ada")
        await asyncio.sleep(10)
        resumed = log.count("entries")
        assert ada.channel(C).timeline.view.state == "live"
        await away(stage, 130)
        await asyncio.sleep(60)

        assert texts(await taken(stream))[:3] == ["one", "two", "three"]
        assert resumed == reads
        assert log.count("entries") > resumed


async def test_an_unasked_verdict_that_continuity_is_lost_is_looked_into(stage: Stage) -> None:
    """A provider may say at any time that frames may be missing: the log is read (D17)."""
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        with stage.lost():
            stage.peer("cleo").say("lost")
        stage.hub.inject(C, Attachment(C, resumed=False, start=None, may_publish=True))

        assert texts(await later(stream, 2)) == ["lost"]


async def test_without_a_log_each_reconnect_is_a_gap(clock: VirtualClock) -> None:
    """Nobody can say what was missed, so each one is told, and a new life after an old one too (I6)."""
    stage = Stage(clock, like="pusher")
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        assert await taken(stream) == []
        for _ in range(2):
            await away(stage)
            await asyncio.sleep(30)
        events = await taken(stream)

        assert [(event.reason, event.certain, event.after) for event in events] == [
            ("reconnected", True, None)
        ] * 2
        assert ada.channel(C).timeline.view.state == "live"


# -- too much -------------------------------------------------------------------------------------------


async def test_beyond_the_cap_the_newest_show_and_a_hole_is_recorded(stage: Stage) -> None:
    """The newest page shows, `gaps` holds the hole, a `Discontinuity` precedes what follows (D19)."""
    async with stage.chat("ada") as ada:
        channel = ada.channel(C)
        stream = channel.events(*GAPS, buffer=10_000)
        await ready(ada)
        peer = stage.peer("cleo")
        peer.say("0")
        await taken(stream)
        stage.cut("ada")
        peer.say(*numbers(1, 2_601))
        await asyncio.sleep(1)
        stage.heal("ada")
        events = await later(stream, 30)
        peer.say("2601")
        follows = await later(stream, 1)

        *read, gap = events
        assert texts(read) == numbers(1, len(read) + 1)
        assert (gap.reason, gap.certain, place(gap.after), place(gap.until)) == (
            "backfill",
            True,
            len(read) + 1,
            2_601,
        )
        assert texts(follows) == ["2601"]
        view = channel.timeline.view
        assert [m.text for m in view.messages] == numbers(1_602, 2_602)
        assert view.has_older
        assert [place(cursor) for cursor in view.gaps] == [len(read) + 1]


async def test_load_older_fills_the_hole(stage: Stage) -> None:
    """A recorded hole closes from above, page by page, and then shows no more (D19)."""
    async with stage.chat("ada") as ada:
        channel = ada.channel(C)
        channel.events()
        await ready(ada)
        peer = stage.peer("cleo")
        stage.cut("ada")
        peer.say(*numbers(0, 2_300))
        await asyncio.sleep(1)
        stage.heal("ada")
        await asyncio.sleep(30)
        assert len(channel.timeline.view.gaps) == 1
        assert await channel.timeline.load_older(100) == 100
        assert len(channel.timeline.view.gaps) == 1
        while await channel.timeline.load_older(1_000):
            pass

        view = channel.timeline.view
        assert view.gaps == ()
        assert [m.text for m in view.messages] == numbers(0, 2_300)
        assert not view.has_older


@pytest.mark.parametrize(
    "count",
    [CAP, CAP + 1, *(pytest.param(most, marks=pytest.mark.long) for most in (CAP + PAGE, 2 * CAP - 1))],
)
async def test_what_the_newest_page_reaches_is_no_hole(stage: Stage, count: int) -> None:
    """Where the newest 1,000 join on to what was read forward nothing is skipped, and all is told (D19)."""
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(*GAPS, buffer=10_000)
        await ready(ada)
        stage.cut("ada")
        stage.peer("cleo").say(*numbers(0, count))
        await asyncio.sleep(1)
        stage.heal("ada")

        assert texts(await later(stream, 30)) == numbers(0, count)
        assert ada.channel(C).timeline.view.gaps == ()


async def test_nothing_is_skipped_for_a_page_of_a_replica_that_lags(stage: Stage) -> None:
    """What it lacks was heard already: all is read forward instead, and told (D18, D19)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        stream = ada.channel(C).events(*GAPS, buffer=10_000)
        await ready(ada)
        peer = stage.peer("cleo")
        with stage.captured() as frames:
            peer.say(*numbers(0, 2_200))
            stale = await log.messages(C, limit=CAP)
            peer.say(*numbers(2_200, 2_300))
        log.edit = lambda name, answer: stale if name == "messages" else answer
        stage.deliver(frames[-1])

        assert sorted(texts(await later(stream, 30)), key=int) == numbers(0, 2_300)
        assert (
            log.count("messages") == 4
        )  # ours, the first of this life, and one for each time the cap was met
        assert ada.channel(C).timeline.view.gaps == ()


async def test_the_cap_leaves_alone_who_looks_elsewhere(stage: Stage) -> None:
    """A backfill beyond the cap does not take the view away from somebody who reads further up (D19)."""
    async with stage.chat("ada") as ada:
        channel = ada.channel(C)
        channel.events()
        peer = stage.peer("cleo")
        first, *_ = peer.say(*numbers(0, 200))
        await ready(ada)
        await channel.timeline.jump(await channel.get(first.id))
        before = [m.text for m in channel.timeline.view.messages]
        stage.cut("ada")
        peer.say(*numbers(200, 3_000))
        await asyncio.sleep(1)
        stage.heal("ada")
        await asyncio.sleep(30)
        assert [m.text for m in channel.timeline.view.messages] == before
        assert channel.timeline.view.has_newer
        await channel.timeline.jump("newest")

        assert [m.text for m in channel.timeline.view.messages] == numbers(2_950, 3_000)
        assert not channel.timeline.view.has_newer


def test_holes_are_bounded(stage: Stage) -> None:
    """A client that is away for long, again and again, records a bounded number of holes (I10)."""

    async def story() -> None:
        async with stage.chat("ada") as ada:
            _ = ada.channel(C)
            progress = engine(ada).progress
            from chatkit.model.order import OrderKey

            for n in range(0, 2 * HOLES + 20, 2):
                progress.add_hole(OrderKey(1, f"{n:020d}"), OrderKey(1, f"{n + 1:020d}"))

            assert len(progress.holes) == HOLES
            assert progress.holes[0][0].serial == f"{0:020d}"
            assert progress.holes[-1][1].serial == f"{2 * HOLES + 19:020d}"

    from chatkit.testing.clock import run

    run(story(), clock=stage.clock)


# -- a log that does not answer -------------------------------------------------------------------------


async def test_while_the_log_is_silent_live_messages_come_behind_a_word(stage: Stage) -> None:
    """Missed messages that cannot be read are announced; live ones go on, the missed follow late (I6)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        peer = stage.peer("cleo")
        peer.say("before")
        (before,) = await taken(stream)
        log.error = Down("the log is down")
        stage.cut("ada")
        peer.say("missed")
        await asyncio.sleep(1)
        stage.heal("ada")
        await asyncio.sleep(5)
        peer.say("live")
        events = await later(stream, 5)
        assert texts(events) == ["Discontinuity", "live"]
        assert (events[0].reason, events[0].certain, events[0].after) == ("unread", False, before.cursor)
        assert events[1].cursor == before.cursor  # nobody may come back behind what is missing (D17)
        assert ada.channel(C).timeline.view.state == "loading"
        log.error = None
        late = await later(stream, 60)

        assert [(event.message.text, event.late) for event in late] == [("missed", True)]
        assert ada.channel(C).timeline.view.state == "live"
        assert shown(ada) == ["before", "missed", "live"]


async def test_one_failed_read_is_no_news(stage: Stage) -> None:
    """The first failure is tried again before anybody hears of a gap (I6)."""
    chat = stage.chat("ada")
    log = odd_log(chat)

    def fail_once() -> None:
        log.on.clear()
        raise Down("once")

    async with chat as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        stage.cut("ada")
        stage.peer("cleo").say("missed")
        await asyncio.sleep(1)
        log.on["entries"] = fail_once
        stage.heal("ada")

        assert texts(await later(stream, 20)) == ["missed"]


async def test_a_refused_log_is_named_and_asked_again(stage: Stage) -> None:
    """An error that repeating does not help shows on the channel until the log answers (I6)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    log.error = NotAllowed("no reading here")
    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        assert isinstance(ada.channel(C).error, NotAllowed)
        stage.peer("cleo").say("live")
        assert texts(await later(stream, 1)) == ["live"]
        log.error = None
        await asyncio.sleep(60)

        assert ada.channel(C).error is None
        assert ada.channel(C).timeline.view.state == "live"


async def test_whatever_a_log_raises_the_channel_goes_on(stage: Stage) -> None:
    """A log of somebody else's may break in its own way (I13)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    log.error = ZeroDivisionError()
    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        log.error = None
        stage.peer("cleo").say("one")

        assert texts(await later(stream, 30)) == ["one"]
        assert ada.health().checks["defects"] in ({}, [])


async def test_a_log_that_hangs_does_not_hold_up_live_messages(stage: Stage) -> None:
    """While an open range is read live messages wait 300 ms for it and no longer (D21)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        log.gate = asyncio.Event()
        peer = stage.peer("cleo")
        with stage.lost():
            peer.say("lost")
        peer.say("two")
        await asyncio.sleep(3)
        assert texts(await taken(stream)) == ["two"]
        peer.say("three")
        assert texts(await later(stream, 0.4)) == ["three"]
        log.gate.set()

        assert texts(await later(stream, 20)) == ["lost"]


async def test_a_connection_that_breaks_during_a_read_reads_again(stage: Stage) -> None:
    """A read that was under way counts for nothing; the next attach makes a new one (D17)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        stage.cut("ada")
        peer = stage.peer("cleo")
        peer.say("one")
        await asyncio.sleep(1)
        log.gate = asyncio.Event()
        stage.heal("ada")
        await asyncio.sleep(2)
        peer.say("waits in the inbox")
        await asyncio.sleep(1)
        stage.cut("ada")
        await asyncio.sleep(1)
        log.gate = None
        stage.heal("ada")

        assert texts(await later(stream, 30)) == ["one", "waits in the inbox"]


async def test_a_log_that_promises_more_and_gives_nothing_is_believed_once(stage: Stage) -> None:
    """Nothing spins on an odd answer (I10)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    log.edit = lambda name, answer: answer._replace(more=True) if name == "entries" else answer
    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        stage.peer("cleo").say("one", "two")

        assert texts(await later(stream, 20)) == ["one", "two"]
        assert log.count("entries") < 50


async def test_entries_that_cannot_be_believed_are_counted(clock: VirtualClock) -> None:
    """What is refused live is refused when it is read, or clients would differ (D2, I5)."""
    stage = Stage(clock, like="ably")
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        peer = stage.peer("cleo")
        with stage.lost():
            peer.say("eve writes", "broken", "elsewhere", "passing", "honest")

        def spoil(name: str, answer: Any) -> Any:
            if name != "entries" or len(answer.items) < 5:
                return answer
            eve, broken, there, passing, honest = answer.items
            other = peer.envelope(text="x", channel="elsewhere").encode()
            items = (
                eve._replace(stamp=eve.stamp._replace(user="eve")),
                broken._replace(data=b"{"),
                there._replace(data=other),
                passing._replace(data=peer.envelope("x.wave").encode()),
                honest,
            )
            return answer._replace(items=items)

        log.edit = spoil
        stage.hub.inject(C, Shed(C, "slow"))

        assert texts(await later(stream, 5)) == ["honest"]
        for reason in ("forged_sender", "unreadable", "other_channel", "no_entry"):
            assert counters(ada)[f"refused_entry:{reason}"] == 1, reason


async def test_what_comes_though_an_attach_had_no_answer_is_announced(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider attached the channel: what was missed before comes first, as a word, with no log to read (I6)."""
    stage = Stage(clock, like="pusher")
    attach = MemorySession.attach

    async def unanswered(self: MemorySession, *args: Any, **kwargs: Any) -> Any:
        await attach(self, *args, **kwargs)
        await asyncio.Event().wait()

    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        peer = stage.peer("cleo")
        peer.say("one")
        assert texts(await later(stream, 1)) == ["one"]
        monkeypatch.setattr(MemorySession, "attach", unanswered)
        stage.cut("ada")
        await asyncio.sleep(1)
        peer.say("two")
        stage.heal("ada")
        await asyncio.sleep(10)
        peer.say("three")

        assert texts(await later(stream, 25)) == ["Discontinuity", "three"]

        monkeypatch.undo()
        peer.say("four")
        assert "four" in texts(await later(stream, 60))


# -- another log ----------------------------------------------------------------------------------------


async def test_a_replica_that_lags_is_no_restored_log(stage: Stage) -> None:
    """Heads below the mark for a moment: nothing is told anew or lost, the log is asked again (D18)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        peer = stage.peer("cleo")
        peer.say("one", "two", "three")
        await taken(stream)

        def lag(name: str, answer: Any) -> Any:
            if name == "heads":
                return {channel: older(state, 1) for channel, state in answer.items()}
            if name == "entries":
                return answer._replace(state=older(answer.state, 1), items=(), more=False)
            return answer

        log.edit = lag
        engine(ada).receiver.prompt_read(0.0)
        await asyncio.sleep(5)
        assert ada.channel(C).timeline.view.state == "live"
        peer.say("four")
        assert texts(await later(stream, 3)) == ["four"]
        log.edit = lambda _, answer: answer
        events = await later(stream, 60)

        assert events == []
        assert shown(ada) == ["one", "two", "three", "four"]
        assert ada.channel(C).timeline.view.state == "live"


async def test_a_first_page_of_a_replica_that_lags_leaves_nothing_out(stage: Stage) -> None:
    """Live begins after what it lacks, which no entry that follows would bring: it is asked again (D15, D18)."""
    peer = stage.peer("cleo")
    peer.say("one")
    chat = stage.chat("ada")
    log = odd_log(chat)
    stale = await log.messages(C, limit=50)
    peer.say("two")
    log.edit = lambda name, answer: stale if name == "messages" else answer
    async with chat as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        log.edit = lambda _, answer: answer
        peer.say("three")

        assert texts(await later(stream, 60)) == ["three"]
        assert shown(ada) == ["one", "two", "three"]
        assert ada.channel(C).timeline.view.state == "live"


class Swallowed(asyncio.Event):
    """What is asked meets a network that swallows all: to give up takes long, too."""

    async def wait(self) -> Literal[True]:
        try:
            return await super().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(6)
            raise


@pytest.mark.parametrize("reconnects", [False, True])
async def test_live_messages_do_not_wait_for_a_log_that_swallows_all(
    stage: Stage, *, reconnects: bool
) -> None:
    """Behind a word, within seconds: two reads that time out would take too long (I6)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        peer = stage.peer("cleo")
        peer.say("before")
        (before,) = await taken(stream)
        log.gate = Swallowed()
        with stage.lost():
            peer.say("missed")
        if reconnects:
            stage.cut("ada")
            stage.heal("ada")
            await ada.channel(C).attach(timeout=5)
        peer.say("live")
        events = await later(stream, 12)
        assert sorted(texts(events)) == ["Discontinuity", "live"]
        (gap,) = (event for event in events if isinstance(event, chatkit.Discontinuity))
        assert (gap.reason, gap.certain, gap.after) == ("unread", False, before.cursor)
        peer.say("more")
        assert texts(await later(stream, 1)) == ["more"]

        log.gate = None
        late = await later(stream, 60)

        assert [(event.message.text, event.late) for event in late] == [("missed", True)]
        assert shown(ada) == ["before", "missed", "live", "more"]


async def test_a_log_that_swallows_all_is_no_gap_where_nothing_is_missing(stage: Stage) -> None:
    """While a channel is closed, too: nobody waits for what would be told (D28)."""
    chat = stage.chat("ada", staleness=10)
    log = odd_log(chat)
    async with chat as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        slow = chatkit.RateLimited("too many messages per second", retry_after=60.0)
        stage.hub.inject(C, Lost(C, slow, "later", 60.0))
        await asyncio.sleep(0.01)
        with stage.lost():
            stage.peer("cleo").say("meanwhile")
        log.on["entries"] = lambda: setattr(log, "gate", Swallowed())
        assert await later(stream, 40) == []

        log.on.clear()
        log.gate = None

        assert texts(await later(stream, 60)) == ["meanwhile"]


async def test_a_jump_waits_for_a_replica_that_lags(stage: Stage) -> None:
    """It would show less than was shown; where it does not catch up that is said (D18)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        timeline = ada.channel(C).timeline
        await ready(ada)
        peer = stage.peer("cleo")
        peer.say("one")
        await asyncio.sleep(60)
        stale = await log.messages(C, limit=50)
        peer.say("two")
        await asyncio.sleep(60)
        log.edit = lambda name, answer: stale if name == "messages" else answer

        with pytest.raises(chatkit.TransportError, match="stands behind") as refused:
            await timeline.jump("newest")
        assert refused.value.channel == C
        assert shown(ada) == ["one", "two"]

        log.edit = lambda _, answer: answer
        await timeline.jump("newest")
        assert shown(ada) == ["one", "two"]


async def test_a_replica_that_has_not_what_frames_have_shown_is_asked_ever_less_often(stage: Stage) -> None:
    """A range that a read did not close is read again, not every second for ever (D17)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        peer = stage.peer("cleo")
        peer.say("one")
        await asyncio.sleep(3)
        log.edit = lambda name, answer: (
            answer._replace(state=older(answer.state, 1), items=(), more=False)
            if name == "entries"
            else answer
        )
        with stage.lost():
            peer.say("two")
        peer.say("three")
        reads = log.count("entries")
        await asyncio.sleep(120)
        assert 4 < log.count("entries") - reads < 20
        log.edit = lambda _, answer: answer

        assert texts(await later(stream, 60)) == ["one", "three", "two"]


@pytest.mark.parametrize("another", [False, True])
async def test_a_restored_log_is_told_and_read_anew(stage: Stage, another: bool) -> None:
    """Its numbers mean something else: it is told, what it lacks is flagged, what follows heard (D18)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        channel = ada.channel(C)
        stream = channel.events(*GAPS)
        since = channel.events(chatkit.MessageCreated, since=chatkit.START)
        await ready(ada)
        peer = stage.peer("cleo")
        peer.say("kept", "lost", "lost too")
        await taken(stream)
        # The log is replaced by what a backup holds: the first message and one that was written since.
        kept = stage.hub.log.core._channels[C]
        backup = Stage(stage.clock)
        backup_peer = backup.peer("cleo")
        backup_peer.seq = 0
        stage.hub.log.core._channels = backup.hub.log.core._channels
        core: Any = stage.hub.log.core
        if another:
            core.log_id = "f" * 32
        first = kept.record.items[0]
        from chatkit.model.envelope import Envelope

        backup_peer.publish(Envelope.parse(first.entry.data))
        backup_peer.seq = 10
        backup_peer.say("since")
        engine(ada).receiver.prompt_read(0.0)
        events = await later(stream, LAG + 3)
        stage.peer("dora").say("next")
        follows = await later(stream, 1)

        assert [(event.reason, event.after) for event in events] == [("log_reset", None)]
        assert [(event.message.text, event.late) for event in follows] == [("next", False)]
        assert "next" in texts(await taken(since))
        view = channel.timeline.view.messages
        assert {m.text for m in view if "orphaned" in m.flags} == {"lost", "lost too"}
        assert [m.text for m in view if "orphaned" not in m.flags] == ["kept", "since", "next"]
        assert log.count("entries") > 0


async def test_retention_that_passed_the_mark_is_told(clock: VirtualClock) -> None:
    """What was trimmed while this client was away is gone, and readers hear from where to where (D18)."""
    stage = Stage(clock, keep=10)
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        peer = stage.peer("cleo")
        peer.say("0")
        await taken(stream)
        stage.cut("ada")
        peer.say(*numbers(1, 30))
        await asyncio.sleep(1)
        stage.heal("ada")
        gap, *rest = await later(stream, 10)

        assert (gap.reason, gap.certain, place(gap.after), place(gap.until)) == ("retention", True, 1, 20)
        assert texts(rest) == numbers(20, 30)


# -- the first page, and what is not on it --------------------------------------------------------------


async def test_a_channel_opens_with_the_newest_messages(stage: Stage) -> None:
    """The first look shows 50, and says that there are more; nobody is told of them (D15)."""
    stage.peer("cleo").say(*numbers(0, 80))
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)

        view = ada.channel(C).timeline.view
        assert [m.text for m in view.messages] == numbers(80 - FIRST, 80)
        assert view.has_older
        assert await taken(stream) == []


async def test_a_message_of_mine_from_before_the_attach_leaves_no_silent_gap(clock: VirtualClock) -> None:
    """What was sent before the first attach does not stand beside the newest page, a gap between (I6)."""
    stage = Stage(clock, like="supabase")
    peer = stage.peer("cleo")
    async with stage.chat("ada") as ada:
        delivery = await ada.channel(C).send("mine")
        await delivery.wait(timeout=5)
        assert shown(ada) == ["mine"]
        peer.say(*numbers(0, 200))
        ada.channel(C).timeline.watch()
        await asyncio.sleep(3)

        view = ada.channel(C).timeline.view
        assert [m.text for m in view.messages] == numbers(150, 200)
        assert view.has_older
        while await ada.channel(C).timeline.load_older():
            pass
        assert shown(ada) == ["mine", *numbers(0, 200)]


async def test_what_was_sent_while_nobody_listened_is_not_told_to_who_listens_later(
    clock: VirtualClock,
) -> None:
    """A client that only sends keeps nothing to tell; a stream begins when it is registered."""
    stage = Stage(clock, like="supabase")
    async with stage.chat("ada") as ada:
        for number in range(20):
            delivery = await ada.channel(C).send(f"{number}")
            await delivery.wait(timeout=5)
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)

        assert await taken(stream) == []
        assert shown(ada) == numbers(0, 20)


async def test_a_change_of_a_message_that_is_not_loaded_is_told(stage: Stage) -> None:
    """An edit, delete or reaction of an older message reaches readers; the log tells the rest (D22)."""
    peer = stage.peer("cleo")
    old, gone, *_ = peer.say(*numbers(0, 100))
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(
            chatkit.MessageUpdated, chatkit.MessageDeleted, chatkit.ReactionChanged
        )
        await ready(ada)
        peer.edit(old, "edited")
        peer.react(old)
        peer.delete(gone)
        edited, reacted, deleted = await later(stream, 1)

        assert (edited.message.text, edited.message.version, edited.previous) == ("edited", 2, None)
        assert (reacted.message_id, reacted.emoji, reacted.added) == (old.id, "👍", True)
        assert (deleted.message.message_id, deleted.message.deleted) == (gone.id, True)
        while await ada.channel(C).timeline.load_older(100):
            pass
        assert shown(ada)[:3] == ["edited", "", "2"]
        assert await later(stream, 1) == []


async def test_a_message_that_nobody_asks_for_is_not_read(stage: Stage) -> None:
    """The log is asked for the target of a change only where a reader wants such events (D22)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    peer = stage.peer("cleo")
    old, *_ = peer.say(*numbers(0, 100))
    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        peer.edit(old, "edited")
        peer.say("next")

        assert texts(await later(stream, 1)) == ["next"]
        assert log.count("get") == 0


async def test_messages_that_were_read_for_changes_are_not_all_remembered(stage: Stage) -> None:
    """Very many old ones may be edited in a life (D22, I10)."""
    count = FETCHED + 20
    peer = stage.peer("cleo")
    old = peer.say(*numbers(0, count + FIRST))[:count]
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageUpdated)
        await ready(ada)
        for number, ident in enumerate(old):
            peer.edit(ident, f"edit {number}")

        assert texts(await later(stream, 10)) == [f"edit {number}" for number in range(count)]
        assert len(engine(ada).teller._fetched) == FETCHED


async def test_a_change_whose_message_cannot_be_read_is_a_gap(stage: Stage) -> None:
    """Rather than being passed over in silence (I6); one whose message was trimmed shows nothing."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    peer = stage.peer("cleo")
    old, other, *_ = peer.say(*numbers(0, 100))
    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageUpdated, *GAPS)
        await ready(ada)

        def fail() -> None:
            raise Down("no answer")

        log.on["get"] = fail
        peer.edit(old, "edited")
        (gap,) = await later(stream, 60)
        log.on.clear()
        log.edit = lambda name, answer: answer._replace(items=()) if name == "get" else answer
        peer.edit(other, "edited")
        peer.say("next")

        assert (gap.reason, gap.certain, place(gap.until)) == ("unread", True, 101)
        assert texts(await later(stream, 1)) == ["next"]


async def test_a_change_that_was_undone_since_is_not_told(stage: Stage) -> None:
    """The log tells the message as it is now: an edit of what was deleted since has nothing to show (I7)."""
    peer = stage.peer("cleo")
    old, *_ = peer.say(*numbers(0, 100))
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageUpdated, chatkit.MessageDeleted)
        await ready(ada)
        with stage.captured() as frames:
            peer.edit(old, "edited")
            peer.delete(old)
        stage.deliver(*frames)
        events = await later(stream, 2)

        assert [type(event).__name__ for event in events] == ["MessageDeleted"]


async def test_without_a_projection_a_change_waits_for_its_message(clock: VirtualClock) -> None:
    """Where nothing can be fetched an edit is told once its message is here; a reaction at once (D22)."""
    stage = Stage(clock, like="ably")
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageEvent, chatkit.ReactionChanged)
        await ready(ada)
        peer = stage.peer("cleo")
        with stage.captured() as frames:
            (one,) = peer.say("one")
            peer.edit(one, "edited")
            peer.react(one)
        stage.deliver(frames[1], frames[2])
        assert texts(await taken(stream)) == ["ReactionChanged"]
        stage.deliver(frames[0])

        assert [type(e).__name__ for e in await later(stream, 2)] == ["MessageCreated", "MessageUpdated"]


async def test_a_change_that_waited_is_told_when_a_page_brings_its_message(clock: VirtualClock) -> None:
    """So it is where the page of a provider's raw history does not hold the change yet (D22, D24)."""
    stage = Stage(clock, like="ably")
    peer = stage.peer("cleo")
    old, *_ = peer.say(*numbers(0, 60))
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageUpdated)
        await ready(ada)
        peer.edit(old, "edited")
        assert await later(stream, 1) == []
        await ada.channel(C).timeline.load_older(50)

        assert texts(await later(stream, 1)) == ["edited"]
        assert shown(ada)[0] == "edited"


async def test_the_mark_of_an_ably_like_stream_follows_behind(clock: VirtualClock) -> None:
    """A lower serial may come after a higher one: cursors stay behind, it is no repeat (D17)."""
    stage = Stage(clock, like="ably")
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        with stage.captured() as frames:
            stage.peer("cleo").say("low", "high")
        stage.deliver(frames[1])
        (high,) = await later(stream, 20)
        stage.deliver(frames[0])
        (low,) = await later(stream, 1)

        assert (low.message.text, low.late) == ("low", True)
        assert decode_cursor(high.cursor).key < high.message.key
        await asyncio.sleep(60)
        stage.peer("dora").say("next")
        (after,) = await later(stream, 1)
        assert decode_cursor(after.cursor).key >= high.message.key


async def test_an_odd_frame_beyond_the_log_costs_few_reads(stage: Stage) -> None:
    """A frame that the log never shows keeps its range open and is looked for ever less often (D17)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        await ready(ada)
        cleo = stage.peer("cleo")
        stage.deliver(frame(cleo.envelope(text="x"), serial=50, prev=49, unforgeable=True))
        reads = log.count("entries")
        await asyncio.sleep(600)

        assert log.count("entries") - reads < 80
        assert shown(ada) == ["x"]


@pytest.mark.parametrize("like", ["memory", "supabase"])
async def test_a_restored_log_that_has_grown_past_the_mark_is_noticed(
    clock: VirtualClock, like: Like
) -> None:
    """Its head says nothing, but it has another message where the newest one applied stood (D18)."""
    stage = Stage(clock, like=like)
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        stage.peer("cleo").say("lost", "lost too")
        await taken(stream)
        stage.cut("ada")
        await asyncio.sleep(1)
        backup = Stage(clock, like=like)
        core = stage.hub.log.core
        core._channels = backup.hub.log.core._channels
        dora = stage.peer("dora")
        dora.say("since 1", "since 2", "since 3")
        stage.heal("ada")
        events = await later(stream, 10)

        assert [event.reason for event in events] == ["log_reset"]
        view = ada.channel(C).timeline.view.messages
        assert {m.text for m in view if "orphaned" in m.flags} == {"lost", "lost too"}
        assert [m.text for m in view if "orphaned" not in m.flags] == ["since 1", "since 2", "since 3"]
        dora.say("next")
        assert texts(await later(stream, 1)) == ["next"]


async def test_a_log_that_was_replaced_is_noticed_by_its_frames(stage: Stage) -> None:
    """A frame that another log numbered is no news of this one: what stands behind it is read (D18)."""
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        stage.peer("cleo").say("one", "two")
        await taken(stream)
        core: Any = stage.hub.log.core
        core._channels = {}
        core.log_id = "e" * 32
        dora = stage.peer("dora")
        dora.say("first of another")
        events = await later(stream, 5)

        assert texts(events) == ["Discontinuity"]
        assert events[0].reason == "log_reset"
        assert counters(ada)["other_log"] == 1
        dora.say("second")
        assert texts(await later(stream, 1)) == ["second"]


async def test_a_stretch_that_somebody_looks_at_follows_what_was_skipped(stage: Stage) -> None:
    """Behind a hole the messages shown elsewhere are as the log has them, too (D19, I8)."""
    async with stage.chat("ada") as ada:
        peer = stage.peer("cleo")
        idents = peer.say(*(f"{n}" for n in range(200)))
        await ready(ada)
        timeline = ada.channel(C).timeline
        await timeline.load_older(200)
        await timeline.jump(timeline.view.messages[10])
        assert timeline.view.has_newer
        stage.cut("ada")
        peer.say(*(f"{n}" for n in range(200, 1_300)))
        peer.edit(idents[10], "edited")
        peer.say(*(f"{n}" for n in range(1_300, 2_400)))
        await asyncio.sleep(1)
        stage.heal("ada")
        await asyncio.sleep(60)

        assert "edited" in shown(ada)
        assert timeline.view.has_newer
        assert len(timeline.view.gaps) == 1


@pytest.mark.parametrize("early", [True, False])
async def test_what_is_sent_to_a_log_that_was_replaced_meanwhile_is_told(
    clock: VirtualClock, early: bool, tmp_path: Path
) -> None:
    """Its number may be one that the mark of the log before has passed: whoever listened is told of it (D15, D18)."""
    store = tmp_path / "ada.db"
    async with Stage(clock).chat("ada", store=store) as ada:
        await ready(ada)
        for text in ("one", "two"):
            await (await ada.channel(C).send(text)).wait(timeout=5)
        await asyncio.sleep(2)
    stage = Stage(clock)
    stage.peer("cleo").say("theirs")
    chat = stage.chat("ada", store=store)
    log = odd_log(chat)
    gate = log.gate = asyncio.Event()
    if not early:
        gate.set()
    async with chat as ada:
        stream = ada.channel(C).events(*GAPS)
        await (await ada.channel(C).send("mine")).wait(timeout=5)
        await asyncio.sleep(0.5)
        gate.set()
        events = await later(stream, 5)

        assert texts(events) == ["Discontinuity", "mine"]
        assert shown(ada)[-2:] == ["theirs", "mine"]
        stage.peer("dora").say("next")
        assert texts(await later(stream, 1)) == ["next"]


async def test_a_channel_that_was_empty_is_read_in_the_next_life(stage: Stage, tmp_path: Path) -> None:
    """Its log is known and no message is: the newest are shown (D17)."""
    store = tmp_path / "ada.db"
    async with stage.chat("ada", store=store) as ada:
        await ready(ada)
    stage.peer("cleo").say("one", "two")

    async with stage.chat("ada", store=store) as again:
        await ready(again)

        assert shown(again) == ["one", "two"]


async def test_a_log_that_was_replaced_while_nobody_looked_is_noticed(stage: Stage) -> None:
    """It holds as much as the one before, under another name (D18)."""
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        stage.peer("cleo").say("lost", "lost too")
        await taken(stream)
        stage.cut("ada")
        await asyncio.sleep(1)
        core: Any = stage.hub.log.core
        core._channels = {}
        core.log_id = "e" * 32
        stage.peer("dora").say("there 1", "there 2")
        stage.heal("ada")
        events = await later(stream, 10)

        assert [event.reason for event in events] == ["log_reset"]
        view = ada.channel(C).timeline.view.messages
        assert {m.text for m in view if "orphaned" in m.flags} == {"lost", "lost too"}
        assert [m.text for m in view if "orphaned" not in m.flags] == ["there 1", "there 2"]


async def test_an_own_change_of_what_is_not_loaded_is_told_in_its_turn(clock: VirtualClock) -> None:
    """Acknowledged while what was missed is read, it shows nothing yet, and is told behind that (D19, D23)."""
    stage = Stage(clock, like="ably")
    chat = stage.chat("ada", config={"resume": 0.0})
    log = odd_log(chat)
    stage.peer("ada").say("mine")
    stage.peer("cleo").say(*numbers(1, 100))
    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated, chatkit.ReactionChanged)
        await ready(ada)
        await taken(stream)
        assert "mine" not in shown(ada)
        message = (await ada.channel(C).history(limit=200)).items[-1]
        assert message.text == "mine"
        gate = log.gate = asyncio.Event()
        stage.cut("ada")
        await asyncio.sleep(1)
        stage.peer("cleo").say("missed")
        stage.heal("ada")
        await ada.channel(C).attach(timeout=30)
        delivery = await ada.channel(C).react(message, "👍")
        await delivery.wait(timeout=2)
        before = await taken(stream)
        gate.set()
        told = await later(stream, 60)

        assert texts(before) == []
        assert texts(told) == ["missed", "ReactionChanged"]
