"""`SqliteLog`: the log in one SQLite file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar, get_args

from chatkit.errors import StateError
from chatkit.logs.sqlite import appending, reading, registers, searching, trimming
from chatkit.logs.sqlite.file import LogFile, new_log_id
from chatkit.model.order import Ident, Place
from chatkit.model.registers import Register, check
from chatkit.model.search import SearchMark, SearchPage
from chatkit.model.views import Unread
from chatkit.ports.context import Clock, Observer, RandomSource, Unobserved
from chatkit.ports.log import Appended, Entries, Found, LogFeature, LogState, Messages
from chatkit.ports.outgoing import Outgoing
from chatkit.sqlite.connection import Connection, ConnectionFactory, Durability, connect, run
from chatkit.sqlite.worker import InlineWorker, ThreadWorker, Worker, run_calls

T = TypeVar("T")

_ALL: Final[frozenset[LogFeature]] = frozenset(get_args(LogFeature))
POLL: Final = 0.25
"""Seconds between two looks for what other processes appended."""


class SqliteLog:
    """A `Log` in a file that several processes of one machine share.

    Nothing is opened before the first call. Appends that arrive together share one transaction; reads have a
    connection and a thread of their own and wait for no writer. A caller that is cancelled loses only the
    answer. Dropped without `aclose`, the log lets go of its file as at the death of the process.

    What went wrong with the file comes as `TransportError`: what was appended before is kept, and the call is
    safe to repeat. A file that is none of ours, or of a newer chatkit, is a `ConfigError` and stays as it is.

    Args:
        path: Absolute, without symbolic links; missing directories are made.
        clock: Dates entries; read once an append, inside its transaction.
        random: Makes id and secret of a new log.
        durability: `power`: an append is acknowledged when the disk has it; `process`: the system has it.
        inline: Work in the caller, not on threads: for simulations.
        connect: Makes SQLite connections.
        observer: Told of the labelled points of the file, on the thread that writes.
    """

    def __init__(
        self,
        path: str,
        *,
        clock: Clock,
        random: RandomSource,
        durability: Durability = "power",
        inline: bool = False,
        connect: ConnectionFactory = connect,
        observer: Observer | None = None,
    ) -> None:
        watcher = observer or Unobserved()
        self._file = LogFile(path, durability=durability, random=random, connect=connect, observer=watcher)
        self._clock = clock
        self._random = random
        self._writer = _worker(f"{self._file.name}-write", inline=inline)
        self._reader = _worker(f"{self._file.name}-read", inline=inline)
        self._used = False
        self._closing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"SqliteLog({self._file.name!r})"

    # ------------------------------------------------------------------ the log

    @property
    def capabilities(self) -> frozenset[LogFeature]:
        """All there is."""
        return _ALL

    async def append(self, channel: str, entries: Sequence[Outgoing], /) -> Appended:
        """Number and keep entries, in one transaction and in order (D9)."""
        clock = self._clock
        # The time of the transaction, not of the call: a deadline may pass in between.
        return await self._write(lambda c: appending.append(c, channel, entries, clock.wall()))

    async def heads(self, channels: Sequence[str], /) -> Mapping[str, LogState]:
        """Return where each channel stands."""
        return await self._read(reading.heads, channels, self._now())

    async def entries(self, channel: str, /, *, after: Place | None, limit: int) -> Entries:
        """Return up to `limit` raw entries after a place, oldest first; `None`: from the floor."""
        return await self._read(reading.entries, channel, after, limit, self._now())

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
        """Return up to `limit` folded messages, ascending; no place: the newest."""
        wanted = reading.Wanted(before, after, around, limit, thread)
        return await self._read(reading.messages, channel, wanted, self._now())

    async def get(self, channel: str, idents: Sequence[Ident | str], /) -> Messages:
        """Return the messages named, folded, ascending."""
        return await self._read(reading.get, channel, idents, self._now())

    async def versions(self, channel: str, ident: Ident, /) -> Entries:
        """Return the creation and every edit, delete and restore of one message, oldest first."""
        return await self._read(reading.versions, channel, ident, self._now())

    async def find(self, channel: str, idents: Sequence[Ident], /) -> Found:
        """Say which of these envelopes the log has (D10)."""
        return await self._read(reading.find, channel, idents, self._now())

    async def put(self, new: Sequence[Register], /) -> None:
        """Merge registers, in one transaction."""
        for register in new:
            check(register)
        await self._write(partial(_swapped, registers.put, new))

    async def registers(
        self, channel: str, names: Sequence[str], /, *, users: Sequence[str] | None = None
    ) -> Sequence[Register]:
        """Return registers of a channel by name, of some users or of all."""
        return await self._read(registers.registers, channel, names, users)

    async def unread(self, user: str, channels: Sequence[str], /) -> Mapping[str, Unread]:
        """Count what a user has not read."""
        return await self._read(registers.unread, user, channels)

    async def search(
        self,
        text: str,
        /,
        *,
        channels: Sequence[str] | None = None,
        sender: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: SearchMark | None = None,
        limit: int,
    ) -> SearchPage:
        """Return messages that hold all words of a text, newest first."""
        question = searching.Question(text, channels, sender, since, until, before, limit)
        return await self._read(searching.search, question)

    async def trim(self, channel: str, before: Place, /) -> LogState:
        """Forget entries and messages before a place, in several transactions; ids later (D20)."""
        goal = await self._read(trimming.goal, channel, before)
        while True:
            state, more = await self._write(partial(_swapped, trimming.trim, channel, goal, self._now()))
            if not more:
                return state

    async def changes(self) -> AsyncIterator[str]:
        """Yield the name of each channel that was appended to, one's own appends too; see `Log.changes`.

        Ends when this log is closed.
        """
        newest, _ = await self._read(_appended, None)
        yield ""
        while True:
            await asyncio.sleep(POLL)
            if self._closing is not None:
                return
            now, names = await self._read(_appended, newest)
            newest = now
            for name in names:
                yield name

    async def restored(self) -> str:
        """Give the log a new id, and return it: a backup of its file was put in place.

        Clients then know for certain that what they remember may lie beyond it (D18); without it they see it
        only where the log has less than they have.
        """
        log_id = new_log_id(self._random)
        await self._write(lambda c: run(c, "UPDATE header SET log_id = ?", (log_id,)))
        return log_id

    async def aclose(self) -> None:
        """Finish what was called before, release the file, end the threads; idempotent.

        A cancelled caller loses only the wait.
        """
        self._file.check()
        if self._closing is None:
            self._closing = asyncio.create_task(self._end(), name="chatkit-log-close")
        await asyncio.shield(self._closing)

    # ------------------------------------------------------------------ inside

    def _now(self) -> datetime:
        return self._clock.wall()

    async def _write(self, job: Callable[[Connection], T]) -> T:
        self._check()
        result: T = await self._writer.submit(self._file.write, job)
        return result

    async def _read(self, call: Callable[..., T], *args: Any) -> T:
        self._check()
        result: T = await self._reader.submit(self._file.read, partial(_swapped, call, *args))
        return result

    def _check(self) -> None:
        self._file.check()
        if self._closing is not None:
            raise StateError("this log is closed", hint="Make a new one.")
        if not self._used:
            self._used = True
            self._reader.retire_after(self, self._file.close_reader)
            self._writer.retire_after(self, self._file.close_writer)

    async def _end(self) -> None:
        if self._used:
            # The writer goes last: it is the one that may tidy up the file.
            for worker, last in (
                (self._reader, self._file.close_reader),
                (self._writer, self._file.close_writer),
            ):
                await worker.submit(run_calls, last)
                await worker.stop()


def _swapped(call: Callable[..., T], *args: Any) -> T:
    """Call with the connection, which comes last, first."""
    return call(args[-1], *args[:-1])


def _appended(connection: Connection, since: int | None) -> tuple[int, list[str]]:
    """Return the newest number, and which channels were appended to since one."""
    [(newest,)] = run(connection, "SELECT coalesce(max(number), 0) FROM entries")
    if since is None or newest == since:
        return newest, []
    if newest < since:
        return newest, [""]  # another file lies there now
    rows = run(
        connection,
        "SELECT DISTINCT c.name FROM entries e JOIN channels c ON c.number = e.channel WHERE e.number > ?",
        (since,),
    )
    return newest, [name for (name,) in rows]


def _worker(name: str, *, inline: bool) -> Worker:
    return InlineWorker() if inline else ThreadWorker(f"chatkit-log-{name}")
