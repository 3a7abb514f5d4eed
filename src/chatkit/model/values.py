"""`Value`: the base of every public value, and how one turns into JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from types import MappingProxyType
from typing import Any, ClassVar, Final, TypeVar, dataclass_transform

from chatkit.errors import ChatkitError

T = TypeVar("T")

EMPTY: Final[Mapping[Any, Any]] = MappingProxyType({})
"""The one empty mapping, shared by all values."""


class Value:
    """Frozen, slotted and keyword-only; its `repr` shows no body, token or secret (I16)."""

    __slots__ = ()
    computed: ClassVar[tuple[str, ...]] = ()
    """Properties that `to_dict` shows beside the fields."""

    def to_dict(self) -> dict[str, Any]:
        """Return the value as JSON-ready types: dicts, lists, text, numbers, booleans, `None`.

        Sets become sorted lists and times RFC 3339 text in UTC with milliseconds.
        """
        names = [f.name for f in fields(self) if f.metadata.get("public", True)]  # type: ignore[arg-type]  # every subclass is a dataclass
        return {name: jsonable(getattr(self, name)) for name in (*names, *self.computed)}

    def to_json(self) -> str:
        """Return `to_dict()` as compact JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """Make a class a frozen, slotted, keyword-only dataclass."""
    return dataclass(frozen=True, slots=True, kw_only=True)(cls)


def jsonable(item: Any) -> Any:
    """Return `item` as JSON-ready types."""
    if item is None or isinstance(item, (str, bool, int, float)):
        return item
    if isinstance(item, datetime):
        return format_time(item)
    if isinstance(item, ChatkitError):
        return {"type": type(item).__name__, "message": str(item), "hint": item.hint}
    if isinstance(item, Mapping):
        return {str(key): jsonable(entry) for key, entry in item.items()}
    if isinstance(item, Set):
        return sorted(jsonable(entry) for entry in item)
    if isinstance(item, (list, tuple)):
        return [jsonable(entry) for entry in item]
    if hasattr(item, "to_dict"):
        return item.to_dict()
    if hasattr(item, "model_dump"):
        return item.model_dump(mode="json")
    return str(item)


def format_time(moment: datetime) -> str:
    """Return RFC 3339 text in UTC with milliseconds, as in `2026-11-23T10:00:00.000Z`."""
    utc = moment.astimezone(timezone.utc)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def parse_time(text: str) -> datetime:
    """Read what `format_time` writes; UTC-aware.

    Raises:
        ValueError: It is not such text, or has no zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.astimezone(timezone.utc)
