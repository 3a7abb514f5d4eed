"""Server time as this device estimates it: an offset on the monotonic clock (D4, D13)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from chatkit.ports import Clock

SLEPT: Final = 5.0
"""Seconds by which the wall clock must run ahead of the monotonic one to mean that the machine slept (D32)."""


class ServerTime:
    """What the provider's clock shows now.

    Args:
        clock: The device's clocks.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._server = clock.wall()
        self._mono = clock.monotonic()
        self._drift = self._lead()
        self.confirmed = False
        """Whether a contact has shown the offset; nothing expires before (D13)."""

    def now(self) -> datetime:
        """Return server time, UTC."""
        return self._server + timedelta(seconds=self._clock.monotonic() - self._mono)

    def now_ms(self) -> int:
        """Return server time in milliseconds since 1970."""
        return int(self.now().timestamp() * 1000)

    def confirm(self, server: datetime | None) -> None:
        """Take note of a contact; `None` where the provider has no clock and our own must do."""
        self._server = self._clock.wall() if server is None else server
        self._mono = self._clock.monotonic()
        self.confirmed = True

    def slept(self) -> bool:
        """Say, once for each time, whether the machine slept; the offset is then in question until a contact."""
        lead = self._lead()
        jump, self._drift = lead - self._drift, lead
        if jump <= SLEPT:
            return False
        self._server += timedelta(seconds=jump)
        self.confirmed = False
        return True

    def _lead(self) -> float:
        return self._clock.wall().timestamp() - self._clock.monotonic()
