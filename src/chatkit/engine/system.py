"""The real clock, and the observer that writes labelled points to the log."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

logger = logging.getLogger("chatkit")


class SystemClock:
    """The `Clock` of a program in earnest."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start."""
        return time.monotonic()

    def wall(self) -> datetime:
        """The time of day in UTC."""
        return datetime.now(UTC)


class LogObserver:
    """Writes each labelled point at DEBUG: names, numbers and ids, no bodies and no secrets (I16)."""

    def point(self, name: str, /, **fields: str | float | None) -> None:
        """Note that a point was reached."""
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s %s", name, " ".join(f"{key}={value}" for key, value in fields.items()))
