"""What the data of an event is: an envelope's own bytes, and where a log numbers the stamp at their end.

The event is named `chatkit` where a process with the secret published it, which nobody else can name an
event, and `client-chatkit` where a member sent it. A stamp is the last field of the object: put in before the
closing brace and taken out again to the byte, so the envelope is what its sender froze (D7).
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, cast

from chatkit.adapters.pusher import frames
from chatkit.model.entry import Stamp
from chatkit.model.envelope_plain import read_head
from chatkit.model.order import OrderKey
from chatkit.model.values import format_time, packed, parse_time

EVENT: Final = "chatkit"
CLIENT_EVENT: Final = "client-chatkit"
BYTES: Final = 10_240
"""Of the data of one event, in UTF-8."""
STAMP_BYTES: Final = 500
"""Most that a stamp takes: its numbers, the name of its log, and a user of 128 bytes, each escaped."""

_FIELD: Final = ',"stamp":'
_DECODER: Final = json.JSONDecoder()


class Payload(NamedTuple):
    """What the data of an event holds."""

    data: bytes
    """The envelope."""
    sender: str | None
    """Whom the envelope says it is from; `None` where it says nothing that can be read."""
    stamp: Stamp | None


def pack(data: bytes, stamp: Stamp | None) -> str:
    """Return the data of an event for an envelope."""
    text = data.decode("utf-8", "replace")
    if stamp is None or not text.endswith("}"):
        return text
    fields: dict[str, Any] = {"epoch": stamp.key.epoch, "serial": stamp.key.serial}
    if stamp.prev is not None:
        fields["prev"] = stamp.prev
    if stamp.log_id is not None:
        fields["log"] = stamp.log_id
    fields |= {"at": format_time(stamp.at), "user": stamp.user}
    beyond = stamp.at.microsecond % 1000
    if beyond:
        fields["us"] = beyond  # the wire's times end at milliseconds, and a log's do not (I5)
    return f"{text[:-1]}{_FIELD}{frames.dumps(fields)}}}"


def unpack(data: Any) -> Payload:
    """Return what the data of an event holds; of text that is no envelope its bytes alone."""
    text = frames.as_text(data)
    head, stamp = read_head(text), None
    sender: str | None
    if head is not None:  # as most: who says it is told without a decoder
        sender, stamped = head[0], True
    else:
        fields = frames.as_object(text)
        who = frames.as_object(fields.get("sender")).get("user")
        sender, stamped = who if isinstance(who, str) else None, isinstance(fields.get("stamp"), dict)
    if stamped:
        text, stamp = _take_stamp(text)
    return packed(Payload, (text.encode("utf-8", "surrogatepass"), sender, stamp))


def _take_stamp(text: str) -> tuple[str, Stamp | None]:
    """Return the text without the stamp at its end, and the stamp; all of it where none stands there."""
    at = text.rfind(_FIELD)
    if at < 0:
        return text, None
    try:
        fields, end = _DECODER.raw_decode(text, at + len(_FIELD))
    except (ValueError, RecursionError):
        return text, None
    if text[end:].strip() != "}" or not isinstance(fields, dict):
        return text, None
    stamp = _stamp(cast("dict[str, Any]", fields))
    return (text, None) if stamp is None else (f"{text[:at]}}}", stamp)


def _stamp(fields: dict[str, Any]) -> Stamp | None:
    epoch, serial, user = fields.get("epoch"), fields.get("serial"), fields.get("user")
    prev, log = fields.get("prev"), fields.get("log")
    at = _time(fields.get("at"), fields.get("us", 0))
    if not isinstance(epoch, int) or not isinstance(serial, str) or not isinstance(user, str) or at is None:
        return None
    if not isinstance(prev, str | None) or not isinstance(log, str | None):
        return None
    return Stamp(OrderKey(epoch, serial), prev, log, user, at)


def _time(text: Any, beyond: Any) -> datetime | None:
    if not isinstance(text, str) or not isinstance(beyond, int) or not 0 <= beyond < 1000:
        return None
    try:
        return parse_time(text) + timedelta(microseconds=beyond)
    except (ValueError, OverflowError):
        return None
