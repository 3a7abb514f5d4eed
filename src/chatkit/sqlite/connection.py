"""The one door to SQLite: a factory whose connections know `execute` and nothing more.

Whatever gives connections of this shape can stand below the store: the standard `sqlite3`, `apsw`, or a
wrapper that makes statements fail.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeAlias

Durability: TypeAlias = Literal["power", "process"]
"""What a commit survives: a power cut (each one waits for the disk), or the death of the process."""
Mode: TypeAlias = Literal["rwc", "rw", "ro"]
"""As in SQLite's URIs: create where missing, must exist, or read only."""

BUSY_SECONDS: Final = 5.0
"""How long to wait for a tool that has a transaction open on the file."""

_SYNCHRONOUS: Final[dict[Durability, str]] = {"power": "FULL", "process": "NORMAL"}


class Connection(Protocol):
    """One connection, in autocommit: transactions begin and end by statements alone."""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Iterable[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class ConnectionFactory(Protocol):
    """Makes connections; called again when one has failed."""

    def __call__(self, path: str, /, *, mode: Mode) -> Connection:
        """Connect to the file at an absolute path."""
        ...


def connect(path: str, /, *, mode: Mode) -> Connection:
    """Connect through the standard library; a new file is readable by its owner alone."""
    if mode == "rwc":
        # O_EXCL, since closing a descriptor of an existing database would drop this process's locks on it.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    return sqlite3.connect(
        f"{Path(path).as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        timeout=BUSY_SECONDS,
        check_same_thread=False,  # the worker sees to it that one thread at a time is in here
    )


def configure(connection: Connection, durability: Durability) -> None:
    """Set journal and syncing, per connection.

    Checkpoints are taken by the owner alone, between its transactions: SQLite 3.7.0 to 3.51.2 can damage a
    file whose log is reset by one connection while another writes (D27).
    """
    run(connection, f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
    run(connection, "PRAGMA journal_mode = WAL")
    run(connection, "PRAGMA wal_autocheckpoint = 0")
    run(connection, f"PRAGMA synchronous = {_SYNCHRONOUS[durability]}")
    if durability == "power":
        # macOS: an ordinary fsync stops at the drive's cache. Other systems ignore both.
        run(connection, "PRAGMA fullfsync = 1")
        run(connection, "PRAGMA checkpoint_fullfsync = 1")


def run(connection: Connection, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Run one statement to its end, so that it holds nothing open, and return its rows."""
    return list(connection.execute(sql, parameters))


def one(connection: Connection, sql: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...] | None:
    """Return the first row, or `None`."""
    rows = run(connection, sql, parameters)
    return rows[0] if rows else None


@contextmanager
def transaction(connection: Connection) -> Generator[None]:
    """Commit what the block wrote, or roll it back where it raised."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(Exception):  # the transaction may be over already
            connection.execute("ROLLBACK")
        raise
