"""`AblyHistory`: what the service keeps of channels, read as a log: a window, unfolded, unfenced (D24).

Where a channel stands is the greatest place that was ever told, since what is kept passes while the place
stays. The floor is a time: nobody can say whether anything stood before it.

Source: the Ably sheet, section 10.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from chatkit.adapters.ably.access import Access
from chatkit.adapters.ably.config import SHORT, AblyConfig
from chatkit.adapters.ably.envelopes import entry_of
from chatkit.adapters.ably.memory import Memory
from chatkit.adapters.ably.names import name_of
from chatkit.adapters.ably.places import EPOCH, moment, place_at, time_of
from chatkit.adapters.ably.rest import PAGE, Rest
from chatkit.adapters.ably.wire import Frame, as_text
from chatkit.core.fact import Fact
from chatkit.core.fold import Voucher
from chatkit.core.raw_page import CREATE, fold_page
from chatkit.errors import CapabilityError, InvalidMessage
from chatkit.model.entry import Entry, Folded
from chatkit.model.envelope import Envelope
from chatkit.model.order import Ident, OrderKey, Place
from chatkit.ports.context import Observer
from chatkit.ports.log import Entries, Found, LogState, Messages
from chatkit.ports.raw import RawLog, Shortfall

MOST: Final = 1_000
"""Most items in one answer of ours."""
AT_ONCE: Final = 4
"""Channels whose heads are asked for at once."""
PAGES: Final = 20
"""Answers of the service that one call of ours reads at most: what lies beyond is not reached."""
BEFORE: Final = 30_000
"""Milliseconds before a place from which on what follows it is asked for: times are estimates (D30)."""
MARGIN: Final = 10_000
"""Milliseconds by which clocks may differ, and history end a little earlier than it should."""
SHORTFALLS: Final = 100
"""Channels of which it is remembered that less is kept than is said."""
_MESSAGE: Final = re.compile(r"[^:]+:[0-9]+").fullmatch


class Read(NamedTuple):
    """An entry, and its envelope."""

    entry: Entry
    envelope: Envelope

    @property
    def key(self) -> OrderKey:
        """Its place."""
        return self.entry.stamp.key

    @property
    def ident(self) -> Ident:
        """Its identity, by whom the service attests."""
        return Ident(self.entry.stamp.user, self.envelope.id)


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
        self._rest = rest
        self._access = access
        self._memory = memory
        self._namespace = config.namespace
        self._said = self._window = config.history
        self._shortfalls: dict[str, Shortfall] = {}
        self._log_id = realm
        self._observer = observer
        self._now = now

    @property
    def shortfalls(self) -> Mapping[str, Shortfall]:
        """Where a read has shown that the account keeps less than `history=` says; the first 100 channels."""
        return dict(self._shortfalls)

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
        late: list[Entry] = []
        found: list[Entry] = []
        more = False
        async for item in self._forwards(channel, after, late=place is not None):
            if place is not None and item.stamp.key <= place:
                if item.stamp.key < place:
                    late.append(item)
            elif len(found) == limit:
                more = True
                break
            else:
                found.append(item)
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
        if around is not None:
            older, below = await self._older(channel, around, limit // 2)
            newer, above = await self._newer(channel, around, limit - limit // 2, at=True)
            return self._page(channel, [*older, *newer], below=below, above=above)
        if after is not None:
            newer, above = await self._newer(channel, after, limit)
            return self._page(channel, newer, below=True, above=above)
        older, below = await self._older(channel, before, limit)
        return self._page(channel, older, below=below, above=before is not None)

    async def find(self, channel: str, idents: Sequence[Ident], /) -> Found:
        """Say which of these envelopes are kept, and how far back that was looked."""
        wanted, found = set(idents), dict[Ident, OrderKey]()
        reaches = moment(self._floor())
        count = 0
        async for item in self._backwards(channel, None):
            count += 1
            read = _read(item)
            if read is not None and read.ident in wanted:
                found[read.ident] = read.key  # the first one stands: the last that is met
            if count == PAGES * PAGE:
                reaches = item.stamp.at
                break
        return Found(self._state(channel, max(found.values(), default=None)), found, reaches)

    # ------------------------------------------------------------------ inside

    async def _head(self, channel: str) -> LogState:
        async for item in self._backwards(channel, None, size=1):
            return self._state(channel, item.stamp.key)
        return self._state(channel, None)

    def _state(self, channel: str, seen: OrderKey | None) -> LogState:
        """Return where a channel stands: at the greatest place that was told, else at the floor."""
        if seen is not None:
            self._memory.note(channel, seen.serial)
        floor = place_at(self._floor()).serial
        return LogState(
            self._log_id,
            EPOCH,
            max(self._memory.given(channel), floor),
            floor,
            moment(int(self._now() * 1_000)),
        )

    def _floor(self) -> int:
        """Return since when messages are kept, in milliseconds since 1970."""
        return int((self._now() - self._window) * 1_000)

    async def _older(self, channel: str, before: Place | None, limit: int) -> tuple[list[Read], bool]:
        """Return what lies before a place down to a number of messages, ascending; and whether more does."""
        found: list[Read] = []
        creates = 0
        async for item in self._backwards(channel, before):
            read = _read(item)
            if read is None:
                continue
            if creates == limit:
                return found[::-1], True
            creates += read.envelope.kind == CREATE
            found.append(read)
        return found[::-1], False

    async def _newer(
        self, channel: str, after: Place, limit: int, *, at: bool = False
    ) -> tuple[list[Read], bool]:
        """Return what lies after a place, or at it too, up to a number of messages; and whether more does."""
        found: list[Read] = []
        creates = 0
        async for item in self._forwards(channel, after, at=at):
            read = _read(item)
            if read is None:
                continue
            if creates == limit and read.envelope.kind == CREATE:
                return found, True
            creates += read.envelope.kind == CREATE
            found.append(read)
        return found, False

    def _page(self, channel: str, found: list[Read], *, below: bool, above: bool) -> Messages:
        creates = {read.ident: read for read in reversed(found) if read.envelope.kind == CREATE}
        keys = sorted(read.key for read in creates.values())
        last = found[-1].key if found else None
        state = self._state(channel, last)
        return Messages(
            state=state,
            items=self._fold(found, creates.keys(), keys),
            as_of=None if above else OrderKey(EPOCH, state.head or ""),
            before=(keys[0] if keys else None) if below else None,
            after=(keys[-1] if keys else None) if above else None,
            provisional=above,
        )

    def _fold(self, found: list[Read], chosen: Collection[Ident], keys: list[OrderKey]) -> tuple[Folded, ...]:
        if not keys:
            return ()
        voucher = Voucher("provider", self._log_id, stamped=True)
        facts = ((_fact(read, voucher), read.entry.stamp) for read in found if read.key >= keys[0])
        return fold_page(facts, chosen, voucher)

    async def _forwards(
        self, channel: str, after: Place | None, *, at: bool = False, late: bool = False
    ) -> AsyncIterator[Entry]:
        """Read entries after a place, oldest first; with `late` also what may be numbered below it."""
        start = self._floor()
        if isinstance(after, datetime):
            start = max(start, int(after.timestamp() * 1_000))
        elif after is not None and (told := time_of(after.serial)) is not None:
            start = max(start, told - BEFORE)
        missing = self._promised(after)
        params = {"direction": "forwards", "start": str(max(0, start)), "limit": str(PAGE)}
        async for item in self._items(channel, params):
            if missing is not None and (serial := as_text(item.get("serial")) or "") >= missing:
                self._check(channel, found=serial == missing)
                missing = None
            entry = entry_of(item)
            if entry is not None and (after is None or late or _follows(entry, after, at=at)):
                yield entry
        self._check(channel, found=missing is None)

    def _promised(self, after: Place | None) -> str | None:
        """Return the serial of a message that is there if the account keeps as much as is said."""
        if not isinstance(after, OrderKey) or _MESSAGE(after.serial) is None:
            return None
        told, now = time_of(after.serial) or 0, self._now() * 1_000
        long_ago = told < now - SHORT * 1_000 - MARGIN
        return after.serial if long_ago and told > self._floor() + MARGIN else None

    def _check(self, channel: str, *, found: bool) -> None:
        """Believe no more that the account keeps as much as was said, where a message is gone."""
        if not found:
            self._window = SHORT
            if len(self._shortfalls) < SHORTFALLS:
                self._shortfalls[channel] = Shortfall(self._said, SHORT)
            self._observer.point("ably.history_shorter_than_said")

    async def _backwards(
        self, channel: str, before: Place | None, *, size: int = PAGE
    ) -> AsyncIterator[Entry]:
        """Read entries before a place, newest first."""
        params = {"direction": "backwards", "limit": str(size), "start": str(max(0, self._floor()))}
        if isinstance(before, datetime):
            params["end"] = str(int(before.timestamp() * 1_000))
        elif before is not None and (told := time_of(before.serial)) is not None:
            params["end"] = str(told + BEFORE)
        if int(params.get("end", params["start"])) < int(params["start"]):
            return
        async for item in self._items(channel, params):
            entry = entry_of(item)
            if entry is not None and (before is None or not _follows(entry, before, at=True)):
                yield entry

    async def _items(self, channel: str, params: Mapping[str, str]) -> AsyncIterator[Frame]:
        page = await self._rest.history(name_of(channel, self._namespace), self._access, params)
        for _ in range(PAGES):
            for item in page.items:
                yield item
            if page.next is None:
                return
            page = await self._rest.page(page.next, self._access)


def _follows(item: Entry, place: Place, *, at: bool) -> bool:
    """Say whether an entry stands after a place, or at it too."""
    if isinstance(place, datetime):
        return item.stamp.at >= place if at else item.stamp.at > place
    return item.stamp.key >= place if at else item.stamp.key > place


def _read(entry: Entry) -> Read | None:
    try:
        return Read(entry, Envelope.parse(entry.data))
    except InvalidMessage:
        return None


def _fact(read: Read, voucher: Voucher) -> Fact:
    """Return an entry as a fact: numbered, and its sender vouched for."""
    stamp = read.entry.stamp
    return Fact(
        envelope=read.envelope,
        data=read.entry.data,
        ident=read.ident,
        key=stamp.key,
        stamped=True,
        sent_at=stamp.at,
        attested=voucher.attested,
        origin=voucher.origin,
        prev=None,
    )


def _bounded(limit: int) -> int:
    return min(max(limit, 1), MOST)
