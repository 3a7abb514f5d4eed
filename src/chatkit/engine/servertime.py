"""Server time as this device estimates it: an offset on the monotonic clock (D4, D13)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from chatkit.ports import Clock

SLEPT: Final = 5.0
"""Seconds that the wall clock must gain on the monotonic one to mean that the machine slept (D32)."""


class ServerTime:
    """What the provider's clock shows now.

    Args:
        clock: The device's clocks.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._set(clock.wall())
        self._mono = clock.monotonic()
        self._lead = self._lead_now()
        self._sleeps = 0
        self.confirmed = False
        """Whether a contact has shown the offset; nothing expires before (D13)."""
        self.behind = timedelta()
        """By how much the estimate was behind when a contact last confirmed it."""
        self.on_confirmed: Callable[[], None] = lambda: None
        """Called when the offset, unknown or in question until then, was confirmed."""

    def now(self) -> datetime:
        """Return server time, UTC."""
        return self._server + timedelta(seconds=self._clock.monotonic() - self._mono)

    def now_ms(self) -> int:
        """Return server time in milliseconds since 1970."""
        return int((self._seconds + self._clock.monotonic() - self._mono) * 1000)

    def confirm(self, server: datetime | None) -> None:
        """Take note of a contact; `None` where the provider has no clock and our own must do."""
        _ = self.sleeps()  # counted before what shows it is overwritten
        estimate = self.now()
        self._set(self._clock.wall() if server is None else server)
        self._mono = self._clock.monotonic()
        if not self.confirmed:
            self.behind = self._server - estimate
            self.confirmed = True
            self.on_confirmed()

    def sleeps(self) -> int:
        """Look at the clocks, and return how often the machine was found to have slept so far (D32).

        After a sleep the offset is in question until a contact. A count, so that each who watches a socket
        learns of each sleep, whoever noticed it.
        """
        lead = self._lead_now()
        jump, self._lead = lead - self._lead, lead
        if jump > SLEPT:
            self._sleeps += 1
            self._set(self._server + timedelta(seconds=jump))
            self.confirmed = False
        return self._sleeps

    def _set(self, server: datetime) -> None:
        self._server = server
        self._seconds = server.timestamp()  # asked for with each message

    def _lead_now(self) -> float:
        return self._clock.wall().timestamp() - self._clock.monotonic()
