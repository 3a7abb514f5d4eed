"""Sends in a process of its own: `python -m tests.benchmarks.pusher.sending WHAT PORT COUNT ...`; prints JSON.

- `chat PORT COUNT`, `bare PORT COUNT`: milliseconds from a send to where it is handled, one at a time.
- `drain PORT COUNT STORE BATCH`: seconds in which what was queued offline goes out, `BATCH` messages a call.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import replace
from itertools import islice
from statistics import median, quantiles
from typing import Any, Final

import httpx

import chatkit
from tests.benchmarks.corpus import CHANNEL, outgoing, spoken
from tests.benchmarks.draining import drained
from tests.benchmarks.pusher.clients import SIGNER, adapter, subscribed, url
from tests.servers.soketi.server import free_port

WARM: Final = 20
"""Messages before those that count."""


def told(took: list[float]) -> dict[str, float]:
    """Middle and tail of what was measured, in ms."""
    counted = took[WARM:]
    return {"p50": median(counted) * 1e3, "p99": quantiles(counted, n=100)[98] * 1e3}


async def chat(port: int, count: int) -> dict[str, float]:
    """From `channel.send` with the secret to a handler of another client."""
    took: list[float] = []
    handled = asyncio.Event()
    began = 0.0
    async with (
        chatkit.connect(url(port), user="ada", store=":memory:") as ada,
        chatkit.connect(url(port), user="bob", store=":memory:") as bob,
    ):
        channel = bob.channel(CHANNEL)

        @channel.on(chatkit.MessageCreated)
        async def take(event: chatkit.MessageCreated) -> None:
            took.append(time.perf_counter() - began)
            handled.set()

        await channel.attach(timeout=10)
        for _, text in islice(spoken(), WARM + count):
            handled.clear()
            began = time.perf_counter()
            delivery = await ada.channel(CHANNEL).send(text)
            await delivery.wait()
            await handled.wait()
    return told(took)


async def bare(port: int, count: int) -> dict[str, float]:
    """From a signed POST of an envelope to where its frame is parsed."""
    took: list[float] = []
    name = f"presence-{CHANNEL}"
    socket = await subscribed(port, name)
    async with httpx.AsyncClient(trust_env=False, base_url=f"http://127.0.0.1:{port}") as client:
        for one in outgoing(WARM + count):
            began = time.perf_counter()
            event = {"name": "chatkit", "channel": name, "data": one.data.decode()}
            call = SIGNER.call("events", event)
            posting = asyncio.ensure_future(
                client.post(call.path, content=call.body, headers=dict(call.headers))
            )
            frame: dict[str, Any] = json.loads(await socket.recv())
            json.loads(frame["data"])
            took.append(time.perf_counter() - began)
            assert (await posting).json() == {"ok": True}
    await socket.close()
    return told(took)


async def drain(port: int, count: int, store: str, batch: int) -> dict[str, float]:
    """Queue while there is no server, then connect: seconds until all is accepted."""
    made = adapter(port, "ada")
    made.capabilities = replace(made.capabilities, batch=batch)
    return await drained(url(free_port()), made, count, store)


def main(what: str, port: str, count: str, *more: str) -> None:
    """Be one of them."""
    match what:
        case "chat":
            found = asyncio.run(chat(int(port), int(count)))
        case "bare":
            found = asyncio.run(bare(int(port), int(count)))
        case _:
            store, batch = more
            found = asyncio.run(drain(int(port), int(count), store, int(batch)))
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
