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
from typing import Any, Final, NoReturn

from chatkit.adapters.ably.annotations import Register
from chatkit.adapters.ably.hearing import Hearing
from chatkit.adapters.ably.listing import Listing
from chatkit.adapters.ably.reacted import Reacted
from chatkit.errors import ChatkitError
from chatkit.ports.adapter import SessionClosed
from chatkit.ports.context import Observer

AT_ONCE: Final = 4
"""Messages that are asked about at once."""
PAUSES: Final = (0.2, 1.0, 3.0, 9.0)
"""Seconds before each question about a message: what seems lost may come after all, and others react."""
OVERDUE: Final = 15.0
"""Seconds without an answer after which a connection ends: what is listed when others were heard for half a
minute would be taken for a repeat (D17)."""


class Surveying:
    """Of one connection.

    Args:
        hearing: Told when there is something to be passed on.
        listing: Where it is listed.
        reacted: What was passed on.
        spawn: Runs a task that ends with the connection.
        wake: Has the reader look at what was found.
        end: Ends the connection, by `SessionClosed`: the next one is told of everything once more.
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
        end: Callable[[], Awaitable[NoReturn]],
        observer: Observer,
    ) -> None:
        self._hearing = hearing
        self._listing = listing
        self._reacted = reacted
        self._spawn = spawn
        self._wake = wake
        self._end = end
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
        except SessionClosed:
            return
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
        now = asyncio.get_running_loop().time
        answered = now()
        while tries < len(PAUSES):
            await asyncio.sleep(PAUSES[min(tries + failures, len(PAUSES) - 1)])
            try:
                async with self._gate:
                    then = self._reacted.wanted(channel, serial)  # what comes from here on may not be in it
                    if then is None or self._is_told(channel, serial, then.summary):
                        return None
                    async with asyncio.timeout(OVERDUE):
                        ours = await self._listing.ask(channel, serial)
            except (ChatkitError, TimeoutError) as error:
                if isinstance(error, ChatkitError) and not error.retryable:
                    raise
                failures += 1
                if now() - answered >= OVERDUE:
                    await self._end()
                continue
            answered = now()
            if not ours:
                return None
            self._hearing.reacted(channel, serial)
            with suppress(SessionClosed):
                await self._wake()
            wanted = self._reacted.wanted(channel, serial)
            if wanted is None:
                return None
            if wanted.number == then.number and self._stands(channel, serial, wanted.summary):
                return None
            tries = tries + 1 if wanted == then else 1
        return "Disagreeing"

    def _is_told(self, channel: str, serial: str, summary: frozenset[Register] | None) -> bool:
        """Say whether what seemed lost came after all."""
        return summary is not None and self._reacted.is_told(channel, serial, summary)

    def _stands(self, channel: str, serial: str, summary: frozenset[Register] | None) -> bool:
        """Say whether a list has what was told."""
        return summary is None or self._reacted.stands(channel, serial, summary)
