"""`Ordered`: messages sorted by their place, cheap to insert anywhere.

A list of short sorted lists: an insertion moves at most `_CHUNK` references, however many messages there are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from chatkit.core.fold import MessageFold

_CHUNK: Final = 1_000


def _place(fold: MessageFold) -> tuple[int, str, str, str]:
    return fold.place


class Ordered:
    """The messages of a window, ascending. What is in it must not change its place."""

    __slots__ = ("_chunks", "size")

    def __init__(self) -> None:
        self._chunks: list[list[MessageFold]] = []
        """None of them is empty."""
        self.size = 0
        """How many there are."""

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[MessageFold]:
        for chunk in self._chunks:
            yield from chunk

    def __reversed__(self) -> Iterator[MessageFold]:
        for chunk in reversed(self._chunks):
            yield from reversed(chunk)

    @property
    def first(self) -> MessageFold | None:
        """The oldest."""
        return self._chunks[0][0] if self._chunks else None

    @property
    def last(self) -> MessageFold | None:
        """The newest."""
        return self._chunks[-1][-1] if self._chunks else None

    def add(self, fold: MessageFold) -> None:
        """Put in a message that is not in it."""
        self.size += 1
        if not self._chunks:
            self._chunks.append([])
        at = len(self._chunks) - 1
        chunk = self._chunks[at]
        last = chunk[-1] if chunk else None
        # Most messages are new, and then the serial says so by itself.
        if last is None or (last.epoch == fold.epoch and last.serial < fold.serial):
            chunk.append(fold)
        else:
            place = fold.place
            at = self._chunk_of(fold) if place < last.place else at
            chunk = self._chunks[at]
            chunk.insert(bisect_left(chunk, place, key=_place), fold)
        if len(chunk) > 2 * _CHUNK:
            self._chunks.insert(at + 1, chunk[_CHUNK:])
            del chunk[_CHUNK:]

    def pop_first(self) -> MessageFold:
        """Take out the oldest; there is one."""
        self.size -= 1
        chunk = self._chunks[0]
        first = chunk.pop(0)
        if not chunk:
            del self._chunks[0]
        return first

    def remove(self, fold: MessageFold) -> None:
        """Take out a message that is in it."""
        self.size -= 1
        at = self._chunk_of(fold)
        chunk = self._chunks[at]
        del chunk[bisect_left(chunk, fold.place, key=_place)]
        if not chunk:
            del self._chunks[at]

    def _chunk_of(self, fold: MessageFold) -> int:
        """Return the first chunk that does not end below a message."""
        return bisect_left(self._chunks, fold.place, key=lambda chunk: chunk[-1].place)
