"""The server: Ably's paths on one port."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from aiohttp import web
from pydantic import TypeAdapter

from chatkit.testing.emulators import control
from chatkit.testing.emulators.ably import rest_app, rest_channels, sse
from chatkit.testing.emulators.ably.application import Application
from chatkit.testing.emulators.ably.deeds import Aim, Deeds
from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.faults import Fault
from chatkit.testing.emulators.ably.plain import is_list, is_object
from chatkit.testing.emulators.ably.rest import Handler, served
from chatkit.testing.emulators.ably.session import Session
from chatkit.testing.emulators.ably.settings import Settings
from chatkit.testing.emulators.ably.wire import Action, Format, decode
from chatkit.testing.emulators.clock import EmulatorClock
from chatkit.testing.emulators.serving import Emulator
from chatkit.testing.emulators.sockets import Socket

CHANNEL: Final = "/channels/{channel}"
MESSAGE: Final = CHANNEL + "/messages/{serial}"

CALLS: Final[list[tuple[str, str, Handler]]] = [
    ("GET", "/time", rest_app.time),
    ("GET", "/stats", rest_app.stats),
    ("GET", "/channels", rest_app.channels),
    ("GET", "/presence", rest_app.batch_presence),
    ("POST", "/messages", rest_app.batch_publish),
    ("POST", "/keys/{key}/requestToken", rest_app.request_token),
    ("POST", "/keys/{key}/revokeTokens", rest_app.revoke_tokens),
    ("GET", CHANNEL, rest_channels.status),
    ("POST", CHANNEL + "/messages", rest_channels.publish),
    ("GET", CHANNEL + "/messages", rest_channels.history),
    ("GET", CHANNEL + "/history", rest_channels.history),
    ("GET", CHANNEL + "/presence", rest_channels.presence),
    ("GET", CHANNEL + "/presence/history", rest_channels.presence_history),
    ("GET", MESSAGE, rest_channels.message),
    ("PATCH", MESSAGE, rest_channels.change),
    ("GET", MESSAGE + "/versions", rest_channels.versions),
    ("POST", MESSAGE + "/annotations", rest_channels.annotate),
    ("GET", MESSAGE + "/annotations", rest_channels.list_annotations),
]


class AblyEmulator(Emulator[Settings]):
    """Ably on this machine; an async context manager that serves within.

        async with AblyEmulator(Settings(keys=("app.key:secret",))) as ably:
            ...  # a client connects to ably.host and ably.port without TLS

    Args:
        settings: How it behaves; replaced as a whole by `change`.
        host: Address to listen at.
        port: 0 takes a free one, which `port` then tells.
        clock: Its time; every limit of time follows it.
    """

    name: ClassVar[str] = "ably"
    farewell: ClassVar[tuple[int, str]] = (1001, "the emulator ends")

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: EmulatorClock | None = None,
    ) -> None:
        super().__init__(settings or Settings(), host=host, port=port, clock=clock)
        self.app = Application(self.settings, self.clock)
        self.deeds = Deeds(self.app)
        self._sessions: dict[str, Session] = {}

    @property
    def protocol_faults(self) -> list[Fault]:
        """Those of this protocol that wait; add with `add_fault`."""
        return list(self.app.faults)

    def add_fault(self, fault: Fault) -> Fault:
        """Let a fault of this protocol wait for what it concerns.

        Raises:
            ValueError: Too many wait.
        """
        return self.app.faults.add(fault)

    def change(self, **settings: Any) -> None:
        """Behave differently from now on.

        Raises:
            ValueError: A setting is unknown, or its value not of its type; nothing has changed.
        """
        given = {name: _as_settings_have_it(value) for name, value in settings.items()}
        super().change(**given)
        self.app.use(self.settings)

    async def start(self) -> None:
        """Serve from when this returns.

        Raises:
            OSError: Nothing can listen there.
        """
        await super().start()
        self.app.keep_tidy()

    async def aclose(self) -> None:
        """Stop listening, send clients away, leave nothing."""
        for stream in list(self.app.streams):
            stream.close()
        await super().aclose()

    def routes(self) -> list[web.RouteDef]:
        """Its calls, its socket, and what the control endpoint has beside the common part."""
        calls = [
            web.route(method, path, served(lambda: self.app, handler)) for method, path, handler in CALLS
        ]
        return [
            web.get("/", self._socket),
            web.get("/sse", self._stream),
            web.get("/event-stream", self._stream),
            *calls,
            web.post(f"{control.PATH}/ably/fault", control.guarded(self._add_fault)),
            web.delete(f"{control.PATH}/ably/faults", control.guarded(self._no_faults)),
            web.post(f"{control.PATH}/ably/{{deed}}", control.guarded(self._do)),
            web.route("*", r"/{rest:[\s\S]*}", served(lambda: self.app, _unknown)),
        ]

    def label(self, frame: str | bytes) -> str:
        """The name of a frame's action."""
        try:
            wire = decode(frame, Format.MSGPACK if isinstance(frame, bytes) else Format.JSON)
            return Action(wire.get("action") or 0).name
        except (AblyError, AttributeError, ValueError):
            return "unknown"

    def describe(self, socket: Socket) -> dict[str, Any]:
        """What the control endpoint tells of a connection beside its id."""
        session = self._sessions.get(socket.name)
        return {**super().describe(socket), **(session.describe() if session is not None else {})}

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if "Upgrade" not in request.headers:
            return await served(lambda: self.app, _unknown)(request)
        if not self.settings.websockets:
            return web.Response(status=403, text="no WebSockets here")

        async def serve(socket: Socket) -> None:
            session = self._sessions[socket.name] = Session(self.app, socket, request.query)
            try:
                await session.run()
            finally:
                del self._sessions[socket.name]

        try:
            return await self.upgrade(request, serve)
        except ConnectionError:
            return web.Response()  # the client went before it was a socket

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        return await sse.serve(self.app, request)

    # ------------------------------------------------------------------------------- the control endpoint

    async def _add_fault(self, request: web.Request) -> dict[str, Any]:
        self.add_fault(TypeAdapter(Fault).validate_json(await request.read() or b"{}"))
        return {}

    async def _no_faults(self, _: web.Request) -> dict[str, Any]:
        self.app.faults.clear()
        return {}

    async def _do(self, request: web.Request) -> dict[str, Any]:
        name = request.match_info["deed"]
        deed = self.deeds.named.get(name.replace("_", "-"))
        if deed is None:
            raise ValueError(f"no deed {name!r}: one of {', '.join(sorted(self.deeds.named))}")
        return {"struck": deed(TypeAdapter(Aim).validate_json(await request.read() or b"{}"))}


def _as_settings_have_it(value: Any) -> Any:
    """Lists, as JSON has them, as tuples; also within `rules`."""
    if is_list(value):
        return tuple(value)
    if is_object(value):
        return {name: _as_settings_have_it(each) for name, each in value.items()}
    return value


async def _unknown(call: Any) -> Any:
    raise AblyError(40400, f"no such path: {call.request.method} {call.request.path}")
