"""Whether the app uses its client: who is present and idle is shown as away (D32)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from chatkit.ports import Clock

IDLE: Final = 300.0
"""Seconds in which the app asked nothing of the client, after which it is idle."""


class Activity:
    """When the client was used last.

    Args:
        clock: By which it is told.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at = clock.monotonic()
        self.on_back: list[Callable[[], None]] = []
        """Called when an idle client is used again."""

    @property
    def idle(self) -> bool:
        """Whether nothing was asked of it for long."""
        return self.wait == 0

    @property
    def wait(self) -> float:
        """Seconds until it is idle if nothing is asked of it."""
        return max(0.0, self._at + IDLE - self._clock.monotonic())

    def touch(self) -> None:
        """The app asked something of the client."""
        before, self._at = self._at, self._clock.monotonic()
        if self._at >= before + IDLE:
            for told in self.on_back:
                told()
