"""Marks merge in any order, and what is unread is counted from them (D25, I5, I9)."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.core.fact import Fact
from chatkit.core.fold import MessageFold, Voucher
from chatkit.core.receipts import Marks
from chatkit.core.timeline import Timeline
from chatkit.core.unread import MOST, Faces, tally
from chatkit.model.envelope import Envelope
from chatkit.model.order import Ident, OrderKey
from chatkit.model.registers import DELIVERED, READ, UNREAD, Register, place_text


def mark(user: str, place: int, name: str = READ) -> Register:
    """Return a mark."""
    return Register("room", user, name, f"m{place}", "greatest", OrderKey(1, f"{place:020d}"))


def again(user: str, place: int | None, clock: int) -> Register:
    """Return the register of what is unread again."""
    value = "" if place is None else place_text(OrderKey(1, f"{place:020d}"))
    return Register("room", user, UNREAD, value, "newest", OrderKey(1, f"{clock:020d}"))


MARKS = st.builds(
    mark, st.sampled_from(["ada", "bob", "cleo"]), st.integers(1, 9), st.sampled_from([READ, DELIVERED])
)
PRIVATE = st.builds(again, st.just("ada"), st.none() | st.integers(1, 9), st.integers(1, 9))


@given(st.lists(MARKS | PRIVATE, max_size=30), st.randoms(use_true_random=False))
def test_marks_do_not_depend_on_their_order(registers: list[Register], random: Any) -> None:
    """I5, I9: the same marks in any order, with repeats, give the same; none ever goes back."""
    # Of one clock reading there is one value.
    registers = list({(one.user, one.name, one.key): one for one in registers}.values())
    shuffled = [*registers, *registers[:5]]
    random.shuffle(shuffled)
    one, other = Marks({"ada"}), Marks({"ada"})
    for register in registers:
        before = one.place(register.user)
        _ = one.take(register)
        after = one.place(register.user)
        assert before is None or (after is not None and after >= before)
    for register in shuffled:
        _ = other.take(register)

    for user in ("ada", "bob", "cleo"):
        assert sorted(one.of(user)) == sorted(other.of(user))
    assert one.users == other.users
    assert one.again("ada") == other.again("ada")


def test_who_has_come_so_far() -> None:
    """A mark at a place or above it counts, of any of the names asked for."""
    marks = Marks(())
    for register in (mark("ada", 3), mark("bob", 5), mark("cleo", 7, DELIVERED), again("dan", 1, 1)):
        assert marks.take(register)
    assert not marks.take(mark("bob", 4))
    place = OrderKey(1, f"{4:020d}")

    assert marks.reached(place, READ) == {"bob"}
    assert marks.reached(place, READ, DELIVERED) == {"bob", "cleo"}
    assert (marks.users, marks.place("cleo"), marks.place("zoe")) == (3, None, None)
    assert marks.again("ada") is None


def test_marks_are_bounded() -> None:
    """I10: beyond the bound the first that came go, but for those of this client's users."""
    marks = Marks({"me"}, most=3)
    for register in (mark("me", 1), mark("a", 1), mark("b", 1), mark("c", 1), mark("d", 1)):
        _ = marks.take(register)

    assert [marks.place(user) is not None for user in ("me", "a", "b", "c", "d")] == [
        True,
        False,
        False,
        True,
        True,
    ]
    assert marks.evicted == 2
    lone = Marks({"me", "too"}, most=1)
    for register in (mark("me", 1), mark("too", 1)):
        _ = lone.take(register)
    assert (lone.users, lone.evicted) == (2, 0)


def message(place: int, user: str = "ada", kind: str = "message.create", **fields: Any) -> Fact:
    """Return a fact."""
    id = f"018f6c1e-0000-7000-8000-{place:012d}"
    envelope = Envelope.from_dict(
        {
            "v": 1,
            "id": id,
            "kind": kind,
            "channel": "room",
            "sender": {"user": user, "device": "device1"},
            "at": "2026-11-23T10:00:00.000Z",
            "body": None if kind == "message.delete" else {"type": "text", "text": "x"},
            **fields,
        }
    )
    key = OrderKey(1, f"{place:020d}")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Fact(envelope, envelope.encode(), Ident(user, id), key, True, at, "provider", "log")


def ref(place: int, user: str = "ada") -> dict[str, str]:
    """Return what names a message."""
    return {"id": f"018f6c1e-0000-7000-8000-{place:012d}", "user": user}


def timeline(*facts: Fact) -> Timeline:
    """Return a timeline of these."""
    found = Timeline("room", "bob", origin="log", rights=True)
    for fact in facts:
        _ = found.apply(fact)
    return found


Start = tuple[int | None, Literal["after", "from"]]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ((None, "after"), (4, 3, 1, False)),
        ((1, "after"), (3, 2, 4, True)),
        ((1, "from"), (4, 3, 1, False)),
        ((4, "after"), (2, 1, 7, True)),
        ((4, "from"), (3, 2, 4, True)),
        ((7, "after"), (1, 1, 8, True)),
        ((9, "after"), (0, 0, None, True)),
    ],
)
def test_what_is_counted(start: Start, expected: tuple[int, int, int | None, bool]) -> None:
    """As a log counts: others' messages in the channel itself, not deleted, with whom they mention now."""
    kept = timeline(
        message(1, mentions=["bob"]),
        message(2, "bob"),
        message(3),
        message(4, mentions=["*"]),
        message(5, thread=ref(1)),
        message(7, thread=ref(1), also=True, mentions=["cleo"]),
        message(8, mentions=["cleo"]),
        message(9, kind="message.delete", ref=ref(3)),
        message(10, kind="message.update", ref=ref(8), mentions=["bob"]),
    )
    place, way = start
    key = None if place is None else OrderKey(1, f"{place:020d}")

    found = tally(reversed(kept.window), "bob", Faces(), start=key, again=way == "from")

    first = None if found.first is None else int(found.first.serial)
    assert (found.messages, found.mentions, first, found.reached) == expected


def test_what_the_log_lacks_is_not_counted() -> None:
    """D18: an orphaned message shows, and nobody can read it any more."""
    kept = timeline(message(1), message(2))
    kept.reset(another=True)
    _ = kept.mark_orphaned()
    _ = kept.apply(message(3))

    assert tally(reversed(kept.window), "bob", Faces(), start=None, again=False).messages == 1


def test_what_counting_keeps_of_messages_is_bounded_and_no_text() -> None:
    """An edit is looked at anew; what a delete erases is nowhere else (D26, I10)."""
    faces, hush = Faces(), {"type": "text", "text": "hush"}
    kept = timeline(message(1, mentions=["bob"], body=hush))
    assert faces.of(next(iter(kept.window))) == (True, ("bob",))
    kept.apply(message(2, kind="message.update", ref=ref(1), mentions=["cleo"], body=hush))
    assert faces.of(next(iter(kept.window))) == (True, ("cleo",))
    assert b"hush" not in pickle.dumps(faces)

    for place in range(3, MOST + 5):
        faces.of(MessageFold.created(message(place), Voucher("provider", "log", stamped=True)))
    assert len(faces._known) == MOST
