"""A power cut: what was not synced is gone. With `durability="power"` a promise outlives that too (I3)."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random
from typing import Any, Final, Literal

import pytest

from chatkit.testing.contract.store.kit import ids
from chatkit.testing.rows import row
from tests.crash.stage import Stage
from tests.crash.test_matrix import POINTS, SEEDS, seed_of
from tests.crash.volatile import VolatileDisk
from tests.stores.kits import file_store, opened

Disk = Literal["volatile", "torn"]
SOME: Final[dict[str, Disk]] = {
    "store.committing": "torn",
    "store.committed": "volatile",
    "outbox.added": "volatile",
    "outbox.attempted": "volatile",
    "channel.flushed": "torn",
    "receipts.kept": "volatile",
    "store.owned": "torn",
    "store.checkpointed": "torn",
}
"""Points at which something was just written, or is about to be."""


@pytest.mark.parametrize(("durability", "there"), [("power", ["entry-1"]), ("process", [])])
async def test_a_commit_outlives_a_power_cut_if_it_was_told_to(
    tmp_path: Path, durability: Literal["power", "process"], there: list[str]
) -> None:
    """What `add` returned for is on the disk with `power`, and in the memory of the system with `process`."""
    store = file_store(
        tmp_path / "ada.db", durability=durability, connect=VolatileDisk().connect, inline=True
    )
    await store.open("ada", "memory:hub", rebind=False)
    await store.add([row(1)])
    shutil.copytree(tmp_path, tmp_path / "found", ignore=shutil.ignore_patterns("*.lock"))
    store.abandon()

    async with opened(file_store(tmp_path / "found" / "ada.db", inline=True)) as found:
        assert await ids(found) == there


async def test_a_disk_that_writes_early_is_no_worse(tmp_path: Path) -> None:
    """Half-written rests of a transaction that was never committed are not taken for one."""
    store: Any = file_store(
        tmp_path / "ada.db", durability="power", connect=VolatileDisk(Random(3)).connect, inline=True
    )
    await store.open("ada", "memory:hub", rebind=False)
    await store.add([row(1)])
    store.file._connection.execute("BEGIN IMMEDIATE")
    store.file._connection.execute("DELETE FROM outbox")
    shutil.copytree(tmp_path, tmp_path / "found", ignore=shutil.ignore_patterns("*.lock"))
    store.abandon()

    async with opened(file_store(tmp_path / "found" / "ada.db", inline=True)) as found:
        assert await ids(found) == ["entry-1"]


@pytest.mark.long
@pytest.mark.parametrize("point", SOME)
def test_a_power_cut_breaks_no_promise(stage: Stage, point: str) -> None:
    """The matrix once more, with a disk that forgets what was not synced, or has half of it."""
    assert stage.die(point, seed_of(point), disk=SOME[point], durability="power") == []


@pytest.mark.nightly
@pytest.mark.parametrize("point", POINTS)
def test_a_power_cut_at_any_time_breaks_no_promise(stage: Stage, point: str) -> None:
    """All points, with twenty seeds each."""
    disks: tuple[Disk, Disk] = ("volatile", "torn")
    found = stage.die_often(point, SEEDS, lambda seed: {"disk": disks[seed // 2 % 2], "durability": "power"})
    assert found == {}
