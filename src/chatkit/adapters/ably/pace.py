"""`Emits`: how fast ephemeral messages go out, so that those that are kept are not refused for their sake.

The service takes 50 messages a second on a connection. The engine paces what is kept at `RATE`, in publishes
of at most `BATCH`: never more than 30 in one second. Of the rest these take 12; the others are for members.
"""

from __future__ import annotations

from typing import Final

BATCH: Final = 10
"""Messages in one publish: the service counts each."""
RATE: Final = 30.0
"""Messages a second that are kept."""
EMITS: Final = 8.0
"""Ephemeral messages a second in the long run."""
BURST: Final = 4
"""How many of them may go at once."""
PATIENCE: Final = 5.0
"""Seconds for which one waits for its turn at most."""


class Emits:
    """Turns, one a message; time comes in as an argument, by a clock that does not go back."""

    def __init__(self) -> None:
        self._full_at = float("-inf")
        """When all turns that were given will have been paid for."""

    def turn(self, now: float) -> float | None:
        """Return the seconds until a message may go, which takes its turn; `None`: too many wait."""
        full_at = max(now, self._full_at)
        wait = max(0.0, full_at - now - (BURST - 1) / EMITS)
        if wait > PATIENCE:
            return None
        self._full_at = full_at + 1 / EMITS
        return wait
