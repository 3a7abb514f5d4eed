"""`Looking`: of which message a version is that does not say so: the service is asked, beside what comes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from chatkit.adapters.ably.hearing import Hearing
from chatkit.adapters.ably.pages import Pages
from chatkit.adapters.ably.versions import Version
from chatkit.adapters.ably.wire import Frame
from chatkit.errors import ChatkitError
from chatkit.ports.adapter import SessionClosed
from chatkit.ports.context import Observer

LOOKS: Final = 20
"""Versions about which the service is asked at once."""


class Looking:
    """Of one connection.

    Args:
        hearing: Told what was found.
        pages: Where it is looked up.
        spawn: Runs a task that ends with the connection.
        wake: Has the reader look at what was found.
        observer: Told where there was no answer.
    """

    def __init__(
        self,
        hearing: Hearing,
        pages: Pages,
        *,
        spawn: Callable[[Coroutine[Any, Any, None], str], object],
        wake: Callable[[], Awaitable[None]],
        observer: Observer,
    ) -> None:
        self._hearing = hearing
        self._pages = pages
        self._spawn = spawn
        self._wake = wake
        self._observer = observer
        self._looks = 0

    def look_up(self, channel: str, item: Frame, version: Version) -> None:
        """Find out; where too much is asked already it passes as a foreign message."""
        if self._looks >= LOOKS:
            self._hearing.unknown(channel, item, version)
            return
        self._looks += 1
        _ = self._spawn(self._find_out(channel, item, version), "ably-version")

    async def _find_out(self, channel: str, item: Frame, version: Version) -> None:
        try:
            now = await self._pages.creation(channel, version)
        except ChatkitError as error:
            self._observer.point("ably.version_unknown", channel=channel, error=type(error).__name__)
            now = None
        finally:
            self._looks -= 1
        if now is None:
            self._hearing.unknown(channel, item, version)
        else:
            self._hearing.changed(channel, version, now)
        with suppress(SessionClosed):
            await self._wake()
