"""Searching messages in memory: down from the newest, word by word (D24)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import NamedTuple

from chatkit.logs.projection import Projection
from chatkit.logs.record import index_from
from chatkit.model.entry import Stamp
from chatkit.model.paging import bounded
from chatkit.model.search import SearchMark, SearchPage, words


class Question(NamedTuple):
    """What is looked for; see `chatkit.ports.Log.search`."""

    text: str
    channels: Sequence[str] | None
    sender: str | None
    since: datetime | None
    until: datetime | None
    before: SearchMark | None
    limit: int


class _Hit(NamedTuple):
    mark: SearchMark
    number: int
    """Of all messages of its channel."""


def search(channels: Mapping[str, Projection], question: Question) -> SearchPage:
    """Return a page of hits among the messages of these channels."""
    wanted = [f" {word} " for word in dict.fromkeys(words(question.text))]
    if not wanted:
        return SearchPage((), None)
    names = channels if question.channels is None else set(question.channels) & channels.keys()
    limit = bounded(question.limit)
    rivers = (_hits(name, channels[name], wanted, question) for name in names)
    found = list(islice(merge(*rivers, reverse=True), limit + 1))
    items = tuple(channels[mark.channel].at(number) for mark, number in found[:limit])
    return SearchPage(items, found[limit - 1].mark if len(found) > limit else None)


def _hits(name: str, messages: Projection, wanted: Sequence[str], question: Question) -> Iterator[_Hit]:
    """Yield the hits of one channel, newest first."""
    stamps = messages.all.stamps
    stop = len(stamps) if question.until is None else index_from(stamps, question.until)
    if question.before is not None:

        def mark(stamp: Stamp) -> SearchMark:
            return SearchMark(stamp.at, name, stamp.key.serial)

        stop = min(stop, bisect_left(stamps, question.before, key=mark))
    # A word that few hold soon rules a message out, and the longest is a fair guess.
    first, *others = sorted(wanted, key=len, reverse=True)
    start = 0 if question.since is None else index_from(stamps, question.since)
    for index in range(stop - 1, start - 1, -1):
        ident = messages.all.idents[index]
        if question.sender in (None, ident.user) and messages.face(ident).holds(first, others):
            yield _Hit(SearchMark(stamps[index].at, name, stamps[index].key.serial), index)
