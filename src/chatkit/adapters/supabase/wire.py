"""Frames: version 2 of Phoenix's protocol: arrays in text, and broadcasts of the server in binary, too.

Source: the Supabase sheet, section 2.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeAlias, cast

from chatkit.model.values import hide, packed

Object: TypeAlias = dict[str, Any]

BROADCAST: Final = 4
"""Kind of a binary frame."""
_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_decode: Final = json.JSONDecoder().decode


class Frame(NamedTuple):
    """One message; the parts of a broadcast stand in its payload, however it was written."""

    join_ref: str | None
    ref: str | None
    topic: str
    event: str
    payload: Any

    def __repr__(self) -> str:
        return hide(self, "payload")


def dumps(value: object) -> str:
    """Return compact JSON, other scripts as they are; lone surrogates, which UTF-8 has not, escaped."""
    text = _JSON.encode(value)
    try:
        _ = text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


def encode(frame: Frame) -> str:
    """Return a frame as it is sent."""
    return dumps(list(frame))


def decode(raw: str | bytes) -> Frame | None:
    """Return what a frame says; `None`: it is none."""
    if isinstance(raw, bytes):
        return _broadcast(raw)
    found = loads(raw)
    parts: list[Any] = as_list(found)
    if len(parts) < 5:
        return None
    join_ref, ref, topic, event, payload = parts[:5]
    if not isinstance(topic, str) or not isinstance(event, str):
        return None
    return packed(Frame, (as_text(join_ref), as_text(ref), topic, event, payload))


def loads(text: str | bytes) -> Any:
    """Return what a JSON text says; `None` where it says nothing, or is none."""
    try:
        return _decode(text) if isinstance(text, str) else json.loads(text)
    except (ValueError, RecursionError):
        return None


def as_object(value: object) -> Object:
    """Return an object as one; anything else is an empty one."""
    return cast("Object", value) if isinstance(value, dict) else {}


def as_list(value: object) -> list[object]:
    """Return a list as one; anything else is an empty one."""
    return cast("list[object]", value) if isinstance(value, list) else []


def as_text(value: object) -> str | None:
    """Return text as it is; anything else is `None`."""
    return value if isinstance(value, str) else None


def as_int(value: object) -> int | None:
    """Return a whole number as one; anything else is `None`."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _broadcast(raw: bytes) -> Frame | None:
    """Read a binary frame: five bytes that say what follows, three texts, and what was broadcast."""
    if len(raw) < 5 or raw[0] != BROADCAST:
        return None
    ends = [5]
    for size in raw[1:4]:
        ends.append(ends[-1] + size)
    if ends[-1] > len(raw):
        return None
    try:
        topic, event, meta = (raw[a:b].decode() for a, b in pairwise(ends))
    except UnicodeDecodeError:
        return None
    payload: Object = {"type": "broadcast", "event": event}
    payload["payload"] = loads(raw[ends[-1] :]) if raw[4] == 1 else raw[ends[-1] :]
    if meta:
        payload["meta"] = loads(meta)
    return Frame(None, None, topic, "broadcast", payload)
