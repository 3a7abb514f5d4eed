"""The contract of stores, over each store there is."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from chatkit.model.options import OutboxLimits
from chatkit.stores import open_store
from chatkit.testing.clock import VirtualClock
from tests.stores.contract import Kit
from tests.stores.contract_attempts import AttemptsContract
from tests.stores.contract_life import DurableContract, LifeContract
from tests.stores.contract_outbox import OutboxContract
from tests.stores.contract_search import SearchContract
from tests.stores.contract_timeline import TimelineContract


def kit_of(spec: str | None, clock: VirtualClock, **options: Any) -> Kit:
    random = Random(7)
    options = {"durability": "process"} | options

    def make(limits: OutboxLimits) -> Any:
        return open_store(spec, limits=limits, clock=clock, random=random, **options)

    return Kit(make, clock, durable=spec is not None)


class TestMemory(OutboxContract, AttemptsContract, TimelineContract, SearchContract, LifeContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock) -> Kit:
        return kit_of(None, clock)


class TestInline(
    OutboxContract, AttemptsContract, TimelineContract, SearchContract, LifeContract, DurableContract
):
    @pytest.fixture
    def kit(self, clock: VirtualClock, tmp_path: Path) -> Kit:
        return kit_of(str(tmp_path / "ada.db"), clock, inline=True)


@pytest.mark.realtime
class TestPower(
    OutboxContract, AttemptsContract, TimelineContract, SearchContract, LifeContract, DurableContract
):
    @pytest.fixture
    def kit(self, clock: VirtualClock, tmp_path: Path) -> Kit:
        return kit_of(str(tmp_path / "ada.db"), clock, durability="power")


@pytest.mark.long  # the same again, less surely on the disk
@pytest.mark.realtime
class TestProcess(
    OutboxContract, AttemptsContract, TimelineContract, SearchContract, LifeContract, DurableContract
):
    @pytest.fixture
    def kit(self, clock: VirtualClock, tmp_path: Path) -> Kit:
        return kit_of(str(tmp_path / "ada.db"), clock)


@pytest.mark.realtime
class TestDirectory(
    OutboxContract, AttemptsContract, TimelineContract, SearchContract, LifeContract, DurableContract
):
    @pytest.fixture
    def kit(self, clock: VirtualClock, tmp_path: Path) -> Kit:
        return kit_of(f"{tmp_path}/outbox/", clock)


@pytest.mark.long  # the same again without threads
class TestInlineDirectory(
    OutboxContract, AttemptsContract, TimelineContract, SearchContract, LifeContract, DurableContract
):
    @pytest.fixture
    def kit(self, clock: VirtualClock, tmp_path: Path) -> Kit:
        return kit_of(f"{tmp_path}/outbox/", clock, inline=True)
