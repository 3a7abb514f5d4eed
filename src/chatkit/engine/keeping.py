"""What the store keeps of a channel: its mark, the messages that it vouches for, ids (D17, D20)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from chatkit.model.order import Ident, OrderKey
from chatkit.ports import Mark

if TYPE_CHECKING:
    from chatkit.engine.parts import ChannelParts
    from chatkit.model.entry import Folded

FLUSH: Final = 0.5
"""Seconds between two writes of marks and messages to the store."""
BOTTOM: Final = OrderKey(0, "")
"""Below every place."""


class Kept(NamedTuple):
    """What the store holds of a channel."""

    messages: tuple[Folded, ...]
    """Ascending; nothing between them is missing."""
    former: tuple[Folded, ...]
    """Messages of a log that stood behind the channel before (D18)."""
    as_of: OrderKey | None
    has_older: bool


class Keeper:
    """Writes what changed, together with the mark, and reads it back in the next life.

    The store's copy is vouched for from the window's first message up: that range is all there, as of the
    mark. What lies below it in the store may be stale, and is not shown again.

    Args:
        parts: Of the channel.
        keep: Messages kept.
    """

    def __init__(self, parts: ChannelParts, *, keep: int) -> None:
        self._context = parts.context
        self._channel = parts.name
        self._timeline = parts.timeline
        self._progress = parts.progress
        self._keep = keep
        self._dirty: dict[Ident, datetime | None] = {}
        self._ids: dict[Ident, None] = {}
        self._due = 0.0

    def touch(self, ident: Ident, written: datetime | None = None) -> None:
        """Note that a message changed; `written`: when its sender pressed send, where that is at hand."""
        self._dirty[ident] = written

    def remember(self, ident: Ident) -> None:
        """Note that an envelope was seen; needed where no log remembers it (D20)."""
        self._ids[ident] = None

    def wait(self, now: float) -> float | None:
        """Return the seconds until something is to be written, or `None`."""
        return max(0.0, self._due - now) if self._dirty or self._ids else None

    async def flush(self) -> None:
        """Write mark, messages and ids together; what could not be written is written with the next ones.

        While the window shows another stretch than the newest, only ids are written: the mark may not pass
        messages that are not kept, and what is loaded when the newest show again is noted anew.
        """
        self._due = self._context.clock.monotonic() + FLUSH
        self._progress.follow()
        newest = not self._timeline.window.has_newer
        dirty, ids = self._dirty, self._ids
        self._dirty, self._ids = {}, {}
        told = (self._timeline.folded(ident, written) for ident, written in dirty.items() if newest)
        folded = [found for found in told if found is not None]
        mark = self._mark() if newest else None
        self._context.observer.point("channel.flushing", channel=self._channel, messages=len(folded))
        try:
            await self._context.store.applied(self._channel, mark, folded, list(ids), keep=self._keep)
        except BaseException as error:  # a cancelled write may not have happened either
            self._dirty, self._ids = dirty | self._dirty, ids | self._ids
            if not isinstance(error, Exception):
                raise
            self.failed(error)
        else:
            self._context.observer.point("channel.flushed", channel=self._channel, messages=len(folded))

    async def seen(self, idents: Sequence[Ident]) -> frozenset[Ident]:
        """Ask the store which envelopes were seen before; a store that cannot say counts as none."""
        try:
            return await self._context.store.seen(self._channel, idents)
        except Exception as error:  # noqa: BLE001  # whatever a store raises, what came is shown
            self.failed(error)
            return frozenset()

    async def restore(self) -> Kept | None:
        """Take up the mark, and return what the store holds of the timeline.

        A store that cannot say leaves the channel as if it had never been seen here.
        """
        try:
            mark = (await self._context.store.marks()).get(self._channel)
            cached = await self._context.store.cached(self._channel, before=None, limit=self._keep)
        except Exception as error:  # noqa: BLE001  # whatever a store raises, the channel goes on
            self.failed(error)
            return None
        if mark is None or self._context.log is None:
            return Kept(tuple(cached), (), None, has_older=self._context.log is not None)
        self._progress.continuity.read(mark.key, more=True)
        self._progress.unproven = True
        self._progress.log_id = mark.log_id
        self._progress.holes = tuple(hole for hole in mark.holes if hole[0] != BOTTOM)
        floor = max((above for _, above in mark.holes), default=BOTTOM)
        # What was acknowledged before the log had said its id stands under the provider's name.
        present = {mark.log_id, self._context.origin, None}
        mine = [folded for folded in cached if folded.stamp.log_id in present]
        return Kept(
            messages=tuple(folded for folded in mine if folded.stamp.key >= floor),
            former=tuple(folded for folded in cached if folded.stamp.log_id not in present),
            as_of=mark.key,
            has_older=bool(mark.holes) or len(cached) >= self._keep,
        )

    def failed(self, error: Exception) -> None:
        """Count a call that the store could not carry out."""
        self._context.counters["store_errors"] += 1
        self._context.observer.point("store.failed", error=type(error).__name__)

    def _mark(self) -> Mark | None:
        progress = self._progress
        if progress.complete is None or progress.log_id is None or progress.whole:
            return None
        window = self._timeline.window
        first = next(iter(window), None)
        holes = progress.holes
        if window.has_older:
            holes = ((BOTTOM, progress.complete if first is None else first.key), *holes)
        return Mark(progress.complete, progress.log_id, holes)
