"""`Value`: the base of every public value, and how one turns into JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from math import isfinite
from types import MappingProxyType
from typing import Any, ClassVar, Final, NamedTuple, Protocol, TypeVar, cast, dataclass_transform

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

        Sets become sorted lists, times RFC 3339 text in UTC with milliseconds, numbers without end `None`.
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


class _Packs(Protocol):
    def __call__(self, cls: type[T], fields: tuple[Any, ...], /) -> T: ...


packed: Final = cast("_Packs", vars(tuple)["__new__"])
"""Makes a named tuple of its fields, all given in order, at a third of what its constructor costs."""


def maker(cls: type[T]) -> Callable[..., T]:
    """Return a quick way to make many values of one class: all fields in order, and nothing else is done.

    A frozen dataclass sets each field through `object.__setattr__`, and a call finds its place for each
    keyword: for a value of many fields this is most of its cost. This fills a twin of the same layout that is
    not frozen, then gives it the class; which may not be generic.
    """
    names = [f.name for f in fields(cls)]  # type: ignore[arg-type]  # every value is a dataclass
    layout: dict[str, Any] = {"__slots__": cls.__dict__["__slots__"], "__setattr__": object.__setattr__}
    twin = type(cls.__name__, cls.__bases__, {**layout, "__module__": cls.__module__})
    source = (
        f"def make({', '.join(names)}, /):\n"
        " self = new(twin)\n"
        + "".join(f" self.{name} = {name}\n" for name in names)
        + " self.__class__ = cls\n return self"
    )
    space: dict[str, Any] = {"new": object.__new__, "twin": twin, "cls": cls}
    exec(source, space)  # noqa: S102  # as dataclasses make theirs; only names of our own fields are in it
    return cast("Callable[..., T]", space["make"])


def hide(carrier: NamedTuple, *names: str) -> str:
    """Return the `repr` of a named tuple without fields that hold bodies or secrets (I16)."""
    fields = carrier._asdict().items()
    shown = (f"{name}={'...' if name in names else repr(item)}" for name, item in fields)
    return f"{type(carrier).__name__}({', '.join(shown)})"


def jsonable(item: Any) -> Any:
    """Return `item` as JSON-ready types; what has no JSON form becomes its text."""
    if item is None or isinstance(item, str | bool | int):
        return item
    if isinstance(item, float):
        return item if isfinite(item) else None
    if isinstance(item, datetime):
        return format_time(item)
    if isinstance(item, ChatkitError):
        return {"type": type(item).__name__, "message": str(item), "hint": item.hint}
    if isinstance(item, BaseException):
        return {"type": type(item).__name__}  # its text is not ours and may quote anything (I16)
    if hasattr(item, "to_dict"):
        return item.to_dict()
    if hasattr(item, "model_dump"):
        return item.model_dump(mode="json")
    if isinstance(item, Mapping):
        entries = cast("Mapping[object, object]", item)
        return {str(key): jsonable(entry) for key, entry in entries.items()}
    if isinstance(item, AbstractSet):
        return sorted((jsonable(entry) for entry in cast("AbstractSet[object]", item)), key=str)
    if isinstance(item, Sequence) and not isinstance(item, bytes | bytearray):
        return [jsonable(entry) for entry in cast("Sequence[object]", item)]
    return str(item)


def format_time(moment: datetime) -> str:
    """Return RFC 3339 text in UTC with milliseconds, as in `2026-11-23T10:00:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Read what `format_time` writes; UTC-aware.

    Raises:
        ValueError: It is not such text, has no zone, or lies outside the years 1 to 9999.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time outside the years 1 to 9999") from None
