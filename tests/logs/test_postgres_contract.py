"""The contract of logs, over the log in PostgreSQL."""

from __future__ import annotations

import psycopg
import pytest

from chatkit.logs.postgres import PostgresLog
from chatkit.ports.log import Log
from chatkit.testing.contract import LogContract, LogKit


class TestPostgres(LogContract):
    @pytest.fixture
    def kit(self, emptied: str) -> LogKit:
        def make() -> PostgresLog:
            return PostgresLog(emptied)

        async def restored(log: Log) -> Log:
            assert isinstance(log, PostgresLog)
            await log.restored()
            return make()

        async def age(seconds: float) -> None:
            with psycopg.connect(emptied, autocommit=True) as connection:
                for table in ("entries", "lanes", "texts", "channels"):
                    query = f"UPDATE chatkit.{table} SET at = at - %s * interval '1 second'"
                    connection.execute(query.encode(), (seconds,))

        return LogKit(make, restored, age)
