"""Logs in PostgreSQL, for tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg

from chatkit.logs.postgres import PostgresLog

Session = psycopg.Connection[tuple[Any, ...]]


@asynccontextmanager
async def opened(dsn: str, **options: Any) -> AsyncGenerator[PostgresLog]:
    """A log, closed after the block."""
    log = PostgresLog(dsn, **options)
    try:
        yield log
    finally:
        await log.aclose()


@contextmanager
def session(dsn: str) -> Generator[Session]:
    """A session of somebody else's, in autocommit."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def ask(dsn: str, query: str, *values: Any) -> Any:
    """Return the first value that a query gives; `None`: it gives none."""
    with session(dsn) as connection:
        cursor = connection.execute(query.encode(), values)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None
