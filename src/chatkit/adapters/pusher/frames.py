"""Frames: JSON of one event each, with `data` that is a text which mostly is JSON again.

Source: the Pusher protocol sheet, sections 2 and 3.1.
"""

from __future__ import annotations

import json
from typing import Any, Final, cast

PING: Final = '{"event":"pusher:ping","data":{}}'
PONG: Final = '{"event":"pusher:pong","data":{}}'


def dumps(value: Any) -> str:
    """Return compact JSON, other scripts as they are; lone surrogates, which UTF-8 has not, escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        _ = text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


def parse(text: str | bytes) -> Any:
    """Return what a JSON text says; `None` where it says nothing, or is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def as_object(data: Any) -> dict[str, Any]:
    """Return the object that `data` is, or that its text says; an empty one if there is none."""
    found = parse(data) if isinstance(data, str) else data
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def as_text(data: Any) -> str:
    """Return `data` as text: what a publisher gave as text stays as it is, to the byte."""
    return data if isinstance(data, str) else "" if data is None else dumps(data)


def subscribe(name: str, auth: str, channel_data: str | None) -> str:
    """Return the frame that subscribes; `channel_data` goes as it was signed."""
    data = {"channel": name, "auth": auth}
    if channel_data is not None:
        data["channel_data"] = channel_data
    return dumps({"event": "pusher:subscribe", "data": data})


def unsubscribe(name: str) -> str:
    """Return the frame that unsubscribes; it has no answer."""
    return dumps({"event": "pusher:unsubscribe", "data": {"channel": name}})


def client_event(event: str, name: str, data: str) -> str:
    """Return a client event."""
    return dumps({"event": event, "channel": name, "data": data})
