"""Real processes on one log file: in one another's way, and killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import pytest

from chatkit.logs.sqlite.log import SqliteLog
from chatkit.model.entry import Entry
from chatkit.testing.wishes import wish
from tests.logs.sqlite_kit import key, opened

ROOT = Path(__file__).parents[2]

PRELUDE = """
import asyncio, sys
from pathlib import Path
from chatkit.engine.system import SystemClock
from tests.logs.sqlite_kit import file_log
from chatkit.testing.wishes import wish

def say(*words):
    print(*words, flush=True)

async def writer(path, number, count, size):
    # Each is a user of their own; every third batch is sent twice, as after a lost answer.
    log = file_log(path, clock=SystemClock(), seed=number, inline=False)
    for start in range(1, count + 1, size):
        batch = [wish(n, user=f"user{number}") for n in range(start, start + size)]
        for _ in range(2 if start // size % 3 == 0 else 1):
            acks = (await log.append("support", batch)).acks
            for ack in acks:
                assert ack.outcome in ("new", "duplicate"), ack
                say(ack.outcome, ack.ident.user, ack.ident.id, ack.key.serial)
    await log.aclose()
"""


@contextmanager
def process(body: str, path: Path) -> Generator[subprocess.Popen[str]]:
    """A Python process with `path` at hand, killed at the end of the block if it still runs."""
    code = f"{PRELUDE}\npath = Path({str(path)!r})\n{textwrap.dedent(body)}"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def lines(child: subprocess.Popen[str]) -> IO[str]:
    assert child.stdout is not None
    return child.stdout


def write(number: int, count: int, size: int) -> str:
    return f"asyncio.run(writer(path, {number}, {count}, {size}))"


async def all_entries(log: SqliteLog) -> list[Entry]:
    found: list[Entry] = []
    while True:
        page = await log.entries("support", after=found[-1].stamp.key if found else None, limit=1000)
        found += page.items
        if not page.more:
            return found


async def check_whole(log: SqliteLog, told: dict[tuple[str, str], str]) -> list[Entry]:
    """Serials have no hole, time never steps back, and everything acknowledged is where it was said to be."""
    entries = await all_entries(log)
    assert [item.stamp.key for item in entries] == [key(n) for n in range(1, len(entries) + 1)]
    times = [item.stamp.at for item in entries]
    assert times == sorted(times)
    page = await log.messages("support", limit=1000)
    places = {(m.ident.user, m.ident.id): m.stamp.key.serial for m in page.items}
    while page.before is not None:
        page = await log.messages("support", before=page.before, limit=1000)
        places |= {(m.ident.user, m.ident.id): m.stamp.key.serial for m in page.items}
    assert len(places) == len(entries)
    assert told.items() <= places.items()
    return entries


def acknowledged(told: list[list[str]]) -> dict[tuple[str, str], str]:
    places: dict[tuple[str, str], str] = {}
    for _, user, id, serial in told:
        assert places.setdefault((user, id), serial) == serial  # one place, whatever the answer was called
    return places


@pytest.mark.long
async def test_twenty_processes_write_one_channel(tmp_path: Path) -> None:
    """Serials in the order of commits, none double, none missing, no deadlock; each lane in its order (D9)."""
    path, writers, count = tmp_path / "shop.db", 20, 12
    with ExitStack() as stack:
        children = [stack.enter_context(process(write(number, count, 3), path)) for number in range(writers)]
        told = [line.split() for child in children for line in lines(child)]
        assert [child.wait(timeout=60) for child in children] == [0] * writers

    places = acknowledged(told)
    assert len(places) == writers * count
    async with opened(path) as log:
        entries = await check_whole(log, places)
        assert len(entries) == writers * count
        assert len((await log.search("text", limit=1000)).items) == writers * count
    for number in range(writers):
        lane = [places[f"user{number}", wish(n).ident.id] for n in range(1, count + 1)]
        assert lane == sorted(lane)


@pytest.mark.long
@pytest.mark.parametrize("after", [3, 40])
async def test_a_killed_writer_loses_nothing_acknowledged(tmp_path: Path, after: int) -> None:
    """What it was told is there, the others go on at once, and its retry is answered as a duplicate (I3)."""
    path = tmp_path / "shop.db"
    with process(write(1, 60_000, 3), path) as victim, process(write(2, 150, 3), path) as other:
        told = [lines(victim).readline().split() for _ in range(after)]
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        told += [line.split() for line in lines(victim) if line.endswith("\n")]
        told += [line.split() for line in lines(other)]
        assert other.wait(timeout=60) == 0

    places = acknowledged([words for words in told if len(words) == 4])
    async with opened(path) as log:
        entries = await check_whole(log, places)
        mine = [item for item in entries if item.stamp.user == "user1"]
        retry = [wish(n, user="user1") for n in range(1, len(mine) + 2)]
        answers = (await log.append("support", retry)).acks

    assert len(entries) - len(mine) == 150
    assert len(mine) >= after // 2  # some was told twice
    assert [ack.outcome for ack in answers] == ["duplicate"] * len(mine) + ["new"]


@pytest.mark.long
async def test_a_new_file_is_made_by_one_of_many(tmp_path: Path) -> None:
    """Processes that come first at once agree on one log."""
    body = """
    async def main():
        log = file_log(path, clock=SystemClock(), seed=int(sys.stdin.readline()))
        say((await log.heads(["support"]))["support"].log_id)
        await log.aclose()
    asyncio.run(main())
    """
    with ExitStack() as stack:
        children = [stack.enter_context(process(body, tmp_path / "new.db")) for _ in range(6)]
        for number, child in enumerate(children):
            assert child.stdin is not None
            child.stdin.write(f"{number}\n")
            child.stdin.flush()
        ids = {lines(child).readline().strip() for child in children}

    assert len(ids) == 1
    assert len(ids.pop()) == 32
