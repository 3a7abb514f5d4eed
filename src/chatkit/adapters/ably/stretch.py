"""`Stretch`: what a read of history brought, and the messages that it makes (D24)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple, Self

from chatkit.adapters.ably.pages import Kept
from chatkit.adapters.ably.places import is_annotation, time_of
from chatkit.core.fact import Fact
from chatkit.core.fold import Voucher
from chatkit.core.raw_page import CREATE, fold_page
from chatkit.errors import InvalidMessage
from chatkit.model.entry import Entry, Folded
from chatkit.model.envelope import Envelope
from chatkit.model.order import Ident, OrderKey, Place

BEFORE: Final = 30_000
"""Milliseconds before a place from which on what follows it is asked for: times are estimates (D30)."""


class Read(NamedTuple):
    """An entry, and its envelope."""

    entry: Entry
    envelope: Envelope

    @property
    def key(self) -> OrderKey:
        """Its place."""
        return self.entry.stamp.key

    @property
    def ident(self) -> Ident:
        """Its identity, by whom the service attests."""
        return Ident(self.entry.stamp.user, self.envelope.id)


class Stretch(NamedTuple):
    """A stretch of history."""

    reads: list[Read]
    more: bool
    """There is more in the direction that was read."""
    reach: str | None
    """All that was changed up to here is in."""
    cut: OrderKey | None = None
    """Where the read had to end, though more lies beyond."""

    def backwards(self, *, more: bool) -> Self:
        """Return what was read newest first in its order."""
        return self._replace(reads=self.reads[::-1], more=more)

    def with_more(self, reads: Sequence[Read], item: Kept) -> Self:
        """Return it with another message: what it carries and what changed it."""
        self.reads.extend(reads)
        if not item.at_once:
            return self
        # Reactions were listed later than others of the same read, which may lack what came in between.
        reach = max((read.key.serial for read in reads if not is_annotation(read.key)), default="")
        return self._replace(reach=max(reach, self.reach or ""))


def reads_of(item: Kept) -> list[Read]:
    """Return a message's envelopes: its own, then what its newest version changed, and reactions."""
    return [read for entry in (item.entry, *item.later) if (read := _read(entry)) is not None]


def folded(reads: Sequence[Read], voucher: Voucher) -> tuple[Folded, ...]:
    """Return the messages of a stretch, with what changed them folded in."""
    creates = creations(reads)
    first = min(creates.values(), default=None)
    if first is None:
        return ()
    facts = ((_fact(read, voucher), read.entry.stamp) for read in reads if read.key >= first)
    return fold_page(facts, creates.keys(), voucher)


def creations(reads: Sequence[Read]) -> dict[Ident, OrderKey]:
    """Return where each message of a stretch stands: where its first copy does."""
    return {read.ident: read.key for read in reversed(reads) if read.envelope.kind == CREATE}


def follows(item: Entry, place: Place, *, at: bool) -> bool:
    """Say whether an entry stands after a place, or at it too."""
    if isinstance(place, datetime):
        return item.stamp.at >= place if at else item.stamp.at > place
    return item.stamp.key >= place if at else item.stamp.key > place


def just_before(item: Entry, place: OrderKey) -> bool:
    """Say whether an entry stands before a place by no more than what may still come there (D17)."""
    told, at = time_of(item.stamp.key.serial), time_of(place.serial)
    return item.stamp.key < place and (told is None or at is None or told >= at - BEFORE)


def in_order(items: list[Entry]) -> list[Entry]:
    """Return entries by place, each once."""
    return sorted(dict.fromkeys(items), key=lambda entry: entry.stamp.key)


def _read(entry: Entry) -> Read | None:
    try:
        return Read(entry, Envelope.parse(entry.data))
    except InvalidMessage:
        return None


def _fact(read: Read, voucher: Voucher) -> Fact:
    """Return an entry as a fact: numbered, and its sender vouched for."""
    stamp = read.entry.stamp
    return Fact(
        envelope=read.envelope,
        data=read.entry.data,
        ident=read.ident,
        key=stamp.key,
        stamped=True,
        sent_at=stamp.at,
        attested=voucher.attested,
        origin=voucher.origin,
        prev=None,
    )
