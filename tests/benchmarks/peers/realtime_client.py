"""Receives with Supabase's own client: `realtime_client.py URL KEY MODE TOPIC COUNT CHUNK`, in an environment
that has it. MODE is `broadcast` or `database`; it says what `counting.py` says.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from typing import Any

from counting import Counting, say
from realtime import AsyncRealtimeClient, RealtimeSubscribeStates


async def main(url: str, key: str, mode: str, topic: str, count: str, chunk: str) -> None:
    logging.disable()  # a connection that is lost is what is asked for
    counting, over = Counting(int(count), int(chunk)), asyncio.Event()
    counting.on_end = over.set
    ready = asyncio.Event()

    def said(message: Any) -> None:
        json.loads(message["payload"]["data"])
        counting.one()

    def announced(message: Any) -> None:
        for entry in message["payload"]["entries"]:
            json.loads(entry["data"])
            counting.one()

    def joined(state: RealtimeSubscribeStates, _: Exception | None) -> None:
        if state == RealtimeSubscribeStates.SUBSCRIBED:
            ready.set()

    client = AsyncRealtimeClient(f"{url}/realtime/v1", key)
    config: Any = {
        "config": {
            "private": mode == "database",
            "broadcast": {"self": False, "ack": False},
            "presence": {"enabled": False, "key": ""},
        }
    }
    channel = client.channel(topic, config)
    channel.on_broadcast(*(("entries", announced) if mode == "database" else ("chatkit", said)))
    await channel.subscribe(joined)
    await ready.wait()
    say("ready")
    await over.wait()


asyncio.run(main(*sys.argv[1:]))
os._exit(0)  # the client leaves tasks behind
