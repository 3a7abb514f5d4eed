"""Calls to the app's server about what happens, signed as the service signs them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import aiohttp

from chatkit.testing.emulators.clock import EmulatorClock, Timer
from chatkit.testing.emulators.pusher import frames, signing
from chatkit.testing.emulators.pusher.settings import PusherSettings

MOST_WAITING: Final = 10_000
"""Calls that wait for an app that does not answer; of more the oldest are lost."""

TRIED_FOR: Final = 300.0
"""Seconds for which a call is repeated that was not answered with 2xx; then it is lost."""

UNDONE_BY: Final = {"channel_occupied": "channel_vacated", "member_added": "member_removed"}
"""What comes late, and not at all if the first of the pair comes back before."""


class Webhooks:
    """Tells the app's server, one call after another.

    Args:
        settings: Those that hold at the moment; without `webhook_url` nothing is told.
        clock: For what comes late, and for repetitions.
    """

    def __init__(self, settings: Callable[[], PusherSettings], clock: EmulatorClock) -> None:
        self._settings = settings
        self._clock = clock
        self._held: dict[str, Timer] = {}
        self._waiting: deque[dict[str, Any]] = deque(maxlen=MOST_WAITING)
        self._sender: asyncio.Task[None] | None = None

    def tell(self, name: str, **parts: Any) -> None:
        """Something has happened: its name and what belongs to it."""
        settings = self._settings()
        if settings.webhook_url is None:
            return
        event = {"name": name, **{part: value for part, value in parts.items() if value is not None}}
        if name in UNDONE_BY.values():
            key = frames.dumps(event)
            self._held[key] = self._clock.call_later(settings.webhook_delay, lambda: self._let_go(key, event))
        elif name in UNDONE_BY and (
            held := self._held.pop(frames.dumps({**event, "name": UNDONE_BY[name]}), None)
        ):
            held.cancel()
        else:
            self._put(event)

    async def aclose(self) -> None:
        """Tell nothing more."""
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.cancel()
            await asyncio.wait({sender})

    def _let_go(self, key: str, event: dict[str, Any]) -> None:
        del self._held[key]
        self._put(event)

    def _put(self, event: dict[str, Any]) -> None:
        self._waiting.append({"time_ms": round(self._clock.unix() * 1000), "events": [event]})
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_all(), name="emulator-webhooks")

    async def _send_all(self) -> None:
        async with aiohttp.ClientSession() as session:
            while self._waiting:
                await self._send(session, frames.dumps(self._waiting.popleft()))

    async def _send(self, session: aiohttp.ClientSession, body: str) -> None:
        wait, until = 1.0, self._clock.monotonic() + TRIED_FOR
        while not await self._accepted(session, body) and self._clock.monotonic() + wait <= until:
            await self._clock.sleep(wait)
            wait *= 2

    async def _accepted(self, session: aiohttp.ClientSession, body: str) -> bool:
        settings = self._settings()
        headers = {
            "Content-Type": "application/json",
            "X-Pusher-Key": settings.key,
            "X-Pusher-Signature": signing.digest(settings.secret, body),
        }
        try:
            async with session.post(
                settings.webhook_url or "", data=body.encode(), headers=headers
            ) as answer:
                return answer.ok
        except aiohttp.ClientError:
            return False
