"""`Thread`: the replies under one message."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from chatkit.conversation import Conversation
from chatkit.engine.thread_pages import thread_page
from chatkit.errors import CapabilityError, TransportError
from chatkit.model.views import ThreadInfo
from chatkit.timeline import as_own

if TYPE_CHECKING:
    from chatkit.channel import Channel
    from chatkit.client import Chat
    from chatkit.engine.channel import ChannelEngine
    from chatkit.model.message import Message
    from chatkit.model.order import Ident, Place
    from chatkit.places import Places
    from chatkit.ports import Messages
    from chatkit.refs import MessageRef

NEWEST: Final = 1_000
"""Replies among which participants are looked for."""
PENDING: Final = frozenset({"queued", "sending", "sent"})
"""What becomes of a reply that may still come true."""


class Thread(Conversation):
    """The thread of one message: a conversation of its own in its channel, of the same members and rights.

    Made by `channel.thread(message)`, without I/O; the same object while somebody holds it. What is sent here
    is a reply. The channel's timeline leaves replies out, but for those sent with `also_in_channel=True`;
    its events have them all, with `message.thread`. Listening here hears this thread alone, and the
    channel's gaps and changes of state; it attaches the channel.
    """

    def __init__(
        self, chat: Chat, places: Places, engine: ChannelEngine, root: Ident, channel: Channel
    ) -> None:
        self._chat = chat
        self._channel = channel
        self._name = self._place = channel.name
        self._thread = feed = engine.threads.open(root, self)
        self._handlers = {}
        self._ident = root
        self.root: Final = root.id
        """The id of the message replied to."""
        self.timeline = places.thread(feed)
        self.typing = places.typing(feed, chat.user.id)
        self.receipts = places.receipts(feed, chat.user.id, channel.receipts.mode, self.get)
        for part in (self.timeline, self.typing, self.receipts):
            feed.holders.add(part)

    async def info(self) -> ThreadInfo:
        """Tell of the thread as a whole: its message, how many replies, whose, and the last one.

        From the log; offline and without one from what is loaded. My own count from when they are queued. A
        deleted reply counts, and is never the last.

        Raises:
            MessageNotFound: The message itself is not there, or middleware hides it.
            TransportError: The message is not loaded and the log gave no answer.
            CapabilityError: It is not loaded, and the provider keeps raw history alone.
        """
        self._chat.check_use()
        root = await self._channel.message_of(self._ident)
        shown = self.timeline.view.messages
        pending = [message for message in shown if message.key is None and message.status in PENDING]
        try:
            page = await self._page(before=None, after=None, around=None, limit=NEWEST)
            replies = [message for folded in page.items if (message := await self._shown(folded, page))]
        except (CapabilityError, TransportError):
            replies = [message for message in shown if message.key is not None]
        replies += pending
        users = dict.fromkeys(message.sender.user for message in reversed(replies))
        return ThreadInfo(
            root=root,
            replies=max(root.replies, len(replies) - len(pending)) + len(pending),
            participants=tuple(users),
            last=next((message for message in reversed(replies) if not message.deleted), None),
        )

    def __repr__(self) -> str:
        return f"Thread({self._name!r}, {self.root!r})"

    # -- inside -----------------------------------------------------------------------------------------

    @property
    def _picks(self) -> Callable[[Message], bool]:
        return lambda message: message.root == self._ident

    @property
    def _topic(self) -> str | None:
        root = self._channel_engine.view.get(self._ident)
        return None if root is None else root.topic

    async def ident_of(self, message: MessageRef) -> Ident:
        """Return who wrote a message of the channel, and its id (D1)."""
        known = self.timeline.find(message) if isinstance(message, str) else None
        return await self._channel.ident_of(message) if known is None else known.ident

    async def message_of(self, ident: Ident) -> Message:
        """Return a message of the thread, or of its channel."""
        shown = self.timeline.lookup(ident)
        return await self._channel.message_of(ident) if shown is None else as_own(shown, self._chat.user.id)

    async def _page(
        self, *, before: Place | None, after: Place | None, around: Place | None, limit: int
    ) -> Messages:
        context = self._chat.engine.context
        return await thread_page(
            context, self._name, self._ident, before=before, after=after, around=around, limit=limit
        )
