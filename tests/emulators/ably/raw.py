"""A client that speaks Ably's protocol frame by frame and believes nothing."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from multidict import CIMultiDictProxy

from chatkit.testing.emulators.ably import AblyEmulator, Settings
from chatkit.testing.emulators.ably.wire import Action, Format, Wire, decode, encode
from chatkit.testing.emulators.clock import EmulatorClock

KEY: Final = "app.key:secret"
LISTENER: Final = 'app.listener:secret:{"*":["subscribe"]}'


@asynccontextmanager
async def emulated(**settings: Any) -> AsyncGenerator[AblyEmulator]:
    """An emulator without rate limits, unless it is told some."""
    given: dict[str, Any] = {"keys": (KEY, LISTENER), "connection_rate": 0, "channel_rate": 0, **settings}
    async with AblyEmulator(Settings(**given), clock=EmulatorClock()) as emulator:
        yield emulator


class Raw:
    """One socket; an async context manager.

    Args:
        emulator: Where it connects.
        form: In which format it speaks.
        query: Parameters of its URL.
    """

    def __init__(self, emulator: AblyEmulator, form: Format = Format.JSON, /, **query: str) -> None:
        self._emulator = emulator
        self._form = form
        self._query = {"v": "6", "format": str(form), **query}
        if not {"key", "accessToken", "access_token"} & query.keys():
            self._query["key"] = KEY
        self._session = aiohttp.ClientSession()
        self._serial = 0
        self.greeting: Wire = {}

    async def __aenter__(self) -> Self:
        try:
            self._socket = await self._session.ws_connect(self._emulator.url, params=self._query)
            self.greeting = await self.next()
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._socket.close()
        await self._session.close()

    @property
    def key(self) -> str:
        """Its connection key."""
        return str(self.greeting["connectionDetails"]["connectionKey"])

    @property
    def id(self) -> str:
        """Its connection id."""
        return str(self.greeting["connectionId"])

    async def send(self, action: Action, **fields: Any) -> None:
        """Send a frame; those that are acknowledged get their msgSerial."""
        wire: Wire = {"action": int(action), **fields}
        if action in {Action.MESSAGE, Action.PRESENCE, Action.ANNOTATION, Action.OBJECT}:
            wire.setdefault("msgSerial", self._serial)
            self._serial = wire["msgSerial"] + 1
        await self.raw(encode(wire, self._form))

    async def raw(self, frame: str | bytes) -> None:
        """Send a frame as it is."""
        if isinstance(frame, str):
            await self._socket.send_str(frame)
        else:
            await self._socket.send_bytes(frame)

    async def next(self) -> Wire:
        """The next frame."""
        message = await self._socket.receive(timeout=5)
        if message.type not in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
            raise ConnectionError(f"closed: {message.type.name} {message.data}")
        wire: Wire = decode(message.data, self._form)
        return wire

    async def until(self, action: Action) -> Wire:
        """The next frame of that action; those before it are passed over."""
        while True:
            wire = await self.next()
            if wire["action"] == action:
                return wire

    async def ends(self) -> bool:
        """Whether it is closed within five seconds, whatever comes before."""
        try:
            async with asyncio.timeout(5):
                while True:
                    await self.next()
        except ConnectionError:
            return True

    async def attach(self, channel: str, **fields: Any) -> Wire:
        """Attach a channel; what it is answered."""
        await self.send(Action.ATTACH, channel=channel, **fields)
        while True:
            wire = await self.next()
            if wire["action"] in {Action.ATTACHED, Action.ERROR} and wire.get("channel") == channel:
                return wire

    async def publish(self, channel: str, *messages: Wire, **fields: Any) -> Wire:
        """Publish; the answer, frames before it are passed over."""
        await self.send(Action.MESSAGE, channel=channel, messages=list(messages), **fields)
        return await self.answer()

    async def answer(self) -> Wire:
        """The next ACK or NACK."""
        while True:
            wire = await self.next()
            if wire["action"] in {Action.ACK, Action.NACK}:
                return wire


async def struck(emulator: AblyEmulator) -> None:
    """Wait until all faults of the protocol have struck, and what they began has begun."""
    while emulator.protocol_faults:
        await asyncio.sleep(0)
    for _ in range(3):
        await asyncio.sleep(0)


async def gone(emulator: AblyEmulator, left: int = 0) -> None:
    """Wait until the emulator has noticed that all but so many clients went."""
    while len(emulator.sockets) > left:
        await asyncio.sleep(0)


def basic(key: str = KEY) -> dict[str, str]:
    """The header that brings a key."""
    return {"Authorization": f"Basic {base64.b64encode(key.encode()).decode()}"}


async def call(
    emulator: AblyEmulator, method: str, path: str, body: Any = None, *, key: str | None = KEY, **options: Any
) -> tuple[int, Any, CIMultiDictProxy[str]]:
    """Call the REST interface in JSON: status, body, headers."""
    headers = {**(basic(key) if key else {}), **options.pop("headers", {})}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, emulator.url + path, json=body, headers=headers, **options) as answer,
    ):
        return answer.status, await answer.json(), answer.headers
