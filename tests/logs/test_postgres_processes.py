"""Real processes on one log in PostgreSQL: in one another's way, late, and killed."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO

import pytest

from chatkit.errors import TransportError
from chatkit.logs.postgres import PostgresLog
from chatkit.model.entry import Entry
from chatkit.postgres.calls import as_json
from chatkit.postgres.rows import item
from chatkit.testing.contract.log.kit import SUPPORT, key, outcomes, serial, state
from chatkit.testing.wishes import wish
from tests.logs.postgres_kit import ask, opened, session

pytestmark = pytest.mark.realtime

ROOT = Path(__file__).parents[2]

PRELUDE = """
import asyncio, sys
from random import Random
from chatkit.logs.postgres import PostgresLog
from chatkit.testing.wishes import wish

def say(*words):
    print(*words, flush=True)

async def writer(number, count):
    # Each is a user of their own. Some batches are sent again, grouped otherwise and while they are still
    # on their way, as after a lost answer.
    log = PostgresLog(dsn, connections=3)
    random = Random(number)
    start = 1
    while start <= count:
        size = random.randint(1, 5)
        batch = [wish(n, user=f"user{number}") for n in range(start, min(start + size, count + 1))]
        again = batch[:random.randint(1, len(batch))]
        calls = [log.append("support", batch)]
        if random.random() < 0.3:
            calls.append(log.append("support", again))
        for appended in await asyncio.gather(*calls):
            for ack in appended.acks:
                if ack.key is not None:
                    say(ack.outcome, ack.ident.user, ack.ident.id, ack.key.serial)
                else:
                    say(ack.outcome, ack.ident.user, ack.ident.id)
        start += size
    await log.aclose()
"""


@contextmanager
def process(dsn: str, body: str) -> Generator[subprocess.Popen[str]]:
    """A Python process with `dsn` at hand, killed at the end of the block if it still runs."""
    code = f"{PRELUDE}\ndsn = {dsn!r}\n{textwrap.dedent(body)}"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def write(numbers: range, count: int) -> str:
    """Several writers in one process."""
    return f"""
    async def main():
        await asyncio.gather(*(writer(number, {count}) for number in {numbers!r}))
    asyncio.run(main())
    """


def lines(child: subprocess.Popen[str]) -> IO[str]:
    assert child.stdout is not None
    return child.stdout


async def all_entries(log: PostgresLog) -> list[Entry]:
    found: list[Entry] = []
    while True:
        page = await log.entries(SUPPORT, after=found[-1].stamp.key if found else None, limit=1000)
        found += page.items
        if not page.more:
            return found


@pytest.mark.long
async def test_twenty_writers_of_several_processes_share_a_channel(emptied: str) -> None:
    """Serials in the order of commits, none double, none missing, no deadlock; each lane in its order (D9)."""
    processes, count = 4, 25
    seen: list[int] = []

    async def watch(log: PostgresLog) -> None:
        # Whoever reads at any moment sees a beginning of the channel, never one with a hole in it.
        while True:
            serials = [
                int(item.stamp.key.serial)
                for item in (await log.entries(SUPPORT, after=None, limit=1000)).items
            ]
            assert serials == list(range(1, len(serials) + 1))
            seen.append(len(serials))
            await asyncio.sleep(0.01)

    with ExitStack() as stack:
        children = [
            stack.enter_context(process(emptied, write(range(5 * n, 5 * n + 5), count)))
            for n in range(processes)
        ]
        async with opened(emptied) as log:
            watcher = asyncio.create_task(watch(log))
            told = [
                line.split()
                for text in await asyncio.gather(*(asyncio.to_thread(lines(c).read) for c in children))
                for line in text.splitlines()
            ]
            assert not watcher.done()
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
            entries = await all_entries(log)
        assert [child.wait(timeout=60) for child in children] == [0] * processes

    assert {words[0] for words in told} <= {"new", "duplicate", "superseded"}
    assert len(set(seen)) > 1
    places = {(item.stamp.user, item.stamp.key.serial) for item in entries}
    assert [item.stamp.key for item in entries] == [key(n) for n in range(1, 20 * count + 1)]
    times = [item.stamp.at for item in entries]
    assert times == sorted(times)
    where: dict[tuple[str, str], str] = {}
    for outcome, user, id, *place in told:
        if outcome != "superseded":
            assert where.setdefault((user, id), place[0]) == place[0]
            assert (user, place[0]) in places
    assert len(where) == len(entries)
    assert sum(words[0] == "new" for words in told) == len(entries)
    for number in range(20):
        lane = [where[f"user{number}", wish(n).ident.id] for n in range(1, count + 1)]
        assert lane == sorted(lane)


@pytest.mark.long
async def test_a_killed_writer_loses_nothing_acknowledged(emptied: str) -> None:
    """What it was told is there, the others go on, and its retry is answered as a duplicate (I3)."""
    with (
        process(emptied, write(range(1, 2), 60_000)) as victim,
        process(emptied, write(range(2, 3), 60)) as other,
    ):
        told = [lines(victim).readline().split() for _ in range(20)]
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        told += [line.split() for line in lines(victim) if line.endswith("\n")]
        assert await asyncio.to_thread(other.wait, 60) == 0

    async with opened(emptied) as log:
        entries = await all_entries(log)
        mine = [item for item in entries if item.stamp.user == "user1"]
        assert [item.stamp.key for item in entries] == [key(n) for n in range(1, len(entries) + 1)]
        assert {words[3] for words in told if len(words) == 4} <= {item.stamp.key.serial for item in mine}
        assert len(entries) - len(mine) == 60
        retries = [wish(n, user="user1") for n in range(1, len(mine) + 2)]
        assert await outcomes(log, *retries) == ["duplicate"] * len(mine) + ["new"]


# ---------------------------------------------------------------------- requests that end late


LOCK = "SELECT number FROM chatkit.channels WHERE name = 'support' FOR NO KEY UPDATE"


@contextmanager
def held(dsn: str) -> Generator[None]:
    """Somebody holds the channel inside the block, as a transaction does that takes long."""
    with session(dsn) as other, other.transaction():
        other.execute(LOCK)
        yield


async def waiting(dsn: str, count: int = 1) -> None:
    """Return once so many statements wait for the channel."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while ask(dsn, query) < count:
        await asyncio.sleep(0.01)


async def test_what_waited_past_its_deadline_is_refused(emptied: str) -> None:
    """The deadline counts when the entry's turn has come, not when it was sent (D9)."""
    async with opened(emptied) as log:
        await log.append(SUPPORT, [wish(1)])
        deadline = (await state(log)).now + timedelta(seconds=0.3)
        with held(emptied):
            late = asyncio.create_task(outcomes(log, wish(2, not_after=deadline)))
            await waiting(emptied)
            while (await state(log)).now <= deadline:
                await asyncio.sleep(0.01)

        assert await late == ["too_late"]
        assert (await state(log)).head == serial(1)


async def test_what_ends_after_its_successor_is_refused(emptied: str) -> None:
    """The sender gave up waiting and went on; the server then finishes what it had been asked first (D9)."""
    async with opened(emptied) as log:
        await log.append(SUPPORT, [wish(1)])
        with session(emptied) as slow:
            slow.execute("SET application_name = 'slow'")
            with slow.transaction():
                # The statement of the first attempt, stopped before it does anything.
                slow.execute("SELECT pg_sleep(0.05)")
                assert await outcomes(log, wish(3)) == ["new"]
                found = slow.execute("SELECT chatkit.append('support', %s::json)", (items(2),)).fetchone()

        assert found is not None
        assert [ack["outcome"] for ack in found[0]["acks"]] == ["superseded"]
        assert await outcomes(log, wish(2)) == ["superseded"]


async def test_a_call_that_takes_too_long_is_in_doubt(emptied: str) -> None:
    """It raises, and may be repeated; what it asked for was undone by the server or is known as a duplicate."""
    async with opened(emptied, timeout=0.5) as log:
        await log.append(SUPPORT, [wish(1)])
        with held(emptied), pytest.raises(TransportError, match="too long") as caught:
            await log.append(SUPPORT, [wish(2)])

        assert caught.value.retryable
        assert await outcomes(log, wish(2)) == ["new"]


async def test_whoever_finds_no_connection_is_in_doubt(emptied: str) -> None:
    """All of them being taken by calls that wait."""
    async with opened(emptied, connections=1, timeout=0.4) as log:
        await log.append(SUPPORT, [wish(1)])
        with held(emptied):
            calls = [log.append(SUPPORT, [wish(number)]) for number in range(2, 6)]
            ended = await asyncio.gather(*calls, return_exceptions=True)

    assert {type(error) for error in ended} == {TransportError}
    assert any("in time" in str(error) for error in ended)


async def test_broken_connections_are_replaced(emptied: str) -> None:
    """After the server ended them all, as a restart does, the next call is answered."""
    async with opened(emptied, connections=4) as log:
        await asyncio.gather(*(log.heads([SUPPORT]) for _ in range(20)))
        ask(
            emptied,
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )

        assert (
            await asyncio.gather(*(outcomes(log, wish(n, user=f"u{n}")) for n in range(1, 6)))
            == [["new"]] * 5
        )


async def test_a_lost_listener_says_so(emptied: str) -> None:
    """What was told meanwhile may have been missed: whoever listens calls again (D16)."""
    async with opened(emptied) as log:
        changes = log.changes()
        assert await anext(changes) == ""
        ask(
            emptied,
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN%%'",
        )
        with pytest.raises(TransportError, match="listens"):
            await anext(changes)


async def test_listening_ends_with_the_log(emptied: str) -> None:
    """Soon after it was closed."""
    log = PostgresLog(emptied)
    changes = log.changes()
    assert await anext(changes) == ""
    rest = asyncio.create_task(anext(changes, "ended"))
    await log.aclose()

    assert await rest == "ended"


def items(*numbers: int) -> str:
    return as_json([item(wish(n)) for n in numbers])
