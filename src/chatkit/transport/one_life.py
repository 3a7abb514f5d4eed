"""`OneLife`: what every session of a provider is: read by one, and ended once."""

from __future__ import annotations

from abc import ABC
from collections.abc import AsyncIterator, Callable
from typing import Self

from chatkit.errors import StateError
from chatkit.ports.adapter import SessionClosed, Signal


class OneLife(AsyncIterator[Signal], ABC):
    """Of one connection; who derives from it says what comes next, and how it ends."""

    def __init__(self) -> None:
        self._read = False
        self._end: Callable[[], SessionClosed] | None = None
        """Makes the error that says how it ended: one for each who asks."""

    def signals(self) -> AsyncIterator[Signal]:
        """Return the signals, for one reader; ends by raising `SessionClosed`.

        Raises:
            StateError: Somebody reads them already.
        """
        if self._read:
            raise StateError("the signals of a session have one reader")
        self._read = True
        return self

    def __aiter__(self) -> Self:
        return self

    @property
    def ended(self) -> SessionClosed | None:
        """How it ended, if it has."""
        return None if self._end is None else self._end()

    def _check(self) -> None:
        """Raise how it ended, if it has."""
        if self._end is not None:
            raise self._end()
