"""The engine on each kind of log."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from random import Random

import pytest

from chatkit.engine.system import SystemClock
from chatkit.logs import open_log
from chatkit.testing.clock import VirtualClock
from tests.engine.contract_log import EngineOnLog, LogKit


class TestSqliteInline(EngineOnLog):
    """On virtual time, all in the caller."""

    @pytest.fixture
    def kit(self, clock: VirtualClock, tmp_path: Path) -> LogKit:
        url, seeds = f"sqlite:///{tmp_path}/log/shared.db", count()
        return LogKit(
            clock,
            lambda: open_log(url, clock=clock, random=Random(next(seeds)), durability="process", inline=True),
            timed=True,
        )


@pytest.mark.realtime
class TestSqlite(EngineOnLog):
    """In real time, on threads, as in life."""

    @pytest.fixture
    def kit(self, tmp_path: Path) -> LogKit:
        clock = SystemClock()
        url, seeds = f"sqlite:///{tmp_path}/log/shared.db", count()
        return LogKit(clock, lambda: open_log(url, clock=clock, random=Random(next(seeds))), timed=False)
