"""`Surveying`: reactions that were told of, but not in whole: the message's annotations are listed beside.

Summaries come to everybody, and say what stands. Where what was passed on says something else, there is
something to be listed: always for who does not hear annotations one by one, and for who does where one was
lost, or came before it was known of which message it is.

The service may list what it has told of a little later, so that it is asked again until both agree.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from chatkit.adapters.ably.annotations import Register
from chatkit.adapters.ably.hearing import Hearing
from chatkit.adapters.ably.listing import Listing
from chatkit.adapters.ably.reacted import Reacted
from chatkit.errors import ChatkitError, TransportError
from chatkit.ports.adapter import SessionClosed
from chatkit.ports.context import Observer

AT_ONCE: Final = 4
"""Messages that are asked about at once."""
PAUSES: Final = (0.2, 1.0, 3.0, 9.0)
"""Seconds before each question about a message: what seems lost may come after all, and others react."""


class Surveying:
    """Of one connection.

    Args:
        hearing: Told when there is something to be passed on.
        listing: Where it is listed.
        reacted: What was passed on.
        spawn: Runs a task that ends with the connection.
        wake: Has the reader look at what was found.
        observer: Told what cannot be found out.
    """

    def __init__(
        self,
        hearing: Hearing,
        listing: Listing,
        reacted: Reacted,
        *,
        spawn: Callable[[Coroutine[Any, Any, None], str], object],
        wake: Callable[[], Awaitable[None]],
        observer: Observer,
    ) -> None:
        self._hearing = hearing
        self._listing = listing
        self._reacted = reacted
        self._spawn = spawn
        self._wake = wake
        self._observer = observer
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._asked = set[tuple[str, str]]()

    def ask(self, channel: str, serial: str, summary: frozenset[Register] | None) -> None:
        """Find out about a message; `summary`: until what is known says this, `None`: once."""
        if not self._reacted.want(channel, serial, summary):
            self._observer.point("ably.reactions_unread", channel=channel, error="TooMany")
        elif (channel, serial) not in self._asked:
            self._begin(channel, serial)

    def go_on(self, channel: str) -> None:
        """Find out what the connection before this one did not."""
        for serial in self._reacted.wanted_of(channel):
            if (channel, serial) not in self._asked:
                self._begin(channel, serial)

    # -- inside

    def _begin(self, channel: str, serial: str) -> None:
        self._asked.add((channel, serial))
        _ = self._spawn(self._find_out(channel, serial), "ably-reactions")

    async def _find_out(self, channel: str, serial: str) -> None:
        """Ask until it is known; one who is cut off leaves it wanted, for the next connection."""
        try:
            why = await self._until_known(channel, serial)
        except ChatkitError as error:
            why = type(error).__name__
        finally:
            self._asked.discard((channel, serial))
        self._reacted.unwant(channel, serial)
        if why is not None:
            self._observer.point("ably.reactions_unread", channel=channel, error=why)

    async def _until_known(self, channel: str, serial: str) -> str | None:
        """Return why it cannot be known; `None`: it is, or is none of ours."""
        tries = failures = 0
        while tries < len(PAUSES):
            await asyncio.sleep(PAUSES[min(tries + failures, len(PAUSES) - 1)])
            wanted = self._reacted.wanted(channel, serial)
            if wanted is not None and self._reacted.is_told(channel, serial, wanted):
                return None
            try:
                async with self._gate:
                    ours = await self._listing.ask(channel, serial)
            except TransportError:
                failures += 1
                continue
            if not ours:
                return None
            self._hearing.reacted(channel, serial)
            self._reacted.came(channel, serial)
            with suppress(SessionClosed):
                await self._wake()
            now = self._reacted.wanted(channel, serial)
            if now is None or (now == wanted and self._reacted.is_told(channel, serial, now)):
                return None
            tries = tries + 1 if now == wanted else 1
        return "Disagreeing"
