"""Receipts in the engine: how seldom they go out, what is believed, and what breaks (D25, D2, D18)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit.engine.receipts import Mode
from chatkit.errors import NotAllowed, StoreError
from chatkit.model.envelope import Envelope
from chatkit.model.order import OrderKey
from chatkit.model.registers import READ, UNREAD, Register
from chatkit.model.views import Unread
from chatkit.ports import Present, Roster
from chatkit.testing.clock import settle
from tests.engine.kit import C, Down, Stage, counters, engine, frame, odd_log, ready, taken

if TYPE_CHECKING:
    from pathlib import Path

ID = "018f6c1e-0000-7000-8000-000000000001"


def room(chat: chatkit.Chat, mode: Mode = "read") -> chatkit.Receipts:
    """Return a client's receipts."""
    return chat.channel(C, receipts=mode).receipts


def messages(chat: chatkit.Chat) -> list[chatkit.Message]:
    """Return what a client shows."""
    return list(chat.channel(C).timeline.view.messages)


@contextmanager
def heard(stage: Stage) -> Iterator[list[tuple[float, Envelope]]]:
    """Collect what sessions emit, with its time."""
    found: list[tuple[float, Envelope]] = []
    hub: Any = stage.hub
    emit = hub.emit

    def note(peer: Any, channel: str, data: bytes) -> None:
        found.append((stage.clock.monotonic(), Envelope.parse(data)))
        emit(peer, channel, data)

    hub.emit = note
    try:
        yield found
    finally:
        hub.emit = emit


def put(stage: Stage, *registers: Register) -> None:
    """Have the hub's log hold registers."""
    stage.hub.log.core.put(registers)


def mark(user: str, place: int, id: str = ID) -> Register:
    """Return a mark in the hub's log."""
    return Register(C, user, READ, id, "greatest", OrderKey(1, f"{place:020d}"))


def said(stage: Stage, user: str, place: int, kind: str = "state.read", **fields: Any) -> Any:
    """Return the frame of a mark that somebody announces."""
    body = {"type": "mark", "id": ID, "epoch": 1, "serial": f"{place:020d}", "log": stage.hub.log.core.log_id}
    envelope = stage.peer(user, "device9").envelope(kind, body={**body, **fields})
    return frame(envelope, user=user)


def attested(received: Any) -> Any:
    """Return a frame whose sender the provider vouches for."""
    return received._replace(attested="provider")


async def test_a_user_is_announced_every_two_seconds_at_most(stage: Stage) -> None:
    """D25: coalesced to the newest; what is read meanwhile goes out in one envelope."""
    async with stage.chat("ada") as ada:
        await ready(ada)
        stage.peer("cleo").say(*(f"m{n}" for n in range(50)))
        await asyncio.sleep(1)
        with heard(stage) as found:
            for message in messages(ada):
                await room(ada).mark_read(message)
                await asyncio.sleep(0.1)
            await asyncio.sleep(10)

        times = [at for at, _ in found]
        assert all(later - at >= 2 for at, later in pairwise(times))
        assert 3 <= len(found) <= 4
        assert found[-1][1].kind == "state.read"
        assert (found[-1][1].body or {})["id"] == messages(ada)[-1].message_id
        assert stage.hub.log.core.registers(C, [READ])[0].value == messages(ada)[-1].message_id


async def test_in_a_crowd_nothing_is_announced(stage: Stage) -> None:
    """D25: above 20 users with a mark the log is asked instead, then by whoever wants to know."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await ready(ada, bob)
        stage.peer("cleo").say("one", "two")
        await asyncio.sleep(1)
        put(stage, *(mark(f"user{n:02}", 1) for n in range(20)))
        first = messages(ada)[0]
        await asyncio.sleep(30)
        assert room(ada).read_by(first) == frozenset()
        await asyncio.sleep(1)
        assert len(room(ada).read_by(first)) == 20
        with heard(stage) as found:
            await room(ada).mark_read(first)
            await asyncio.sleep(5)
            assert len(found) == 0
        put(stage, mark("user20", 1))
        _ = room(ada).read_by(first)
        await asyncio.sleep(3)
        assert len(room(ada).read_by(first)) == 22
        _ = room(bob).read_by(first)
        await asyncio.sleep(35)
        assert room(bob).read_by(first) >= {"ada"}


async def test_a_crowd_is_also_who_is_there(stage: Stage) -> None:
    """D25: the roster counts before anybody has read anything."""
    async with stage.chat("ada") as ada:
        await ready(ada)
        stage.peer("cleo").say("one")
        stage.hub.inject(C, Roster(C, tuple(Present(f"u{n}", "c", {}) for n in range(21))))
        await asyncio.sleep(1)
        with heard(stage) as found:
            await room(ada).mark_read()
            await asyncio.sleep(5)
        assert found == []
        assert [mark.user for mark in stage.hub.log.core.registers(C, [READ])] == ["ada"]


async def test_in_a_crowd_without_a_log_marks_stay_here(clock: Any) -> None:
    """Nobody could be asked; the user's own count is right all the same."""
    stage = Stage(clock, "pusher")
    async with stage.chat("ada") as ada:
        await ready(ada)
        stage.peer("cleo").say("one")
        for n in range(21):
            stage.deliver(attested(said(stage, f"user{n:02}", 0, serial="0", log=None)))
        await asyncio.sleep(1)
        events = ada.channel(C).events(chatkit.ReceiptAdvanced)
        with heard(stage) as found:
            await room(ada).mark_read()
            await asyncio.sleep(3)
        assert found == []
        assert [event.own for event in await taken(events)] == [True]
        assert room(ada).unread == Unread(messages=0, mentions=0, exact=False)


async def test_a_mark_is_believed_of_its_attested_sender_alone(stage: Stage) -> None:
    """D2: what nobody vouches for moves no mark; where there is a log it only prompts a look there."""
    async with stage.chat("ada") as ada:
        await ready(ada)
        stage.peer("cleo").say("one", "two", "three")
        await asyncio.sleep(1)
        first, second, _ = messages(ada)
        stage.deliver(said(stage, "bob", 2), said(stage, "ada", 3))
        await asyncio.sleep(5)
        assert room(ada).read_by(first) == frozenset()
        assert room(ada).unread.messages == 3
        forged = attested(said(stage, "bob", 2))._replace(user="mallory")
        stage.deliver(forged)
        await asyncio.sleep(5)
        assert counters(ada)["foreign:forged_sender"] == 1
        assert room(ada).read_by(first) == frozenset()
        stage.deliver(attested(said(stage, "bob", 2)))
        await settle()
        assert room(ada).read_by(second) == {"bob"}
        put(stage, mark("dan", 1))
        stage.deliver(said(stage, "dan", 1))
        await asyncio.sleep(5)
        assert room(ada).read_by(first) == {"bob", "dan"}


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "pin"},
        {"id": "no id"},
        {"id": 7},
        {"epoch": "1"},
        {"epoch": True},
        {"epoch": -1},
        {"serial": None},
        {"serial": "9" * 600},
        {"log": 7},
    ],
)
async def test_a_mark_that_is_none_is_refused_and_counted(stage: Stage, fields: dict[str, Any]) -> None:
    """Nothing that a stranger writes raises into the receive path (I10)."""
    async with stage.chat("ada") as ada:
        await ready(ada)
        stage.peer("cleo").say("one")
        stage.deliver(attested(said(stage, "bob", 1, **fields)))
        await asyncio.sleep(1)

        assert counters(ada)["refused_mark"] == 1
        assert room(ada).read_by(messages(ada)[0]) == frozenset()
        assert ada.health().checks["defects"] == []


async def test_marks_of_another_log_only_prompt_a_look(stage: Stage) -> None:
    """D18: a place means nothing beside the numbers of another log."""
    async with stage.chat("ada") as ada:
        await ready(ada)
        stage.peer("cleo").say("one")
        stage.deliver(attested(said(stage, "bob", 1, log="another")))
        await asyncio.sleep(3)
        assert room(ada).read_by(messages(ada)[0]) == frozenset()


async def test_what_nobody_vouches_for_is_counted_without_a_log(clock: Any) -> None:
    """There is nobody to ask."""
    stage = Stage(clock, "pusher")
    async with stage.chat("ada") as ada:
        await ready(ada)
        stage.deliver(said(stage, "bob", 1, log=None))
        await asyncio.sleep(1)
        assert counters(ada)["unattested_mark"] == 1


async def test_marks_are_not_heard_where_receipts_are_off(stage: Stage) -> None:
    """Neither told nor kept."""
    async with stage.chat("ada") as ada:
        receipts = room(ada, "off")
        await ada.channel(C, receipts="off").attach(timeout=5)
        stage.peer("cleo").say("one")
        stage.deliver(attested(said(stage, "bob", 1)))
        await asyncio.sleep(3)
        view = ada.channel(C, receipts="off").timeline.view
        assert receipts.read_by(view.messages[0]) == frozenset()
        assert engine(ada).receipts.marks.users == 0


async def test_a_log_that_does_not_answer_gets_the_marks_later(stage: Stage) -> None:
    """D25: a mark is safe in the store; it goes out when it can, and nothing breaks meanwhile."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        await ready(ada)
        stage.peer("cleo").say("one")
        await asyncio.sleep(1)
        log.error = Down("down")
        await room(ada).mark_read()
        assert (await ada.unread())[C].messages == 0
        await asyncio.sleep(60)
        assert stage.hub.log.core.registers(C, [READ]) == ()
        log.error = None
        await asyncio.sleep(60)
        assert [cell.user for cell in stage.hub.log.core.registers(C, [READ])] == ["ada"]
        assert ada.health().checks["defects"] == []


async def test_a_log_that_refuses_a_mark_is_not_asked_again(stage: Stage) -> None:
    """Repeating does not help: counted, and the mark stays on this device."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        await ready(ada)
        stage.peer("cleo").say("one")
        await asyncio.sleep(1)

        def refuse() -> None:
            raise NotAllowed("not here")

        log.on["put"] = refuse
        await room(ada).mark_read()
        await asyncio.sleep(60)
        assert (log.count("put"), counters(ada)["refused_mark"]) == (1, 1)
        assert room(ada).unread.messages == 0


async def test_closing_lets_the_last_mark_out(stage: Stage) -> None:
    """With a log at once; without one in its turn, within `drain`."""
    async with stage.chat("ada") as ada:
        await ready(ada)
        stage.peer("cleo").say("one", "two")
        await asyncio.sleep(1)
        one, two = messages(ada)
        await room(ada).mark_read(one)
        await asyncio.sleep(0.5)
        await room(ada).mark_read(two)
    assert stage.hub.log.core.registers(C, [READ])[0].value == two.message_id


async def test_closing_without_a_log_waits_for_its_turn(clock: Any) -> None:
    """Two seconds apart, as ever."""
    stage = Stage(clock, "pusher")
    with heard(stage) as found:
        async with stage.chat("ada") as ada:
            await ready(ada)
            stage.peer("cleo").say("one", "two")
            await asyncio.sleep(1)
            one, two = messages(ada)
            await room(ada).mark_read(one)
            await asyncio.sleep(0.5)
            await room(ada).mark_read(two)
        assert [(envelope.body or {})["id"] for _, envelope in found] == [one.message_id, two.message_id]
        assert found[1][0] - found[0][0] >= 2


async def test_closing_does_not_wait_for_a_log_that_is_down(stage: Stage) -> None:
    """The mark is in the store (I12)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        await ready(ada)
        stage.peer("cleo").say("one")
        await asyncio.sleep(1)
        log.error = Down("down")
        await room(ada).mark_read()
        began = stage.clock.monotonic()
    assert stage.clock.monotonic() - began <= 6


async def test_what_the_store_cannot_keep_is_told_and_counted(stage: Stage, monkeypatch: Any) -> None:
    """A verb raises and changes nothing; what others said is written later."""
    async with stage.chat("ada") as ada:
        await ready(ada)
        stage.peer("cleo").say("one")
        await asyncio.sleep(1)
        store = ada._setup.context.store
        real = store.put

        async def fail(*_: Any) -> None:
            raise StoreError("the disk is full")

        monkeypatch.setattr(store, "put", fail)
        with pytest.raises(StoreError):
            await room(ada).mark_read()
        assert room(ada).unread.messages == 1
        stage.deliver(attested(said(stage, "bob", 1)))
        await asyncio.sleep(5)
        assert counters(ada)["store_errors"] >= 1
        monkeypatch.setattr(store, "put", real)
        await asyncio.sleep(5)
        assert [cell.user for cell in await store.registers(C)] == ["bob"]


async def test_a_store_that_cannot_say_leaves_nothing_read(stage: Stage, monkeypatch: Any) -> None:
    """The channel goes on."""
    async with stage.chat("ada") as ada:

        async def fail(*_: Any) -> Any:
            raise StoreError("the file is broken")

        monkeypatch.setattr(ada._setup.context.store, "registers", fail)
        await ready(ada)
        assert room(ada).unread == Unread(messages=0, mentions=0, exact=True)
        assert counters(ada)["store_errors"] == 1


async def test_marks_of_another_log_count_for_nothing(clock: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """D18: what was read in a log that is gone says nothing of the one that stands there now."""
    store = str(tmp_path / "ada.db")
    stage = Stage(clock)
    async with stage.chat("ada", store=store) as ada:
        await ready(ada)
        stage.peer("cleo").say("one", "two", "three")
        await asyncio.sleep(1)
        await room(ada).mark_read()
        await asyncio.sleep(3)
        old = messages(ada)[-1]
        monkeypatch.setattr(stage.hub.log.core, "log_id", "another")
        stage.peer("dan").say("four")
        await asyncio.sleep(60)
        assert counters(ada)["other_log"] >= 0
        assert room(ada).unread.messages == 4
        await room(ada).mark_read(old.message_id)
    async with stage.chat("ada", store=store) as ada:
        await ready(ada)
        assert room(ada).unread == Unread(
            messages=1, mentions=0, exact=True, first=messages(ada)[-1].message_id
        )


async def test_orphaned_messages_cannot_be_marked(stage: Stage) -> None:
    """D18: their place says nothing beside the present log's."""
    async with stage.chat("ada") as ada:
        await ready(ada)
        stage.peer("cleo").say("one")
        await asyncio.sleep(1)
        (old,) = messages(ada)
        book = engine(ada).receipts
        book.settle("another")
        await room(ada).mark_read(old)
        await room(ada).mark_unread(old)
        assert room(ada).read_by(old) == frozenset()
        assert book.marks.of("ada") == ()


async def test_a_mark_made_while_the_log_was_replaced_counts_for_nothing(
    stage: Stage, monkeypatch: Any
) -> None:
    """D18: its place is of the numbers before."""
    async with stage.chat("ada") as ada:
        await ready(ada)
        stage.peer("cleo").say("one")
        await asyncio.sleep(1)
        book, store = engine(ada).receipts, ada._setup.context.store
        real = store.put

        async def slow(registers: Any) -> None:
            await real(registers)
            book.settle("another")

        with monkeypatch.context() as patched:
            patched.setattr(store, "put", slow)
            await room(ada).mark_read()
        assert book.marks.of("ada") == ()


async def test_what_was_trimmed_makes_the_count_a_lower_bound(stage: Stage) -> None:
    """The floor lies above the mark: `exact=False`, as the log says it (D25, D26)."""
    async with stage.chat("bob") as bob:
        await bob.connection.wait(timeout=5)
        stage.peer("cleo").say(*(f"m{n}" for n in range(6)))
        _ = stage.hub.log.core.trim(C, OrderKey(1, f"{4:020d}"))
        await ready(bob)
        _ = room(bob).unread
        await asyncio.sleep(5)
        assert (room(bob).unread.messages, room(bob).unread.exact) == (3, False)
        await room(bob).mark_read(messages(bob)[0])
        await asyncio.sleep(5)
        assert (room(bob).unread.messages, room(bob).unread.exact) == (2, True)


async def test_a_hole_makes_the_count_the_logs(stage: Stage) -> None:
    """D19: what was skipped after a long absence is counted, not read."""
    async with stage.chat("ada", staleness=5) as ada:
        await ready(ada)
        cleo = stage.peer("cleo")
        cleo.say("first")
        await asyncio.sleep(1)
        await room(ada).mark_read()
        stage.cut("ada")
        await asyncio.sleep(1)
        cleo.say(*(f"m{n}" for n in range(2_100)))
        stage.heal("ada")
        await asyncio.sleep(60)
        view = ada.channel(C).timeline.view
        assert len(view.gaps) > 0
        _ = room(ada).unread
        await asyncio.sleep(5)
        assert (room(ada).unread.messages, room(ada).unread.exact) == (2_100, True)


async def test_who_watches_learns_of_marks_whose_word_was_lost(stage: Stage) -> None:
    """An announcement may get lost: while somebody watches, the log is read every `staleness`."""
    async with stage.chat("ada", staleness=10) as ada:
        await ready(ada)
        stage.peer("cleo").say("one")
        await asyncio.sleep(1)
        events = ada.channel(C).events(chatkit.ReceiptAdvanced)
        views = room(ada).watch()
        assert (await views.next(timeout=1)).messages == 1
        put(stage, mark("bob", 1))
        await asyncio.sleep(20)
        assert [(event.user, event.own) for event in await taken(events)] == [("bob", False)]
        put(stage, mark("ada", 1))
        assert (await views.next(timeout=60)).messages >= 0
        await asyncio.sleep(15)
        assert room(ada).unread.messages == 0


async def test_what_is_private_to_others_is_not_taken(stage: Stage) -> None:
    """A trusted client may see the private registers of all: it takes those of its own users alone."""
    async with stage.chat("shop") as shop:
        await ready(shop)
        stage.peer("cleo").say("one")
        put(stage, Register(C, "bob", UNREAD, f"1:{1:020d}", "newest", OrderKey(1, "0")))
        await asyncio.sleep(1)
        _ = room(shop).read_by(messages(shop)[0])
        await asyncio.sleep(35)
        assert engine(shop).receipts.marks.get("bob", UNREAD) is None


async def test_registers_without_a_place_say_nothing(stage: Stage) -> None:
    """A log may hold what another program put there."""
    put(stage, Register(C, "bob", READ, "x", "greatest", None))
    async with stage.chat("ada") as ada:
        await ready(ada)
        stage.peer("cleo").say("one")
        await asyncio.sleep(1)
        assert room(ada).read_by(messages(ada)[0]) == frozenset()
        assert engine(ada).receipts.marks.users == 0


async def test_first_unread_without_the_log_is_the_first_one_loaded(stage: Stage) -> None:
    """With the log down, what is shown already stays; where it must be asked, the caller is told."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        await ready(ada)
        stage.peer("cleo").say("one")
        await asyncio.sleep(1)
        log.error = Down("down")
        await ada.channel(C).timeline.jump("first_unread")
        assert len(messages(ada)) == 1
        log.error = None
        log.edit = lambda name, answer: (
            {C: Unread(messages=0, mentions=0, exact=True)} if name == "unread" else answer
        )
        engine(ada).progress.add_hole(OrderKey(1, ""), OrderKey(1, "9"))
        await ada.channel(C).timeline.jump("first_unread")
        assert len(messages(ada)) == 1


async def test_receipts_of_a_closed_client_do_nothing(stage: Stage) -> None:
    """No task begins any more (I12)."""
    async with stage.chat("ada") as ada:
        await ready(ada)
        receipts = room(ada)
        stream = receipts.watch()
    assert [view.messages async for view in stream] == [0]
    assert receipts.unread.messages == 0
    engine(ada).marks.connected()


async def test_closing_gives_up_on_a_log_that_does_not_answer(stage: Stage) -> None:
    """In time, and without an error: the mark is in the store."""
    chat = stage.chat("ada", drain=120)
    log = odd_log(chat)
    async with chat as ada:
        await ready(ada)
        stage.peer("cleo").say("one")
        await asyncio.sleep(1)
        log.error = Down("down")
        await room(ada).mark_read()
        began = stage.clock.monotonic()
    assert stage.clock.monotonic() - began < 120
    assert ada.report is not None
    assert ada.report.clean


async def test_who_received_more_than_they_read_says_both(clock: Any) -> None:
    """One envelope at a time: first what was read, then what has arrived beyond it."""
    stage = Stage(clock, "pusher")
    async with stage.chat("ada") as ada:
        receipts = room(ada, "read+delivered")
        channel = ada.channel(C, receipts="read+delivered")
        await channel.attach(timeout=5)
        with heard(stage) as found:
            cleo = stage.peer("cleo")
            cleo.say("one")
            await asyncio.sleep(0.1)
            cleo.say("two", "three")
            await asyncio.sleep(0.1)
            await receipts.mark_read(channel.timeline.view.messages[1])
            await asyncio.sleep(10)
            cleo.react(channel.timeline.view.messages[0].ident)
            await asyncio.sleep(10)

        ids = [message.message_id for message in channel.timeline.view.messages]
        assert [(one.kind, (one.body or {})["id"]) for _, one in found] == [
            ("state.delivered", ids[0]),
            ("state.read", ids[1]),
            ("state.delivered", ids[2]),
        ]


async def test_a_word_that_cannot_be_written_is_written_later(clock: Any, monkeypatch: Any) -> None:
    """The connection may be gone before anybody noticed."""
    stage = Stage(clock, "pusher")
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await ready(ada, bob)
        stage.peer("cleo").say("one")
        await asyncio.sleep(1)
        sender = engine(ada).marks._sender
        real, sent = sender._emit, [False]

        async def emit(channel: str, data: bytes) -> bool:
            return bool(sent.pop()) if sent else await real(channel, data)

        monkeypatch.setattr(sender, "_emit", emit)
        await room(ada).mark_read()
        await asyncio.sleep(5)
        assert room(bob).read_by(messages(bob)[0]) == {"ada"}


async def test_marks_in_the_store_go_out_in_the_next_life(clock: Any, tmp_path: Path) -> None:
    """Of as_user users too, when they come; other registers of the store are none of this one's business."""
    store = str(tmp_path / "shop.db")
    stage = Stage(clock)
    stage.peer("cleo").say("one")
    async with stage.chat("shop", store=store) as shop:
        bob = shop.as_user("bob")
        await ready(shop)
        await shop._setup.context.store.put([Register(C, "shop", "mute", "1", "newest", None)])
        stage.hub.network.cut("shop")
        await asyncio.sleep(1)
        await room(bob).mark_read(messages(shop)[0])
    assert stage.hub.log.core.registers(C, [READ]) == ()
    stage.hub.network.heal("shop")
    async with stage.chat("shop", store=store) as shop:
        await ready(shop)
        assert room(shop.as_user("bob")).unread.messages == 0
        await asyncio.sleep(5)
        assert [cell.user for cell in stage.hub.log.core.registers(C, [READ])] == ["bob"]


async def test_marks_are_said_again_when_live_begins_without_a_log(clock: Any, tmp_path: Path) -> None:
    """Nobody remembers them for those who were away; who has receipts off says nothing."""
    stage = Stage(clock, "pusher")
    store = str(tmp_path / "ada.db")
    async with stage.chat("ada", store=store) as ada, stage.chat("bob") as bob:
        await ready(ada, bob)
        stage.peer("cleo").say("one")
        await asyncio.sleep(1)
        await bob.channel(C).detach()
        await room(ada).mark_read()
        await asyncio.sleep(5)
        await bob.channel(C).attach(timeout=5)
        assert room(bob).read_by(messages(bob)[0]) == frozenset()
        await ada.channel(C).detach()
        await ready(ada)
        assert room(bob).read_by(messages(bob)[0]) == {"ada"}
        engine(ada).marks.joined("ada")
    with heard(stage) as found:
        async with stage.chat("ada", store=store) as ada:
            room(ada, "off")
            await ada.channel(C, receipts="off").attach(timeout=5)
            await asyncio.sleep(5)
    assert found == []


async def test_a_message_of_the_log_is_marked_without_attaching(stage: Stage) -> None:
    """Its place says whose numbers count; the log is told, which tells it to the user's other devices."""
    async with stage.chat("ada") as ada:
        stage.peer("cleo").say("one", "two")
        page = await ada.channel(C).history()
        await room(ada).mark_read(page.items[-1])
        await asyncio.sleep(5)
        assert [cell.value for cell in stage.hub.log.core.registers(C, [READ])] == [page.items[-1].message_id]
        assert (await ada.unread())[C].messages == 1


async def test_a_log_that_cannot_count_leaves_a_lower_bound(stage: Stage) -> None:
    """`chat.unread()` answers all the same."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        stage.peer("cleo").say(*(f"m{n}" for n in range(60)))
        await ready(ada)

        def refuse() -> None:
            raise NotAllowed("not here")

        log.on["unread"] = refuse
        assert await ada.unread() == {
            C: Unread(messages=50, mentions=0, exact=False, first=messages(ada)[0].message_id)
        }
        await asyncio.sleep(60)
        assert ada.health().checks["defects"] == []


async def test_a_write_that_is_cut_is_written_again(stage: Stage, monkeypatch: Any) -> None:
    """Nobody knows whether it happened."""
    async with stage.chat("ada") as ada:
        await ready(ada)
        marks, book = engine(ada).marks, engine(ada).receipts
        room(ada)
        assert book.take(mark("bob", 1), tell=False)

        async def cut(*_: Any) -> None:
            raise asyncio.CancelledError

        with monkeypatch.context() as patched:
            patched.setattr(ada._setup.context.store, "put", cut)
            with pytest.raises(asyncio.CancelledError):
                await marks.save()
        assert [user for user, _ in book.unsaved] == ["bob"]


async def test_nothing_is_counted_where_nobody_can_be_asked(stage: Stage) -> None:
    """The connection may go between a wish to count and the question."""
    async with stage.chat("ada") as ada:
        await ready(ada)
        room(ada)
        stage.hub.network.cut("ada")
        await asyncio.sleep(1)
        assert await engine(ada).marks.countable("ada") is None
        await engine(ada).marks._count("ada")
        assert not engine(ada).receipts.asked("ada")


async def test_marking_unread_wins_over_a_device_whose_clock_is_ahead(stage: Stage) -> None:
    """The later call stands, whatever the clocks of the user's devices say (D4, D25)."""
    async with stage.chat("ada") as ada:
        stage.peer("cleo").say("one", "two")
        ahead = OrderKey(1, "fff000000000-0000")
        put(stage, Register(C, "ada", UNREAD, f"1:{1:020d}", "newest", ahead))
        await ready(ada)
        assert room(ada).unread.messages == 2
        await room(ada).mark_read()
        assert room(ada).unread == Unread(messages=0, mentions=0, exact=True)
        await room(ada).mark_unread(messages(ada)[1])
        assert room(ada).unread.messages == 1
        await asyncio.sleep(5)
        assert [cell.value for cell in stage.hub.log.core.registers(C, [UNREAD])] == [f"1:{2:020d}"]


async def test_who_watches_is_told_when_the_count_becomes_exact(stage: Stage) -> None:
    """Also where the number stays the same."""
    async with stage.chat("ada") as ada:
        stage.peer("cleo").say(*(f"m{n}" for n in range(60)))
        views = room(ada).watch()
        seen = []
        for _ in range(20):
            view = await views.next(timeout=60)
            seen.append(view)
            if view.exact:
                break
        assert (seen[0].exact, seen[-1].exact, seen[-1].messages) == (False, True, 60)
        stage.peer("dan").react(messages(ada)[0].ident)
        assert (await views.next(timeout=5)).exact is False
        assert (await views.next(timeout=5)).exact is True


@pytest.mark.parametrize("like", ["ably", "pusher"])
async def test_who_watches_sees_the_channel_come_and_go(clock: Any, like: Any) -> None:
    """Without registers no count is ever exact, and none is lost over a resume."""
    stage = Stage(clock, like)
    async with stage.chat("ada") as ada:
        await ready(ada)
        stage.peer("cleo").say("one")
        views = room(ada).watch()
        assert (await views.next(timeout=5)).exact is False
        stage.cut("ada")
        await asyncio.sleep(1)
        stage.heal("ada")
        await asyncio.sleep(10)
        assert await views.next(timeout=5) == Unread(
            messages=1, mentions=0, exact=False, first=messages(ada)[0].message_id
        )
