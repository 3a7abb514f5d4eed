"""The log file: when it is opened and let go, what it refuses, and what it leaves as it was."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from filelock import FileLock

from chatkit.errors import ChatkitError, ConfigError, StateError, TransportError
from chatkit.logs.sqlite import file as log_file
from chatkit.logs.sqlite.log import POLL, SqliteLog
from chatkit.logs.sqlite.schema import SCHEMA
from chatkit.stores.schema import APPLICATION_ID
from chatkit.testing.clock import VirtualClock
from chatkit.testing.wishes import change, message_id, text_of, wish
from tests.logs.sqlite_kit import file_log, key, opened, role
from tests.stores.doubles import Factory, Once, disk_error, sqlite_error


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def head(log: SqliteLog) -> str | None:
    return (await log.heads(["support"]))["support"].head


async def fails(log: SqliteLog) -> ChatkitError:
    """The error with which reading fails, which is that of writing."""
    with pytest.raises(ChatkitError) as reading:
        await log.heads(["support"])
    with pytest.raises(ChatkitError) as writing:
        await log.append("support", [wish(1)])
    assert (type(reading.value), str(reading.value)) == (type(writing.value), str(writing.value))
    await log.aclose()
    return writing.value


# ---------------------------------------------------------------------- life


async def test_a_head_without_its_entries_is_damage(tmp_path: Path) -> None:
    """Whoever reads on while there is more would read for ever."""
    path = tmp_path / "shop.db"
    async with opened(path) as log:
        await log.append("support", [wish(1), wish(2)])
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE channels SET head = 9")
    async with opened(path) as log:
        assert len((await log.entries("support", after=None, limit=2)).items) == 2

        with pytest.raises(TransportError, match="holds one that cannot be there"):
            await log.entries("support", after=key(2), limit=2)


async def test_nothing_is_opened_before_the_first_call(tmp_path: Path) -> None:
    """A log that is made and closed leaves no trace (law: no I/O in `connect`)."""
    log = file_log(tmp_path / "deep" / "shop.db")
    await log.aclose()
    await log.aclose()

    assert names(tmp_path) == []
    with pytest.raises(StateError, match="closed"):
        await head(log)


async def test_what_was_appended_is_there_again(tmp_path: Path) -> None:
    """Entries, ids, lanes, refusals and the log's id outlive the process."""
    path = tmp_path / "deep" / "shop.db"
    async with opened(path) as log:
        first = await log.append("support", [wish(1), change(5, "reaction.add", wish(4))])
    async with opened(path, seed=2) as log:
        again = await log.append("support", [wish(1), wish(2, seq=1), change(5, "reaction.add", wish(4))])

        assert [ack.outcome for ack in again.acks] == ["duplicate", "superseded", "refused"]
        assert again.state == first.state
        assert [text_of(item.data) for item in (await log.messages("support", limit=9)).items] == ["text 1"]


async def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    """As are those beside it: they hold messages too."""
    async with opened(tmp_path / "shop.db") as log:
        await log.append("support", [wish(1)])

        modes = {name: stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in names(tmp_path)}  # noqa: PTH116  # Path.stat is frowned on here

    assert modes == dict.fromkeys(("shop.db", "shop.db-wal", "shop.db-shm", "shop.db.lock"), 0o600)


@pytest.mark.realtime
async def test_closing_ends_threads_and_finishes_what_was_called(tmp_path: Path) -> None:
    """A call that was made is carried out; afterwards no thread, file or write-ahead log is left."""
    log = file_log(tmp_path / "shop.db", inline=False)
    appending = asyncio.ensure_future(log.append("support", [wish(1)]))
    await asyncio.sleep(0)
    await asyncio.gather(log.aclose(), log.aclose())

    assert (await appending).acks[0].outcome == "new"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("chatkit-log")]
    assert names(tmp_path) == ["shop.db", "shop.db.lock"]


@pytest.mark.realtime
async def test_a_dropped_log_lets_go_of_its_file(tmp_path: Path) -> None:
    """As the death of its process would; what is checked after each test would find it."""
    log = file_log(tmp_path / "shop.db", inline=False)
    await log.append("support", [wish(1)])
    del log


@pytest.mark.realtime
async def test_calls_that_come_together_share_a_transaction(tmp_path: Path) -> None:
    """A hundred callers cost a few commits, and each gets its own answer (I3)."""
    factory = Factory()
    log = file_log(tmp_path / "shop.db", inline=False, connect=factory)
    await log.append("support", [wish(1_000)])
    before = factory.count("COMMIT")

    answers = await asyncio.gather(*(log.append("support", [wish(n, seq=None)]) for n in range(1, 101)))

    assert factory.count("COMMIT") - before <= 2
    assert [answer.acks[0].key for answer in answers] == [key(n) for n in range(2, 102)]
    await log.aclose()


@pytest.mark.realtime
async def test_reading_waits_for_no_writer(tmp_path: Path) -> None:
    """While one holds the file, by whatever means, others read what was committed."""
    path = tmp_path / "shop.db"
    log = file_log(path, inline=False)
    await log.append("support", [wish(1)])
    await log.heads(["support"])
    with FileLock(f"{path}.lock"), closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.ensure_future(log.append("support", [wish(2)]))
        await asyncio.sleep(0.05)

        assert await head(log) == key(1).serial
        assert not waiting.done()
        other.execute("ROLLBACK")
    await waiting

    assert await head(log) == key(2).serial
    await log.aclose()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
async def test_a_forked_child_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has neither threads nor a usable connection."""
    async with opened(tmp_path / "shop.db") as log:
        await head(log)
        pid = os.getpid()
        monkeypatch.setattr(os, "getpid", lambda: pid + 1)
        for call in (log.heads(["support"]), log.append("support", [wish(1)]), log.aclose()):
            with pytest.raises(StateError, match="fork"):
                await call
        monkeypatch.undo()


# ---------------------------------------------------------------------- what is refused


async def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    """`ConfigError` says so, and no byte of it is changed."""
    content = b"A diary, not a database. " * 99
    path = tmp_path / "diary.txt"
    path.write_bytes(content)

    error = await fails(file_log(path))

    assert isinstance(error, ConfigError)
    assert str(error) == "diary.txt is not a chatkit log"
    assert error.hint
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (["CREATE TABLE cats (name)"], "shop.db is not a chatkit log"),
        ([f"PRAGMA application_id = {APPLICATION_ID}"], "shop.db is not a chatkit log"),
        (
            [f"PRAGMA application_id = {SCHEMA.application}", "PRAGMA user_version = 99"],
            "shop.db was written by a newer chatkit (schema 99, this one knows 1)",
        ),
    ],
    ids=["foreign", "store", "newer"],
)
async def test_another_database_is_left_alone(tmp_path: Path, statements: list[str], words: str) -> None:
    """One of another program, a store, and a log of the future."""
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    before = path.read_bytes()

    error = await fails(file_log(path))

    assert isinstance(error, ConfigError)
    assert str(error) == words
    assert path.read_bytes() == before


async def test_a_sqlite_without_full_text_search_is_refused(tmp_path: Path) -> None:
    """Before a table is made."""
    factory = Factory()
    real = factory.__call__

    class Poor:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def execute(self, sql: str, parameters: Any = (), /) -> Any:
            return [] if "pragma_module_list" in sql else self.inner.execute(sql, parameters)

        def close(self) -> None:
            self.inner.close()

    error = await fails(
        file_log(tmp_path / "shop.db", connect=lambda path, mode: Poor(real(path, mode=mode)))
    )

    assert isinstance(error, ConfigError)
    assert "FTS5" in str(error)


async def test_a_directory_is_no_file(tmp_path: Path) -> None:
    """It cannot be opened, and says so."""
    error = await fails(file_log(tmp_path))

    assert isinstance(error, TransportError)
    assert tmp_path.name in str(error)


async def test_a_damaged_file_says_so(tmp_path: Path) -> None:
    """Nothing of it is overwritten."""
    path = tmp_path / "shop.db"
    async with opened(path) as log:
        await log.append("support", [wish(n) for n in range(1, 200)])
    raw = bytearray(path.read_bytes())
    raw[4096:] = b"\xff" * (len(raw) - 4096)
    path.write_bytes(raw)

    error = await fails(file_log(path))

    assert isinstance(error, TransportError)
    assert "shop.db is damaged" in str(error)
    assert path.read_bytes() == raw


# ---------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (sqlite_error(13), "no room"),
        (sqlite_error(8), "cannot be written"),
        (sqlite_error(5), "held by another program"),
        (sqlite_error(10), "the disk failed"),
        (disk_error(), "the disk failed"),
        (OSError(errno.ENOSPC, "full"), "no room"),
    ],
    ids=["full", "readonly", "busy", "io", "eio", "enospc"],
)
@pytest.mark.parametrize(
    "statement", ["BEGIN IMMEDIATE", "INSERT INTO entries", "INSERT INTO search", "COMMIT"]
)
async def test_a_failed_append_is_safe_to_repeat(
    tmp_path: Path, error: Exception, words: str, statement: str
) -> None:
    """What was there is there, nothing of the call is, and the next one goes through on a new connection."""
    factory = Factory()
    async with opened(tmp_path / "shop.db", connect=factory) as log:
        await log.append("support", [wish(1)])
        factory.before = Once(statement, error)

        with pytest.raises(TransportError, match=words) as caught:
            await log.append("support", [wish(2), wish(3)])

        assert caught.value.hint
        assert "text" not in str(caught.value)
        assert await head(log) == key(1).serial
        assert [ack.outcome for ack in (await log.append("support", [wish(2), wish(3)])).acks] == ["new"] * 2
        assert len((await log.search("text", limit=9)).items) == 3


async def test_a_commit_that_landed_untold_is_a_duplicate_when_repeated(tmp_path: Path) -> None:
    """In doubt is what a failed call is, and repeating settles it (D9)."""
    factory = Factory()
    async with opened(tmp_path / "shop.db", connect=factory) as log:
        await log.append("support", [wish(1)])
        factory.after = Once("COMMIT", disk_error())
        with pytest.raises(TransportError):
            await log.append("support", [wish(2)])

        (ack,) = (await log.append("support", [wish(2)])).acks

        assert (ack.outcome, ack.key) == ("duplicate", key(2))


@pytest.mark.realtime
async def test_a_bad_call_fails_alone(tmp_path: Path) -> None:
    """Others that came with it are carried out."""
    factory = Factory()
    log = file_log(tmp_path / "shop.db", inline=False, connect=factory)
    await log.append("support", [wish(1)])
    factory.before = lambda sql: (
        sqlite_error(18) if sql.startswith("INSERT OR REPLACE INTO registers") else None
    )

    good, bad, other = await asyncio.gather(
        log.append("support", [wish(2)]),
        log.put([role("mona", "owner")]),
        log.append("support", [wish(3)]),
        return_exceptions=True,
    )

    assert isinstance(bad, TransportError)
    assert not isinstance(good, BaseException)
    assert not isinstance(other, BaseException)
    assert [good.acks[0].outcome, other.acks[0].outcome] == ["new", "new"]
    await log.aclose()


@pytest.mark.realtime
async def test_calls_that_come_together_fail_together(tmp_path: Path) -> None:
    """A failing disk is asked once, not once a call."""
    factory = Factory()
    log = file_log(tmp_path / "shop.db", inline=False, connect=factory)
    await log.append("support", [wish(1)])
    before = factory.count("BEGIN IMMEDIATE")
    factory.before = lambda sql: sqlite_error(13) if sql.startswith("INSERT INTO entries") else None

    calls = [log.append("support", [wish(n, seq=None)]) for n in range(2, 52)]
    failures = await asyncio.gather(*calls, return_exceptions=True)

    assert {type(failure) for failure in failures} == {TransportError}
    assert factory.count("BEGIN IMMEDIATE") - before <= 2
    factory.before = lambda sql: None
    assert (await log.append("support", [wish(2)])).acks[0].key == key(2)
    await log.aclose()


async def test_a_failed_read_is_safe_to_repeat(tmp_path: Path) -> None:
    """On a new connection."""
    factory = Factory()
    async with opened(tmp_path / "shop.db", connect=factory) as log:
        await log.append("support", [wish(1)])
        await head(log)
        factory.before = Once("SELECT log_id", disk_error())

        with pytest.raises(TransportError, match="the disk failed"):
            await head(log)

        assert await head(log) == key(1).serial


async def test_a_file_held_for_too_long_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was stopped while it wrote holds nobody up for ever."""
    monkeypatch.setattr(log_file, "PATIENCE", 0.01)
    path = tmp_path / "shop.db"
    async with opened(path) as log:
        await head(log)
        with FileLock(f"{path}.lock"), pytest.raises(TransportError, match="held by other processes"):
            await log.append("support", [wish(1)])

        assert (await log.append("support", [wish(1)])).acks[0].outcome == "new"


async def test_a_file_that_cannot_be_locked_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log somebody may only read gives what it holds, and refuses to write in words."""
    path = tmp_path / "shop.db"
    async with opened(path) as log:
        await log.append("support", [wish(1)])

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(log_file, "FileLock", refuse)
    async with opened(path) as log:
        assert await head(log) == key(1).serial
        with pytest.raises(TransportError, match="cannot be written"):
            await log.append("support", [wish(2)])


# ---------------------------------------------------------------------- checkpoints


async def test_checkpoints_are_taken_by_whoever_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every so many entries of the whole log, none by SQLite itself, and always while the lock is held (D27)."""
    monkeypatch.setattr(log_file, "CHECKPOINT_ENTRIES", 10)
    held: list[bool] = []
    factory = Factory()
    path = tmp_path / "shop.db"
    async with opened(path, connect=factory) as log:

        def watch(sql: str) -> None:
            if sql.startswith(("PRAGMA wal_checkpoint", "BEGIN IMMEDIATE")):
                held.append(bool(log._file._lock and log._file._lock.is_locked))

        factory.before = watch
        for number in range(1, 26):
            await log.append("support", [wish(number)])

        assert factory.count("PRAGMA wal_checkpoint(PASSIVE)") == 2
        assert held
        assert all(held)
        assert "PRAGMA wal_autocheckpoint = 0" in factory.statements


async def test_a_failed_checkpoint_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What was acknowledged stays in the write-ahead log; the next one goes on."""
    monkeypatch.setattr(log_file, "CHECKPOINT_ENTRIES", 2)
    factory = Factory()
    async with opened(tmp_path / "shop.db", connect=factory) as log:
        factory.before = Once("PRAGMA wal_checkpoint", disk_error())
        acks = [(await log.append("support", [wish(number)])).acks[0] for number in range(1, 6)]

        assert [ack.outcome for ack in acks] == ["new"] * 5
        assert await head(log) == key(5).serial
    assert "a checkpoint failed" in caplog.text


# ---------------------------------------------------------------------- erasing


async def test_erased_text_is_in_no_byte_of_the_file(tmp_path: Path) -> None:
    """Once the write-ahead log is copied and gone (D26)."""
    path = tmp_path / "shop.db"
    created = wish(1, body={"type": "text", "text": "xyzzyplugh"})
    edit = change(2, "message.update", created, body={"type": "text", "text": "plughxyzzy"})
    async with opened(path) as log:
        await log.append("support", [created, edit, wish(3)])
        await log.append("support", [change(4, "message.delete", created)])

        (item,) = (await log.get("support", [message_id(1)])).items
        assert (item.deleted, item.edit, text_of(item.data)) == (True, None, None)

    raw = path.read_bytes()
    assert b"text 3" in raw
    assert b"xyzzyplugh" not in raw
    assert b"plughxyzzy" not in raw


# ---------------------------------------------------------------------- restored files, other processes


async def test_a_backup_put_in_place_is_noticed(tmp_path: Path) -> None:
    """Unannounced its head lies below what was seen; announced the log is another one (D18)."""
    path, backup = tmp_path / "shop.db", tmp_path / "backup.db"
    async with opened(path) as log:
        await log.append("support", [wish(1)])
    shutil.copy(path, backup)
    async with opened(path) as log:
        latest = (await log.append("support", [wish(2), wish(3)])).state
    shutil.copy(backup, path)

    async with opened(path) as log, opened(path, seed=9) as other:
        unannounced = (await log.heads(["support"]))["support"]
        told = await other.restored()
        announced = (await log.heads(["support"]))["support"]
        (item,) = (await log.entries("support", after=None, limit=9)).items

    assert unannounced.log_id == latest.log_id
    assert (unannounced.head, latest.head) == (key(1).serial, key(3).serial)
    assert announced.log_id == told != latest.log_id
    assert item.stamp.log_id == told


async def test_changes_name_what_others_appended_to(tmp_path: Path, clock: VirtualClock) -> None:
    """First that listening has begun, then each channel, within a moment."""
    path = tmp_path / "shop.db"
    async with opened(path, clock) as log, opened(path, clock, seed=2) as other:
        await log.append("support", [wish(1)])
        changes = log.changes()
        began = await anext(changes)
        before = clock.monotonic()
        await other.append("sales", [wish(2, channel="sales"), wish(3, channel="sales")])
        await other.append("hall", [wish(4, channel="hall")])

        names = {await anext(changes), await anext(changes)}

        assert (began, names) == ("", {"sales", "hall"})
        assert clock.monotonic() - before <= POLL
        await log.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(changes)


async def test_two_logs_of_one_process_share_a_file(tmp_path: Path, clock: VirtualClock) -> None:
    """Each sees what the other appended, in one row of numbers."""
    path = tmp_path / "shop.db"
    async with opened(path, clock) as one, opened(path, clock, seed=2) as other:
        for number in range(1, 7):
            log = one if number % 2 else other
            assert (await log.append("support", [wish(number)])).acks[0].key == key(number)

        assert await head(one) == await head(other) == key(6).serial
        assert (await one.heads(["x"]))["x"].log_id == (await other.heads(["x"]))["x"].log_id


def test_nothing_secret_shows(tmp_path: Path) -> None:
    """The name of the file and no more (I16)."""
    log = SqliteLog(str(tmp_path / "shop.db"), clock=VirtualClock(), random=Random(1), inline=True)

    assert repr(log) == "SqliteLog('shop.db')"
