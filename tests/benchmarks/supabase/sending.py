"""Sends in a process of its own: `python -m tests.benchmarks.supabase.sending PORT KEY COUNT STORE BATCH`; prints JSON.

Messages a second of what was queued offline, `BATCH` an append.
"""

from __future__ import annotations

import asyncio
import json
import sys

from tests.benchmarks.draining import drained
from tests.benchmarks.supabase.clients import adapter, url
from tests.servers.soketi.server import free_port


async def drain(port: int, key: str, count: int, store: str, batch: int) -> dict[str, float]:
    """Queue while there is no server, then connect to one; of another realm, for the port is another."""
    made = adapter(port, key, "database", "ada", batch=batch)
    found = await drained(url(free_port(), key, "database"), made, count, store, rebind=True)
    return {"/s": count / found["s"]}


def main(port: str, key: str, count: str, store: str, batch: str) -> None:
    """Do it."""
    print(json.dumps(asyncio.run(drain(int(port), key, int(count), store, int(batch)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
