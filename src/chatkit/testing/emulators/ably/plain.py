"""What came in one format, made such that it can be written in the other, which its readers may use."""

from __future__ import annotations

import math
from typing import Any, Final, TypeGuard

from chatkit.testing.emulators.ably.errors import AblyError

DEEPEST: Final = 100
"""Lists and objects within one another; readers of JSON give up at some depth, each at its own."""
LONGEST_NUMBER: Final = 15


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether something decoded is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether something decoded is a list."""
    return isinstance(value, list)


def plain(value: Any, fields: frozenset[str]) -> Any:
    """A decoded value without what one of the formats has not.

    Half characters become U+FFFD, as in most readers of JSON.

    Args:
        value: As decoded, with text that is no UTF-8 under `surrogateescape`.
        fields: Those that hold items; the `data` of an item may be bytes.

    Raises:
        AblyError: 40001, it is nested more than `DEEPEST` levels, or holds a number out of bounds, a key that
            is no text, bytes elsewhere, or something that is not of JSON.
    """
    return _plain(value, DEEPEST, fields, bare=True)


def natural(text: str) -> int | None:
    """A number of up to 15 plain digits; `None` for any other text."""
    return int(text) if len(text) <= LONGEST_NUMBER and text.isascii() and text.isdigit() else None


def _plain(value: Any, levels: int, fields: frozenset[str], *, bare: bool) -> Any:
    if isinstance(value, str):
        return _whole(value)
    if isinstance(value, int):
        if -(2**63) <= value < 2**64:
            return value
    elif value is None or (isinstance(value, float) and math.isfinite(value)):
        return value
    elif levels and is_list(value):
        return [_plain(each, levels - 1, fields, bare=bare) for each in value]
    elif levels and is_object(value):
        return {
            _name(name): _data(each)
            if bare and name == "data" and isinstance(each, str | bytes)
            else _plain(each, levels - 1, fields, bare=bare and name in fields)
            for name, each in value.items()
        }
    raise AblyError(40001, "a value is too deep, too large, or of a kind that JSON or msgpack has not")


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise AblyError(40001, "a key is a text")
    return _whole(name)


def _whole(text: str) -> str:
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _data(data: str | bytes) -> str | bytes:
    """Bytes that came as text are bytes again."""
    if isinstance(data, bytes) or data.isascii() or _whole(data) == data:
        return data
    try:
        return data.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return _whole(data)
