"""Durable sending: 1,000 callers at once, and one alone, beside a bare SQLite loop that writes the same rows.

The bare loop has its rows ready and does one thing: `BEGIN`, an `INSERT` for each row of the group, `COMMIT`,
in WAL with `synchronous=FULL`, into a table of the store's own schema. Between the two stands a *floor*: as
many asyncio callers, rows ready, each awaiting a future which one task resolves after such a commit, inline.
It is what callers cost that wait at all.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import chatkit
from chatkit.ports import Row
from chatkit.sqlite.connection import configure, connect
from chatkit.stores.codec import ROW_COLUMNS, placeholders, row_from, row_values
from chatkit.stores.schema import upgrade
from tests.benchmarks.corpus import spoken
from tests.benchmarks.measure import Figure, interleave, middle, paired

CALLERS: Final = 1_000
LEAST, HELD = 0.6, 0.07
"""Of the bare loop's throughput: the target, and what is reached so far."""
SLOWER, HELD_ALONE = 1.5, 2.4
"""Times the bare commit's median, for a caller alone: the same two."""
LIMITS: Final = chatkit.OutboxLimits(entries=1_000_000, size=2**40)
_INSERT: Final = f"INSERT INTO outbox ({ROW_COLUMNS}) VALUES ({placeholders(ROW_COLUMNS)})"

Values = tuple[Any, ...]


def open_chat(store: Path) -> chatkit.Chat:
    """Return a client that reaches nobody, so that a send is what makes it durable and nothing else."""
    return chatkit.connect(
        "memory://bench?offline=1", user="ada", store=store, durability="power", limits=LIMITS, drain=0.0
    )


def texts(count: int) -> list[str]:
    """Return so many texts of the corpus."""
    source = spoken()
    return [text for _, (_, text) in zip(range(count), source, strict=False)]


def rows_of(store: Path) -> list[Values]:
    """Return the rows that a store was left with, as they are written."""
    connection = sqlite3.connect(store)
    try:
        found = connection.execute(f"SELECT {ROW_COLUMNS} FROM outbox ORDER BY position")
        rows: list[Row] = [row_from(values) for values in found]
    finally:
        connection.close()
    return [row_values(row) for row in rows]


def bare_file(path: Path) -> sqlite3.Connection:
    """Return a connection to a new file of the store's schema, set as the store sets its own."""
    connection = connect(str(path), mode="rwc")
    assert isinstance(connection, sqlite3.Connection)
    configure(connection, "power")
    upgrade(connection, path.name)
    return connection


def commit(connection: sqlite3.Connection, rows: Sequence[Values]) -> None:
    """Write rows in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    for values in rows:
        connection.execute(_INSERT, values)
    connection.execute("COMMIT")


# -- many callers


async def ours(store: Path, said: Sequence[str], each: int) -> float:
    """Return the seconds in which 1,000 callers send so many messages each."""
    async with open_chat(store) as chat:
        channel = chat.channel("bench")

        async def caller(number: int) -> None:
            for at in range(each):
                await channel.send(said[number * each + at])

        await channel.send("the first one makes what is made once")
        began = time.perf_counter()
        async with asyncio.TaskGroup() as callers:
            for number in range(CALLERS):
                callers.create_task(caller(number))
        return time.perf_counter() - began


def bare(path: Path, rows: Sequence[Values]) -> float:
    """Return the seconds that the bare loop takes, a group of 1,000 at a time."""
    connection = bare_file(path)
    try:
        began = time.perf_counter()
        for start in range(0, len(rows), CALLERS):
            commit(connection, rows[start : start + CALLERS])
        return time.perf_counter() - began
    finally:
        connection.close()


async def floor(path: Path, rows: Sequence[Values], each: int) -> float:
    """Return the seconds that as many callers take who await the bare loop."""
    connection = bare_file(path)
    loop = asyncio.get_running_loop()
    waiting: list[tuple[Values, asyncio.Future[None]]] = []

    def write() -> None:
        group = waiting[:]
        waiting.clear()
        commit(connection, [values for values, _ in group])
        for _, future in group:
            future.set_result(None)

    async def caller(number: int) -> None:
        for at in range(each):
            future: asyncio.Future[None] = loop.create_future()
            if not waiting:
                loop.call_soon(write)
            waiting.append((rows[number * each + at], future))
            await future

    try:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as callers:
            for number in range(CALLERS):
                callers.create_task(caller(number))
        return time.perf_counter() - began
    finally:
        connection.close()


# -- one alone


async def alone(store: Path, said: Sequence[str]) -> float:
    """Return the median seconds of one send after the other."""
    async with open_chat(store) as chat:
        channel = chat.channel("bench")
        await channel.send("the first one makes what is made once")
        took: list[float] = []
        for text in said:
            began = time.perf_counter()
            await channel.send(text)
            took.append(time.perf_counter() - began)
        return median(took)


def bare_alone(path: Path, rows: Sequence[Values]) -> float:
    """Return the median seconds of one commit of one row after the other."""
    connection = bare_file(path)
    try:
        took: list[float] = []
        for values in rows:
            began = time.perf_counter()
            commit(connection, [values])
            took.append(time.perf_counter() - began)
        return median(took)
    finally:
        connection.close()


# -- the benchmark


def run(*, quick: bool) -> list[Figure]:
    """Measure."""
    each, lone, rounds = (2, 100, 2) if quick else (5, 500, 7)
    with tempfile.TemporaryDirectory() as folder:
        return [*_many(Path(folder), each, rounds), *_lone(Path(folder), lone, rounds)]


def _many(folder: Path, each: int, rounds: int) -> list[Figure]:
    count, files = CALLERS * each, _Files(folder)
    said = texts(count)
    asyncio.run(ours(files.new(), said, each))  # what is loaded once is loaded now
    rows = rows_of(files.last)[1:]
    loops, chats, floors = interleave(
        rounds,
        lambda: {"/s": count / bare(files.new(), rows)},
        lambda: {"/s": count / asyncio.run(ours(files.new(), said, each))},
        lambda: {"/s": count / asyncio.run(floor(files.new(), rows, each))},
    )
    return [
        Figure(
            name="send: 1,000 callers at once",
            unit="durable sends a second",
            chatkit=middle(chats, "/s"),
            bare=middle(loops, "/s"),
            ratio=paired(chats, loops, "/s"),
            limit=LEAST,
            held=HELD,
            least=True,
            rounds=rounds,
            notes={
                "floor: bare loop behind 1,000 callers": middle(floors, "/s"),
                "floor beside bare": paired(floors, loops, "/s"),
                "chatkit beside floor": paired(chats, floors, "/s"),
            },
        )
    ]


def _lone(folder: Path, count: int, rounds: int) -> list[Figure]:
    files = _Files(folder)
    said = texts(count)
    asyncio.run(alone(files.new(), said))
    rows = rows_of(files.last)[1:]
    loops, chats = interleave(
        rounds,
        lambda: {"ms": bare_alone(files.new(), rows) * 1e3},
        lambda: {"ms": asyncio.run(alone(files.new(), said)) * 1e3},
    )
    return [
        Figure(
            name="send: one caller alone",
            unit="ms at the median",
            chatkit=middle(chats, "ms"),
            bare=middle(loops, "ms"),
            ratio=paired(chats, loops, "ms"),
            limit=SLOWER,
            held=HELD_ALONE,
            rounds=rounds,
        )
    ]


class _Files:
    """Names of files that were not there before."""

    def __init__(self, folder: Path) -> None:
        self._folder = Path(tempfile.mkdtemp(dir=folder))
        self._count = 0

    @property
    def last(self) -> Path:
        return self._folder / f"{self._count}.db"

    def new(self) -> Path:
        self._count += 1
        return self.last
