"""A hub with clients, for tests of the memory adapter."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

from chatkit.adapters.memory import Hub, MemoryAdapter, MemoryConfig, MemorySession, factory, new_hub
from chatkit.ports.adapter import Alive, Received, SessionClosed, Signal
from chatkit.ports.context import Clock
from chatkit.ports.log import Log
from chatkit.testing.parts import parts


class World:
    """One hub, and adapters to it."""

    def __init__(self, clock: Clock, *, seed: int = 1, **hub: Any) -> None:
        self.clock = clock
        self.hub: Hub = new_hub("test", clock=clock, random=Random(seed), **hub)
        self.network = self.hub.network

    def adapter(self, user: str = "ada", *, log: Log | None = None, **config: Any) -> MemoryAdapter:
        """Return an adapter; keywords are `MemoryConfig`'s."""
        return factory.build(MemoryConfig(hub=self.hub, **config), parts(user, self.clock, log=log))

    async def session(
        self, user: str = "ada", *channels: str, log: Log | None = None, **config: Any
    ) -> MemorySession:
        """Return a session of a new adapter, attached."""
        return await attached(self.adapter(user, log=log, **config), *channels)


async def attached(adapter: MemoryAdapter, *channels: str) -> MemorySession:
    """Return a session, attached, its first signals read."""
    session = await adapter.open()
    for channel in channels:
        await session.attach(channel, None, presence=False)
    await heard(session)
    return session


async def heard(session: MemorySession) -> list[Signal]:
    """Return the signals that wait."""
    found: list[Signal] = []
    while session._inbox._queue:
        found.append(await anext(session._inbox))
    return found


async def received(session: MemorySession) -> list[Received]:
    """Return the frames that wait, and nothing else may wait with them but signs of life."""
    found = await heard(session)
    assert all(isinstance(signal, (Received, Alive)) for signal in found), found
    return [signal for signal in found if isinstance(signal, Received)]


async def end_of(session: MemorySession) -> SessionClosed:
    """Return what the reader ends with, once it has read what waits."""
    try:
        async with asyncio.timeout(1):
            while True:
                await anext(session._inbox)
    except SessionClosed as error:
        return error
