"""One log file: opened when first needed, written under a lock that its processes share, read beside that.

Blocking. One thread at a time writes and one at a time reads; both may be the same.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock
from time import monotonic, sleep
from typing import Any, Final

from filelock import FileLock, Timeout

from chatkit.errors import ChatkitError, ConfigError, StateError, TransportError
from chatkit.logs.sqlite.schema import SCHEMA, WHAT
from chatkit.ports.context import Observer, RandomSource
from chatkit.sqlite.connection import (
    Connection,
    ConnectionFactory,
    Durability,
    Mode,
    configure,
    one,
    run,
    transaction,
)
from chatkit.sqlite.faults import FOREIGN, REFUSED, Kind, explained, kind_of
from chatkit.sqlite.files import make_directory
from chatkit.sqlite.worker import Outcome

PATIENCE: Final = 8.0
"""Seconds to wait for the other processes that write; one of them holds the file for one transaction."""
_SHORTEST: Final = 0.001
_LONGEST: Final = 0.03
"""Seconds between two looks at the lock: short at first, then longer, so that many who wait leave the machine
to the one who writes."""
CHECKPOINT_ENTRIES: Final = 1_000
"""Entries of the whole log between two checkpoints; whoever writes the last of them takes it."""
CHECKPOINT_JOBS: Final = 500
"""Jobs of one process between two checkpoints, whatever they wrote."""
_CACHE: Final = 16_000
"""Kilobytes of the file that a connection keeps in memory."""
_WAL: Final = 64_000_000
"""Bytes to which the write-ahead log shrinks when it starts anew."""

_log = logging.getLogger(__name__)

Job = Callable[[Connection], Any]
"""What to do inside a transaction."""


class _BadJobError(Exception):
    """One job cannot be done, whatever the others are."""

    def __init__(self, index: int, cause: Exception) -> None:
        self.index = index
        self.cause = cause


class LogFile:
    """A log file with a connection to write and one to read.

    SQLite 3.7.0 to 3.51.2 can damage a file when one connection resets the write-ahead log while another one
    writes (D27). Here both are done under one lock between processes: automatic checkpoints are off, and a
    transaction that writes, a checkpoint and the end of a connection each hold `FILE.lock`. The kernel frees
    it when its holder dies.

    Args:
        path: Absolute, without symbolic links, so that one file has one lock.
        durability: What a commit survives.
        random: Makes id and secret of a new log.
        connect: Makes connections.
        observer: Told when a commit is about to happen and has happened.
    """

    def __init__(
        self,
        path: str,
        *,
        durability: Durability,
        random: RandomSource,
        connect: ConnectionFactory,
        observer: Observer,
    ) -> None:
        self.name = Path(path).name
        self._path = path
        self._durability: Durability = durability
        self._random = random
        self._factory = connect
        self._observer = observer
        self._mutex = RLock()
        self._lock: FileLock | None = None
        self._writer: Connection | None = None
        self._reader: Connection | None = None
        self._since_checkpoint = 0
        self._pid = os.getpid()

    def check(self) -> None:
        """Refuse a forked child, which has no usable connection.

        Raises:
            StateError: This process is a fork of the one that made the log.
        """
        if os.getpid() != self._pid:
            raise StateError("this log was opened before a fork", hint="Connect anew in the child process.")

    # ------------------------------------------------------------------ running

    def write(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Run jobs in one transaction; a job that SQLite or we refuse fails alone, and the others run again.

        Anything else fails all of them, and the connection is made anew: after a failed sync neither what is
        cached nor a second sync can be trusted (D14). There are no savepoints, since at each the search index
        would be written out.
        """
        outcomes: list[Outcome | None] = [None] * len(jobs)
        while None in outcomes:
            left = [i for i, outcome in enumerate(outcomes) if outcome is None]
            try:
                done = self._transact([jobs[i] for i in left])
            except _BadJobError as bad:
                outcomes[left[bad.index]] = Outcome(error=self._explain(bad.cause))
            except Exception as error:  # noqa: BLE001  # each caller gets it
                for i in left:
                    outcomes[i] = Outcome(error=self._explain(error))
            else:
                for i, outcome in zip(left, done, strict=True):
                    outcomes[i] = outcome
        return [outcome for outcome in outcomes if outcome is not None]

    def _transact(self, jobs: Sequence[Job]) -> list[Outcome]:
        with self._held():
            try:
                connection = self._writable()
                before = _newest(connection)
                with transaction(connection):
                    outcomes = [_outcome(connection, i, job) for i, job in enumerate(jobs)]
                    self._observer.point("log.committing", file=self.name, jobs=len(jobs))
                self._observer.point("log.committed", file=self.name, jobs=len(jobs))
            except BaseException:
                self._drop_writer_held()
                raise
            self._checkpoint(connection, before, len(jobs))
            return outcomes

    def read(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Run jobs that only read, each on one state of the file; no writer is waited for."""
        return [self._read(job) for job in jobs]

    def _read(self, job: Job) -> Outcome:
        try:
            connection = self._readable()
            connection.execute("BEGIN")
            try:
                return Outcome(job(connection))
            finally:
                connection.execute("ROLLBACK")
        except Exception as error:  # noqa: BLE001  # the caller gets it
            self._drop_reader()
            return Outcome(error=self._explain(error))

    def _checkpoint(self, connection: Connection, before: int, jobs: int) -> None:
        """Copy the write-ahead log into the file now and then; the lock is held."""
        self._since_checkpoint += jobs
        try:
            crossed = _newest(connection) // CHECKPOINT_ENTRIES > before // CHECKPOINT_ENTRIES
            if crossed or self._since_checkpoint >= CHECKPOINT_JOBS:
                self._since_checkpoint = 0
                run(connection, "PRAGMA wal_checkpoint(PASSIVE)")
        except Exception as error:  # noqa: BLE001  # what is not copied yet stays in the write-ahead log
            _log.warning("%s: a checkpoint failed: %s", self.name, self._explain(error))
            self._drop_writer_held()

    # ------------------------------------------------------------------ opening and closing

    def close_reader(self) -> None:
        """Let go of the reading connection; idempotent."""
        self._drop_reader()

    def close_writer(self) -> None:
        """Let go of the writing connection; idempotent."""
        self._drop_writer()

    def _writable(self) -> Connection:
        """Return the connection to write by; the lock is held."""
        if self._writer is None:
            self._writer = self._open()
        return self._writer

    def _readable(self) -> Connection:
        if self._reader is None:
            if not self._is_current():
                with self._held():
                    self._writable()
            self._reader = self._connect("ro")
        return self._reader

    def _is_current(self) -> bool:
        """Say whether there is a log of the newest schema; so one that cannot be written can be read."""
        if not Path(self._path).is_file():
            return False
        connection = self._factory(self._path, mode="ro")
        try:
            version = SCHEMA.check(connection, self.name)
            return version == len(SCHEMA.migrations) and one(connection, "SELECT 1 FROM header") is not None
        finally:
            _discard(connection)

    def _open(self) -> Connection:
        """Connect, and make the file or bring it up to date; the lock is held."""
        connection = self._connect("rwc")
        try:
            if one(connection, "SELECT 1 FROM pragma_module_list WHERE name = 'fts5'") is None:
                raise ConfigError(
                    "the SQLite of this Python has no full-text search (FTS5)",
                    hint="Use another build of Python, or a log on PostgreSQL.",
                )
            SCHEMA.upgrade(connection, self.name)
            if one(connection, "SELECT 1 FROM header") is None:
                run(
                    connection,
                    "INSERT INTO header VALUES (1, ?, ?)",
                    (new_log_id(self._random), self._random.getrandbits(256).to_bytes(32, "big")),
                )
        except BaseException:
            _discard(connection)
            raise
        return connection

    def _connect(self, mode: Mode) -> Connection:
        connection = self._factory(self._path, mode=mode)
        try:
            SCHEMA.check(connection, self.name)  # before the journal mode changes a file that is not ours
            run(connection, f"PRAGMA cache_size = -{_CACHE}")
            if mode != "ro":
                configure(connection, self._durability)
                run(connection, f"PRAGMA journal_size_limit = {_WAL}")
                # Erased text stays in no free page (D26).
                run(connection, "PRAGMA secure_delete = ON")
        except BaseException:
            _discard(connection)
            raise
        return connection

    @contextmanager
    def _held(self) -> Generator[None]:
        """Hold the file against the other thread of this log, then against other logs."""
        with self._mutex, self._held_alone():
            yield

    @contextmanager
    def _held_alone(self) -> Generator[None]:
        if self._lock is None:
            make_directory(Path(self._path).parent)
            # Without flock a mere file would have to be the lock, and would outlive a killed owner.
            self._lock = FileLock(
                f"{self._path}.lock", mode=0o600, thread_local=False, fallback_to_soft=False
            )
        self._acquire(self._lock)
        try:
            yield
        finally:
            self._lock.release()

    def _acquire(self, lock: FileLock) -> None:
        end, wait = monotonic() + PATIENCE, _SHORTEST
        while True:
            try:
                lock.acquire(blocking=False)
            except Timeout:
                if monotonic() >= end:
                    break
            else:
                return
            sleep(wait * (0.5 + self._random.random()))
            wait = min(wait * 1.5, _LONGEST)
        raise TransportError(
            f"{self.name} was held by other processes for {PATIENCE:.0f} seconds",
            hint="Call again; if it stays so, look for a stopped process that has it open.",
        )

    def _drop_reader(self) -> None:
        connection, self._reader = self._reader, None
        if connection is not None:
            _discard(connection)

    def _drop_writer(self) -> None:
        if self._writer is not None:
            # The last connection to close takes a checkpoint; SQLite sees to it that it is the last.
            with suppress(Exception), self._held():
                self._drop_writer_held()
            self._drop_writer_held()

    def _drop_writer_held(self) -> None:
        connection, self._writer = self._writer, None
        if connection is not None:
            _discard(connection)

    def _explain(self, error: Exception) -> ChatkitError:
        return explained(error, self.name, WHAT, _error_for)


def new_log_id(random: RandomSource) -> str:
    """Return the name of a log that there was not before."""
    return f"{random.getrandbits(128):032x}"


def _outcome(connection: Connection, index: int, job: Job) -> Outcome:
    try:
        return Outcome(job(connection))
    except Exception as error:
        if isinstance(error, ChatkitError) or kind_of(error) is REFUSED:
            raise _BadJobError(index, error) from error
        raise


def _newest(connection: Connection) -> int:
    [(number,)] = run(connection, "SELECT coalesce(max(number), 0) FROM entries")
    return int(number)


def _error_for(kind: Kind) -> type[ChatkitError]:
    # What a disk refuses it may take later, and what is queued waits for it; another file is a mistake.
    return ConfigError if kind is FOREIGN else TransportError


def _discard(connection: Connection) -> None:
    # What is broken may fail in both. Closing alone would not give up the transaction while a cursor lives.
    with suppress(Exception):
        connection.execute("ROLLBACK")
    with suppress(Exception):
        connection.close()
