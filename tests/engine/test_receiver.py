"""Frames in their turn: holes, forged frames, full inboxes, hints, repeats (D2, D5, D16, D17, D19-D21)."""

from __future__ import annotations

import asyncio
import pkgutil
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit.adapters.memory import Like
from chatkit.engine.inbox import INBOX
from chatkit.ports import Foreign, Received, Shed
from tests.engine.kit import (
    NUMBERED,
    PROFILES,
    C,
    Down,
    Stage,
    counters,
    engine,
    frame,
    later,
    odd_log,
    ready,
    shown,
    taken,
    texts,
)

if TYPE_CHECKING:
    from pathlib import Path

    from chatkit.testing.clock import VirtualClock


# -- holes ----------------------------------------------------------------------------------------------


async def test_a_later_message_waits_a_moment_for_the_one_before_it(stage: Stage) -> None:
    """A frame overtaken for less than 300 ms still comes in order; nothing is read for it (D17, D21)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        with stage.captured() as frames:
            stage.peer("cleo").say("one", "two", "three")
        reads = log.count("entries")
        stage.deliver(frames[2])
        stage.deliver(frames[1])
        assert await later(stream, 0.25) == []
        stage.deliver(frames[0])
        events = await later(stream, 5)

        assert texts(events) == ["one", "two", "three"]
        assert not any(event.late for event in events)
        assert log.count("entries") == reads


async def test_no_change_is_told_with_an_older_version_than_the_one_before_it(stage: Stage) -> None:
    """Told in order though they came in another, each with what the message is by then (D21, I7)."""
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageEvent)
        peer = stage.peer("cleo")
        (target,) = peer.say("one")
        await ready(ada)
        await taken(stream)
        with stage.captured() as frames:
            peer.delete(target)
            peer.edit(target, "two")
        stage.deliver(*reversed(frames))
        events = await later(stream, 5)

        assert [type(event) for event in events] == [chatkit.MessageDeleted, chatkit.MessageUpdated]
        assert [event.message.version for event in events] == [3, 3]
        assert events[-1].message.deleted


async def test_no_change_is_told_with_an_older_version_than_the_log_showed(stage: Stage) -> None:
    """A change of a message that is not loaded is told with it as it is in the log, ahead of others (D22, I7)."""
    chat = stage.chat("ada")
    log = odd_log(chat)

    def without_entries(name: str, answer: Any) -> Any:
        if name == "entries":
            raise Down("no entries now")
        return answer

    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageUpdated)
        await ready(ada)
        log.edit = without_entries
        peer = stage.peer("cleo")
        with stage.captured() as frames:
            (target,) = peer.say("one")
            for text in ("two", "three", "four"):
                peer.edit(target, text)
        create, *edits = frames
        stage.deliver(edits[0])
        assert [event.message.version for event in await later(stream, 5)] == [4]

        stage.deliver(create, edits[1])

        assert [event.message.version for event in await later(stream, 5)] == [4]


async def test_it_waits_300_ms_at_most_and_the_other_one_is_late(stage: Stage) -> None:
    """What does not come in time comes with `late=True`, below what was told (D21)."""
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        with stage.captured() as frames:
            stage.peer("cleo").say("one", "two")
        stage.deliver(frames[1])
        assert texts(await later(stream, 0.31)) == ["two"]
        events = await later(stream, 5)

        assert [(event.message.text, event.late) for event in events] == [("one", True)]
        assert shown(ada) == ["one", "two"]


async def test_an_open_range_is_read_once_and_closed_even_if_empty(stage: Stage) -> None:
    """Numbers are looked up, never waited for: what the log does not show is not asked for again (D17)."""
    chat = stage.chat("ada")
    log = odd_log(chat)

    def without_the_first(name: str, answer: Any) -> Any:
        hidden = [] if name != "entries" else answer.items[:1] if len(answer.items) == 2 else []
        return answer._replace(items=answer.items[len(hidden) :]) if name == "entries" else answer

    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        await later(stream, 5)
        log.edit = without_the_first
        reads = log.count("entries")
        with stage.captured() as frames:
            stage.peer("cleo").say("hidden", "seen")
        stage.deliver(frames[1])
        events = await later(stream, 20)

        assert texts(events) == ["seen"]
        assert log.count("entries") == reads + 1
        assert not engine(ada).progress.continuity.open


@pytest.mark.parametrize("staleness", [30.0, 4.0])
async def test_a_lost_last_frame_shows_within_staleness(stage: Stage, staleness: float) -> None:
    """Nothing follows it that could tell: heads are compared while the channel is quiet (D16, I6)."""
    async with stage.chat("ada", staleness=staleness) as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        peer = stage.peer("cleo")
        peer.say("one")
        await later(stream, 0.1)
        with stage.lost():
            peer.say("two")

        assert texts(await later(stream, staleness + 1)) == ["two"]


async def test_a_quiet_channel_that_lacks_nothing_is_not_read(stage: Stage) -> None:
    """Where heads agree with the mark the log's entries stay alone (D16)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        await ready(ada)
        stage.peer("cleo").say("one")
        await asyncio.sleep(3)
        before = log.count("entries")
        await asyncio.sleep(300)

        assert log.count("entries") == before
        assert log.count("heads") >= 10


async def test_my_own_message_shows_that_something_below_it_is_missing(clock: VirtualClock) -> None:
    """An acknowledgement above the mark opens a range, though it names nobody before it (D17)."""
    stage = Stage(clock, like="supabase")
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        await later(stream, 3)
        with stage.lost():
            stage.peer("cleo").say("lost")
            await ada.channel(C).send("mine")
            early = await later(stream, 0.2)
        events = await later(stream, 5)

        assert early == []
        assert [(e.message.text, e.late) for e in events] == [("mine", False), ("lost", True)]


# -- what is not believed -------------------------------------------------------------------------------


def forged(stage: Stage) -> dict[str, Received]:
    """Return what a member might put on the wire."""
    eve, bob = stage.peer("eve"), stage.peer("bob")
    other = eve.envelope(text="x", channel="elsewhere")
    return {
        "unreadable": frame(eve.envelope(), data=b'{"v":1'),
        "other_channel": frame(other),
        "forged_sender": frame(bob.envelope(text="x"), user="eve"),
    }


@pytest.mark.parametrize("like", PROFILES)
@pytest.mark.parametrize("reason", ["unreadable", "other_channel", "forged_sender"])
async def test_a_foreign_frame_is_counted_told_and_passed_over(
    clock: VirtualClock, like: Like, reason: str
) -> None:
    """It stops no reader, moves no mark, and only who asks for it by type hears of it (D2)."""
    stage = Stage(clock, like=like)
    async with stage.chat("ada") as ada:
        channel = ada.channel(C)
        all_but = channel.events()
        foreign = channel.events(chatkit.ForeignFrame)
        await ready(ada)
        await taken(all_but)
        mark = engine(ada).progress.complete
        stage.deliver(forged(stage)[reason])
        found = await taken(foreign)
        stage.peer("cleo").say("honest")

        assert [(event.reason, event.channel, event.cursor) for event in found] == [(reason, C, None)]
        assert counters(ada)[f"foreign:{reason}"] == 1
        assert engine(ada).progress.complete == mark
        assert texts(await later(all_but, 5)) == ["honest"]


async def test_a_foreign_frame_that_comes_again_is_the_same_event(stage: Stage) -> None:
    """Where the provider names it; what names nothing is another one each time (D14)."""
    async with stage.chat("ada") as ada:
        foreign = ada.channel(C).events(chatkit.ForeignFrame)
        await ready(ada)
        for id in ("7", "7", "8", None, None):
            stage.hub.inject(C, Foreign(C, "new-comment", "x", "other", id))

        found = [event.event_id for event in await taken(foreign)]
        assert found[:3] == [f"{C}/foreign/7", f"{C}/foreign/7", f"{C}/foreign/8"]
        assert len(set(found)) == 4


async def test_a_stamp_that_vouches_for_somebody_else_is_foreign(stage: Stage) -> None:
    """Whoever numbers says who sent; the envelope must agree (D2)."""
    async with stage.chat("ada") as ada:
        foreign = ada.channel(C).events(chatkit.ForeignFrame)
        await ready(ada)
        bob = stage.peer("bob").envelope(text="x")
        stage.deliver(frame(bob, serial=1, prev=0, unforgeable=True, stamped_for="eve"))

        assert [event.reason for event in await taken(foreign)] == ["forged_sender"]
        assert shown(ada) == []


@pytest.mark.parametrize("like", NUMBERED)
async def test_one_forged_serial_blinds_nobody(clock: VirtualClock, like: Like) -> None:
    """A stamp on a path that members can write to only prompts a read, whatever it says (D17)."""
    stage = Stage(clock, like=like)
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated, chatkit.ForeignFrame)
        await ready(ada)
        await later(stream, 3)
        mark, reads = engine(ada).progress.complete, log.count("entries")
        eve = stage.peer("eve")
        stage.deliver(frame(eve.envelope(text="x"), user="eve", serial=10**19, prev=0))
        await asyncio.sleep(3)
        assert engine(ada).progress.complete == mark
        assert log.count("entries") == reads + 1
        stage.peer("cleo").say("one", "two")

        assert texts(await later(stream, 1)) == ["ForeignFrame", "one", "two"]
        assert counters(ada)["foreign:unstamped"] == 1


async def test_a_flood_of_forged_frames_costs_one_read_a_second(stage: Stage) -> None:
    """However many frames prompt reads, the log is asked once a second and channel at most (D17)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        await asyncio.sleep(5)
        eve = stage.peer("eve")
        reads = log.count("entries")
        for _ in range(100):
            stage.deliver(frame(eve.envelope(text="x"), user="eve"))
            await asyncio.sleep(0.1)
        stage.peer("cleo").say("honest")

        assert log.count("entries") - reads <= 11
        assert texts(await later(stream, 1)) == ["honest"]


async def test_without_a_clock_reading_an_unnumbered_message_has_no_place(clock: VirtualClock) -> None:
    """Where no sequencer stamps, an envelope without `hlc` is foreign (D3)."""
    stage = Stage(clock, like="pusher")
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.ForeignFrame)
        await ready(ada)
        stage.deliver(frame(stage.peer("cleo").envelope(text="x", hlc=None)))

        assert [event.reason for event in await taken(stream)] == ["unordered"]


async def test_a_clock_in_2099_orders_its_own_message_and_nobody_elses(clock: VirtualClock) -> None:
    """A reading far ahead is not merged; its message sorts by it all the same and is flagged (D4, I5)."""
    stage = Stage(clock, like="pusher")
    async with stage.chat("ada") as ada:
        await ready(ada)
        far = stage.peer("eve").envelope(text="far", hlc="03b6c6e49c00-0000")
        stage.deliver(frame(far, user="eve"))
        await asyncio.sleep(1)
        delivery = await ada.channel(C).send("near")
        await delivery.wait(timeout=5)
        await asyncio.sleep(1)

        view = ada.channel(C).timeline.view.messages
        assert [(m.text, "clock_suspect" in m.flags) for m in view] == [("near", False), ("far", True)]


async def test_what_a_provider_calls_foreign_is_told_as_it_is(stage: Stage) -> None:
    """Its name and data are handed on (D2)."""
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.ForeignFrame)
        await ready(ada)
        stage.hub.inject(C, Foreign(C, "their-event", {"a": 1}, "not_ours"))
        (event,) = await taken(stream)

        assert (event.name, event.data, event.reason) == ("their-event", {"a": 1}, "not_ours")


async def test_kinds_that_nobody_reads_yet_are_counted_and_move_the_mark(stage: Stage) -> None:
    """An unknown kind of the log class is stored and ignored; a register has no reader yet (D25)."""
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events()
        await ready(ada)
        await taken(stream)
        cleo = stage.peer("cleo")
        cleo.publish(cleo.envelope("poll.vote"))
        stage.deliver(
            frame(cleo.envelope("state.topic"), user="cleo"),
            frame(cleo.envelope("presence.enter"), user="cleo"),
            frame(cleo.envelope("typing.loudly"), user="cleo"),
        )
        cleo.say("next")

        assert texts(await taken(stream)) == ["next"]
        assert counters(ada)["unread_kind"] == 4


async def test_an_apps_own_event_passes_by(stage: Stage) -> None:
    """Ephemeral kinds `x.*` become a `CustomEvent`, without a place or a cursor (D25)."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        stream = ada.channel(C).events(chatkit.CustomEvent)
        await ready(ada, bob)
        assert await bob.channel(C).emit("wave", {"hand": "left"})
        (event,) = await taken(stream)
        cleo = stage.peer("cleo")
        stage.deliver(frame(cleo.envelope("x.bare"), user="cleo"))
        stage.deliver(frame(cleo.envelope("x.odd", body={"type": "x", "data": [1]}), user="cleo"))

        assert (event.name, event.data, event.sender.user, event.own) == (
            "wave",
            {"hand": "left"},
            "bob",
            False,
        )
        assert event.cursor is None
        assert [(e.name, dict(e.data)) for e in await taken(stream)] == [("bare", {}), ("odd", {})]


# -- a full inbox ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "like", ["memory", *(pytest.param(like, marks=pytest.mark.long) for like in ("supabase", "ably"))]
)
async def test_what_a_full_inbox_drops_is_read_from_the_log(clock: VirtualClock, like: Like) -> None:
    """Frames that wait are bounded; beyond that the log is read, and nothing is missing (D19, I10)."""
    stage = Stage(clock, like=like)
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated, chatkit.Discontinuity, buffer=10_000)
        await ready(ada)
        await later(stream, 3)
        stage.cut("ada")
        await asyncio.sleep(1)
        log.gate = asyncio.Event()
        stage.heal("ada")
        await asyncio.sleep(3)
        peer = stage.peer("cleo")
        for number in range(INBOX // 100 + 3):
            peer.say(*(f"{number * 100 + n}" for n in range(100)))
            await asyncio.sleep(0.01)
        log.gate.set()
        events = await later(stream, 60)

        assert counters(ada)["inbox_overflow"] > 0
        assert texts(events) == [str(n) for n in range((INBOX // 100 + 3) * 100)]


async def test_without_a_log_a_full_inbox_is_told_where_it_was_full(clock: VirtualClock) -> None:
    """What was dropped is lost; a `Discontinuity` stands where it would have stood (I6, I10)."""
    stage = Stage(clock, like="pusher")
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated, chatkit.Discontinuity, buffer=10_000)
        await ready(ada)
        await taken(stream)
        peer = stage.peer("cleo")
        with stage.captured() as frames:
            peer.say(*(f"{n}" for n in range(INBOX + 6)))
        for one in frames:
            engine(ada).signal(one)
        peer.say("after")
        found = texts(await later(stream, 1))

        assert found == [*map(str, range(INBOX)), "Discontinuity", "after"]
        assert counters(ada)["inbox_overflow"] == 6


async def test_shed_frames_are_read_from_the_log_or_told(clock: VirtualClock) -> None:
    """The provider says that it dropped frames: the log has them; without one readers hear of it (D30)."""
    stage = Stage(clock, like="ably")
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated, chatkit.Discontinuity)
        await ready(ada)
        await later(stream, 3)
        with stage.lost():
            stage.peer("cleo").say("shed")
        stage.hub.inject(C, Shed(C, "slow"))
        assert texts(await later(stream, 2)) == ["shed"]

    deaf = Stage(clock, like="pusher")
    async with deaf.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated, chatkit.Discontinuity)
        await ready(ada)
        deaf.hub.inject(C, Shed(C, "slow"))
        (event,) = await later(stream, 2)
        assert (event.reason, event.certain, event.after) == ("shed", True, None)


async def test_after_shed_frames_the_mark_waits_for_the_read(clock: VirtualClock) -> None:
    """Where frames name no predecessor the mark must not follow frames across a known loss (D17)."""
    stage = Stage(clock, like="ably")
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        await later(stream, 40)
        with stage.lost():
            stage.peer("cleo").say("shed")
        log.gate = asyncio.Event()
        mark = engine(ada).progress.complete
        stage.hub.inject(C, Shed(C, "slow"))
        for number in range(50):
            stage.peer("cleo", f"device{number:02d}").say(f"{number}")
            await asyncio.sleep(1)
        assert engine(ada).progress.complete == mark
        log.gate.set()
        log.gate = None
        events = await later(stream, 60)

        assert "shed" in texts(events)
        assert engine(ada).progress.complete != mark


# -- hints ----------------------------------------------------------------------------------------------


async def test_a_missing_predecessor_is_hinted_at_after_five_seconds(clock: VirtualClock) -> None:
    """Without a log an unseen `pred` is all that tells of a lost message: uncertainly, once (D5)."""
    stage = Stage(clock, like="pusher")
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated, chatkit.Discontinuity)
        await ready(ada)
        peer = stage.peer("cleo")
        peer.say("one")
        with stage.lost():
            peer.say("lost")
        peer.say("three", "four")

        assert texts(await later(stream, 4.9)) == ["one", "three", "four"]
        (hint,) = await later(stream, 0.2)
        assert (hint.reason, hint.certain) == ("missing_predecessor", False)
        assert await later(stream, 60) == []


async def test_a_predecessor_that_comes_late_is_no_loss(clock: VirtualClock) -> None:
    """It has five seconds (D5)."""
    stage = Stage(clock, like="pusher")
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated, chatkit.Discontinuity)
        await ready(ada)
        peer = stage.peer("cleo")
        peer.say("one")
        with stage.captured() as frames:
            peer.say("two", "three")
        stage.deliver(frames[1])
        await asyncio.sleep(4)
        stage.deliver(frames[0])

        assert texts(await later(stream, 60)) == ["one", "three", "two"]


async def test_an_announced_gap_needs_no_hints(clock: VirtualClock) -> None:
    """After a reconnect without a log one `Discontinuity` says it all (D5, I6)."""
    stage = Stage(clock, like="pusher")
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated, chatkit.Discontinuity)
        await ready(ada)
        peer = stage.peer("cleo")
        peer.say("one")
        await taken(stream)
        stage.cut("ada")
        peer.say("missed")
        await asyncio.sleep(1)
        stage.heal("ada")
        await asyncio.sleep(5)
        peer.say("three")
        events = await later(stream, 60)

        assert texts(events) == ["Discontinuity", "three"]
        assert (events[0].reason, events[0].certain) == ("reconnected", True)


async def test_with_a_log_a_missing_predecessor_is_looked_up(clock: VirtualClock) -> None:
    """Where frames name no serial before them, the sender's own numbers prompt a look into the log (D5)."""
    stage = Stage(clock, like="ably")
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated, chatkit.Discontinuity)
        await ready(ada)
        await later(stream, 3)
        peer = stage.peer("cleo")
        peer.say("one")
        with stage.lost():
            peer.say("two")
        peer.say("three")

        assert texts(await later(stream, 2)) == ["one", "three", "two"]
        assert await later(stream, 20) == []


# -- repeats --------------------------------------------------------------------------------------------


async def test_repeats_are_known_over_restarts_by_the_stores_ids(clock: VirtualClock, tmp_path: Path) -> None:
    """Without a log the store knows what was shown: an old frame shows in its place, untold (D20)."""
    stage = Stage(clock, like="pusher")
    with stage.captured() as frames:
        stage.peer("cleo").say("one", "two")
    async with stage.chat("ada", store=tmp_path / "ada.db") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        stage.deliver(*frames)
        assert texts(await later(stream, 1)) == ["one", "two"]

    async with stage.chat("ada", store=tmp_path / "ada.db") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        stage.deliver(*frames)
        stage.peer("cleo").say("three")

        assert texts(await later(stream, 1)) == ["three"]
        assert shown(ada) == ["one", "two", "three"]
        assert counters(ada)["duplicate"] == 2


# -- frames that come together --------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["chatkit.engine.receiver.believe", "chatkit.engine.folding.Folder.fold"])
async def test_a_defect_costs_its_own_frame_alone(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Of frames that are dealt with in one go all others are told, in order, whichever step broke (I13)."""
    stage = Stage(clock, "pusher")
    module, _, name = step.rpartition(".")
    original: Any = pkgutil.resolve_name(step)

    def breaks_once(*args: Any, **options: Any) -> Any:
        if b"two" in args[1].data and not broken:
            broken.append(name)
            raise RuntimeError("a defect of ours")
        return original(*args, **options)

    broken: list[str] = []
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        monkeypatch.setattr(pkgutil.resolve_name(module), name, breaks_once)
        with stage.captured() as frames:
            stage.peer("cleo").say("one", "two", "three", "four")
        stage.deliver(*frames)

        assert texts(await later(stream, 5)) == ["one", "three", "four"]
        assert broken == [name]
        assert ada.health().checks["defects"] == ["channel:room"]
        ada.engine.context.defects.clear()


async def test_what_passes_keeps_its_place_among_messages(stage: Stage) -> None:
    """An ephemeral event is told after the messages that came before it, though they came together."""
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated, chatkit.CustomEvent)
        await ready(ada)
        peer = stage.peer("cleo")
        with stage.captured() as frames:
            peer.say("one", "two")
        wave = frame(peer.envelope("x.wave", body={"type": "custom", "data": {}}), user="cleo")
        stage.deliver(frames[0], wave, frames[1])
        events = await later(stream, 1)

        assert [type(event).__name__ for event in events] == [
            "MessageCreated",
            "CustomEvent",
            "MessageCreated",
        ]
