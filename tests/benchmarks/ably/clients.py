"""Receives in a process of its own: `python -m tests.benchmarks.ably.clients WHAT PORT NAMESPACE COUNT CHUNK`.

WHAT is `bare`, `session`, `chat`, or `back`: `chat` that also tells its attempts to connect. They say what `tests/benchmarks/peers/counting.py` says. All speak msgpack,
as Ably's own clients do by default.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, TypeVar

import msgpack
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

import chatkit
from chatkit.adapters.ably.adapter import AblyAdapter
from chatkit.adapters.ably.factory import AblyFactory
from chatkit.adapters.ably.http_session import HttpSession
from chatkit.adapters.ably.session import AblySession
from chatkit.adapters.ably.wire import Action
from chatkit.engine.system import SystemClock
from chatkit.model.config import Config
from chatkit.ports import Received
from chatkit.testing.parts import parts
from tests.benchmarks.ably.server import CREDENTIAL
from tests.benchmarks.corpus import CHANNEL
from tests.benchmarks.peers.counting import Counting, say

A = TypeVar("A", bound=AblyAdapter)


def url(port: int, namespace: str = "") -> str:
    """The app's address for chatkit."""
    return f"ably://{CREDENTIAL}@127.0.0.1:{port}?tls=0&namespace={namespace}"


def adapter(port: int, user: str, kind: type[A], namespace: str = "", **capabilities: Any) -> A:
    """An adapter without a client around it, at any rate."""
    made = kind(AblyFactory().configure(Config.from_url(url(port, namespace))), parts(user, SystemClock()))
    made.capabilities = replace(made.capabilities, publish_rate=1e6, **capabilities)
    return made


async def connected(port: int, resume: str | None = None) -> tuple[ClientConnection, str]:
    """A bare connection that was greeted, and its key."""
    query = f"v=6&format=msgpack&heartbeats=true&key={CREDENTIAL}" + (f"&resume={resume}" if resume else "")
    socket = await connect(f"ws://127.0.0.1:{port}/?{query}", compression=None, proxy=None)
    told = unpacked(await socket.recv())
    assert told["action"] == Action.CONNECTED, told
    return socket, str(told["connectionDetails"]["connectionKey"])


def unpacked(frame: str | bytes) -> dict[str, Any]:
    """What a frame says."""
    assert isinstance(frame, bytes)
    found: dict[str, Any] = msgpack.unpackb(frame)
    return found


async def bare(port: int, namespace: str, counting: Counting) -> None:
    """Parse each frame, and the data in it; after a cut connect again at once, and go on."""
    key, serial, ready = None, None, False
    while not counting.count or counting.seen < counting.count:
        socket, key = await connected(port, key)
        attach = {"action": int(Action.ATTACH), "channel": f"{namespace}:{CHANNEL}", "channelSerial": serial}
        await socket.send(msgpack.packb(attach))
        with suppress(ConnectionClosedError):  # cut
            async for raw in socket:
                frame = unpacked(raw)
                serial = frame.get("channelSerial") or serial
                if frame["action"] == Action.ATTACHED and not ready:
                    ready = True
                    say("ready")
                for message in frame.get("messages") or ():
                    if message["name"] == "chatkit":
                        json.loads(message["data"])
                        counting.one()
                if counting.count and counting.seen == counting.count:
                    break
        await socket.close()


async def session(port: int, namespace: str, counting: Counting) -> None:
    """Read the signals of an adapter's session: who says what, and nothing folded."""
    made = adapter(port, "reader", AblyAdapter, namespace)
    opened = await made.open()

    async def read() -> None:
        async for signal in opened.signals():
            if isinstance(signal, Received):
                counting.one()
                if counting.seen == counting.count:
                    break

    reading = asyncio.create_task(read())
    await opened.attach(CHANNEL, None, presence=False)
    say("ready")
    await reading
    await made.aclose()


async def chat(port: int, namespace: str, counting: Counting, target: AblyAdapter | None = None) -> None:
    """Hand each message to a handler: timeline, duplicates, ids in the store."""
    over = asyncio.Event()
    counting.on_end = over.set
    source = target or url(port, namespace)
    async with chatkit.connect(source, user="reader", store=":memory:", drain=0.0) as opened:
        channel = opened.channel(CHANNEL)

        @channel.on(chatkit.MessageCreated)
        async def count_it(event: chatkit.MessageCreated) -> None:
            counting.one()

        await channel.attach(timeout=10)
        say("ready")
        await over.wait()


class Telling(AblyAdapter):
    """Tells each attempt to connect."""

    counting: Counting

    async def open(self) -> AblySession | HttpSession:
        """Say so, then connect."""
        self.counting.moment("connecting")
        return await super().open()


async def back(port: int, namespace: str, counting: Counting) -> None:
    """`chat` over an adapter that tells its attempts."""
    made = adapter(port, "reader", Telling, namespace)
    made.counting = counting
    await chat(port, namespace, counting, made)


CLIENTS: Final = {"bare": bare, "session": session, "chat": chat, "back": back}


def main(what: str, port: str, namespace: str, count: str, chunk: str) -> None:
    """Be one of them."""
    asyncio.run(CLIENTS[what](int(port), namespace, Counting(int(count), int(chunk))))


if __name__ == "__main__":
    main(*sys.argv[1:])
