"""`AblyHistory`: what the service keeps of channels, read as a log: a window, unfolded, unfenced (D24).

Where a channel stands is the greatest place that was ever told, since what is kept passes while the place
stays. The floor is a time: nobody can say whether anything stood before it.

Source: the Ably sheet, section 10.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from chatkit.adapters.ably.access import Access
from chatkit.adapters.ably.config import AblyConfig
from chatkit.adapters.ably.listing import Listing
from chatkit.adapters.ably.memory import Memory
from chatkit.adapters.ably.pages import CutShort, Pages
from chatkit.adapters.ably.places import EPOCH, key_of, moment, place_at, time_of
from chatkit.adapters.ably.rest import PAGE, Rest
from chatkit.adapters.ably.stretch import (
    Stretch,
    creations,
    folded,
    follows,
    in_order,
    just_before,
    reads_of,
)
from chatkit.adapters.ably.walking import MARGIN, Walking, too_crowded
from chatkit.core.fold import Voucher
from chatkit.errors import CapabilityError
from chatkit.model.entry import Entry, Stamp
from chatkit.model.order import Ident, OrderKey, Place
from chatkit.ports.context import Observer
from chatkit.ports.log import Entries, Found, LogState, Messages
from chatkit.ports.raw import RawLog, Shortfall

MOST: Final = 1_000
"""Most items in one answer of ours."""
AT_ONCE: Final = 4
"""Channels whose heads are asked for at once."""


class AblyHistory(RawLog):
    """Raw history behind REST. Each call: `TransportError` where there is no answer.

    Args:
        rest: The calls.
        access: With which credentials.
        memory: Which places were told.
        config: Namespace, and how far back it reaches.
        realm: Names the log.
        observer: Told where the account keeps less than `history=` says.
        now: The service's clock, in seconds since 1970.
    """

    def __init__(
        self,
        rest: Rest,
        access: Access,
        memory: Memory,
        config: AblyConfig,
        *,
        realm: str,
        observer: Observer,
        now: Callable[[], float],
    ) -> None:
        self.pages = Pages(rest, access, memory, config.namespace)
        self.listing = Listing(self.pages, memory, observer)
        self._walking = Walking(self.pages, self.listing, config.history, observer=observer, now=now)
        self._memory = memory
        self._native = config.native_edits
        self._log_id = realm
        self._now = now

    @property
    def shortfalls(self) -> Mapping[str, Shortfall]:
        """Where a read has shown that the account keeps less than `history=` says; the first 100 channels."""
        return self._walking.shortfalls

    async def heads(self, channels: Sequence[str], /) -> Mapping[str, LogState]:
        """Return where each channel stands; a call for each, a few at a time."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def head(channel: str) -> LogState:
            async with gate:
                return await self._head(channel)

        return dict(zip(channels, await asyncio.gather(*map(head, channels)), strict=True))

    async def entries(self, channel: str, /, *, after: Place | None, limit: int) -> Entries:
        """Return raw entries after a place, oldest first.

        The first read since continuity was lost also brings, beyond `limit`, what lies up to 30 s before the
        place: a lower serial may have come after a higher one (D17, D30).
        """
        limit = _bounded(limit)
        place = after if isinstance(after, OrderKey) and self._memory.is_broken(channel) else None
        kept: list[Entry] = []
        found: list[Entry] = []
        more = False
        try:
            async for item in self._walking.forwards(channel, after, late=True):
                if after is not None and not follows(item.entry, after, at=False):
                    kept.append(item.entry)
                elif len(found) == limit:
                    more = True
                    break
                else:
                    found.append(item.entry)
                kept += item.later
        except CutShort as cut:
            more = True
            if not found:  # so many messages of others: the next read goes on behind them
                if isinstance(after, OrderKey) and cut.place <= after:
                    raise too_crowded(channel) from None
                found.append(_nothing_at(cut))
        kept += await self._changed_before(channel, after)
        end = found[-1].stamp.key if more else None  # what changed later comes with what is read then
        later = [entry for entry in kept if after is None or follows(entry, after, at=False)]
        later = [entry for entry in later if end is None or entry.stamp.key < end]
        late = [] if place is None else [entry for entry in kept if just_before(entry, place)]
        late, found = in_order(late), in_order([*found, *later])
        self._memory.mended(channel)
        seen = found[-1].stamp.key if found else after if isinstance(after, OrderKey) else None
        state = self._state(channel, seen)
        if isinstance(after, OrderKey) and self._memory.came_since(channel, after):
            state = state._replace(floor=min(state.floor or "", after.serial))  # nothing after it was missed
        return Entries(state, (*late, *found), more)

    async def messages(
        self,
        channel: str,
        /,
        *,
        before: Place | None = None,
        after: Place | None = None,
        around: Place | None = None,
        limit: int,
        thread: Ident | None = None,
    ) -> Messages:
        """Return messages as far as they can be folded, ascending; of a thread: `CapabilityError`."""
        if thread is not None:
            raise CapabilityError(
                "raw history cannot be read by thread",
                channel=channel,
                hint="Read all messages, or give a log.",
            )
        limit = _bounded(limit)
        given = self._memory.given(channel)  # while it is read more may be told, which is not in it
        if around is not None:
            older = await self._walking.older(channel, around, limit // 2)
            newer = await self._walking.newer(channel, around, limit - limit // 2, at=True)
            both = Stretch([*older.reads, *newer.reads], newer.more, older.reach)
            cuts = older.cut, newer.cut
            return self._page(channel, both, given, below=older.more, above=newer.more, cuts=cuts)
        if after is not None:
            newer = await self._walking.newer(channel, after, limit)
            cuts = None, newer.cut
            return self._page(channel, newer, given, below=True, above=newer.more, cuts=cuts)
        older = await self._walking.older(channel, before, limit)
        cuts = older.cut, None
        return self._page(channel, older, given, below=older.more, above=before is not None, cuts=cuts)

    async def find(self, channel: str, idents: Sequence[Ident], /) -> Found:
        """Say which of these envelopes are kept, and how far back that was looked."""
        wanted, found = set(idents), dict[Ident, OrderKey]()
        reaches = moment(self._walking.floor())
        try:
            async for item in self._walking.backwards(channel, None, listed=False):
                for read in reads_of(item):
                    if read.ident in wanted:
                        found[read.ident] = read.key  # the first one stands: the last that is met
        except CutShort as cut:
            reaches = cut.at
        return Found(self._state(channel, max(found.values(), default=None)), found, reaches)

    async def seek(
        self, channel: str, ident: Ident, *, before: OrderKey | None
    ) -> tuple[OrderKey | None, OrderKey | None]:
        """Return where a message stands, or else where the search had to end, though more lies beyond.

        Args:
            channel: The channel.
            ident: Of the message.
            before: Where a search before had to end; `None`: from the newest on.
        """
        found: OrderKey | None = None
        try:
            async for item in self._walking.backwards(channel, before, listed=False):
                if any(read.ident == ident for read in reads_of(item)[:1]):
                    found = item.entry.stamp.key  # the first one stands: the last that is met
        except CutShort as cut:
            if found is None:
                if before is not None and cut.place >= before:
                    raise too_crowded(channel) from None
                return None, cut.place
        return found, None

    def is_new(self, serial: str) -> bool:
        """Say whether a message was made so shortly ago that history may not have it yet."""
        made = time_of(serial)
        return made is not None and made > self._now() * 1_000 - MARGIN

    # ------------------------------------------------------------------ inside

    async def _head(self, channel: str) -> LogState:
        async for serial, _ in self.pages.read(channel, self._walking.newest(1)):
            return self._state(channel, key_of(serial) if serial else None)  # whoever said it: it is a place
        return self._state(channel, None)

    def _state(self, channel: str, seen: OrderKey | None) -> LogState:
        """Return where a channel stands: at the greatest place that was told, else at the floor."""
        if seen is not None:
            self._memory.note(channel, seen.serial)
        floor = place_at(self._walking.floor()).serial
        return LogState(
            self._log_id,
            EPOCH,
            max(self._memory.given(channel), floor),
            floor,
            moment(int(self._now() * 1_000)),
        )

    async def _changed_before(self, channel: str, after: Place | None) -> list[Entry]:
        """Return what changed after a place of messages from before it.

        History tells that at the messages' own places. All of it is remembered where it came live; else the
        newest `PAGE` messages before the place are looked through.
        """
        if after is None:
            return []
        recall = self._memory.recall
        if isinstance(after, OrderKey):
            known = recall.since(channel, after)
            if self._memory.came_since(channel, after) and recall.reaches(after):
                return known
        else:
            known = []
        if not self._native and not recall.has_changes(channel):
            return known
        count = 0
        with suppress(CutShort):
            async for item in self._walking.backwards(channel, after):
                known += item.later
                count += 1
                if count == PAGE:
                    break
        return known

    def _page(
        self,
        channel: str,
        found: Stretch,
        given: str,
        *,
        below: bool,
        above: bool,
        cuts: tuple[OrderKey | None, OrderKey | None],
    ) -> Messages:
        """Return a page; `cuts`: where the reads below and above ended without a message of ours."""
        made = creations(found.reads)
        for ident, key in made.items():
            self._memory.recall.places.note(channel, ident, key.serial)
        keys = sorted(made.values())
        state = self._state(channel, max((read.key for read in found.reads), default=None))
        voucher = Voucher("provider", self._log_id, stamped=True)
        as_of = max(given, found.reach or "", state.floor or "")
        return Messages(
            state=state,
            items=folded(found.reads, voucher),
            as_of=None if above else OrderKey(EPOCH, as_of),
            before=(keys[0] if keys else cuts[0]) if below else None,
            after=(keys[-1] if keys else cuts[1]) if above else None,
            provisional=above,
        )


def _nothing_at(cut: CutShort) -> Entry:
    """Return an entry of ours that says nothing: a place that a read goes on from."""
    return Entry(b"", Stamp(cut.place, None, None, "", cut.at))


def _bounded(limit: int) -> int:
    return min(max(limit, 1), MOST)
