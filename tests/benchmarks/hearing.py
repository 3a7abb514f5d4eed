"""How chatkit hears in a process of its own, whatever the provider; it says what `peers/counting.py` says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import chatkit
from chatkit.ports import Adapter, Received, Session
from tests.benchmarks.corpus import CHANNEL
from tests.benchmarks.peers.counting import Counting, say

A = TypeVar("A", bound=Adapter)


async def hear(
    what: str, url: str, make: Callable[[], Adapter], counting: Counting, name: str = CHANNEL
) -> None:
    """Be one of them.

    Args:
        what: `session`, `chat`, or `back`: `chat` that also tells its attempts to connect.
        url: The provider's, for `chat`.
        make: Makes the adapter of the others.
        counting: Told what is heard.
        name: Of the channel.
    """
    match what:
        case "session":
            await session(make(), counting, name)
        case "chat":
            await chat(url, counting, name)
        case "back":
            await chat(telling(make(), counting), counting, name)
        case _:
            raise ValueError(what)


async def session(made: Adapter, counting: Counting, name: str) -> None:
    """Read the signals of an adapter's session: who says what, and nothing folded."""
    opened = await made.open()

    async def read() -> None:
        async for signal in opened.signals():
            if isinstance(signal, Received):
                counting.one()
                if counting.seen == counting.count:
                    break

    reading = asyncio.create_task(read())
    await opened.attach(name, None, presence=False)
    say("ready")
    await reading
    await made.aclose()


async def chat(source: str | Adapter, counting: Counting, name: str) -> None:
    """Hand each message to a handler: timeline, duplicates, ids in the store."""
    over = asyncio.Event()
    counting.on_end = over.set
    async with chatkit.connect(source, user="reader", store=":memory:", drain=0.0) as opened:
        channel = opened.channel(name)

        @channel.on(chatkit.MessageCreated)
        async def count_it(event: chatkit.MessageCreated) -> None:
            counting.one()

        await channel.attach(timeout=10)
        say("ready")
        await over.wait()


def telling(made: A, counting: Counting) -> A:
    """Let an adapter tell each attempt to connect."""
    connect = made.open

    async def tell() -> Session:
        counting.moment("connecting")
        return await connect()

    made.open = tell  # type: ignore[method-assign]
    return made
