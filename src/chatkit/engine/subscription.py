"""Readers of facts: each with a bounded queue and a named overflow policy (D21, I10, I13)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from chatkit.errors import ConfigError, EventOverflow, StateError
from chatkit.model.events import Discontinuity, Event, ForeignFrame

if TYPE_CHECKING:
    from chatkit.model.order import Ident, OrderKey

Overflow: TypeAlias = Literal["raise", "gap", "reread"]
"""What a full queue does: end the stream with an error, go on behind a `Discontinuity`, or read the log anew."""

MAX_BUFFER: Final = 1_000_000
RECENT: Final = 1_000
"""Facts remembered by a reader that came from the log, so that a late frame is not given twice."""


class Subscription:
    """One reader. Events are offered synchronously and taken by `get`, one at a time.

    Args:
        kinds: Event types wanted; empty: all but `ForeignFrame`.
        channel: The channel, or `None` for all.
        buffer: Most events waiting, 1 to 1,000,000.
        overflow: What happens when they are more.
    """

    def __init__(
        self, kinds: tuple[type[Event], ...], channel: str | None, *, buffer: int, overflow: Overflow
    ) -> None:
        if not 1 <= buffer <= MAX_BUFFER:
            raise ConfigError(f"buffer must be 1 to {MAX_BUFFER:,} events")
        self.kinds = kinds
        self.channel = channel
        self.gaps = 0
        self.dropped = 0
        self.closed = False
        self.error: BaseException | None = None
        self.after: dict[str, OrderKey] = {}
        """By channel: live facts up to here are not for this reader; it began later, or has them already."""
        self.replaying = False
        """Durable facts come from the log just now, not from the live stream."""
        self.reread: Callable[[], None] | None = None
        """Starts a replay from `given`; set where there is a log."""
        self.given: OrderKey | None = None
        """Place of the newest durable fact that was queued, where the reader is of one channel."""
        self.recent: dict[Ident, None] | None = None
        """Facts it had from a log whose order is not settled at once: there a late one may lie below `after`."""
        self._buffer = buffer
        self._overflow = overflow
        self._queue: deque[Event] = deque()
        self._ready = asyncio.Event()
        self._room = asyncio.Event()
        self._reading = False

    def takes(self, event: Event) -> bool:
        """Whether it asked for events of this type."""
        if not self.kinds:
            return not isinstance(event, ForeignFrame)
        return isinstance(event, self.kinds)

    def offer(self, event: Event) -> bool:
        """Queue an event; returns whether it was taken or counted."""
        if self.closed:
            return False
        if isinstance(event, Discontinuity):
            self.gaps += 1
        if not self.takes(event):
            return False
        if len(self._queue) < self._buffer:
            self._push(event)
        elif event.cursor is None and not isinstance(event, Discontinuity):
            self.dropped += 1
        else:
            self._overrun(event)
        return True

    def has(self, channel: str, ident: Ident, key: OrderKey) -> bool:
        """Whether this reader was given a fact before, or began after it."""
        after = self.after.get(channel)
        return (after is not None and key <= after) or (self.recent is not None and ident in self.recent)

    def note(self, ident: Ident, key: OrderKey) -> None:
        """Remember that a fact was queued."""
        if self.given is None or key > self.given:
            self.given = key
        if self.recent is not None:
            self.recent[ident] = None
            if len(self.recent) > RECENT:
                del self.recent[next(iter(self.recent))]

    async def put(self, event: Event) -> None:
        """Queue an event, waiting for room: how the log is read into the queue."""
        while len(self._queue) >= self._buffer and not self.closed:
            self._room.clear()
            await self._room.wait()
        self.offer(event)

    async def get(self) -> Event:
        """Take the next event; cancelling loses none.

        Raises:
            StopAsyncIteration: The reader or its client was closed.
            StateError: Somebody else is reading.
            ChatkitError: The stream failed for good.
        """
        if self._reading:
            raise StateError("this stream has a reader already", hint="Open a stream for each reader.")
        self._reading = True
        try:
            while not self._queue:
                if self.error is not None:
                    raise self.error
                if self.closed:
                    raise StopAsyncIteration
                self._ready.clear()
                await self._ready.wait()
        finally:
            self._reading = False
        self._room.set()
        return self._queue.popleft()

    def close(self, error: BaseException | None = None) -> None:
        """End the stream once what is queued was taken; with an error, that is raised then."""
        if not self.closed:
            self.closed = True
            self.error = error
            self._ready.set()
            self._room.set()

    def _push(self, event: Event) -> None:
        self._queue.append(event)
        self._ready.set()

    def _overrun(self, event: Event) -> None:
        if self._overflow == "raise":
            self.close(
                EventOverflow(f"the reader fell {self._buffer} events behind and its stream ended", channel=event.channel)
            )
            return
        self.gaps += 1
        self.dropped += 1
        marker = Discontinuity(
            event_id=f"overflow:{event.event_id}",
            channel=event.channel,
            at=event.at,
            reason="handler",
            certain=self.reread is None,
        )
        if not isinstance(self._queue[-1], Discontinuity) and self.takes(marker):
            self._push(marker)
        if self._overflow == "reread" and self.reread is not None:
            self.reread()
