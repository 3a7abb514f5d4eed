"""`Reading`: messages of one channel, from the timeline, the log and searches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING

from chatkit.delivery import Delivery
from chatkit.errors import ConfigError, MessageNotFound
from chatkit.given import is_text
from chatkit.model.cursor import START, Cursor, Spot, encode_cursor
from chatkit.model.message import Message
from chatkit.model.order import Ident, OrderKey
from chatkit.model.views import Page
from chatkit.refs import MessageRef, Position, origin_of, place_of
from chatkit.searching import pick, search
from chatkit.source import Source
from chatkit.timeline import as_own, read_message
from chatkit.versions import read_versions

if TYPE_CHECKING:
    from chatkit.client import Chat
    from chatkit.engine.channel import ChannelEngine
    from chatkit.engine.engine import Engine
    from chatkit.engine.subscription import Subscription
    from chatkit.engine.thread import ThreadFeed
    from chatkit.handlers import HandlerRunner
    from chatkit.model.events import Event
    from chatkit.model.order import Place
    from chatkit.ports import Folded, Log, Messages
    from chatkit.timeline import Timeline

LARGEST_PAGE = 1_000


class Reading(Source):
    """What can be read of a channel, attached or not."""

    timeline: Timeline
    _chat: Chat
    _name: str
    _handlers: dict[Callable[..., object], list[HandlerRunner]]
    _thread: ThreadFeed | None = None
    """The thread that it is; `None`: the channel."""

    def _engine_now(self) -> Engine:
        return self._chat.engine

    @property
    def _channel_engine(self) -> ChannelEngine:
        return self._engine_now().channels[self._name]

    async def get(self, message: MessageRef, /) -> Message:
        """Return a message as it is now, mine that are still queued too.

        Raises:
            MessageNotFound: There is no such message, or middleware hides it.
            TransportError: It is not known here and the log gave no answer.
        """
        self._chat.check_use()
        return await self.message_of(await self.ident_of(message))

    async def versions(self, message: MessageRef, /) -> tuple[Message, ...]:
        """Return a message as it was at each version, oldest first: created, edited, deleted, restored.

        What a delete erased stays erased: of those versions only who wrote them and when is told.

        Raises:
            MessageNotFound: The log has no such message, or middleware hides it.
            CapabilityError: There is no log, or it keeps raw history alone.
            TransportError: No answer; safe to repeat.
        """
        self._chat.check_use()
        target = await self.ident_of(message)
        return await read_versions(self._engine_now(), self._name, target, self._chat.user.id)

    async def history(
        self,
        *,
        before: Position | None = None,
        after: Position | None = None,
        around: Position | None = None,
        limit: int = 50,
    ) -> Page[Message]:
        """Read messages from the log. Safe while detached; never touches the outbox or the timeline.

        Args:
            before: Older than this, newest first; nothing given: the newest.
            after: Newer than this, oldest first.
            around: Half of them on either side, oldest first.
            limit: Messages wanted, 1 to 1,000.

        Returns:
            `next` continues in the same direction, `None` at the end.

        Raises:
            CapabilityError: The provider keeps no history.
            TransportError: No answer; safe to repeat.
            CursorInvalid: The position is of another channel or log.
        """
        self._chat.check_use()
        engine = self._engine_now()
        given = [p for p in (before, after, around) if p is not None]
        if len(given) > 1 or not 1 <= limit <= LARGEST_PAGE:
            raise ConfigError(
                f"history() takes one of before, after, around, and a limit of 1 to {LARGEST_PAGE:,}",
                hint="Give at most one place, and follow `page.next` for more.",
                channel=self._name,
            )
        below = None if before is None else place_of(before, self._name, engine)
        above = None if after is None else place_of(after, self._name, engine) or OrderKey(0, "")
        middle = None if around is None else place_of(around, self._name, engine)
        if before == START:
            return Page(items=())
        found = await self._page(before=below, after=above, around=middle, limit=limit)
        shown = [await self._shown(folded, found) for folded in found.items]
        items = [message for message in shown if message is not None]
        ascending = after is not None or around is not None
        edge = found.after if ascending else found.before
        return Page(
            items=tuple(items if ascending else reversed(items)),
            next=None if edge is None else encode_cursor(Spot(found.state.log_id, self._name, edge)),
            provisional=found.provisional,
        )

    async def scan(self, *, after: Position = START, limit: int | None = None) -> AsyncIterator[Message]:
        """Read all messages, oldest first, page by page, to the present end.

        Args:
            after: Where to begin.
            limit: Most messages.
        """
        left = limit
        place: Position | None = after
        while place is not None and (left is None or left > 0):
            page = await self.history(after=place, limit=min(left or LARGEST_PAGE, 500))
            for message in page.items:
                yield message
            if left is not None:
                left -= len(page.items)
            place = page.next

    async def search(
        self,
        text: str,
        /,
        *,
        sender: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        after: Cursor | None = None,
    ) -> Page[Message]:
        """Find the messages that hold all words of a text, newest first.

        A word is a run of letters and digits; case does not count. Without a connection, or where the
        provider cannot search, it is what this device has cached, and the page is `provisional`. Those of a
        thread or topic are picked from the channel's hits: a page that has a `next` may hold few or none.

        Args:
            text: The words; without one nothing is found.
            sender: Only this user's.
            since: Only what was accepted at or after this time.
            until: Only what was accepted before this time.
            limit: Messages wanted, 1 to 1,000.
            after: `next` of an earlier page: older ones.

        Raises:
            CapabilityError: Neither provider nor store can search.
            ConfigError: More than 2,000 words or 64 KiB of text, or a limit that cannot be.
            CursorInvalid: `after` is not of a search.
        """
        self._chat.check_use()

        async def hits(mark: Cursor | None) -> Page[Message]:
            return await search(
                self._engine_now(),
                text,
                viewer=self._chat.user.id,
                channel=self._name,
                sender=sender,
                since=since,
                until=until,
                limit=limit,
                after=mark,
            )

        picks = self._picks
        return await hits(after) if picks is None else await pick(hits, picks, after)

    # -- inside ----------------------------------------------------------------------------------------

    @property
    def _picks(self) -> Callable[[Message], bool] | None:
        """Say which of the channel's messages are of it; `None`: all."""
        return None

    async def message_of(self, ident: Ident) -> Message:
        """Return a message by what names it; for the library itself."""
        shown = self.timeline.lookup(ident)
        if shown is not None:
            return as_own(shown, self._chat.user.id)
        return await read_message(self._engine_now(), self._name, ident, self._chat.user.id)

    async def ident_of(self, message: MessageRef) -> Ident:
        """Return who wrote a message, and its id (D1); for the library itself."""
        if isinstance(message, Message | Delivery):
            if message.channel != self._name:
                raise MessageNotFound(
                    "the message is of another channel", channel=self._name, message_id=message.message_id
                )
            return message.ident if isinstance(message, Message) else message.target
        if not is_text(message):
            raise ConfigError(
                f"a message is named by itself, its delivery or its id, not by {type(message).__name__}",
                channel=self._name,
            )
        known = self.timeline.find(message)
        if known is None:
            await self._channel_engine.restored()
            known = self.timeline.find(message)
        if known is not None:
            return known.ident
        entry = self._engine_now().outbox.by_message(message)
        if entry is not None and entry.row.channel == self._name:
            return entry.row.ident
        if self._engine_now().context.log is not None:
            found = await self._read(lambda log: log.get(self._name, [message]))
            if found.items:
                return found.items[0].ident
        raise MessageNotFound("there is no such message here", channel=self._name, message_id=message)

    async def _page(
        self, *, before: Place | None, after: Place | None, around: Place | None, limit: int
    ) -> Messages:
        return await self._read(
            lambda log: log.messages(self._name, before=before, after=after, around=around, limit=limit)
        )

    async def _read(self, call: Callable[[Log], Awaitable[Messages]]) -> Messages:
        context = self._engine_now().context
        log = context.need_log(self._name)
        return context.admitted(self._name, await context.read(lambda: call(log)))

    async def _shown(self, folded: Folded, page: Messages) -> Message | None:
        message = self.timeline.told(folded, as_of=page.as_of, provisional=page.provisional)
        message = as_own(message, self._chat.user.id)
        return await self._engine_now().presenter.show(message, message.message_id)

    @property
    def _belongs(self) -> Callable[[Event], bool] | None:
        """Says which events of the channel are heard here; `None`: all."""
        return None if self._thread is None else self._thread.belongs

    # -- as a source ------------------------------------------------------------------------------------

    @property
    def _runners(self) -> dict[Callable[..., object], list[HandlerRunner]]:
        return self._handlers

    def _translate(self, event: Event) -> Event:
        return self._chat.as_seen(event)

    def _subscribe(
        self, kinds: tuple[type[Event], ...], since: Position | None, buffer: int, overflow: str
    ) -> Subscription:
        self._chat.check_use()
        engine = self._chat.engine
        return engine.subscribe(
            kinds,
            self._channel_engine,
            viewer=self._chat.user.id,
            since=None if since is None else place_of(since, self._name, engine),
            from_start=since == START,
            origin=None if since is None else origin_of(since),
            buffer=buffer,
            overflow=overflow,
            thread=self._thread,
            belongs=self._belongs,
        )
