"""Receives in a process of its own: `python -m tests.benchmarks.pusher.clients WHAT PORT CHANNEL COUNT CHUNK`.

WHAT is `bare`, `session`, `chat`, or `back`: `chat` that also tells its attempts to connect. They say what
`tests/benchmarks/peers/counting.py` says.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any, Final, TypeVar

from websockets.asyncio.client import ClientConnection, connect

import chatkit
from chatkit.adapters.pusher.adapter import PusherAdapter
from chatkit.adapters.pusher.factory import PusherFactory
from chatkit.adapters.pusher.session import PusherSession
from chatkit.adapters.pusher.signing import Signer
from chatkit.engine.system import SystemClock
from chatkit.model.config import Config
from chatkit.ports import Received
from chatkit.testing.parts import parts
from tests.benchmarks.peers.counting import Counting, say

A = TypeVar("A", bound=PusherAdapter)

SIGNER: Final = Signer("1001", "app-key", "app-secret", None)


def url(port: int) -> str:
    """The app's address for chatkit."""
    return f"pusher://app-key:app-secret@local/1001?host=127.0.0.1&port={port}&tls=0"


def adapter(port: int, user: str, kind: type[A]) -> A:
    """An adapter without a client around it."""
    return kind(PusherFactory().configure(Config.from_url(url(port))), parts(user, SystemClock()))


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


async def session(port: int, name: str, counting: Counting) -> None:
    """Read the signals of an adapter's session: who says what, and nothing folded."""
    made = adapter(port, "reader", PusherAdapter)
    opened = await made.open()

    async def read() -> None:
        async for signal in opened.signals():
            if isinstance(signal, Received):
                counting.one()
                if counting.seen == counting.count:
                    break

    reading = asyncio.create_task(read())
    await opened.attach(name.removeprefix("presence-"), None, presence=False)
    say("ready")
    await reading
    await made.aclose()


async def chat(port: int, name: str, counting: Counting, target: str | PusherAdapter = "") -> None:
    """Hand each message to a handler: timeline, duplicates, ids in the store."""
    over = asyncio.Event()
    counting.on_end = over.set
    async with chatkit.connect(target or url(port), user="reader", store=":memory:", drain=0.0) as opened:
        channel = opened.channel(name.removeprefix("presence-"))

        @channel.on(chatkit.MessageCreated)
        async def count_it(event: chatkit.MessageCreated) -> None:
            counting.one()

        await channel.attach(timeout=10)
        say("ready")
        await over.wait()


class Telling(PusherAdapter):
    """Tells each attempt to connect."""

    counting: Counting

    async def open(self) -> PusherSession:
        """Say so, then connect."""
        self.counting.moment("connecting")
        return await super().open()


async def back(port: int, name: str, counting: Counting) -> None:
    """`chat` over an adapter that tells its attempts."""
    logging.disable()  # it would warn of the gap, which is what is asked for
    made = adapter(port, "reader", Telling)
    made.counting = counting
    await chat(port, name, counting, made)


CLIENTS: Final = {"bare": bare, "session": session, "chat": chat, "back": back}


def main(what: str, port: str, name: str, count: str, chunk: str) -> None:
    """Be one of them."""
    asyncio.run(CLIENTS[what](int(port), name, Counting(int(count), int(chunk))))


if __name__ == "__main__":
    main(*sys.argv[1:])
