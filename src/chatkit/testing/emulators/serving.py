"""What every emulator is served by: HTTP and WebSockets on one port, faults, a clean end."""

from __future__ import annotations

import asyncio
import itertools
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from email.utils import formatdate
from types import TracebackType
from typing import Any, ClassVar, Final, Generic, Self, TypeVar

from aiohttp import web
from pydantic.dataclasses import dataclass

from chatkit.testing.emulators import control
from chatkit.testing.emulators.clock import EmulatorClock
from chatkit.testing.emulators.faults import CHECKED, CallFault, Faults
from chatkit.testing.emulators.sockets import Socket

GRACE: Final = 1.0
"""Real seconds that connections and calls are given when the emulator ends; then they are cut."""
ACCEPTING: Final = 3
"""Turns of the loop until a connection that was accepted is one that the server knows and closes."""


@dataclass(frozen=True, kw_only=True, config=CHECKED)
class Settings:
    """What the settings of all emulators have in common.

    Attributes:
        largest_body: Bytes of one call by HTTP; more is answered with 413.
        largest_frame: Bytes of one frame from a client; more closes its connection with 1009.
        close_wait: Real seconds in which a client is to answer the closing of its connection.
    """

    largest_body: int = 16 * 1024 * 1024
    largest_frame: int = 4 * 1024 * 1024
    close_wait: float = 1.0


S = TypeVar("S", bound=Settings)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class StartError(Exception):
    """Something that an emulator needs is not there, or not as it must be."""


class Emulator(ABC, Generic[S]):
    """A provider on this machine; an async context manager that serves within.

    Args:
        settings: How the provider behaves; replaced as a whole by `change`.
        host: Address to listen at.
        port: 0 takes a free one, which `port` then tells.
        clock: Its time; every limit of time follows it.
    """

    name: ClassVar[str]
    """As in `chatkit dev NAME` and in the line `ready NAME URL`."""

    farewell: ClassVar[tuple[int, str]]
    """Close code and reason with which clients are sent away when the emulator ends."""

    dated: ClassVar[bool] = False
    """Whether the header `Date` of its answers tells its clock's time; else it is the machine's."""

    def __init__(
        self, settings: S, *, host: str = "127.0.0.1", port: int = 0, clock: EmulatorClock | None = None
    ) -> None:
        self.settings = settings
        self.host = host
        self.port = port
        self.clock = clock or EmulatorClock()
        self.faults = Faults()
        self.sockets: dict[str, Socket] = {}
        """Connections by their ids."""
        self._numbers = itertools.count(1)
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where it serves: `http://HOST:PORT`."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    # -- what a provider fills in

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """Its calls, and its WebSockets, which it hands to `upgrade`."""

    @abstractmethod
    def label(self, frame: str | bytes) -> str:
        """What a frame is called in a fault's `only`, in either direction; never raises."""

    def describe(self, socket: Socket) -> dict[str, Any]:
        """What the control endpoint tells of a connection beside its id; JSON."""
        return {"stalled": socket.stalled}

    def change(self, **settings: Any) -> None:
        """Behave differently from now on.

        Raises:
            ValueError: A setting is unknown, or its value not of its type; nothing has changed.
        """
        self.settings = replace(self.settings, **settings)

    def announced(self) -> list[str]:
        """Lines that `chatkit dev` says after `ready`."""
        return []

    async def ended(self) -> None:
        """End what it runs beside its connections and calls, which have ended."""

    # -- serving

    async def start(self) -> None:
        """Serve from when this returns.

        Raises:
            OSError: Nothing can listen there.
        """
        app = web.Application(client_max_size=self.settings.largest_body, middlewares=[self._strike])
        app.add_routes([*control.Control(self).routes(), *self.routes()])
        if self.dated:
            app.on_response_prepare.append(self._date)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=GRACE)
        await self._runner.setup()
        assert self._runner.server is not None
        loop = asyncio.get_running_loop()
        try:
            self._listener = await loop.create_server(self._runner.server, self.host, self.port)
        except OSError:
            await self.aclose()
            raise
        self.port = self._listener.sockets[0].getsockname()[1]

    async def aclose(self) -> None:
        """Stop listening, send clients away, leave nothing."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        if self._listener is not None:
            await _stop_listening(self._listener)
        for socket in list(self.sockets.values()):
            socket.close(*self.farewell)
            if socket.stalled:  # it would not hear of it
                socket.abort()
        if self.sockets:
            await asyncio.wait([socket.gone for socket in self.sockets.values()], timeout=GRACE)
        for socket in list(self.sockets.values()):
            socket.abort()
        await runner.cleanup()
        await self.ended()
        self.clock.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # -- for the routes of a provider

    async def upgrade(
        self,
        request: web.Request,
        serve: Callable[[Socket], Awaitable[None]],
        *,
        name: str | None = None,
        protocols: tuple[str, ...] = (),
    ) -> web.StreamResponse:
        """Make a request a WebSocket and serve it.

        Args:
            request: Of a GET with an upgrade.
            serve: Speaks the protocol, usually in `async for frame in socket.frames()`. When it returns, the
                connection is closed with 1000 if it is open.
            name: Id of the connection, unique; else a number.
            protocols: Subprotocols that are spoken.
        """
        response = web.WebSocketResponse(
            autoping=False,
            compress=False,
            max_msg_size=self.settings.largest_frame,
            timeout=self.settings.close_wait,
            protocols=protocols,
        )
        await response.prepare(request)
        name = name or str(next(self._numbers))
        socket = Socket(name, request, response, faults=self.faults, clock=self.clock, label=self.label)
        self.sockets[name] = socket
        try:
            await serve(socket)
            await socket.finish()
        finally:
            socket.abort()
            del self.sockets[name]
            socket.gone.set_result(None)
        return response

    async def _date(self, _: web.Request, answer: web.StreamResponse) -> None:
        answer.headers["Date"] = formatdate(self.clock.unix(), usegmt=True)

    @web.middleware
    async def _strike(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(control.PATH) or "Upgrade" in request.headers:
            return await handler(request)
        authorization = request.headers.get("Authorization", "")
        struck = self.faults.call(request.method, request.path, authorization)
        for fault in struck:
            if fault.moment == "before" and (answer := await self._instead(fault, request)) is not None:
                return answer
        answer = await handler(request)
        for fault in struck:
            if fault.moment == "after":
                answer = await self._instead(fault, request) or answer
        return answer

    async def _instead(self, fault: CallFault, request: web.Request) -> web.StreamResponse | None:
        match fault.does:
            case "delay":
                await self.clock.sleep(fault.seconds)
                return None
            case "reset":
                if request.transport is not None:
                    request.transport.abort()
                return web.Response()  # which nobody gets
            case "fail":
                headers = {"Content-Type": "text/plain; charset=utf-8", **fault.headers}
                return web.Response(status=fault.status, body=fault.body.encode(), headers=headers)


async def _stop_listening(listener: asyncio.Server) -> None:
    """Accept no more; who was accepted is known to the server when this returns, which can close it then.

    A server that is closed between the two forgets such a connection, open as it is.
    """
    with suppress(NotImplementedError):  # a loop without readers accepts in one step
        for listening in listener.sockets:
            asyncio.get_running_loop().remove_reader(listening.fileno())
    for _ in range(ACCEPTING):
        await asyncio.sleep(0)
    listener.close()


async def serve(emulator: Emulator[Any]) -> None:
    """Serve until SIGTERM or SIGINT; say that it does: `ready NAME URL`, and what it announces."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    try:
        async with emulator:
            lines = [f"ready {emulator.name} {emulator.url}", *emulator.announced()]
            sys.stdout.write("".join(f"{line}\n" for line in lines))
            sys.stdout.flush()
            await told.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
