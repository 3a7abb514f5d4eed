"""Pages: which slice of an ordered list is asked for, and where it goes on from there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from chatkit.logs.record import Show, as_kept, index_after, index_from
from chatkit.model.entry import Stamp
from chatkit.model.order import OrderKey, Place
from chatkit.model.paging import EPOCH, bounded

MOST = 1_000
"""Most items in one answer."""


class Page(NamedTuple):
    """A slice of a list, and the places around it."""

    start: int
    stop: int
    before: OrderKey | None
    """What is older lies strictly before this; `None`: there is nothing older."""
    after: OrderKey | None
    """What is newer lies strictly after this; `None`: there is nothing newer."""


def cut(
    stamps: Sequence[Stamp],
    *,
    before: Place | None = None,
    after: Place | None = None,
    around: Place | None = None,
    limit: int,
    show: Show = as_kept,
) -> Page:
    """Choose a slice: the newest before a place, the oldest after one, or both sides of one.

    Args:
        stamps: Ascending.
        before: Only what is strictly before.
        after: Only what is strictly after; alone it starts there, else the slice ends as `before` says.
        around: The middle, the place itself included.
        limit: At most so many.
        show: How stamps are shown; places are given and returned like that.
    """
    limit = bounded(limit)
    first = 0 if after is None else index_after(stamps, after, show)
    last = len(stamps) if before is None else index_from(stamps, before, show)
    last = max(first, last)
    if around is not None:
        start = max(first, index_from(stamps, around, show) - limit // 2)
        stop = min(last, start + limit)
        start = max(first, stop - limit)
    elif after is not None and before is None:
        start, stop = first, min(last, first + limit)
    else:
        start, stop = max(first, last - limit), last
    return Page(start, stop, _older(stamps, start, stop, show), _newer(stamps, stop, show))


def _older(stamps: Sequence[Stamp], start: int, stop: int, show: Show) -> OrderKey | None:
    if start == 0:
        return None
    if start < stop:
        return show(stamps[start]).key
    epoch, serial = show(stamps[start - 1]).key
    return OrderKey(epoch, serial + "0")  # just behind the newest of the older ones


def _newer(stamps: Sequence[Stamp], stop: int, show: Show) -> OrderKey | None:
    if stop == len(stamps):
        return None
    return show(stamps[stop - 1]).key if stop > 0 else OrderKey(EPOCH, "")
