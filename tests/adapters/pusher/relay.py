"""A way to a server that can be cut: one for each user, told to their adapters as if it were the server."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress


class Relay:
    """Passes bytes between clients and a server of this machine. Made on a running loop.

    Args:
        host: Of the server.
        port: Likewise.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._state = "up"
        self._lost: bytes | None = None
        self._passing: dict[asyncio.Event, list[asyncio.StreamWriter]] = {}
        self._task = asyncio.create_task(self._serve(), name="relay")

    def cut(self, *, half_open: bool = False) -> None:
        """Break what is there and what comes; half-open: nobody is told, and nothing comes through."""
        self._state = "half-open" if half_open else "cut"
        for flowing, writers in self._passing.items():
            if half_open:
                flowing.clear()
            else:
                _abort(writers)

    def lose_answer(self, words: bytes) -> None:
        """Lose what the server says next with these words in it, and the connection with it."""
        self._lost = words

    def heal(self) -> None:
        """Let new connections through."""
        self._state = "up"

    async def aclose(self) -> None:
        """End it."""
        for writers in self._passing.values():
            _abort(writers)
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._listener.close()  # its server did, if there was time to begin

    async def _serve(self) -> None:
        pumps: set[asyncio.Task[None]] = set()

        def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._pass(reader, writer), name="relay-connection")
            pumps.add(task)
            task.add_done_callback(pumps.discard)

        server = await asyncio.start_server(begin, sock=self._listener)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            server.close()
            for task in pumps:
                task.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            await server.wait_closed()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        flowing, writers = asyncio.Event(), [writer]
        if self._state == "up":
            flowing.set()
        self._passing[flowing] = writers
        try:
            if self._state == "cut":
                return
            back, forth = await asyncio.open_connection(*self._target)
            writers.append(forth)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(reader, forth, flowing))
                tasks.create_task(self._pump(back, writer, flowing, answers=True))
        except* OSError:
            pass
        finally:
            del self._passing[flowing]
            _abort(writers)

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        flowing: asyncio.Event,
        *,
        answers: bool = False,
    ) -> None:
        while data := await source.read(65_536):
            await flowing.wait()
            if answers and self._lost is not None and self._lost in data:
                self._lost = None
                raise ConnectionAbortedError
            sink.write(data)
            await sink.drain()
        await flowing.wait()
        sink.write_eof()


def _abort(writers: list[asyncio.StreamWriter]) -> None:
    for writer in writers:
        writer.transport.abort()
