"""The store directory: a file and a device for each process, and the legacies of dead ones."""

from __future__ import annotations

import asyncio
import errno
import gc
import stat
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from chatkit.errors import MessageNotFound, StateError, StoreError, StoreLocked
from chatkit.model.order import OrderKey
from chatkit.ports.store import LaneKey, LaneMark, Mark, Row, StoreHeader
from chatkit.sqlite.files import make_directory
from chatkit.stores import DirectoryStore
from chatkit.testing.clock import VirtualClock, settle
from chatkit.testing.contract.store.kit import ids, send
from chatkit.testing.rows import attempted, message, row
from tests.stores.doubles import Factory, Nth, Once, disk_error
from tests.stores.kits import directory_store, file_store, opened


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    return tmp_path / "outbox"


def files(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


async def started(outbox: Path, **options: Any) -> tuple[DirectoryStore, StoreHeader]:
    store = directory_store(outbox, inline=True, **options)
    return store, await store.open("ada", "memory:hub", rebind=False)


async def adopted(store: DirectoryStore) -> list[Row]:
    """Return what an adoption finds, nothing where it fails."""
    try:
        return list(await store.adopt())
    except StoreError:
        return []


@asynccontextmanager
async def two_files(outbox: Path) -> AsyncGenerator[tuple[DirectoryStore, str, str]]:
    """A store that owns `1.db` and has adopted `2.db` with entry-1 (attempted) and entry-2; both devices."""
    store, mine = await started(outbox)
    other, theirs = await started(outbox)
    queued = [row(1, device=theirs.device, key="k"), row(2, device=theirs.device)]
    await other.add(queued)
    await send(other, "b1", (queued[0], 1))
    other.abandon()
    await store.adopt()
    try:
        yield store, mine.device, theirs.device
    finally:
        await store.aclose()


# -- a file each


async def test_each_owner_has_a_file_and_a_device_and_they_share_the_secret(outbox: Path) -> None:
    """The same key makes the same id in every process (D14, D27)."""
    first, one = await started(outbox)
    second, two = await started(outbox)

    assert one.device != two.device
    assert one.secret == two.secret
    assert {"1.db", "2.db", "secret"} <= files(outbox)
    assert stat.S_IMODE((outbox / "secret").stat().st_mode) == 0o600
    await first.aclose()
    await second.aclose()


async def test_a_restart_finds_its_own_file_again(outbox: Path) -> None:
    """Device, marks and cache go on where they stood (D27)."""
    store, before = await started(outbox)
    await store.applied("support", Mark(OrderKey(1, "a"), "log-1"), [message(1)], [], keep=10)
    await store.aclose()

    store, after = await started(outbox)

    assert after == before._replace(owner_epoch=2)
    assert await store.marks() == {"support": Mark(OrderKey(1, "a"), "log-1")}
    await store.aclose()


async def test_a_file_that_lacks_the_secret_of_its_directory_takes_it(outbox: Path) -> None:
    """A file that was put there by hand makes the same ids as its neighbours (D14)."""
    async with opened(file_store(outbox / "1.db", inline=True)):
        pass

    store, mine = await started(outbox)

    assert mine.secret == (outbox / "secret").read_bytes()
    await store.aclose()


async def test_a_secret_of_the_wrong_length_is_refused(outbox: Path) -> None:
    """Made anew, it would give known keys other ids (D14)."""
    make_directory(outbox)
    (outbox / "secret").write_bytes(b"short")

    with pytest.raises(StoreError, match=r"outbox/secret is damaged"):
        await started(outbox)

    assert (outbox / "secret").read_bytes() == b"short"


async def test_a_secret_in_the_making_is_waited_for(outbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a while: a process that hangs over it is named as the reason."""
    monkeypatch.setattr("chatkit.stores.secret._PATIENCE", 0)
    make_directory(outbox)

    with FileLock(outbox / "secret.lock"), pytest.raises(StoreLocked, match="being made"):
        await started(outbox)


async def test_a_path_through_a_file_is_refused(tmp_path: Path) -> None:
    """No directory can be made there."""
    (tmp_path / "notes").write_text("x")

    with pytest.raises(StoreError, match="out/secret cannot be opened"):
        await started(tmp_path / "notes" / "out")


async def test_a_file_of_another_realm_is_refused(outbox: Path) -> None:
    """A free file that the process would take must be its own (D27)."""
    store, _ = await started(outbox)
    await store.aclose()

    with pytest.raises(StateError, match="memory:hub"):
        await directory_store(outbox, inline=True).open("ada", "pusher:app", rebind=False)

    store = directory_store(outbox, inline=True)
    await store.open("ada", "pusher:app", rebind=True)
    await store.aclose()


# -- adoption


async def test_the_file_of_a_dead_owner_is_adopted_with_its_device_and_lanes(outbox: Path) -> None:
    """Unfinished rows come back in queue order, in doubt where they were attempted (D6, D27)."""
    store, _ = await started(outbox)
    other, theirs = await started(outbox)
    one, two, three = (row(n, device=theirs.device) for n in (1, 2, 3))
    await other.add([two, one, three])
    [sending] = await send(other, "b1", (one, 4))
    await other.settle([three._replace(status="failed")])
    other.abandon()

    assert list(await store.adopt()) == [two, sending]
    assert await store.lanes() == {LaneKey("support", "ada", theirs.device): LaneMark(4, 4)}
    assert await store.batches() == {"b1": (one.ident,)}
    assert list(await store.adopt()) == []
    await store.aclose()


async def test_what_a_dead_owner_did_not_announce_is_adopted(outbox: Path) -> None:
    """The log has it, and receivers are still to be told (D16)."""
    store, _ = await started(outbox)
    other, theirs = await started(outbox)
    await other.add([row(1, device=theirs.device)])
    [sending] = await send(other, "b1", (row(1, device=theirs.device), 4))
    untold = sending._replace(status="sent", announced=False)
    await other.settle([untold])
    other.abandon()

    assert list(await store.adopt()) == [untold]
    await store.settle([untold._replace(announced=True)])
    assert await store.rows() == ()
    await store.aclose()


async def test_what_was_left_by_a_clean_end_is_adopted_too(outbox: Path) -> None:
    """A process that stopped with work in its outbox may never come back."""
    store, _ = await started(outbox)
    other, theirs = await started(outbox)
    await other.add([row(1, device=theirs.device)])
    await other.aclose()

    assert [r.entry_id for r in await store.adopt()] == ["entry-1"]
    await store.aclose()


async def test_a_living_owner_keeps_its_file(outbox: Path) -> None:
    """Its lock says that it lives (I17)."""
    store, _ = await started(outbox)
    other, theirs = await started(outbox)
    await other.add([row(1, device=theirs.device)])

    assert list(await store.adopt()) == []

    await other.settle([row(1, device=theirs.device, status="failed")])
    await other.aclose()
    await store.aclose()


async def test_a_file_without_rows_is_removed(outbox: Path) -> None:
    """Nothing is left in it; its lock file stays, since two could hold it if it were made anew (D27)."""
    store, _ = await started(outbox)
    other, _ = await started(outbox)
    other.abandon()

    assert list(await store.adopt()) == []

    assert not {"2.db", "2.db-wal", "2.db-shm"} & files(outbox)
    assert "2.db.lock" in files(outbox)
    await store.aclose()


async def test_an_empty_file_that_cannot_be_removed_costs_nothing_else(
    outbox: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is given up, and the others are adopted (I1, D27)."""
    store, _ = await started(outbox)
    for n in (2, 3):
        async with opened(file_store(outbox / f"{n}.db", inline=True)) as dead:
            await dead.add([row(4)] if n == 3 else [])

    def refuse(path: Path, *, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, "not yours")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        assert [r.entry_id for r in await store.adopt()] == ["entry-4"]
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["2.db was not removed"]
    assert await ids(store) == ["entry-4"]
    await store.adopt()

    assert "2.db" not in files(outbox)
    await store.aclose()


async def test_whoever_calls_while_an_empty_file_is_removed_is_not_told_of_it(outbox: Path) -> None:
    """A file that goes is nobody's concern but that of the adoption (D27)."""
    other, _ = await started(outbox)
    store = directory_store(outbox)
    await store.open("ada", "memory:hub", rebind=False)
    other.abandon()

    async def busy(first: int) -> None:
        for n in range(first, first + 20):
            await store.add([row(n)])
            await store.lanes()
            await store.batches()
            await store.prune(VirtualClock().wall() - timedelta(days=30))
            await store.rows()

    await asyncio.gather(store.adopt(), *(busy(first) for first in range(0, 200, 20)))

    assert len(await store.rows(limit=1_000)) == 200
    assert "1.db" not in files(outbox)
    await store.aclose()


async def test_an_adopted_file_is_removed_once_its_last_row_has_gone(outbox: Path) -> None:
    """Keyed rows keep it until they are pruned (D14)."""
    async with two_files(outbox) as (store, _, device):
        sent = attempted(row(1, device=device, key="k"), "b1", 1)._replace(status="sent")
        await store.settle([sent, row(2, device=device, status="sent")])
        await store.adopt()
        assert "2.db" in files(outbox)

        assert await store.prune(VirtualClock().wall() + timedelta(seconds=1)) == 1
        await store.adopt()

        assert "2.db" not in files(outbox)
        assert await ids(store) == []
        await store.add([row(3, device=device)])  # a device without a file is served by the own one
        assert await ids(store) == ["entry-3"]


async def test_a_file_that_cannot_be_used_is_left_alone_and_named_once(
    outbox: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One bad legacy does not keep the others from being adopted."""
    store, _ = await started(outbox)
    (outbox / "2.db").write_text("rubbish" * 1_000)
    async with opened(file_store(outbox / "3.db", inline=True), user="bob") as bobs:
        await bobs.add([row(3)])
    async with opened(file_store(outbox / "4.db", inline=True)) as good:
        await good.add([row(4)])
    (outbox / "notes.db").write_text("not a number")

    assert [r.entry_id for r in await store.adopt()] == ["entry-4"]
    await store.adopt()

    assert (outbox / "2.db").read_text() == "rubbish" * 1_000
    assert [record.getMessage().split()[0] for record in caplog.records] == ["2.db", "3.db"]
    await store.aclose()


async def test_an_adoption_that_fails_is_made_good_by_the_next_one(outbox: Path) -> None:
    """Whichever transaction the disk fails in: each row is told once, no file stays locked for nothing (I1)."""
    place, struck = 0, True
    while struck:
        factory = Factory()
        store, _ = await started(outbox, connect=factory)
        for n in (2, 3):
            async with opened(file_store(outbox / f"{n}.db", inline=True)) as dead:
                await dead.add([row(n, device=f"device{n}")])
        factory.before = fault = Nth("BEGIN", place, disk_error())
        found = [r for _ in range(3) for r in await adopted(store)]
        factory.before = lambda sql: None

        assert (sorted(r.entry_id for r in found), place) == (["entry-2", "entry-3"], place)
        for r in found:
            await store.settle([r._replace(status="sent")])
        await store.adopt()
        assert not {"2.db", "3.db"} & files(outbox)
        await store.aclose()
        place, struck = place + 1, fault.struck
    assert place > 10


async def test_what_a_cancelled_adoption_found_is_told_by_the_next_one(outbox: Path) -> None:
    """Nobody has heard of it (I1)."""
    store, _ = await started(outbox)
    async with opened(file_store(outbox / "2.db", inline=True)) as dead:
        await dead.add([row(2)])
    adopting = asyncio.create_task(store.adopt())
    await asyncio.sleep(0)
    adopting.cancel()
    await asyncio.wait({adopting})
    await settle()

    assert [r.entry_id for r in await store.adopt()] == ["entry-2"]
    assert list(await store.adopt()) == []
    await store.aclose()


async def test_two_heirs_share_a_legacy_without_a_double(outbox: Path) -> None:
    """Whoever has the lock has the file (I2)."""
    heirs = [(await started(outbox))[0] for _ in range(2)]
    for n in (3, 4, 5):
        async with opened(file_store(outbox / f"{n}.db", inline=True)) as dead:
            await dead.add([row(n)])

    found = await asyncio.gather(*(heir.adopt() for heir in heirs))

    assert sorted(r.entry_id for rows in found for r in rows) == ["entry-3", "entry-4", "entry-5"]
    for heir in heirs:
        await heir.aclose()


# -- one store over several files


async def test_a_key_is_known_from_any_file(outbox: Path) -> None:
    """What a dead process sent under a key is found by its heir (D14)."""
    async with two_files(outbox) as (store, mine, theirs):
        again, known = row(8, key="k", device=mine), row(9, ident=row(2).ident, device=mine)

        kept = await store.add([row(7, device=mine), again, known])

        assert [r.entry_id for r in kept] == ["entry-7", "entry-1", "entry-2"]
        assert kept[1].device == theirs
        assert await ids(store) == ["entry-7", "entry-1", "entry-2"]


async def test_of_two_that_know_a_key_the_one_that_was_adopted_first_answers(outbox: Path) -> None:
    """Two processes that died may have used one key: whoever asks gets the same entry each time (D14)."""
    heir, _ = await started(outbox)
    for n in (3, 4):
        async with opened(file_store(outbox / f"{n}.db", inline=True)) as dead:
            await dead.add([row(n, key="k")])
        await heir.adopt()

    kept = [await heir.add([row(n, key="k")]) for n in (8, 9)]

    assert [[r.entry_id for r in rows] for rows in kept] == [["entry-3"], ["entry-3"]]
    await heir.aclose()


async def test_writes_go_to_the_file_of_their_device(outbox: Path) -> None:
    """One call may concern rows of several files (D27)."""
    async with two_files(outbox) as (store, mine, theirs):
        own, adopted = row(7, device=mine), row(2, device=theirs)
        await store.add([own])
        await send(store, "b2", (adopted, 2))
        await store.settle([own._replace(status="failed"), adopted._replace(status="failed", reason="x")])

    async with opened(file_store(outbox / "2.db", inline=True)) as file:
        assert [(r.entry_id, r.status) for r in await file.rows()] == [
            ("entry-1", "sending"),
            ("entry-2", "failed"),
        ]
    async with opened(file_store(outbox / "1.db", inline=True)) as file:
        assert [(r.entry_id, r.status) for r in await file.rows()] == [("entry-7", "failed")]


async def test_a_new_device_stays_in_its_file(outbox: Path) -> None:
    """Rows of the old and of the new device are served by the same file (D27)."""
    async with two_files(outbox) as (store, _, theirs):
        await store.renew_device(theirs, "newone")
        await store.settle([row(2, device="newone", status="failed")])
        await store.settle([attempted(row(1, device=theirs, key="k"), "b1", 1)._replace(status="failed")])

        assert {r.status for r in await store.rows()} == {"failed"}


async def test_pages_run_over_all_files(outbox: Path) -> None:
    """The own file first; a page goes on where the last one ended, in whichever file."""
    async with two_files(outbox) as (store, mine, _):
        await store.add([row(7, device=mine), row(8, device=mine)])

        pages = [await ids(store, limit=3), await ids(store, after="entry-1", limit=3)]
        assert pages == [["entry-7", "entry-8", "entry-1"], ["entry-2"]]
        assert await ids(store, after="entry-7", limit=2) == ["entry-8", "entry-1"]
        assert await ids(store, after="entry-2") == []
        with pytest.raises(MessageNotFound):
            await store.rows(after="entry-9")


# -- life


@pytest.mark.realtime
async def test_a_cancelled_adoption_is_completed(outbox: Path) -> None:
    """The rows of a file whose lock is taken must not be out of reach."""
    reached, go_on = threading.Event(), threading.Event()
    factory = Factory()
    async with opened(file_store(outbox / "2.db")) as dead:
        await dead.add([row(2)])

    def wait(sql: str) -> None:
        reached.set()
        assert go_on.wait(10)

    async with opened(directory_store(outbox, connect=factory)) as store:
        factory.before = wait
        adopting = asyncio.create_task(store.adopt())
        await asyncio.to_thread(reached.wait, 10)
        adopting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await adopting
        go_on.set()

        assert [r.entry_id for r in await store.adopt()] == ["entry-2"]


@pytest.mark.realtime
async def test_closing_waits_for_an_adoption_and_leaves_nothing(outbox: Path) -> None:
    """Every file is given up in order; one thread served them all."""
    async with opened(file_store(outbox / "2.db")) as dead:
        await dead.add([row(2)])
    store = directory_store(outbox)
    await store.open("ada", "memory:hub", rebind=False)
    assert [t.name for t in threads()] == ["chatkit-store-outbox"]

    adopting = asyncio.create_task(store.adopt())
    await asyncio.sleep(0)
    await asyncio.gather(store.aclose(), store.aclose())
    await adopting

    assert not threads()
    async with opened(file_store(outbox / "2.db")) as again:
        assert await ids(again) == ["entry-2"]


@pytest.mark.realtime
async def test_a_directory_that_is_dropped_lets_go_of_its_files(outbox: Path) -> None:
    """Garbage collection is a death here too."""
    store = directory_store(outbox)
    await store.open("ada", "memory:hub", rebind=False)
    await store.add([row(1)])
    [thread] = threads()

    del store
    gc.collect()
    thread.join(10)

    async with opened(file_store(outbox / "1.db")) as again:
        assert await ids(again) == ["entry-1"]


@pytest.mark.realtime
async def test_an_opening_that_fails_leaves_nothing(outbox: Path) -> None:
    """No thread, no lock; the object is of no further use."""
    factory = Factory()
    factory.before = Once("BEGIN", disk_error())
    store = directory_store(outbox, connect=factory)

    with pytest.raises(StoreError, match=r"1\.db"):
        await store.open("ada", "memory:hub", rebind=False)

    assert not threads()
    with pytest.raises(StateError):
        await store.rows()
    await store.aclose()


@pytest.mark.realtime
async def test_a_cancelled_opening_leaves_the_directory_to_others(outbox: Path) -> None:
    """What is being opened is given up as soon as it is open."""
    reached, go_on = threading.Event(), threading.Event()
    factory = Factory()

    def wait(sql: str) -> None:
        reached.set()
        assert go_on.wait(10)

    factory.before = wait
    opening = asyncio.create_task(
        directory_store(outbox, connect=factory).open("ada", "memory:hub", rebind=False)
    )
    await asyncio.to_thread(reached.wait, 10)
    [thread] = threads()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    go_on.set()
    thread.join(10)

    store = directory_store(outbox)
    await store.open("ada", "memory:hub", rebind=False)
    assert "2.db" not in files(outbox)
    await store.aclose()


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("chatkit-store")]
