"""Searching messages that lie in memory: what a full-text index answers elsewhere (D24)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from heapq import nlargest

from chatkit.model.entry import Folded
from chatkit.model.search import SearchMark, SearchPage, shown_words, words


def search(
    messages: Iterable[tuple[str, Folded]],
    text: str,
    *,
    sender: str | None,
    since: datetime | None,
    until: datetime | None,
    before: SearchMark | None,
    limit: int,
) -> SearchPage:
    """Return the messages that hold all words of a text, newest first.

    Args:
        messages: Each with its channel, in any order.
        text: The words; without one nothing is found.
        sender: Only this user's.
        since: Only what was accepted at or after this.
        until: Only what was accepted before this.
        before: Where an earlier page ended.
        limit: At most so many.
    """
    wanted = set(words(text))
    if not wanted:
        return SearchPage((), None)
    hits = (
        (channel, message)
        for channel, message in messages
        if sender in {None, message.ident.user}
        and (since is None or message.stamp.at >= since)
        and (until is None or message.stamp.at < until)
        and (before is None or _mark(channel, message) < before)
        and wanted.issubset(shown_words(message))
    )
    return page(nlargest(limit + 1, hits, key=lambda hit: _mark(*hit)), limit)


def page(hits: Sequence[tuple[str, Folded]], limit: int) -> SearchPage:
    """Return a page of hits, each with its channel, newest first; one beyond `limit` says there are more."""
    items = tuple(message for _, message in hits[:limit])
    return SearchPage(items, _mark(*hits[limit - 1]) if len(hits) > limit else None)


def _mark(channel: str, message: Folded) -> SearchMark:
    return SearchMark(message.stamp.at, channel, message.stamp.key.serial)
