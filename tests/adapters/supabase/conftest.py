"""What tests of the Supabase adapter share: one PostgreSQL a worker, a database for each module."""

from __future__ import annotations

from collections.abc import Generator

import pytest


@pytest.fixture(scope="module")
def database(postgres: str) -> Generator[str]:
    """The DSN of a database, behind an emulator for each test."""
    from tests.logs import postgres_server

    with postgres_server.database(postgres) as dsn:
        yield dsn
