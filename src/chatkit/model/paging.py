"""What every log of ours numbers by, and how much it hands out at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

EPOCH: Final = 1
"""One sequencer, the log, for every channel."""
ALWAYS: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Earlier than anything a log could hold."""
MOST: Final = 1_000
"""Most items in one answer."""


def bounded(limit: int) -> int:
    """Return how many items to give where `limit` were asked for."""
    return min(max(limit, 1), MOST)
