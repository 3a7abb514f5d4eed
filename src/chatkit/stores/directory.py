"""`DirectoryStore`: a file and a device for each process, in one directory (D14, D27)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal

from chatkit.errors import ChatkitError, MessageNotFound, StateError, StoreLocked
from chatkit.model.entry import Folded
from chatkit.model.message import Status
from chatkit.model.options import OutboxLimits
from chatkit.model.order import Ident, OrderKey
from chatkit.model.registers import Register
from chatkit.model.search import SearchMark, SearchPage
from chatkit.ports.context import Clock, Observer, RandomSource
from chatkit.ports.outgoing import Batch
from chatkit.ports.store import LaneKey, LaneMark, Mark, Row, StoreHeader
from chatkit.sqlite.connection import ConnectionFactory, Durability, connect
from chatkit.sqlite.worker import Worker, run_calls
from chatkit.stores.file import StoreFile
from chatkit.stores.location import Location
from chatkit.stores.secret import shared_secret
from chatkit.stores.sqlite import SqliteStore

_log = logging.getLogger(__name__)


class DirectoryStore:
    """A `Store` in a directory that several processes share.

    Each process owns the first file that nobody holds, `1.db`, `2.db` and so on: after a restart most likely
    its own from before, with its device and marks. `adopt` takes over what other processes left behind;
    adopted files keep their devices and lanes. Marks, cached messages, ids and registers lie in the own file.
    A call is one transaction for each file that it concerns; rows of one device lie in one file. Limits count
    a file.

    Args:
        directory: Absolute; made where missing.
        durability: As for one file.
        limits: How much may wait in each file.
        clock: Dates the end of rows and the sight of ids.
        random: Makes devices and the shared secret.
        worker: Does the blocking work of all files.
        connect: Makes SQLite connections.
        index: Keep the words of cached messages, for search.
        observer: Told of the labelled points of each file, by the worker, and of adoptions.
    """

    durable = True

    def __init__(
        self,
        directory: Path,
        *,
        durability: Durability,
        limits: OutboxLimits,
        clock: Clock,
        random: RandomSource,
        worker: Worker,
        connect: ConnectionFactory = connect,
        index: bool = True,
        observer: Observer,
    ) -> None:
        self.directory = directory
        self._observer = observer
        self._random = random
        self._worker = worker
        self._new_file = partial(
            SqliteStore,
            durability=durability,
            limits=limits,
            clock=clock,
            random=random,
            worker=worker,
            shared=True,
            connect=connect,
            index=index,
            observer=observer,
        )
        self._secret = b""
        self._bound: tuple[str, str, bool] = ("", "", False)
        self._files: list[SqliteStore] = []  # the own one first
        self._held: list[StoreFile] = []  # these and one that is being opened
        self._owner_of: dict[str, SqliteStore] = {}
        self._state: Literal["new", "open", "closed"] = "new"
        self._adopting: asyncio.Task[dict[SqliteStore, Sequence[Row]]] | None = None
        self._untold: list[SqliteStore] = []  # adopted files whose rows nobody was given yet
        self._closing: asyncio.Task[None] | None = None
        self._unusable: set[str] = set()

    # ----------------------------------------------------------------------------------------------- life

    async def open(self, user: str, realm: str, /, *, rebind: bool) -> StoreHeader:
        """Take the first file that nobody holds; once in the life of this object."""
        if self._state != "new":
            raise StateError(f"{self.directory.name}/ has been opened before", hint="Make a new store.")
        self._state = "open"
        self._bound = (user, realm, rebind)
        try:
            self._secret = await self._worker.submit(
                run_calls, partial(shared_secret, self.directory, self._random)
            )
            header = await self._open_first_free()
        except BaseException as error:
            self._state = "closed"
            self._worker.retire(partial(_abandon, self._held), wait=isinstance(error, Exception))
            raise
        self._worker.retire_after(self, partial(_abandon, self._held))
        return header

    async def _open_first_free(self) -> StoreHeader:
        number = 1
        while True:
            try:
                store, header = await self._open_file(number)
            except StoreLocked:
                number += 1
                continue
            await self._own(store)
            return header

    async def _open_file(self, number: int) -> tuple[SqliteStore, StoreHeader]:
        user, realm, rebind = self._bound
        store = self._new_file(Location(str(self.directory / f"{number}.db")), secret=self._secret)
        self._held.append(store.file)
        try:
            return store, await store.open(user, realm, rebind=rebind)
        except Exception:
            self._held.remove(store.file)
            raise

    async def _own(self, store: SqliteStore) -> None:
        for device in await store.devices():
            self._owner_of[device] = store
        self._files.append(store)

    async def adopt(self) -> Sequence[Row]:
        """Take over the files of owners that died, and return their rows that wait.

        A file in which nothing is left is removed. One that cannot be used (damaged, or of another user or
        realm) is left alone and named once in the log. Cancelling the wait does not cancel the adoption.
        """
        self._check()
        if self._adopting is None or self._adopting.done():
            self._adopting = asyncio.create_task(self._adopt(), name="chatkit-store-adopt")
        found = await asyncio.shield(self._adopting)
        self._untold = [store for store in self._untold if store not in found]
        return tuple(row for rows in found.values() for row in rows)

    async def _adopt(self) -> dict[SqliteStore, Sequence[Row]]:
        mine = {store.location.name for store in self._files}
        for number in await self._worker.submit(run_calls, partial(_numbers, self.directory)):
            if f"{number}.db" not in mine:
                await self._adopt_file(number)
        for store in self._files[1:]:
            if await store.is_empty():
                await self._remove(store)
        return {store: await store.waiting() for store in tuple(self._untold)}

    async def _adopt_file(self, number: int) -> None:
        try:
            store, _ = await self._open_file(number)
        except StoreLocked:
            return  # its owner lives
        except ChatkitError as error:
            name = f"{number}.db"
            if name not in self._unusable:
                self._unusable.add(name)
                _log.warning("%s in the store directory was not adopted: %s", name, error)
            return
        try:
            await self._own(store)
        except ChatkitError:
            await store.aclose()  # else it would be locked, and nobody's, as long as this process lives
            self._held.remove(store.file)
            raise
        self._untold.append(store)
        self._observer.point("store.adopted", file=store.location.name)

    async def _remove(self, store: SqliteStore) -> None:
        # First of all nobody looks into it any more: it is closed from the next step on.
        self._owner_of = {device: owner for device, owner in self._owner_of.items() if owner is not store}
        self._files.remove(store)
        self._untold = [untold for untold in self._untold if untold is not store]
        await store.remove()
        self._held.remove(store.file)

    def _present(self) -> Iterator[SqliteStore]:
        """Give the files one after the other, the own one first, without those that are removed meanwhile."""
        for store in tuple(self._files):
            if store in self._files:
                yield store

    async def aclose(self) -> None:
        """Commit what was called before, note a clean end in every file, end the thread; idempotent."""
        if self._state == "open":
            self._check()
            self._state = "closed"
            self._closing = asyncio.create_task(self._close(), name="chatkit-store-close")
        self._state = "closed"
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if self._adopting is not None:
            await asyncio.gather(self._adopting, return_exceptions=True)
        for store in self._files:
            await store.aclose()
        await self._worker.stop()

    def abandon(self) -> None:
        """Let go as a killed process would: what waits is not written, the end is not noted."""
        if self._state == "open":
            self._state = "closed"
            self._worker.retire(partial(_abandon, self._held), wait=True)

    def _check(self) -> None:
        if self._state != "open":
            raise StateError(
                f"{self.directory.name}/ is {'not open yet' if self._state == 'new' else 'closed'}"
            )
        self._files[0].file.check()

    # --------------------------------------------------------------------------------------------- outbox

    async def add(self, rows: Sequence[Row], /) -> Sequence[Row]:
        """Queue entries; a key or identity known in any file owned gives the stored row (D14)."""
        self._check()
        kept: dict[int, Row] = {}
        for store in self._present():
            if store is self._files[0]:
                continue
            stored = enumerate(await store.stored(rows))
            # Where several hold it, since processes used one key, it is always the same one that answers.
            kept = {place: row for place, row in stored if row is not None} | kept
        fresh = [place for place in range(len(rows)) if place not in kept]
        added = await self._files[0].add([rows[place] for place in fresh])
        kept |= zip(fresh, added, strict=True)
        return tuple(kept[place] for place in range(len(rows)))

    async def attempt(self, batch: Batch, rows: Sequence[Row], /, *, hlc: str) -> None:
        """Record an attempt in the file of its device (D6)."""
        for store, group in self._by_file(rows):
            await store.attempt(batch, group, hlc=hlc)

    async def settle(self, rows: Sequence[Row], /) -> None:
        """Record what rows became, each in the file of its device."""
        for store, group in self._by_file(rows):
            await store.settle(group)

    def _by_file(self, rows: Sequence[Row]) -> list[tuple[SqliteStore, list[Row]]]:
        self._check()
        groups: dict[int, tuple[SqliteStore, list[Row]]] = {}
        for row in rows:
            store = self._owner_of.get(row.device, self._files[0])
            groups.setdefault(id(store), (store, []))[1].append(row)
        return list(groups.values())

    async def renew_device(self, old: str, new: str, /) -> None:
        """Give never-attempted rows, and new ones, another device (D27)."""
        self._check()
        store = self._owner_of.get(old, self._files[0])
        await store.renew_device(old, new)
        self._owner_of[new] = store  # `old` stays its device too: attempted rows keep it

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
        """Return rows in queue order file by file, the own one first."""
        self._check()
        found: list[Row] = []
        for store in self._present():
            if after is not None and not await store.rows(entry_id=after):
                continue
            found += await store.rows(
                status=status,
                channel=channel,
                ident=ident,
                entry_id=entry_id,
                announced=announced,
                after=after,
                limit=limit - len(found),
            )
            after = None
            if len(found) == limit:
                break
        if after is not None:
            raise MessageNotFound(f"no entry {after} to go on after", hint="Read again from the start.")
        return tuple(found)

    async def lanes(self) -> Mapping[LaneKey, LaneMark]:
        """Return how far each lane of each file has come."""
        self._check()
        return {lane: mark for store in self._present() for lane, mark in (await store.lanes()).items()}

    async def batches(self) -> Mapping[str, tuple[Ident, ...]]:
        """Return the members of each batch that has an unfinished row (D10)."""
        self._check()
        return {id: members for store in self._present() for id, members in (await store.batches()).items()}

    async def prune(self, before: datetime, /) -> int:
        """Forget ended rows and ids older than `before`, in each file."""
        self._check()
        return sum([await store.prune(before) for store in self._present()])

    # ------------------------------------------------------------------------------------------- timeline

    @property
    def _own_file(self) -> SqliteStore:
        self._check()
        return self._files[0]

    async def marks(self) -> Mapping[str, Mark]:
        """Return the mark of each channel."""
        return await self._own_file.marks()

    async def applied(
        self, channel: str, mark: Mark | None, folded: Sequence[Folded], ids: Sequence[Ident], /, *, keep: int
    ) -> None:
        """Record a mark, messages and ids together (D17, D20)."""
        await self._own_file.applied(channel, mark, folded, ids, keep=keep)

    async def cached(self, channel: str, /, *, before: OrderKey | None, limit: int) -> Sequence[Folded]:
        """Return cached messages, ascending: the newest `limit` before a place."""
        return await self._own_file.cached(channel, before=before, limit=limit)

    async def seen(self, channel: str, ids: Sequence[Ident], /) -> frozenset[Ident]:
        """Say which ids were recorded before (D20)."""
        return await self._own_file.seen(channel, ids)

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
        """Return messages cached in the own file that hold all words of a text, newest first."""
        return await self._own_file.search(
            text, channel=channel, sender=sender, since=since, until=until, before=before, limit=limit
        )

    async def put(self, registers: Sequence[Register], /) -> None:
        """Merge registers (D25)."""
        await self._own_file.put(registers)

    async def registers(self, channel: str | None = None, /) -> Sequence[Register]:
        """Return registers, of one channel or of all."""
        return await self._own_file.registers(channel)


def _abandon(files: Sequence[StoreFile]) -> None:
    for file in files:
        file.abandon()


def _numbers(directory: Path) -> list[int]:
    """Return the numbers of the store files in a directory, ascending."""
    return sorted(int(path.stem) for path in directory.glob("*.db") if path.stem.isdecimal())
