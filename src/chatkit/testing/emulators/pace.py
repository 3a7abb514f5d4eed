"""Rates, as a bucket that fills steadily."""

from __future__ import annotations

from collections.abc import Callable


class Bucket:
    """Lets through so many a second, and at most a second's worth at once.

    Args:
        now: Seconds that pass.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._used = 0.0
        self._at = now()

    def take(self, count: int, rate: int) -> bool:
        """Whether `count` may pass now, at `rate` a second; 0 is no limit."""
        if rate <= 0:
            return True
        now = self._now()
        self._used = max(0.0, self._used - (now - self._at) * rate)
        self._at = now
        if self._used + count > rate:
            return False
        self._used += count
        return True
