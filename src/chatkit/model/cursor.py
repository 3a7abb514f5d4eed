"""`Cursor`: an opaque mark of a place in a channel that a program can keep and come back with."""

from __future__ import annotations

import base64
import json
from binascii import b2a_base64
from functools import lru_cache
from typing import Final, NamedTuple, NewType

from chatkit.errors import CursorInvalid
from chatkit.model.order import OrderKey

Cursor = NewType("Cursor", str)
"""Self-describing text: where it comes from, channel, epoch and place. Keep it in a database or a header."""

START: Final = Cursor("start")
"""Before the oldest message that is kept."""

_PREFIX: Final = "c1."
_LONGEST: Final = 2_000
_EPOCHS: Final = range(2**53)
_quoted = json.encoder.encode_basestring
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


class Spot(NamedTuple):
    """What a cursor says."""

    origin: str
    """The log's id, or the provider's realm where there is no log."""
    channel: str
    key: OrderKey


def encode_cursor(spot: Spot) -> Cursor:
    """Return the text of a place."""
    origin, channel, (epoch, serial) = spot
    packed = f"{_head(origin, channel)}{epoch},{_quoted(serial)}]".encode()
    return Cursor(_PREFIX + b2a_base64(packed, newline=False).translate(_URL_SAFE).decode().rstrip("="))


@lru_cache(1_024)
def _head(origin: str, channel: str) -> str:
    """Return the part of a cursor that all places of a channel share."""
    return f"[{_quoted(origin)},{_quoted(channel)},"


def decode_cursor(cursor: str) -> Spot:
    """Read a cursor.

    Raises:
        CursorInvalid: It is not one of ours; `START` is not a place and is refused too.
    """
    if not cursor.startswith(_PREFIX) or len(cursor) > _LONGEST:
        raise CursorInvalid("this text is not a cursor")
    packed = cursor[len(_PREFIX) :]
    try:
        match json.loads(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))):
            case [str(origin), str(channel), int(epoch), str(serial)] if epoch in _EPOCHS:
                spot = Spot(origin, channel, OrderKey(int(epoch), serial))
                # Only what we write is read: no second spelling of a place, no text that UTF-8 cannot say.
                if encode_cursor(spot) == cursor:
                    return spot
            case _:
                pass
    except (ValueError, RecursionError):
        pass
    raise CursorInvalid("this cursor is damaged")
