"""Stores and logs that break their contract, one way each: `test_keepers.py` says which tests find them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

import pytest

from chatkit.errors import Rejected
from chatkit.logs.memory import MemoryLog
from chatkit.ports import Appended, Batch, Entries, Log, Outgoing, Register, Row
from chatkit.stores.memory import MemoryStore
from chatkit.testing.clock import VirtualClock
from chatkit.testing.contract import LogContract, LogKit, StoreContract, StoreKit

Patch = pytest.MonkeyPatch

append: Final = MemoryLog.append
settle: Final = MemoryStore.settle
add: Final = MemoryStore.add


# -- logs


def log_calls_a_repeat_new(patch: Patch) -> None:
    async def broken(self: MemoryLog, channel: str, entries: Sequence[Outgoing], /) -> Appended:
        found = await append(self, channel, entries)
        return found._replace(acks=tuple(ack._replace(outcome="new") for ack in found.acks))

    patch.setattr(MemoryLog, "append", broken)


def log_fails_a_batch_for_one_row(patch: Patch) -> None:
    async def broken(self: MemoryLog, channel: str, entries: Sequence[Outgoing], /) -> Appended:
        found = await append(self, channel, entries)
        if any(ack.outcome == "refused" for ack in found.acks):
            raise Rejected("one of them was bad")
        return found

    patch.setattr(MemoryLog, "append", broken)


def log_fences_nothing(patch: Patch) -> None:
    async def broken(self: MemoryLog, channel: str, entries: Sequence[Outgoing], /) -> Appended:
        return await append(self, channel, [entry._replace(seq=None) for entry in entries])

    patch.setattr(MemoryLog, "append", broken)


def log_reads_backwards(patch: Patch) -> None:
    honest = MemoryLog.entries

    async def broken(self: MemoryLog, channel: str, /, **options: Any) -> Entries:
        found = await honest(self, channel, **options)
        return found._replace(items=found.items[::-1])

    patch.setattr(MemoryLog, "entries", broken)


def log_lets_marks_go_back(patch: Patch) -> None:
    honest = MemoryLog.put

    async def broken(self: MemoryLog, registers: Sequence[Register], /) -> None:
        await honest(self, [register._replace(merge="newest", key=None) for register in registers])

    patch.setattr(MemoryLog, "put", broken)


def log_trims_nothing(patch: Patch) -> None:
    async def broken(self: MemoryLog, channel: str, before: object, /) -> Any:
        return (await self.heads([channel]))[channel]

    patch.setattr(MemoryLog, "trim", broken)


def log_says_that_it_cannot_search_and_does(patch: Patch) -> None:
    patch.setattr(
        MemoryLog, "capabilities", frozenset({"append", "fence", "fold", "registers", "erase", "notify"})
    )


# -- stores


def store_forgets_keys(patch: Patch) -> None:
    async def broken(self: MemoryStore, rows: Sequence[Row], /) -> Sequence[Row]:
        return await add(self, [row._replace(key=None) for row in rows])

    patch.setattr(MemoryStore, "add", broken)


def store_records_no_attempt(patch: Patch) -> None:
    async def broken(self: MemoryStore, batch: Batch, rows: Sequence[Row], /, *, hlc: str) -> None:
        self._check()

    patch.setattr(MemoryStore, "attempt", broken)


def store_forgets_what_failed(patch: Patch) -> None:
    async def broken(self: MemoryStore, rows: Sequence[Row], /) -> None:
        await settle(self, [row._replace(status="sent") for row in rows])

    patch.setattr(MemoryStore, "settle", broken)


def store_answers_after_its_end(patch: Patch) -> None:
    async def broken(self: MemoryStore) -> None:
        pass

    patch.setattr(MemoryStore, "aclose", broken)


def store_knows_everybody(patch: Patch) -> None:
    async def broken(self: MemoryStore, channel: str, ids: Sequence[Any], /) -> frozenset[Any]:
        return frozenset(ids)

    patch.setattr(MemoryStore, "seen", broken)


def store_says_that_it_is_durable(patch: Patch) -> None:
    patch.setattr(MemoryStore, "durable", True)


def store_says_that_it_cannot_search_and_does(patch: Patch) -> None:
    """Only its kit says so."""


def _log_of(defect: Callable[[Patch], None]) -> type:
    class Broken(LogContract):
        @pytest.fixture
        def kit(self, monkeypatch: Patch) -> LogKit:
            defect(monkeypatch)
            clock = VirtualClock()
            log = MemoryLog(clock, Random(1))

            async def restored(_: Log) -> Log:
                return MemoryLog(clock, Random(2))

            async def age(seconds: float) -> None:
                clock.advance(seconds)

            return LogKit(lambda: log, restored, age, clock.advance, loop_clock=clock)

    return Broken


def _store_of(defect: Callable[[Patch], None]) -> type:
    class Broken(StoreContract):
        @pytest.fixture
        def kit(self, monkeypatch: Patch) -> StoreKit:
            defect(monkeypatch)
            clock = VirtualClock()
            durable, searches = defect is store_says_that_it_is_durable, "search" not in defect.__name__

            def make(limits: Any) -> MemoryStore:
                return MemoryStore(limits=limits, clock=clock, random=Random(1))

            return StoreKit(make, clock, durable=durable, searches=searches, loop_clock=clock)

    return Broken


globals().update(
    {
        f"Test_{name}": (_log_of if name.startswith("log_") else _store_of)(defect)
        for name, defect in tuple(globals().items())
        if name.startswith(("log_", "store_"))
    }
)
