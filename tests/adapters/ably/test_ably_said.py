"""Reactions that are messages: which annotations that nobody heard could overrule them, and when they are looked for."""

from __future__ import annotations

from typing import Any, cast

import pytest

from chatkit.adapters.ably import said as bounds
from chatkit.adapters.ably import telling
from chatkit.adapters.ably.annotations import TYPE, Register
from chatkit.adapters.ably.history import AblyHistory
from chatkit.adapters.ably.memory import Memory
from chatkit.adapters.ably.places import key_of
from chatkit.adapters.ably.said import Said
from chatkit.adapters.ably.telling import Telling
from chatkit.model.entry import Entry, Stamp
from chatkit.model.envelope import Envelope
from chatkit.model.order import Ident
from chatkit.ports.context import Unobserved
from tests.adapters.ably.test_ably_annotations import TARGET, annotation, reaction, told
from tests.adapters.ably.test_ably_versions import envelope, memory_of, serial

BOB: Register = ("👍", "bob")


def entry(number: int, said: Envelope | bytes) -> Entry:
    """Return a message of bob's."""
    data = said if isinstance(said, bytes) else said.encode()
    stamp = told(annotation(number)).entry.stamp
    return Entry(data, Stamp(key_of(serial(number)), None, None, "bob", stamp.at))


def said(*entries: Entry) -> Said:
    """Return what is known after these messages."""
    known = Said()
    for one in entries:
        known.note("support", one)
    return known


def test_the_last_message_counts() -> None:
    """In whichever order they come; of whom and of which message it is is kept apart."""
    known = said(entry(7, reaction("reaction.remove")), entry(5, reaction()), entry(6, reaction(emoji="🎉")))

    assert known.of("support", TARGET) == {
        BOB: (key_of(serial(7)), False),
        ("🎉", "bob"): (key_of(serial(6)), True),
    }
    assert known.of("other", TARGET) == known.of("support", Ident("bob", TARGET.id)) == {}
    assert known.of("support", None) == {}


@pytest.mark.parametrize(
    "data",
    [
        envelope().encode(),
        envelope(text='quotes "reaction.add"').encode(),
        b'{"kind":"reaction.add"',
    ],
)
def test_what_is_no_reaction_says_nothing(data: bytes) -> None:
    """Other messages, whatever they quote, and what cannot be read."""
    assert said(entry(5, data)).of("support", TARGET) == {}


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first (I10)."""
    monkeypatch.setattr(bounds, "MESSAGES", 1)
    monkeypatch.setattr(bounds, "OF_ONE", 2)
    emojis = [entry(number, reaction(emoji=emoji)) for number, emoji in enumerate("👍🎉🚀")]
    known = said(*emojis)
    assert [emoji for emoji, _ in known.of("support", TARGET)] == ["🎉", "🚀"]

    other = Ident("ada", "00000000-0000-7000-8000-000000000002")
    known.note("support", entry(9, reaction(ref={"id": other.id, "user": other.user})))

    assert known.of("support", TARGET) == {}
    assert list(known.of("support", other)) == [BOB]


def heard(memory: Memory, number: int = 1) -> dict[str, Any]:
    """Have `message(number)` known, with a reaction of bob's that stands; return it as history shows it."""
    memory.recall.places.note("support", Ident("ada", str(number)), serial(number))
    memory.recall.reacted.note("support", serial(number), [told(annotation(50))])
    summed = {"👍": {"total": 1, "clientIds": ["bob"]}}
    return {"serial": serial(number), "action": 0, "annotations": {"summary": {TYPE: summed}}}


@pytest.mark.parametrize(
    ("number", "kind", "emoji", "doubted"),
    [
        (60, "reaction.remove", "👍", True),
        (60, "reaction.add", "👍", False),  # it is given, whatever was between
        (40, "reaction.remove", "👍", False),  # the annotation is the later word
        (60, "reaction.add", "🎉", True),  # it may have been taken back by an annotation that does not stand
        (60, "reaction.remove", "🎉", False),
    ],
)
def test_what_a_message_says_against_what_stands_is_doubted(
    number: int, kind: str, emoji: str, doubted: bool
) -> None:
    """An annotation after it would say otherwise, and leave what stands as it is."""
    memory = memory_of()
    item = heard(memory)
    memory.recall.places.note("support", TARGET, serial(1))
    looks = Telling(cast("AblyHistory", None), memory, Unobserved(), logged=False)
    assert looks.doubted("support", [item, {"serial": []}], 10) == frozenset()

    memory.recall.said.note("support", entry(number, reaction(kind, emoji)))

    assert looks.doubted("support", [item, {"serial": []}], 10) == (
        frozenset({serial(1)}) if doubted else frozenset()
    )


def test_each_is_asked_about_in_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look asks about so many; none is passed over for ever."""
    monkeypatch.setattr(telling, "LOOKS", 4)
    memory = memory_of()
    looks = Telling(cast("AblyHistory", None), memory, Unobserved(), logged=False)
    items = [heard(memory, number) for number in range(1, 6)]
    for number in range(1, 6):
        ref = {"id": f"00000000-0000-7000-8000-00000000000{number}", "user": "ada"}
        memory.recall.places.note("support", Ident("ada", ref["id"]), serial(number))
        memory.recall.said.note("support", entry(60 + number, reaction("reaction.remove", ref=ref)))

    asked = [looks.doubted("support", items, 2) for _ in range(3)]

    assert all(len(one) == 2 for one in asked)
    assert len(asked[0] | asked[1] | asked[2]) == 5
