"""`Ways`: which transport is tried next, where the app leaves that open.

WebSockets come first. Where something answers for the server that speaks none, or three attempts in a row end
before the service's greeting, while it answers calls, event streams are opened; where those bring nothing,
history is polled.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from chatkit.adapters.ably.config import Transport
from chatkit.ports.adapter import SessionClosed
from chatkit.ports.context import Clock, RandomSource

Way: TypeAlias = Literal["websocket", "sse", "poll"]

ATTEMPTS: Final = 3
"""Sockets in a row without a greeting, or streams that brought nothing, after which they do not pass."""
AGAIN: Final = 600.0
"""Seconds after which event streams are tried again."""
FIRST: Final = 15.0
"""Seconds until a socket is tried again beside what does in its place; doubled each time, up to `LAST`."""
LAST: Final = 300.0


class NoSocket(SessionClosed):
    """No connection was greeted. `answered`: something answered that speaks no WebSocket."""

    def __init__(self, message: str, *, hint: str | None = None, answered: bool = False) -> None:
        super().__init__(message, again="later", hint=hint)
        self.answered = answered


def upgrade_waits(random: RandomSource) -> Iterator[float]:
    """Give the seconds before each attempt at a socket while something else does."""
    wait = FIRST
    while True:
        yield wait * (0.75 + random.random() / 2)
        wait = min(LAST, 2 * wait)


class Ways:
    """Of one adapter.

    Args:
        wanted: By the app.
        clock: For how long event streams are let be.
    """

    def __init__(self, wanted: Transport, clock: Clock) -> None:
        self._wanted: Final = wanted
        self._clock = clock
        self._sockets = 0
        self._streams_at = float("-inf")
        """When streams are tried again."""

    @property
    def open(self) -> bool:
        """Whether the app leaves it open."""
        return self._wanted == "auto"

    def choose(self) -> Way:
        """Return what is to be tried."""
        if self._wanted != "auto":
            return self._wanted
        if self._sockets < ATTEMPTS:
            return "websocket"
        return "poll" if self._clock.monotonic() < self._streams_at else "sse"

    def no_socket(self, *, answered: bool) -> None:
        """Take note that there was no greeting; `answered`: something did that speaks no WebSocket."""
        self._sockets = ATTEMPTS if answered else self._sockets + 1

    def no_streams(self) -> None:
        """Take note that streams bring nothing while calls are answered."""
        self._streams_at = self._clock.monotonic() + AGAIN

    def socket(self) -> None:
        """Take note of a greeting; or that nothing at all is answered, so that nobody knows."""
        self._sockets = 0
