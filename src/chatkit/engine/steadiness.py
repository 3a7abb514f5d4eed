"""`Steadiness`: whether a log that says that it is another one is to be believed (D18)."""

from __future__ import annotations

from typing import Final

AGREE: Final = 3
"""Answers in a row that must name the same other log, once the answers of one were not of one log."""
FORGET: Final = 600.0
"""Seconds without such answers after which the first one is believed again."""
FIRST: Final = 1.0
"""Seconds until a log that wavers is asked again; they double each time."""


class Steadiness:
    """Of the log behind one channel. Time comes in as an argument, by a clock that does not go back.

    A log that was replaced is begun anew at once. Where its answers turn out to be now of one log and now of
    another, of two databases behind one address, say, that would go on for ever: then it must say so several
    times first.
    """

    def __init__(self) -> None:
        self._wavered_at: float | None = None
        self._times = 0
        self._said: str | None = None
        self._agreed = 0

    def says(self, log_id: str | None, now: float) -> bool:
        """Take note that the log says that it is another one; returns whether to believe it."""
        if self._wavered_at is None or now - self._wavered_at > FORGET:
            self._wavered_at, self._times = None, 0
            return True
        self._agreed = self._agreed + 1 if log_id == self._said else 1
        self._said = log_id
        return self._agreed >= AGREE

    def fits(self) -> None:
        """Take note that the log says that it is the one that is known."""
        self._said, self._agreed = None, 0

    def wavers(self, now: float) -> float:
        """Take note that the answers are of several logs; returns the seconds until to ask again."""
        self._wavered_at = now
        self._times += 1
        return FIRST * 2.0 ** min(self._times, 10)
