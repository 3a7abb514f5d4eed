"""Reading the log to a reader from a place of its own, then joining the live facts without hole or double."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from chatkit.core import backoff
from chatkit.core.timeline import Timeline
from chatkit.engine.news import News, can_fetch, event_of, fetched, news_of
from chatkit.engine.progress import LAG, head_of
from chatkit.engine.reading import Refused, from_log
from chatkit.engine.track import Told
from chatkit.errors import ChatkitError, CursorInvalid
from chatkit.model.cursor import Cursor, Spot, encode_cursor
from chatkit.model.events import Discontinuity, Event
from chatkit.model.ids import new_message_id
from chatkit.model.order import OrderKey, Place

if TYPE_CHECKING:
    from chatkit.core.fact import Fact
    from chatkit.engine.channel import ChannelEngine
    from chatkit.engine.context import Context
    from chatkit.engine.presenting import Presenter
    from chatkit.engine.subscription import Subscription
    from chatkit.ports import Entries, LogState

T = TypeVar("T")
Loss = Literal["retention", "log_reset"]

PAGE: Final = 200
"""Entries in one read."""
WINDOW: Final = 1_000
"""Messages that a replay keeps folded; the target of an older change is asked of the log."""
PAUSE: Final = 1.0
"""Seconds between two reads where the log does not have yet what it must have."""


class Replay:
    """Reads the log of one channel to one reader, from a place to where live facts take over.

    Args:
        context: The client's parts.
        channel: The channel.
        presenter: The app's middleware.
        reader: The subscription; its track of the channel is `replaying` until live facts take over.
        viewer: Whose events are `own`.
        origin: Who numbered the place that the app named; `None`: it named none, or nobody can say.
    """

    def __init__(
        self,
        context: Context,
        channel: ChannelEngine,
        presenter: Presenter,
        reader: Subscription,
        viewer: str,
        *,
        origin: str | None = None,
    ) -> None:
        self._context = context
        self._name = channel.name
        self._progress = channel.progress
        self._receiver = channel.receiver
        self._teller = channel.teller
        self._roles = channel.roles
        self._presenter = presenter
        self._reader = reader
        self._viewer = viewer
        self._origin = origin
        self._track = reader.track(channel.name)
        self._contiguous = channel.progress.continuity.contiguous
        self._log = context.need_log(channel.name)
        self._log_id: str | None = None
        self._lagging_since: float | None = None
        rights = "fence" in self._log.capabilities
        self._timeline = Timeline(self._name, viewer, origin=context.origin, rights=rights, keep=WINDOW)

    async def run(self, after: Place | None, *, asked: bool) -> None:
        """Read on until live facts take over, the reader is closed, or the log is another one by now.

        Args:
            after: Where to begin; `None`: before the oldest entry.
            asked: The app named the place, and hears where there is none such.
        """
        # What was told before must be in what is read now.
        self._track.must_read(self._teller.told)
        place = after
        while self._goes_on:
            got = await self._insist(partial(self._log.entries, self._name, after=place, limit=PAGE))
            if got is None:
                return
            loss = self._loss(place, got.state)
            if loss == "lagging":
                await asyncio.sleep(PAUSE)
                continue
            if loss == "log_reset" and not asked and self._channel_tells(got.state):
                self._receiver.prompt_read(0.0)
                await asyncio.sleep(PAUSE)
                continue
            self._log_id = got.state.log_id
            self._progress.answered = self._progress.answered or got.state.log_id
            if loss is not None and asked:
                self._reader.close(_invalid(loss, self._name))
                return
            if asked and isinstance(place, OrderKey):
                self._track.after = place  # the rest is not wanted, however late it comes to this client
            asked = False
            if loss is not None:
                place = self._tell_loss(loss, place, got.state)
            if loss == "log_reset":
                continue
            await self._give_all(got)
            self._context.observer.point("replay.read", channel=self._name, entries=len(got.items))
            place = _end_of(got, place)
            if got.more and got.items:
                continue
            await self._reader.room(half=True)  # so that live facts find room behind what was read
            await self._teller.beginning.settled.wait()
            if not self._goes_on or self._joins(place):
                return
            if not got.items:
                await asyncio.sleep(PAUSE)

    @property
    def _goes_on(self) -> bool:
        """Whether somebody is there to read to; a reader forgets its track when the log is replaced (D18)."""
        return not self._reader.closed and self._reader.track(self._name) is self._track

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """Read, again and again while that can help; `None`: it was refused, and the reader hears why."""
        failures = 0
        while True:
            try:
                return await self._context.read(call)
            except ChatkitError as error:
                if not error.retryable:
                    self._reader.close(error)
                    return None
                failures += 1
                await asyncio.sleep(backoff.delay(failures, self._context.random.random()))

    # -- places -----------------------------------------------------------------------------------------

    def _loss(self, place: Place | None, state: LogState) -> Loss | Literal["lagging"] | None:
        """Say whether the log still has what follows a place (D18)."""
        known = self._log_id
        if known is None and self._origin not in {None, state.log_id, self._context.origin}:
            return "log_reset"
        if known not in {None, state.log_id}:
            return "log_reset"
        if not isinstance(place, OrderKey):
            return None
        if place > head_of(state):
            now = self._context.clock.monotonic()
            self._lagging_since = now if self._lagging_since is None else self._lagging_since
            return "lagging" if now - self._lagging_since < LAG else "log_reset"
        self._lagging_since = None
        below = state.floor is not None and place < OrderKey(state.epoch, state.floor)
        return "retention" if below else None

    def _channel_tells(self, state: LogState) -> bool:
        """Whether the channel finds another log, too: it tells its readers, and ends what reads to them.

        Were this reader told here as well, it would hear of one reset twice.
        """
        progress = self._progress
        restored = progress.complete is not None and head_of(state) < progress.complete
        return restored or not progress.is_of(state.log_id)

    def _tell_loss(self, loss: Loss, place: Place | None, state: LogState) -> OrderKey:
        """Tell the reader what it misses, and return where to go on."""
        end = OrderKey(state.epoch, (state.floor if loss == "retention" else state.head) or "")
        self._lagging_since = None
        server_time = self._context.server_time
        _ = self._reader.offer(
            Discontinuity(
                event_id=new_message_id(server_time.now_ms(), self._context.random),
                channel=self._name,
                at=server_time.now(),
                reason=loss,
                after=self._cursor(place) if loss == "retention" and isinstance(place, OrderKey) else None,
                until=self._cursor(end),
            )
        )
        return end

    def _joins(self, place: OrderKey) -> bool:
        """Let live facts through, and those that passed by meanwhile, if the log was read far enough."""
        track = self._track
        for least in (track.unkept, self._teller.beginning.after):
            if least is not None and place < least:
                return False
        if self._contiguous:
            track.after = place if track.after is None else max(place, track.after)
        fresh = [fact for fact in track.passed if not track.has(fact.ident, fact.key)]
        if len(fresh) > self._reader.free:
            return False
        track.passed.clear()
        track.replaying, track.unkept = False, None
        track.reached(self._place(place))
        for told in fresh:
            self._reader.give(self._name, told)
        self._context.observer.point("replay.joined", channel=self._name)
        return True

    # -- facts ------------------------------------------------------------------------------------------

    async def _give_all(self, got: Entries) -> None:
        for entry in got.items:
            fact = from_log(self._context, self._name, entry)
            if isinstance(fact, Refused):
                self._context.counters[f"refused_entry:{fact.reason}"] += 1
            elif await self._roles.admits(fact):
                await self._give(fact)

    async def _give(self, fact: Fact) -> None:
        """Fold a fact, and give what there is to tell; what the reader has, it is not given again."""
        known = self._track.has(fact.ident, fact.key)
        for applied in self._timeline.apply(fact):
            news = news_of(applied, fact, fetches=can_fetch(self._context))
            if known or news is None:
                continue
            at = self._place(news.fact.key)
            event = await self._event(news, at)
            if event is not None:
                await self._reader.room()
            if self._goes_on:
                self._reader.give(self._name, Told(event, news.fact.ident, news.fact.key, at))
        if self._goes_on:
            self._track.note(fact.ident, fact.key, self._place(fact.key))

    async def _event(self, news: News, at: OrderKey) -> Event | None:
        """Return the event of a fact as the reader gets it; `None`: it shows nothing, or is not asked for."""
        if not self._reader.hears(news.kind):
            return None
        found: News | None = news
        if news.needs_message:
            found = await self._insist(lambda: fetched(self._context, news, self._viewer))
        event = None if found is None else event_of(found, self._viewer, self._cursor(at))
        shown = None if event is None else await self._presenter.present(event)
        return None if shown is None else self._presenter.screen.event(shown)

    def _place(self, key: OrderKey) -> OrderKey:
        """Return the place to come back to after a fact: never beyond what may turn up below it (D17)."""
        complete = self._progress.complete
        return key if self._contiguous or complete is None else min(key, complete)

    def _cursor(self, place: OrderKey) -> Cursor:
        return encode_cursor(Spot(self._log_id or self._context.origin, self._name, place))


def _end_of(got: Entries, place: Place | None) -> OrderKey:
    """Return up to where the log was read."""
    if got.items:
        return got.items[-1].stamp.key
    if isinstance(place, OrderKey):
        return place
    return head_of(got.state)


def _invalid(loss: Loss, channel: str) -> CursorInvalid:
    if loss == "retention":
        return CursorInvalid("what follows this cursor was trimmed from the log", channel=channel)
    return CursorInvalid("the cursor is of another log or provider", channel=channel)
