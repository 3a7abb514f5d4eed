"""Places: serials as keys, the times in them, and `Trail`: from where a channel can be gone on with.

Serials sort as text and are opaque but for two things that every one seen so far has: the serial of a message
is that of its frame, a colon and an index; and it begins with the time in 14 digits. The first makes the line
behind a frame (`behind`); the second is an estimate alone: without it reads begin further back.

Source: the Ably sheet, sections 6 and 7; decision 21.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from chatkit.model.order import OrderKey

EPOCH: Final = 1
"""One sequencer for each channel: the service."""
STEPS: Final = 1_000
"""Places that a trail remembers of one channel (I10)."""

_START: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS: Final = 14
"""Of the time in a serial."""
_EXACT: Final = 1 << 42
"""Milliseconds, until the year 2109, in which a float of seconds tells each from the next exactly."""


def key_of(serial: str) -> OrderKey:
    """Return the place of a message."""
    return OrderKey(EPOCH, serial)


def behind(channel_serial: str) -> OrderKey:
    """Return the place behind all messages of a frame and before those of the next."""
    return OrderKey(EPOCH, f"{channel_serial}:~")


def version_key(version: str) -> OrderKey:
    """Return the place of a version of a message: behind its serial, so that no place is two things."""
    return OrderKey(EPOCH, f"{version}:v")


def annotation_key(serial: str) -> OrderKey:
    """Return the place of an annotation: behind its serial, as that of a version."""
    return OrderKey(EPOCH, f"{serial}:a")


def is_annotation(place: OrderKey) -> bool:
    """Say whether a place is that of an annotation."""
    return place.serial.endswith(":a")


def is_change(place: OrderKey) -> bool:
    """Say whether a place is that of a version or an annotation, at which no message stands."""
    return place.serial.endswith((":v", ":a"))


def moment(milliseconds: int) -> datetime:
    """Return a time of the service."""
    if 0 <= milliseconds < _EXACT:  # of each message: it takes a quarter of the time
        return datetime.fromtimestamp(milliseconds / 1_000, UTC)
    return _START + timedelta(milliseconds=milliseconds)


def time_of(serial: str) -> int | None:
    """Return when a serial was made, in milliseconds since 1970; `None`: it does not say."""
    time = serial[:_DIGITS]
    return int(time) if serial[_DIGITS : _DIGITS + 1] == "-" and time.isdecimal() else None


def place_at(milliseconds: int) -> OrderKey:
    """Return a place before everything of a time or later."""
    return OrderKey(EPOCH, f"{max(0, milliseconds):014d}-")


class Trail:
    """The frames of one channel since continuity began: each place, and the serial that goes on behind it.

    Args:
        channel_serial: Where it began: of an ATTACHED.
    """

    def __init__(self, channel_serial: str) -> None:
        self.start = behind(channel_serial)
        self._steps: list[tuple[str, str]] = [(self.start.serial, channel_serial)]
        self._greatest = self.start.serial

    def step(self, serial: str, channel_serial: str) -> None:
        """Take note of a frame by the serial of its last message."""
        self._steps.append((serial, channel_serial))
        self._greatest = max(self._greatest, serial)
        if len(self._steps) > STEPS:  # the older half becomes coarser: more comes twice, nothing is missed
            del self._steps[1 : STEPS // 2 : 2]

    def back_to(self, after: OrderKey | None, *, given: str = "") -> str | None:
        """Return the serial from where to go on so that nothing after a place is missed; forget what follows.

        Args:
            after: The place.
            given: The greatest place that a read or an acknowledgement told.

        Returns:
            `None`: nobody can say what is missing after it.
        """
        if after is None or after.epoch != EPOCH or after < self.start:
            return None
        if after.serial > max(given, self._greatest):
            return None
        count = next(
            (i for i, (serial, _) in enumerate(self._steps) if serial > after.serial), len(self._steps)
        )
        del self._steps[max(1, count) :]
        return self._steps[-1][1]
