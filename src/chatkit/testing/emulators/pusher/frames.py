"""JSON as it is read and written; frames to clients, with `data` mostly a text that is JSON again."""

from __future__ import annotations

import json
from typing import Any, NoReturn, cast


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def parse(text: str | bytes) -> dict[str, Any] | None:
    """A JSON object; `None` if it is anything else."""
    try:
        return as_object(json.loads(text, parse_constant=_no_constant))
    except (ValueError, RecursionError):
        return None


def as_object(value: Any) -> dict[str, Any] | None:
    """A value that is to be an object; `None` if it is none."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def as_list(value: Any) -> list[Any] | None:
    """A value that is to be a list; `None` if it is none."""
    return cast("list[object]", value) if isinstance(value, list) else None


def dumps(value: Any) -> str:
    """Compact JSON, other scripts as they are; half characters escaped, which UTF-8 has not."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


def event(name: str, data: Any = None, *, channel: str | None = None, user_id: str | None = None) -> str:
    """An event with its data as it is; absent parts are left out."""
    parts = {"event": name, "channel": channel, "data": data, "user_id": user_id}
    return dumps({part: value for part, value in parts.items() if value is not None})


def system(name: str, data: Any, *, channel: str | None = None) -> str:
    """An event of the protocol itself: its data is encoded twice."""
    return event(name, dumps(data), channel=channel)


def error(message: str, code: int | None = None) -> str:
    """The one event of the protocol whose data is an object; its code is always there, often null."""
    return dumps({"event": "pusher:error", "data": {"code": code, "message": message}})
