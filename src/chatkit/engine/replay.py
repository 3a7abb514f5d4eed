"""Reading the log into a stream from a place of its own, then joining the live facts without hole or double."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Final

from chatkit.core import backoff
from chatkit.core.timeline import Timeline
from chatkit.engine.context import Context
from chatkit.engine.presenting import Presenter, event_of, visible
from chatkit.engine.reading import from_log
from chatkit.errors import ChatkitError, CursorInvalid
from chatkit.model.entry import Entry
from chatkit.model.order import Ident, OrderKey, Place

if TYPE_CHECKING:
    from chatkit.engine.channel import ChannelEngine
    from chatkit.engine.subscription import Subscription

PAGE: Final = 200
"""Entries in one read."""
WINDOW: Final = 1_000
"""Messages that a replay keeps folded; the target of an older change is asked of the log."""


class Replay:
    """Feeds one subscription of one channel from the log until the live stream takes over.

    Args:
        context: The client's parts.
        channel: The channel.
        presenter: The app's middleware.
        reader: The subscription.
        viewer: Whose events are `own`.
    """

    def __init__(
        self, context: Context, channel: ChannelEngine, presenter: Presenter, reader: Subscription, viewer: str
    ) -> None:
        self._context = context
        self._channel = channel
        self._presenter = presenter
        self._reader = reader
        self._viewer = viewer
        self._task: asyncio.Task[None] | None = None

    def start(self, after: Place | None) -> None:
        """Begin at a place; live facts wait for it. One runs at a time."""
        self._reader.replaying = True
        if self._task is None or self._task.done():
            name = f"replay:{self._channel.name}"
            self._task = self._context.tasks.task(self._run(after), name)

    def again(self) -> None:
        """The reader lost facts: go on from the last one it was given."""
        self.start(self._reader.given)

    async def _run(self, after: Place | None) -> None:
        log = self._context.need_log(self._channel.name)
        timeline = Timeline(self._channel.name, self._viewer, origin=self._context.origin, rights=True, keep=WINDOW)
        failures = 0
        place = after
        while not self._reader.closed:
            asked = place
            try:
                got = await self._context.read(lambda: log.entries(self._channel.name, after=asked, limit=PAGE))
                self._check(asked, got.state.floor, got.state.epoch)
                for entry in got.items:
                    await self._give(timeline, entry)
            except ChatkitError as error:
                if not error.retryable:
                    self._reader.close(error)
                    return
                failures += 1
                await asyncio.sleep(backoff.delay(failures, self._context.random.random()))
                continue
            failures = 0
            if got.items:
                place = got.items[-1].stamp.key
            elif got.state.head is not None and (place is None or isinstance(place, datetime)):
                place = OrderKey(got.state.epoch, got.state.head)
            if not got.more and self._joins(place):
                return

    def _joins(self, place: Place | None) -> bool:
        """Let live facts through, if none above `place` has passed by meanwhile."""
        told = self._channel.receiver.told
        if place is None or isinstance(place, datetime):
            if told is not None:
                return False
        else:
            if told is not None and told > place:
                return False
            if self._reader.given is None or place > self._reader.given:
                self._reader.given = place
            if self._channel.receiver.continuity.contiguous:
                self._reader.after[self._channel.name] = place
        self._reader.replaying = False
        return True

    def _check(self, after: Place | None, floor: str | None, epoch: int) -> None:
        if isinstance(after, OrderKey) and floor is not None and after < OrderKey(epoch, floor):
            raise CursorInvalid("what follows this cursor was trimmed from the log", channel=self._channel.name)

    async def _give(self, timeline: Timeline, entry: Entry) -> None:
        fact = from_log(self._context, self._channel.name, entry)
        if fact is None:
            return
        if self._reader.recent is None and not self._channel.receiver.continuity.contiguous:
            self._reader.recent = {}
        known = self._reader.has(self._channel.name, fact.ident, fact.key)
        await self._fetch_target(timeline, fact.envelope.ref if fact.envelope.kind != "message.create" else None)
        for applied in timeline.apply(fact):
            if known or not visible(applied, applied.fact):
                continue
            event = event_of(applied, self._viewer, fact.key)
            if event is not None:
                shown = await self._presenter.present(event)
                if shown is not None:
                    await self._reader.put(shown)
        self._reader.note(fact.ident, fact.key)

    async def _fetch_target(self, timeline: Timeline, ref: object) -> None:
        """Have the target of a change at hand, as the log has it now."""
        user, target = getattr(ref, "user", None), getattr(ref, "id", None)
        if user is None or target is None or timeline.get(Ident(user, target)) is not None:
            return
        log = self._context.need_log(self._channel.name)
        got = await self._context.read(lambda: log.get(self._channel.name, [Ident(user, target)]))
        _ = timeline.load(got.items, as_of=got.as_of, provisional=got.provisional)
