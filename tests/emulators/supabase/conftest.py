"""What tests of the Supabase emulator share."""

from __future__ import annotations

from collections.abc import Generator

import pytest


@pytest.fixture(scope="module")
def database(postgres: str) -> Generator[str]:
    """The DSN of a database; each module has its own."""
    from tests.logs import postgres_server

    with postgres_server.database(postgres) as dsn:
        yield dsn
