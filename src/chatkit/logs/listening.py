"""Telling readers in this process, on any event loop, which channels were appended to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from threading import Lock

Told = Callable[[str], None]


class Listeners:
    """Whom to tell of appends. Safe to use from any thread."""

    def __init__(self) -> None:
        self._told: dict[Told, None] = {}
        self._lock = Lock()

    def add(self, told: Told) -> None:
        """Call something with the channel of each append from now on, on the thread that appends."""
        with self._lock:
            self._told[told] = None

    def drop(self, told: Told) -> None:
        """Call it no more; idempotent."""
        with self._lock:
            self._told.pop(told, None)

    def tell(self, channel: str) -> None:
        """Say that a channel was appended to."""
        with self._lock:
            told = tuple(self._told)
        for tell in told:
            tell(channel)

    async def changes(self) -> AsyncGenerator[str]:
        """Yield `""`, then each channel that is told of; one that is told of again meanwhile once."""
        heard = _Heard()
        self.add(heard.note)
        try:
            yield ""
            while True:
                yield await heard.next()
        finally:
            self.drop(heard.note)


class _Heard:
    """Channels on their way to one reader."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._names: dict[str, None] = {}
        self._lock = Lock()

    def note(self, channel: str) -> None:
        with self._lock:
            self._names[channel] = None
        with suppress(RuntimeError):  # its loop is closed, and nobody reads any more
            self._loop.call_soon_threadsafe(self._news.set)

    async def next(self) -> str:
        while True:
            self._news.clear()  # what is noted from here on sets it again
            with self._lock:
                if self._names:
                    channel = next(iter(self._names))
                    del self._names[channel]
                    return channel
            await self._news.wait()
