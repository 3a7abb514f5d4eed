"""Real processes: killed, forked, and in one another's way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from chatkit.errors import StoreLocked
from chatkit.testing.contract.store.kit import ids
from chatkit.testing.rows import row
from tests.stores.kits import directory_store, file_store, opened

ROOT = Path(__file__).parents[2]

PRELUDE = """
import asyncio, os, signal, sys, threading
from pathlib import Path
from tests.stores.kits import directory_store, file_store, opened
from chatkit.testing.rows import attempted, batch_of, row

def say(*words):
    print(*words, flush=True)
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


WRITER = """
async def main():
    store = file_store(path, durability="process")
    await store.open("ada", "memory:hub", rebind=False)

    async def work(lane):
        for n in range(lane, 1_000_000, 4):
            one = row(n)
            await store.add([one])
            say("added", n)
            if n % 3 == 0:
                sending = attempted(one, f"b{n}", n)
                await store.attempt(batch_of(f"b{n}", sending), [sending], hlc="0193581fa2c0-0001")
                say("attempted", n)

    await asyncio.gather(*(work(lane) for lane in range(4)))

asyncio.run(main())
"""


@pytest.mark.parametrize("after", [1, 7, 60, 200])
async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, after: int) -> None:
    """Rows whose `add` returned are there, attempts that returned are recorded, in order (I3, D6)."""
    path = tmp_path / "ada.db"
    with process(WRITER, path) as child:
        told = [lines(child).readline().split() for _ in range(after)]
        child.send_signal(signal.SIGKILL)
        told += [line.split() for line in lines(child).read().splitlines()]

    # The last line may be torn; whatever was told whole must be there.
    added = {int(words[1]) for words in told[:-1] if words[0] == "added"}
    attempted = {int(words[1]) for words in told[:-1] if words[0] == "attempted"}

    async with opened(file_store(path, inline=True)) as store:
        kept = {int(found.ident.id.removeprefix("id-")): found for found in await store.rows(limit=100_000)}
        batches = await store.batches()

    assert added <= kept.keys()
    assert all(kept[n].attempts == 1 and kept[n].status == "sending" for n in attempted)
    assert all(batches[f"b{n}"] == (kept[n].ident,) for n in attempted)
    for lane in range(4):
        assert [n for n in kept if n % 4 == lane] == sorted(n for n in kept if n % 4 == lane)


async def test_an_owner_in_another_process_is_respected_until_it_dies(tmp_path: Path) -> None:
    """The lock goes with the process, however it ends (I17)."""
    path = tmp_path / "ada.db"
    body = """
    async def main():
        async with opened(file_store(path)) as store:
            await store.add([row(1)])
            say("ready")
            sys.stdin.read()

    asyncio.run(main())
    """
    with process(body, path) as child:
        assert lines(child).readline() == "ready\n"
        with pytest.raises(StoreLocked, match=r"ada\.db is owned"):
            await file_store(path, inline=True).open("ada", "memory:hub", rebind=False)
        child.kill()
        child.wait()

    async with opened(file_store(path, inline=True)) as store:
        assert await ids(store) == ["entry-1"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    """It gets `StateError`, and its end leaves the parent's store as it was (law 6)."""
    body = """
    import warnings
    from chatkit.errors import StateError
    warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, newer Pythons

    def child(store, leave):
        for call in (store.rows, store.adopt, store.aclose):
            try:
                asyncio.run(call())
            except StateError as error:
                say("child:", error)
        store.abandon()
        leave(0)

    def forked(store, leave):
        pid = os.fork()
        if pid == 0:
            child(store, leave)
        os.waitpid(pid, 0)

    inline = file_store(path / "inline.db", inline=True)
    asyncio.run(inline.open("ada", "memory:hub", rebind=False))
    forked(inline, sys.exit)
    asyncio.run(inline.add([row(1)]))
    asyncio.run(inline.aclose())

    directory = directory_store(path / "outbox", inline=True)
    asyncio.run(directory.open("ada", "memory:hub", rebind=False))
    forked(directory, sys.exit)
    asyncio.run(directory.add([row(1)]))
    asyncio.run(directory.aclose())

    loop = asyncio.new_event_loop()
    store = file_store(path / "thread.db")
    loop.run_until_complete(store.open("ada", "memory:hub", rebind=False))
    forked(store, os._exit)  # an ordinary end would break the epoll set of the parent's loop
    loop.run_until_complete(store.add([row(1)]))
    loop.run_until_complete(store.aclose())
    say(len(threading.enumerate()))
    """
    with process(body, tmp_path) as child:
        told = lines(child).read().splitlines()
        assert child.wait() == 0

    assert told == ["child: this store was opened before a fork"] * 9 + ["1"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
async def test_a_forked_child_does_not_hold_the_file_after_its_parent(tmp_path: Path) -> None:
    """The lock dies with its owner, though a child of that lives on (D27)."""
    path = tmp_path / "ada.db"
    body = """
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)

    async def main():
        store = file_store(path)
        await store.open("ada", "memory:hub", rebind=False)
        if os.fork() == 0:
            say("child", os.getpid())
            sys.stdin.read()
            os._exit(0)
        await asyncio.sleep(3600)

    asyncio.run(main())
    """
    with process(body, path) as child:
        pid = int(lines(child).readline().split()[1])
        child.kill()
        child.wait()

        os.kill(pid, 0)  # it lives
        async with opened(file_store(path, inline=True)) as store:
            await store.add([row(1)])
        assert child.stdin is not None
        child.stdin.close()


@pytest.mark.parametrize("inline", [False, True])
def test_a_program_that_forgets_to_close_ends_all_the_same(tmp_path: Path, *, inline: bool) -> None:
    """The interpreter is not kept alive, and what was acknowledged is there."""
    body = f"""
    store = file_store(path, inline={inline})

    async def main():
        await store.open("ada", "memory:hub", rebind=False)
        await store.add([row(1)])
        say("added")

    asyncio.run(main())
    """
    path = tmp_path / "ada.db"
    with process(body, path) as child:
        assert lines(child).read() == "added\n"
        assert child.wait(30) == 0


async def test_a_killed_process_leaves_its_file_in_the_directory_to_others(tmp_path: Path) -> None:
    """Its unfinished rows go on under their own device, in their own lane (D27)."""
    body = """
    async def main():
        store = directory_store(path)
        header = await store.open("ada", "memory:hub", rebind=False)
        await store.add([row(1, device=header.device), row(2, device=header.device)])
        one = attempted(row(1, device=header.device), "b1", 1)
        await store.attempt(batch_of("b1", one), [one], hlc="0193581fa2c0-0001")
        say(header.device)
        os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(main())
    """
    async with opened(directory_store(tmp_path / "outbox", inline=True)) as store:
        with process(body, tmp_path / "outbox") as child:
            device = lines(child).readline().strip()
            child.wait()

        rows = await store.adopt()

        assert [(r.entry_id, r.status, r.device) for r in rows] == [
            ("entry-1", "sending", device),
            ("entry-2", "queued", device),
        ]
        assert {lane.device for lane in await store.lanes()} == {device}
