"""A way to a server that also speaks in its name: for what the server itself cannot be made to say."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import suppress
from typing import Any, Final

from websockets.frames import Close, Frame, Opcode

from tests.adapters.relay import End, Passing, Relay

LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Meddler(Relay):
    """Passes whole frames and whole calls; some it answers itself, and then the server sees nothing of them.

    Frames may neither be compressed nor in parts, and bodies have their length, as those of chatkit and soketi.
    """

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.answer_frame: Callable[[str], str | None] | None = None
        """Returns the frame that answers one of a client; `None`: it is for the server."""
        self.call_answer: bytes | None = None
        """Answers every call by HTTP; `None`: they are for the server."""
        self._sockets: dict[Passing, None] = {}

    def tell_clients(self, text: str) -> None:
        """Send a frame to each client, as if the server did."""
        for passing, _ in self._open():
            passing.client.writer.write(_frame(text))

    def tell_server(self, text: str) -> None:
        """Send a frame to the server for each client, as if it did."""
        for _, server in self._open():
            server.writer.write(_frame(text, mask=True))

    def close(self, code: int, reason: str) -> None:
        """Close each client's connection, as if the server did; the server sees it break."""
        closing = Frame(Opcode.CLOSE, Close(code, reason).serialize()).serialize(mask=False)
        for passing, server in self._open():
            passing.client.writer.write(closing)
            server.writer.transport.abort()

    async def pieces(self, passing: Passing, source: End) -> AsyncGenerator[bytes]:
        asks = source is passing.client
        with suppress(asyncio.IncompleteReadError):  # it has ended
            while not (message := await _message(source)).startswith((b"GET /app/", b"HTTP/1.1 101")):
                if asks and self.call_answer is not None:
                    passing.client.writer.write(self.call_answer)
                else:
                    yield message
            yield message
            if not asks:
                self._sockets[passing] = None
            try:
                while True:
                    frame = await _read(source, masked=asks)
                    text = bytes(frame.data).decode() if asks and frame.opcode is Opcode.TEXT else None
                    answer = None if text is None or self.answer_frame is None else self.answer_frame(text)
                    if answer is None:
                        yield frame.serialize(mask=asks)
                    else:
                        passing.client.writer.write(_frame(answer))
            finally:
                if not asks:
                    del self._sockets[passing]

    def _open(self) -> Iterator[tuple[Passing, End]]:
        for passing in self._sockets:
            if passing.server is not None:
                yield passing, passing.server


async def _message(source: End) -> bytes:
    """Read a request or an answer of HTTP."""
    head = await source.reader.readuntil(b"\r\n\r\n")
    length = LENGTH.search(head)
    return head if length is None else head + await source.reader.readexactly(int(length[1]))


async def _read(source: End, *, masked: bool) -> Frame:
    """Read a frame of the WebSocket protocol."""

    def exactly(size: int) -> Generator[int, bytes, bytes]:
        return (yield size)

    reading: Any = exactly  # the parser passes on what its reader yields, whatever that is
    parsing: Any = Frame.parse(reading, mask=masked)
    size = next(parsing)
    while True:
        data = await source.reader.readexactly(size)
        try:
            size = parsing.send(data)
        except StopIteration as parsed:
            frame: Frame = parsed.value
            return frame


def _frame(text: str, *, mask: bool = False) -> bytes:
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=mask)
