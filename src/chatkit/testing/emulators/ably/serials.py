"""Places in a channel: opaque to clients, in order as strings."""

from __future__ import annotations

from collections.abc import Callable

from chatkit.testing.emulators.ably.plain import natural


class Serials:
    """Makes the serials of one channel, `MILLISECONDS-COUNTER@SERIES`, each above all before it.

    Args:
        now: Milliseconds since 1970.
        series: Names this run of the channel.
    """

    def __init__(self, now: Callable[[], int], series: str) -> None:
        self._now = now
        self._series = series
        self._last = (now(), 0)

    @property
    def head(self) -> str:
        """The newest; at first a place before everything."""
        return self._text(*self._last)

    def next(self) -> str:
        """A new one."""
        millis, counter = self._last
        now = self._now()
        if now > millis:
            self._last = (now, 0)
        else:
            self._last = (millis, counter + 1) if counter < 999 else (millis + 1, 0)
        return self.head

    def present(self) -> str:
        """The newest, brought up to the present."""
        self._last = max(self._last, (self._now(), 0))
        return self.head

    def owns(self, serial: str) -> bool:
        """Whether it looks like one of this series."""
        return serial.endswith(f"@{self._series}")

    def at(self, serial: str) -> int | None:
        """When it was made, in milliseconds since 1970; `None` if it is none of this series."""
        return natural(serial.partition("-")[0]) if self.owns(serial) else None

    def _text(self, millis: int, counter: int) -> str:
        return f"{millis:014d}-{counter:03d}@{self._series}"
