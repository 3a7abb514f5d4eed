"""A Supabase project on this machine for stories of bad networks: on virtual time, before a real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from itertools import count
from types import TracebackType
from typing import Any, Final, Self

import psycopg

import chatkit
from chatkit.adapters.supabase import topic_of
from chatkit.errors import CapabilityError
from chatkit.logs.postgres import PostgresLog, migrate_supabase
from chatkit.model.options import AuthRequest
from chatkit.ports.log import LogFeature
from chatkit.testing.clock import VirtualClock, VirtualLoop
from chatkit.testing.emulators.clock import EmulatorClock
from chatkit.testing.emulators.supabase import Aim, SupabaseEmulator, SupabaseSettings
from chatkit.testing.emulators.supabase.plain import is_object
from tests.adapters.relay import Relay
from tests.adapters.supabase.app import App
from tests.adapters.supabase.kit import MIGRATED
from tests.logs import postgres_server

MODES: Final = {"database": "", "broadcast": "&mode=broadcast&private=1"}
"""The ways to use a project, with the options that ask for them; both have tokens."""
PUBLIC: Final = "&mode=broadcast"
"""Broadcasts on public channels, where there are no tokens."""
LINGERING: Final = 0.005
"""Real seconds in which PostgreSQL tells what was committed."""


class StoryApp(App):
    """An app on virtual time, whose clients can be cut off; an asynchronous context manager.

    The clock stands still while PostgreSQL works, which knows of real time alone.

    Args:
        database: DSN of the PostgreSQL behind it; `None`: one of its own, which can be stopped.
        config: Of all its clients, as options of their URL.
        clock: Of its clients and of the emulator; `None`: the test runs in real time.
        log: DSN of a log of the app's own, beside which its clients are backends; it is emptied.
        settings: Of the emulator.
    """

    def __init__(
        self,
        database: str | None,
        config: str,
        *,
        clock: VirtualClock | None = None,
        log: str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(database or "", config)
        self.logged = self._schema or log is not None
        self._log = None if log is None else StillLog(log, self._still)
        served_by = None if clock is None else EmulatorClock(lambda: clock.wall().timestamp())
        self.emulator = SupabaseEmulator(
            SupabaseSettings(**settings),
            database=database,
            policy="" if self._schema else None,  # the schema brings its own
            clock=served_by,
        )
        self.signs = True
        """Whether there are tokens to be had."""
        self.broadcast: list[Any] = []
        """Payloads of chatkit's that Realtime took, in their order: those of calls, too."""
        self.ways: dict[str, Relay] = {}
        self.chats: dict[str, chatkit.Chat] = {}
        """Its clients, by their users."""
        self.on_shut: Callable[[str], object] = lambda _: None
        """Told for what reason the service closes a channel."""
        self._began = False
        self._clock = clock
        self._seeds = count(1)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for way in self.ways.values():
            await way.aclose()
        if self._log is not None:
            await self._log.aclose()
        await self.stop()

    async def start(self) -> None:
        """Serve, again after `stop`."""
        with self._still():
            await self.emulator.start()
            if self._schema:
                await asyncio.to_thread(self._prepare)
            elif self._log is not None and not self._began:
                await asyncio.to_thread(postgres_server.empty, self._log.dsn)
                self._began = True
        self._stand_still()
        self._listen()

    async def stop(self) -> None:
        """Be gone; what the database holds stays."""
        with self._still():
            await self.emulator.aclose()

    def member(self, user: str, **options: Any) -> chatkit.Chat:
        """Return a client with tokens of the app, which goes the way of its user."""
        virtual = {} if self._clock is None else {"clock": self._clock, "seed": next(self._seeds)}
        authority = self.emulator.authority
        url = self.by_way(user, authority.anon_key if self._log is None else authority.service_key)
        signed: dict[str, Any] = {} if self._config == PUBLIC else {"auth": self.auth}
        if self._log is not None:
            signed = {"log": self._log}
        given = {"store": ":memory:", **signed, **virtual, **options}
        self.chats[user] = chat = chatkit.connect(url, user=user, **given)
        return chat

    async def auth(self, request: AuthRequest) -> str:
        """Give a token, as an app's sign-in would, unless that is away."""
        if not self.signs:
            raise ConnectionError("the app's sign-in is away")
        return await super().auth(request)

    def way(self, user: str) -> Relay:
        """Return the way that clients of a user take which are made from now on; it can be cut."""
        if user not in self.ways:
            self.ways[user] = Relay(self.emulator.host, self.emulator.port)
        return self.ways[user]

    def by_way(self, user: str, key: str) -> str:
        """Return the address of the project, by the way of a user if there is one."""
        way = self.ways.get(user)
        url = self.url(key)
        return url if way is None else url.replace(f"port={self.emulator.port}", f"port={way.port}")

    # -- what is done to it

    async def do(self, deed: str, aim: Aim = Aim()) -> int:  # noqa: B008  # frozen
        """Do a deed; returns whom it struck."""
        with self._still(LINGERING) if "database" in deed else nullcontext():
            return await self.emulator.deeds.named[deed](aim)

    def connections(self, user: str) -> list[str]:
        """Return the ids of a member's connections: those that joined with a token of theirs."""
        return [
            name
            for name, session in self.emulator.project.sessions.items()
            if any(channel.claims.get("sub") == user for channel in session.channels.values())
        ]

    # -- inside

    def _prepare(self) -> None:
        """Have the schema there, once, and an empty log at first."""
        dsn = self.emulator.database.dsn
        if not self._began:
            if dsn not in MIGRATED:
                migrate_supabase(dsn)
                MIGRATED.add(dsn)
            postgres_server.empty(dsn)
            with psycopg.connect(dsn) as connection:
                connection.execute("SELECT chatkit.add_member('', '*')")
        self._began = True

    def _still(self, lingering: float = 0.0) -> AbstractContextManager[None]:
        loop = asyncio.get_running_loop()
        return loop.still(lingering=lingering) if isinstance(loop, VirtualLoop) else nullcontext()

    def _stand_still(self) -> None:
        """Let no time pass while PostgreSQL answers."""
        database = self.emulator.database
        connections: Any = database.connections
        one, connect = connections.one, type(database).connect

        @asynccontextmanager
        async def one_meanwhile() -> AsyncGenerator[Any]:
            with self._still(LINGERING):
                async with one() as connection:
                    yield connection

        async def connect_meanwhile() -> Any:
            with self._still(LINGERING):
                return await connect(database)

        connections.one = one_meanwhile
        vars(database)["connect"] = connect_meanwhile

    def _listen(self) -> None:
        project = self.emulator.project
        publish = type(project).publish

        def noted(place: Any, broadcast: Any, **but: Any) -> None:
            told = broadcast if is_object(broadcast) else _read(broadcast)
            if told.get("event") == "chatkit":
                self.broadcast.append(told["payload"])
            publish(project, place, broadcast, **but)

        vars(project)["publish"] = noted
        listen = type(project).listen

        def watched(channel: Any) -> None:
            shut = channel.shut

            def told(text: str) -> None:
                self.on_shut(text)
                shut(text)

            channel.shut = told
            listen(project, channel)

        vars(project)["listen"] = watched


class StillLog:
    """A log in PostgreSQL for clients on virtual time, which stands still while it answers.

    Args:
        dsn: Of its database.
        still: Has time stand still meanwhile.
    """

    def __init__(self, dsn: str, still: Callable[[], AbstractContextManager[None]]) -> None:
        self.dsn = dsn
        self._log = PostgresLog(dsn)
        self._still = still

    @property
    def capabilities(self) -> frozenset[LogFeature]:
        """All but `notify`: who waits for a word of the database waits in real time."""
        return self._log.capabilities - {"notify"}

    def changes(self) -> AsyncIterator[str]:
        """Decline."""
        raise CapabilityError("the log tells of nothing on virtual time")

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            with self._still():
                return await getattr(self._log, name)(*args, **kwargs)

        return call


def _read(broadcast: Any) -> dict[str, Any]:
    return {"event": broadcast.event, "payload": json.loads(broadcast.payload)}


def envelopes(payloads: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the messages that broadcasts carried, oldest first."""
    found: list[dict[str, Any]] = []
    for payload in payloads:
        data = payload["data"]
        read = [json.loads(text) for text in (data if isinstance(data, list) else [data])]
        found += [each for each in read if each["kind"] == "message.create"]
    return found


def topic(kind: Any = "live", channel: str = "support") -> str:
    """Return what a channel is called at Supabase."""
    return topic_of(channel, kind)
