"""What changes do to a message: each sets one register of it, and the newest by order key wins (D22).

Registers are the body (`update`), the newest delete, the newest restore, and one for each pair of emoji and
user. Of each register the state of a message needs the winner alone, but for one thing: a change must be
attested at least as strongly as its target (D2), and how strongly the target is attested is known for good
only when the last copy of its creation has arrived. So for each register a *front* is kept: the changes that
are the newest of their strength or stronger. It mostly holds one, and never more than there are strengths.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias

from chatkit.core.fact import Fact
from chatkit.core.timeline_bytes import reparse
from chatkit.model.envelope import Envelope
from chatkit.model.message import STRENGTH, Attested
from chatkit.model.order import Ident, OrderKey
from chatkit.model.values import hide

Word: TypeAlias = Literal["update", "delete", "restore"]
Register: TypeAlias = "Word | tuple[str, str]"
"""One cell of a message; a pair is a reaction: (emoji, user)."""

MAX_REACTIONS: Final = 1_000
"""Reactions remembered of one message beside what a log told, taken back ones included; the newest stay."""
MAX_OF_USER: Final = 32
"""Of these at most so many of one user: nobody alone pushes out those of others."""
MAX_KEYS: Final = 1_000
"""Edits, deletes and restores of one message known one by one; older ones are known by their number."""

_WORDS: Final[dict[str, Word]] = {
    "message.update": "update",
    "message.delete": "delete",
    "message.restore": "restore",
}
_REACTIONS: Final = {"reaction.add": b"", "reaction.remove": b"-"}
_OVERHEAD: Final = 500
"""Bytes that a change takes beside what its sender wrote, roughly."""


class Unparsed(NamedTuple):
    """A fact without its parsed envelope: little to keep, enough to give the fact again."""

    data: bytes
    ident: Ident
    key: OrderKey
    stamped: bool
    sent_at: datetime | None
    attested: Attested
    origin: str
    prev: str | None
    suspect: bool
    revised: bool

    def __repr__(self) -> str:
        return hide(self, "data")

    @classmethod
    def of(cls, fact: Fact) -> Unparsed:
        """Return a fact without its envelope."""
        return cls(*fact[1:])

    def parse(self) -> Fact:
        """Return the fact."""
        return Fact(reparse(self.data), *self)


class Change(NamedTuple):
    """One value for one register; on equal keys the greater value wins."""

    key: OrderKey
    value: bytes
    """Of an `update` its envelope; of a reaction empty, or not if it is taken back; else empty."""
    strength: int
    """How strongly its sender is vouched for (D2)."""
    held: Unparsed | None = None
    """Its fact, while its message is unseen."""

    def __repr__(self) -> str:
        return hide(self, "value")

    @property
    def given(self) -> bool:
        """Of a reaction: it was given, not taken back."""
        return not self.value

    @property
    def size(self) -> int:
        """Roughly the bytes it takes."""
        return _OVERHEAD + len(self.held.data if self.held else self.value)

    def beats(self, other: Change) -> bool:
        """Say whether the other one can never win any more."""
        return self[:2] >= other[:2] and self.strength >= other.strength

    def erases(self, update: Change) -> bool:
        """Of a delete: say whether the text of an edit is gone for good (D26)."""
        return self.key >= update.key and self.strength >= update.strength


Front: TypeAlias = "tuple[Change, ...]"


class Added(NamedTuple):
    """What became of a change."""

    news: bool
    """Something is different for it; else it was known, or can never win and counts for nothing."""
    dropped: Front = ()
    """What had to go to keep the bounds."""


def target_of(envelope: Envelope, user: str) -> Ident:
    """Return the message that an envelope of a user makes or changes; of a create `ref` is only a quote."""
    if envelope.kind == "message.create" or envelope.ref is None:
        return Ident(user, envelope.id)
    return Ident(envelope.ref.user, envelope.ref.id)


def change_of(fact: Fact) -> tuple[Register, Change] | None:
    """Return which register a fact sets and to what; `None`: it is no change that this version can read."""
    envelope = fact.envelope
    strength = STRENGTH[fact.attested]
    word = _WORDS.get(envelope.kind)
    if word is not None:
        return word, Change(fact.key, fact.data if word == "update" else b"", strength)
    value = _REACTIONS.get(envelope.kind)
    if value is None or envelope.emoji is None:
        return None
    return (envelope.emoji, fact.user), Change(fact.key, value, strength)


class Changes:
    """The changes of one message known one by one: what wins in each register, and how many there were.

    What is kept of a set of changes depends neither on the order they came in nor on repeats (I5). Only of
    versions above `MAX_KEYS` is a repeat or a latecomer among the oldest not told from what was counted.
    """

    __slots__ = ("_counted", "_keys", "_older", "_size", "fronts")

    def __init__(self) -> None:
        self.fronts: dict[Register, Front] = {}
        """Of each register the changes that are the newest of their strength or stronger."""
        self._keys: dict[OrderKey, int] = {}
        self._size = 0
        self._older = 0
        self._counted: OrderKey | None = None

    def copy(self) -> Changes:
        """Return one that is as this one is, and changes by itself."""
        twin = copy(self)
        twin.fronts, twin._keys = dict(self.fronts), dict(self._keys)  # noqa: SLF001  # one of its own kind
        return twin

    @property
    def size(self) -> int:
        """Roughly the bytes they take."""
        return self._size + _OVERHEAD * len(self._keys)

    @property
    def keys(self) -> Mapping[OrderKey, int]:
        """Places of the edits, deletes and restores, and how strongly each is attested."""
        return self._keys

    @property
    def versions(self) -> int:
        """How many edits, deletes and restores there were."""
        return self._older + len(self._keys)

    @property
    def last(self) -> OrderKey | None:
        """Place of the newest change."""
        won = (change.key for front in self.fronts.values() for change in front)
        return max((*self._keys, *won), default=None)

    def steps(self) -> list[tuple[Register, Change]]:
        """Return what may win, by place."""
        found: list[tuple[Register, Change]]
        found = [(register, change) for register, front in self.fronts.items() for change in front]
        found.sort(key=lambda step: step[1][:3])
        return found

    def winner(self, register: Register) -> Change | None:
        """Return the change that set a register last."""
        return max(self.fronts.get(register, ()), key=lambda change: change[:2], default=None)

    def add(self, register: Register, change: Change) -> Added:
        """Take in a change."""
        counted = isinstance(register, str) and self.count(change.key, change.strength)
        front = self.fronts.get(register, ())
        if any(known.beats(change) for known in front):
            return Added(counted)
        if register == "update" and any(delete.erases(change) for delete in self.fronts.get("delete", ())):
            return Added(counted)
        self._put(register, (*(known for known in front if not change.beats(known)), change))
        if register == "delete":  # D26: it takes every older text with it, here too
            updates = self.fronts.get("update", ())
            self._put("update", tuple(update for update in updates if not change.erases(update)))
        return Added(news=True, dropped=self._bound(register[1]) if isinstance(register, tuple) else ())

    def count(self, key: OrderKey, strength: int) -> bool:
        """Take note that there was an edit, delete or restore; `False`: it was known."""
        if self._keys.get(key, -1) >= strength or (self._counted is not None and key <= self._counted):
            return False
        self._keys[key] = strength
        if len(self._keys) > MAX_KEYS:
            self._counted = min(self._keys)
            del self._keys[self._counted]
            self._older += 1
        return True

    def keep(self, *, after: OrderKey | None, strength: int) -> None:
        """Forget what lies up to a place, being part of what a log says, and what is attested more weakly."""
        for register, front in list(self.fronts.items()):
            self._put(register, tuple(c for c in front if _stays(c.key, c.strength, after, strength)))
        self._keys = {key: own for key, own in self._keys.items() if _stays(key, own, after, strength)}
        if self._counted is not None and after is not None and self._counted <= after:
            self._older, self._counted = 0, None

    def _put(self, register: Register, front: Front) -> None:
        before = self.fronts.pop(register, ())
        self._size += sum(change.size for change in front) - sum(change.size for change in before)
        if front:
            self.fronts[register] = front

    def _bound(self, user: str) -> Front:
        """Drop the oldest reaction where there are too many, and return it.

        That the newest stay depends on no order of arrival: what is dropped once is older than so many others
        for ever.
        """
        if len(self.fronts) <= MAX_OF_USER:
            return ()
        crowd = [register for register in self.fronts if isinstance(register, tuple)]
        mine = [register for register in crowd if register[1] == user]
        if len(mine) > MAX_OF_USER:
            crowd = mine
        elif len(crowd) <= MAX_REACTIONS:
            return ()
        oldest = min(
            crowd, key=lambda register: (max(change.key for change in self.fronts[register]), register)
        )
        dropped = self.fronts[oldest]
        self._put(oldest, ())
        return dropped


def _stays(key: OrderKey, own: int, after: OrderKey | None, strength: int) -> bool:
    return own >= strength and (after is None or key > after)
