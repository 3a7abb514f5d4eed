"""`DateClock`: the server's time out of `Date` headers, for providers that tell no other (D4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from chatkit.ports.context import Clock

NEAR: Final = timedelta(seconds=2)
"""Up to this the device's own clock is the better word: headers end at seconds, and take their way."""


class DateClock:
    """Remembers the newest header.

    Args:
        clock: The device's clocks.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: tuple[datetime, float] | None = None

    def told(self, header: str | None) -> None:
        """Take note of a header, just come; one that cannot be read is none."""
        try:
            date = None if header is None else parsedate_to_datetime(header)
        except ValueError:
            return
        if date is not None and date.tzinfo is not None:
            self._told = (date.astimezone(UTC), self._clock.monotonic())

    def now(self) -> datetime | None:
        """Return server time; `None`: nothing was told."""
        if self._told is None:
            return None
        date, at = self._told
        told = date + timedelta(seconds=self._clock.monotonic() - at + 0.5)
        wall = self._clock.wall()
        return wall if abs(told - wall) <= NEAR else told
