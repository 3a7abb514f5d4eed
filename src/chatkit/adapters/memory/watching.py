"""`Watch`: one client hearing over its link which channels were appended to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from chatkit.adapters.memory.network import Link
from chatkit.adapters.memory.wire import Stream, call_on, request
from chatkit.errors import TransportError


class Source(Protocol):
    """What tells of appends, on any thread."""

    def add(self, told: Callable[[str], None]) -> None:
        """Call something from now on."""
        ...

    def drop(self, told: Callable[[str], None]) -> None:
        """Call it no more; idempotent."""
        ...


async def watch(link: Link, source: Source) -> AsyncGenerator[str]:
    """Yield `""`, then each channel that news of an append reached the client of; see `Log.changes`.

    News is late or lost as any frame is. Raises `TransportError` when the link is cut.
    """
    watching = Watch(link)

    def begin() -> None:
        link.check("read")
        source.add(watching.told)

    link.join(watching)
    try:
        await request(link, begin, call="read")
        yield ""
        while True:
            yield await watching.next()
    finally:
        source.drop(watching.told)
        watching.close()
        link.quit(watching)


class Watch:
    """News on its way; what was told of twice meanwhile is told of once."""

    def __init__(self, link: Link) -> None:
        self.loop = asyncio.get_running_loop()
        self._link = link
        self._down = Stream(self.loop)
        self._names: dict[str, None] = {}
        self._news = asyncio.Event()
        self._cut = False

    def told(self, channel: str) -> None:
        """Send word of an append; called by the hub, on any thread."""
        call_on(self.loop, self._leave, channel)

    def broken(self, *, half_open: bool) -> None:
        """Note that the link was cut. Half-open: nobody hears of it, and nothing comes any more."""
        self._down.close()
        if not half_open:
            self._cut = True
            self._news.set()

    async def next(self) -> str:
        """Return the next channel."""
        while not self._names:
            if self._cut:
                raise TransportError("the network was cut")
            self._news.clear()
            await self._news.wait()
        channel = next(iter(self._names))
        del self._names[channel]
        return channel

    def close(self) -> None:
        """Lose what is under way."""
        self._down.close()

    def _leave(self, channel: str) -> None:
        if not self._link.stumbles(self.loop.time()) and not self._link.drops():
            self._down.send(self._link.delay(), lambda: self._land(channel))

    def _land(self, channel: str) -> None:
        self._names[channel] = None
        self._news.set()
