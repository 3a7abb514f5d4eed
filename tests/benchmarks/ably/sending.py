"""Publishes in a process of its own: `python -m tests.benchmarks.ably.sending WHAT PORT COUNT ...`; prints JSON.

- `chat PORT COUNT`, `bare PORT COUNT`: processor time a message in µs, one at a time, each acknowledged; then
  of `chat` the same for messages that are sent at once and leave in batches, and of `bare` the messages a second
  with all of them under way.
- `drain PORT COUNT STORE BATCH ORDER`: messages a second of what was queued offline, `BATCH` a publish.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from itertools import islice
from typing import Any, Literal, cast

import msgpack
from websockets.asyncio.client import ClientConnection

import chatkit
from chatkit.adapters.ably.wire import Action
from tests.benchmarks.ably.clients import adapter, connected, unpacked, url
from tests.benchmarks.corpus import CHANNEL, outgoing, spoken
from tests.benchmarks.draining import drained
from tests.benchmarks.peers.counting import Spending
from tests.servers.soketi.server import free_port


async def chat(port: int, count: int) -> dict[str, float]:
    """`channel.send`, and wait for `sent`."""
    async with chatkit.connect(adapter(port, "ada"), user="ada", store=":memory:") as ada:
        channel = ada.channel(CHANNEL)
        await ada.connection.wait("connected", timeout=10)
        spending = Spending(count)
        for _, text in islice(spoken(), spending.all):
            spending.next()
            delivery = await channel.send(text)
            await delivery.wait()
        found = spending.told()
        began = time.process_time()
        for _, text in islice(spoken(), count):
            await channel.send(text)
        assert (await ada.outbox.flush(timeout=60)).queued == 0
        return found | {"batched, µs": (time.process_time() - began) / count * 1e6}


async def bare(port: int, count: int) -> dict[str, float]:
    """A frame with an envelope that is made already, and the ACK."""
    socket, _ = await connected(port)
    spending = Spending(count)
    said = [one.data.decode() for one in outgoing(spending.all)]
    for number, text in enumerate(said):
        spending.next()
        await _say(socket, number, text)
        await _answered(socket, 1)
    found = spending.told()
    began = time.perf_counter()
    for number, text in enumerate(said, len(said)):
        await _say(socket, number, text)
    await _answered(socket, len(said))
    found["/s"] = len(said) / (time.perf_counter() - began)
    await socket.close()
    return found


async def _say(socket: ClientConnection, number: int, text: str) -> None:
    message = {"id": f"bare-{number}:0", "name": "chatkit", "data": text}
    frame: dict[str, Any] = {"action": int(Action.MESSAGE), "channel": CHANNEL, "msgSerial": number}
    await socket.send(msgpack.packb({**frame, "messages": [message]}))


async def _answered(socket: ClientConnection, count: int) -> None:
    while count > 0:
        frame = unpacked(await socket.recv())
        if frame["action"] == Action.ACK:
            count -= frame["count"]


async def drain(port: int, count: int, store: str, batch: int, order: str) -> dict[str, float]:
    """Queue while there is no server, then connect."""
    made = adapter(port, "ada", batch=batch)
    strictly = cast('Literal["strict", "pipelined"]', order)
    found = await drained(url(free_port()), made, count, store, order=strictly)
    return {"/s": count / found["s"]}


def main(what: str, port: str, count: str, *more: str) -> None:
    """Be one of them."""
    match what:
        case "chat":
            found = asyncio.run(chat(int(port), int(count)))
        case "bare":
            found = asyncio.run(bare(int(port), int(count)))
        case _:
            store, batch, order = more
            found = asyncio.run(drain(int(port), int(count), store, int(batch), order))
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
