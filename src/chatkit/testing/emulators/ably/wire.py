"""Protocol messages: actions, flags, and the two formats with transcoding between them.

Inside the emulator the data of a message is what msgpack carries: `str`, `bytes` or nothing, under an
`encoding` that has no trailing `base64`. JSON adds that step on the way out and takes it off on the way in,
so that a subscriber on either format reads what a publisher on the other wrote.

Source: RSL4, RSL6, TR2, TR3 of ably/specification.
"""

from __future__ import annotations

import base64
import binascii
import json
from enum import IntEnum, IntFlag, StrEnum
from typing import Any, Final

import msgpack

from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.plain import plain

Wire = dict[str, Any]
"""A protocol message, or an item of one, as decoded from either format."""


class Action(IntEnum):
    """What a protocol message is for."""

    HEARTBEAT = 0
    ACK = 1
    NACK = 2
    CONNECT = 3
    CONNECTED = 4
    DISCONNECT = 5
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
    ACTIVATE = 18
    OBJECT = 19
    OBJECT_SYNC = 20
    ANNOTATION = 21


class MessageAction(IntEnum):
    """What a message does to its `serial`."""

    CREATE = 0
    UPDATE = 1
    DELETE = 2
    META = 3
    SUMMARY = 4
    APPEND = 5


class PresenceAction(IntEnum):
    """What became of a member."""

    ABSENT = 0
    PRESENT = 1
    ENTER = 2
    LEAVE = 3
    UPDATE = 4


class Flag(IntFlag):
    """What an ATTACH asks for and an ATTACHED says."""

    HAS_PRESENCE = 1
    HAS_BACKLOG = 2
    RESUMED = 4
    PRESENCE = 1 << 16
    PUBLISH = 1 << 17
    SUBSCRIBE = 1 << 18
    PRESENCE_SUBSCRIBE = 1 << 19
    ANNOTATION_PUBLISH = 1 << 21
    ANNOTATION_SUBSCRIBE = 1 << 22


DEFAULT_MODES: Final = Flag.PRESENCE | Flag.PUBLISH | Flag.SUBSCRIBE | Flag.PRESENCE_SUBSCRIBE
ALL_MODES: Final = DEFAULT_MODES | Flag.ANNOTATION_PUBLISH | Flag.ANNOTATION_SUBSCRIBE

ITEMS: Final = {
    Action.MESSAGE: "messages",
    Action.PRESENCE: "presence",
    Action.SYNC: "presence",
    Action.ANNOTATION: "annotations",
}
"""Which field of a protocol message holds its items."""


ITEM_FIELDS: Final = frozenset(ITEMS.values())

_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class Format(StrEnum):
    """How frames and bodies are written."""

    JSON = "json"
    MSGPACK = "msgpack"

    @property
    def content_type(self) -> str:
        """Of an HTTP body."""
        return "application/x-msgpack" if self is Format.MSGPACK else "application/json"


def encode(value: Any, form: Format) -> str | bytes:
    """Write a frame or a body whose items were rendered for this format."""
    if form is Format.MSGPACK:
        packed: bytes = msgpack.packb(value, use_bin_type=True)
        return packed
    return _JSON.encode(value)


def decode(raw: str | bytes, form: Format) -> Any:
    """Read a frame or a body; what comes out can be written in either format.

    Raises:
        AblyError: 40001, it is not of that format, or as `plain` says.
    """
    try:
        if form is Format.MSGPACK:
            data = raw.encode() if isinstance(raw, str) else raw
            # A client that packs bytes as strings (use_bin_type=False) still gets them through.
            value = msgpack.unpackb(data, raw=False, unicode_errors="surrogateescape")
        else:
            value = json.loads(raw)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise AblyError(40001, f"not {form}") from error
    return plain(value, ITEM_FIELDS)


def absorb(item: Wire) -> Wire:
    """The item as the emulator keeps it: base64 undone, values that JSON carries natively made strings.

    Raises:
        AblyError: 40013, the data is no text, bytes, object or array, or not as its encoding says.
    """
    kept = {name: value for name, value in item.items() if value is not None}
    steps = str(kept.get("encoding") or "").split("/") if kept.get("encoding") else []
    data = kept.get("data")
    if isinstance(data, str):
        if steps and steps[-1] == "base64":
            steps.pop()
            try:
                kept["data"] = base64.b64decode(data, validate=False)
            except (binascii.Error, ValueError) as error:
                raise AblyError(40013, "the data is not base64") from error
    elif isinstance(data, dict | list):
        kept["data"] = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        steps.append("json")
    elif data is not None and not isinstance(data, bytes):
        raise AblyError(40013, "data is text, bytes, an object or an array")
    if steps:
        kept["encoding"] = "/".join(steps)
    else:
        kept.pop("encoding", None)
    return kept


def render(item: Wire, form: Format) -> Wire:
    """The item as a reader of that format gets it."""
    data = item.get("data")
    if form is Format.MSGPACK or not isinstance(data, bytes):
        return item
    encoding = item.get("encoding")
    return {
        **item,
        "data": base64.b64encode(data).decode(),
        "encoding": f"{encoding}/base64" if encoding else "base64",
    }


def size_of(item: Wire) -> int:
    """The bytes that a message counts for (TM6): name, data, client id and extras."""
    total = 0
    for name in ("name", "clientId", "data"):
        value = item.get(name)
        total += len(value if isinstance(value, bytes) else str(value).encode()) if value else 0
    if item.get("extras"):
        total += len(json.dumps(item["extras"], ensure_ascii=False, separators=(",", ":")).encode())
    return total
