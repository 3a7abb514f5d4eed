"""A store file in which something stands that chatkit never wrote."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from chatkit.errors import StoreError
from chatkit.model.order import OrderKey
from chatkit.model.registers import Register
from chatkit.ports.store import Mark
from chatkit.testing.rows import attempted, batch_of, message, row
from tests.stores.kits import file_store, opened

if TYPE_CHECKING:
    from pathlib import Path

    from chatkit.stores import SqliteStore


async def read_all(store: SqliteStore) -> None:
    """Open a store and read what a client reads of it."""
    await store.open("ada", "memory:hub", rebind=False)
    await store.rows()
    await store.lanes()
    await store.marks()
    await store.cached("support", before=None, limit=10)
    await store.registers()


async def fill(path: Path) -> None:
    """Put something into each table."""
    async with opened(file_store(path, inline=True)) as store:
        [kept] = await store.add([row(1)])
        sending = attempted(kept, "b", 1)
        await store.attempt(batch_of("b", sending), [sending], hlc="0193581fa2c0-0003")
        await store.applied("support", Mark(OrderKey(1, "1"), "log-1", ()), [message(1)], [], keep=10)
        await store.put([Register("support", "ada", "read", "id", "greatest", OrderKey(1, "1"))])


async def test_what_chatkit_wrote_is_read(tmp_path: Path) -> None:
    """All of it: the next test would else prove nothing."""
    await fill(tmp_path / "ada.db")

    store = file_store(tmp_path / "ada.db", inline=True)
    await read_all(store)
    await store.aclose()


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        ("UPDATE header SET device = ?", b"k3v9x2"),
        ("UPDATE header SET owner_epoch = ?", "many"),
        ("UPDATE outbox SET data = ?", "text"),
        ("UPDATE outbox SET status = ?", "lost"),
        ("UPDATE outbox SET queued_at = ?", "noon"),
        ("UPDATE lanes SET seq = ?", "seven"),
        ("UPDATE marks SET serial = ?", b"\x00"),
        ("UPDATE marks SET holes = ?", "[[[1, 2], [3, 4]]]"),
        ("UPDATE cached SET data = ?", "text"),
        ("UPDATE registers SET merge = ?", "oldest"),
        ("UPDATE registers SET value = ?", b"\x00"),
    ],
)
async def test_what_chatkit_never_wrote_is_damage(tmp_path: Path, statement: str, value: object) -> None:
    """A value of the wrong type is refused as it is read, not where something is made of it."""
    path = tmp_path / "ada.db"
    await fill(path)
    with closing(sqlite3.connect(path)) as other, other:
        assert other.execute(statement, (value,)).rowcount == 1

    store = file_store(path, inline=True)
    with pytest.raises(StoreError, match="damaged") as caught:
        await read_all(store)
    await store.aclose()

    assert caught.value.hint
    assert str(value) not in str(caught.value)
