"""The contract of logs, over each log there is."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from chatkit.adapters.memory import Faults
from chatkit.errors import CapabilityError
from chatkit.logs.memory import MemoryLog
from chatkit.model.order import Ident
from chatkit.ports.log import Log, LogFeature
from chatkit.testing.clock import VirtualClock
from chatkit.testing.contract import LogContract, LogKit
from chatkit.testing.contract.log import (
    AppendContract,
    CapabilitiesContract,
    RegistersContract,
    RightsContract,
)
from tests.adapters.world import World


class TestMemory(LogContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock) -> LogKit:
        log = MemoryLog(clock, Random(1))

        async def restored(_: Log) -> Log:
            return MemoryLog(clock, Random(2))  # of memory there is no backup but an empty one

        async def age(seconds: float) -> None:
            clock.advance(seconds)

        return LogKit(lambda: log, restored, age, clock.advance, loop_clock=clock)


def behind_a_network(clock: VirtualClock, **config: Any) -> LogKit:
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

    return LogKit(lambda: log, restored, age, clock.advance, loop_clock=clock)


class TestRemote(LogContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock) -> LogKit:
        return behind_a_network(clock)


@pytest.mark.long  # much the same as memory, by another profile
class TestSupabaseLike(AppendContract, RightsContract, RegistersContract, CapabilitiesContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock) -> LogKit:
        return behind_a_network(clock, like="supabase")


class TestAblyLike(CapabilitiesContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock) -> LogKit:
        return behind_a_network(clock, like="ably")


@pytest.mark.long  # mostly that it declines
class TestWindow(LogContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock) -> LogKit:
        return behind_a_network(clock, history=60.0)


class Poor(MemoryLog):
    """It numbers and fences, and shows entries; the rest it declines."""

    def __init__(self, clock: VirtualClock, random: Random) -> None:
        super().__init__(clock, random)

    @property
    def capabilities(self) -> frozenset[LogFeature]:
        return frozenset({"append", "fence"})

    def __getattribute__(self, name: str) -> Any:
        if name in {"get", "versions", "put", "registers", "unread", "search", "trim", "changes"}:
            return _decline
        return super().__getattribute__(name)

    async def messages(self, channel: str, /, *, thread: Ident | None = None, **options: Any) -> Any:
        return _decline() if thread is not None else await super().messages(channel, **options)


def _decline(*_: Any, **__: Any) -> Any:
    raise CapabilityError("this log is poor")


@pytest.mark.long  # mostly that it declines
class TestPoor(LogContract):
    """A log that lacks most passes all the same."""

    @pytest.fixture
    def kit(self, clock: VirtualClock) -> LogKit:
        log = Poor(clock, Random(1))

        async def restored(_: Log) -> Log:
            return Poor(clock, Random(2))

        async def age(seconds: float) -> None:
            clock.advance(seconds)

        return LogKit(lambda: log, restored, age, clock.advance, loop_clock=clock)
