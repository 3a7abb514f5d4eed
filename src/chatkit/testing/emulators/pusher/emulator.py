"""The server: who may connect, and what a test is told of connections."""

from __future__ import annotations

import re
import secrets
from typing import Any, ClassVar, Final

from aiohttp import web

from chatkit.testing.emulators.clock import EmulatorClock
from chatkit.testing.emulators.pusher import frames
from chatkit.testing.emulators.pusher.calls import Calls
from chatkit.testing.emulators.pusher.channels import Channels
from chatkit.testing.emulators.pusher.connection import Connection
from chatkit.testing.emulators.pusher.settings import PusherSettings
from chatkit.testing.emulators.pusher.users import Users
from chatkit.testing.emulators.pusher.webhooks import Webhooks
from chatkit.testing.emulators.serving import Emulator
from chatkit.testing.emulators.sockets import Socket

PROTOCOLS: Final = frozenset({"5", "6", "7"})
VERSION: Final = re.compile(r"\d+(\.\d+)*([.\-+].*)?")

Refusal = tuple[int, str]


class PusherEmulator(Emulator[PusherSettings]):
    """A Pusher Channels app on this machine.

    Frames are labelled by their events: `FrameFault(does="drop", only="pusher:pong")`.

    Args:
        settings: The app and its limits.
        host: Address to listen at.
        port: 0 takes a free one.
        clock: Its time.
    """

    name: ClassVar = "pusher"
    farewell: ClassVar = (4200, "Server restarting: reconnect immediately")

    def __init__(
        self,
        settings: PusherSettings | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: EmulatorClock | None = None,
    ) -> None:
        super().__init__(settings or PusherSettings(), host=host, port=port, clock=clock)
        self.connections: dict[str, Connection] = {}
        """Those that were let in, by their socket ids."""
        self._webhooks = Webhooks(lambda: self.settings, self.clock)
        self._channels = Channels(lambda: self.settings, self.clock, self._webhooks)
        self._users = Users()

    def routes(self) -> list[web.RouteDef]:
        """Connections at /app/KEY, calls at /apps/ID; a connection anywhere else is closed with 4005."""
        calls = Calls(lambda: self.settings, self.clock, self._channels, self._users)
        return [web.get("/app/{key}", self._connect), *calls.routes(), web.get("/{path:.*}", self._lost)]

    async def ended(self) -> None:
        """Tell the app's server nothing more."""
        await self._webhooks.aclose()

    def label(self, frame: str | bytes) -> str:
        """The event of a frame; empty if it has none."""
        return str((frames.parse(frame) or {}).get("event", ""))

    def describe(self, socket: Socket) -> dict[str, Any]:
        """Its channels and its user, too."""
        connection = self.connections.get(socket.name)
        return super().describe(socket) | {
            "channels": sorted(connection.subscribed) if connection else [],
            "user": connection.user.id if connection and connection.user else None,
        }

    # -- who may connect

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        socket_id = f"{secrets.randbelow(10**6)}.{secrets.randbelow(10**9)}"

        async def serve(socket: Socket) -> None:
            refusal = self._judge(request)
            if refusal is not None:
                self._refuse(socket, refusal, request.query.get("protocol"))
                return
            connection = Connection(
                socket,
                socket_id,
                settings=lambda: self.settings,
                clock=self.clock,
                channels=self._channels,
                users=self._users,
                webhooks=self._webhooks,
            )
            self.connections[socket_id] = connection
            try:
                await connection.serve()
            finally:
                del self.connections[socket_id]

        return await self.upgrade(request, serve, name=socket_id)

    async def _lost(self, request: web.Request) -> web.StreamResponse:
        if "Upgrade" not in request.headers:
            raise web.HTTPNotFound

        async def serve(socket: Socket) -> None:
            self._refuse(socket, (4005, "Path not found"), request.query.get("protocol"))

        return await self.upgrade(request, serve)

    def _judge(self, request: web.Request) -> Refusal | None:
        settings, query = self.settings, request.query
        if settings.tls_only:
            return 4000, "Application only accepts SSL connections, reconnect using wss://"
        if request.match_info["key"] != settings.key:
            return 4001, f"App key {request.match_info['key']} not in this cluster"
        if not settings.enabled:
            return 4003, "Application disabled"
        if "protocol" not in query and not settings.any_protocol:
            return 4008, "No protocol version supplied"
        if query.get("protocol") not in PROTOCOLS and not settings.any_protocol:
            return 4007, "Unsupported protocol version"
        if "version" in query and not VERSION.fullmatch(query["version"]):
            return 4006, "Invalid version string format"
        counted = list(self.connections.values())
        if settings.authorized_connections:
            counted = [connection for connection in counted if connection.authorized]
        if len(counted) >= settings.connections:
            return 4004, "Application is over connection quota"
        if settings.over_capacity:
            return 4100, "Over capacity"
        return None

    def _refuse(self, socket: Socket, refusal: Refusal, protocol: str | None) -> None:
        code, reason = refusal
        if self.settings.legacy_error_frame or protocol == "5":
            socket.send(frames.error(reason, code))
        socket.close(code, reason)
