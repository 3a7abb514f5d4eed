"""Pages over what is remembered: either direction, stable while more is written.

Source: RSL2, RSP4, TG of the features specification.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

from chatkit.testing.emulators.ably.errors import AblyError

T = TypeVar("T")

MOST: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a page is asked for.

    Attributes:
        start: Nothing older; milliseconds since 1970, inclusive.
        end: Nothing newer; likewise.
        forwards: Oldest first.
        limit: Items of a page, 1 to 1,000.
        until: Nothing later than this channel serial; `None` is no bound.
        cursor: Where the page before it ended; `None` is the beginning.
    """

    start: int | None = None
    end: int | None = None
    forwards: bool = False
    limit: int = 100
    until: str | None = None
    cursor: str | None = None

    @classmethod
    def parse(
        cls, params: Mapping[str, str], *, order: Literal["backwards", "forwards"] = "backwards"
    ) -> Query:
        """Read query parameters; what is not among those of a page is ignored.

        Raises:
            AblyError: 40003, a value is out of its bounds.
        """
        start, end = (_number(params, name) for name in ("start", "end"))
        if start is not None and end is not None and start > end:
            raise AblyError(40003, "start is later than end")
        limit = _number(params, "limit")
        if limit is not None and not 1 <= limit <= MOST:
            raise AblyError(40003, f"limit is 1 to {MOST}")
        direction = params.get("direction", order)
        if direction not in {"forwards", "backwards"}:
            raise AblyError(40003, "direction is forwards or backwards")
        return cls(
            start=start,
            end=end,
            forwards=direction == "forwards",
            limit=100 if limit is None else limit,
            until=params.get("fromSerial") or params.get("from_serial"),
            cursor=params.get("cursor"),
        )


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page; `next` is the cursor of the following one, `None` at the end."""

    items: list[T]
    next: str | None


def page(items: Iterable[T], query: Query, *, mark: Callable[[T], str], time: Callable[[T], int]) -> Page[T]:
    """Cut one page out of items.

    Args:
        items: Oldest first, with rising marks.
        query: What is wanted.
        mark: The place of an item, a string that sorts; a channel serial is a prefix of it.
        time: Its time in milliseconds since 1970.
    """
    wanted = [
        item
        for item in items
        if (query.start is None or time(item) >= query.start)
        and (query.end is None or time(item) <= query.end)
        and (query.until is None or mark(item).partition(":")[0] <= query.until.partition(":")[0])
    ]
    if not query.forwards:
        wanted.reverse()
    if query.cursor is not None:
        after = query.cursor
        wanted = [item for item in wanted if (mark(item) > after if query.forwards else mark(item) < after)]
    shown = wanted[: query.limit]
    return Page(shown, mark(shown[-1]) if len(wanted) > len(shown) else None)


def _number(params: Mapping[str, str], name: str) -> int | None:
    text = params.get(name)
    if text is None or not text:
        return None
    try:
        return int(float(text))
    except (ValueError, OverflowError) as error:
        raise AblyError(40003, f"{name} is a number") from error
