"""Group commit: what waits together is committed together, and fails alone or together as it must."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from chatkit.errors import OutboxFull, StateError, StoreError
from chatkit.model.options import OutboxLimits
from chatkit.sqlite.connection import Connection
from chatkit.testing.contract.store.kit import ids
from chatkit.testing.rows import attempted, batch_of, row
from tests.stores.doubles import Factory, Once, disk_error, sqlite_error
from tests.stores.kits import file_store, opened

pytestmark = pytest.mark.realtime


@pytest.fixture
def factory() -> Factory:
    return Factory()


async def gathered(*calls: Any) -> list[Any]:
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_a_thousand_callers_share_one_transaction(tmp_path: Path, factory: Factory) -> None:
    """Calls of one turn of the loop are one group (I3 at the price of one sync)."""
    async with opened(file_store(tmp_path / "ada.db", connect=factory)) as store:
        before = factory.count("COMMIT")

        await asyncio.gather(*(store.add([row(n)]) for n in range(1_000)))

        assert factory.count("COMMIT") - before == 1
        assert len(await store.rows(limit=2_000)) == 1_000


async def test_what_arrives_during_a_commit_is_the_next_group(tmp_path: Path, factory: Factory) -> None:
    """While one group waits for the disk the next one gathers."""
    started, go_on = threading.Event(), threading.Event()

    def wait(sql: str) -> None:
        if sql == "COMMIT":
            started.set()
            assert go_on.wait(10)

    async with opened(file_store(tmp_path / "ada.db", connect=factory)) as store:
        factory.before = wait
        calls = [asyncio.create_task(store.add([row(0)]))]
        await asyncio.to_thread(started.wait, 10)
        for n in range(1, 50):
            calls.append(asyncio.create_task(store.add([row(n)])))
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # what the last one handed over is with the thread now
        before = factory.count("COMMIT")
        go_on.set()
        await asyncio.gather(*calls)

        assert factory.count("COMMIT") - before == 1


async def test_a_failing_call_fails_alone(tmp_path: Path, factory: Factory) -> None:
    """Its neighbours in the transaction are kept; of itself nothing is."""
    limits = OutboxLimits(entries=3)

    async with opened(file_store(tmp_path / "ada.db", connect=factory, limits=limits)) as store:
        before = factory.count("COMMIT")
        one, many, stranger, bad, two = await gathered(
            store.add([row(1)]),
            store.add([row(2), row(3), row(4)]),
            store.attempt(batch_of("b", row(9)), [row(9)], hlc="x"),
            store.add([row(5), row(6, reason=object())]),
            store.add([row(7)]),
        )

        assert (one, two) == ((row(1),), (row(7),))
        assert isinstance(many, OutboxFull)
        assert isinstance(stranger, StateError)
        assert isinstance(bad, StoreError)
        assert isinstance(bad.__cause__, sqlite3.Error)
        assert await ids(store) == ["entry-1", "entry-7"]
        assert factory.count("COMMIT") - before == 2  # one for the calls, one for reading
        await store.add([row(8)])  # what failed took no room


async def test_a_reading_call_fails_alone(tmp_path: Path, factory: Factory) -> None:
    """A damaged page of the cache does not stop the outbox."""
    factory.before = Once("SELECT channel, epoch", sqlite_error(11))

    async with opened(file_store(tmp_path / "ada.db", connect=factory)) as store:
        marks, added, lanes = await gathered(store.marks(), store.add([row(1)]), store.lanes())

        assert isinstance(marks, StoreError)
        assert "damaged" in str(marks)
        assert added == (row(1),)
        assert lanes == {}


@pytest.mark.parametrize(
    "statement", ["BEGIN IMMEDIATE", "SAVEPOINT", "INSERT INTO outbox", "RELEASE", "COMMIT"]
)
async def test_a_failed_commit_fails_each_call_and_the_file_is_read_again(
    tmp_path: Path, factory: Factory, statement: str
) -> None:
    """Nothing of the group is kept, a new connection takes over, later calls succeed (D14)."""
    async with opened(file_store(tmp_path / "ada.db", connect=factory)) as store:
        await store.add([row(0)])
        factory.before = Once(statement, disk_error())
        connections = factory.opened

        outcomes = await gathered(store.add([row(1)]), store.add([row(2)]))

        assert [type(outcome) for outcome in outcomes] == [StoreError, StoreError]
        assert all("ada.db" in str(outcome) for outcome in outcomes)
        assert await ids(store) == ["entry-0"]
        assert factory.opened == connections + 1
        await store.add([row(1)])


@pytest.mark.parametrize("statement", ["COMMIT", "RELEASE"])
async def test_a_failed_commit_takes_no_room(tmp_path: Path, factory: Factory, statement: str) -> None:
    """What was counted for it is counted no more (I10)."""
    limits = OutboxLimits(entries=1)

    async with opened(file_store(tmp_path / "ada.db", connect=factory, limits=limits)) as store:
        factory.before = Once(statement, disk_error())
        await gathered(store.add([row(1)]))

        await store.add([row(2)])

        assert await ids(store) == ["entry-2"]


async def test_an_error_that_nobody_knows_condemns_the_connection(tmp_path: Path, factory: Factory) -> None:
    """What cannot be judged is not trusted: the group fails, the file is read again (D14)."""
    async with opened(file_store(tmp_path / "ada.db", connect=factory)) as store:
        factory.before = Once("INSERT INTO outbox", RuntimeError("?"))
        connections = factory.opened

        outcomes = await gathered(store.add([row(1)]), store.add([row(2)]))

        assert [type(outcome) for outcome in outcomes] == [StoreError, StoreError]
        assert await ids(store) == []
        assert factory.opened == connections + 1


async def test_a_failed_reading_fails_the_reads_and_the_file_is_read_again(
    tmp_path: Path, factory: Factory
) -> None:
    """A disk error in a read condemns the connection like any other."""
    async with opened(file_store(tmp_path / "ada.db", connect=factory)) as store:
        factory.before = Once("SELECT channel, epoch", disk_error())

        outcomes = await gathered(store.lanes(), store.marks())

        assert [type(outcome) for outcome in outcomes] == [StoreError, StoreError]
        assert await store.marks() == {}


async def test_a_commit_that_landed_though_it_failed_is_taken_back(tmp_path: Path, factory: Factory) -> None:
    """The caller was told that nothing is queued, so nothing may be sent (I2, D14)."""
    async with opened(file_store(tmp_path / "ada.db", connect=factory)) as store:
        await store.add([row(0, key="k")])
        factory.after = Once("COMMIT", disk_error())

        outcomes = await gathered(store.add([row(1), row(2, key="k")]))

        assert isinstance(outcomes[0], StoreError)
        assert await ids(store) == ["entry-0"]

    async with opened(file_store(tmp_path / "ada.db")) as store:
        assert await ids(store) == ["entry-0"]


async def test_a_failed_commit_is_written_over(tmp_path: Path, factory: Factory) -> None:
    """Its frames may lie whole in the write-ahead log; no later recovery may bring them back (D14)."""
    async with opened(file_store(tmp_path / "ada.db", connect=factory)) as store:
        factory.before = Once("COMMIT", disk_error())
        before = len(factory.statements)

        await gathered(store.add([row(1)]))

        assert "UPDATE header SET clean = 0" in factory.statements[before:]


async def test_what_cannot_be_taken_back_yet_is_not_shown_meanwhile(tmp_path: Path, factory: Factory) -> None:
    """Until the file can be read again every call fails; then the first one finds it in order (D14)."""
    async with opened(file_store(tmp_path / "ada.db", connect=factory)) as store:
        factory.after = Once("COMMIT", disk_error())
        broken = True
        factory.before = lambda sql: disk_error() if broken and sql.startswith("PRAGMA") else None

        outcomes = [*await gathered(store.add([row(1)])), *await gathered(store.rows())]
        assert [type(outcome) for outcome in outcomes] == [StoreError, StoreError]

        broken = False
        assert await ids(store) == []


async def test_reading_goes_on_while_nothing_can_be_written(tmp_path: Path, factory: Factory) -> None:
    """A failed commit on a disk that stays full leaves what was stored in sight."""
    async with opened(file_store(tmp_path / "ada.db", connect=factory)) as store:
        await store.add([row(1)])
        full = True

        def refuse(sql: str) -> Exception | None:
            writing = sql == "COMMIT" or sql.startswith("UPDATE header")
            return sqlite_error(13) if full and writing and wrote() else None

        def wrote() -> bool:
            last = next(s for s in reversed(factory.statements) if not s.startswith(("COMMIT", "RELEASE")))
            return last.startswith(("INSERT", "UPDATE"))

        factory.before = refuse
        [refused] = await gathered(store.add([row(2)]))

        assert "no room" in str(refused)
        assert await ids(store) == ["entry-1"]
        full = False
        await store.add([row(2)])


async def test_a_cancelled_caller_loses_only_the_answer(tmp_path: Path, factory: Factory) -> None:
    """Its call is carried out in its turn, so that a later call finds it done (D14)."""
    started, go_on = threading.Event(), threading.Event()

    def wait(sql: str) -> None:
        if sql == "COMMIT":
            started.set()
            assert go_on.wait(10)

    async with opened(file_store(tmp_path / "ada.db", connect=factory)) as store:
        factory.before = wait
        begun = asyncio.create_task(store.add([row(1)]))
        await asyncio.to_thread(started.wait, 10)
        waiting = asyncio.create_task(store.add([row(2)]))
        await asyncio.sleep(0)
        assert not begun.done()
        begun.cancel()
        waiting.cancel()
        settling = asyncio.create_task(store.settle([row(2, status="discarded")]))
        go_on.set()
        await gathered(begun, waiting, settling)

        assert begun.cancelled()
        assert waiting.cancelled()
        assert list(await store.rows()) == [row(1), row(2, status="discarded")]


async def test_calls_are_carried_out_in_the_order_they_were_made(tmp_path: Path) -> None:
    """Without waiting in between: queued, attempted, settled."""
    sending = attempted(row(1), "b", 1)

    async with opened(file_store(tmp_path / "ada.db")) as store:
        _, _, _, rows = await asyncio.gather(
            store.add([row(1)]),
            store.attempt(batch_of("b", sending), [sending], hlc="0193581fa2c0-0001"),
            store.settle([sending._replace(status="failed")]),
            store.rows(),
        )

        assert list(rows) == [sending._replace(status="failed")]


async def test_closing_completes_what_was_called_before(tmp_path: Path) -> None:
    """`aclose` commits what waits, then nothing of the store is left running."""
    store = file_store(tmp_path / "ada.db")
    await store.open("ada", "memory:hub", rebind=False)
    calls = [asyncio.create_task(store.add([row(n)])) for n in range(10)]
    await asyncio.sleep(0)

    await asyncio.gather(store.aclose(), store.aclose())

    assert all(call.done() for call in calls)
    assert not [t for t in threading.enumerate() if t.name.startswith("chatkit-store")]
    async with opened(file_store(tmp_path / "ada.db")) as again:
        assert len(await again.rows()) == 10


async def test_checkpoints_are_taken_by_the_owner_between_transactions(
    tmp_path: Path, factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite takes none of its own, which keeps the WAL-reset defect away (D27)."""
    monkeypatch.setattr("chatkit.stores.file.CHECKPOINT_JOBS", 2)

    async with opened(file_store(tmp_path / "ada.db", connect=factory)) as store:
        for n in range(5):
            await store.add([row(n)])

        assert "PRAGMA wal_autocheckpoint = 0" in factory.statements
        places = [n for n, sql in enumerate(factory.statements) if sql.startswith("PRAGMA wal_checkpoint")]
        assert len(places) == 2
        assert {factory.statements[n - 1] for n in places} == {"COMMIT"}


async def test_a_failed_checkpoint_costs_nothing(
    tmp_path: Path, factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be copied stays in the write-ahead log; calls go on over a new connection."""
    monkeypatch.setattr("chatkit.stores.file.CHECKPOINT_JOBS", 1)
    factory.before = Once("PRAGMA wal_checkpoint", disk_error())

    async with opened(file_store(tmp_path / "ada.db", connect=factory)) as store:
        await store.add([row(1)])
        connections = factory.opened
        await store.add([row(2)])

        assert factory.opened == connections + 1
        assert await ids(store) == ["entry-1", "entry-2"]


class Pages:
    """A bound on the size of the file, over every connection."""

    def __init__(self, factory: Factory) -> None:
        self._limit = 100_000
        self._connections: list[Connection] = []
        factory.on_open = self._bound

    def _bound(self, connection: Connection) -> None:
        self._connections.append(connection)
        connection.execute(f"PRAGMA max_page_count = {self._limit}")

    def allow(self, pages: int) -> None:
        self._limit = pages
        self._connections[-1].execute(f"PRAGMA max_page_count = {pages}")


async def test_a_full_file_refuses_what_is_new_and_keeps_the_rest(tmp_path: Path, factory: Factory) -> None:
    """It says so, other calls go on, and with room again it works as before (I10)."""
    pages = Pages(factory)
    large = row(2, data=bytes(1_000_000))
    limits = OutboxLimits(entries=4)

    async with opened(file_store(tmp_path / "ada.db", connect=factory, limits=limits)) as store:
        await store.add([row(1)])
        pages.allow(1)  # SQLite takes it as: no more than there are

        refused, settled = await gathered(
            store.add([row(3), row(4), large]), store.settle([row(1, status="failed")])
        )

        assert type(refused) is StoreError
        assert "ada.db has no room" in str(refused)
        assert "Free some space" in refused.hint
        assert settled is None
        assert list(await store.rows()) == [row(1, status="failed")]

        pages.allow(100_000)
        await store.add([row(3), row(4), large])
