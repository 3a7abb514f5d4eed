"""Readers of facts: each with a bounded queue and a named overflow policy (D21, I10, I13)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from chatkit.engine.system import logger
from chatkit.engine.track import Told, Track
from chatkit.errors import ConfigError, EventOverflow, StateError
from chatkit.model.events import (
    CustomEvent,
    Discontinuity,
    Event,
    ForeignFrame,
    PinChanged,
    PresenceChanged,
    ReceiptAdvanced,
    RoleChanged,
    TypingChanged,
)

if TYPE_CHECKING:
    from chatkit.model.cursor import Cursor
    from chatkit.model.order import Ident, OrderKey

Overflow: TypeAlias = Literal["raise", "gap", "reread"]
"""What a full queue does: end the stream with an error, go on behind a `Discontinuity`, or read the log."""

MAX_BUFFER: Final = 1_000_000
PASSING: Final = (CustomEvent, ForeignFrame, PresenceChanged, ReceiptAdvanced, TypingChanged)
"""Events of a channel or one of its threads that may be dropped where a reader is slow, counted (D21).

A mark that was missed is made good by the next one, and by `read_by`.
"""
STATES: Final = (PinChanged, RoleChanged)
"""Events that may be dropped likewise: what is so now can be asked for. All others are facts."""


class Subscription:
    """One reader. Events are offered synchronously and taken by `get`, one at a time.

    Args:
        kinds: Event types wanted; empty: all but `ForeignFrame`.
        channel: The channel, or `None` for all.
        buffer: Most events waiting, 1 to 1,000,000.
        overflow: What happens when they are more.
        thread: The message whose thread alone it hears; `None`: the whole channel.
        belongs: Says whether it hears an event, by what that is about; `None`: it does.

    Raises:
        ConfigError: `buffer` is out of bounds.
    """

    def __init__(
        self,
        kinds: tuple[type[Event], ...],
        channel: str | None,
        *,
        buffer: int,
        overflow: Overflow,
        thread: Ident | None = None,
        belongs: Callable[[Event], bool] | None = None,
    ) -> None:
        if not 1 <= buffer <= MAX_BUFFER:
            raise ConfigError(f"buffer must be 1 to {MAX_BUFFER:,} events")
        self.kinds = kinds
        self.channel = channel
        self.overflow: Final = overflow
        self.thread: Final = thread
        self.viewer = ""
        """Who listens."""
        self.gaps = 0
        self.dropped = 0
        self.closed = False
        self.error: BaseException | None = None
        self.reread: Callable[[str], bool] = lambda _: False
        """Has a channel's log read to it from where it is; says whether that can be done."""
        self.on_close: Callable[[], None] = lambda: None
        self.settled = True
        """Logs settle the order of their entries at once."""
        self._belongs = belongs
        self._tracks: dict[str, Track] = {}
        self._buffer = buffer
        self._queue: deque[Event] = deque()
        self._in_gap = False
        self._ready = asyncio.Event()
        self._room = asyncio.Event()
        self._reading = False

    def track(self, channel: str) -> Track:
        """Return how far it has come in a channel."""
        track = self._tracks.get(channel)
        if track is None:
            track = self._tracks[channel] = Track(settled=self.settled)
        return track

    def forget(self, channel: str, place: OrderKey, cursor: Cursor | None) -> None:
        """Places in a channel mean something else now, and it has all up to this one (D18)."""
        fresh = Track(settled=self.settled)
        fresh.begin(place, cursor)
        fresh.follows = self.track(channel).follows
        self._tracks[channel] = fresh

    @property
    def free(self) -> int:
        """How many more events it takes."""
        return max(0, self._buffer - len(self._queue))

    def takes(self, event: Event) -> bool:
        """Whether it asked for events of this type, and of this place."""
        return self.hears(type(event)) and (self._belongs is None or self._belongs(event))

    def hears(self, kind: type[Event]) -> bool:
        """Whether it asked for this type of event."""
        return issubclass(kind, self.kinds) if self.kinds else not issubclass(kind, ForeignFrame)

    # -- being told -------------------------------------------------------------------------------------

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
        elif isinstance(event, (*PASSING, *STATES)):
            self.dropped += 1
        else:
            self._overrun(event, None)
        return True

    def offer_gap(self, gap: Discontinuity, channel: str, until: OrderKey | None) -> bool:
        """Tell it of a gap that the log can fill: who came from the log reads it there instead (D19)."""
        track = self.track(channel)
        if track.replaying or (track.follows and self.reread(channel)):
            track.must_read(until)
            return True
        track.behind = track.behind or gap.after
        return self.offer(gap)

    def offer_fact(self, channel: str, told: Told) -> None:
        """Queue a durable fact, unless it has it from the log, or will have."""
        track = self.track(channel)
        if self.closed or track.has(told.ident, told.key):
            return
        if track.replaying:
            track.pass_by(told)
        elif len(self._queue) >= self._buffer and told.event is not None and self.takes(told.event):
            self._overrun(told.event, channel)
        else:
            self._give(track, told)

    def give(self, channel: str, told: Told) -> None:
        """Queue a fact, and remember it."""
        self._give(self.track(channel), told)

    def _give(self, track: Track, told: Told) -> None:
        track.note(told.ident, told.key, told.at)
        event = told.event
        if event is None or not self.takes(event):
            return
        if told.at is not None:
            if track.at is None or told.at > track.at:
                track.at, track.cursor = told.at, event.cursor
            cursor = track.behind or track.cursor
            event = event if event.cursor == cursor else replace(event, cursor=cursor)
        self._push(event)

    # -- reading ----------------------------------------------------------------------------------------

    def take(self) -> Event | None:
        """Take the next event if one waits and nobody is waiting for it; `None`: see `get`."""
        if self._reading or not self._queue:
            return None
        self._room.set()
        return self._queue.popleft()

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

    async def room(self, *, half: bool = False) -> None:
        """Wait until there is room for an event, or half of the queue is free; or until it is closed."""
        most = self._buffer // 2 if half else self._buffer - 1
        while len(self._queue) > most and not self.closed:
            self._room.clear()
            await self._room.wait()

    def close(self, error: BaseException | None = None) -> None:
        """End the stream once what is queued was taken; with an error, that is raised then."""
        if not self.closed:
            self.closed = True
            self.error = error
            self._ready.set()
            self._room.set()
            self.on_close()

    def _push(self, event: Event) -> None:
        self._in_gap = False
        self._queue.append(event)
        self._ready.set()

    def _overrun(self, event: Event, channel: str | None) -> None:
        """Deal with an event that finds no room; `channel`: a fact of it, which the log holds too."""
        if self.overflow == "raise":
            text = f"the reader fell {self._buffer} events behind and its stream ended"
            self.close(EventOverflow(text, channel=event.channel))
            return
        again = self.overflow == "reread" and channel is not None and self.reread(channel)
        if not self._in_gap:
            self._in_gap = True
            self.gaps += 1
            self._mark_gap(event, certain=not again)
        if again:
            return
        self.dropped += 1
        if channel is not None:
            track = self.track(channel)
            track.behind = track.behind or track.cursor

    def _mark_gap(self, event: Event, *, certain: bool) -> None:
        marker = Discontinuity(
            event_id=f"overflow:{event.event_id}",
            channel=event.channel,
            at=event.at,
            reason="handler",
            certain=certain,
        )
        if self.takes(marker):
            self._queue.append(marker)  # one beyond the buffer, so that it stands where events are missing
        elif certain:
            logger.warning("channel %s: a reader fell behind and lost events", event.channel)
