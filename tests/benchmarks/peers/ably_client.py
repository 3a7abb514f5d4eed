"""Ably's own client: `ably_client.py hear PORT CHANNEL COUNT CHUNK`, or `ably_client.py send PORT CHANNEL FILE`.

Runs in an environment that has it. It hears as `counting.py` says, and sends what the file holds, a list of
texts in JSON: one after the other, then all at once.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

from ably import AblyRealtime
from counting import Counting, Spending, say

sys.path.append(str(Path(__file__).parents[2] / "official" / "ably" / "python"))
from harness import KEY, use_port


def texts(file: str) -> list[str]:
    found: list[str] = json.loads(Path(file).read_text(encoding="utf-8"))
    return found


async def connected(port: str) -> Any:
    use_port(int(port))
    logging.disable()
    client = AblyRealtime(key=KEY, endpoint="127.0.0.1", port=int(port), tls=False)
    await client.connection.once_async("connected")
    return client


async def hear(port: str, name: str, count: str, chunk: str) -> None:
    counting, over = Counting(int(count), int(chunk)), asyncio.Event()
    counting.on_end = over.set
    client = await connected(port)

    def handle(message: Any) -> None:
        json.loads(message.data)
        counting.one()

    await client.channels.get(name).subscribe("chatkit", handle)
    say("ready")
    await over.wait()


async def send(port: str, name: str, file: str) -> None:
    said = texts(file)
    channel = (await connected(port)).channels.get(name)
    spending = Spending(len(said) - Spending.WARM)
    for text in said:
        spending.next()
        await channel.publish("chatkit", text)
    found = spending.told()
    began = time.perf_counter()
    await asyncio.gather(*(channel.publish("chatkit", text) for text in said))
    found["/s"] = len(said) / (time.perf_counter() - began)
    say(json.dumps(found))


asyncio.run({"hear": hear, "send": send}[sys.argv[1]](*sys.argv[2:]))
os._exit(0)  # the client leaves threads and tasks behind
