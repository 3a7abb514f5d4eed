"""Receives in a process of its own: `python -m tests.benchmarks.supabase.clients WHAT PORT KEY MODE CHANNEL COUNT CHUNK`.

WHAT is `bare`, `session`, `chat`, or `back`: `chat` that also tells its attempts to connect. They say what
`tests/benchmarks/peers/counting.py` says.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from contextlib import suppress
from dataclasses import replace
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from chatkit.adapters.supabase.adapter import SupabaseAdapter
from chatkit.adapters.supabase.factory import SupabaseFactory
from chatkit.engine.system import SystemClock
from chatkit.model.config import Config
from chatkit.testing.parts import parts
from tests.benchmarks.hearing import hear
from tests.benchmarks.peers.counting import Counting, say
from tests.benchmarks.supabase.server import address, join


def url(port: int, key: str, mode: str) -> str:
    """The project's address for chatkit."""
    return f"supabase://{key}@127.0.0.1:{port}?tls=0&mode={mode}"


def adapter(port: int, key: str, mode: str, user: str, **capabilities: Any) -> SupabaseAdapter:
    """An adapter without a client around it."""
    config = SupabaseFactory().configure(Config.from_url(url(port, key, mode)))
    made = SupabaseAdapter(config, parts(user, SystemClock()))
    made.capabilities = replace(made.capabilities, **capabilities)
    return made


def broadcast(frame: str | bytes) -> tuple[str, Any]:
    """The event and payload of a frame: text, or binary of type 4."""
    if isinstance(frame, str):
        _, _, _, event, told = json.loads(frame)
        return (told["event"], told["payload"]) if event == "broadcast" else (event, told)
    topic, event, metadata = frame[1:4]
    at = 5 + topic
    return frame[at : at + event].decode(), json.loads(frame[at + event + metadata :])


async def bare(port: int, key: str, mode: str, channel: str, counting: Counting) -> None:
    """Parse each frame, and the envelopes in it; after a cut connect again at once, and go on."""
    ready = False
    while not counting.count or counting.seen < counting.count:
        socket = await connect(address(port, key), compression=None, proxy=None)
        await socket.send(join(mode, channel))
        with suppress(ConnectionClosedError):  # cut
            async for raw in socket:
                match broadcast(raw):
                    case "phx_reply", {"status": "ok"} if not ready:
                        ready = True
                        say("ready")
                    case "chatkit", {"data": data}:
                        json.loads(data)
                        counting.one()
                    case "entries", {"entries": entries}:
                        for entry in entries:
                            json.loads(entry["data"])
                            counting.one()
                    case _:
                        pass
                if counting.count and counting.seen == counting.count:
                    break
        await socket.close()


def main(what: str, port: str, key: str, mode: str, channel: str, count: str, chunk: str) -> None:
    """Be one of them."""
    counting, at = Counting(int(count), int(chunk)), int(port)
    if what == "bare":
        asyncio.run(bare(at, key, mode, channel, counting))
    else:
        if what == "back" and mode == "broadcast":
            logging.disable()  # it would warn of the gap, which is what is asked for
        asyncio.run(
            hear(what, url(at, key, mode), lambda: adapter(at, key, mode, "reader"), counting, channel)
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
