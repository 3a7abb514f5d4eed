"""Views: what `watch()` gives, the present state as frozen values; and pages and reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from chatkit.errors import ChatkitError
from chatkit.model.cursor import Cursor
from chatkit.model.message import Message
from chatkit.model.values import EMPTY, Value, value

V = TypeVar("V")


@value
class ConnectionView(Value):
    """The link to the provider. `retry_in`: seconds until the next attempt, as of this view.

    `transport`: `websocket`, `sse` or `poll`, else the provider's scheme; `None` without a connection.
    """

    state: str
    reason: ChatkitError | None = None
    since: datetime
    attempt: int = 0
    retry_in: float | None = None
    transport: str | None = None


@value
class Member(Value):
    """One user in a channel, the devices merged: online before away; of equal keys of `data` the newest.

    `last_seen`: the newest of what this client has seen: the user's presence, the newest message of theirs
    that somebody vouches for, their read mark; `None` when none is known. As of when the value was made.
    """

    user: str
    status: Literal["online", "away", "offline"]
    data: Mapping[str, Any] = field(default_factory=lambda: EMPTY, repr=False)
    last_seen: datetime | None = None
    devices: int = 0


@value
class PresenceView(Value):
    """Who is there, by user. `synced`: the whole set is in; `error`: why it cannot be, or I cannot enter."""

    members: Mapping[str, Member]
    synced: bool = False
    error: ChatkitError | None = None


@value
class OutboxView(Value):
    """What is queued: entries, bytes, the oldest, and how many are kept as failed."""

    depth: int
    size: int
    oldest: datetime | None = None
    failed: int = 0


@value
class TimelineChange(Value):
    """One step from a reader's last view to this one; apply them in order."""

    op: Literal["insert", "update", "remove"]
    index: int
    message: Message


@value
class TimelineView(Value):
    """The loaded part of a channel, oldest first; own unsent messages stand at the end (D3)."""

    messages: Sequence[Message]
    state: Literal["local", "loading", "live", "stale", "failed"]
    error: ChatkitError | None = None
    has_older: bool = False
    has_newer: bool = False
    gaps: tuple[Cursor, ...] = ()
    """Where messages are known to be missing: the mark below each hole (D19)."""
    changes: tuple[TimelineChange, ...] | None = None
    """Since this reader's last view; `None`: draw all."""


@value
class Page(Value, Generic[V]):
    """A bounded slice. `next` is where the following slice starts, `None` at the end."""

    items: tuple[V, ...]
    next: Cursor | None = None
    provisional: bool = False
    """Later edits may not be folded in (raw provider history)."""


@value
class FlushReport(Value):
    """What a flush did. `durable`: what is queued outlives the process. `reason`: why something is left."""

    sent: int
    failed: int
    queued: int
    durable: bool
    reason: ChatkitError | None = None


@value
class CloseReport(FlushReport):
    """What a close left. `clean`: no task, thread or file stayed; else `left` names them (I12)."""

    clean: bool = True
    left: tuple[str, ...] = ()


@value
class Pin(Value):
    """A pinned message. `message` is `None` where it is not loaded here and the log cannot be asked."""

    message_id: str
    author: str
    by: str
    """Who pinned it."""
    at: datetime
    """When, by the clock of whoever did."""
    message: Message | None = None


@value
class Unread(Value):
    """What a user has not read in a channel; `exact=False`: at least so many."""

    messages: int
    mentions: int
    exact: bool
    first: str | None = None


@value
class ThreadInfo(Value):
    """A thread as a whole."""

    root: Message
    """The message replied to."""
    replies: int
    participants: tuple[str, ...]
    """Who wrote the newest 1,000 of them; who wrote last comes first."""
    last: Message | None = None
    """The newest that is not deleted."""


@value
class Health(Value):
    """How the client fares: `status` sums up `checks`."""

    status: Literal["ok", "degraded", "down"]
    checks: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
