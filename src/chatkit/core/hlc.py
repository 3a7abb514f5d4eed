"""The hybrid clock: time that never goes back and that remembers what it has seen (D4).

A reading is `%012x-%04x`: milliseconds since 1970 by server time, and a counter. Readings compare as text.
"""

from __future__ import annotations

import re
from typing import Final

from chatkit.errors import InvalidMessage, StateError
from chatkit.model.ids import CLOCK

MAX_AHEAD_MS: Final = 60_000
"""A reading further ahead of server time is believed by nobody's clock (D4)."""

_COUNTER_BITS = 16
_LAST_READING = (1 << 48 + _COUNTER_BITS) - 1


class HybridClock:
    """One device's clock. It is told the time and never asks for it; not thread-safe.

    Args:
        last: Its last reading as kept in the store; `None` for a new device.

    Raises:
        InvalidMessage: `last` is not a reading.
    """

    __slots__ = ("_last",)

    def __init__(self, last: str | None = None) -> None:
        # Milliseconds and counter as one number, so that a full counter carries into the milliseconds.
        self._last = -1 if last is None else _number(last)

    @property
    def last(self) -> str | None:
        """The greatest reading given or merged: what the store keeps."""
        return None if self._last < 0 else _text(self._last)

    def tick(self, now_ms: int) -> str:
        """Return a reading greater than all before it, however the wall clock moves.

        Args:
            now_ms: Server time, milliseconds since 1970.

        Raises:
            StateError: The clock has come to its end, in the year 10889.
        """
        reading = max(now_ms << _COUNTER_BITS, self._last + 1)
        if reading > _LAST_READING:
            raise StateError("the hybrid clock is at its end", hint="Correct the time of this machine.")
        self._last = reading
        return _text(reading)

    def observe(self, remote: str, now_ms: int) -> bool:
        """Merge a reading that came with a message: every later tick is greater.

        Args:
            remote: The message's `hlc`.
            now_ms: Server time, milliseconds since 1970.

        Returns:
            Whether it was merged. False: it is more than 60 s ahead of server time, the clock is as
            before and the message is `clock_suspect` (D4).

        Raises:
            InvalidMessage: `remote` is not a reading.
        """
        number = _number(remote)
        if number >> _COUNTER_BITS > now_ms + MAX_AHEAD_MS:
            return False
        self._last = max(self._last, number)
        return True


def _number(reading: str) -> int:
    if not _is_reading(reading):
        raise InvalidMessage("hlc: is not a reading of the hybrid clock")
    return int(reading.replace("-", ""), 16)


def _text(number: int) -> str:
    digits = f"{number:016x}"
    return f"{digits[:12]}-{digits[12:]}"


_is_reading = re.compile(CLOCK[1:-1]).fullmatch
