"""One client's WebSocket: frames leave in the order in which they were given, through the faults."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, Literal, TypeVar

from aiohttp import WSMsgType, web

from chatkit.testing.emulators.clock import EmulatorClock
from chatkit.testing.emulators.faults import Faults, FrameFault

MOST_WAITING: Final = 10_000
"""Frames that wait for one client that does not read; with more its connection is cut."""

Kind = Literal["frame", "ping", "pong", "close"]
T = TypeVar("T")


class Socket:
    """A connection as the emulator's own protocol sees it.

    What is sent returns at once; a writer of its own carries it to the client. A connection may look open to
    one end alone, as on a real network: see `stall`.

    Args:
        name: Its id, for faults and the control endpoint.
        request: The request that became it.
        response: Prepared, with `autoping` off.
        faults: What is to go wrong.
        clock: Time, for what is held back.
        label: Names a frame, for faults that wait for frames of one name.
    """

    def __init__(
        self,
        name: str,
        request: web.Request,
        response: web.WebSocketResponse,
        *,
        faults: Faults,
        clock: EmulatorClock,
        label: Callable[[str | bytes], str],
    ) -> None:
        self.name = name
        self.deaf = False
        """Whether it leaves ping frames of the WebSocket protocol unanswered."""
        self.heard = clock.monotonic()
        """When anything came from the client last."""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once the emulator takes it for a connection no longer."""
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once nothing is left of it."""
        self._transport = request.transport
        self._response = response
        self._faults = faults
        self._clock = clock
        self._label = label
        self._waiting: deque[tuple[Kind, str | bytes, int]] = deque()
        self._more = asyncio.Event()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writer = asyncio.create_task(self._write(), name=f"emulator-writer-{name}")

    # -- what a protocol does

    @property
    def open(self) -> bool:
        """Whether the emulator still takes it for a connection."""
        return not self.ended.done()

    def send(self, frame: str | bytes) -> None:
        """Send a text or binary frame after all that was sent before; lost if the connection has ended."""
        self._put("frame", frame)

    def ping(self, payload: bytes = b"") -> None:
        """Send a ping frame of the WebSocket protocol."""
        self._put("ping", payload)

    def close(self, code: int, reason: str = "") -> None:
        """Close it with a code, after all that was sent before. For the emulator it has ended now."""
        self._put("close", reason, code)
        self._end()

    async def frames(self) -> AsyncIterator[str | bytes]:
        """What the client sends, until the connection ends from either side."""
        while (frame := await self.while_open(self._receive())) is not None:
            for one in await self.while_open(self._struck("in", frame)) or ():
                yield one

    async def while_open(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What the work comes to, or `None` once the connection has ended."""
        task = asyncio.create_task(work)
        either: list[asyncio.Future[Any]] = [task, self.ended]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() and self.open else None
        finally:
            task.cancel()

    # -- what a network does

    @property
    def stalled(self) -> bool:
        """Whether it lets nothing through."""
        return not self._flowing.is_set()

    def abort(self) -> None:
        """Cut the connection without a goodbye; what waits is lost."""
        self._end()
        self._writer.cancel()
        self._flowing.set()
        if self._transport is not None:
            self._transport.abort()

    def stall(self) -> None:
        """Let nothing through in either direction, no end either: each side may believe in it for ever."""
        self._flowing.clear()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """End a stall; what was sent meanwhile, in either direction, comes late."""
        if self.stalled and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        self._flowing.set()

    # -- its end

    async def finish(self) -> None:
        """Close it with 1000 if it is open; return once all that was sent is out and a stall is over."""
        if self.open:
            self.close(1000)
        await asyncio.wait({self._writer})

    # -- within

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
            self._more.set()

    def _put(self, kind: Kind, content: str | bytes, code: int = 0) -> None:
        if not self.open:
            return
        if len(self._waiting) >= MOST_WAITING:
            self.abort()
            return
        self._waiting.append((kind, content, code))
        self._more.set()

    async def _receive(self) -> str | bytes | None:
        while True:
            message = await self._response.receive()
            await self._flowing.wait()
            self.heard = self._clock.monotonic()
            if message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
                data: str | bytes = message.data
                return data
            if message.type is WSMsgType.PING:
                if not self.deaf:
                    self._put("pong", message.data)
            elif message.type is not WSMsgType.PONG:
                self._end()
                return None

    async def _write(self) -> None:
        with suppress(ConnectionError):  # the client went first
            while True:
                while not self._waiting:
                    if not self.open:
                        return
                    self._more.clear()
                    await self._more.wait()
                kind, content, code = self._waiting.popleft()
                frames = await self._struck("out", content) if kind == "frame" else [content]
                await self._flowing.wait()
                for frame in frames:
                    await self._carry(kind, frame, code)
        self._end()

    async def _carry(self, kind: Kind, content: str | bytes, code: int) -> None:
        raw = content.encode() if isinstance(content, str) else content
        if kind == "ping":
            await self._response.ping(raw)
        elif kind == "pong":
            await self._response.pong(raw)
        elif kind == "close":
            await self._response.close(code=code, message=raw)
        elif isinstance(content, str):
            await self._response.send_str(content)
        else:
            await self._response.send_bytes(content)

    async def _struck(self, way: str, frame: str | bytes) -> list[str | bytes]:
        """What becomes of a frame: none, itself, or others in its place."""
        frames = [frame]
        if self._faults:
            for fault in self._faults.frame(way, self._label(frame), self.name, frame):
                frames = await self._strike(fault, frames)
        return frames

    async def _strike(self, fault: FrameFault, frames: list[str | bytes]) -> list[str | bytes]:
        match fault.does:
            case "duplicate":
                return frames * 2
            case "replace":
                return [fault.text]
            case "delay":
                await self._clock.sleep(fault.seconds)
                return frames
            case "abort":
                self.abort()
            case "stall":
                self.stall()
            case "close":
                self.close(fault.code, fault.reason)
            case "drop":
                pass
        return []
