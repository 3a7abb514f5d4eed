"""A Supabase project on this machine, with clients of chatkit and whatever goes wrong."""

from __future__ import annotations

import asyncio
from itertools import count
from types import TracebackType
from typing import Any, Final, Self

import psycopg

import chatkit
from chatkit.adapters.supabase import topic_of
from chatkit.logs.postgres import migrate_supabase
from chatkit.model.options import AuthRequest
from chatkit.testing.emulators.supabase import Aim, SupabaseEmulator, SupabaseSettings
from tests.adapters.seen import PATIENCE, texts, until

__all__ = ["PATIENCE", "App", "texts", "until"]

QUICK: Final[dict[str, Any]] = {
    "join_error_delay": 0.05,
    "connect_error_delay": 0.05,
    "replication_start": 0.05,
    "replication_poll": 0.05,
}
"""Settings of an emulator that keeps nobody waiting."""
_JTI: Final = count(1)


class App:
    """An emulated project; an asynchronous context manager.

    Args:
        database: DSN of the PostgreSQL behind it.
        config: Of all its clients, as options of their URL.
        schema: Whether the project has the schema, open to whoever is signed in.
        postgrest: Path of PostgREST; without one the emulator's small equivalent answers.
        settings: Of the emulator.
    """

    def __init__(
        self,
        database: str,
        config: str = "",
        *,
        schema: bool = True,
        postgrest: str | None = None,
        **settings: Any,
    ) -> None:
        given = SupabaseSettings(**{**QUICK, **settings})
        self.emulator = SupabaseEmulator(given, database=database, postgrest=postgrest)
        self.asked: list[AuthRequest] = []
        self.lifetime = 3_600.0
        """Seconds that a token lives."""
        self._config = config
        self._database = database
        self._schema = schema and "mode=broadcast" not in config

    async def __aenter__(self) -> Self:
        await self.emulator.start()
        if self._schema:
            await asyncio.to_thread(migrate_supabase, self._database, everyone=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.emulator.aclose()

    def url(self, key: str | None = None) -> str:
        """Return the address of the project, with the anon key unless there is another."""
        where = f"local?host=127.0.0.1&port={self.emulator.port}&tls=0"
        return f"supabase://{key or self.emulator.authority.anon_key}@{where}{self._config}"

    def member(self, user: str, **options: Any) -> chatkit.Chat:
        """Return a client of a user who is signed in."""
        asked = (
            {}
            if "mode=broadcast" in self._config and "private=1" not in self._config
            else {"auth": self.auth}
        )
        return chatkit.connect(self.url(), user=user, **{"store": ":memory:", **asked, **options})

    def backend(self, user: str, **options: Any) -> chatkit.Chat:
        """Return a client that holds the service key."""
        key = self.emulator.authority.service_key
        return chatkit.connect(self.url(key), user=user, **{"store": ":memory:", **options})

    async def auth(self, request: AuthRequest) -> str:
        """Give a token, as signing in would."""
        self.asked.append(request)
        return self.token(request.user)

    def token(self, user: str, **claims: Any) -> str:
        """Return a token of a user."""
        return self.emulator.authority.token(user, seconds=self.lifetime, jti=str(next(_JTI)), **claims)

    async def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement as the owner of the database; returns its rows."""

        def run() -> list[tuple[Any, ...]]:
            with psycopg.connect(self._database, autocommit=True) as connection:
                found = connection.execute(statement.encode())
                return found.fetchall() if found.description else []

        return await asyncio.to_thread(run)

    async def cut(self) -> None:
        """End all connections without a goodbye."""
        _ = await self.emulator.deeds.abort(Aim())

    async def shut(self, channel: str, text: str, *, kind: Any = "log") -> int:
        """Close a topic of a channel to everybody, as the server does for a reason."""
        return await self.emulator.deeds.shut(Aim(topic=topic_of(channel, kind), text=text))
