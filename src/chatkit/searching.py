"""Searching: in the log where it can, else in what this device has seen (D24)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from chatkit.engine.guarding import is_for
from chatkit.errors import CapabilityError, ConfigError, CursorInvalid, TransportError
from chatkit.model.cursor import Cursor, Spot, decode_cursor, encode_cursor
from chatkit.model.order import OrderKey
from chatkit.model.search import SearchMark, SearchPage, check_query
from chatkit.model.views import Page
from chatkit.timeline import told

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chatkit.engine.engine import Engine
    from chatkit.model.entry import Folded
    from chatkit.model.message import Message

LARGEST_PAGE: Final = 1_000
SEARCHES: Final = 10
"""Pages of hits in which those of a thread or topic are looked for."""
_ORIGIN: Final = "search"
"""Cursors of searches name it, so that no reading takes them for a place of a log."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


async def search(
    engine: Engine,
    text: str,
    *,
    viewer: str,
    channel: str | None,
    sender: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    after: Cursor | None,
) -> Page[Message]:
    """Return messages that hold all words of a text, newest first; `channel=None`: of all channels.

    Without a connection to the log it is what the store has cached, and the page is `provisional`.

    Raises:
        ConfigError: A limit or a time that cannot be, or too many words.
        CursorInvalid: `after` is not of a search.
        CapabilityError: Neither log nor store can search.
    """
    if not 1 <= limit <= LARGEST_PAGE:
        raise ConfigError(f"search() takes a limit of 1 to {LARGEST_PAGE:,}", channel=channel)
    if any(moment is not None and moment.tzinfo is None for moment in (since, until)):
        raise ConfigError("a time to search from or to needs a zone", channel=channel)
    check_query(text)
    before = None if after is None else _mark(after)
    context = engine.context
    log = context.log
    found: SearchPage | None = None
    if log is not None and "search" in log.capabilities:
        channels = None if channel is None else [channel]
        try:
            found = await context.read(
                lambda: log.search(
                    text,
                    channels=channels,
                    sender=sender,
                    since=since,
                    until=until,
                    before=before,
                    limit=limit,
                )
            )
        except TransportError as error:
            context.observer.point("search.offline", error=type(error).__name__)
    provisional = found is None
    if found is None:
        found = await _cached(
            engine, text, channel=channel, sender=sender, since=since, until=until, before=before, limit=limit
        )
    shown = [await _shown(engine, folded, viewer, provisional=provisional) for folded in found.items]
    return Page(
        items=tuple(message for message in shown if message is not None),
        next=None if found.next is None else _cursor(found.next),
        provisional=provisional,
    )


async def pick(
    search: Callable[[Cursor | None], Awaitable[Page[Message]]],
    picks: Callable[[Message], bool],
    after: Cursor | None,
) -> Page[Message]:
    """Search on until a page holds some of the hits that are wanted, or there are no more, or for long.

    Args:
        search: Returns the page of hits after a mark.
        picks: Whether a hit is wanted.
        after: Where to begin.
    """
    searches = 0
    while True:
        page = await search(after)
        found = tuple(message for message in page.items if picks(message))
        after, searches = page.next, searches + 1
        if found or after is None or searches == SEARCHES:
            return replace(page, items=found)


async def _cached(
    engine: Engine,
    text: str,
    *,
    channel: str | None,
    sender: str | None,
    since: datetime | None,
    until: datetime | None,
    before: SearchMark | None,
    limit: int,
) -> SearchPage:
    for known in engine.channels.values():
        if channel in {None, known.name}:
            await known.receiver.flush()  # what was seen in the last half second
    try:
        return await engine.context.store.search(
            text, channel=channel, sender=sender, since=since, until=until, before=before, limit=limit
        )
    except CapabilityError as error:
        error.channel = channel
        raise


async def _shown(engine: Engine, folded: Folded, viewer: str, *, provisional: bool) -> Message | None:
    channel = json.loads(folded.data)["channel"]
    if not is_for(engine.context.guards, channel, viewer):
        return None
    known = engine.channels.get(channel)
    message = None if known is None else known.timeline.get(folded.ident)
    if message is None:
        as_of = None if provisional else folded.changed
        message = told(engine, folded, channel, as_of=as_of, provisional=provisional)
    elif message.deleted:
        return None
    mine = message.sender.user == viewer
    message = message if message.own == mine else replace(message, own=mine)
    return await engine.presenter.show(message, message.message_id)


def _mark(cursor: Cursor) -> SearchMark:
    spot = decode_cursor(cursor)
    if spot.origin != _ORIGIN:
        raise CursorInvalid("this cursor is not of a search", hint="Give `page.next` of an earlier search.")
    return SearchMark(_EPOCH + timedelta(microseconds=spot.key.epoch), spot.channel, spot.key.serial)


def _cursor(mark: SearchMark) -> Cursor:
    micros = (mark.at - _EPOCH) // timedelta(microseconds=1)
    return encode_cursor(Spot(_ORIGIN, mark.channel, OrderKey(micros, mark.serial)))
