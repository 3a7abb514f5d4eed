"""How fast one connection joins, speaks and says who is there, so that the service closes nothing for it.

Time comes in as an argument, by a clock that does not go back.

Source: the Supabase sheet, sections 8 and 13.
"""

from __future__ import annotations

from collections import deque
from typing import Final

CALLS: Final = 5
"""Words on presence that one join may say in a window; one more closes its channel."""
WINDOW: Final = 31.0
"""Seconds of that window, and one for what the network presses together."""


class Turns:
    """Turns at a rate.

    Args:
        rate: Turns a second in the long run.
        burst: How many may follow one another at once.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._full_at = float("-inf")
        """When all turns that were given will have been paid for."""

    def turn(self, now: float, *, patience: float = float("inf")) -> float | None:
        """Return the seconds until one's turn, which is taken; `None`: it would be more than `patience`."""
        full_at = max(now, self._full_at)
        wait = max(0.0, full_at - now - (self._burst - 1) / self._rate)
        if wait > patience:
            return None
        self._full_at = full_at + 1 / self._rate
        return wait


class Calls:
    """The words on presence of one join."""

    def __init__(self) -> None:
        self._made: deque[float] = deque(maxlen=CALLS)

    def wait(self, now: float) -> float:
        """Return the seconds until one more may be said; 0: at once."""
        return 0.0 if len(self._made) < CALLS else max(0.0, self._made[0] + WINDOW - now)

    def made(self, now: float) -> None:
        """Count one that is said now."""
        self._made.append(now)
