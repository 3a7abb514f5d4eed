"""Receives with pysher: `pysher_client.py PORT CHANNEL COUNT CHUNK`, in an environment that has it.

It hands on data as text, so that its handler parses it, as an app's would.
"""

from __future__ import annotations

import json
import sys
import threading

import pysher
from counting import Counting, say


def main(port: str, name: str, count: str, chunk: str) -> None:
    counting, over = Counting(int(count), int(chunk)), threading.Event()
    counting.on_end = over.set
    client = pysher.Pusher(
        "app-key",
        secure=False,
        secret="app-secret",
        user_data={"user_id": "pysher"},
        custom_host="127.0.0.1",
        port=int(port),
        auto_sub=True,
    )

    def handle(data: str) -> None:
        json.loads(data)
        counting.one()

    def subscribe(_: object) -> None:
        if name not in client.channels:
            channel = client.subscribe(name)
            channel.bind("chatkit", handle)
            channel.bind("pusher_internal:subscription_succeeded", lambda _: say("ready"))

    client.connection.bind("pusher:connection_established", subscribe)
    client.connect()
    over.wait()


main(*sys.argv[1:])
