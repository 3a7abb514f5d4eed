"""`DateClock`: the server's time out of `Date` headers, for providers that tell no other (D4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from chatkit.ports.context import Clock

NEAR: Final = timedelta(seconds=2)
"""Up to this the device's own clock is the better word: headers end at seconds, and take their way."""

_LATEST: Final = 9_000
"""The last year that is believed: what is told is counted on, and dates end."""


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
            if date is not None and date.tzinfo is not None:
                date = date.astimezone(UTC)
                if date.year <= _LATEST:
                    self._told = (date, self._clock.monotonic())
        except (ValueError, OverflowError):
            return

    def now(self) -> datetime | None:
        """Return server time; `None`: nothing was told."""
        if self._told is None:
            return None
        date, at = self._told
        told = date + timedelta(seconds=self._clock.monotonic() - at + 0.5)
        wall = self._clock.wall()
        return wall if abs(told - wall) <= NEAR else told
