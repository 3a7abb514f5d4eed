"""Faults inside one process: death at a labelled point, a store that is busy or full."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from chatkit.sqlite.connection import connect
from chatkit.stores import open_store

if TYPE_CHECKING:
    from chatkit.model.options import OutboxLimits
    from chatkit.ports import Clock, Observer, Store
    from chatkit.sqlite.connection import Connection, Mode


class Died(BaseException):
    """The process is dead from here on."""


class Fuse:
    """An `Observer` at which a client can be made to die.

    Args:
        on_death: Called at the point, before anything after it can happen.
    """

    def __init__(self, on_death: Callable[[str], None]) -> None:
        self.reached: Counter[str] = Counter()
        """Points, and how often each was passed."""
        self._on_death = on_death
        self._name: str | None = None
        self._left = 0
        self._dead = False

    def arm(self, name: str, times: int) -> None:
        """Die when a point is reached, not the first time but the `times`-th."""
        self._name, self._left = name, times

    def point(self, name: str, /, **fields: str | float | None) -> None:  # noqa: ARG002  # the port's shape
        """Go on, or die.

        Raises:
            Died: The point is where the client was to die, or it is dead.
        """
        if self._dead:
            raise Died
        self.reached[name] += 1
        if name == self._name:
            self._left -= 1
            if self._left <= 0:
                self._dead = True
                self._on_death(name)
                raise Died


class StoreFaults:
    """What is wrong with the disk of one device."""

    def __init__(self) -> None:
        self.code: int | None = None
        """SQLite's: 5 busy, 13 full; `None`: nothing is wrong."""
        self.left = 0
        """For how many more writes."""

    def strike(self, code: int, writes: int) -> None:
        """Let the next writes fail."""
        self.code, self.left = code, writes

    def store(
        self, path: str, *, limits: OutboxLimits, clock: Clock, random: Random, observer: Observer
    ) -> Store:
        """Return a store on this disk."""
        return open_store(
            path,
            durability="process",
            limits=limits,
            clock=clock,
            random=random,
            inline=True,
            connect=self._connect,
            index=False,
            observer=observer,
        )

    def _connect(self, path: str, /, *, mode: Mode) -> Connection:
        return _Faulty(connect(path, mode=mode), self)


class _Faulty:
    """A connection whose transactions may fail, at their beginning or at their end."""

    def __init__(self, real: Connection, faults: StoreFaults) -> None:
        self._real = real
        self._faults = faults

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Iterable[tuple[Any, ...]]:
        faults = self._faults
        if faults.left and sql == ("BEGIN IMMEDIATE" if faults.code == 5 else "COMMIT"):
            faults.left -= 1
            error = sqlite3.OperationalError("planned")
            error.sqlite_errorcode = faults.code or 0
            raise error
        return self._real.execute(sql, parameters)

    def close(self) -> None:
        self._real.close()
