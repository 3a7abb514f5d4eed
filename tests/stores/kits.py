"""Stores to try things on, with what they hang on within reach."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from chatkit.model.options import OutboxLimits
from chatkit.stores import DirectoryStore, SqliteStore, open_store
from chatkit.testing.clock import VirtualClock

S = TypeVar("S", SqliteStore, DirectoryStore)


def file_store(path: Path | str, **options: Any) -> SqliteStore:
    """A store in a file; everything it needs unless given."""
    store = open_store(path, **_filled(options))
    assert isinstance(store, SqliteStore)
    return store


def directory_store(path: Path, **options: Any) -> DirectoryStore:
    """A store in a directory; everything it needs unless given."""
    store = open_store(f"{path}/", **_filled(options))
    assert isinstance(store, DirectoryStore)
    return store


def _filled(options: dict[str, Any]) -> dict[str, Any]:
    return {
        "durability": "process",
        "limits": OutboxLimits(),
        "clock": VirtualClock(),
        "random": Random(7),
    } | options


@asynccontextmanager
async def opened(store: S, user: str = "ada") -> AsyncGenerator[S]:
    """The store, open inside the block and closed after it."""
    await store.open(user, "memory:hub", rebind=False)
    try:
        yield store
    finally:
        await store.aclose()
