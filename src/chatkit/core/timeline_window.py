"""`Window`: the stretch of a channel that a timeline keeps, by place and by name, within a bound (I10)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from chatkit.core.fold import MessageFold
from chatkit.core.timeline_order import Ordered
from chatkit.model.order import Ident, OrderKey

KEEP: Final = 1_000
MOST: Final = 10_000
"""Messages that loading older ones may bring a window to."""


class Window:
    """Messages without duplicates, ascending. Beyond its bound the oldest fall out.

    Args:
        keep: Messages kept while nobody loads older ones.
        most: Messages that loading older ones may bring it to; never less than `keep`.
    """

    def __init__(self, *, keep: int = KEEP, most: int = MOST) -> None:
        self.has_older = False
        """Messages older than its first are not in it, or may not be."""
        self.has_newer = False
        """It is a stretch below the newest messages."""
        self.bound = keep
        self._keep = keep
        self._most = max(keep, most)
        self._ordered = Ordered()
        # By id alone: that two users have the same one is rare (D1), and an `Ident` each is not small.
        self._named: dict[str, MessageFold | tuple[MessageFold, ...]] = {}

    def __len__(self) -> int:
        return self._ordered.size

    def __iter__(self) -> Iterator[MessageFold]:
        return iter(self._ordered)

    def __reversed__(self) -> Iterator[MessageFold]:
        return reversed(self._ordered)

    def find(self, ident: Ident) -> MessageFold | None:
        """Return the message of an identity, if it is in the window."""
        found = self._named.get(ident[1])
        if isinstance(found, tuple):
            return next((fold for fold in found if fold.user == ident.user), None)
        return found if found is not None and found.user == ident[0] else None

    def named(self, message_id: str) -> tuple[MessageFold, ...]:
        """Return the messages of an id: one of each user who used it (D1)."""
        found = self._named.get(message_id, ())
        return found if isinstance(found, tuple) else (found,)

    @property
    def full(self) -> bool:
        """Whether it holds more than its bound."""
        return self._ordered.size > self.bound

    def covers(self, key: OrderKey) -> bool:
        """Say whether a message of this place belongs into the stretch."""
        first = self._ordered.first if self.has_older else None
        last = self._ordered.last if self.has_newer else None
        below = first is not None and key < (first.epoch, first.serial)
        return not (below or (last is not None and key > (last.epoch, last.serial)))

    def add(self, fold: MessageFold) -> None:
        """Put in a message whose identity is not in it."""
        self._ordered.add(fold)
        if self._named.setdefault(fold.id, fold) is not fold:
            self._named[fold.id] = (*self.named(fold.id), fold)

    def remove(self, fold: MessageFold) -> None:
        """Take out a message that is in it, before it changes its place or for good."""
        self._ordered.remove(fold)
        self._forget(fold)

    def _forget(self, fold: MessageFold) -> None:
        if self._named[fold.id] is fold:
            del self._named[fold.id]
            return
        others = tuple(other for other in self.named(fold.id) if other is not fold)
        if others:
            self._named[fold.id] = others
        else:
            del self._named[fold.id]

    def grow(self) -> None:
        """Raise the bound to what is in it, at most to `most`: somebody reads further up."""
        self.bound = max(self.bound, min(len(self), self._most))

    def shrink(self) -> None:
        """Return to the bound of a window where nobody reads further up."""
        self.bound = self._keep

    def trim(self) -> list[MessageFold]:
        """Take out the oldest beyond the bound, and return them."""
        out: list[MessageFold] = []
        while self._ordered.size > self.bound:
            first = self._ordered.pop_first()
            self._forget(first)
            out.append(first)
        self.has_older = self.has_older or bool(out)
        return out

    def clear(self) -> list[MessageFold]:
        """Take out all, and return them."""
        out = list(self)
        self._ordered, self._named = Ordered(), {}
        self.has_older = self.has_newer = False
        self.shrink()
        return out
