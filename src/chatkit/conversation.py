"""`Conversation`: what one can do where messages are."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from chatkit.delivery import Delivery
from chatkit.errors import (
    CapabilityError,
    ChatkitError,
    ConfigError,
    InvalidMessage,
    NotAllowed,
)
from chatkit.given import is_mapping, is_text, list_of_users
from chatkit.growing import grow
from chatkit.model.bodies import UnavailableBody, UnknownBody, encode_body
from chatkit.model.message import Message
from chatkit.model.names import emoji_key
from chatkit.model.options import Draft
from chatkit.model.order import Ident
from chatkit.model.values import EMPTY
from chatkit.passing import emit
from chatkit.reading import Reading
from chatkit.refs import MessageRef
from chatkit.wishes import Wish

if TYPE_CHECKING:
    from chatkit.model.bodies import Content
    from chatkit.receipts import Receipts
    from chatkit.typists import Typing

P = TypeVar("P")
R = TypeVar("R")
LARGEST_PAGE = 1_000
EVENT_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,100}")


class Conversation(Reading):
    """Sending and changing messages of one channel, or thread, and reading them."""

    typing: Typing
    receipts: Receipts
    """What its user has read, what others have, and what is unread."""

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
        also_in_channel: bool = False,
    ) -> Delivery:
        """Queue a message; returns once it is safe, offline too.

        Cancelling withdraws the message if it was never attempted, else it stays listed (D14).

        Args:
            content: Text, a chatkit body, or a model registered with `@message_type`.
            key: 1 to 512 characters. The same key in this channel is the same message, for a second call, a
                second process and a second life: the first Delivery comes back. A call that was cancelled and
                its message withdrawn does not count as the first.
            reply_to: The message quoted.
            topic: A label of 1 to 64 characters; in a channel of `kind="topic"` each message has one.
            mentions: At most 50 user ids; ``*`` means everyone.
            meta: Text to text, at most 1 kB.
            expires_in: Seconds after which it is not to be sent any more; at most the outbox's age.
            send_at: Not to be sent before; with a zone.
            also_in_channel: Show a reply in a thread in the channel, too.

        Raises:
            InvalidMessage: It cannot be sent as it is; the field is named.
            MessageTooLarge: It fits neither a frame of the provider nor the log beside it.
            NotAllowed: A middleware refused it; or owners alone publish here, and its user is none.
            RateLimited: Slow mode: `retry_after` seconds are to pass first.
            OutboxFull: The outbox holds as much as its limits allow.
            StoreError: The store could not keep it.
        """
        chat = self._chat
        chat.check_use()
        if also_in_channel and self._thread is None:
            raise ConfigError(
                "also_in_channel= is for replies in a thread",
                hint="Write `channel.thread(message).send(..., also_in_channel=True)`.",
                channel=self._name,
            )
        users = self._named(list_of_users, mentions)
        topic = await self._labelled(topic)
        if not is_mapping(meta):
            raise InvalidMessage(
                "meta: is no mapping of text to text", hint='Write meta={"name": "text"}.', channel=self._name
            )
        async with chat.outgoing(Draft(channel=self._name, content=content, meta=meta)) as shown:
            ref = None if reply_to is None else await self.ident_of(reply_to)
            delivery = await chat.queue(
                Wish(
                    kind="message.create",
                    user=chat.user.id,
                    channel=self._name,
                    body=self._named(encode_body, shown.content),
                    ref=_ref(ref),
                    thread=self._root,
                    also=also_in_channel,
                    topic=topic,
                    mentions=users,
                    meta=shown.meta,
                    key=key,
                    expires_in=expires_in,
                    send_at=send_at,
                )
            )
        self.typing.spoke()
        return delivery

    async def send_stream(
        self,
        chunks: AsyncIterable[str],
        /,
        *,
        every: float = 0.5,
        key: str | None = None,
        reply_to: MessageRef | None = None,
        topic: str | None = None,
    ) -> Delivery:
        """Send one message that grows while its text is being made, as an answer of a language model is.

        The first text makes the message, further ones edit it, at most once in `every` seconds; an edit that
        is still queued is replaced by the next. Until all is there the message is `incomplete`. It stays so
        where the chunks raise or this call is cancelled; then what there is by then is sent.

        Args:
            chunks: Pieces of text, to be put together as they come.
            every: Seconds between two edits, above 0.
            key: As of `send`: repeated under the same key it grows the same message anew, from its start.
            reply_to: The message quoted.
            topic: As of `send`.

        Returns:
            The delivery of the message, when the last edit is safe.

        Raises:
            InvalidMessage: The chunks gave no text, or something else.
            MessageTooLarge: It has outgrown what can be sent; it stays as far as it was sent.
            ConfigError: An argument that cannot be.
            Exception: Whatever the chunks raise.
        """
        chat = self._chat
        chat.check_use()
        topic = await self._labelled(topic)
        ref = None if reply_to is None else _ref(await self.ident_of(reply_to))

        async def write(text: str, delivery: Delivery | None, /, *, incomplete: bool) -> Delivery:
            kind: Literal["create", "update"] = "create" if delivery is None else "update"
            async with chat.outgoing(Draft(channel=self._name, content=text, kind=kind)) as shown:
                body = self._named(encode_body, shown.content)
                if incomplete:
                    body["incomplete"] = True
                about: dict[str, Any] = {"user": chat.user.id, "channel": self._name, "meta": shown.meta}
                if delivery is None:
                    about |= {"thread": self._root, "topic": topic, "key": key}
                    return await chat.queue(Wish(kind="message.create", body=body, ref=ref, **about))
                target = delivery.target
                change = await chat.queue(Wish(kind="message.update", body=body, ref=_ref(target), **about))
            await chat.replace_older_edits(change, target)
            return delivery

        return await grow(chunks, write, every=every, channel=self._name)

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
        target = await self.ident_of(message)
        self._check_author(target, "edit")
        async with chat.outgoing(Draft(channel=self._name, content=content, kind="update")) as shown:
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
            NotAllowed: It is not mine, and I moderate nothing here as far as known; or no log checks that.
            MessageNotFound: There is no such message.
        """
        return await self._show("message.delete", "delete", message)

    async def undelete(self, message: MessageRef, /) -> Delivery:
        """Bring back a deleted message of mine, or as a moderator anyone's; a text that was erased stays so.

        Raises:
            NotAllowed: It is not mine, and I moderate nothing here as far as known; or no log checks that.
            MessageNotFound: There is no such message.
        """
        return await self._show("message.restore", "restore", message)

    async def forward(
        self, message: MessageRef, /, *, key: str | None = None, topic: str | None = None
    ) -> Delivery:
        """Send what a message of this or another channel says, as a new message of mine.

        Whose it was stands in `meta`, under `forwarded.user`, `forwarded.channel` and `forwarded.id`: for
        display, since nobody but the one who forwards vouches for it. What was forwarded before keeps what
        stands there.

        Args:
            message: By itself or its delivery; of this channel by its id, too.
            key: As of `send`.
            topic: As of `send`; `None`: that of this conversation, else that of the message.

        Raises:
            InvalidMessage: It was deleted, or says something that this program does not know or have.
            MessageNotFound: There is no such message.
        """
        self._chat.check_use()
        if isinstance(message, Delivery):
            message = message.message
        source = message if isinstance(message, Message) else await self.get(message)
        if isinstance(source.body, UnavailableBody | UnknownBody):
            raise InvalidMessage(
                f"a message of type {source.body.type!r} cannot be forwarded",
                channel=self._name,
                message_id=source.message_id,
                hint="Forward what was not deleted, and what this program knows and has.",
            )
        origin = {
            "forwarded.user": source.sender.user,
            "forwarded.channel": source.channel,
            "forwarded.id": source.message_id,
        }
        before = {name: text for name, text in source.meta.items() if name in origin}
        topic = topic or self._topic or source.topic
        return await self.send(source.body, key=key, topic=topic, meta={**origin, **before})

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
        if not is_text(name) or not EVENT_NAME.fullmatch(name):
            raise InvalidMessage(
                "name: is not 1 to 100 characters of A-Z a-z 0-9 _ . : -", channel=self._name
            )
        if not is_mapping(data):
            raise InvalidMessage("data: is no mapping", hint='Write {"name": value}.', channel=self._name)
        body = {"type": "custom", "data": dict(data)}
        kind = f"x.{name}"
        return await emit(chat.engine, chat.user.id, self._name, kind, body, thread=self._root)

    # -- inside -----------------------------------------------------------------------------------------

    @property
    def _root(self) -> Ident | None:
        return None if self._thread is None else self._thread.thread

    @property
    def _topic(self) -> str | None:
        """The topic of what is sent here, if nothing else is said."""
        return None

    async def _labelled(self, topic: str | None) -> str | None:
        """Return the topic of a message to be sent here, if it may be."""
        topic = self._topic if topic is None else topic
        labelled = topic is not None or self._thread is not None  # a reply belongs to what it is under
        await self._channel_engine.roles.check_send(self._chat.user.id, labelled=labelled)
        return topic

    async def _show(self, kind: str, verb: str, message: MessageRef) -> Delivery:
        """Delete a message or bring it back; that of another as a moderator alone."""
        self._chat.check_use()
        target, user = await self.ident_of(message), self._chat.user.id
        if target.user != user:
            await self._channel_engine.roles.check_moderation(user, verb, target.id)
        return await self._change(kind, target, _about(message))

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
        return await self._change(kind, await self.ident_of(message), _about(message), body)

    def _check_author(self, target: Ident, verb: str) -> None:
        if target.user != self._chat.user.id:
            raise NotAllowed(
                f"only its author may {verb} a message", channel=self._name, message_id=target.id
            )


def _about(message: MessageRef) -> Message | None:
    return message if isinstance(message, Message) else None


def _ref(target: Ident | None, base: int | None = None) -> Mapping[str, Any] | None:
    if target is None:
        return None
    ref: dict[str, Any] = {"id": target.id, "user": target.user}
    if base is not None:
        ref["base"] = base
    return ref
