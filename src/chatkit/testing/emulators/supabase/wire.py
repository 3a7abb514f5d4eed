"""Frames: Phoenix's two JSON forms, and Realtime's binary ones for broadcasts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from chatkit.testing.emulators.supabase.plain import Object, dumps, is_list, is_object, loads

PUSH: Final = 3
BROADCAST: Final = 4
MOST: Final = 255
"""Bytes of a part whose size takes one byte."""

Encoding = Literal["binary", "json"]


@dataclass(frozen=True, kw_only=True)
class UserBroadcast:
    """A broadcast whose parts are known: by a binary frame, a single call by HTTP, or the database.

    Attributes:
        event: Its name.
        payload: As it is on the wire.
        encoding: What the payload is.
        meta: What the server says of it.
    """

    event: str
    payload: bytes
    encoding: Encoding = "json"
    meta: Object = field(default_factory=dict[str, Any])


Broadcast = UserBroadcast | Object
"""The latter is the payload of a text frame, which goes to others as it came."""


def event_id(broadcast: Broadcast) -> Any:
    """What the server calls a broadcast, if it has a name for it."""
    meta = broadcast.meta if isinstance(broadcast, UserBroadcast) else broadcast.get("meta")
    return meta.get("id") if is_object(meta) else None


@dataclass(frozen=True, kw_only=True)
class Message:
    """What a client sent; `payload` is any JSON value, or a broadcast of a binary frame."""

    topic: str
    event: str
    payload: Any
    ref: Any
    join_ref: Any


class Serializer(Protocol):
    """One version of the protocol."""

    def decode(self, frame: str | bytes) -> Message:
        """Read a frame.

        Raises:
            ValueError: It is none.
        """
        ...

    def message(
        self, topic: str, event: str, payload: Object, *, ref: Any = None, join_ref: Any = None
    ) -> str:
        """A message of the server."""
        ...

    def broadcast(self, topic: str, broadcast: Broadcast, *, join_ref: Any = None) -> str | bytes | None:
        """A broadcast; `None` where this version cannot carry it."""
        ...


class Version1:
    """Objects; a join's ref is read and never said."""

    def decode(self, frame: str | bytes) -> Message:
        """Read a frame."""
        read = loads(frame) if isinstance(frame, str) else None
        if not is_object(read) or not {"topic", "event", "payload", "ref"} <= read.keys():
            raise ValueError("expected an object with topic, event, payload and ref")
        return _message(read["topic"], read["event"], read["payload"], read["ref"], read.get("join_ref"))

    def message(
        self, topic: str, event: str, payload: Object, *, ref: Any = None, join_ref: Any = None
    ) -> str:
        """A message of the server."""
        del join_ref
        return dumps({"topic": topic, "event": event, "payload": payload, "ref": ref})

    def broadcast(self, topic: str, broadcast: Broadcast, *, join_ref: Any = None) -> str | None:
        """A broadcast, of JSON alone."""
        if not isinstance(broadcast, UserBroadcast):
            return self.message(topic, "broadcast", broadcast, join_ref=join_ref)
        if broadcast.encoding == "binary":
            return None
        try:
            payload = loads(broadcast.payload)
        except ValueError:
            return None
        meta = {"meta": broadcast.meta} if broadcast.meta else {}
        told = {"event": broadcast.event, "payload": payload, "type": "broadcast", **meta}
        return self.message(topic, "broadcast", told)


class Version2:
    """Arrays, and binary frames of broadcasts."""

    def decode(self, frame: str | bytes) -> Message:
        """Read a frame."""
        if isinstance(frame, bytes):
            return _pushed(frame)
        read = loads(frame)
        if not is_list(read) or len(read) < 5:
            raise ValueError("expected an array of five")
        join_ref, ref, topic, event, payload = read[:5]
        return _message(topic, event, payload, ref, join_ref)

    def message(
        self, topic: str, event: str, payload: Object, *, ref: Any = None, join_ref: Any = None
    ) -> str:
        """A message of the server."""
        return dumps([join_ref, ref, topic, event, payload])

    def broadcast(self, topic: str, broadcast: Broadcast, *, join_ref: Any = None) -> str | bytes | None:
        """A broadcast: binary where its parts are known, none where they do not fit."""
        if not isinstance(broadcast, UserBroadcast):
            return self.message(topic, "broadcast", broadcast, join_ref=join_ref)
        meta = dumps(broadcast.meta).encode() if broadcast.meta else b""
        parts = [topic.encode(), broadcast.event.encode(), meta]
        if any(len(part) > MOST for part in parts):
            return None
        head = [BROADCAST, *(len(part) for part in parts), int(broadcast.encoding == "json")]
        return b"".join([bytes(head), *parts, broadcast.payload])


VERSIONS: Final[dict[str, Serializer]] = {"1.0.0": Version1(), "2.0.0": Version2()}


def _message(topic: Any, event: Any, payload: Any, ref: Any, join_ref: Any) -> Message:
    if not isinstance(topic, str) or not isinstance(event, str):
        raise ValueError("topic and event are texts")  # no frame, as all else
    return Message(topic=topic, event=event, payload=payload, ref=ref, join_ref=join_ref)


def _pushed(frame: bytes) -> Message:
    if len(frame) < 7 or frame[0] != PUSH:
        raise ValueError("expected a push of a broadcast")
    parts: list[bytes] = []
    at = 7
    for size in frame[1:6]:
        parts.append(frame[at : at + size])
        at += size
    if at > len(frame):
        raise ValueError("its parts are longer than it is")
    join_ref, ref, topic, event, meta = (part.decode() for part in parts)
    if meta:
        loads(meta)  # read and thrown away
    encoding: Encoding = "json" if frame[6] else "binary"
    payload = UserBroadcast(event=event, payload=frame[at:], encoding=encoding)
    return Message(topic=topic, event="broadcast", payload=payload, ref=ref, join_ref=join_ref)
