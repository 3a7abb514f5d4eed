"""`Pace`: how fast one connection may publish."""

from __future__ import annotations


class Pace:
    """A bucket that holds one second's worth of publishes.

    Args:
        rate: Publishes a second; `None`: no limit.
    """

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._left = rate or 0.0
        self._at = 0.0

    def wait(self, now: float, count: int) -> float:
        """Take `count` publishes, or take none and say how many seconds it would have to wait.

        More than a second's worth at once goes through once the bucket is full.
        """
        if self._rate is None:
            return 0.0
        self._left = min(self._rate, self._left + (now - self._at) * self._rate)
        self._at = now
        missing = min(count, self._rate) - self._left
        if missing > 0:
            return missing / self._rate
        self._left -= count
        return 0.0
