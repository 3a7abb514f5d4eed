"""Receives in a process of its own: `python -m tests.benchmarks.pusher.clients WHAT PORT CHANNEL COUNT CHUNK`.

WHAT is `bare`, `session`, `chat`, or `back`: `chat` that also tells its attempts to connect. They say what
`tests/benchmarks/peers/counting.py` says.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect

from chatkit.adapters.pusher.adapter import PusherAdapter
from chatkit.adapters.pusher.factory import PusherFactory
from chatkit.adapters.pusher.signing import Signer
from chatkit.engine.system import SystemClock
from chatkit.model.config import Config
from chatkit.testing.parts import parts
from tests.benchmarks.hearing import hear
from tests.benchmarks.peers.counting import Counting, say

SIGNER: Final = Signer("1001", "app-key", "app-secret", None)


def url(port: int) -> str:
    """The app's address for chatkit."""
    return f"pusher://app-key:app-secret@local/1001?host=127.0.0.1&port={port}&tls=0"


def adapter(port: int, user: str) -> PusherAdapter:
    """An adapter without a client around it."""
    return PusherAdapter(PusherFactory().configure(Config.from_url(url(port))), parts(user, SystemClock()))


async def subscribed(port: int, name: str) -> ClientConnection:
    """A bare connection that is subscribed to a presence channel."""
    socket = await connect(f"ws://127.0.0.1:{port}/app/app-key?protocol=7", compression=None, proxy=None)
    socket_id = json.loads(json.loads(await socket.recv())["data"])["socket_id"]
    permit = SIGNER.permit(name, socket_id, "bare")
    data = {"channel": name, "auth": permit.auth, "channel_data": permit.channel_data}
    await socket.send(json.dumps({"event": "pusher:subscribe", "data": data}))
    told: dict[str, Any] = json.loads(await socket.recv())
    assert told["event"] == "pusher_internal:subscription_succeeded", told
    return socket


async def bare(port: int, name: str, counting: Counting) -> None:
    """Parse each frame, and the data in it."""
    socket = await subscribed(port, name)
    say("ready")
    while counting.seen < counting.count:
        frame = json.loads(await socket.recv())
        if frame["event"] == "chatkit":
            json.loads(frame["data"])
            counting.one()
    await socket.close()


def main(what: str, port: str, name: str, count: str, chunk: str) -> None:
    """Be one of them."""
    counting, at = Counting(int(count), int(chunk)), int(port)
    if what == "bare":
        asyncio.run(bare(at, name, counting))
        return
    if what == "back":
        logging.disable()  # it would warn of the gap, which is what is asked for
    asyncio.run(hear(what, url(at), lambda: adapter(at, "reader"), counting))


if __name__ == "__main__":
    main(*sys.argv[1:])
