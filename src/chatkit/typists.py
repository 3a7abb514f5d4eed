"""`Typing`: who is writing in a channel, and saying that I am."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from chatkit.errors import StateError
from chatkit.passing import emit
from chatkit.stream import Stream, Watched

if TYPE_CHECKING:
    from chatkit.engine.channel import ChannelEngine
    from chatkit.engine.thread import ThreadFeed
    from chatkit.shared import Shared

EVERY: Final = 3.0
"""Seconds between two words that a user still types."""
LASTS: Final = 6_000
"""Milliseconds that a word holds at its readers: one of two may be lost."""


class Typing:
    """Typing indicators of one channel, or thread: ephemeral, never queued, lost on a bad line (D25).

    Args:
        owner: The life of the client.
        feed: The channel's, or the thread's.
        user: Who types here.
    """

    def __init__(self, owner: Shared, feed: ChannelEngine | ThreadFeed, user: str) -> None:
        self._owner = owner
        self._channel = feed
        self._user = user
        self._watched: Watched[frozenset[str]] = Watched(lambda: self.users)
        feed.typing.listeners.add(self)
        self._next = 0.0
        self._told = False

    @property
    def users(self) -> frozenset[str]:
        """Who is typing here, as far as was heard; without me."""
        return self._channel.typing.users - {self._user}

    async def keystroke(self) -> None:
        """Say that I type; to be called at each key, it is told every three seconds. Nothing when offline.

        Readers forget it after six seconds, or when my message comes.
        """
        self._owner.check_use()
        now = self._owner.engine.context.clock.monotonic()
        if now < self._next:
            return
        self._next = now + EVERY
        self._told = await self._tell(active=True)
        if not self._told:
            self._next = 0.0

    async def stop(self) -> None:
        """Say that I do not type any more; nothing where nobody was told that I do."""
        self._owner.check_use()
        told, self._told, self._next = self._told, False, 0.0
        if told:
            _ = await self._tell(active=False)

    @asynccontextmanager
    async def active(self) -> AsyncGenerator[None]:
        """Type for the length of the block: `async with channel.typing.active(): ...`."""
        await self.keystroke()
        tasks = self._owner.engine.context.tasks
        renewing = tasks.task(self._renew(), f"typing:{self._channel.name}")
        try:
            yield
        finally:
            renewing.cancel()
            with suppress(StateError):  # the client was closed meanwhile
                await self.stop()

    def watch(self) -> Stream[frozenset[str]]:
        """Follow who types: those of now first, then the newest after each change. Wishes the attach."""
        self._owner.check_loop()
        self._channel.want()
        return self._watched.watch()

    # -- for the library --------------------------------------------------------------------------------

    def changed(self) -> None:
        """Tell those who watch."""
        self._watched.changed()

    def spoke(self) -> None:
        """My message is on its way, and clears the word that I type."""
        self._told, self._next = False, 0.0

    def close(self) -> None:
        """End what watches."""
        self._watched.close()

    async def _renew(self) -> None:
        with suppress(StateError):
            while True:
                await asyncio.sleep(EVERY)
                await self.keystroke()

    async def _tell(self, *, active: bool) -> bool:
        body = {"type": "typing", "active": active}
        ttl, feed = LASTS if active else None, self._channel
        engine = self._owner.engine
        return await emit(engine, self._user, feed.name, "typing", body, thread=feed.thread, ttl=ttl)
