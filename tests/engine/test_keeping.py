"""What the store keeps of a channel, and how the next life begins with it (D17, D18, D20, I2, I6)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit.adapters.memory import Like
from chatkit.engine.keeping import BOTTOM, FLUSH
from chatkit.errors import StoreError
from chatkit.model.order import OrderKey
from chatkit.testing.clock import settle
from tests.engine.kit import (
    NUMBERED,
    PROFILES,
    C,
    Down,
    Stage,
    counters,
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

GAPS = (chatkit.MessageCreated, chatkit.Discontinuity)


def numbers(start: int, stop: int) -> list[str]:
    return [f"{n}" for n in range(start, stop)]


class OddStore:
    """A store whose calls for channels fail while a test says so."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.failing: set[str] = set()
        self.error: Exception = StoreError("the disk is full")
        self.writes: list[tuple[Any, ...]] = []
        self.asked: list[int] = []
        """How many ids each question was about."""
        self.gate: asyncio.Event | None = None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in {"marks", "cached", "applied", "seen"}:
            return found

        async def call(*args: Any, **kwargs: Any) -> Any:
            if name == "applied":
                self.writes.append(args)
                if self.gate is not None:
                    await self.gate.wait()
            if name == "seen":
                self.asked.append(len(args[1]))
            if name in self.failing:
                raise self.error
            return await found(*args, **kwargs)

        return call


def odd_store(chat: chatkit.Chat) -> OddStore:
    """Put a store between a client that is not open yet and its own."""
    context: Any = chat._setup.context
    context.store = OddStore(context.store)
    store: OddStore = context.store
    return store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ada.db"


# -- a new life -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("like", PROFILES)
async def test_a_restart_shows_what_was_kept_before_any_network(
    clock: VirtualClock, path: Path, like: Like
) -> None:
    """Offline the timeline is the kept one, pending messages at its end; then it catches up (I2, D23)."""
    stage = Stage(clock, like=like)
    peer = stage.peer("cleo")
    async with stage.chat("ada", store=path) as ada:
        ada.channel(C).events()
        await ready(ada)
        peer.say("0", "1")
        await settle()
        delivery = await ada.channel(C).send("2")
        await delivery.wait(timeout=5)
        await asyncio.sleep(2)
    stage.cut("ada")
    peer.say("3")
    async with stage.chat("ada", store=path) as ada:
        watched = ada.channel(C).timeline.watch()
        await ada.channel(C).send("pending")
        await asyncio.sleep(1)
        view = await watched.next(timeout=1)
        assert [(m.text, m.status) for m in view.messages] == [
            ("0", "sent"),
            ("1", "sent"),
            ("2", "sent"),
            ("pending", view.messages[-1].status),
        ]
        assert view.messages[-1].status != "sent"
        assert view.state == "local"
        stage.heal("ada")
        await asyncio.sleep(60)

        assert shown(ada) == ["0", "1", "2", *(["3"] if like != "pusher" else []), "pending"]
        assert ada.channel(C).timeline.view.state == "live"
        assert not [m for m in ada.channel(C).timeline.view.messages if m.status != "sent"]


async def test_without_a_log_a_new_life_begins_with_a_gap(clock: VirtualClock, path: Path) -> None:
    """What was missed between two lives cannot be known, and is told where the old timeline shows (I6)."""
    stage = Stage(clock, like="pusher")
    async with stage.chat("ada", store=path) as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        stage.peer("cleo").say("0")
        assert texts(await later(stream, 1)) == ["0"]
    async with stage.chat("ada", store=path) as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)

        assert [event.reason for event in await taken(stream)] == ["reconnected"]
        assert shown(ada) == ["0"]
        assert not ada.channel(C).timeline.view.has_older


@pytest.mark.parametrize("like", NUMBERED)
async def test_what_was_there_before_this_life_is_shown_and_not_told(
    clock: VirtualClock, path: Path, like: Like
) -> None:
    """A stream begins now: what was missed since the last life fills the timeline alone (D15)."""
    stage = Stage(clock, like=like)
    async with stage.chat("ada", store=path) as ada:
        await ready(ada)
        stage.peer("cleo").say("0")
        await asyncio.sleep(1)
    stage.peer("dora").say("1")
    async with stage.chat("ada", store=path) as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        stage.peer("eve").say("2")

        assert texts(await later(stream, 1)) == ["2"]
        assert shown(ada) == ["0", "1", "2"]


async def test_pages_are_kept_as_live_messages_are(stage: Stage, path: Path) -> None:
    """What came by a page and was never told live is in the next life's timeline, changes included (D17)."""
    peer = stage.peer("cleo")
    first, *_ = peer.say(*numbers(0, 60))
    async with stage.chat("ada", store=path) as ada:
        await ready(ada)
        await ada.channel(C).timeline.load_older(10)
        peer.edit(first, "0, edited")
        await asyncio.sleep(2)
    stage.cut("ada")
    async with stage.chat("ada", store=path) as ada:
        ada.channel(C).timeline.watch()
        await asyncio.sleep(1)

        assert shown(ada) == ["0, edited", *numbers(1, 60)]


async def test_a_hole_is_kept_and_nothing_shows_across_it(stage: Stage, path: Path) -> None:
    """A restart behind a hole shows what lies above it, knows of the hole, and fills it on demand (D19)."""
    peer = stage.peer("cleo")
    async with stage.chat("ada", store=path) as ada:
        await ready(ada)
        peer.say(*numbers(0, 20))
        await asyncio.sleep(2)
        stage.cut("ada")
        peer.say(*numbers(20, 3_000))
        await asyncio.sleep(1)
        stage.heal("ada")
        await asyncio.sleep(30)
        holes = engine(ada).progress.holes
        assert len(holes) == 1
    async with stage.chat("ada", store=path) as ada:
        ada.channel(C).timeline.watch()
        stage.cut("ada")
        await asyncio.sleep(1)
        assert shown(ada) == numbers(2_000, 3_000)
        assert engine(ada).progress.holes == holes
        assert ada.channel(C).timeline.view.has_older
        stage.heal("ada")
        await asyncio.sleep(60)
        while await ada.channel(C).timeline.load_older(1_000):
            pass

        assert shown(ada) == numbers(0, 3_000)
        assert ada.channel(C).timeline.view.gaps == ()


async def test_a_jump_never_moves_the_kept_mark_past_what_is_kept(stage: Stage, path: Path) -> None:
    """While another stretch shows the mark stands; afterwards only what was kept shows as kept (D17)."""
    peer = stage.peer("cleo")
    first, *_ = peer.say(*numbers(0, 300))
    async with stage.chat("ada", store=path) as ada:
        await ready(ada)
        channel = ada.channel(C)
        await channel.timeline.jump(await channel.get(first.id))
        peer.say(*numbers(300, 320))
        await asyncio.sleep(2)
    async with stage.chat("ada", store=path) as ada:
        await ready(ada)
        assert shown(ada) == numbers(250, 320)
        channel = ada.channel(C)
        await channel.timeline.jump(await channel.get(first.id))
        peer.edit(first, "0, edited")
        peer.say(*numbers(320, 450))
        await asyncio.sleep(2)
        await channel.timeline.jump("newest")
        peer.say("450")
        await asyncio.sleep(2)
    stage.cut("ada")
    async with stage.chat("ada", store=path) as ada:
        ada.channel(C).timeline.watch()
        await asyncio.sleep(1)

        assert shown(ada) == numbers(400, 451)
        assert ada.channel(C).timeline.view.has_older


async def test_a_channel_that_was_read_whole_is_whole_in_the_next_life(stage: Stage, path: Path) -> None:
    """Where the window began at the beginning nothing older is promised."""
    async with stage.chat("ada", store=path) as ada:
        await ready(ada)
        stage.peer("cleo").say(*numbers(0, 5))
        await asyncio.sleep(2)
    stage.cut("ada")
    async with stage.chat("ada", store=path) as ada:
        ada.channel(C).timeline.watch()
        await asyncio.sleep(1)

        assert shown(ada) == numbers(0, 5)
        assert not ada.channel(C).timeline.view.has_older


async def test_what_another_log_told_stays_flagged_in_the_next_life(stage: Stage, path: Path) -> None:
    """After the log was replaced the old messages are orphans, before the new ones, restart or not (D18)."""
    chat = stage.chat("ada", store=path)
    log = odd_log(chat)
    core: Any = stage.hub.log.core
    async with chat as ada:
        await ready(ada)
        stage.peer("cleo").say("old 0", "old 1")
        await asyncio.sleep(2)
        core._channels, core.log_id = {}, "f" * 32
        stage.peer("dora").say("new")
        engine(ada).receiver.prompt_read(0.0)
        await asyncio.sleep(5)
        assert log.count("messages") > 1
        assert shown(ada) == ["old 0", "old 1", "new"]
    async with stage.chat("ada", store=path) as ada:
        await ready(ada)
        view = ada.channel(C).timeline.view.messages

        assert [(m.text, "orphaned" in m.flags) for m in view] == [
            ("old 0", True),
            ("old 1", True),
            ("new", False),
        ]


async def test_what_was_acknowledged_before_the_log_said_its_id_is_no_orphan(
    clock: VirtualClock, path: Path
) -> None:
    """A message of mine that was sent before anything was read stands in its place in the next life (D18)."""
    stage = Stage(clock, like="supabase")
    async with stage.chat("ada", store=path) as ada:
        stage.peer("cleo").say("0")
        delivery = await ada.channel(C).send("1")
        await delivery.wait(timeout=5)
        await ready(ada)
        stage.peer("dora").say("2")
        await asyncio.sleep(2)
    async with stage.chat("ada", store=path) as ada:
        await ready(ada)

        view = ada.channel(C).timeline.view.messages
        assert [(m.text, "orphaned" in m.flags) for m in view] == [("0", False), ("1", False), ("2", False)]


async def test_what_was_kept_without_a_mark_does_not_hide_what_follows_it(stage: Stage, path: Path) -> None:
    """A page that was loaded before any attach is kept without a mark: the next life reads the newest anew (D17)."""
    stage.peer("cleo").say(*numbers(0, 5))
    async with stage.chat("ada", store=path) as ada:
        await ada.channel(C).timeline.jump("newest")
        await asyncio.sleep(2)
    stage.peer("dora").say(*numbers(5, 100))
    async with stage.chat("ada", store=path) as ada:
        await ready(ada)

        assert shown(ada) == numbers(50, 100)
        assert ada.channel(C).timeline.view.has_older


# -- what is written ------------------------------------------------------------------------------------


async def test_marks_and_messages_are_written_together_and_not_too_often(stage: Stage) -> None:
    """A burst makes a write or two, each with a mark that holds no more than the messages written (D17)."""
    chat = stage.chat("ada")
    store = odd_store(chat)
    async with chat as ada:
        await ready(ada)
        before = len(store.writes)
        peer = stage.peer("cleo")
        for number in range(50):
            peer.say(f"{number}")
            await asyncio.sleep(0.02)
        await asyncio.sleep(2 * FLUSH)
        writes = store.writes[before:]

        assert 2 <= len(writes) <= 5
        seen = 0
        for _, mark, folded, ids in writes:
            seen += len(folded)
            assert mark.key == OrderKey(1, f"{seen:020d}")
            assert mark.log_id == stage.hub.log.core.log_id
            assert ids == []


async def test_what_could_not_be_written_is_written_later(stage: Stage, path: Path) -> None:
    """A failed write loses no message behind a mark that is written after it (D17)."""
    chat = stage.chat("ada", store=path)
    store = odd_store(chat)
    async with chat as ada:
        await ready(ada)
        store.failing = {"applied"}
        stage.peer("cleo").say("0", "1")
        await asyncio.sleep(2)
        assert counters(ada)["store_errors"] >= 2
        store.failing = set()
        stage.peer("dora").say("2")
        await asyncio.sleep(2)
    stage.cut("ada")
    async with stage.chat("ada", store=path) as ada:
        ada.channel(C).timeline.watch()
        await asyncio.sleep(1)

        assert shown(ada) == ["0", "1", "2"]


async def test_a_write_that_closing_cut_short_is_made_at_the_end(stage: Stage, path: Path) -> None:
    """What was being written when the client was closed is not lost behind its mark (D17, I12)."""
    chat = stage.chat("ada", store=path)
    store = odd_store(chat)
    async with chat as ada:
        await ready(ada)
        store.gate = asyncio.Event()
        stage.peer("cleo").say("0", "1")
        await asyncio.sleep(2)
        gate, store.gate = store.gate, None
    stage.cut("ada")
    async with stage.chat("ada", store=path) as ada:
        ada.channel(C).timeline.watch()
        await asyncio.sleep(1)

        assert shown(ada) == ["0", "1"]
        assert not gate.is_set()


async def test_a_store_that_cannot_be_read_is_an_empty_one(stage: Stage) -> None:
    """The channel opens as if it had never been seen here, and the failure is counted."""
    chat = stage.chat("ada")
    odd_store(chat).failing = {"marks"}
    stage.peer("cleo").say("0")
    async with chat as ada:
        await ready(ada)

        assert shown(ada) == ["0"]
        assert counters(ada)["store_errors"] == 1


@pytest.mark.parametrize("like", PROFILES)
async def test_whatever_a_store_raises_the_channel_goes_on(clock: VirtualClock, like: Like) -> None:
    """An exception that is none of ours stops neither the channel nor the end of the client (I12, I13)."""
    stage = Stage(clock, like=like)
    chat = stage.chat("ada")
    store = odd_store(chat)
    store.failing, store.error = {"marks", "cached", "applied", "seen"}, OSError("no such device")
    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        stage.peer("cleo").say("0")
        assert texts(await later(stream, 0.1)) == ["0"]
        await asyncio.sleep(5)
        stage.peer("dora").say("1")

        assert texts(await later(stream, 0.1)) == ["1"]
        assert counters(ada)["store_errors"] >= 3
        assert not ada._setup.context.defects
        report = await ada.aclose()
    assert report.clean


async def test_a_store_that_hangs_holds_up_no_closing(stage: Stage) -> None:
    """What did not end is named, and what comes after it ends all the same (I12)."""
    chat = stage.chat("ada")
    store = odd_store(chat)
    async with chat as ada:
        await ready(ada)
        store.gate = asyncio.Event()
        stage.peer("cleo").say("0")
        await asyncio.sleep(1)
        report = await ada.aclose(drain=0)
    assert report.left == ("channels",)


async def test_what_the_store_no_longer_keeps_is_older(stage: Stage, path: Path) -> None:
    """A channel that was read whole is kept in part: what was left out is promised as older (D19)."""
    stage.peer("cleo").say(*numbers(0, 60))
    for life in range(2):
        async with stage.chat("ada", store=path) as ada:
            channel = ada.channel(C, keep=20)
            await channel.attach(timeout=5)
            await asyncio.sleep(3)
            assert channel.timeline.view.has_older
            assert await channel.timeline.load_older(50) == 40
            assert len(channel.timeline.view.messages) == 60
            await asyncio.sleep(2 * life + 2)


async def test_a_store_that_cannot_say_what_was_seen_loses_no_message(clock: VirtualClock) -> None:
    """Without a log a repeat is told again rather than a message never (D20)."""
    stage = Stage(clock, like="pusher")
    chat = stage.chat("ada")
    odd_store(chat).failing = {"seen"}
    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        stage.peer("cleo").say("0")

        assert texts(await later(stream, 1)) == ["0"]
        assert counters(ada)["store_errors"] == 1


async def test_a_store_is_asked_once_about_what_came_together(clock: VirtualClock) -> None:
    """Without a log what is dealt with in one go costs one question, and what was folded lately none (D20)."""
    stage = Stage(clock, like="pusher")
    chat = stage.chat("ada")
    store = odd_store(chat)
    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        with stage.captured() as frames:
            stage.peer("cleo").say(*numbers(0, 10))
        stage.deliver(*frames)
        assert texts(await later(stream, 1)) == numbers(0, 10)
        stage.deliver(*frames)
        await asyncio.sleep(1)

        assert store.asked == [10]


async def test_no_mark_is_written_that_no_log_stands_behind(stage: Stage) -> None:
    """Before the log has said who it is a mark would be a place in nobody's log (D18)."""
    chat = stage.chat("ada")
    store, log = odd_store(chat), odd_log(chat)
    log.error = Down("silent")
    async with chat as ada:
        ada.channel(C).events()
        await ada.channel(C).send("mine")
        await asyncio.sleep(5)
        assert {mark for _, mark, _, _ in store.writes} == {None}
        log.error = None
        stage.peer("cleo").say("0")
        await asyncio.sleep(5)

        assert store.writes[-1][1] is not None
        assert store.writes[-1][1].holes == ()


async def test_the_kept_range_begins_where_the_window_does(stage: Stage) -> None:
    """Below it the store's copy may be stale, which the mark says (D17)."""
    chat = stage.chat("ada")
    store = odd_store(chat)
    stage.peer("cleo").say(*numbers(0, 60))
    async with chat as ada:
        await ready(ada)
        first = ada.channel(C).timeline.view.messages[0]
        _, mark, folded, _ = store.writes[-1]

        assert mark.holes == ((BOTTOM, first.key),)
        assert len(folded) == 50


async def test_replies_count_with_their_root_in_the_next_life(stage: Stage, path: Path) -> None:
    """The count of a thread is kept with its root, which itself did not change (D24)."""
    peer = stage.peer("cleo")
    async with stage.chat("ada", store=path) as ada:
        await ready(ada)
        (root,) = peer.say("root")
        await asyncio.sleep(2)
        peer.say("reply", thread={"id": root.id, "user": root.user})
        await asyncio.sleep(2)
    stage.cut("ada")
    async with stage.chat("ada", store=path) as ada:
        ada.channel(C).timeline.watch()
        await asyncio.sleep(1)

        assert [(m.text, m.replies) for m in ada.channel(C).timeline.view.messages] == [("root", 1)]


async def test_my_echo_of_an_earlier_life_is_not_told_again(clock: VirtualClock, path: Path) -> None:
    """Sent, echoed, in doubt when the process died: a second attempt tells nothing new (D20)."""
    stage = Stage(clock, like="pusher")
    stage.hub.network.lose_ack("ada", 100)
    with stage.captured() as frames:
        chat = stage.chat("ada", store=path)
        store = odd_store(chat)
        async with chat as ada:
            stream = ada.channel(C).events(chatkit.MessageCreated)
            await ready(ada)
            await ada.channel(C).send("mine")
            await asyncio.sleep(1)
            echo = stage.hub._held[-1][1]  # type: ignore[index]  # held just now
            settled = store._store.settle

            async def nothing(_: Any) -> None:
                """The process dies before it is written that the message was sent."""

            store.settle = nothing  # type: ignore[attr-defined]  # in place of the store's own
            engine(ada).signal(echo)
            assert texts(await later(stream, 1)) == ["mine"]
            assert settled is not None
            await ada.aclose(drain=0)
    stage.hub.network.link("ada")._acks_to_lose = 0
    async with stage.chat("ada", store=path) as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        await asyncio.sleep(60)

        assert texts(await taken(stream)) == []
        assert shown(ada) == ["mine"]
        assert ada.outbox.depth == 0
        assert frames is not None
