"""One store file: locked, owned, written in groups. Blocking; whoever calls it keeps it to one thread."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Final, Generic, NamedTuple, TypeVar

from chatkit.errors import StateError
from chatkit.ports.context import Observer, RandomSource
from chatkit.ports.store import StoreHeader
from chatkit.sqlite.connection import Connection, ConnectionFactory, Durability, configure, run, transaction
from chatkit.sqlite.faults import fails_alone
from chatkit.sqlite.worker import Outcome
from chatkit.stores import outbox, ownership, schema
from chatkit.stores.faults import explain
from chatkit.stores.index import prepare as prepare_index
from chatkit.stores.location import Location
from chatkit.stores.lock import OwnerLock
from chatkit.stores.rules import Tally

T = TypeVar("T")

CHECKPOINT_JOBS: Final = 1_000
"""Writing jobs between two checkpoints: some megabytes of write-ahead log."""

_log = logging.getLogger(__name__)


class Job(NamedTuple, Generic[T]):
    """One call of the store: what to do inside the transaction."""

    run: Callable[[Connection], T]
    writes: bool = True
    undo: Callable[[T, Connection], None] | None = None
    """Takes back what gave a result, where a failed commit has landed all the same; harmless where not."""


class _TransactionLostError(Exception):
    """One job failed and SQLite gave up the whole transaction for it, as it does where the disk is full."""

    def __init__(self, cause: Exception) -> None:
        self.cause = cause


class StoreFile:
    """A store file and its one connection.

    Args:
        location: Where it lies and how it may be opened.
        durability: What a commit survives.
        random: Makes device and secret of a new file.
        connect: Makes connections.
        index: Keep the words of cached messages, for search.
        observer: Told when a commit is about to happen and has happened, and how the file comes and goes.
    """

    def __init__(
        self,
        location: Location,
        *,
        durability: Durability,
        random: RandomSource,
        connect: ConnectionFactory,
        index: bool,
        observer: Observer,
    ) -> None:
        self.name = location.name
        self.tally = Tally()
        """What is unfinished in the file; jobs keep it up to date."""
        self.indexed = False
        """Whether the words of cached messages are kept."""
        self._index = index
        self._location = location
        self._durability: Durability = durability
        self._random = random
        self._factory = connect
        self._observer = observer
        self._lock: OwnerLock | None = None
        self._connection: Connection | None = None
        self._epoch = 0
        self._doubt: Sequence[Callable[[Connection], None]] | None = None
        """While the end of a commit is unknown: what takes it back."""
        self._since_checkpoint = 0

    # ------------------------------------------------------------------------------------------ ownership

    def open(
        self, user: str, realm: str, *, rebind: bool, secret: bytes | None, now: datetime
    ) -> StoreHeader:
        """Lock the file, bring its schema up to date and become its owner.

        Raises:
            StoreLocked: It has an owner.
            StateError: It is bound to another user or realm.
            StoreError: It cannot be used; it was left as it was.
        """
        try:
            self._location.prepare()
            self._lock = OwnerLock(self._location.path)
            self._observer.point("store.locked", file=self.name)
            self._connection = self._connect()
            version = schema.upgrade(self._connection, self.name)
            self._observer.point("store.upgraded", file=self.name)
            with transaction(self._connection):
                header = ownership.take(
                    self._connection,
                    self.name,
                    user,
                    realm,
                    rebind=rebind,
                    random=self._random,
                    secret=secret,
                    schema=version,
                    now=now,
                )
                self.indexed = prepare_index(self._connection, wanted=self._index)
            self._observer.point("store.owned", file=self.name)
            self._count(self._connection)
        except BaseException as error:
            self.abandon()
            if not isinstance(error, Exception):
                raise
            ours = explain(error, self.name)
            raise ours from ours.__cause__
        self._epoch = header.owner_epoch
        return header

    def close(self) -> None:
        """Note a clean end and give the file up; idempotent. One that cannot be noted is found unclean."""
        if self._lock is None:
            return
        try:
            connection = self._usable()
            with transaction(connection):
                ownership.check(connection, self.name, self._epoch)
                ownership.leave(connection)
                self._observer.point("store.leaving", file=self.name)
            self._observer.point("store.left", file=self.name)
        except Exception as error:  # noqa: BLE001  # nothing is lost by an unclean end
            _log.warning("%s was not closed cleanly: %s", self.name, explain(error, self.name))
        self.abandon()

    def abandon(self) -> None:
        """Give the file up as the death of its owner would: nothing more is written; idempotent."""
        if self._lock is not None and self._lock.forked:
            return
        self._drop()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def check(self) -> None:
        """Refuse a forked child.

        Raises:
            StateError: This process is a fork of the owner.
        """
        lock = self._lock  # the worker may let go of it meanwhile
        if lock is not None:
            lock.check()

    def remove(self) -> None:
        """Delete the file while it is still locked, then give it up; the lock file stays.

        One that cannot be deleted stays as it is.
        """
        self._drop()
        self._observer.point("store.removing", file=self.name)
        try:
            self._location.remove()
            self._observer.point("store.removed", file=self.name)
        except OSError as error:
            _log.warning("%s was not removed: %s", self.name, explain(error, self.name))
        self.abandon()

    # ------------------------------------------------------------------------------------------- writing

    def run(self, jobs: Sequence[Job[Any]]) -> list[Outcome]:
        """Run jobs in one transaction, each in its own savepoint, and return how each ended.

        A job that raises fails alone. Where the transaction fails all its jobs fail and nothing of them is
        kept; the connection is then made anew and the file read again, since after a failed sync neither what
        is cached nor a second sync can be trusted (D14).
        """
        try:
            return self._transact(self._usable(), jobs)
        except _TransactionLostError as lost:
            self._drop()
            if len(jobs) > 1:
                return [outcome for job in jobs for outcome in self.run([job])]
            return [Outcome(error=explain(lost.cause, self.name))]
        except Exception as error:  # noqa: BLE001  # each caller gets it
            self._drop()
            if self._doubt is not None:
                with suppress(Exception):  # the next call tries again
                    self._usable()
            return [Outcome(error=explain(error, self.name)) for _ in jobs]

    def _transact(self, connection: Connection, jobs: Sequence[Job[Any]]) -> list[Outcome]:
        writes = any(job.writes for job in jobs)
        if writes:
            connection = self._checkpointed(connection)
        connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        if writes:
            ownership.check(connection, self.name, self._epoch)
        outcomes = [self._outcome(connection, job) for job in jobs]
        if writes:
            # Until it is told to have succeeded, the commit may have failed and have landed all the same.
            self._doubt = [
                partial(job.undo, outcome.value)
                for job, outcome in zip(jobs, outcomes, strict=True)
                if job.undo is not None and outcome.error is None
            ]
            self._observer.point("store.committing", file=self.name, jobs=len(jobs))
        connection.execute("COMMIT")
        if writes:
            self._doubt = None
            self._since_checkpoint += len(jobs)
            self._observer.point("store.committed", file=self.name, jobs=len(jobs))
        return outcomes

    def _outcome(self, connection: Connection, job: Job[Any]) -> Outcome:
        if not job.writes:
            try:
                return Outcome(job.run(connection))
            except Exception as error:
                if not fails_alone(error):
                    raise
                return Outcome(error=explain(error, self.name))
        before = (self.tally.entries, self.tally.size)
        connection.execute("SAVEPOINT job")
        try:
            outcome = Outcome(job.run(connection))
        except Exception as error:
            if not fails_alone(error):
                raise
            try:
                connection.execute("ROLLBACK TO job")
            except Exception:  # noqa: BLE001  # there is no such savepoint any more
                raise _TransactionLostError(error) from None
            self.tally.entries, self.tally.size = before
            outcome = Outcome(error=explain(error, self.name))
        connection.execute("RELEASE job")
        return outcome

    def _checkpointed(self, connection: Connection) -> Connection:
        # Here no transaction is open and the lock is ours: see `configure`.
        if self._since_checkpoint < CHECKPOINT_JOBS:
            return connection
        self._since_checkpoint = 0
        try:
            run(connection, "PRAGMA wal_checkpoint(PASSIVE)")
            self._observer.point("store.checkpointed", file=self.name)
        except Exception:  # noqa: BLE001  # what is not copied yet stays in the write-ahead log
            self._drop()
        return self._usable()

    # ---------------------------------------------------------------------------------------- connection

    def _connect(self) -> Connection:
        connection = self._factory(self._location.path, mode=self._location.mode)
        try:
            schema.check(connection, self.name)  # before the journal mode changes a file that is not ours
            configure(connection, self._durability)
        except BaseException:
            _discard(connection)
            raise
        return connection

    def _usable(self) -> Connection:
        if self._lock is None:
            raise StateError(f"{self.name} is not open")
        if self._connection is None:
            connection = self._connect()
            try:
                self._read_again(connection)
            except BaseException:
                _discard(connection)
                raise
            self._connection = connection
        return self._connection

    def _read_again(self, connection: Connection) -> None:
        with transaction(connection):
            ownership.check(connection, self.name, self._epoch)
            for undo in self._doubt or ():
                undo(connection)
        if self._doubt is not None:
            self._doubt = None
            # Frames of the failed commit may lie whole behind the end of the write-ahead log. Once something
            # is written over them no recovery can bring them back; on a full disk the next write does it.
            with suppress(Exception), transaction(connection):
                ownership.touch(connection)
        self._count(connection)

    def _count(self, connection: Connection) -> None:
        counted = outbox.tally(connection)
        self.tally.entries, self.tally.size = counted.entries, counted.size

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            _discard(connection)


def _discard(connection: Connection) -> None:
    # What is broken may fail in both. Closing alone would not give up the transaction while a cursor lives.
    with suppress(Exception):
        connection.execute("ROLLBACK")
    with suppress(Exception):
        connection.close()
