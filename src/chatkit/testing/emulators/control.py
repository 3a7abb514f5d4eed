"""The control endpoint: what a test in Python does to an emulator, for other languages and processes.

It answers programs on this machine alone, in JSON. A web page cannot use it: what changes anything takes
a JSON content type, which a browser asks about first and is not allowed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

from aiohttp import web
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from chatkit.testing.emulators.faults import CHECKED, CallFault, FrameFault

if TYPE_CHECKING:
    from chatkit.testing.emulators.serving import Emulator

PATH: Final = "/_emulator"
AGE: Final = 1e9
"""Seconds, some thirty years, by which a clock is moved at most."""

Answer = dict[str, Any]


@dataclass(kw_only=True, config=CHECKED)
class _Clock:
    advance: Annotated[float, Field(ge=0, le=AGE)] = 0.0
    skew: Annotated[float, Field(ge=-AGE, le=AGE)] | None = None


@dataclass(kw_only=True, config=CHECKED)
class _Close:
    code: int = 1011
    reason: str = ""


class Control:
    """The paths of one emulator's endpoint; docs/emulators.md tells them to users."""

    def __init__(self, emulator: Emulator[Any]) -> None:
        self._emulator = emulator

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        return [
            web.get(PATH, guarded(self._state)),
            web.patch(f"{PATH}/settings", guarded(self._settings)),
            web.post(f"{PATH}/faults/frame", guarded(self._frame_fault)),
            web.post(f"{PATH}/faults/call", guarded(self._call_fault)),
            web.delete(f"{PATH}/faults", guarded(self._no_faults)),
            web.post(f"{PATH}/clock", guarded(self._clock)),
            web.post(PATH + "/sockets/{name}/{deed:close|abort|stall|resume|deafen}", guarded(self._sockets)),
        ]

    async def _state(self, _: web.Request) -> Answer:
        emulator = self._emulator
        faults = [asdict(fault) for fault in emulator.faults]
        return {
            "name": emulator.name,
            "time": emulator.clock.unix(),
            "settings": asdict(emulator.settings),
            "sockets": {name: emulator.describe(socket) for name, socket in emulator.sockets.items()},
            "faults": [{name: fault[name] for name in fault if name != "when"} for fault in faults],
        }

    async def _settings(self, request: web.Request) -> Answer:
        self._emulator.change(**await _body(dict[str, Any], request))
        return {}

    async def _frame_fault(self, request: web.Request) -> Answer:
        self._emulator.faults.add(await _body(FrameFault, request))
        return {}

    async def _call_fault(self, request: web.Request) -> Answer:
        self._emulator.faults.add(await _body(CallFault, request))
        return {}

    async def _no_faults(self, _: web.Request) -> Answer:
        self._emulator.faults.clear()
        return {}

    async def _clock(self, request: web.Request) -> Answer:
        given = await _body(_Clock, request)
        clock = self._emulator.clock
        if given.skew is not None:
            clock.set_skew(given.skew)
        clock.advance(given.advance)
        return {"time": clock.unix()}

    async def _sockets(self, request: web.Request) -> Answer:
        name, deed = request.match_info["name"], request.match_info["deed"]
        given = await _body(_Close, request)
        sockets = self._emulator.sockets
        chosen = [sockets[each] for each in list(sockets) if name in {"*", each}]
        for socket in chosen:
            match deed:
                case "close":
                    socket.close(given.code, given.reason)
                case "abort":
                    socket.abort()
                case "stall":
                    socket.stall()
                case "resume":
                    socket.resume()
                case _:
                    socket.deaf = True
        return {"sockets": len(chosen)}


def guarded(handler: Callable[[web.Request], Awaitable[Answer]]) -> Any:
    """The handler for this machine alone, its `ValueError`s told as answers."""

    async def answered(request: web.Request) -> web.Response:
        if not _is_here(request.remote):
            return web.json_response({"error": "only for programs on this machine"}, status=403)
        if request.method not in {"GET", "DELETE"} and request.content_type != "application/json":
            return web.json_response({"error": "the content type is application/json"}, status=415)
        try:
            return web.json_response(await handler(request))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            reason = first["msg"].removeprefix("Value error, ")
            return web.json_response({"error": f"{field}: {reason}" if field else reason}, status=400)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)

    return answered


async def _body(kind: Any, request: web.Request) -> Any:
    return TypeAdapter(kind).validate_json(await request.read() or b"{}")


def _is_here(remote: str | None) -> bool:
    """Whether an address is of this machine."""
    return remote is not None and ipaddress.ip_address(remote.partition("%")[0]).is_loopback
