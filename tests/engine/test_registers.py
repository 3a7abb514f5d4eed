"""Registers of a channel in the engine: what breaks, what is bounded, what is not believed (D25, D18, I10)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit.core.roles import objection_to_role, roles_in
from chatkit.engine.register_wishes import Wish, outcome, pin_name, registers_for, stored
from chatkit.errors import NotAllowed, StoreError
from chatkit.model.names import EVERYONE
from chatkit.model.order import Ident, OrderKey
from chatkit.model.pins import Pinned, pin_text
from chatkit.model.registers import PINS, ROLE, Register
from chatkit.testing.clock import settle
from tests.engine.kit import C, Stage, counters, ready

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chatkit.testing.clock import VirtualClock

ID = "018f6c1e-0000-7000-8000-00000000000"


def role(user: str, value: str) -> Register:
    return Register(C, user, ROLE, value, "newest", None)


def put(stage: Stage, *registers: Register) -> None:
    """Have the hub's log hold registers."""
    stage.hub.log.core.put(registers)


def key(number: int) -> OrderKey:
    return OrderKey(1, f"{number:012x}-0000")


def wish(number: int, user: str, clock: VirtualClock, *, at: int, pinned: bool = True) -> Wish:
    """Return the wish to pin a message."""
    ident = Ident(user, f"{ID}{number}")
    text = pin_text(Pinned(ident, "ada", clock.wall())) if pinned else ""
    return Wish(Register(C, user, pin_name(ident), text, "newest", key(at)), 0)


def only(found: list[Register] | None) -> Register:
    """Return the one register of a plan."""
    assert found is not None
    (one,) = found
    return one


def cells(*registers: Register) -> dict[tuple[str, str], Register]:
    return {(cell.name, cell.user): cell for cell in registers}


# -- pure


async def test_a_pin_goes_where_there_is_room(clock: VirtualClock) -> None:
    """The same message to the same place, above what was cleared there; a pinned one nowhere."""
    one, again = wish(1, "ada", clock, at=5), wish(1, "ada", clock, at=6)
    first = only(registers_for(one, {}))
    second = only(registers_for(again, {}))
    assert first.name == second.name in PINS
    assert first.user == EVERYONE
    assert registers_for(again, cells(first)) == []
    cleared = first._replace(value="", key=key(9))
    over = only(registers_for(one, cells(cleared)))
    assert over.key == key(9 if over.name == first.name else 5)
    full = cells(*(first._replace(name=place) for place in PINS))
    assert registers_for(wish(2, "ada", clock, at=7), full) is None


async def test_an_older_wish_takes_no_newer_pin_away(clock: VirtualClock) -> None:
    """Of what two devices wish the later stands, whichever comes first (D25)."""
    pinned = only(registers_for(wish(1, "ada", clock, at=5), {}))
    older, newer = (wish(1, "ada", clock, at=at, pinned=False) for at in (4, 6))
    assert registers_for(older, cells(pinned)) == []
    assert outcome(older, cells(pinned)) == "discarded"
    cleared = only(registers_for(newer, cells(pinned)))
    assert (cleared.value, cleared.key) == ("", key(6))
    assert outcome(newer, cells(cleared)) == "sent"
    assert outcome(wish(1, "ada", clock, at=7), cells(cleared)) == "queued"


async def test_rules_of_roles() -> None:
    """Owners give and take; one's own may be given up; the last owner stays (D2)."""
    roles = roles_in([role("ada", "owner"), role("bob", "moderator"), role("eve", "x"), role("zoe", "")])
    assert roles == {"ada": "owner", "bob": "moderator"}
    assert objection_to_role(roles, "ada", "bob", None) is None
    assert objection_to_role(roles, "bob", "bob", None) is None
    assert objection_to_role(roles, "bob", "bob", "owner") == "only an owner gives roles"
    assert objection_to_role(roles, "bob", "ada", None) == "only an owner gives roles"
    assert objection_to_role(roles, "ada", "ada", "member") == "the last owner of a channel stays its owner"
    assert objection_to_role({**roles, "eve": "owner"}, "ada", "ada", "member") is None


# -- what breaks


async def test_a_store_that_fails_costs_what_it_holds_alone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is known before the log was asked, nothing kept: counted, and written again later (D25)."""
    put(stage, role("ada", "owner"))
    async with stage.chat("ada") as chat:
        store = chat.engine.context.store

        async def fail(*_: Any) -> None:
            raise StoreError("the disk is full")

        with monkeypatch.context() as patch:
            for name in ("registers", "put"):
                patch.setattr(store, name, fail)
            assert await chat.channel(C).roles() == {"ada": "owner"}
            with pytest.raises(StoreError):
                await chat.channel(C).grant("bob", "member")
            await asyncio.sleep(10)
            assert counters(chat)["store_errors"] >= 3
        await asyncio.sleep(10)
        held = await store.registers(C)
        assert [cell.value for cell in held if cell.name.startswith("role ")] == ["owner"]


async def test_a_write_that_is_cancelled_is_made_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows whether it happened (D14)."""
    put(stage, role("ada", "owner"))
    async with stage.chat("ada") as chat:
        book, store = engine_of(chat).registers.book, chat.engine.context.store
        await chat.channel(C).roles()

        async def hang(_: object) -> None:
            await asyncio.sleep(60)

        with monkeypatch.context() as patch:
            patch.setattr(store, "put", hang)
            saving = asyncio.ensure_future(book.save())
            await settle()
            saving.cancel()
            await asyncio.wait({saving})
        assert book.dirty
        await book.save()
        assert not book.dirty


async def test_a_batch_that_is_refused_is_put_one_by_one(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One bad wish fails alone (D9)."""
    put(stage, role("ada", "owner"))
    core = stage.hub.log.core
    real = core.put

    def refuse(registers: Sequence[Register]) -> None:
        if any(cell.user == "bob" for cell in registers):
            raise NotAllowed("not him")
        real(registers)

    monkeypatch.setattr(core, "put", refuse)
    async with stage.chat("ada") as chat:
        room = chat.channel(C)
        await room.roles()
        stage.cut("ada")
        await settle()
        good, bad, later = [await room.grant(user, "member") for user in ("zoe", "bob", "eve")]
        stage.heal("ada")
        await good.wait(timeout=60)
        await later.wait(timeout=60)
        with pytest.raises(NotAllowed):
            await bad.wait(timeout=60)
        assert (await room.roles()).keys() == {"ada", "zoe", "eve"}


async def test_a_place_that_others_take_each_time_is_given_up(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log that never keeps a pin does not keep the client busy for ever (I10)."""
    core = stage.hub.log.core
    real, puts = core.put, list[object]()

    def swallow(registers: Sequence[Register]) -> None:
        puts.append(registers)
        real([cell for cell in registers if cell.name not in PINS])

    monkeypatch.setattr(core, "put", swallow)
    async with stage.chat("ada") as chat:
        room = chat.channel(C)
        message = await (await room.send("one")).wait(timeout=10)
        with pytest.raises(chatkit.StateError, match="pinned"):
            await (await room.pin(message)).wait(timeout=60)
        assert len(puts) == 5
        assert await room.pins() == ()


async def test_a_log_that_breaks_is_asked_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it raises: the wish waits, and nothing of the client ends (I11)."""
    put(stage, role("ada", "owner"))

    async def defect(*_: object, **__: object) -> None:
        raise ValueError("a defect")

    async with stage.chat("ada") as chat:
        room, log = chat.channel(C), chat.engine.context.log
        await room.roles()
        with monkeypatch.context() as patch:
            patch.setattr(log, "registers", defect)
            change = await room.grant("bob", "member")
            await asyncio.sleep(20)
            assert change.status == "queued"
        await change.wait(timeout=120)
        with monkeypatch.context() as patch:
            patch.setattr(log, "registers", defect)
            late = await room.grant("eve", "member")
            report = await chat.aclose()
        assert report.clean
        assert late.status == "queued"


async def test_what_waits_is_put_before_the_end(stage: Stage) -> None:
    """Closing drains changes as it drains the outbox (I12); what cannot be said is not waited for."""
    put(stage, role("ada", "owner"))
    async with stage.chat("ada") as chat, stage.chat("bob") as bob:
        await ready(chat, bob)
        await chat.channel(C).roles()
        heard = bob.channel(C).events(chatkit.RoleChanged)
        await asyncio.sleep(3)
        change = await chat.channel(C).grant("bob", "member")
        await chat.aclose()
        assert change.status == "sent"
        assert (await heard.next(timeout=10)).user == "bob"
        assert await bob.channel(C).role() == "member"


async def test_an_announcement_that_was_not_written_is_made_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection died between the log and it: who is attached hears when there is one again (D25)."""
    async with stage.chat("ada") as chat, stage.chat("bob") as bob:
        await ready(chat, bob)
        heard = bob.channel(C).events(chatkit.RoleChanged)
        await asyncio.sleep(3)
        sync = engine_of(chat).registers
        real, answers = sync._emit, [False, False]

        async def emit(channel: str, data: bytes) -> bool:
            return answers.pop() if answers else await real(channel, data)

        monkeypatch.setattr(sync, "_emit", emit)
        await (await chat.channel(C).grant("ada", "owner")).wait(timeout=10)
        assert (await heard.next(timeout=10)).user == "ada"
        assert answers == []


async def test_a_reading_that_is_cancelled_is_made_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waited for it is gone; the next one asks (D25)."""
    put(stage, role("ada", "owner"))
    async with stage.chat("ada") as chat:
        room, log = chat.channel(C), chat.engine.context.log

        async def hang(*_: object, **__: object) -> None:
            await asyncio.sleep(60)

        with monkeypatch.context() as patch:
            patch.setattr(log, "registers", hang)
            assert await room.role() is None  # asked for 2 seconds at most
        await asyncio.sleep(31)
        assert await room.role() == "owner"


async def test_a_put_without_an_answer_is_repeated(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been carried out: the same again changes nothing (D25)."""
    put(stage, role("ada", "owner"))
    async with stage.chat("ada") as chat:
        room, log = chat.channel(C), chat.engine.context.log
        await room.roles()
        await (await room.send("one")).wait(timeout=10)

        async def lost(*_: object) -> None:
            raise chatkit.TransportError("no answer")

        with monkeypatch.context() as patch:
            patch.setattr(log, "put", lost)
            change = await room.grant("bob", "member")
            (message,) = (await room.history()).items
            pin = await room.pin(message)
            assert len(await room.pins()) == 1
            newer = await room.grant("bob", "moderator")
            await asyncio.sleep(20)
            assert (change.status, newer.status, pin.status) == ("discarded", "queued", "queued")
        await newer.wait(timeout=120)
        await pin.wait(timeout=120)


async def test_a_newer_wish_counts_while_an_older_one_is_on_its_way(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was discarded stays so, whatever the log says of it; both come into the log in order (D25)."""
    put(stage, role("ada", "owner"))
    async with stage.chat("ada") as chat:
        room, log = chat.channel(C), chat.engine.context.log
        await room.roles()
        gate, real = asyncio.Event(), log.put  # type: ignore[union-attr]

        async def slow(registers: Sequence[Register]) -> None:
            await gate.wait()
            await real(registers)

        monkeypatch.setattr(log, "put", slow)
        older = await room.grant("bob", "member")
        await asyncio.sleep(1)
        newer = await room.grant("bob", "moderator")
        gate.set()
        await newer.wait(timeout=60)
        assert (older.status, newer.status) == ("discarded", "sent")
        assert await room.roles() == {"ada": "owner", "bob": "moderator"}


async def test_of_two_wishes_in_the_store_the_newer_counts(stage: Stage) -> None:
    """A life that ended between the writing of one and the forgetting of the other (D25)."""
    put(stage, role("ada", "owner"))
    async with stage.chat("ada") as chat:
        wanted = [
            Register(C, "bob", ROLE, value, "newest", key(at)) for value, at in (("member", 9), ("owner", 8))
        ]
        cells = [stored(C, slot, register) for slot, register in enumerate(wanted)]
        await chat.engine.context.store.put(cells)
        assert await chat.channel(C).roles() == {"ada": "owner", "bob": "member"}
        await asyncio.sleep(5)
        held = await chat.engine.context.store.registers(C)
        assert [cell.value for cell in held if cell.name.startswith("wish.")] == ["", ""]


async def test_a_place_that_is_taken_again_is_not_emptied(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forgetting an old wish comes late; the one that lies in its place by then stays (I3)."""
    put(stage, role("ada", "owner"))
    async with stage.chat("ada") as chat:
        room, book = chat.channel(C), engine_of(chat).registers.book
        await room.roles()
        stage.cut("ada")
        await settle()
        older = await room.grant("bob", "member")
        book.end(next(iter(book.wishes.values())), "discarded")
        await room.grant("eve", "member")
        await book.save()
        assert older.status == "discarded"
        held = await chat.engine.context.store.registers(C)
        assert ["eve" in cell.value for cell in held if cell.name.startswith("wish.")] == [True]


async def test_members_beyond_the_bound_are_left_out(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """I10: owners and moderators never are."""
    monkeypatch.setattr("chatkit.engine.registers.MEMBERS", 2)
    put(stage, *(role(f"u{n}", "member") for n in range(4)), role("zoe", "owner"))
    async with stage.chat("ada") as chat:
        assert await chat.channel(C).roles() == {"u0": "member", "u1": "member", "zoe": "owner"}
        assert counters(chat)["refused_register"] == 2


async def test_answers_of_the_app_are_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """I10: whoever was asked for longest ago is asked for again."""
    monkeypatch.setattr("chatkit.engine.roles.ANSWERS", 2)
    asked: list[str] = []

    async def roles(channel: str, user: str) -> chatkit.Role | None:
        asked.append(user)
        return "member"

    async with stage.chat("ada", roles=roles) as chat:
        for user in ("bob", "eve", "bob", "zoe", "bob", "eve"):
            assert await chat.channel(C).role(user) == "member"
    assert asked == ["bob", "eve", "zoe", "eve"]


async def test_who_listens_has_the_log_read(stage: Stage) -> None:
    """Events by type are enough: nobody has to ask for roles first; announcements may be lost (D25)."""
    async with stage.chat("ada") as chat:
        await ready(chat)
        heard = chat.channel(C).events(chatkit.RoleChanged)
        await asyncio.sleep(3)
        put(stage, role("bob", "owner"))  # by somebody who tells nobody
        event = await heard.next(timeout=35)
        assert (event.user, event.role, event.channel) == ("bob", "owner", C)
        assert event.event_id == f"{C}/role/bob/owner"
        await heard.aclose()


async def test_nobody_who_asks_no_role_reads_any(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group without roles costs no read of them, whatever others announce."""
    core = stage.hub.log.core
    real, asked = core.registers, list[Any]()

    def note(channel: str, names: Sequence[str], **options: Any) -> Sequence[Register]:
        asked.extend(names)
        return real(channel, names, **options)

    monkeypatch.setattr(core, "registers", note)
    async with stage.chat("ada") as chat, stage.chat("bob") as bob:
        await ready(chat, bob)
        await (await bob.channel(C).grant("bob", "owner")).wait(timeout=10)
        await asyncio.sleep(10)
        mine = engine_of(chat).registers
        assert not mine._running
    assert ROLE in asked  # by bob


def engine_of(chat: chatkit.Chat) -> Any:
    """Return the engine of a client's channel."""
    _ = chat.channel(C)
    return chat.engine.channels[C]
