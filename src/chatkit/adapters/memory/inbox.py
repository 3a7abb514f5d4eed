"""`Inbox`: the signals of one session, waiting for their one reader."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Self

from chatkit.ports.adapter import Alive, Moved, Received, Roster, SessionClosed, Shed, Signal


class Inbox(AsyncIterator[Signal]):
    """A queue that ends by raising. Cancelling a read loses nothing.

    Args:
        taken: Called for each counted signal that left, read or not.
    """

    def __init__(self, taken: Callable[[Signal], None]) -> None:
        self._taken = taken
        self._queue: deque[tuple[Signal, bool]] = deque()
        self._end: Callable[[], SessionClosed] | None = None
        self._wake: asyncio.Future[None] | None = None

    def put(self, signal: Signal, *, counted: bool = False) -> None:
        """Add a signal; one `Alive` after another says no more than the last of them."""
        if isinstance(signal, Alive) and self._queue and isinstance(self._queue[-1][0], Alive):
            self._queue.pop()
        self._queue.append((signal, counted))
        self._stir()

    def purge(self, channel: str) -> None:
        """Throw away what waits of a channel."""
        kept: deque[tuple[Signal, bool]] = deque()
        for signal, counted in self._queue:
            if isinstance(signal, (Received, Shed, Roster, Moved)) and signal.channel == channel:
                self._leave(signal, counted)
            else:
                kept.append((signal, counted))
        self._queue = kept

    def close(self, end: Callable[[], SessionClosed]) -> None:
        """Raise this once what waits has been read."""
        self._end = end
        self._stir()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Signal:
        while not self._queue:
            if self._end is not None:
                raise self._end()
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        signal, counted = self._queue.popleft()
        self._leave(signal, counted)
        return signal

    def _leave(self, signal: Signal, counted: bool) -> None:  # noqa: FBT001  # half of a pair taken from the queue
        if counted:
            self._taken(signal)

    def _stir(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
