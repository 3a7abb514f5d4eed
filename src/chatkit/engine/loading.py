"""Pages of messages into a timeline: what was kept, the newest, older ones, another stretch (D19, D24)."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from chatkit.engine.keeping import BOTTOM
from chatkit.errors import TransportError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chatkit.engine.keeping import Keeper
    from chatkit.engine.parts import ChannelParts
    from chatkit.engine.telling import Teller
    from chatkit.model.order import Ident, OrderKey, Place
    from chatkit.ports import Log, Messages

PAGE: Final = 50
"""Messages that a jump shows."""


class Loader:
    """Loads messages; middleware sees each before a view shows it.

    Args:
        parts: Of the channel.
        keeper: Told what is to be written to the store.
        teller: Told changes that had waited for a message.
    """

    def __init__(self, parts: ChannelParts, keeper: Keeper, teller: Teller) -> None:
        self._context = parts.context
        self._channel = parts.name
        self._timeline = parts.timeline
        self._progress = parts.progress
        self._masks = parts.masks
        self._roles = parts.roles
        self._keeper = keeper
        self._teller = teller
        self.restored = False
        """Whether the store held messages of the channel that what follows joins on to."""
        self.folding = asyncio.Lock()
        """Held while facts are folded; a jump, which replaces what they are folded into, waits for it."""

    async def restore(self) -> None:
        """Show what the store holds, before any network."""
        kept = await self._keeper.restore()
        timeline = self._timeline
        if kept is not None:
            # Without a mark nobody can say what follows them: they show until the newest page replaces them.
            self.restored = bool(kept.messages) and (kept.as_of is not None or self._context.log is None)
            if kept.former and not len(timeline):  # D18: what the present log lacks stays, flagged
                _ = timeline.load(kept.former, as_of=None)
                timeline.reset(another=True)
                _ = timeline.mark_orphaned()
            _ = timeline.load(kept.messages, as_of=kept.as_of, has_older=kept.has_older)
        await self._present(message.ident for message in timeline.window)

    async def put(self, page: Messages, *, replace: bool = False, extend: bool = False) -> int:
        """Merge a page; returns how many messages came in.

        Args:
            page: Its last message is the newest there is, unless `page.after` says otherwise.
            replace: Show it alone, in place of what is loaded.
            extend: It lies above or below what is loaded; only `page.before` says something of the window.
        """
        page = await self._admitted(page)
        if replace:
            self._timeline.unload()
        loaded = self._timeline.load(
            page.items,
            as_of=page.as_of,
            provisional=page.provisional,
            has_older=page.before is not None,
            has_newer=None if extend else page.after is not None,
            extend=extend,
        )
        for folded in page.items:
            self._keeper.touch(folded.ident)
        for applied in loaded.applied:
            self._teller.take(applied, None)
        await self._present(folded.ident for folded in page.items)
        return loaded.messages

    async def older(self, limit: int) -> int:
        """Load a page older than the oldest message loaded, and fill holes on the way.

        Returns:
            How many messages came in.
        """
        count = await self._older(limit)
        if count is None:
            async with self.folding:
                count = await self._older(limit)
        return count or 0

    async def _older(self, limit: int) -> int | None:
        """Do so once; `None`: nothing was done, since the oldest one fell out meanwhile."""
        log = self._context.need_log(self._channel)
        window = self._timeline.window
        oldest = next(iter(window), None)
        before = None if oldest is None else oldest.key
        page = await self._older_page(log, before, limit)
        if next(iter(window), None) is not oldest:
            return None
        count = await self.put(page, extend=True)
        self._context.observer.point("channel.loaded", channel=self._channel, messages=count)
        if not window.has_newer:
            first = next(iter(window), None)
            self._progress.fill_holes(BOTTOM if first is None or not window.has_older else first.key)
        return count

    async def _older_page(self, log: Log, before: OrderKey | None, limit: int) -> Messages:
        """Return the next page that holds anything to show: of strangers' messages there may be many."""
        while True:
            read = partial(log.messages, self._channel, before=before, limit=limit)
            page = await self._admitted(await self._context.read(read))
            if page.items or page.before is None or (before is not None and page.before >= before):
                return page  # the last of these: a log that promises older ones and does not go on to them
            before = page.before

    async def _admitted(self, page: Messages) -> Messages:
        """Return a page with the messages of those alone who may be heard in the channel."""
        return await self._roles.admitted(self._context.admitted(self._channel, page))

    async def jump(self, place: Place | None) -> None:
        """Show the messages around a place; `None`: the newest. Nothing is folded meanwhile."""
        log = self._context.need_log(self._channel)

        async def read() -> Messages:
            page = await log.messages(self._channel, around=place, limit=PAGE)
            if self._progress.behind(page.state):
                raise TransportError("the log stands behind what it has shown", channel=self._channel)
            return page

        async with self.folding:
            _ = await self.put(await self._context.read(read), replace=True)

    async def _present(self, idents: Iterable[Ident]) -> None:
        found = (self._timeline.get(ident) for ident in idents)
        await self._masks.page(message for message in found if message is not None)
