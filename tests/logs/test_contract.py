"""The contract of logs, over each log there is."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from chatkit.adapters.memory import Faults
from chatkit.logs.memory import MemoryLog
from chatkit.ports.log import Log
from chatkit.testing.clock import VirtualClock
from tests.adapters.world import World
from tests.logs.contract import Kit
from tests.logs.contract_append import AppendContract
from tests.logs.contract_doors import CapabilitiesContract, DoorsContract
from tests.logs.contract_erase import EraseContract, TrimContract
from tests.logs.contract_hostile import HostileContract
from tests.logs.contract_pages import PagesContract
from tests.logs.contract_read import ReadContract
from tests.logs.contract_registers import RegistersContract, UnreadContract
from tests.logs.contract_rights import RightsContract
from tests.logs.contract_search import SearchContract


class WholeContract(
    AppendContract,
    RightsContract,
    ReadContract,
    PagesContract,
    EraseContract,
    TrimContract,
    RegistersContract,
    UnreadContract,
    SearchContract,
    HostileContract,
    DoorsContract,
    CapabilitiesContract,
):
    """What a log that can do everything owes."""


class TestMemory(WholeContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock) -> Kit:
        log = MemoryLog(clock, Random(1))

        async def restored(_: Log) -> Log:
            return MemoryLog(clock, Random(2))  # of memory there is no backup but an empty one

        async def age(seconds: float) -> None:
            clock.advance(seconds)

        return Kit(lambda: log, restored, age, clock.advance)


def behind_a_network(clock: VirtualClock, **config: Any) -> Kit:
    """A hub's own log, or history, as a client reaches it; all takes a while."""

    def made(seed: int) -> Log:
        world = World(clock, seed=seed)
        world.network.set_faults(Faults(delay=(0.001, 0.05)))
        log = world.adapter(**config).log
        assert log is not None
        return log

    log = made(1)

    async def restored(_: Log) -> Log:
        return made(2)

    async def age(seconds: float) -> None:
        clock.advance(seconds)

    return Kit(lambda: log, restored, age, clock.advance)


class TestRemote(WholeContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock) -> Kit:
        return behind_a_network(clock)


@pytest.mark.long  # much the same as memory, by another profile
class TestSupabaseLike(AppendContract, RightsContract, RegistersContract, CapabilitiesContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock) -> Kit:
        return behind_a_network(clock, like="supabase")


class TestAblyLike(CapabilitiesContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock) -> Kit:
        return behind_a_network(clock, like="ably")


class TestWindow(CapabilitiesContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock) -> Kit:
        return behind_a_network(clock, history=60.0)
