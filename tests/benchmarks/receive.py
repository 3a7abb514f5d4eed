"""The receive path: a socket's bytes to a handler, beside a loop that parses the same JSON.

A server of its own process streams frames over loopback, as fast as they are taken. Each round opens a fresh
process for each client and asks for the processor time between its word to begin and its last message.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

import chatkit
from chatkit.adapters.memory.profiles import PROFILES
from chatkit.logs.memory import MemoryLog
from chatkit.model.capabilities import Capabilities
from chatkit.model.order import OrderKey
from chatkit.model.values import format_time, packed
from chatkit.ports import (
    Ack,
    Attachment,
    Batch,
    Entry,
    Log,
    Present,
    Publisher,
    Received,
    SessionClosed,
    Signal,
    Stamp,
)
from tests.benchmarks.corpus import CHANNEL, SlowClock, entries, new_log
from tests.benchmarks.measure import Figure, interleave, middle, paired

LIMIT, HELD = 2.5, 5.0
WINDOW, STEP = 768, 64
"""Frames on their way at most, and after how many the handler says how far it is: no provider streams as fast as
the loopback does, and beyond 1,000 the engine would read the log instead (D19)."""
PATIENCE: Final = 300.0
"""Seconds after which a client counts as stuck."""
MODULE: Final = "tests.benchmarks.receive"
_decode = json.JSONDecoder().decode
_STAMP, _ENVELOPE, _END = b'{"stamp":', b',"envelope":', b"}"


# -- frames


def frame_of(entry: Entry) -> bytes:
    """Return a frame: the sequencer's word beside the sender's bytes, one JSON object."""
    stamp = entry.stamp
    said = {
        "epoch": stamp.key.epoch,
        "serial": stamp.key.serial,
        "prev": stamp.prev,
        "log": stamp.log_id,
        "user": stamp.user,
        "at": format_time(stamp.at),
    }
    packed = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
    return _STAMP + packed + _ENVELOPE + entry.data + _END


def signal_of(frame: bytes) -> Received:
    """Read a frame; the envelope in it stays as its sender wrote it. No text holds `_ENVELOPE` unescaped."""
    head, _, data = frame.partition(_ENVELOPE)
    said = _decode(head[len(_STAMP) :].decode())
    key = packed(OrderKey, (said["epoch"], said["serial"]))
    user = said["user"]
    stamp = packed(Stamp, (key, said["prev"], said["log"], user, datetime.fromisoformat(said["at"])))
    return packed(Received, (CHANNEL, data[: -len(_END)], user, "provider", stamp, True))


async def server(count: int) -> None:
    """Stream so many frames to each client that says a word; print the port, serve until killed."""
    frames = [frame_of(entry).decode() for entry in entries(count)]

    async def stream(socket: ServerConnection) -> None:
        try:
            await socket.recv()
            for frame in frames:
                await socket.send(frame)
            await socket.wait_closed()
        except ConnectionClosed:
            pass  # the client has what it wanted

    async with serve(stream, "127.0.0.1", 0, compression=None) as listening:
        (socket,) = listening.sockets
        print(socket.getsockname()[1], flush=True)
        await listening.serve_forever()


# -- the bare client


async def bare(url: str, count: int) -> float:
    """Return the seconds that a loop takes which parses each frame and does nothing with it."""
    async with connect(url, compression=None) as socket:
        await socket.send("go")
        began = time.process_time()
        seen = 0
        async for frame in socket:
            json.loads(frame)
            seen += 1
            if seen == count:
                break
        return time.process_time() - began


# -- chatkit on the same socket


class SocketSession:
    """A `Session` that receives; it sends nothing."""

    user: str | None = None

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.handled = 0
        self.moved = asyncio.Event()
        """Set when `handled` has risen."""

    async def signals(self) -> AsyncIterator[Signal]:
        """Give each frame as a signal; wait where too many are on their way to the handler."""
        recv = self.socket.recv
        read = 0
        try:
            while True:
                yield signal_of(await recv(decode=False))
                read += 1
                while read - self.handled >= WINDOW:
                    self.moved.clear()
                    await self.moved.wait()
        except ConnectionClosed as closed:
            raise SessionClosed("the socket was closed", again="never") from closed

    async def attach(self, channel: str, after: OrderKey | None, *, presence: bool) -> Attachment:
        """Attach at once: live begins with the first frame."""
        return Attachment(channel, resumed=False, start=OrderKey(1, ""), may_publish=True)

    async def detach(self, channel: str) -> None:
        """Do nothing: there is one channel."""

    async def publish(self, batch: Batch, stamps: Sequence[Stamp | None], /) -> Sequence[Ack]:
        """Refuse: nothing is sent here."""
        raise NotImplementedError

    async def emit(self, channel: str, data: bytes) -> None:
        """Refuse: nothing is sent here."""
        raise NotImplementedError

    async def enter(self, channel: str, member: Present) -> None:
        """Refuse: there is no presence."""
        raise NotImplementedError

    async def leave(self, channel: str, member: Present) -> None:
        """Refuse: there is no presence."""
        raise NotImplementedError

    async def probe(self) -> None:
        """Ask the peer."""
        await (await self.socket.ping())

    async def reauthenticate(self) -> None:
        """Do what needs no doing."""

    async def aclose(self) -> None:
        """Close the socket."""
        await self.socket.close()


class SocketAdapter:
    """An `Adapter` of one socket, with an empty log behind it: the one that the server's stamps are of."""

    capabilities: Capabilities = PROFILES["memory"].capabilities
    publisher: Publisher | None = None
    trusted = False

    def __init__(self, url: str) -> None:
        self.realm = "bench:socket"
        memory = MemoryLog.__new__(MemoryLog)
        memory.core = new_log()
        self.log: Log | None = memory
        self.session: SocketSession | None = None
        self._url = url

    async def open(self) -> SocketSession:
        """Connect."""
        self.session = SocketSession(await connect(self._url, compression=None))
        return self.session

    def measure(self, channel: str, data: bytes) -> int:
        """Return the size of an envelope."""
        return len(data)

    async def server_time(self) -> datetime:
        """Return a time behind which no message of the corpus lies."""
        return SlowClock().wall()

    async def aclose(self) -> None:
        """Hold nothing."""


async def ours(url: str, count: int, store: str) -> float:
    """Return the seconds that chatkit takes to hand each message to a handler."""
    adapter = SocketAdapter(url)
    done = asyncio.get_running_loop().create_future()
    seen = 0
    async with chatkit.connect(adapter, user="reader", store=store, drain=0.0) as chat:
        channel = chat.channel("ubuntu")

        @channel.on(chatkit.MessageCreated)
        async def count_it(event: chatkit.MessageCreated) -> None:
            nonlocal seen
            seen += 1
            if seen % STEP == 0:
                session.handled = seen
                session.moved.set()
            if seen == count:
                done.set_result(None)

        await channel.attach(timeout=10)
        while not chat.engine.channels["ubuntu"].caught_up:
            await asyncio.sleep(0.01)
        assert adapter.session is not None
        session = adapter.session
        await session.socket.send("go")
        began = time.process_time()
        await done
        spent = time.process_time() - began
        assert not chat.engine.context.counters, "something was dropped, doubled or not believed"
        return spent


# -- the benchmark


def run(*, quick: bool) -> list[Figure]:
    """Measure."""
    count, rounds = (4_000, 2) if quick else (20_000, 7)
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, "-m", MODULE, "server", str(count)], stdout=subprocess.PIPE, text=True
        ) as serving,
    ):
        try:
            assert serving.stdout is not None
            url = f"ws://127.0.0.1:{int(serving.stdout.readline())}"
            number = 0

            def file() -> str:
                nonlocal number
                number += 1
                return str(Path(folder) / f"{number}.db")

            plain, memory, disk = interleave(
                rounds,
                lambda: _client("bare", url, count),
                lambda: _client("ours", url, count, ":memory:"),
                lambda: _client("ours", url, count, file()),
            )
        finally:
            serving.kill()
    return [
        Figure(
            name="receive: bytes to handler",
            unit="µs CPU a message",
            chatkit=middle(memory, "µs"),
            bare=middle(plain, "µs"),
            ratio=paired(memory, plain, "µs"),
            limit=LIMIT,
            held=HELD,
            rounds=rounds,
            notes={"µs with a file store": middle(disk, "µs"), "messages": count},
        )
    ]


def _client(what: str, url: str, count: int, *more: str) -> dict[str, float]:
    command = [sys.executable, "-m", MODULE, what, url, str(count), *more]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE)
    return {"µs": float(done.stdout) / count * 1e6}


def main(what: str, *args: str) -> None:
    """Be one of the processes."""
    if what == "server":
        asyncio.run(server(int(args[0])))
    elif what == "bare":
        print(asyncio.run(bare(args[0], int(args[1]))))
    else:
        print(asyncio.run(ours(args[0], int(args[1]), args[2])))


if __name__ == "__main__":
    main(*sys.argv[1:])
