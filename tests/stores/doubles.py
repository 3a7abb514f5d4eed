"""A connection factory that counts, delays and fails."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from chatkit.sqlite.connection import Connection, Mode, connect

Fault = Callable[[str], BaseException | None]
"""Says for each statement whether it fails, and how."""


def disk_error() -> OSError:
    return OSError(errno.EIO, "the disk failed")


def sqlite_error(code: int) -> sqlite3.OperationalError:
    """An error as `sqlite3` would raise it."""
    error = sqlite3.OperationalError("failed")
    error.sqlite_errorcode = code
    return error


class Factory:
    """Makes real connections and sees every statement.

    Attributes:
        statements: All that were asked for, failed ones too.
        before: Decides on a failure before the statement is run.
        after: Decides on a failure after it was run: it has happened, but nobody is told.
        on_open: Called at each connecting.
    """

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.before: Fault = lambda sql: None
        self.after: Fault = lambda sql: None
        self.on_open: Callable[[Connection], object] = lambda connection: None
        self.opened = 0

    def __call__(self, path: str, /, *, mode: Mode) -> Connection:
        self.opened += 1
        connection = connect(path, mode=mode)
        self.on_open(connection)
        return _Watched(connection, self)

    def count(self, start: str) -> int:
        """How many statements began like that."""
        return sum(sql.startswith(start) for sql in self.statements)


class _Watched:
    def __init__(self, connection: Connection, factory: Factory) -> None:
        self._connection = connection
        self._factory = factory

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Iterable[tuple[Any, ...]]:
        self._factory.statements.append(sql)
        if (error := self._factory.before(sql)) is not None:
            raise error
        rows = list(self._connection.execute(sql, parameters))
        if (error := self._factory.after(sql)) is not None:
            raise error
        return rows

    def close(self) -> None:
        self._connection.close()


class Once:
    """A fault that strikes the statement of one beginning, once."""

    def __init__(self, start: str, error: BaseException) -> None:
        self._start = start
        self._error: BaseException | None = error

    def __call__(self, sql: str) -> BaseException | None:
        if not sql.startswith(self._start):
            return None
        error, self._error = self._error, None
        return error


class Nth:
    """A fault that strikes one of the statements of one beginning, counted from now on."""

    def __init__(self, start: str, place: int, error: BaseException) -> None:
        self._start = start
        self._left = place
        self._error = error

    @property
    def struck(self) -> bool:
        """Whether it has."""
        return self._left < 0

    def __call__(self, sql: str) -> BaseException | None:
        if not sql.startswith(self._start):
            return None
        self._left -= 1
        return self._error if self._left == -1 else None
