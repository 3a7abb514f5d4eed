"""`Record`: the numbered entries of one channel, oldest first."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeAlias

from chatkit.model.entry import Entry, Stamp
from chatkit.model.order import Ident, OrderKey, Place
from chatkit.model.paging import EPOCH

Show: TypeAlias = Callable[[Stamp], Stamp]
"""How a stamp is shown to whoever reads; keeps order."""


class Item(NamedTuple):
    """An entry and what is known of it without reading it."""

    entry: Entry
    ident: Ident
    kind: str
    """Of the envelope; empty where it is none."""

    @property
    def stamp(self) -> Stamp:
        """Of the entry."""
        return self.entry.stamp


def as_kept(stamp: Stamp) -> Stamp:
    """Show a stamp as it is."""
    return stamp


def index_after(stamps: Sequence[Stamp] | Sequence[Item], place: Place, show: Show = as_kept) -> int:
    """Return the index of the first one strictly after a place."""
    if isinstance(place, datetime):
        return bisect_right(stamps, place, key=_time)
    return bisect_right(stamps, place, key=lambda item: show(_stamp(item)).key)


def index_from(stamps: Sequence[Stamp] | Sequence[Item], place: Place, show: Show = as_kept) -> int:
    """Return the index of the first one that is not before a place."""
    if isinstance(place, datetime):
        return bisect_left(stamps, place, key=_time)
    return bisect_left(stamps, place, key=lambda item: show(_stamp(item)).key)


class Record:
    """Entries of one channel: numbered without a hole, timed without a step back.

    Args:
        log_id: Of the log it belongs to.
        keep: Most entries kept; the oldest go and the floor rises (D18).
    """

    def __init__(self, log_id: str, keep: int) -> None:
        self.items: list[Item] = []
        self.head: Stamp | None = None
        self.floor: Stamp | None = None
        """Of the newest entry that was trimmed away."""
        self._log_id = log_id
        self._keep = keep
        self._count = 0

    def add(self, ident: Ident, kind: str, data: bytes, now: datetime) -> tuple[Item, bool]:
        """Number an entry; returns it, and whether the oldest had to go for it."""
        self._count += 1
        stamp = Stamp(
            key=OrderKey(EPOCH, f"{self._count:020d}"),
            prev=self.head.key.serial if self.head else "",
            log_id=self._log_id,
            user=ident.user,
            at=max(now, self.head.at) if self.head else now,  # so that a time is a place, too
        )
        self.head = stamp
        item = Item(Entry(data, stamp), ident, kind)
        self.items.append(item)
        if len(self.items) <= self._keep:
            return item, False
        self.floor = self.items.pop(0).stamp
        return item, True

    def erase(self, key: OrderKey, erased: Callable[[bytes], bytes]) -> None:
        """Take the text out of an entry that is still kept (D26)."""
        i = index_from(self.items, key)
        item = self.items[i]
        self.items[i] = item._replace(entry=item.entry._replace(data=erased(item.entry.data)))

    def prev(self, key: OrderKey) -> str | None:
        """Return the serial before an entry; `None`: it was trimmed."""
        if self.floor is not None and key <= self.floor.key:
            return None
        return self.at(key).stamp.prev

    def trim(self, before: Place) -> None:
        """Let go of entries before a place."""
        count = index_from(self.items, before)
        if count:
            self.floor = self.items[count - 1].stamp
            del self.items[:count]

    def at(self, key: OrderKey) -> Entry:
        """Return an entry that is still kept."""
        return self.items[index_from(self.items, key)].entry

    def since(self, key: OrderKey) -> tuple[Entry, ...] | None:
        """Return all entries after a place, or `None` where nobody can say that these are all."""
        too_old = self.floor is not None and key < self.floor.key
        if too_old or key > (self.head.key if self.head else OrderKey(EPOCH, "")):
            return None
        return tuple(item.entry for item in self.items[index_after(self.items, key) :])


def _stamp(item: Stamp | Item) -> Stamp:
    return item if isinstance(item, Stamp) else item.entry.stamp


def _time(item: Stamp | Item) -> datetime:
    return _stamp(item).at
