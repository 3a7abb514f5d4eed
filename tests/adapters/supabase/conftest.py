"""What tests of the Supabase adapter share: one PostgreSQL a worker, a database for each module."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime

import pytest

from chatkit.testing.clock import VirtualClock


@pytest.fixture(scope="module")
def database(postgres: str) -> Generator[str]:
    """The DSN of a database, behind an emulator for each test."""
    from tests.logs import postgres_server

    with postgres_server.database(postgres) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def log(postgres: str) -> Generator[str]:
    """The DSN of a log of the app's own, apart from the project's database."""
    from chatkit.logs.postgres import migrate
    from tests.logs import postgres_server

    with postgres_server.database(postgres) as dsn:
        migrate(dsn)
        yield dsn


@pytest.fixture
def clock() -> VirtualClock:
    """The virtual clock of a test; it begins when the test does: PostgreSQL has no other time."""
    return VirtualClock(datetime.now(UTC))
