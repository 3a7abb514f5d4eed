"""The contract of stores, over each store there is."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from chatkit.model.options import OutboxLimits
from chatkit.stores import open_store
from chatkit.testing.clock import VirtualClock
from chatkit.testing.contract import StoreContract, StoreKit


def kit_of(spec: str | None, clock: VirtualClock, *, realtime: bool = False, **options: Any) -> StoreKit:
    random = Random(7)
    searches = options.get("index", True)
    options = {"durability": "process"} | options

    def make(limits: OutboxLimits) -> Any:
        return open_store(spec, limits=limits, clock=clock, random=random, **options)

    return StoreKit(
        make, clock, durable=spec is not None, searches=searches, loop_clock=None if realtime else clock
    )


class TestMemory(StoreContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock) -> StoreKit:
        return kit_of(None, clock)


class TestInline(StoreContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock, tmp_path: Path) -> StoreKit:
        return kit_of(str(tmp_path / "ada.db"), clock, inline=True)


class TestPower(StoreContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock, tmp_path: Path) -> StoreKit:
        return kit_of(str(tmp_path / "ada.db"), clock, durability="power", realtime=True)


@pytest.mark.long  # the same again, less surely on the disk
class TestProcess(StoreContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock, tmp_path: Path) -> StoreKit:
        return kit_of(str(tmp_path / "ada.db"), clock, realtime=True)


class TestDirectory(StoreContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock, tmp_path: Path) -> StoreKit:
        return kit_of(f"{tmp_path}/outbox/", clock, realtime=True)


@pytest.mark.long  # the same again without threads
class TestInlineDirectory(StoreContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock, tmp_path: Path) -> StoreKit:
        return kit_of(f"{tmp_path}/outbox/", clock, inline=True)


@pytest.mark.long  # the same again but for the search
class TestWithoutIndex(StoreContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock, tmp_path: Path) -> StoreKit:
        return kit_of(str(tmp_path / "ada.db"), clock, inline=True, index=False)
