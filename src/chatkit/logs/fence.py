"""`Fence`: what a channel remembers so that no attempt is carried out twice, late or out of order (D9)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeVar

from chatkit.model.order import Ident, OrderKey
from chatkit.ports.outgoing import Ack, Outgoing

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

IDS: Final = 1_000_000
"""Ids remembered of one channel, far more than bodies are kept (D20); the oldest are forgotten."""
LANES: Final = 100_000
"""Lanes remembered of one channel; those that were silent longest are forgotten."""
AGE: Final = timedelta(days=400)
"""How long the id of an entry that was trimmed is remembered: longer than any outbox keeps one (D20)."""
REFUSALS: Final = 10_000
"""Refusals remembered of one channel."""


class Known(NamedTuple):
    """What is remembered of an envelope."""

    key: OrderKey
    at: datetime
    digest: bytes
    """Of its body, by a key of the log's own."""
    prev: str | None
    """The serial before it."""


class Fence:
    """The ids, lanes and refusals of one channel."""

    def __init__(self) -> None:
        self.forgotten: datetime | None = None
        """When the newest id that was forgotten had come; `None`: all are known."""
        self._known: OrderedDict[Ident, Known] = OrderedDict()
        self._lanes: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._refused: OrderedDict[tuple[Ident, str, int | None], Ack] = OrderedDict()

    def known(self, ident: Ident) -> Known | None:
        """Return what is remembered of an envelope."""
        return self._known.get(ident)

    def answer(self, entry: Outgoing, digest: bytes, now: datetime) -> Ack | None:
        """Answer what needs no look at rights: known, refused before, too late, or overtaken."""
        found = self._known.get(entry.ident)
        if found is not None:
            same = found.digest == digest
            return Ack(entry.ident, "duplicate" if same else "conflict", found.key, found.at, prev=found.prev)
        refused = self._refused.get(_attempt(entry))
        if refused is not None:  # also where its lane went on meanwhile: else it would be made anew (D27)
            return refused
        if entry.not_after is not None and now > entry.not_after:
            return Ack(entry.ident, "too_late")
        if entry.seq is not None and entry.seq <= self._lanes.get((entry.ident.user, entry.device), 0):
            return Ack(entry.ident, "superseded")
        return None

    def accept(self, entry: Outgoing, known: Known) -> None:
        """Remember an envelope and how far its lane has come."""
        _put(self._known, entry.ident, known)
        if len(self._known) > IDS:
            self._forget()
        if entry.seq is not None:
            _put(self._lanes, (entry.ident.user, entry.device), entry.seq)
            if len(self._lanes) > LANES:
                self._lanes.popitem(last=False)

    def trim(self, floor: OrderKey, now: datetime) -> None:
        """Forget the ids of entries up to the floor that came too long ago."""
        while self._known:
            oldest = next(iter(self._known.values()))
            if oldest.key > floor or oldest.at >= now - AGE:
                return
            self._forget()

    def refuse(self, entry: Outgoing, ack: Ack) -> None:
        """Remember a refusal: a copy of the same attempt that comes later must not be accepted (D9)."""
        _put(self._refused, _attempt(entry), ack)
        if len(self._refused) > REFUSALS:
            self._refused.popitem(last=False)

    def _forget(self) -> None:
        self.forgotten = self._known.popitem(last=False)[1].at


def _attempt(entry: Outgoing) -> tuple[Ident, str, int | None]:
    return entry.ident, entry.device, entry.seq


def _put(kept: OrderedDict[K, V], key: K, item: V) -> None:
    kept[key] = item
    kept.move_to_end(key)
