"""`Rosters`: who is present in channels, read by calls where no frame tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from chatkit.adapters.ably.access import Access
from chatkit.adapters.ably.hearing import present_of
from chatkit.adapters.ably.members import Members
from chatkit.adapters.ably.rest import Rest
from chatkit.errors import ChatkitError
from chatkit.ports.adapter import Roster
from chatkit.ports.context import Observer

EVERY: Final = 10.0
"""Seconds between two readings."""


class Rosters:
    """Of one session.

    Args:
        rest: The calls.
        access: With which credentials.
        put: Passes a roster on; may wait.
        observer: Told of what cannot be read; it is tried again.
    """

    def __init__(
        self,
        rest: Rest,
        access: Access,
        put: Callable[[str, Roster], Awaitable[None]],
        observer: Observer,
    ) -> None:
        self._rest = rest
        self._access = access
        self._put = put
        self._observer = observer
        self._names: dict[str, str] = {}
        self._new = asyncio.Event()

    def follow(self, channel: str, name: str) -> None:
        """Read who is in a channel, from now on; `name`: what it is called at Ably."""
        self._names[channel] = name
        self._new.set()

    def leave(self, channel: str) -> None:
        """Read it no longer."""
        _ = self._names.pop(channel, None)

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            self._new.clear()
            for channel, name in tuple(self._names.items()):
                try:
                    page = await self._rest.members(name, self._access)
                except ChatkitError as error:
                    self._observer.point("ably.no_roster", channel=channel, error=type(error).__name__)
                    continue
                members = Members()
                _ = members.sync(None, page.items)
                await self._put(channel, Roster(channel, tuple(map(present_of, members.present))))
            try:
                async with asyncio.timeout(EVERY if self._names else None):
                    await self._new.wait()
            except TimeoutError:
                continue
