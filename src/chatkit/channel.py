"""`Channel`: a named stream of messages that members share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal, Self, get_args
from weakref import WeakValueDictionary

from chatkit.conversation import Conversation
from chatkit.delivery import Delivery
from chatkit.engine.holding import Hold, unanswered
from chatkit.errors import MessageNotFound
from chatkit.governing import Governed
from chatkit.model.message import Message
from chatkit.stream import within
from chatkit.thread import Thread
from chatkit.topic import Topic

if TYPE_CHECKING:
    from chatkit.client import Chat
    from chatkit.engine.receipts import Mode
    from chatkit.errors import ChatkitError
    from chatkit.model.order import Ident
    from chatkit.places import Places
    from chatkit.refs import MessageRef

ChannelState = Literal["detached", "attaching", "attached", "suspended", "failed"]
STATES = frozenset(get_args(ChannelState))


class Channel(Governed, Conversation):
    """One channel of a client; the same object for the same name.

    Made by `chat.channel(name)`, without I/O. Listening attaches it; sending does not.
    """

    def __init__(
        self,
        chat: Chat,
        places: Places,
        name: str,
        *,
        kind: str,
        keep: int,
        presence: bool,
        receipts: Mode,
    ) -> None:
        self._chat = chat
        self._places = places
        self._name = self._place = name
        self._kind = kind
        self._keep = keep
        self._handlers = {}
        self._threads: WeakValueDictionary[Ident, Thread] = WeakValueDictionary()
        self.timeline = places.timeline(name, keep, presence=presence)
        self.typing = places.typing(self._channel_engine, chat.user.id)
        self.presence = places.presence(self._channel_engine, chat.user.id)
        self.receipts = places.receipts(self._channel_engine, chat.user.id, receipts, self.get)

    @property
    def name(self) -> str:
        """The app's name of it."""
        return self._name

    @property
    def kind(self) -> str:
        """What kind of channel it is."""
        return self._kind

    @property
    def keep(self) -> int:
        """Messages that its timeline keeps."""
        return self._keep

    @property
    def state(self) -> ChannelState:
        """`detached`, `attaching`, `attached`, `suspended` or `failed`."""
        return self._channel_engine.state.value

    @property
    def error(self) -> ChatkitError | None:
        """Why it is not attached; `None` while it is."""
        return self._channel_engine.error

    def thread(self, message: MessageRef) -> Thread:
        """Return the thread under a message; no I/O, the same object while somebody holds it.

        Args:
            message: The message replied to. Of a reply it is the thread that the reply is in: threads have
                no threads of their own.

        Raises:
            MessageNotFound: It is named by an id that is not loaded, or is of another channel.
        """
        self._chat.check_use()
        root = self._root_of(message)
        found = self._threads.get(root)
        if found is None:
            found = self._threads[root] = Thread(self._chat, self._places, self._channel_engine, root, self)
        return found

    def topic(self, name: str) -> Topic:
        """Return what is said of one topic: a conversation in this channel; no I/O.

        Args:
            name: 1 to 64 characters.

        Raises:
            InvalidMessage: It cannot be a topic.
        """
        self._chat.check_use()
        return Topic(self._chat, self, name)

    async def attach(self, *, timeout: float | None = None) -> None:
        """Start receiving, and wait until it is so.

        Raises:
            NotAllowed: The provider refused it.
            WaitTimeout: Not within `timeout` seconds; the wish stays. Says what it waits for; `__cause__` is
                the error behind that, if there is one.
            ChatkitError: The connection failed for good, with its reason.
        """
        self._chat.check_use()
        self._channel_engine.want()
        await within(
            timeout, self._attached, "it was not attached", channel=self.name, why=self._why_not_attached
        )

    async def _attached(self) -> None:
        attached = asyncio.ensure_future(self._channel_engine.wait_attached())
        broken = asyncio.ensure_future(self._chat.connection.wait("failed"))
        try:
            _ = await asyncio.wait({attached, broken}, return_when=asyncio.FIRST_COMPLETED)
            reason = self._chat.connection.reason
            if not attached.done() and reason is not None:
                raise reason
            await attached
        finally:
            attached.cancel()
            broken.cancel()

    def _why_not_attached(self) -> Hold:
        return unanswered(self._chat.engine.link, self.error)

    async def detach(self) -> None:
        """Stop receiving."""
        self._chat.check_use()
        await self._channel_engine.detach()

    async def __aenter__(self) -> Self:
        self._chat.check_use()
        self._channel_engine.want()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.detach()

    def __repr__(self) -> str:
        return f"Channel({self._name!r})"

    def _root_of(self, message: MessageRef) -> Ident:
        """Return what names the message replied to."""
        if not isinstance(message, Message):
            message = self._loaded(message)
        if message.channel != self._name:
            raise MessageNotFound(
                "the message is of another channel", channel=self._name, message_id=message.message_id
            )
        return message.root or message.ident

    def _loaded(self, named: Delivery | str) -> Message:
        """Return a message that is loaded or queued."""
        view, found = self._channel_engine.view, None
        if isinstance(named, Delivery):
            message_id = named.target.id
            if named.channel == self._name:
                found = view.get(named.target)
        else:
            message_id = str(named)
            found = self._channel_engine.timeline.find(message_id)
            entry = self._chat.engine.outbox.by_message(message_id)
            if found is None and entry is not None and entry.row.channel == self._name:
                found = view.get(entry.row.ident)
        if found is None:
            raise MessageNotFound(
                "the message is not loaded here",
                hint="Read it first, and give what `await channel.get(message_id)` returns.",
                channel=self._name,
                message_id=message_id,
            )
        return found
