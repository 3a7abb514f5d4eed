"""From what a caller wants to a row of the outbox: checked, measured and named before anything is queued."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from chatkit.engine.claims import claim_check
from chatkit.errors import ConfigError, DependencyFailed, InvalidMessage, MessageTooLarge
from chatkit.given import is_instant, is_number, is_text
from chatkit.model.directs import INVITATION, INVITE
from chatkit.model.envelope import MAX_BYTES, Envelope
from chatkit.model.ids import keyed_message_id, new_message_id
from chatkit.model.order import Ident
from chatkit.model.values import format_time
from chatkit.ports import Row

if TYPE_CHECKING:
    from chatkit.engine.engine import Engine

RESERVED: Final = 100
"""Bytes of a frame kept for what the first attempt adds; the adapter itself counts the stamp."""
LARGEST: Final = MAX_BYTES - RESERVED
"""Most bytes of an envelope whose body waits in the log."""
LONGEST_KEY: Final = 512
"""Most characters of a caller's key."""
KINDS: Final[Mapping[str, str]] = {
    "message.create": "create",
    "message.update": "update",
    "message.delete": "delete",
    "message.restore": "restore",
    "reaction.add": "reaction",
    "reaction.remove": "reaction",
    INVITATION: INVITE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One thing that a user wants to happen in a channel."""

    kind: str
    user: str
    channel: str
    body: Mapping[str, Any] | None = None
    ref: Mapping[str, Any] | None = None
    thread: Ident | None = None
    also: bool = False
    topic: str | None = None
    mentions: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict[str, Any])
    key: str | None = None
    expires_in: float | None = None
    send_at: datetime | None = None


def draft(wish: Wish, engine: Engine) -> Row:
    """Return the row to queue.

    Raises:
        InvalidMessage: A field cannot be sent; it is named.
        MessageTooLarge: The envelope fits no frame of the provider, nor the log behind it.
        ConfigError: A deadline or a time is out of bounds.
    """
    context = engine.context
    now = context.clock.wall()
    entry_id = new_message_id(context.server_time.now_ms(), context.random)
    message_id = entry_id
    if wish.key is not None:
        if not is_text(wish.key) or not 1 <= len(wish.key) <= LONGEST_KEY:
            raise InvalidMessage(f"key: is not text of 1 to {LONGEST_KEY} characters", channel=wish.channel)
        message_id = keyed_message_id(engine.secret, wish.user, wish.channel, wish.key)
    due_at, expires_at = _times(wish, engine)
    data = _encode(wish, message_id, engine.outbox.device, now)
    _measure(wish, message_id, data, engine)
    return Row(
        entry_id=entry_id,
        ident=Ident(wish.user, message_id),
        device=engine.outbox.device,
        channel=wish.channel,
        kind=KINDS[wish.kind],
        status="queued",
        certain=True,
        data=data,
        depends_on=_dependency(wish, engine),
        key=wish.key,
        queued_at=now,
        due_at=due_at,
        expires_at=expires_at,
        seq=None,
        attempts=0,
        first_attempt=None,
        batch_id=None,
        stamp=None,
        announced=True,
        reason=None,
    )


def _encode(wish: Wish, message_id: str, device: str, now: datetime) -> bytes:
    fields: dict[str, Any] = {
        "v": 1,
        "min": 1,
        "id": message_id,
        "kind": wish.kind,
        "channel": wish.channel,
        "sender": {"user": wish.user, "device": device},
        "at": format_time(now),
        "ref": wish.ref,
        "thread": None if wish.thread is None else {"id": wish.thread.id, "user": wish.thread.user},
        "topic": wish.topic,
        "mentions": list(wish.mentions),
        "also": wish.also or None,
        "body": wish.body,
        "meta": dict(wish.meta),
    }
    try:
        return Envelope.pack(fields)
    except InvalidMessage as error:
        error.channel, error.message_id = wish.channel, message_id
        raise


def _measure(wish: Wish, message_id: str, data: bytes, engine: Engine) -> None:
    """Refuse what neither a frame carries nor, with a claim check in its place, the log (D29)."""
    context = engine.context
    limit = context.adapter.capabilities.frame_bytes - RESERVED
    size = context.adapter.measure(wish.channel, data)
    if size <= limit:
        return
    where = {"channel": wish.channel, "message_id": message_id}
    if not context.claims:
        raise MessageTooLarge(
            f"the message takes {size:,} bytes and a frame of this provider carries {limit:,}", **where
        )
    if len(data) > LARGEST:
        raise MessageTooLarge(
            f"the message takes {len(data):,} bytes and a log keeps at most {LARGEST:,}", **where
        )
    if context.adapter.measure(wish.channel, claim_check(data)) > limit:
        raise MessageTooLarge(
            f"without its body the message takes more than the {limit:,} bytes that a frame carries", **where
        )


def _times(wish: Wish, engine: Engine) -> tuple[datetime | None, datetime]:
    """Return when to send and when to give up, instants of server time (D13)."""
    now, age = engine.context.server_time.now(), engine.context.limits.age
    if wish.expires_in is not None and not (is_number(wish.expires_in) and 0 < wish.expires_in <= age):
        raise ConfigError(
            f"expires_in must be above 0 and at most {age:g} seconds",
            channel=wish.channel,
            hint="Give a later deadline.",
        )
    if wish.send_at is not None and not is_instant(wish.send_at):
        raise ConfigError(
            "send_at is no datetime with a zone", channel=wish.channel, hint="Use an aware datetime."
        )
    start = now if wish.send_at is None else max(now, wish.send_at)
    try:
        ends = start + timedelta(seconds=age if wish.expires_in is None else wish.expires_in)
    except OverflowError:
        raise ConfigError(
            "send_at lies beyond the calendar", channel=wish.channel, hint="Give an earlier time."
        ) from None
    return wish.send_at, ends


def _dependency(wish: Wish, engine: Engine) -> str | None:
    """Return the entry that makes what this one refers to, while its fate is open (D7).

    Of a quote in a thread that is the message quoted, unless only the thread's own is still to be sent.

    Raises:
        DependencyFailed: That message was certainly not sent: nobody else could make anything of this one.
    """
    quoted = None if wish.ref is None else Ident(wish.ref["user"], wish.ref["id"])
    for ident in filter(None, (quoted, wish.thread)):
        entry = engine.outbox.for_ident(wish.channel, ident)
        if entry is None:
            continue
        if not entry.shown.done:
            return entry.row.entry_id
        if entry.row.status != "sent" and entry.row.certain:
            raise DependencyFailed(
                f"the message that this refers to is {entry.row.status}",
                channel=wish.channel,
                message_id=ident.id,
                hint="Send that one first: its delivery has retry().",
            )
    return None
