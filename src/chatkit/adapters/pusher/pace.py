"""`Bucket`: how fast one connection sends client events, so that none is refused with 4301.

The hosted service takes 10 in a second and throws away what is beyond, without a word on which. Three may go
at once and six a second after that: never more than nine leave in any second, and if the network presses them
together by 160 ms still no more than ten arrive in one.
"""

from __future__ import annotations

from typing import Final

BURST: Final = 3
"""Events that may go at once."""
RATE: Final = 6.0
"""Events a second, in the long run."""


class Bucket:
    """Tokens, one an event; time comes in as an argument.

    Args:
        now: Seconds, by any clock that does not go back.
    """

    def __init__(self, now: float) -> None:
        self._tokens = float(BURST)
        self._at = now

    def wait(self, now: float, *, spare: int = 0) -> float:
        """Return the seconds until an event may go that leaves `spare` tokens to others; 0: at once."""
        self._fill(now)
        return max(0.0, (1 + spare - self._tokens) / RATE)

    def take(self, now: float) -> None:
        """Count an event that goes now."""
        self._fill(now)
        self._tokens -= 1

    def _fill(self, now: float) -> None:
        self._tokens = min(BURST, self._tokens + (now - self._at) * RATE)
        self._at = now
