"""The publish path: one attempt at one batch, paced, and the pauses a provider asks for (D11, D12, D15)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from chatkit.engine.context import Context, bounded
from chatkit.errors import ChatkitError

if TYPE_CHECKING:
    from chatkit.ports import Ack, Batch, Session

ACK_TIMEOUT: Final = 10.0
"""Seconds without an answer after which a publish is in doubt."""
PAUSE: Final = 30.0
"""Seconds that lanes pause after a refusal of the whole connection that named no time."""


class Publishing:
    """Where lanes publish.

    Args:
        context: The client's parts.
        session: Returns the live session, or `None`.
    """

    def __init__(self, context: Context, session: Callable[[], Session | None]) -> None:
        self._context = context
        self._session = session
        self._changed = asyncio.Event()
        self._free_at = 0.0
        self.paused: ChatkitError | None = None
        """Why all lanes pause: credentials, quota, a disabled app. Nothing fails meanwhile (D12)."""

    @property
    def needs_session(self) -> bool:
        """Whether publishing goes over the live session rather than by HTTP or into a log."""
        return self._context.adapter.publisher is None and self._context.adapter.capabilities.announce == "stream"

    @property
    def open(self) -> bool:
        """Whether an attempt may be made now."""
        return self.paused is None and (not self.needs_session or self._session() is not None)

    async def ready(self) -> None:
        """Wait until an attempt may be made: for the publish path only, never for an attach (D15)."""
        while not self.open:
            self._changed.clear()
            await self._changed.wait()

    def changed(self) -> None:
        """The session came or went."""
        self._changed.set()

    def pause(self, reason: ChatkitError, after: float | None) -> None:
        """Let all lanes pause; they go on by themselves."""
        if self.paused is None:
            self._context.observer.point("publishing.paused", error=type(reason).__name__)
            asyncio.get_running_loop().call_later(PAUSE if after is None else after, self.resume)
        self.paused = reason

    def resume(self) -> None:
        """End a pause."""
        self.paused = None
        self._changed.set()

    async def publish(self, batch: Batch) -> Sequence[Ack]:
        """Make one attempt.

        Raises:
            ChatkitError: The outcome is unknown.
        """
        await self._pace(len(batch.entries))
        adapter = self._context.adapter
        if adapter.capabilities.announce == "transactional":
            log = self._context.need_log(batch.channel)
            appended = await bounded(lambda: log.append(batch.channel, batch.entries), ACK_TIMEOUT)
            self._context.server_time.confirm(appended.state.now)
            return appended.acks
        publisher = adapter.publisher or self._session()
        if publisher is None:
            return ()
        return await bounded(lambda: publisher.publish(batch, (None,) * len(batch.entries)), ACK_TIMEOUT)

    async def _pace(self, entries: int) -> None:
        rate = self._context.adapter.capabilities.publish_rate
        if rate is None:
            return
        now = self._context.clock.monotonic()
        start = max(now, self._free_at)
        self._free_at = start + entries / rate
        if start > now:
            await asyncio.sleep(start - now)
