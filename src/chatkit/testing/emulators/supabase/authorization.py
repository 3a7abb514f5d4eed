"""Who may what on a private topic: the row-level security of `realtime.messages`, asked by trial rows.

The trials are in transactions that are rolled back, as the server's are: what a policy sees is what it would
see of a real row.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

import psycopg
from psycopg import AsyncConnection, errors

from chatkit.testing.emulators.supabase.connections import Row
from chatkit.testing.emulators.supabase.database import Database
from chatkit.testing.emulators.supabase.plain import Object, dumps

Extension = Literal["broadcast", "presence"]
BOTH: Final[tuple[Extension, ...]] = ("broadcast", "presence")


@dataclass(kw_only=True)
class Policies:
    """What is known of somebody's rights on a topic; `None` is not asked yet."""

    broadcast_read: bool | None = None
    broadcast_write: bool | None = None
    presence_read: bool | None = None
    presence_write: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Who:
    """Who asks, and of what.

    Attributes:
        topic: Without its prefix.
        claims: Of the token.
        headers: Of the request, those that start `x-`.
    """

    topic: str
    claims: Object
    headers: dict[str, str]


class Undecided(Exception):
    """It cannot be known what a policy would say.

    Args:
        code: As a join says it.
        text: Likewise.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class Authorization:
    """Asks the policies.

    Args:
        database: Whose.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, policies: Policies, who: Who, *, presence: bool) -> None:
        """Learn what may be read: of presence only if it is asked.

        Raises:
            Undecided: It cannot be known now.
        """
        asked = BOTH if presence else BOTH[:1]
        seen: set[str] = set()
        try:
            async with self._trial() as connection:
                seen = await _read(connection, who, asked)
        except psycopg.Error as error:
            _settle(error)
        policies.broadcast_read = "broadcast" in seen
        if presence:
            policies.presence_read = "presence" in seen

    async def write(self, policies: Policies, who: Who) -> None:
        """Learn what may be written.

        Raises:
            Undecided: It cannot be known now.
        """
        allowed: set[str] = set()
        try:
            async with self._trial() as connection:
                allowed = await _written(connection, who)
        except psycopg.Error as error:
            _settle(error)
        policies.broadcast_write = "broadcast" in allowed
        policies.presence_write = "presence" in allowed

    @asynccontextmanager
    async def _trial(self) -> AsyncGenerator[AsyncConnection[Row]]:
        async with (
            self._database.connections.one() as connection,
            connection.transaction(force_rollback=True),
        ):
            yield connection


async def _read(connection: AsyncConnection[Row], who: Who, asked: tuple[Extension, ...]) -> set[str]:
    rows = {_uuid(): extension for extension in asked}
    for row, extension in rows.items():
        await connection.execute(
            "INSERT INTO realtime.messages (id, topic, extension) VALUES (%s, %s, %s)",
            (row, who.topic, extension),
        )
    await _become(connection, who)
    found = await connection.execute("SELECT id FROM realtime.messages WHERE id = ANY(%s)", (list(rows),))
    return {rows[row] for (row,) in await found.fetchall()}


async def _written(connection: AsyncConnection[Row], who: Who) -> set[str]:
    await _become(connection, who)
    allowed: set[str] = set()
    for extension in BOTH:
        try:
            async with connection.transaction():
                await connection.execute(
                    "INSERT INTO realtime.messages (topic, extension) VALUES (%s, %s)", (who.topic, extension)
                )
        except errors.InsufficientPrivilege:
            continue
        allowed.add(extension)
    return allowed


async def _become(connection: AsyncConnection[Row], who: Who) -> None:
    role, subject = who.claims["role"], who.claims.get("sub")
    await connection.execute(
        "SELECT set_config('role', %s, true), set_config('realtime.topic', %s, true),"
        " set_config('request.jwt.claims', %s, true), set_config('request.jwt.claim.sub', %s, true),"
        " set_config('request.jwt.claim.role', %s, true), set_config('request.headers', %s, true)",
        (str(role), who.topic, dumps(who.claims), subject, str(role), dumps(who.headers)),
    )


def _settle(error: psycopg.Error) -> None:
    """Raise what is not the policy's own word; what is means no."""
    if isinstance(error, errors.QueryCanceled):
        raise Undecided("QueryCanceled", "Query was cancelled, please try again") from error
    if isinstance(error, errors.CheckViolation):  # no partition takes the row
        text = "Realtime was unable to find the expected messages partition"
        raise Undecided("MissingPartition", text) from error
    if isinstance(error, psycopg.OperationalError):
        text = "Realtime was unable to connect to the project database"
        raise Undecided("UnableToConnectToProject", text) from error


def _uuid() -> UUID:
    return UUID(bytes=secrets.token_bytes(16), version=4)
