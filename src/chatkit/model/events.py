"""Events: one frozen value for each thing that can happen (facts, not state)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from chatkit.errors import ChatkitError
from chatkit.model.cursor import Cursor
from chatkit.model.message import Message, Sender, Status
from chatkit.model.registers import Role
from chatkit.model.values import EMPTY, Value, value
from chatkit.model.views import ConnectionView, Member

if TYPE_CHECKING:
    from chatkit.delivery import Delivery


@value
class Event(Value):
    """Something that happened. Durable ones have a cursor: save it with your effect, return with `since=`."""

    event_id: str
    """The same for the same fact on every client and in every life."""
    channel: str | None = None
    at: datetime
    own: bool = False
    cursor: Cursor | None = field(default=None, repr=False)


@value
class MessageEvent(Event):
    """Base of the next three; `message` is the message after the change."""

    message: Message
    silent: bool = False
    """Of a muted user or channel: shown, but not worth a notification."""


@value
class MessageCreated(MessageEvent):
    """A message was accepted. `late`: it stands below what this reader had already been given (D21)."""

    late: bool = False


@value
class MessageUpdated(MessageEvent):
    """A message was edited, or a deleted one restored."""

    previous: Message | None = None


@value
class MessageDeleted(MessageEvent):
    """A message was deleted."""


@value
class ReactionChanged(Event):
    """A user gave or took back a reaction."""

    message_id: str
    user: str
    emoji: str
    added: bool
    silent: bool = False
    """Of a muted user or channel."""


@value
class ReceiptAdvanced(Event):
    """A user has read, or received, up to a message. Marks never go back (D25)."""

    user: str
    kind: Literal["read", "delivered"]
    message_id: str


@value
class RoleChanged(Event):
    """A user got or lost a role, as the channel's log says. `own`: it is the user who listens."""

    user: str
    role: Role | None
    previous: Role | None = None


@value
class PinChanged(Event):
    """A message was pinned, or is pinned no more. `user`: who had pinned it."""

    message_id: str
    user: str
    added: bool


@value
class TypingChanged(Event):
    """Somebody began to type or ended; `users`: all who type now, without the one who listens."""

    users: frozenset[str]


@value
class PresenceChanged(Event):
    """Somebody came, went, or is there in another way; `member`: as it is now."""

    member: Member
    change: Literal["enter", "update", "leave"]


@value
class DeliveryChanged(Event):
    """One of my wishes got another status. `late`: it had a final one before (D6)."""

    delivery: Delivery
    """As it is by the time that it is read."""
    status: Status
    certain: bool = True
    """Whether `status`, if it is final, is known rather than assumed; `delivery` tells what is by now."""
    late: bool = False
    reason: str | None = None


@value
class Discontinuity(Event):
    """Messages may be missing between `after` and `until`; it comes before the next message (I6)."""

    reason: str
    after: Cursor | None = None
    until: Cursor | None = None
    certain: bool = True


@value
class ConnectionChanged(Event):
    """The connection changed its state."""

    view: ConnectionView


@value
class ChannelChanged(Event):
    """A channel changed its state."""

    state: str
    error: ChatkitError | None = None


@value
class DirectOpened(Event):
    """A user has opened a direct channel with the user of this client: `chat.direct(event.user)` is it.

    Told with `connect(directs=True)`, once for each of them in the life of a store. `channel` is the personal
    channel on which it was heard.
    """

    user: str


@value
class CustomEvent(Event):
    """An app's own ephemeral event, sent with `channel.emit(name, data)`."""

    name: str
    data: Mapping[str, Any] = field(default_factory=lambda: EMPTY, repr=False)
    sender: Sender


@value
class ForeignFrame(Event):
    """A frame that is not ours or does not hold what it claims; only for readers that ask for it by type."""

    name: str | None = None
    data: object = field(default=None, repr=False)
    reason: str


@value
class HandlerError(Value):
    """A handler or middleware raised, or blocked the loop; its event went on to the others.

    Of `error` only the type shows in `repr` and `to_dict`: its text may quote a message (I16).
    """

    event: Event
    handler: str
    error: BaseException = field(repr=False, metadata={"public": False})
    raised: str = field(init=False)
    """The type of `error`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "raised", type(self.error).__name__)
