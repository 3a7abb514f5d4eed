"""Pages of one thread or topic: from a log that knows threads, else picked from the channel's (D24)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from chatkit.core.timeline_bytes import reparse

if TYPE_CHECKING:
    from chatkit.engine.context import Context
    from chatkit.model.entry import Folded, Stamp
    from chatkit.model.order import Ident, Place
    from chatkit.ports import Messages

PAGE: Final = 500
"""Messages read at once where replies are picked from them."""
READS: Final = 20
"""Pages read for one of a thread; whoever wants more asks again from where it ended."""


async def thread_page(
    context: Context,
    channel: str,
    root: Ident,
    *,
    before: Place | None = None,
    after: Place | None = None,
    around: Place | None = None,
    limit: int,
) -> Messages:
    """Return replies of a thread, ascending; arguments as for `Log.messages`.

    Raises:
        CapabilityError: There is no log.
        ChatkitError: It gave no answer, or refused.
    """
    log = context.need_log(channel)
    if "fold" in log.capabilities:
        page = await context.read(
            lambda: log.messages(channel, before=before, after=after, around=around, limit=limit, thread=root)
        )
        return context.admitted(channel, page)
    return await picked_page(
        context,
        channel,
        lambda folded: in_thread(folded.data, root),
        before=before,
        after=after,
        around=around,
        limit=limit,
    )


async def picked_page(
    context: Context,
    channel: str,
    picks: Callable[[Folded], bool],
    *,
    before: Place | None = None,
    after: Place | None = None,
    around: Place | None = None,
    limit: int,
) -> Messages:
    """Return messages of a channel that are picked from its pages, ascending; arguments as for `thread_page`.

    A page that ends before the channel does may hold fewer than wanted, or none.
    """
    log = context.need_log(channel)
    ascending = after is not None
    pages: list[Messages] = []
    found: list[Folded] = []
    while len(pages) < READS:
        page = await context.read(
            partial(log.messages, channel, before=before, after=after, around=around, limit=PAGE)
        )
        pages.append(page)
        picked = [folded for folded in page.items if picks(folded)]
        found = [*found, *picked] if ascending else [*picked, *found]
        edge = page.after if ascending else page.before
        if around is not None or edge is None or len(found) >= limit:
            break
        before, after = (None, edge) if ascending else (edge, None)
    if around is not None:
        start = sum(below(folded.stamp, around) for folded in found) - limit // 2
    else:
        start = 0 if ascending else len(found) - limit
    page = _joined(pages, found, ascending=ascending)
    return context.admitted(channel, _cut(page, max(0, start), limit))


def in_thread(data: bytes, root: Ident) -> bool:
    """Whether a message is a reply in a thread."""
    return b'"thread":' in data and reparse(data).root == root


def in_topic(data: bytes, topic: str) -> bool:
    """Whether a message has a topic."""
    return b'"topic":' in data and reparse(data).topic == topic


def below(stamp: Stamp, place: Place) -> bool:
    """Whether something stands below a place."""
    return stamp.at < place if isinstance(place, datetime) else stamp.key < place


def _joined(pages: Sequence[Messages], found: Sequence[Folded], *, ascending: bool) -> Messages:
    """Return what was picked as one page; changes that were made between several reads may be missing."""
    oldest, newest = (pages[0], pages[-1]) if ascending else (pages[-1], pages[0])
    alone = len(pages) == 1
    return newest._replace(
        items=tuple(found),
        before=oldest.before,
        as_of=newest.as_of if alone else None,
        provisional=newest.provisional or not alone,
    )


def _cut(page: Messages, start: int, limit: int) -> Messages:
    """Keep so many of a page, from one on."""
    items = page.items[start : start + limit]
    if start > 0:
        page = page._replace(before=items[0].stamp.key)
    if start + limit < len(page.items):
        page = page._replace(after=items[-1].stamp.key)
    return page._replace(items=items)
