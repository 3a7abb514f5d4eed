"""Store files that another program wrote or damaged: opened, read and lived on, or refused in words."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

from chatkit.adapters.memory import MemoryConfig, new_hub
from chatkit.connecting import connect
from chatkit.errors import ChatkitError
from chatkit.testing.clock import VirtualClock, run, settle
from chatkit.testing.fuzz.samples import ENVELOPES, SECRET
from chatkit.testing.fuzz.targets import Target

FILES: Final = ("store file", "store rows")
"""Names of the targets of this module."""
FOREIGN_FILES: Final = (
    b"",
    b"SQLite format 3\x00",
    b"\x89PNG\r\n\x1a\n" + bytes(500),
    b"PK\x03\x04" + bytes(30),
)
"""Files of other programs, or what is left of them."""
_CHANNEL: Final = "support"


def read_file(data: bytes) -> None:
    """Live on a file of these bytes; one of something else is left as it was.

    Raises:
        ChatkitError: It is no store of this user.
    """
    with TemporaryDirectory(prefix="chatkit-fuzz-") as folder:
        path = Path(folder) / "ada.db"
        path.write_bytes(data)
        try:
            _live(path)
        except ChatkitError as error:  # one that is ours may be found damaged later, when it has an owner
            if "left as it" in error.hint:
                assert path.read_bytes() == data, "a file of something else was changed"
            raise


def read_rows(data: bytes) -> None:
    """Live on a good file in which a stranger's value stands in one column of one table.

    Raises:
        ChatkitError: As `read_file`.
    """
    with TemporaryDirectory(prefix="chatkit-fuzz-") as folder:
        path = Path(folder) / "ada.db"
        path.write_bytes(good_file())
        vandalize(path, data)
        _live(path)


def vandalize(path: Path, data: bytes) -> None:
    """Put a stranger's values into some columns of some tables of a database, chosen by `data` alone."""
    chance = Random(data)  # noqa: S311  # to be the same again
    connection = sqlite3.connect(path)
    try:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ]
        kept = [name for name in tables if not name.startswith(("sqlite_", "words"))]
        for _ in range(chance.randint(1, 3)):
            table = chance.choice(kept)
            with suppress(sqlite3.Error):  # a search index that was hit before can tell no columns
                columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
                _set(connection, table, chance.choice(columns), _value(chance, data))
        connection.commit()
    finally:
        connection.close()


def _value(chance: Random, data: bytes) -> Any:
    data = data[:100_000].replace(
        SECRET.encode(), b"known"
    )  # errors name users, as any stranger's word here may be
    text = data.decode("utf-8", "replace")
    return chance.choice(
        (None, 0, -1, 2**62, -(2**63), 1.5, float("inf"), "", text, data, b"", text[:8], "[]", "{}", "[[1]]")
    )


def _set(connection: sqlite3.Connection, table: str, column: str, value: Any) -> None:
    try:
        connection.execute(f"UPDATE {table} SET {column} = ?", (value,))  # noqa: S608  # names of our own tables
    except sqlite3.Error:  # the table has a rule against it
        connection.rollback()


def _live(path: Path) -> None:
    clock = VirtualClock()
    run(_story(path, clock), clock=clock)


async def _story(path: Path, clock: VirtualClock) -> None:
    """Open a client on the file, let it send what waits there, read, search, mark, send, and close it."""
    hub = new_hub("files", clock=clock, random=Random(1))  # noqa: S311  # likewise
    chat = await connect(
        MemoryConfig(hub=hub, name="files"), user="ada", store=path, durability="process", clock=clock, seed=1
    )
    try:
        channel = chat.channel(_CHANNEL)
        await channel.attach(timeout=30)
        await settle()
        delivery = await channel.send("after")
        _ = await delivery.wait("sent", timeout=600)
        _ = (
            channel.timeline.view,
            await chat.outbox.entries(),
            await chat.directs(),
            channel.receipts.unread,
        )
        _ = await channel.search("hello")
        health = chat.health()
        assert not health.checks["defects"], f"a defect in {health.checks['defects']}"
    finally:
        _ = await chat.aclose(drain=1)


@lru_cache(1)
def good_file() -> bytes:
    """Return a store file with something in every table, and an outbox of all sorts."""
    with TemporaryDirectory(prefix="chatkit-fuzz-") as folder:
        path = Path(folder) / "ada.db"
        clock = VirtualClock()
        run(_fill(path, clock), clock=clock)
        copy = Path(folder) / "copy.db"
        shutil.copyfile(path, copy)
        return copy.read_bytes()


async def _fill(path: Path, clock: VirtualClock) -> None:
    hub = new_hub("files", clock=clock, random=Random(1))  # noqa: S311  # likewise
    config = MemoryConfig(hub=hub, name="files")
    bob = connect(config, user="bob", clock=clock, seed=2)
    ada = connect(config, user="ada", store=path, durability="process", clock=clock, seed=3)
    async with ada, bob:
        channel = ada.channel(_CHANNEL)
        await channel.attach(timeout=30)
        first = await channel.send("hello", key="order-1")
        message = await first.wait("sent", timeout=30)
        await bob.channel(_CHANNEL).attach(timeout=30)
        other = await (await bob.channel(_CHANNEL).send("hello ada")).wait("sent", timeout=30)
        _ = await (await channel.react(other, "👍")).wait("sent", timeout=30)
        _ = await (await channel.edit(message, "hello again")).wait("sent", timeout=30)
        _ = await channel.send("and you?", reply_to=other)
        await channel.receipts.mark_read()
        await settle()
        hub.network.lose_ack("ada", 1)
        _ = await channel.send("in doubt")
        await settle()
        hub.network.cut("ada")
        for number in range(3):
            _ = await channel.send(f"queued {number}", key=f"order-{number + 2}")
        _ = await channel.delete(message)
        _ = await ada.aclose(drain=0)


def file_targets() -> tuple[Target, ...]:
    """Return the targets of this module; the first call makes a good file."""
    good = good_file()
    return (
        Target(FILES[0], (good, good, good, *FOREIGN_FILES, good[:4096]), read_file, largest=300_000),
        Target(FILES[1], ENVELOPES, read_rows, largest=100_000),
    )
