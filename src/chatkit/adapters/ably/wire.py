"""Frames: one protocol message each, in JSON or msgpack, and the errors that they hold.

What a newer service may say beside what is known here is passed over, and null is the same as absent.

Source: the Ably sheet, sections 2 and 3.
"""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as NotBase64
from enum import IntEnum
from typing import Any, Final, NamedTuple, TypeAlias, cast

import msgpack

from chatkit.adapters.ably.config import Form

Frame: TypeAlias = dict[str, Any]
"""A protocol message, or an item of one."""

VERSION: Final = "6"
"""Of the protocol, as the socket's URL and calls name it."""


class Action(IntEnum):
    """What a protocol message is for: those that are sent or understood."""

    HEARTBEAT = 0
    ACK = 1
    NACK = 2
    CONNECTED = 4
    DISCONNECTED = 6
    CLOSE = 7
    CLOSED = 8
    ERROR = 9
    ATTACH = 10
    ATTACHED = 11
    DETACH = 12
    DETACHED = 13
    PRESENCE = 14
    MESSAGE = 15
    SYNC = 16
    AUTH = 17
    ANNOTATION = 21


class Flag(IntEnum):
    """Bits of `flags` in ATTACH and ATTACHED."""

    HAS_PRESENCE = 1
    RESUMED = 1 << 2
    PRESENCE = 1 << 16
    PUBLISH = 1 << 17
    SUBSCRIBE = 1 << 18
    PRESENCE_SUBSCRIBE = 1 << 19
    ANNOTATION_PUBLISH = 1 << 21
    ANNOTATION_SUBSCRIBE = 1 << 22


class ErrorInfo(NamedTuple):
    """An error as the service tells it. Its text is left out: it may quote what was sent."""

    code: int
    status: int


_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def encode(frame: Frame, form: Form) -> str | bytes:
    """Return a frame as it is sent."""
    if form == "msgpack":
        packed: bytes = msgpack.packb(frame)
        return packed
    return _JSON.encode(frame)


def decode(raw: str | bytes, form: Form) -> Frame | None:
    """Return what a frame says; `None` where it is no protocol message."""
    try:
        if form == "msgpack" and isinstance(raw, bytes):
            found: object = msgpack.unpackb(raw, unicode_errors="surrogateescape")
        else:
            found = json.loads(raw)
    except (ValueError, msgpack.UnpackException, RecursionError):
        return None
    return cast("Frame", found) if isinstance(found, dict) else None


def error_of(frame: Frame) -> ErrorInfo | None:
    """Return the error that a frame or an answer holds."""
    told = as_frame(frame.get("error"))
    if told is None:
        return None
    code, status = as_int(told.get("code")), as_int(told.get("statusCode"))
    digits = (code or 0) // 100
    return ErrorInfo(code or 0, status or (digits if 400 <= digits < 600 else 400))


def items_of(frame: Frame, field: str) -> list[Frame]:
    """Return the items of a frame, which is used up: with what they take over from it."""
    items: list[Frame] = []
    for index, given in enumerate(as_list(frame.get(field))):
        item = as_frame(given)
        if item is None:
            continue
        if None in item.values():
            item = {name: value for name, value in item.items() if value is not None}
        for name in ("connectionId", "timestamp"):
            if name not in item and frame.get(name) is not None:
                item[name] = frame[name]
        if "id" not in item and frame.get("id") is not None:
            item["id"] = f"{frame['id']}:{index}"
        items.append(item)
    return items


def text_of(item: Frame) -> str | None:
    """Return the data of an item as text; `None` where it is none, or under an encoding of which none comes.

    Objects that a member without chatkit sent are text, too: what JSON they were sent as.
    """
    data, encoding = item.get("data"), item.get("encoding") or ""
    if isinstance(data, str) and encoding in {"", "utf-8", "json"}:
        return data
    try:
        if isinstance(data, bytes) and encoding == "utf-8":
            return data.decode()
        if isinstance(data, str) and encoding == "utf-8/base64":
            return b64decode(data, validate=True).decode()
    except (NotBase64, ValueError):
        pass
    return None


def as_frame(value: object) -> Frame | None:
    """Return an object as one; anything else is `None`."""
    return cast("Frame", value) if isinstance(value, dict) else None


def as_list(value: object) -> list[object]:
    """Return a list as one; anything else is an empty one."""
    return cast("list[object]", value) if isinstance(value, list) else []


def as_int(value: object) -> int | None:
    """Return a whole number as one; anything else is `None`."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_text(value: object) -> str | None:
    """Return text as it is; anything else, and no text at all, is `None`."""
    return value if isinstance(value, str) and value else None
