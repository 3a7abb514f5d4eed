"""`Pending`: frames that are to be acknowledged, by their numbers; answers cover ranges of them.

Source: the Ably sheet, section 5.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Range(NamedTuple, Generic[T]):
    """What an answer settles."""

    settled: list[T]
    """What it is about, in order; one for each `res` of an ACK, behind `known`."""
    skipped: list[T]
    """What was numbered below and has no answer of its own: nobody can say what became of it."""
    known: int
    """How many at its beginning were settled before."""


class Pending(Generic[T]):
    """Numbers frames from where a connection goes on, and finds them again.

    Args:
        first: The number of the first one: 0 of a new connection, of a resumed one where it stood.
    """

    def __init__(self, first: int = 0) -> None:
        self.next = first
        self._waiting: deque[tuple[int, T]] = deque()

    def add(self, what: T) -> int:
        """Return the number of a frame."""
        number = self.next
        self.next += 1
        self._waiting.append((number, what))
        return number

    def settle(self, first: int, count: int) -> Range[T]:
        """Take out what an answer covers: `count` frames from `first` on. Repeated answers cover nothing."""
        skipped, settled = list[T](), list[T]()
        known = 0 if not self._waiting else max(0, min(count, self._waiting[0][0] - first))
        while self._waiting and self._waiting[0][0] < first + count:
            number, what = self._waiting.popleft()
            (skipped if number < first else settled).append(what)
        return Range(settled, skipped, known)

    def clear(self) -> list[T]:
        """Take out all."""
        found = [what for _, what in self._waiting]
        self._waiting.clear()
        return found
