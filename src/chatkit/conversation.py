"""`Conversation`: what one can do where messages are."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from chatkit.delivery import Delivery
from chatkit.errors import (
    CapabilityError,
    ChatkitError,
    ConfigError,
    InvalidMessage,
    MessageNotFound,
    MessageTooLarge,
    NotAllowed,
)
from chatkit.given import is_mapping, is_text, list_of_users
from chatkit.model.bodies import encode_body
from chatkit.model.cursor import START, Cursor, Spot, encode_cursor
from chatkit.model.envelope import Envelope
from chatkit.model.ids import new_message_id
from chatkit.model.message import Message
from chatkit.model.names import emoji_key
from chatkit.model.options import Draft
from chatkit.model.order import Ident, OrderKey
from chatkit.model.values import EMPTY, format_time
from chatkit.model.views import Page
from chatkit.refs import MessageRef, Position, place_of
from chatkit.searching import search
from chatkit.source import Source
from chatkit.timeline import as_own, read_message
from chatkit.wishes import Wish

if TYPE_CHECKING:
    from chatkit.client import Chat
    from chatkit.engine.channel import ChannelEngine
    from chatkit.engine.engine import Engine
    from chatkit.model.bodies import Content
    from chatkit.ports import Folded, Log, Messages
    from chatkit.timeline import Timeline

P = TypeVar("P")
R = TypeVar("R")
LARGEST_PAGE = 1_000
EVENT_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,100}")


class Conversation(Source):
    """Sending, changing and reading messages of one channel."""

    timeline: Timeline
    _chat: Chat
    _name: str

    def _engine_now(self) -> Engine:
        return self._chat.engine

    @property
    def _channel_engine(self) -> ChannelEngine:
        return self._engine_now().channels[self._name]

    # -- verbs: durable wishes --------------------------------------------------------------------------

    async def send(
        self,
        content: Content,
        /,
        *,
        key: str | None = None,
        reply_to: MessageRef | None = None,
        topic: str | None = None,
        mentions: Iterable[str] = (),
        meta: Mapping[str, Any] = EMPTY,
        expires_in: float | None = None,
        send_at: datetime | None = None,
    ) -> Delivery:
        """Queue a message; returns once it is safe, offline too.

        Cancelling withdraws the message if it was never attempted, else it stays listed (D14).

        Args:
            content: Text, a chatkit body, or a model registered with `@message_type`.
            key: 1 to 512 characters. The same key in this channel is the same message, for a second call, a
                second process and a second life: the first Delivery comes back. A call that was cancelled and
                its message withdrawn does not count as the first.
            reply_to: The message quoted.
            topic: A label of 1 to 64 characters.
            mentions: At most 50 user ids; ``*`` means everyone.
            meta: Text to text, at most 1 kB.
            expires_in: Seconds after which it is not to be sent any more; at most the outbox's age.
            send_at: Not to be sent before; with a zone.

        Raises:
            InvalidMessage: It cannot be sent as it is; the field is named.
            MessageTooLarge: It does not fit a frame of the provider.
            NotAllowed: A middleware refused it.
            OutboxFull: The outbox holds as much as its limits allow.
            StoreError: The store could not keep it.
        """
        chat = self._chat
        chat.check_use()
        users = self._named(list_of_users, mentions)
        if not is_mapping(meta):
            raise InvalidMessage(
                "meta: is no mapping of text to text", hint='Write meta={"name": "text"}.', channel=self._name
            )
        shown = await chat.outgoing(Draft(channel=self._name, content=content, meta=meta))
        ref = None if reply_to is None else await self._target(reply_to)
        return await chat.queue(
            Wish(
                kind="message.create",
                user=chat.user.id,
                channel=self._name,
                body=self._named(encode_body, shown.content),
                ref=_ref(ref),
                topic=topic,
                mentions=users,
                meta=shown.meta,
                key=key,
                expires_in=expires_in,
                send_at=send_at,
            )
        )

    async def edit(
        self, message: MessageRef, content: Content, /, *, expected_version: int | None = None
    ) -> Delivery:
        """Replace what my message says. An older edit of it that was never attempted is discarded.

        Args:
            message: A message of mine.
            content: What it is to say.
            expected_version: Refuse with `VersionConflict` if it was changed since; needs a log.

        Raises:
            NotAllowed: It is not mine.
            CapabilityError: `expected_version` where nothing can check it.
            MessageNotFound: There is no such message.
        """
        chat = self._chat
        chat.check_use()
        log = chat.engine.context.log
        if expected_version is not None and (log is None or "fence" not in log.capabilities):
            raise CapabilityError("nothing here can check expected_version", channel=self._name)
        target = await self._target(message)
        self._check_author(target, "edit")
        shown = await chat.outgoing(Draft(channel=self._name, content=content))
        delivery = await chat.queue(
            Wish(
                kind="message.update",
                user=chat.user.id,
                channel=self._name,
                body=self._named(encode_body, shown.content),
                ref=_ref(target, expected_version),
                meta=shown.meta,
            ),
            about=_about(message),
        )
        await chat.replace_older_edits(delivery, target)
        return delivery

    async def delete(self, message: MessageRef, /) -> Delivery:
        """Delete a message of mine, or as a moderator anyone's; its text is erased where that can be done.

        Raises:
            NotAllowed: It is not mine and no log is there to know moderators.
            MessageNotFound: There is no such message.
        """
        self._chat.check_use()
        target = await self._target(message)
        if self._chat.engine.context.log is None:
            self._check_author(target, "delete")
        return await self._change("message.delete", target, _about(message))

    async def react(self, message: MessageRef, emoji: str, /) -> Delivery:
        """Give a reaction; giving it twice is giving it once.

        Args:
            message: Any message.
            emoji: At most 64 bytes of UTF-8.

        Raises:
            InvalidMessage: The emoji is empty, too long or holds control characters.
            MessageNotFound: There is no such message.
        """
        return await self._react("reaction.add", message, emoji)

    async def unreact(self, message: MessageRef, emoji: str, /) -> Delivery:
        """Take a reaction of mine back."""
        return await self._react("reaction.remove", message, emoji)

    async def emit(self, name: str, data: Mapping[str, Any] = EMPTY, /) -> bool:
        """Send an ephemeral event of the app's own; never queued.

        Args:
            name: 1 to 100 characters of ``A-Z a-z 0-9 _ . : -``.
            data: JSON-ready.

        Returns:
            Whether there was a connection to write it to; nobody says whether it arrived.

        Raises:
            InvalidMessage: The name or the data cannot be sent, or do not fit a frame of the provider.
        """
        chat = self._chat
        chat.check_use()
        engine = chat.engine
        context = engine.context
        if not is_text(name) or not EVENT_NAME.fullmatch(name):
            raise InvalidMessage(
                "name: is not 1 to 100 characters of A-Z a-z 0-9 _ . : -", channel=self._name
            )
        if not is_mapping(data):
            raise InvalidMessage("data: is no mapping", hint='Write {"name": value}.', channel=self._name)
        fields = {
            "v": 1,
            "id": new_message_id(context.server_time.now_ms(), context.random),
            "kind": f"x.{name}",
            "channel": self._name,
            "sender": {"user": chat.user.id, "device": engine.outbox.device},
            "at": format_time(context.clock.wall()),
            "body": {"type": "custom", "data": dict(data)},
        }
        envelope = self._named(lambda given: Envelope.from_dict(given).encode(), fields)
        if context.adapter.measure(self._name, envelope) > context.adapter.capabilities.frame_bytes:
            raise MessageTooLarge("the event does not fit a frame of this provider", channel=self._name)
        return await engine.emit(self._name, envelope)

    # -- reading ----------------------------------------------------------------------------------------

    async def get(self, message: MessageRef, /) -> Message:
        """Return a message as it is now, mine that are still queued too.

        Raises:
            MessageNotFound: There is no such message, or middleware hides it.
            TransportError: It is not known here and the log gave no answer.
        """
        self._chat.check_use()
        ident = await self._target(message)
        shown = self.timeline.lookup(ident)
        if shown is not None:
            return as_own(shown, self._chat.user.id)
        return await read_message(self._engine_now(), self._name, ident, self._chat.user.id)

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
        found = await self._read(
            lambda log: log.messages(self._name, before=below, after=above, around=middle, limit=limit)
        )
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
        provider cannot search, it is what this device has cached, and the page is `provisional`.

        Args:
            text: The words; without one nothing is found.
            sender: Only this user's.
            since: Only what was accepted at or after this time.
            until: Only what was accepted before this time.
            limit: Messages wanted, 1 to 1,000.
            after: `next` of an earlier page: older ones.

        Raises:
            CapabilityError: Neither provider nor store can search.
            CursorInvalid: `after` is not of a search.
        """
        self._chat.check_use()
        return await search(
            self._engine_now(),
            text,
            viewer=self._chat.user.id,
            channel=self._name,
            sender=sender,
            since=since,
            until=until,
            limit=limit,
            after=after,
        )

    # -- inside -----------------------------------------------------------------------------------------

    async def _change(
        self, kind: str, target: Ident, about: Message | None, body: Mapping[str, Any] | None = None
    ) -> Delivery:
        user = self._chat.user.id
        wish = Wish(kind=kind, user=user, channel=self._name, body=body, ref=_ref(target))
        return await self._chat.queue(wish, about=about)

    def _named(self, check: Callable[[P], R], given: P) -> R:
        """Check what a caller gave; what is wrong with it is said of this channel."""
        try:
            return check(given)
        except ChatkitError as error:
            error.channel = self._name
            raise

    async def _react(self, kind: str, message: MessageRef, emoji: str) -> Delivery:
        self._chat.check_use()
        body = {"type": "reaction", "emoji": self._named(emoji_key, emoji)}
        return await self._change(kind, await self._target(message), _about(message), body)

    async def _target(self, message: MessageRef) -> Ident:
        """Return who wrote a message, and its id (D1)."""
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

    def _check_author(self, target: Ident, verb: str) -> None:
        if target.user != self._chat.user.id:
            raise NotAllowed(
                f"only its author may {verb} a message", channel=self._name, message_id=target.id
            )

    async def _read(self, call: Callable[[Log], Awaitable[Messages]]) -> Messages:
        context = self._engine_now().context
        log = context.need_log(self._name)
        return await context.read(lambda: call(log))

    async def _shown(self, folded: Folded, page: Messages) -> Message | None:
        message = self.timeline.told(folded, as_of=page.as_of, provisional=page.provisional)
        message = as_own(message, self._chat.user.id)
        return await self._engine_now().presenter.show(message, message.message_id)


def _about(message: MessageRef) -> Message | None:
    return message if isinstance(message, Message) else None


def _ref(target: Ident | None, base: int | None = None) -> Mapping[str, Any] | None:
    if target is None:
        return None
    ref: dict[str, Any] = {"id": target.id, "user": target.user}
    if base is not None:
        ref["base"] = base
    return ref
