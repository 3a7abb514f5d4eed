"""Receives with asyncpusher: `asyncpusher_client.py PORT CHANNEL COUNT CHUNK`, in an environment that has it."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import sys
from typing import Any

from asyncpusher.pusher import Pusher
from counting import Counting, say


async def permit(request: dict[str, str]) -> dict[str, str]:
    member = json.dumps({"user_id": "asyncpusher"})
    signed = f"{request['socket_id']}:{request['channel_name']}:{member}"
    digest = hmac.digest(b"app-secret", signed.encode(), "sha256").hex()
    return {"auth": f"app-key:{digest}", "channel_data": member}


async def main(port: str, name: str, count: str, chunk: str) -> None:
    if count == "0":
        logging.disable()  # a connection that is lost is what is asked for
    counting, over = Counting(int(count), int(chunk)), asyncio.Event()
    counting.on_end = over.set
    client = Pusher(
        "app-key",
        secure=False,
        custom_host="127.0.0.1",
        custom_port=int(port),
        channel_authenticator=permit,
        auto_sub=True,
    )

    async def handle(_: Any) -> None:  # given what it parsed
        counting.one()

    async def ready(_: Any) -> None:
        say("ready")

    await client.connect()
    channel = await client.subscribe(name)
    channel.bind("chatkit", handle)
    channel.bind("pusher_internal:subscription_succeeded", ready)
    await over.wait()
    await client.disconnect()


asyncio.run(main(*sys.argv[1:]))
