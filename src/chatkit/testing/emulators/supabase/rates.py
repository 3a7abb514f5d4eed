"""Rates, as the server measures them: a mean over buckets of five seconds, looked at when one is full."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

TICK: Final = 5.0
"""Seconds of a bucket."""
BUCKETS: Final = 12
IDLE: Final = 300.0
"""Seconds without a count after which the counter starts afresh."""


class Rate:
    """Events a second, as of the last full bucket; a burst is noticed up to five seconds late.

    Args:
        now: Seconds that pass.
        limit: Events a second, the mean of which is too much.
    """

    def __init__(self, now: Callable[[], float], limit: Callable[[], int]) -> None:
        self._now = now
        self._limit = limit
        self._begin()

    def count(self, events: int = 1) -> None:
        """Count events."""
        self._turn()
        self._current += events
        self._counted = self._now()

    @property
    def mean(self) -> float:
        """Events a second."""
        self._turn()
        return sum(self._full) / len(self._full) / TICK

    @property
    def exceeded(self) -> bool:
        """Whether the mean has reached the limit."""
        return self.mean >= self._limit()

    def _begin(self) -> None:
        self._current = 0
        self._full = deque([0], BUCKETS)  # the first bucket is over at once
        self._counted = self._now()
        self._next = self._counted + TICK

    def _turn(self) -> None:
        now = self._now()
        if now - self._counted >= IDLE:
            self._begin()
        while self._next <= now:
            self._full.appendleft(self._current)
            self._current = 0
            self._next += TICK
