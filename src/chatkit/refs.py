"""What callers may name a message or a place by, and how that is resolved."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from chatkit.delivery import Delivery
from chatkit.errors import ConfigError, CursorInvalid, StateError
from chatkit.model.cursor import START, Cursor, decode_cursor
from chatkit.model.message import Message
from chatkit.model.order import OrderKey, Place

if TYPE_CHECKING:
    from chatkit.engine.engine import Engine

MessageRef: TypeAlias = Message | Delivery | str
"""Wherever a message is meant; text is a message id."""
Position: TypeAlias = Cursor | Message | Delivery | datetime
"""A place in a channel."""


def place_of(position: Position, channel: str, engine: Engine) -> Place | None:
    """Return the place that a position stands for; `None` is before the oldest message.

    Raises:
        CursorInvalid: It is of another channel, log or provider.
        StateError: The message has no place yet.
        ConfigError: It is a time without a zone, or no position at all.
    """
    match position:
        case datetime():
            if position.tzinfo is None:
                raise ConfigError(
                    "a time as a position needs a zone", hint="Use datetime.now(timezone.utc) and the like."
                )
            return position
        case Message():
            return _own_place(position, channel)
        case Delivery():
            return _own_place(position.message, channel)
        case str() if position == START:
            return None
        case str():
            return _cursor_place(position, channel, engine)
        case _:
            raise ConfigError(
                f"a position is a cursor, message, delivery or time, not {type(position).__name__}"
            )


def origin_of(position: Position) -> str | None:
    """Return who numbered the place that a position stands for, as far as it says."""
    match position:
        case Message():
            return position.origin
        case Delivery():
            return position.message.origin
        case str() if position != START:
            return decode_cursor(position).origin
        case _:
            return None


def _own_place(message: Message, channel: str) -> OrderKey:
    if message.channel != channel:
        raise CursorInvalid(
            "the message is of another channel", channel=channel, message_id=message.message_id
        )
    if message.key is None:
        raise StateError(
            "the message has no place yet",
            hint="Wait for it first: `await delivery.wait()`.",
            channel=channel,
            message_id=message.message_id,
        )
    return message.key


def _cursor_place(cursor: str, channel: str, engine: Engine) -> OrderKey:
    spot = decode_cursor(cursor)
    if spot.channel != channel:
        raise CursorInvalid("the cursor is of another channel", channel=channel)
    known = engine.channels[channel].receiver.log_id if channel in engine.channels else None
    # Where raw history numbers nothing of its own, and before a log has said its id, places are the realm's.
    if known is not None and spot.origin not in {known, engine.context.origin}:
        raise CursorInvalid("the cursor is of another log or provider", channel=channel)
    return spot.key
