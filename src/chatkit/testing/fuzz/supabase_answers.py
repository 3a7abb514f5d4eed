"""Whether what was read of a log's answer is what the port of logs promises."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import is_dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Union, cast, get_args, get_origin, get_type_hints


def sound(value: object) -> None:
    """Look through an answer: every field of it is of the type that it is declared to be.

    Raises:
        AssertionError: It names the one that is not.
    """
    if isinstance(value, Mapping):
        for one in cast("Mapping[Any, object]", value).values():
            sound(one)
    elif hasattr(value, "_fields") or is_dataclass(value):
        for name, hint in _hints(cast("Hashable", type(value))).items():
            found = getattr(value, name)
            assert _fits(found, hint), f"{type(value).__name__}.{name} is a {type(found).__name__}"
    elif isinstance(value, list | tuple):
        for one in cast("list[object]", value):
            sound(one)
    elif isinstance(value, str):
        assert _encodes(value), "text that no text is"


@lru_cache
def _hints(kind: Hashable) -> dict[str, Any]:
    return {
        name: hint
        for name, hint in get_type_hints(cast("type", kind)).items()
        if get_origin(hint) is not ClassVar
    }


def _fits(value: object, hint: Any) -> bool:
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is Literal:
        return value in parts
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(one, parts[0]) for one in cast("tuple[object]", value))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(
            _fits(key, parts[0]) and _fits(one, parts[1])
            for key, one in cast("Mapping[object, object]", value).items()
        )
    if hint is None or hint is NoneType:
        return value is None
    if hint is str:
        return isinstance(value, str) and _encodes(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if not isinstance(value, origin or hint):
        return False
    sound(value)
    return True


def _encodes(text: str) -> bool:
    try:
        _ = text.encode()
    except UnicodeEncodeError:
        return False
    return True
