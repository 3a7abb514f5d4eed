"""Plain JSON values, as Realtime reads, writes and measures them."""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeGuard

Object = dict[str, Any]


def is_object(value: Any) -> TypeGuard[Object]:
    """Whether it is an object."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether it is an array."""
    return isinstance(value, list)


def is_integer(value: Any) -> TypeGuard[int]:
    """Whether it is an integer; a boolean is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it is a number."""
    return is_integer(value) or isinstance(value, float)


def loads(text: str | bytes) -> Any:
    """Read JSON strictly.

    Raises:
        ValueError: It is none, or nested too deep.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deep") from None


def dumps(value: Any) -> str:
    """Write JSON without spaces; lone surrogates stay escaped, which UTF-8 cannot carry."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def external_size(value: Any) -> int:
    """Bytes of a value in Erlang's external term format, by which the server measures payloads."""
    return 1 + _term_size(value)


def _term_size(value: Any) -> int:
    if value is None or isinstance(value, bool):
        return 2 + len({None: "nil", True: "true", False: "false"}[value])
    if isinstance(value, int):
        return (
            2 if 0 <= value < 256 else 5 if -(2**31) <= value < 2**31 else 3 + (value.bit_length() + 7) // 8
        )
    if isinstance(value, float):
        return 9
    if isinstance(value, str):
        return 5 + len(value.encode(errors="surrogatepass"))
    if isinstance(value, bytes):
        return 5 + len(value)
    if is_object(value):
        return 5 + sum(_term_size(key) + _term_size(each) for key, each in value.items())
    return 1 + (5 + sum(_term_size(each) for each in value) if value else 0)
