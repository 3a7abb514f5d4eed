"""The descriptor of a store, and words to talk to one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from chatkit.errors import CapabilityError
from chatkit.model.options import OutboxLimits
from chatkit.ports.store import Row, Store, StoreHeader
from chatkit.testing.clock import VirtualClock
from chatkit.testing.contract.base import Contract, Kit
from chatkit.testing.rows import attempted, batch_of, row


@dataclass
class StoreKit(Kit):
    """One place where stores are opened, one after the other."""

    make: Callable[[OutboxLimits], Store]
    """Makes a store at the one place, not open yet."""
    clock: VirtualClock
    """The clock that stores are made with; tests move it, whatever drives the loop."""
    durable: bool
    """What is kept outlives its owner. Such a store can be let go of by `chatkit.testing.death.Mortal`."""
    searches: bool = True
    """It keeps an index of what is cached."""
    header: StoreHeader | None = field(default=None, init=False)
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


class StorePart(Contract):
    """Tests of stores; those that need what a store lacks assert that it declines it."""

    async def declined(self, kit: StoreKit, needs: frozenset[str]) -> bool:
        """Assert that it keeps nothing, or refuses to search, as it says."""
        lacking = needs - {"durable" if kit.durable else "", "search" if kit.searches else ""}
        if "durable" in lacking:
            async with kit.opened() as store:
                await store.add([row(1)])
                first = kit.header
            async with kit.opened() as store:
                assert await ids(store) == []
                assert kit.header is not None
                assert first is not None
                assert (kit.header.owner_epoch, kit.header.clean) == (1, True)
                assert kit.header.device != first.device
        if "search" in lacking:
            async with kit.opened() as store:
                with pytest.raises(CapabilityError):
                    await store.search("word", limit=1)
        return bool(lacking)
