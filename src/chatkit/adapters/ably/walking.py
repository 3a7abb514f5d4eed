"""`Walking`: history read page by page, from a place on or back from one, no further than it reaches.

How far that is the app says (`history=`), until a read shows that the account keeps less.

Source: the Ably sheet, section 10.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Final

from chatkit.adapters.ably.config import SHORT
from chatkit.adapters.ably.listing import Listing
from chatkit.adapters.ably.pages import CutShort, Kept, Pages
from chatkit.adapters.ably.places import time_of
from chatkit.adapters.ably.rest import PAGE
from chatkit.adapters.ably.stretch import BEFORE, Stretch, follows, reads_of
from chatkit.core.raw_page import CREATE
from chatkit.errors import TransportError
from chatkit.model.order import OrderKey, Place
from chatkit.ports.context import Observer
from chatkit.ports.raw import Shortfall

MARGIN: Final = 10_000
"""Milliseconds by which clocks may differ, and history end a little earlier than it should."""
SHORTFALLS: Final = 100
"""Channels of which it is remembered that less is kept than is said."""
_MESSAGE: Final = re.compile(r"[^:]+:[0-9]+").fullmatch


class Walking:
    """Of one adapter. Each read: `TransportError` where there is no answer.

    Args:
        pages: What is kept.
        listing: Its reactions.
        history: Seconds that the account keeps messages, as the app says.
        observer: Told where it keeps less.
        now: The service's clock, in seconds since 1970.
    """

    def __init__(
        self, pages: Pages, listing: Listing, history: float, *, observer: Observer, now: Callable[[], float]
    ) -> None:
        self._pages = pages
        self._listing = listing
        self._said = self._window = history
        self._shortfalls: dict[str, Shortfall] = {}
        self._observer = observer
        self._now = now

    @property
    def shortfalls(self) -> Mapping[str, Shortfall]:
        """Where less was found than the app says; the first 100 channels."""
        return dict(self._shortfalls)

    def floor(self) -> int:
        """Return since when messages are kept, in milliseconds since 1970."""
        return int((self._now() - self._window) * 1_000)

    async def older(self, channel: str, before: Place | None, limit: int) -> Stretch:
        """Return what lies before a place down to a number of messages, ascending."""
        found = Stretch([], more=False, reach=None)
        creates = 0
        try:
            async for item in self.backwards(channel, before):
                reads = reads_of(item)
                if reads and creates == limit:
                    return found.backwards(more=True)
                creates += sum(read.envelope.kind == CREATE for read in reads)
                found = found.with_more(reads[::-1], item)
        except CutShort as cut:
            if isinstance(before, OrderKey) and not found.reads and cut.place >= before:
                raise too_crowded(channel) from None
            return found.backwards(more=True)._replace(cut=cut.place)
        return found.backwards(more=False)

    async def newer(self, channel: str, after: Place, limit: int, *, at: bool = False) -> Stretch:
        """Return what lies after a place, or at it too, up to a number of messages."""
        found = Stretch([], more=False, reach=None)
        creates = 0
        try:
            async for item in self.forwards(channel, after, at=at):
                reads = reads_of(item)
                new = sum(read.envelope.kind == CREATE for read in reads)
                if creates == limit and new:
                    return found._replace(more=True)
                creates += new
                found = found.with_more(reads, item)
        except CutShort as cut:
            if isinstance(after, OrderKey) and not found.reads and cut.place <= after:
                raise too_crowded(channel) from None
            return found._replace(more=True, cut=cut.place)
        return found

    async def forwards(
        self, channel: str, after: Place | None, *, at: bool = False, late: bool = False
    ) -> AsyncIterator[Kept]:
        """Read messages after a place, oldest first; with `late` what may come below it, too. `CutShort`."""
        start = self.floor()
        if isinstance(after, datetime):
            start = max(start, int(after.timestamp() * 1_000))
        elif after is not None and (told := time_of(after.serial)) is not None:
            start = max(start, told - BEFORE)
        missing = self._promised(after)
        params = {"direction": "forwards", "start": str(max(0, start)), "limit": str(PAGE)}
        reads = self._listing.read(channel, self._pages.read(channel, params))
        async for serial, kept in reads:
            if missing is not None and serial >= missing:
                self._check(channel, found=serial == missing)
                missing = None
            if kept is not None and (after is None or late or follows(kept.entry, after, at=at)):
                yield kept
        self._check(channel, found=missing is None)

    def newest(self, size: int) -> dict[str, str]:
        """Return what asks for messages, newest first."""
        return {"direction": "backwards", "limit": str(size), "start": str(max(0, self.floor()))}

    async def backwards(
        self, channel: str, before: Place | None, *, listed: bool = True
    ) -> AsyncIterator[Kept]:
        """Read messages before a place, newest first; `listed`: with their reactions. `CutShort`."""
        params = self.newest(PAGE)
        if isinstance(before, datetime):
            params["end"] = str(int(before.timestamp() * 1_000))
        elif before is not None and (told := time_of(before.serial)) is not None:
            params["end"] = str(told + BEFORE)
        if int(params.get("end", params["start"])) < int(params["start"]):
            return
        reads = self._pages.read(channel, params)
        async for _, kept in self._listing.read(channel, reads) if listed else reads:
            if kept is not None and (before is None or not follows(kept.entry, before, at=True)):
                yield kept

    # ------------------------------------------------------------------ inside

    def _promised(self, after: Place | None) -> str | None:
        """Return the serial of a message that is there if the account keeps as much as is said."""
        if not isinstance(after, OrderKey) or _MESSAGE(after.serial) is None:
            return None
        told, now = time_of(after.serial) or 0, self._now() * 1_000
        long_ago = told < now - SHORT * 1_000 - MARGIN
        return after.serial if long_ago and told > self.floor() + MARGIN else None

    def _check(self, channel: str, *, found: bool) -> None:
        """Believe no more that the account keeps as much as was said, where a message is gone."""
        if not found:
            self._window = SHORT
            if len(self._shortfalls) < SHORTFALLS:
                self._shortfalls[channel] = Shortfall(self._said, SHORT)
            self._observer.point("ably.history_shorter_than_said")


def too_crowded(channel: str) -> TransportError:
    """Return that a read could not get beyond the 30 seconds that are read twice (D30)."""
    return TransportError("more was said in 30 seconds than one read of history brings", channel=channel)
