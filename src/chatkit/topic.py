"""`Topic`: the messages of one channel that have the same label."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from chatkit.conversation import Conversation
from chatkit.core.timeline_view import Reader
from chatkit.engine.thread_pages import in_topic, picked_page
from chatkit.errors import InvalidMessage
from chatkit.given import is_text
from chatkit.model.events import (
    ChannelChanged,
    DeliveryChanged,
    Discontinuity,
    Event,
    MessageEvent,
    ReactionChanged,
)
from chatkit.timeline import as_own

if TYPE_CHECKING:
    from chatkit.channel import Channel
    from chatkit.client import Chat
    from chatkit.model.message import Message
    from chatkit.model.order import Place
    from chatkit.ports import Messages

LONGEST: Final = 64
"""Characters of a topic."""


class Topic(Conversation):
    """One topic of a channel: what is sent here has it, and what is heard and read here, too.

    Made by `channel.topic(name)`, without I/O. Members, rights, timeline, typing and receipts are those of
    the channel. Who listens here hears the messages of the topic, reactions to those that are loaded, and the
    channel's gaps and changes of state; nothing else takes room in the stream.
    """

    def __init__(self, chat: Chat, channel: Channel, name: str) -> None:
        if not is_text(name) or not 1 <= len(name) <= LONGEST:
            raise InvalidMessage(
                f"topic: is not text of 1 to {LONGEST} characters",
                channel=channel.name,
                hint='Write channel.topic("billing").',
            )
        self._chat = chat
        self._channel = channel
        self._name = self._place = channel.name
        self._handlers = {}
        self._label = name
        self.timeline = channel.timeline
        self.typing = channel.typing
        self.receipts = channel.receipts

    @property
    def name(self) -> str:
        """The topic."""
        return self._label

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages of the topic that the channel's timeline shows now, oldest first."""
        shown = self._channel_engine.view.read(Reader()).messages
        user = self._chat.user.id
        return tuple(as_own(message, user) for message in shown if message.topic == self._label)

    def __repr__(self) -> str:
        return f"Topic({self._name!r}, {self._label!r})"

    # -- inside -----------------------------------------------------------------------------------------

    @property
    def _picks(self) -> Callable[[Message], bool]:
        return lambda message: message.topic == self._label

    @property
    def _topic(self) -> str | None:
        return self._label

    @property
    def _belongs(self) -> Callable[[Event], bool]:
        return self._is_of_it

    def _is_of_it(self, event: Event) -> bool:
        view = self._channel_engine.view
        match event:
            case MessageEvent():
                return event.message.topic == self._label
            case ReactionChanged():
                named = self._channel_engine.timeline.window.named(event.message_id)
                return any(in_topic(fold.data, self._label) for fold in named)
            case DeliveryChanged():
                shown = view.get(event.delivery.target)
                return shown is not None and shown.topic == self._label
            case _:
                return isinstance(event, ChannelChanged | Discontinuity)

    async def _page(
        self, *, before: Place | None, after: Place | None, around: Place | None, limit: int
    ) -> Messages:
        return await picked_page(
            self._chat.engine.context,
            self._name,
            lambda folded: in_topic(folded.data, self._label),
            before=before,
            after=after,
            around=around,
            limit=limit,
        )
