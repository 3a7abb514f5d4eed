"""The store in one file: whom it belongs to, what it refuses, and what it leaves as it was."""

from __future__ import annotations

import asyncio
import errno
import gc
import sqlite3
import stat
import threading
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from chatkit.errors import StateError, StoreError, StoreLocked
from chatkit.sqlite.connection import Durability, connect
from chatkit.stores import schema
from chatkit.stores.schema import APPLICATION_ID, MIGRATIONS
from chatkit.testing.contract.store.kit import ids
from chatkit.testing.rows import attempted, batch_of, message, row
from tests.stores.doubles import Factory, Once, disk_error, sqlite_error
from tests.stores.kits import file_store, opened


async def refused(path: Path | str, **options: Any) -> StoreError:
    """The error with which a store does not open."""
    with pytest.raises(StoreError) as caught:
        await file_store(path, inline=True, **options).open("ada", "memory:hub", rebind=False)
    return caught.value


async def fill(path: Path) -> None:
    async with opened(file_store(path, inline=True)) as store:
        await store.add([row(1), row(2)])
        await store.applied("support", None, [message(n) for n in range(200)], [], keep=1_000)


# -- what a file is refused for


async def test_a_file_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    """Text, or anything else that is no database, is not a store."""
    path = tmp_path / "ada.db"
    path.write_text("dear diary" * 1_000)

    error = await refused(path)

    assert str(error) == "ada.db is not a chatkit store"
    assert "left as it is" in error.hint
    assert path.read_text() == "dear diary" * 1_000


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE header (a)", "PRAGMA application_id = 17", "PRAGMA user_version = 3"],
)
async def test_a_database_of_another_program_is_left_as_it_is(tmp_path: Path, statement: str) -> None:
    """Its tables, its mark or its version tell; not even its journal mode is changed."""
    path = tmp_path / "ada.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute(statement)
        other.commit()
    before = path.read_bytes()

    error = await refused(path)

    assert str(error) == "ada.db is not a chatkit store"
    assert path.read_bytes() == before


async def test_a_file_of_a_newer_chatkit_is_left_as_it_is(tmp_path: Path) -> None:
    """An older program neither reads nor harms it."""
    path = tmp_path / "ada.db"
    await fill(path)
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 7")
    before = path.read_bytes()

    error = await refused(path)

    assert str(error) == "ada.db was written by a newer chatkit (schema 7, this one knows 1)"
    assert "Upgrade" in error.hint
    assert path.read_bytes() == before


async def test_a_damaged_file_says_so_and_serves_what_is_whole(tmp_path: Path) -> None:
    """A page of rubbish in the cache is named; the outbox goes on."""
    path = tmp_path / "ada.db"
    await fill(path)
    with closing(sqlite3.connect(path)) as other:
        [(root,)] = other.execute("SELECT rootpage FROM sqlite_master WHERE name = 'cached'")
        [(size,)] = other.execute("PRAGMA page_size")
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)

    async with opened(file_store(path, inline=True)) as store:
        with pytest.raises(StoreError, match=r"ada\.db is damaged") as caught:
            await store.cached("support", before=None, limit=10)

        assert ".recover" in caught.value.hint
        assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)
        assert await ids(store) == ["entry-1", "entry-2"]
        await store.add([row(3)])


async def test_a_file_opened_for_reading_is_refused(tmp_path: Path) -> None:
    """A store writes; what it cannot write it does not half own."""
    path = tmp_path / "ada.db"
    await fill(path)

    error = await refused(f"file:{path}?mode=ro")

    assert str(error) == "ada.db cannot be written"
    assert "mode=ro" in error.hint
    async with opened(file_store(path, inline=True)) as store:
        assert await ids(store) == ["entry-1", "entry-2"]


@pytest.mark.parametrize("mode", ["ro", "rw"])
async def test_a_file_that_must_exist_is_not_made(tmp_path: Path, mode: str) -> None:
    """Nothing is left behind, the lock file neither."""
    error = await refused(f"file:{tmp_path}/none/ada.db?mode={mode}")

    assert str(error) == "ada.db cannot be opened"
    assert names_in(tmp_path) == []


async def test_a_directory_is_no_file(tmp_path: Path) -> None:
    """The hint says how to have a store directory."""
    error = await refused(f"file:{tmp_path}")

    assert str(error) == f"{tmp_path.name} is a directory"
    assert "'/'" in error.hint


async def test_a_file_is_no_directory(tmp_path: Path) -> None:
    """Where a parent is a file no store can be made."""
    (tmp_path / "notes").write_text("x")

    error = await refused(tmp_path / "notes" / "ada.db")

    assert str(error) == "ada.db cannot be opened"


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (sqlite_error(14), "cannot be opened"),
        (sqlite_error(10 | 3 << 8), "disk failed"),
        (sqlite_error(5), "held by another program"),
        (sqlite_error(21), "should not"),
        (disk_error(), "disk failed"),
        (PermissionError(13, "no"), "cannot be written"),
        (OSError("no number"), "disk failed"),
    ],
)
async def test_what_the_system_says_is_said_in_words(tmp_path: Path, failure: Exception, says: str) -> None:
    """One sentence with the file's name, one hint, the cause behind it."""
    factory = Factory()
    factory.before = Once("BEGIN", failure)

    error = await refused(tmp_path / "ada.db", connect=factory)

    assert str(error).startswith("ada.db ")
    assert says in str(error)
    assert str(tmp_path) not in str(error)
    assert error.hint
    assert error.__cause__ is failure


async def test_a_file_system_without_locks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that is a mere file would outlive a killed owner (I17)."""

    class Lockless:
        def __init__(self, path: str, **options: Any) -> None:
            assert options["fallback_to_soft"] is False

        def acquire(self, **options: Any) -> None:
            raise OSError(errno.ENOSYS, "no locks here")

    monkeypatch.setattr("chatkit.stores.lock.FileLock", Lockless)

    error = await refused(tmp_path / "ada.db")

    assert str(error) == "ada.db lies on a file system that knows no locks"


class ApswError(Exception):
    """The shape of an error of another binding."""

    extendedresult = 13


async def test_errors_of_another_binding_are_understood(tmp_path: Path) -> None:
    """Whatever stands behind the factory, its codes are SQLite's."""
    factory = Factory()
    factory.before = Once("BEGIN", ApswError())

    assert "no room" in str(await refused(tmp_path / "ada.db", connect=factory))


@pytest.mark.parametrize("exists", [False, True])
async def test_an_opening_that_fails_leaves_the_file_free_and_whole(tmp_path: Path, *, exists: bool) -> None:
    """At whichever statement it fails: nothing is lost, nobody is locked out."""
    path = tmp_path / "ada.db"
    factory = Factory()
    failed = 0
    for nth in count(1):
        if exists:
            await fill(path)
        else:
            path.unlink(missing_ok=True)
        factory.statements.clear()
        factory.before = lambda sql, nth=nth: disk_error() if len(factory.statements) == nth else None  # type: ignore[misc]
        store = file_store(path, inline=True, connect=factory)
        try:
            await store.open("ada", "memory:hub", rebind=False)
        except StoreError:
            failed += 1
        else:
            await store.aclose()
            break

        async with opened(file_store(path, inline=True)) as again:
            assert await ids(again) == ["entry-1", "entry-2"] * exists

    assert failed > 10


class Crash(BaseException):
    """A simulated death."""


async def test_a_death_at_any_statement_of_an_opening_leaves_the_file_free(tmp_path: Path) -> None:
    """A simulation may end the process there; the next owner finds a whole file."""
    path = tmp_path / "ada.db"
    await fill(path)
    for statement in (
        "PRAGMA application_id",
        "PRAGMA journal_mode",
        "SELECT user",
        "UPDATE header",
        "COMMIT",
    ):
        factory = Factory()
        factory.before = Once(statement, Crash())

        with pytest.raises(Crash):
            await file_store(path, inline=True, connect=factory).open("ada", "memory:hub", rebind=False)

    async with opened(file_store(path, inline=True)) as store:
        assert await ids(store) == ["entry-1", "entry-2"]


# -- whose a file is


async def test_a_second_owner_is_refused(tmp_path: Path) -> None:
    """Another client of the same process is another owner (I17)."""
    path = tmp_path / "ada.db"
    link = tmp_path / "link.db"
    async with opened(file_store(path, inline=True)) as store:
        link.symlink_to(path)
        for name in (path, link):
            error = await refused(name)

            assert isinstance(error, StoreLocked)
            assert str(error) == "ada.db is owned by another process or client"
            assert "directory" in error.hint
        await store.add([row(1)])


async def test_a_store_that_lost_its_file_writes_nothing(tmp_path: Path) -> None:
    """Where locks failed to keep another owner out, the epoch does (D27)."""
    path = tmp_path / "ada.db"
    store = file_store(path, inline=True)
    await store.open("ada", "memory:hub", rebind=False)
    await store.add([row(1)])
    with closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE header SET owner_epoch = owner_epoch + 1")
        other.commit()

    for _ in range(2):
        with pytest.raises(StoreLocked, match="taken over"):
            await store.add([row(2)])
    await store.aclose()

    async with opened(file_store(path, inline=True)) as again:
        assert await ids(again) == ["entry-1"]


@pytest.mark.realtime
async def test_calls_behind_an_opening_that_fails_are_refused(tmp_path: Path) -> None:
    """They never reach a file that is not owned."""
    path = tmp_path / "ada.db"
    path.write_text("dear diary" * 1_000)
    store = file_store(path)

    opening, adding, closing = await asyncio.gather(
        store.open("ada", "memory:hub", rebind=False),
        store.add([row(1)]),
        store.aclose(),
        return_exceptions=True,
    )

    assert isinstance(opening, StoreError)
    assert isinstance(adding, StateError)
    assert closing is None
    assert path.read_text() == "dear diary" * 1_000


async def test_the_end_of_a_lost_store_is_not_called_clean(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Closing writes nothing into a file of somebody else, and says so (D27)."""
    path = tmp_path / "ada.db"
    store = file_store(path, inline=True)
    await store.open("ada", "memory:hub", rebind=False)
    with closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE header SET owner_epoch = owner_epoch + 1")
        other.commit()

    await store.aclose()

    assert "ada.db was not closed cleanly" in caplog.text
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT clean FROM header").fetchall() == [(0,)]


async def test_the_file_is_its_owners_alone_and_parents_are_made(tmp_path: Path) -> None:
    """It holds messages and a secret; other users of the machine see neither."""
    path = tmp_path / "a" / "b" / "ada.db"

    async with opened(file_store(path, inline=True)) as store:
        await store.add([row(1)])

        for file in (path, path.with_name("ada.db-wal")):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(("durability", "level"), [("power", "FULL"), ("process", "NORMAL")])
async def test_durability_is_the_level_of_syncing(tmp_path: Path, durability: Durability, level: str) -> None:
    """`power` waits for the disk at each commit, `process` for the system (I3)."""
    factory = Factory()

    async with opened(file_store(tmp_path / "ada.db", inline=True, durability=durability, connect=factory)):
        assert f"PRAGMA synchronous = {level}" in factory.statements
        assert ("PRAGMA fullfsync = 1" in factory.statements) == (durability == "power")
        assert "PRAGMA journal_mode = WAL" in factory.statements


# -- schema


async def test_an_older_file_is_brought_up_to_date(tmp_path: Path) -> None:
    """Each version has its step; what was stored stays."""
    path = tmp_path / "ada.db"
    await fill(path)
    newer = (*MIGRATIONS, ("ALTER TABLE outbox ADD COLUMN note TEXT", "UPDATE outbox SET note = 'old'"))
    with closing(connect(str(path), mode="rw")) as connection:
        assert schema.upgrade(connection, "ada.db", newer) == 2

        assert list(connection.execute("SELECT entry_id, note FROM outbox")) == [
            ("entry-1", "old"),
            ("entry-2", "old"),
        ]
        assert list(connection.execute("PRAGMA user_version")) == [(2,)]
        assert list(connection.execute("PRAGMA application_id")) == [(APPLICATION_ID,)]
        assert schema.upgrade(connection, "ada.db", newer) == 2


async def test_a_step_that_fails_changes_nothing(tmp_path: Path) -> None:
    """The older program can still use the file."""
    path = tmp_path / "ada.db"
    await fill(path)
    broken = (*MIGRATIONS, ("ALTER TABLE outbox ADD COLUMN note TEXT", "NO SUCH STATEMENT"))
    with closing(connect(str(path), mode="rw")) as connection, pytest.raises(sqlite3.OperationalError):
        schema.upgrade(connection, "ada.db", broken)

    async with opened(file_store(path, inline=True)) as store:
        assert await ids(store) == ["entry-1", "entry-2"]


async def test_questions_are_answered_by_index(tmp_path: Path) -> None:
    """No question that is asked for each message reads a whole table."""
    path = tmp_path / "ada.db"
    await fill(path)
    factory = Factory()
    async with opened(file_store(path, inline=True, connect=factory)) as store:
        one = attempted(row(1), "b", 1)
        await store.add([row(3, key="k"), row(4, key="k")])
        await store.attempt(batch_of("b", one), [one], hlc="0193581fa2c0-0001")
        await store.settle([one._replace(status="sent")])
        await store.rows(ident=row(1).ident)
        await store.cached("support", before=message(9).stamp.key, limit=5)
        await store.seen("support", [row(1).ident])
        asked = {
            sql for sql in factory.statements if sql.startswith(("SELECT", "UPDATE outbox", "DELETE FROM"))
        }

    with closing(sqlite3.connect(path)) as connection:
        plans = {
            sql: [
                detail
                for *_, detail in connection.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?"))
            ]
            for sql in asked
            if "header" not in sql and "count(*)" not in sql and "sqlite_master" not in sql
        }
    scans = {sql: plan for sql, plan in plans.items() if any("SCAN" in detail for detail in plan)}
    assert len(plans) > 8
    assert scans == {}


# -- threads and garbage


@pytest.mark.realtime
async def test_a_failed_opening_leaves_no_thread(tmp_path: Path) -> None:
    """The store is of no further use, and says so."""
    store = file_store(f"file:{tmp_path}")

    with pytest.raises(StoreError):
        await store.open("ada", "memory:hub", rebind=False)

    assert not threads()
    with pytest.raises(StateError):
        await store.rows()
    with pytest.raises(StateError):
        await store.open("ada", "memory:hub", rebind=False)


@pytest.mark.realtime
async def test_a_cancelled_opening_leaves_the_file_to_others(tmp_path: Path) -> None:
    """Nobody would close what opens after its caller has gone."""
    started, go_on = threading.Event(), threading.Event()
    factory = Factory()

    def wait(sql: str) -> None:
        started.set()
        assert go_on.wait(10)

    factory.before = wait
    opening = asyncio.create_task(
        file_store(tmp_path / "ada.db", connect=factory).open("ada", "memory:hub", rebind=False)
    )
    await asyncio.to_thread(started.wait, 10)
    [thread] = threads()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    go_on.set()
    thread.join(10)

    async with opened(file_store(tmp_path / "ada.db")):
        pass


@pytest.mark.realtime
async def test_a_store_that_is_dropped_lets_go_of_its_file(tmp_path: Path) -> None:
    """Garbage collection is a death: the next owner finds the end unclean."""
    store = file_store(tmp_path / "ada.db")
    await store.open("ada", "memory:hub", rebind=False)
    await store.add([row(1)])
    [thread] = threads()
    assert thread.name == "chatkit-store-ada.db"
    assert thread.daemon

    del store
    gc.collect()
    thread.join(10)

    async with opened(file_store(tmp_path / "ada.db")) as again:
        assert await ids(again) == ["entry-1"]


@pytest.mark.realtime
async def test_an_abandoned_store_forgets_what_waits(tmp_path: Path) -> None:
    """What was not committed at its death is not kept, and its caller is not told otherwise."""
    started, go_on = threading.Event(), threading.Event()
    factory = Factory()

    def wait(sql: str) -> None:
        if sql == "COMMIT":
            started.set()
            assert go_on.wait(10)

    store = file_store(tmp_path / "ada.db", connect=factory)
    await store.open("ada", "memory:hub", rebind=False)
    factory.before = wait
    committing = asyncio.create_task(store.add([row(1)]))
    await asyncio.to_thread(started.wait, 10)
    waiting = [asyncio.create_task(store.add([row(n)])) for n in (2, 3)]
    await asyncio.sleep(0)
    abandoning = asyncio.create_task(asyncio.to_thread(store.abandon))
    async with asyncio.timeout(10):
        while store._worker._queue.qsize() < 2:  # type: ignore[attr-defined]  # what waits, and the end
            await asyncio.sleep(0)
    go_on.set()
    await abandoning

    assert not threads()
    outcomes = await asyncio.gather(committing, *waiting, return_exceptions=True)
    assert outcomes[0] == (row(1),)
    assert [type(outcome) for outcome in outcomes[1:]] == [StateError, StateError]
    async with opened(file_store(tmp_path / "ada.db")) as again:
        assert await ids(again) == ["entry-1"]


@pytest.mark.realtime
async def test_another_loop_is_refused(tmp_path: Path) -> None:
    """A store belongs to the loop that opened it; calls from elsewhere would have no order."""
    async with opened(file_store(tmp_path / "ada.db")) as store:
        for call in (store.rows(), store.aclose()):
            with pytest.raises(StateError, match="event loop"):
                await asyncio.to_thread(asyncio.run, call)

        await store.add([row(1)])


@pytest.mark.realtime
def test_a_loop_that_ended_first_hangs_nobody(tmp_path: Path) -> None:
    """Its answer has nowhere to go; the thread ends all the same."""
    started, go_on = threading.Event(), threading.Event()
    factory = Factory()
    store = file_store(tmp_path / "ada.db", connect=factory)

    def wait(sql: str) -> None:
        if sql == "COMMIT":
            started.set()
            assert go_on.wait(10)

    async def leave() -> None:
        await store.open("ada", "memory:hub", rebind=False)
        factory.before = wait
        task = asyncio.create_task(store.add([row(1)]))
        await asyncio.to_thread(started.wait, 10)
        task.cancel()

    asyncio.run(leave())
    [thread] = threads()
    go_on.set()
    store.abandon()

    thread.join(10)
    assert not threads()


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("chatkit-store")]


async def test_errors_say_what_the_store_is(tmp_path: Path) -> None:
    """Whose it is, or where it belongs, and that it is not open (D27)."""
    store = file_store(tmp_path / "ada.db", inline=True)
    with pytest.raises(StateError, match="not open yet"):
        await store.rows()
    async with opened(store):
        await store.add([row(1)])
        await store.attempt(batch_of("b1", row(1)), [attempted(row(1), "b1", 1)], hlc="0193581fa2c0-0001")
    with pytest.raises(StateError, match="closed"):
        await store.rows()
    with pytest.raises(StateError, match="another user"):
        await file_store(tmp_path / "ada.db", inline=True).open("bob", "memory:hub", rebind=True)
    with pytest.raises(StateError, match="memory:hub"):
        await file_store(tmp_path / "ada.db", inline=True).open("ada", "pusher:app", rebind=False)

    moved = file_store(tmp_path / "ada.db", inline=True)
    await moved.open("ada", "pusher:app", rebind=True)

    assert [found.reason for found in await moved.rows()] == ["rebound"]
    await moved.aclose()
