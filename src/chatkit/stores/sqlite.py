"""`SqliteStore`: the store in one SQLite file."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Literal, TypeVar

from chatkit.errors import StateError
from chatkit.model.entry import Folded
from chatkit.model.message import Status
from chatkit.model.options import OutboxLimits
from chatkit.model.order import Ident, OrderKey
from chatkit.model.registers import Register
from chatkit.model.search import SearchMark, SearchPage
from chatkit.ports.context import Clock, Observer, RandomSource
from chatkit.ports.outgoing import Batch
from chatkit.ports.store import LaneKey, LaneMark, Mark, Row, StoreHeader
from chatkit.sqlite.connection import Connection, ConnectionFactory, Durability, connect
from chatkit.sqlite.worker import Worker, run_calls
from chatkit.stores import index as words
from chatkit.stores import outbox, timeline
from chatkit.stores.file import Job, StoreFile
from chatkit.stores.location import Location

T = TypeVar("T")


class SqliteStore:
    """A `Store` in a file.

    Calls that arrive together share one transaction. A caller that is cancelled while it waits loses only the
    answer: the call is carried out in its turn, so that a later call sees it done. Dropped without `aclose`,
    the store lets go of its file as at the death of the process.

    Args:
        location: The file.
        durability: `power`: a commit waits until the disk has it; `process`: until the system has it.
        limits: How much may wait in the outbox.
        clock: Dates the end of rows and the sight of ids.
        random: Makes device and secret of a new file.
        worker: Does the blocking work.
        shared: The worker serves other stores too and is not ended with this one.
        connect: Makes SQLite connections.
        index: Keep the words of cached messages, for search.
        secret: Shared by the files of a directory (D14).
        observer: Told of the file's labelled points, by the worker.
    """

    durable = True

    def __init__(
        self,
        location: Location,
        *,
        durability: Durability,
        limits: OutboxLimits,
        clock: Clock,
        random: RandomSource,
        worker: Worker,
        shared: bool = False,
        connect: ConnectionFactory = connect,
        index: bool = True,
        secret: bytes | None = None,
        observer: Observer,
    ) -> None:
        self.location = location
        self._limits = limits
        self._clock = clock
        self._secret = secret
        self.file = StoreFile(
            location, durability=durability, random=random, connect=connect, index=index, observer=observer
        )
        self._worker = worker
        self._shared = shared
        self._state: Literal["new", "open", "closed"] = "new"
        self._closing: asyncio.Task[None] | None = None

    # ----------------------------------------------------------------------------------------------- life

    async def open(self, user: str, realm: str, /, *, rebind: bool) -> StoreHeader:
        """Lock the file, bring it up to date and become its owner; once in the life of this object."""
        if self._state != "new":
            raise StateError(f"{self.location.name} has been opened before", hint="Make a new store.")
        opening = partial(
            self.file.open, user, realm, rebind=rebind, secret=self._secret, now=self._clock.wall()
        )
        self._state = "open"
        try:
            header: StoreHeader = await self._worker.submit(run_calls, opening)
        except BaseException as error:
            self._state = "closed"
            if not self._shared:
                # Where only the wait was cancelled the file may be opened yet: it is given up after that.
                self._worker.retire(self.file.abandon, wait=isinstance(error, Exception))
            raise
        if not self._shared:
            self._worker.retire_after(self, self.file.abandon)
        return header

    async def aclose(self) -> None:
        """Commit what was called before, note a clean end, release the file, end the thread; idempotent.

        A cancelled caller loses only the wait.
        """
        await self._close(self.file.close)

    async def remove(self) -> None:
        """Close for good: delete the file while it is still ours."""
        await self._close(self.file.remove)

    def abandon(self) -> None:
        """Let go as a killed process would: what waits is not written, the end is not noted."""
        if self._state == "open":
            self._state = "closed"
            self._worker.retire(self.file.abandon, wait=True)

    async def _close(self, last: Callable[[], None]) -> None:
        self.file.check()
        if self._state == "open":
            closing = self._worker.submit(run_calls, last)
            self._state = "closed"
            self._closing = asyncio.create_task(self._end(closing), name="chatkit-store-close")
        self._state = "closed"
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def _end(self, closing: Awaitable[None]) -> None:
        await closing
        if not self._shared:
            await self._worker.stop()

    def _check(self) -> None:
        self.file.check()
        if self._state != "open":
            raise StateError(
                f"{self.location.name} is {'not open yet' if self._state == 'new' else 'closed'}"
            )

    def _call(
        self,
        run: Callable[[Connection], T],
        *,
        writes: bool = True,
        undo: Callable[[T, Connection], None] | None = None,
    ) -> Awaitable[T]:
        self._check()
        return self._worker.submit(self.file.run, Job(run, writes, undo))

    # --------------------------------------------------------------------------------------------- outbox

    async def add(self, rows: Sequence[Row], /) -> Sequence[Row]:
        """Queue entries; a known key or identity gives the stored row in its place (D14)."""
        rows = tuple(rows)
        return await self._call(
            partial(outbox.add, rows=rows, limits=self._limits, tally=self.file.tally),
            undo=partial(outbox.withdraw, rows),
        )

    async def attempt(self, batch: Batch, rows: Sequence[Row], /, *, hlc: str) -> None:
        """Record an attempt before bytes are written (D6)."""
        await self._call(
            partial(outbox.attempt, batch=batch, rows=tuple(rows), hlc=hlc, tally=self.file.tally)
        )

    async def settle(self, rows: Sequence[Row], /) -> None:
        """Record what rows became; a row that was settled and forgotten before is passed over."""
        await self._call(
            partial(outbox.settle, rows=tuple(rows), now=self._clock.wall(), tally=self.file.tally)
        )

    async def renew_device(self, old: str, new: str, /) -> None:
        """Give never-attempted rows, and new ones, another device (D27)."""
        await self._call(partial(outbox.renew_device, old=old, new=new))

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
        read = partial(
            outbox.rows,
            status=status,
            channel=channel,
            ident=ident,
            entry_id=entry_id,
            announced=announced,
            after=after,
            limit=limit,
        )
        return await self._call(read, writes=False)

    async def lanes(self) -> Mapping[LaneKey, LaneMark]:
        """Return how far each lane has come."""
        return await self._call(outbox.lanes, writes=False)

    async def batches(self) -> Mapping[str, tuple[Ident, ...]]:
        """Return the members of each batch that has an unfinished row (D10)."""
        return await self._call(outbox.batches, writes=False)

    async def adopt(self) -> Sequence[Row]:
        """Nothing: a single file has one owner after the other."""
        self._check()
        return ()

    async def prune(self, before: datetime, /) -> int:
        """Forget ended rows and ids older than `before` (D14, D20)."""

        def prune(connection: Connection) -> int:
            return outbox.prune(connection, before) + timeline.prune(connection, before)

        return await self._call(prune)

    async def stored(self, rows: Sequence[Row], /) -> Sequence[Row | None]:
        """Return, for each row, the one that has its key or identity already (for a store directory)."""

        def look(connection: Connection) -> tuple[Row | None, ...]:
            return tuple(outbox.stored(connection, row) for row in rows)

        return await self._call(look, writes=False)

    async def devices(self) -> frozenset[str]:
        """Return the devices whose rows lie in this file (for a store directory)."""
        return await self._call(outbox.devices, writes=False)

    async def waiting(self) -> Sequence[Row]:
        """Return every row that waits for its end or for being told of (for a store directory)."""
        return await self._call(outbox.waiting, writes=False)

    async def is_empty(self) -> bool:
        """Say whether no row is left (for a store directory)."""
        return await self._call(outbox.is_empty, writes=False)

    # ------------------------------------------------------------------------------------------- timeline

    async def marks(self) -> Mapping[str, Mark]:
        """Return the mark of each channel."""
        return await self._call(timeline.marks, writes=False)

    async def applied(
        self, channel: str, mark: Mark | None, folded: Sequence[Folded], ids: Sequence[Ident], /, *, keep: int
    ) -> None:
        """Record a mark, messages and ids together (D17, D20)."""
        write = partial(
            timeline.applied,
            channel=channel,
            mark=mark,
            folded=tuple(folded),
            ids=tuple(ids),
            keep=keep,
            now=self._clock.wall(),
            indexed=self.file.indexed,
        )
        await self._call(write)

    async def cached(self, channel: str, /, *, before: OrderKey | None, limit: int) -> Sequence[Folded]:
        """Return cached messages, ascending: the newest `limit` before a place."""
        return await self._call(
            partial(timeline.cached, channel=channel, before=before, limit=limit), writes=False
        )

    async def seen(self, channel: str, ids: Sequence[Ident], /) -> frozenset[Ident]:
        """Say which ids were recorded before (D20)."""
        return await self._call(partial(timeline.seen, channel=channel, ids=tuple(ids)), writes=False)

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
        read = partial(
            words.search,
            text=text,
            channel=channel,
            sender=sender,
            since=since,
            until=until,
            before=before,
            limit=limit,
        )
        return await self._call(read, writes=False)

    async def put(self, registers: Sequence[Register], /) -> None:
        """Merge registers (D25)."""
        await self._call(partial(timeline.put, registers=tuple(registers)))

    async def registers(self, channel: str | None = None, /) -> Sequence[Register]:
        """Return registers, of one channel or of all."""
        return await self._call(partial(timeline.registers, channel=channel), writes=False)
