"""The engine's stories, and a channel's way out and in again, on a log in PostgreSQL."""

from __future__ import annotations

import pytest

from chatkit.engine.system import SystemClock
from chatkit.logs.postgres import PostgresLog
from tests.engine.contract_log import EngineOnLog, LogKit
from tests.logs.postgres_kit import opened
from tests.logs.test_transcript import SIZES, corpus, messages, put


@pytest.mark.realtime
class TestPostgres(EngineOnLog):
    """In real time; each client has a pool of its own, as processes would."""

    @pytest.fixture
    def kit(self, emptied: str) -> LogKit:
        return LogKit(SystemClock(), lambda: PostgresLog(emptied), timed=False)


@pytest.mark.realtime
@SIZES
async def test_real_talk_comes_out_of_a_database_as_it_went_in(emptied: str, size: int) -> None:
    """Thousands of lines, equal to the last."""
    lines = corpus(size)
    async with opened(emptied) as log:
        done = await put(log, lines)

        assert done.counts == {"new": size}
        assert await messages(log) == lines
