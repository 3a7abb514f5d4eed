"""What every store owes the engine: one suite, run over each of them.

A test class inherits the parts that hold for its store and provides the fixture `kit`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from chatkit.model.options import OutboxLimits
from chatkit.ports.store import Row, Store, StoreHeader
from chatkit.testing.clock import VirtualClock
from tests.stores.values import attempted, batch_of


@dataclass
class Kit:
    """One place where stores are opened, one after the other."""

    make: Callable[[OutboxLimits], Store]
    clock: VirtualClock
    durable: bool
    header: StoreHeader | None = None
    """What the newest store said of itself."""

    @asynccontextmanager
    async def opened(
        self,
        user: str = "ada",
        realm: str = "memory:hub",
        *,
        rebind: bool = False,
        entries: int = 10_000,
        size: int = 64_000_000,
    ) -> AsyncGenerator[Store]:
        """A store, open inside the block and closed after it."""
        store = self.make(OutboxLimits(entries=entries, size=size))
        self.header = await store.open(user, realm, rebind=rebind)
        try:
            yield store
        finally:
            await store.aclose()


async def send(store: Store, batch_id: str, *rows: tuple[Row, int]) -> list[Row]:
    """Record an attempt of rows with their `seq`; return them as they now are."""
    sending = [attempted(queued, batch_id, seq) for queued, seq in rows]
    await store.attempt(batch_of(batch_id, *sending), sending, hlc="0193581fa2c0-0001")
    return sending


async def ids(store: Store, **wanted: Any) -> list[str]:
    return [found.entry_id for found in await store.rows(**wanted)]
