"""Processes that send and are killed, and what a stream tells of what they sent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Final

import chatkit
from chatkit import MessageCreated

PATIENCE: Final = 40.0
"""Seconds within which what must come has come."""
SENDER: Final = """
import asyncio, os, sys
import chatkit

async def main():
    url, store, count, *log = sys.argv[1:]
    async with chatkit.connect(url, user="ada", store=store, log=log[0] if log else None, drain=60) as chat:
        for number in range(int(count)):
            delivery = await chat.channel("support").send(f"message {number}", key=f"key {number}")
            if number < int(os.environ["WAITS"]):
                await delivery.wait(timeout=30)
            print(delivery.message_id, flush=True)

asyncio.run(main())
"""


async def life(
    *arguments: str, until: int | None = None, so: Callable[[], bool] = lambda: True, waits: int = 0
) -> int:
    """Run a process that sends, and kill it after so many lines once something is so; returns its code.

    It waits until each of the first `waits` messages is sent, so that these are calls of their own.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SENDER,
        *arguments,
        env={**os.environ, "WAITS": str(waits)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            if until is not None:
                for _ in range(until):
                    _ = await process.stdout.readline()
                while not so():
                    await asyncio.sleep(0.005)
                process.send_signal(signal.SIGKILL)
            _ = await process.stdout.read()
            return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            _ = await process.wait()


async def told(stream: chatkit.Stream[chatkit.Event], last: str) -> tuple[list[str], int]:
    """Return the texts that a stream tells up to one, and how many gaps."""
    texts: list[str] = []
    gaps = 0
    while not texts or texts[-1] != last:
        event = await stream.next(timeout=PATIENCE)
        if isinstance(event, MessageCreated):
            texts.append(event.message.text)
        else:
            gaps += 1
    return texts, gaps
