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
from typing import Any

import msgpack
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from chatkit.adapters.ably.adapter import AblyAdapter
from chatkit.adapters.ably.factory import AblyFactory
from chatkit.adapters.ably.wire import Action
from chatkit.engine.system import SystemClock
from chatkit.model.config import Config
from chatkit.testing.parts import parts
from tests.benchmarks.ably.server import CREDENTIAL
from tests.benchmarks.corpus import CHANNEL
from tests.benchmarks.hearing import hear
from tests.benchmarks.peers.counting import Counting, say


def url(port: int, namespace: str = "") -> str:
    """The app's address for chatkit."""
    return f"ably://{CREDENTIAL}@127.0.0.1:{port}?tls=0&namespace={namespace}"


def adapter(port: int, user: str, namespace: str = "", **capabilities: Any) -> AblyAdapter:
    """An adapter without a client around it, at any rate."""
    made = AblyAdapter(
        AblyFactory().configure(Config.from_url(url(port, namespace))), parts(user, SystemClock())
    )
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


def main(what: str, port: str, namespace: str, count: str, chunk: str) -> None:
    """Be one of them."""
    counting, at = Counting(int(count), int(chunk)), int(port)
    if what == "bare":
        asyncio.run(bare(at, namespace, counting))
    else:
        asyncio.run(hear(what, url(at, namespace), lambda: adapter(at, "reader", namespace), counting))


if __name__ == "__main__":
    main(*sys.argv[1:])
