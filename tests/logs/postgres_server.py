"""A PostgreSQL server for tests, from a wheel; or the one that `CHATKIT_TEST_POSTGRES` names."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import psycopg

from chatkit.testing.emulators.postgres import EVERYBODY, PostgresServer

GIVEN: Final = "CHATKIT_TEST_POSTGRES"
"""Names the DSN of a server on which databases and roles may be made."""
LOCKED: Final = "locked"
"""A role that must give a password, on a server of ours."""


@contextmanager
def server() -> Generator[str]:
    """Yield the DSN of a running server, which has ended after the block."""
    given = os.environ.get(GIVEN)
    if given:
        yield given
        return
    with PostgresServer(access=f"local all {LOCKED} scram-sha-256\n{EVERYBODY}") as made:
        yield made.dsn


@contextmanager
def database(dsn: str) -> Generator[str]:
    """Yield the DSN of an empty database, which is dropped after the block."""
    name = f"chatkit_{secrets.token_hex(6)}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'".encode())
        try:
            yield with_database(dsn, name)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def with_database(dsn: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    head, _, options = dsn.partition("?")
    start, _, _ = head.rpartition("/")
    return f"{start}/{name}" + (f"?{options}" if options else "")


def empty(dsn: str) -> None:
    """Empty the log in a database."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = connection.execute(
            "SELECT string_agg(format('DELETE FROM %I.%I', schemaname, tablename), '; ') FROM pg_tables"
            " WHERE schemaname = 'chatkit' AND tablename NOT IN ('header', 'migrations')"
        ).fetchone()
        assert found is not None
        connection.execute(found[0].encode())  # TRUNCATE makes new files of all tables and indexes
