"""In which order handlers get what was received: by order key, waiting a moment for a hole (D21)."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

from chatkit.model.order import OrderKey

T = TypeVar("T")

PATIENCE: Final = 0.3
"""Seconds that a fact waits for what is missing below it."""


class Released(NamedTuple, Generic[T]):
    """One item whose turn it is. `late`: it stands below what was released before."""

    item: T
    late: bool


class Release(Generic[T]):
    """A short queue in order-key order."""

    def __init__(self) -> None:
        # Place, number, until when, item; no two numbers are equal, so that items are never compared.
        self._heap: list[tuple[OrderKey, int, float, T]] = []
        self._count = 0
        self._mark: OrderKey | None = None

    def add(self, key: OrderKey, item: T, now: float) -> None:
        """Put an item in its place."""
        self._count += 1
        heapq.heappush(self._heap, (key, self._count, now + PATIENCE, item))

    def revise(self, change: Callable[[OrderKey, T], T]) -> None:
        """Change what waits, given place and item; places stay."""
        self._heap = [(key, number, until, change(key, item)) for key, number, until, item in self._heap]

    def due(self, complete: OrderKey | None, now: float) -> list[Released[T]]:
        """Take out, in order, what lies at or below `complete` or an item that has waited long enough.

        Args:
            complete: Up to where nothing is missing; `None`: nobody can say, so nothing waits.
            now: Monotonic seconds.
        """
        waited = [key for key, _, until, _ in self._heap if until <= now]
        limit = None if complete is None else max([complete, *waited])
        found: list[Released[T]] = []
        while self._heap and (limit is None or self._heap[0][0] <= limit):
            key, _, _, item = heapq.heappop(self._heap)
            late = self._mark is not None and key < self._mark
            if not late:
                self._mark = key
            found.append(Released(item, late))
        return found

    def wait(self, now: float) -> float | None:
        """Return the seconds until something is due at the latest, or `None`."""
        until = min((until for _, _, until, _ in self._heap), default=None)
        return None if until is None else max(0.0, until - now)
