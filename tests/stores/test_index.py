"""The index of a store file comes and goes with the option (D24)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chatkit.errors import CapabilityError
from chatkit.stores import open_store
from chatkit.testing.clock import VirtualClock
from chatkit.testing.contract.store.search import cache, numbers, said
from tests.stores.kits import file_store, opened


async def test_a_file_is_indexed_when_it_is_opened_with_an_index(tmp_path: Path) -> None:
    """What was cached without one is found then, and an index that is not wanted is dropped."""
    path = tmp_path / "ada.db"
    async with opened(file_store(path, inline=True, index=False)) as store:
        await cache(store, said(1, "before"))
        with pytest.raises(CapabilityError, match="no index"):
            await numbers(store, "before")
    async with opened(file_store(path, inline=True)) as store:
        await cache(store, said(2, "before"))
        assert await numbers(store, "before") == [2, 1]
    async with opened(file_store(path, inline=True, index=False)) as store:
        await cache(store, said(2, "edited"))
        with pytest.raises(CapabilityError, match="no index"):
            await numbers(store, "edited")
    async with opened(file_store(path, inline=True)) as store:
        assert await numbers(store, "before") == [1]
        assert await numbers(store, "edited") == [2]


async def test_a_sqlite_without_full_text_search_keeps_no_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything else works as ever."""
    monkeypatch.setattr("chatkit.stores.index._can_search", lambda _: False)
    async with opened(file_store(tmp_path / "ada.db", inline=True)) as store:
        await cache(store, said(1, "word"))
        with pytest.raises(CapabilityError, match="no index"):
            await numbers(store, "word")


async def test_a_store_in_memory_takes_the_option_too(clock: VirtualClock) -> None:
    """Without an index it does not search."""
    options: dict[str, Any] = {"durability": "process", "limits": None, "clock": clock}
    from random import Random

    store = open_store(None, random=Random(1), index=False, **options)
    await store.open("ada", "memory:hub", rebind=False)

    with pytest.raises(CapabilityError, match="no index"):
        await numbers(store, "word")
