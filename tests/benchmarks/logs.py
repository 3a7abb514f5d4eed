"""A log of many messages: appending, the first page, pages from all over it, search.

Takes any `chatkit.ports.Log` by a factory: add a name to `LOGS` and it is measured. Targets: a first page within
50 ms, a page of 50 within 5 ms for 99 of 100, a search for a common word, newest first, within 30 ms.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Final

from chatkit.engine.system import SystemClock
from chatkit.logs import open_log
from chatkit.logs.memory import MemoryLog
from chatkit.model.order import OrderKey
from chatkit.ports import Log, Outgoing
from tests.benchmarks.corpus import CHANNEL, outgoing
from tests.benchmarks.measure import Figure

LogFactory = Callable[[], AbstractAsyncContextManager[Log]]
"""Opens an empty log, and ends it with all that it left."""

FIRST_PAGE, PAGE, SEARCH = 50.0, 5.0, 30.0
WORDS: Final = {"common": "the", "rare": "kleedrac"}
SEARCHES: Final = 9
WRITERS: Final = (1, 8, 20)
GROUP: Final = 100
"""Entries in one append where the log is only being filled."""


@asynccontextmanager
async def memory() -> AsyncIterator[Log]:
    """Open the reference: what a log costs that waits for nothing."""
    yield MemoryLog(SystemClock(), random.Random(1), keep=10_000_000)


@asynccontextmanager
async def sqlite() -> AsyncIterator[Log]:
    """Open a log in a new file, synced at each append."""
    with TemporaryDirectory(prefix="chatkit-bench-") as folder:
        log = open_log(f"sqlite:///{folder}/log.db", clock=SystemClock(), random=random.Random(1))
        try:
            yield log
        finally:
            await log.aclose()


@asynccontextmanager
async def postgres() -> AsyncIterator[Log]:
    """Open a log in a new database of a server of one's own, on its socket."""
    from chatkit.logs.postgres import PostgresLog, migrate
    from tests.logs import postgres_server

    with postgres_server.server() as server, postgres_server.database(server) as dsn:
        migrate(dsn)
        log = PostgresLog(dsn)
        try:
            yield log
        finally:
            await log.aclose()


LOGS: Final[dict[str, LogFactory]] = {"memory": memory, "sqlite": sqlite, "postgresql": postgres}
"""By name; the one in memory shows what the others add."""


def run(*, quick: bool) -> list[Figure]:
    """Measure every log."""
    many, pages = (5_000, 100) if quick else (1_000_000, 2_000)
    callers, appends = ((8,), 500) if quick else (WRITERS, 2_000)
    counts = {"memory": many // 10}
    return [
        figure
        for name, factory in LOGS.items()
        for figure in asyncio.run(_measure(name, factory, counts.get(name, many), pages, callers, appends))
    ]


async def _measure(
    name: str, factory: LogFactory, count: int, pages: int, callers: Sequence[int], appends: int
) -> list[Figure]:
    written = list(outgoing(count))
    async with factory() as log:
        for start in range(0, count, GROUP):
            await log.append(CHANNEL, written[start : start + GROUP])
        began = time.perf_counter()
        newest = await log.messages(CHANNEL, limit=50)
        found = [_at_most(f"{name}: first page of {count:,}", _ms(began), FIRST_PAGE)]
        head = int(newest.items[-1].stamp.key.serial)
        chance, took = random.Random(4), list[float]()
        for _ in range(pages):
            place = OrderKey(newest.items[-1].stamp.key.epoch, f"{chance.randint(50, head):020}")
            began = time.perf_counter()
            await log.messages(CHANNEL, before=place, limit=50)
            took.append(_ms(began))
        found.append(_at_most(f"{name}: page of 50, p99", quantiles(took, n=100)[98], PAGE))
        if "search" in log.capabilities:
            for kind, word in WORDS.items():
                took = []
                for _ in range(SEARCHES):
                    began = time.perf_counter()
                    await log.search(word, channels=[CHANNEL], limit=50)
                    took.append(_ms(began))
                found.append(_at_most(f"{name}: search for a {kind} word", median(took), SEARCH))
    rates = {f"appends a second, {n} writers": await _rate(factory, n, written[:appends]) for n in callers}
    return [replace(found[0], notes=rates), *found[1:]]


async def _rate(factory: LogFactory, writers: int, written: Sequence[Outgoing]) -> float:
    """Return how many entries a second so many writers append to one channel, each entry by itself."""
    async with factory() as log:

        async def write(share: Sequence[Outgoing]) -> None:
            for one in share:
                await log.append(CHANNEL, [one])

        lanes: dict[str, list[Outgoing]] = {}
        for one in written:
            lanes.setdefault(one.device, []).append(one)
        shares: list[list[Outgoing]] = [[] for _ in range(writers)]
        for at, lane in enumerate(lanes.values()):
            shares[at % writers] += lane  # a lane belongs to one writer (D8)
        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for share in shares:
                tasks.create_task(write(share))
        return len(written) / (time.perf_counter() - began)


def _ms(began: float) -> float:
    return (time.perf_counter() - began) * 1e3


def _at_most(name: str, found: float, limit: float) -> Figure:
    """Return a figure that may be so much at most; of the reference it is only stated."""
    return Figure(
        name=f"log {name}",
        unit="ms, beside the most",
        chatkit=found,
        bare=limit,
        ratio=found / limit,
        limit=None if name.startswith("memory:") else 1.0,
    )
