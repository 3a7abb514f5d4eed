"""What tests of logs share."""

from __future__ import annotations

from collections.abc import Generator
from random import Random

import pytest

from chatkit.logs.memory import MemoryLog
from chatkit.testing.clock import VirtualClock


@pytest.fixture
def log(clock: VirtualClock) -> MemoryLog:
    """An empty log."""
    return MemoryLog(clock, Random(1))


@pytest.fixture(scope="module")
def database(postgres: str) -> Generator[str]:
    """The DSN of an empty database; each module has its own."""
    from tests.logs import postgres_server

    with postgres_server.database(postgres) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def migrated(database: str) -> str:
    """The DSN of the module's database, with the tables of a log."""
    from chatkit.logs.postgres import migrate

    migrate(database)
    return database


@pytest.fixture
def emptied(migrated: str) -> Generator[str]:
    """The same, for a test that wants the log empty: it is emptied afterwards."""
    from tests.logs import postgres_server

    yield migrated
    postgres_server.empty(migrated)
