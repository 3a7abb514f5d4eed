"""Logs in an emulated Supabase project, called as its users call them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

import httpx
import psycopg

from chatkit.adapters.supabase.rpc import ANSWER, Rpc, RpcLog
from chatkit.logs.postgres import migrate_supabase
from chatkit.ports.log import Log
from chatkit.testing.contract import LogKit
from chatkit.testing.emulators.supabase import SupabaseSettings
from chatkit.testing.emulators.supabase.tokens import Authority
from chatkit.transport import http_client
from tests.logs import postgres_server
from tests.logs.postgres_kit import ask

AUTHORITY: Final = Authority(SupabaseSettings, time.time)
"""Signs the tokens of its users."""


class Door(RpcLog):
    """A log with a client of its own for its calls.

    Args:
        url: Of the project.
        key: As `apikey`.
        token: Whose calls they are; `None`: whose the key is.
    """

    def __init__(self, url: str, key: str, token: str | None = None) -> None:
        self.client = http_client(verify=False, local=True, most=ANSWER)
        self.given = Given(key, token)
        super().__init__(Rpc(url, self.client, self.given))

    async def aclose(self) -> None:
        """Close its client."""
        await self.client.aclose()


class Restored(Log, Protocol):
    """A log that can be told that a backup was put in its place."""

    async def restored(self) -> str:
        """Give it a new id, and return it."""
        ...


@dataclass
class Given:
    """Credentials that a test gives. `fresh`: those that follow where one is refused."""

    key: str
    token: str | None
    fresh: list[str] = field(default_factory=list[str])

    @property
    def renewable(self) -> bool:
        return bool(self.fresh)

    async def headers(self) -> Mapping[str, str]:
        return {"apikey": self.key, "Authorization": f"Bearer {self.token or self.key}"}

    def refused(self) -> None:
        self.token = self.fresh.pop(0)


@dataclass
class Project:
    """A project with the schema."""

    url: str
    dsn: str
    anon_key: str
    service_key: str

    def service(self) -> Door:
        """Whoever holds the secret key."""
        return Door(self.url, self.service_key)

    def anybody(self) -> Door:
        """Nobody who is signed in."""
        return Door(self.url, self.anon_key)

    def user(self, name: str, **claims: Any) -> Door:
        """A user."""
        return Door(
            self.url,
            self.anon_key,
            AUTHORITY.token(name, **claims),
        )

    def member(self, channel: str, user: str, *, writes: bool = True) -> None:
        """Make somebody a member, as an app does."""
        ask(self.dsn, "SELECT chatkit.add_member(%s, %s, %s)", channel, user, writes)

    def kit(self, make: Callable[[], Restored] | None = None) -> LogKit:
        """What the contract asks for; `make` opens a door, by the secret key where it is not given."""
        opened = make or self.service

        async def restored(log: Log) -> Log:
            await cast("Restored", log).restored()
            return opened()

        async def age(seconds: float) -> None:
            with psycopg.connect(self.dsn, autocommit=True) as connection:
                for table in ("entries", "lanes", "texts", "channels"):
                    query = f"UPDATE chatkit.{table} SET at = at - %s * interval '1 second'"
                    connection.execute(query.encode(), (seconds,))

        return LogKit(opened, restored, age)

    def await_functions(self) -> None:
        """Wait until PostgREST has looked at the schema again, as it was told to."""
        headers = {"apikey": self.service_key, "Authorization": f"Bearer {self.service_key}"}
        asked = None
        for _ in range(200):
            asked = httpx.post(f"{self.url}/rest/v1/rpc/chatkit_heads", headers=headers, json={"names": []})
            if asked.status_code == 200:
                return
            time.sleep(0.05)
        raise AssertionError(asked)

    def empty(self) -> None:
        """Empty the log, and forget the members."""
        postgres_server.empty(self.dsn)


@contextmanager
def serving(database: str, *, postgrest: str | None = None) -> Generator[Project]:
    """A project that has the schema, served by a process of its own.

    Args:
        database: DSN of an empty one.
        postgrest: Its path; without one the emulator's own equivalent answers.
    """
    program = "from chatkit.cli import main; main()"
    command = [sys.executable, "-c", program, "dev", "supabase", "--database-url", database]
    command += [] if postgrest is None else ["--postgrest", postgrest]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            url, anon, service = (running.stdout.readline().split()[-1] for _ in range(3))
            migrate_supabase(database)
            project = Project(url, database, anon, service)
            project.await_functions()
            yield project
        finally:
            running.terminate()
