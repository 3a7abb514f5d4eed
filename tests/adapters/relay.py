"""A way to a server that can be cut: one for each user, told to their adapters as if it were the server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import NamedTuple


class End(NamedTuple):
    """One side of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Passing:
    """A connection that passes through.

    Args:
        client: Who came.
    """

    def __init__(self, client: End) -> None:
        self.client = client
        self.server: End | None = None
        """Once the server took it."""
        self.flowing = asyncio.Event()

    def abort(self) -> None:
        """End it without a goodbye."""
        for end in (self.client, self.server):
            if end is not None:
                end.writer.transport.abort()


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
        self._passing: dict[Passing, None] = {}
        self._struck = asyncio.Event()
        self._task = asyncio.create_task(self._serve(), name="relay")

    def cut(self, *, half_open: bool = False) -> None:
        """Break what is there and what comes; half-open: nobody is told, and nothing comes through."""
        self._state = "half-open" if half_open else "cut"
        self._struck.clear()
        for passing in self._passing:
            if half_open:
                passing.flowing.clear()
            else:
                passing.abort()

    @property
    def ports(self) -> set[int]:
        """From which the server is spoken to: one for each connection."""
        return {each.server.writer.get_extra_info("sockname")[1] for each in self._passing if each.server}

    async def struck(self) -> None:
        """Return once the cut has kept something from coming through."""
        await self._struck.wait()

    def lose_answer(self, words: bytes) -> None:
        """Lose what the server says next with these words in it, and the connection with it."""
        self._lost = words

    def heal(self) -> None:
        """Let new connections through."""
        self._state = "up"

    async def reach(self) -> End:
        """Return a connection to the server."""
        return End(*await asyncio.open_connection(*self._target))

    async def aclose(self) -> None:
        """End it."""
        for passing in self._passing:
            passing.abort()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._listener.close()  # its server did, if there was time to begin

    async def pieces(self, passing: Passing, source: End) -> AsyncGenerator[bytes]:
        """What comes from one side and is to be passed on."""
        del passing
        while data := await source.reader.read(65_536):
            yield data

    async def _serve(self) -> None:
        pumps: set[asyncio.Task[None]] = set()

        def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # asyncio does so where it made the listener: nothing small waits for an answer to what went before.
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = asyncio.create_task(self._pass(Passing(End(reader, writer))), name="relay-connection")
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

    async def _pass(self, passing: Passing) -> None:
        if self._state == "up":
            passing.flowing.set()
        self._passing[passing] = None
        try:
            if self._state == "cut":
                self._struck.set()
                return
            passing.server = server = await self.reach()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(passing, passing.client, server))
                tasks.create_task(self._pump(passing, server, passing.client))
        except* OSError:
            pass
        finally:
            del self._passing[passing]
            passing.abort()

    async def _pump(self, passing: Passing, source: End, sink: End) -> None:
        async with aclosing(self.pieces(passing, source)) as pieces:
            async for data in pieces:
                if not passing.flowing.is_set():
                    self._struck.set()
                    await passing.flowing.wait()
                if source is passing.server and self._lost is not None and self._lost in data:
                    self._lost = None
                    raise ConnectionAbortedError
                sink.writer.write(data)
                await sink.writer.drain()
        await passing.flowing.wait()
        sink.writer.write_eof()
