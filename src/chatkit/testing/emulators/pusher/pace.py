"""The rate at which one connection may speak."""

from __future__ import annotations

from chatkit.testing.emulators.clock import EmulatorClock


class Bucket:
    """So many at once and so many again in each second.

    Args:
        rate: How many.
        clock: Its seconds.
    """

    def __init__(self, rate: int, clock: EmulatorClock) -> None:
        self._rate = rate
        self._clock = clock
        self._left = float(rate)
        self._then = clock.monotonic()

    def take(self) -> bool:
        """Whether one more may pass now."""
        now = self._clock.monotonic()
        self._left = min(self._rate, self._left + (now - self._then) * self._rate)
        self._then = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
