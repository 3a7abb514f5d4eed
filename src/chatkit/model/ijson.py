"""Strict I-JSON in and out: what two languages read alike, and nothing else.

Integers within ±(2^53-1), finite numbers, no duplicate keys, no lone surrogates, no U+0000, at most 32
levels (the outermost object is the first). A refusal names the field by its path, `body.fields.x`, never
its value (I16); what concerns the whole document is named `envelope`.

Source: delivery.md, rules of the wire envelope; RFC 7493.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, TypeAlias, cast

from chatkit.errors import InvalidMessage, MessageTooLarge

MAX_INT: Final = 2**53 - 1
MAX_DEPTH: Final = 32

_Fault: TypeAlias = "tuple[str, tuple[str, ...]]"  # a reason, and the keys on the way to the field


def loads(data: bytes, *, limit: int) -> dict[str, Any]:
    """Read one object from bytes that anyone may have written.

    Time and memory are bounded by `limit`, whatever the bytes are.

    Args:
        data: UTF-8 without a byte order mark.
        limit: The most bytes to look at.

    Raises:
        MessageTooLarge: It is too long.
        InvalidMessage: It is not an object, or outside I-JSON.
    """
    if len(data) > limit:
        raise MessageTooLarge(f"envelope: is {len(data)} bytes long, at most {limit} are read")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise field_error("", f"is not UTF-8 at byte {error.start}") from None
    # No text is nested deeper than it has opening brackets, so most never pay for the exact count.
    if text.count("{") + text.count("[") > MAX_DEPTH and _is_too_deep(data):
        raise field_error("", _TOO_DEEP)
    try:
        found, doubtful = _decode(text)
    except ValueError:
        # The fast decoder knows only that something is wrong: read again to name the field.
        found, doubtful = _decode_marking(text), True
    if doubtful:
        check(found)
    if not isinstance(found, dict):
        raise field_error("", "is not a JSON object")
    return cast("dict[str, Any]", found)


def dumps(value: Any, path: str = "") -> bytes:
    """Write a value as compact JSON in raw UTF-8; keys keep their order.

    Raises:
        InvalidMessage: As `check`.
    """
    check(value, path)
    return _ENCODER.encode(value).encode()


def check(value: Any, path: str = "") -> None:
    """Refuse what I-JSON cannot say: also sets, bytes, keys that are not text, and the like.

    Args:
        value: Dicts, lists, tuples, text, numbers, booleans, `None`.
        path: Where the value will stand, as in `body`; its levels count towards the depth.

    Raises:
        InvalidMessage: The first field that cannot travel.
    """
    fault = _find_fault(value, MAX_DEPTH - (path.count(".") + 1 if path else 0))
    if fault is not None:
        raise field_error(join(path, *fault[1]), fault[0])


def field_error(path: str, reason: str) -> InvalidMessage:
    """Return the error that names a field: `path: reason`."""
    return InvalidMessage(f"{path or 'envelope'}: {reason}")


def join(path: str, *keys: str) -> str:
    """Return the path of something inside `path`, fit for an error message.

    Keys may be anything a stranger wrote: long and unprintable ones are shortened and escaped.
    """
    steps = [_shown(key) for key in keys[:_SHOWN_STEPS]]
    if len(keys) > _SHOWN_STEPS:
        steps.append("…")
    return ".".join([path, *steps] if path else steps)


_TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"
_SHOWN_STEPS = 8
_SHOWN_CHARACTERS = 40


def _shown(key: str) -> str:
    if len(key) > _SHOWN_CHARACTERS:
        key = key[:_SHOWN_CHARACTERS] + "…"
    return key if key.isprintable() else ascii(key)[1:-1]


def _find_fault(value: Any, room: int) -> _Fault | None:
    """Return why a value cannot travel, or `None`; `room` is how many levels may still open.

    The path is put together on the way out, so that a sound value costs no text at all.
    """
    items: Iterable[tuple[object, Any]]
    if isinstance(value, dict):
        fields = cast("dict[object, Any]", value)
        reason, items = _keys_fault(fields), fields.items()
    elif isinstance(value, list | tuple):
        reason, items = None, enumerate(cast("Sequence[Any]", value))
    else:
        reason = _scalar_fault(value)
        return None if reason is None else (reason, ())
    if reason is None and not room:
        reason = _TOO_DEEP
    if reason is not None:
        return reason, ()
    for key, item in items:
        if type(item) is str and item.isascii() and "\0" not in item:
            continue  # what most are
        fault = _find_fault(item, room - 1)
        if fault is not None:
            return fault[0], (str(key), *fault[1])
    return None


def _keys_fault(fields: dict[object, Any]) -> str | None:
    for key in fields:
        reason = _text_fault(key) if isinstance(key, str) else "is not text"
        if reason is not None:
            return f"has a key that {reason}"
    return None


def _text_fault(text: str) -> str | None:
    if "\0" in text:
        return "holds U+0000"
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds a lone surrogate"
    return None


def _scalar_fault(value: object) -> str | None:
    if isinstance(value, str):
        return _text_fault(value)
    if value is None:
        return None
    if isinstance(value, int):
        return None if -MAX_INT <= value <= MAX_INT else _BIG
    if isinstance(value, float):
        return None if isfinite(value) else _INFINITE
    if isinstance(value, _Mark):
        return value.reason
    return f"is of type {type(value).__name__}, which JSON does not have"


_BIG = "is an integer beyond ±(2^53-1)"
_INFINITE = "is not a finite number"
_TWICE = "stands there twice"


@dataclass(frozen=True)
class _Mark:
    """What a decoder that names faults puts in the place of a bad value."""

    reason: str


class _Unfit(ValueError):
    """The fast decoder met something outside I-JSON."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Unfit
    return found


def _int(digits: str) -> int:
    # Short ones are always within bounds; very long ones would cost time to convert.
    if len(digits) < _SHORT_INT:
        return int(digits)
    if len(digits) > _LONGEST_INT or abs(int(digits)) > MAX_INT:
        raise _Unfit
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise _Unfit
    return number


def _constant(_name: str) -> float:
    raise _Unfit


def _object_marking(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        found[key] = _Mark(_TWICE) if key in found else value
    return found


def _int_marking(digits: str) -> int | _Mark:
    try:
        return _int(digits)
    except _Unfit:
        return _Mark(_BIG)


def _float_marking(digits: str) -> float | _Mark:
    try:
        return _float(digits)
    except _Unfit:
        return _Mark(_INFINITE)


_SHORT_INT = len(str(MAX_INT))
_LONGEST_INT = len(str(-MAX_INT))
_FAST = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_int, parse_float=_float, parse_constant=_constant
)
_MARKING = json.JSONDecoder(
    object_pairs_hook=_object_marking,
    parse_int=_int_marking,
    parse_float=_float_marking,
    parse_constant=lambda _name: _Mark(_INFINITE),
)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"))
_SUSPECT_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])").search
# A string without an end is one token too: tried again from each of its quotes it would take quadratic time.
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|([\[{])|([\]}])', re.DOTALL).finditer
_OPENS, _CLOSES = 1, 2  # groups of the above


def _decode(text: str) -> tuple[Any, bool]:
    """Decode, and say whether only a walk can tell that the result is sound.

    Raw bytes cannot smuggle a surrogate past UTF-8, nor U+0000 past the JSON grammar: both need an
    escape, and a text without such an escape needs no walk. All other rules are kept by the hooks.
    """
    text = text.strip(" \t\n\r")
    found, end = _FAST.raw_decode(text)
    if end != len(text):
        raise _Unfit
    return found, "\\" in text and _SUSPECT_ESCAPE(text) is not None


def _decode_marking(text: str) -> Any:
    try:
        return _MARKING.decode(text)
    except json.JSONDecodeError as error:
        raise field_error("", f"is not JSON at character {error.pos}") from None


def _is_too_deep(data: bytes) -> bool:
    """Count levels without recursion; brackets in quotes do not count.

    Up to the first error in the grammar this agrees with the decoder about what is quoted, and
    behind it the decoder never looks.
    """
    depth = 0
    for token in _TOKENS(data):
        if token.lastindex == _OPENS:
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif token.lastindex == _CLOSES:
            depth -= 1
    return False
