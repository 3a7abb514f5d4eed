"""Connections to PostgreSQL that are used again, and made anew after it was away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection

MOST: Final = 8
"""Connections at a time."""

Row = tuple[Any, ...]


class Connections:
    """A few connections; one that PostgreSQL has ended is replaced when it is needed.

    Args:
        dsn: Of the database.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._idle: list[AsyncConnection[Row]] = []
        self._free = asyncio.Semaphore(MOST)

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[AsyncConnection[Row]]:
        """One of them, for a transaction: committed at the end of the block, rolled back at an error.

        Raises:
            psycopg.OperationalError: PostgreSQL cannot be reached.
        """
        async with self._free:
            connection = await self._alive() or await self._made()
            try:
                async with connection.transaction():
                    yield connection
            except BaseException:
                await connection.close()  # what it is worth now is not known
                raise
            self._idle.append(connection)

    async def close(self) -> None:
        """End those that nobody uses."""
        while self._idle:
            await self._idle.pop().close()

    async def _made(self) -> AsyncConnection[Row]:
        return await AsyncConnection.connect(self._dsn, autocommit=True, prepare_threshold=None)

    async def _alive(self) -> AsyncConnection[Row] | None:
        while self._idle:
            connection = self._idle.pop()
            try:
                await connection.execute("")
            except psycopg.OperationalError:
                await connection.close()
            except BaseException:  # given up, it is nobody's
                await connection.close()
                raise
            else:
                return connection
        return None
