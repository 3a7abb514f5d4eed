"""`examples/mirror.py`: what it writes is what the log holds, wherever it is killed (I2)."""

from __future__ import annotations

import asyncio
import json
import runpy
import signal
import sqlite3
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from tests.engine.kit import C, Stage
from tests.examples.test_examples import EXAMPLES, environment

if TYPE_CHECKING:
    from chatkit.testing.clock import VirtualClock

MIRROR: Any = runpy.run_path(str(EXAMPLES / "mirror.py"))["mirror"]
AUDIT = """
create table message(id text primary key, version int, json text);
create table audit(id text);
create trigger made after insert on message begin insert into audit values (new.id); end;
create trigger changed after update on message begin insert into audit values (new.id); end;
"""


class Crash(Exception):
    """The process ends here."""


class Dying:
    """A connection to the database whose program dies at one of its statements."""

    def __init__(self, db: sqlite3.Connection, at: int) -> None:
        self._db = db
        self._left = at

    def executescript(self, script: str) -> None:
        self._db.executescript(script)

    def execute(self, *statement: Any) -> sqlite3.Cursor:
        if self._left == 0:
            raise Crash
        self._left -= 1
        return self._db.execute(*statement)

    def __enter__(self) -> None:
        self._db.__enter__()

    def __exit__(self, *exc: object) -> None:
        self._db.__exit__(*exc)  # type: ignore[arg-type]  # as it was given


async def told(chat: chatkit.Chat) -> None:
    """Send, edit, delete: six changes of three messages."""
    room = chat.channel(C)
    one, two = await room.send("one"), await room.send("two")
    await (await room.edit(one, "one, better")).wait(timeout=10)
    for verb in (room.delete(two), room.send("three"), room.edit(one, "one, best")):
        await (await verb).wait(timeout=10)


@pytest.mark.parametrize("at", [0, 1, 2, 3, 6, 9, 12])
async def test_each_change_is_written_once_wherever_it_dies(clock: VirtualClock, at: int) -> None:
    """The next life goes on behind the last change that was written."""
    stage = Stage(clock)
    db = sqlite3.connect(":memory:")
    db.executescript(AUDIT)

    async def live(given: Any) -> None:
        async with stage.chat("mirror", require=["history", "order"]) as chat:
            with suppress(TimeoutError):
                async with asyncio.timeout(10):
                    await MIRROR(chat.channel(C, presence=False, receipts="off"), given)

    async with stage.chat("ada") as ada:
        await told(ada)
        with suppress(Crash):
            await live(Dying(db, at))
        await ada.channel(C).send("four")
        await live(db)
        await live(db)

        assert db.execute("select count(*) from audit").fetchone() == (7,)
        mirrored = [json.loads(text) for (text,) in db.execute("select json from message")]
        assert {(one["message_id"], one["text"], one["version"], one["deleted"]) for one in mirrored} == {
            (one.message_id, one.text, one.version, one.deleted)
            for one in (await ada.channel(C).history()).items
        }


@pytest.mark.realtime
async def test_it_goes_on_after_a_kill(tmp_path: Path) -> None:
    """As a program of its own, over a log in a file that others write to."""
    log = f"sqlite:///{tmp_path}/chat.db"

    async def write(*texts: str) -> None:
        async with chatkit.connect("memory://writer", user="ada", log=log) as chat:
            for text in texts:
                await (await chat.channel("support").send(text)).wait(timeout=10)

    def read(lines: int) -> int:
        command = [sys.executable, str(EXAMPLES / "mirror.py"), "support", "--log", log]
        with subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment(tmp_path, "memory://mirror"),
            stdout=subprocess.PIPE,
            text=True,
        ) as run:
            assert run.stdout is not None
            found = [run.stdout.readline() for _ in range(lines)]
            run.send_signal(signal.SIGKILL)
        return len(set(found))

    await write("one", "two", "three")
    assert await asyncio.to_thread(read, 2) == 2
    await write("four")
    assert await asyncio.to_thread(read, 1) == 1
