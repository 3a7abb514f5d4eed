"""`Message`: an immutable value; a change gives a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, TypeAlias

from chatkit.errors import ChatkitError
from chatkit.model.bodies import AnyBody, body_text
from chatkit.model.cursor import Cursor, Spot, encode_cursor
from chatkit.model.order import Ident, OrderKey
from chatkit.model.values import EMPTY, Value, value

Status: TypeAlias = Literal["queued", "sending", "sent", "failed", "expired", "discarded"]
Attested: TypeAlias = Literal["provider", "backend", "none"]
Flag: TypeAlias = Literal["clock_suspect", "orphaned", "provisional"]

STRENGTH: Final[Mapping[Attested, int]] = {"none": 0, "backend": 1, "provider": 2}
"""How strongly a sender is vouched for: of two copies of a message the stronger stands (D2)."""


@value
class Sender(Value):
    """Who wrote a message, and on which device."""

    user: str
    device: str
    name: str | None = None


@value
class User(Value):
    """A user of the app. `id`: 1 to 128 bytes of UTF-8."""

    id: str
    name: str | None = None
    avatar: str | None = field(default=None, repr=False)


@value
class Message(Value):
    """One message as this client knows it now."""

    computed: ClassVar[tuple[str, ...]] = ("text", "serial", "cursor")

    message_id: str
    """Made by the sender when it was queued, equal on every retry; with channel and user its name (D1)."""
    channel: str
    sender: Sender
    body: AnyBody = field(repr=False)
    own: bool
    """Written by the user of this client, on whichever device."""
    status: Status = "sent"
    """Of my newest change to it; of others' messages always `sent`."""
    error: ChatkitError | None = None
    at: datetime
    """When the sender pressed send, by the sender's clock; for display only, never for order (D4)."""
    sent_at: datetime | None = None
    """When the provider or log accepted it, by its clock; `None` where none said so."""
    key: OrderKey | None = field(default=None, metadata={"public": False})
    """Its place; `None` until it is accepted."""
    origin: str | None = field(default=None, repr=False, metadata={"public": False})
    """Who numbered it: the log's id, or the provider's realm."""
    version: int = 1
    """How many changes are folded into it, 1 at first: as told by the log, else as far as seen."""
    edited: bool = False
    deleted: bool = False
    incomplete: bool = False
    """A growing message whose source broke off."""
    thread: str | None = None
    reply_to: str | None = None
    topic: str | None = None
    mentions: tuple[str, ...] = ()
    reactions: Mapping[str, frozenset[str]] = field(default_factory=lambda: EMPTY)
    """Emoji to the users who gave it."""
    replies: int = 0
    attested: Attested = "none"
    """Who vouches for the sender (D2)."""
    meta: Mapping[str, Any] = field(default_factory=lambda: EMPTY, repr=False)
    flags: frozenset[Flag] = frozenset()
    """`clock_suspect` (D4), `orphaned` (D18), `provisional`: later changes may be missing (D22)."""
    root: Ident | None = field(default=None, repr=False, metadata={"public": False})
    """What names the message whose thread it is in: `thread` is its id alone."""

    @property
    def text(self) -> str:
        """What the body says in words, or an empty text."""
        return "" if self.deleted else body_text(self.body)

    @property
    def serial(self) -> str | None:
        """Its number in the channel's order; opaque, compare for equality only."""
        return self.key.serial if self.key else None

    @property
    def ident(self) -> Ident:
        """User and id: what names it within its channel (D1)."""
        return Ident(self.sender.user, self.message_id)

    @property
    def cursor(self) -> Cursor | None:
        """The mark of its place, for `since=`, `before=` and the like; `None` while it has none."""
        if self.key is None or self.origin is None:
            return None
        return encode_cursor(Spot(self.origin, self.channel, self.key))
