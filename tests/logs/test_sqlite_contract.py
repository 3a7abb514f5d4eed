"""The contract of logs, over the log in a file: worked in its caller, and on threads of its own."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from chatkit.logs.sqlite.log import SqliteLog
from chatkit.ports.log import Log
from chatkit.testing.clock import VirtualClock
from chatkit.testing.contract import LogContract, LogKit


def kit_of(path: Path, clock: VirtualClock, *, realtime: bool = False, **options: Any) -> LogKit:
    seeds = count(1)
    options = {"durability": "process"} | options

    def make() -> SqliteLog:
        return SqliteLog(str(path), clock=clock, random=Random(next(seeds)), **options)

    async def restored(log: Log) -> Log:
        assert isinstance(log, SqliteLog)
        await log.restored()
        return make()

    async def age(seconds: float) -> None:
        clock.advance(seconds)

    return LogKit(make, restored, age, clock.advance, loop_clock=None if realtime else clock)


class TestInline(LogContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock, tmp_path: Path) -> LogKit:
        return kit_of(tmp_path / "shop.db", clock, inline=True)


@pytest.mark.long  # the same again on threads and a synced disk
class TestThreads(LogContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock, tmp_path: Path) -> LogKit:
        return kit_of(tmp_path / "shop.db", clock, realtime=True)
