"""The project's PostgreSQL: one from a wheel, or one that is given."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from importlib.resources import files
from typing import Any, Final, LiteralString

import psycopg
from psycopg import AsyncConnection

from chatkit.testing.emulators.postgres import PostgresServer
from chatkit.testing.emulators.serving import StartError
from chatkit.testing.emulators.supabase.connections import Connections, Row

OURS_GO: Final = """
DROP POLICY IF EXISTS "chatkit emulator reads" ON realtime.messages;
DROP POLICY IF EXISTS "chatkit emulator writes" ON realtime.messages;
DROP POLICY IF EXISTS "chatkit emulator stores" ON storage.objects;
"""
"""Before policies of a test: those without any, on a database that has been here before."""


class Database:
    """Set up as a project's is; restarted on demand if it is our own.

    Args:
        dsn: Of a database in which schemas, roles and policies may be made; without one a server from the
            wheel is run.
        policy: SQL that makes the policies of `realtime.messages` and whatever else a test needs; without it,
            and where there are none yet, who is signed in may use every private topic but those ending
            `:denied`.
    """

    def __init__(self, dsn: str | None, policy: str | None) -> None:
        self._given = dsn
        self._policy = policy
        self._server: PostgresServer | None = None
        self._connections: Connections | None = None

    @property
    def dsn(self) -> str:
        """Where it is; within this machine alone if it is our own."""
        if self._given is not None:
            return self._given
        return self._own.dsn

    def dsn_of(self, role: str) -> str:
        """As that role; a given database is entered as it was given."""
        if self._given is not None:
            return self._given
        return self._own.dsn.replace("postgres@", f"{role}@", 1)

    @property
    def is_own(self) -> bool:
        """Whether it is one from the wheel."""
        return self._given is None

    @property
    def _own(self) -> PostgresServer:
        if self._server is None:
            raise ValueError(
                "only a PostgreSQL of the emulator's own is stopped and started: give no database"
            )
        return self._server

    async def begin(self) -> None:
        """Run it if it is our own, and set it up.

        Raises:
            StartError: The given one cannot be reached, or does not let itself be set up; or the policy
                fails.
        """
        if self._given is None:
            self._server = PostgresServer()
            await asyncio.to_thread(self._server.begin)
        here = files(__package__ or "")
        default = (here / "policies.sql").read_text(encoding="utf-8")
        schema = (here / "schema.sql").read_text(encoding="utf-8")
        try:
            async with await AsyncConnection.connect(self.dsn) as connection:
                await _run(connection, schema)
                await _run(connection, default if self._policy is None else OURS_GO + self._policy)
        except psycopg.Error as error:
            raise StartError(f"PostgreSQL: {type(error).__name__}: {error.diag.message_primary}") from error
        self._connections = Connections(self.dsn)

    async def end(self) -> None:
        """Let go of it; one of our own leaves nothing."""
        connections, self._connections = self._connections, None
        if connections is not None:
            await connections.close()
        server, self._server = self._server, None
        if server is not None:
            await asyncio.to_thread(server.end)

    @property
    def connections(self) -> Connections:
        """Those for a transaction each."""
        assert self._connections is not None
        return self._connections

    async def fetch(self, sql: LiteralString, parameters: Sequence[Any] = ()) -> list[Row]:
        """The rows of a query, in a transaction of its own.

        Raises:
            psycopg.Error: As it says.
        """
        async with self.connections.one() as connection:
            return await (await connection.execute(sql, parameters)).fetchall()

    async def connect(self) -> AsyncConnection[Row]:
        """A connection of one's own, outside of any transaction.

        Raises:
            psycopg.OperationalError: There is none.
        """
        return await AsyncConnection.connect(self.dsn, autocommit=True)

    async def keep_partitions(self) -> None:
        """Make the partitions of the coming days, if it can be reached."""
        with suppress(psycopg.OperationalError):
            await self.fetch("SELECT realtime.emulator_keeps_partitions()")

    async def stop(self) -> None:
        """Stop our own: its connections are cut, what was committed stays.

        Raises:
            ValueError: It is not ours.
        """
        await asyncio.to_thread(self._own.stop)

    async def start(self) -> None:
        """Start our own again; it answers when this returns.

        Raises:
            ValueError: It is not ours.
        """
        await asyncio.to_thread(self._own.start)


async def _run(connection: AsyncConnection[Row], sql: str) -> None:
    await connection.execute(sql.encode())  # files of ours, and the policy that a test gave
