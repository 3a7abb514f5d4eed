"""`MemoryStore`: ends with the process, and is the plainest statement of what every store does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Literal, TypeVar

from chatkit.core.searching import search
from chatkit.errors import MessageNotFound, StateError, StoreError
from chatkit.model.entry import Folded
from chatkit.model.ids import new_device
from chatkit.model.message import Status
from chatkit.model.options import OutboxLimits
from chatkit.model.order import Ident, OrderKey
from chatkit.model.registers import Register, merged
from chatkit.model.search import SearchMark, SearchPage
from chatkit.ports.context import Clock, RandomSource
from chatkit.ports.outgoing import Batch
from chatkit.ports.store import LaneKey, LaneMark, Mark, Row, StoreHeader
from chatkit.stores.index import no_index
from chatkit.stores.rules import SEEN_LIMIT, UNFINISHED, check_room, forgettable, may_have_arrived
from chatkit.stores.secret import new_secret
from chatkit.stores.shelf import Shelf

T = TypeVar("T")


class MemoryStore:
    """A `Store` in memory.

    Args:
        limits: How much may wait in the outbox.
        clock: Dates the end of rows and the sight of ids.
        random: Makes device and secret.
        index: Search what is cached.
    """

    durable = False

    def __init__(
        self, *, limits: OutboxLimits, clock: Clock, random: RandomSource, index: bool = True
    ) -> None:
        self._index = index
        self._limits = limits
        self._clock = clock
        self._random = random
        self._state: Literal["new", "open", "closed"] = "new"
        self._shelf = Shelf()
        self._ended: dict[str, datetime] = {}
        self._lanes: dict[LaneKey, LaneMark] = {}
        self._batches: dict[str, tuple[Ident, ...]] = {}
        self._marks: dict[str, Mark] = {}
        self._cached: dict[str, dict[Ident, Folded]] = {}  # ascending
        self._seen: dict[str, dict[Ident, datetime]] = {}  # oldest first
        self._registers: dict[tuple[str, str, str], Register] = {}

    async def open(self, user: str, realm: str, /, *, rebind: bool) -> StoreHeader:  # noqa: ARG002  # nothing is bound yet
        """Begin; once in the life of this object."""
        if self._state != "new":
            raise StateError("this store has been opened before", hint="Make a new store.")
        self._state = "open"
        return StoreHeader(
            user, realm, new_device(self._random), new_secret(self._random), 1, 0, clean=True, hlc=None
        )

    async def aclose(self) -> None:
        """Refuse further calls; idempotent."""
        self._state = "closed"

    def abandon(self) -> None:
        """The same: there is nothing to leave behind."""
        self._state = "closed"

    def _check(self) -> None:
        if self._state != "open":
            raise StateError(f"this store is {'not open yet' if self._state == 'new' else 'closed'}")

    # --------------------------------------------------------------------------------------------- outbox

    async def add(self, rows: Sequence[Row], /) -> Sequence[Row]:
        """Queue entries; a known key or identity gives the stored row in its place (D14)."""
        self._check()
        added: list[str] = []
        try:
            return tuple(self._add(row, added) for row in rows)
        except Exception:
            for entry_id in added:
                self._shelf.forget(entry_id)
            raise

    def _add(self, row: Row, added: list[str]) -> Row:
        shelf = self._shelf
        known = shelf.known(row)
        if known is not None:
            return known
        if row.entry_id in shelf.rows:
            raise StoreError("an entry id was given twice", hint="Report this as a bug in chatkit.")
        check_room(self._limits, shelf.tally, row)
        shelf.put(row)
        added.append(row.entry_id)
        return row

    async def attempt(self, batch: Batch, rows: Sequence[Row], /, *, hlc: str) -> None:  # noqa: ARG002  # see `open`
        """Record an attempt (D6)."""
        self._check()
        for row in rows:
            if row.entry_id not in self._shelf.rows:
                raise StateError("an entry was attempted that is not in the store", message_id=row.ident.id)
        left = {self._shelf.rows[row.entry_id].batch_id for row in rows} - {batch.batch_id}
        for row in rows:
            self._shelf.put(row)
            if row.seq is not None:
                self._advance(row, seq=row.seq, acked=0)
        self._batches[batch.batch_id] = tuple(entry.ident for entry in batch.entries)
        for batch_id in left:
            self._finish_batch(batch_id)

    async def settle(self, rows: Sequence[Row], /) -> None:
        """Record what rows became; a row that was settled and forgotten before is passed over."""
        self._check()
        batches: set[str | None] = set()
        for row in rows:
            before = self._shelf.rows.get(row.entry_id)
            if before is None:
                continue
            self._shelf.put(row)
            if row.status not in UNFINISHED:
                self._ended[row.entry_id] = self._clock.wall()
            elif before.status not in UNFINISHED:
                del self._ended[row.entry_id]
                self._shelf.move_to_end(row.entry_id)  # a manual retry goes to the end of the queue (D7)
            if row.seq is not None and may_have_arrived(row):
                self._advance(row, seq=row.seq, acked=row.seq)
            batches |= {before.batch_id, row.batch_id}
            if row.batch_id is None and forgettable(row):
                self._forget(row.entry_id)
        for batch_id in batches:
            self._finish_batch(batch_id)

    def _advance(self, row: Row, *, seq: int, acked: int) -> None:
        lane = LaneKey(row.channel, row.ident.user, row.device)
        mark = self._lanes.get(lane, LaneMark(0, 0))
        self._lanes[lane] = LaneMark(max(mark.seq, seq), max(mark.acked, acked))

    def _finish_batch(self, batch_id: str | None) -> None:
        members = () if batch_id is None else self._shelf.members(batch_id)
        if batch_id is None or any(row.status in UNFINISHED for row in members):
            return  # while one member is in doubt the others stay (D10)
        for row in members:
            if forgettable(row):
                self._forget(row.entry_id)
        self._batches.pop(batch_id, None)

    def _forget(self, entry_id: str) -> None:
        self._shelf.forget(entry_id)
        self._ended.pop(entry_id, None)

    async def renew_device(self, old: str, new: str, /) -> None:
        """Give never-attempted rows another device (D27)."""
        self._check()
        for row in tuple(self._shelf.rows.values()):
            if row.device == old and row.attempts == 0 and row.status in UNFINISHED:
                self._shelf.put(row._replace(device=new))

    async def rows(
        self,
        *,
        status: Status | None = None,
        channel: str | None = None,
        ident: Ident | None = None,
        entry_id: str | None = None,
        announced: bool | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Sequence[Row]:
        """Return rows in queue order, after an `entry_id`; `MessageNotFound` where there is no such entry."""
        self._check()
        queue = list(self._shelf.rows.values())
        if after is not None:
            if after not in self._shelf.rows:
                raise MessageNotFound(f"no entry {after} to go on after", hint="Read again from the start.")
            queue = queue[list(self._shelf.rows).index(after) + 1 :]
        found = [
            row
            for row in queue
            if status in {None, row.status}
            and channel in {None, row.channel}
            and ident in {None, row.ident}
            and entry_id in {None, row.entry_id}
            and announced in {None, row.announced}
        ]
        return tuple(found[:limit])

    async def lanes(self) -> Mapping[LaneKey, LaneMark]:
        """Return how far each lane has come; a row being sent is in doubt (D5)."""
        self._check()
        lanes = dict(self._lanes)
        for row in self._shelf.rows.values():
            lane = LaneKey(row.channel, row.ident.user, row.device)
            if row.status == "sending" and row.seq is not None and lane in lanes:
                lanes[lane] = lanes[lane]._replace(acked=max(lanes[lane].acked, row.seq))
        return lanes

    async def batches(self) -> Mapping[str, tuple[Ident, ...]]:
        """Return the members of each batch that has an unfinished row (D10)."""
        self._check()
        open_ = self._open_batches()
        return {batch_id: members for batch_id, members in self._batches.items() if batch_id in open_}

    def _open_batches(self) -> set[str | None]:
        return {row.batch_id for row in self._shelf.rows.values() if row.status in UNFINISHED}

    async def adopt(self) -> Sequence[Row]:
        """Nothing: memory has no dead owners."""
        self._check()
        return ()

    async def prune(self, before: datetime, /) -> int:
        """Forget ended rows and ids older than `before` (D14, D20)."""
        self._check()
        kept = self._open_batches() - {None}
        old = [
            entry_id
            for entry_id, ended in self._ended.items()
            if ended < before and self._shelf.rows[entry_id].batch_id not in kept
        ]
        for entry_id in old:
            self._forget(entry_id)
        ids = 0
        for channel, seen in self._seen.items():
            newer = {ident: at for ident, at in seen.items() if at >= before}
            ids += len(seen) - len(newer)
            self._seen[channel] = newer
        return len(old) + ids

    # ------------------------------------------------------------------------------------------- timeline

    async def marks(self) -> Mapping[str, Mark]:
        """Return the mark of each channel."""
        self._check()
        return dict(self._marks)

    async def applied(
        self, channel: str, mark: Mark | None, folded: Sequence[Folded], ids: Sequence[Ident], /, *, keep: int
    ) -> None:
        """Record a mark, messages and ids together (D17, D20)."""
        self._check()
        if mark is not None:
            self._marks[channel] = mark
        if folded:
            self._cache(channel, folded, keep)
        seen = self._seen.setdefault(channel, {})
        now = self._clock.wall()
        for ident in ids:
            seen.setdefault(ident, now)
        _keep_last(seen, SEEN_LIMIT)

    def _cache(self, channel: str, folded: Sequence[Folded], keep: int) -> None:
        cached = self._cached.setdefault(channel, {})
        last = next(reversed(cached.values()), None)
        ordered = True
        for message in folded:
            new = message.ident not in cached and (last is None or last.stamp.key < message.stamp.key)
            ordered = ordered and new
            cached[message.ident] = last = message
        if not ordered:  # most only follow what is there
            cached = {message.ident: message for message in sorted(cached.values(), key=_place)}
            self._cached[channel] = cached
        _keep_last(cached, keep)

    async def cached(self, channel: str, /, *, before: OrderKey | None, limit: int) -> Sequence[Folded]:
        """Return cached messages, ascending: the newest `limit` before a place."""
        self._check()
        older = [m for m in self._cached.get(channel, {}).values() if before is None or m.stamp.key < before]
        return tuple(older[max(0, len(older) - limit) :])

    async def seen(self, channel: str, ids: Sequence[Ident], /) -> frozenset[Ident]:
        """Say which ids were recorded before (D20)."""
        self._check()
        known = self._seen.get(channel, {})
        return frozenset(ident for ident in ids if ident in known)

    async def search(
        self,
        text: str,
        /,
        *,
        channel: str | None = None,
        sender: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: SearchMark | None = None,
        limit: int,
    ) -> SearchPage:
        """Return cached messages that hold all words of a text, newest first."""
        self._check()
        if not self._index:
            raise no_index()
        cached = (
            (name, message)
            for name, messages in self._cached.items()
            if channel in {None, name}
            for message in messages.values()
        )
        return search(cached, text, sender=sender, since=since, until=until, before=before, limit=limit)

    async def put(self, registers: Sequence[Register], /) -> None:
        """Merge registers (D25)."""
        self._check()
        for register in registers:
            place = (register.channel, register.user, register.name)
            self._registers[place] = merged(self._registers.get(place), register)

    async def registers(self, channel: str | None = None, /) -> Sequence[Register]:
        """Return registers, of one channel or of all."""
        self._check()
        return tuple(
            register for _, register in sorted(self._registers.items()) if channel in {None, register.channel}
        )


def _keep_last(items: dict[Ident, T], most: int) -> None:
    """Take out what stands first, beyond so many."""
    for ident in tuple(islice(items, max(0, len(items) - most))):
        del items[ident]


def _place(folded: Folded) -> OrderKey:
    return folded.stamp.key
