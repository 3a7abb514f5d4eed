"""Comparing channels with their log: now and then, and when the log says that something changed (D16)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

from chatkit.core import backoff
from chatkit.errors import ChatkitError
from chatkit.model.order import OrderKey

if TYPE_CHECKING:
    from chatkit.engine.channel import ChannelEngine
    from chatkit.engine.context import Context
    from chatkit.ports import Log

GATHER: Final = 1.0
"""Seconds for which changes that a log tells are gathered, and in which a frame may bring them first."""


class Polling:
    """Has heads compared for all channels that are read; one call for those that are due.

    Args:
        context: The client's parts.
        channels: Its channels by name, as they come.
    """

    def __init__(self, context: Context, channels: Mapping[str, ChannelEngine]) -> None:
        self._context = context
        self._channels = channels
        self._log: Log | None = context.log if context.adapter.capabilities.contiguous else None
        self._changed: set[str] = set()
        self._wake = asyncio.Event()

    def start(self) -> None:
        """Begin, where there is a log whose heads say something."""
        if self._log is None:
            return
        tasks = self._context.tasks
        tasks.keep(self._poll, "staleness")
        # Elsewhere what announces is the log's own provider.
        if self._context.adapter.capabilities.announce == "after" and "notify" in self._log.capabilities:
            tasks.keep(self._listen, "log-changes")
            tasks.keep(self._gather, "log-heads")

    async def _poll(self) -> None:
        """Compare where no frame has shown for a while that nothing is missing."""
        context = self._context
        half = context.staleness / 2
        while True:
            await asyncio.sleep(half * (0.8 + 0.2 * context.random.random()))
            now = context.clock.monotonic()
            await self._compare([name for name in self._channels if self._quiet(name, now - half)])

    async def _listen(self) -> None:
        """Take note of what the log says that others appended; listen again where the connection was lost."""
        assert self._log is not None  # noqa: S101  # see `start`
        failures = 0
        while True:
            try:
                async for channel in self._log.changes():
                    failures = 0
                    self._changed |= {channel} if channel else set(self._channels)
                    self._wake.set()
            except ChatkitError as error:
                self._context.observer.point("log.not_heard", error=type(error).__name__)
            await asyncio.sleep(max(GATHER, backoff.delay(failures, self._context.random.random())))
            failures += 1

    async def _gather(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER)
            self._wake.clear()
            changed, self._changed = self._changed, set()
            since = self._context.clock.monotonic() - GATHER
            await self._compare([name for name in changed & set(self._channels) if self._quiet(name, since)])

    def _quiet(self, name: str, since: float) -> bool:
        """Whether no frame has shown since then that nothing is missing."""
        return self._channels[name].receiver.heard <= since

    async def _compare(self, names: Collection[str]) -> None:
        """Have read what stands elsewhere than its log, of what may be read."""
        asked = {name: one for name in names if (one := self._channels[name]).readable}
        log = self._log
        if not asked or log is None:
            return
        try:
            heads = await self._context.read(lambda: log.heads(list(asked)))
        except ChatkitError as error:
            self._context.observer.point("log.heads_failed", error=type(error).__name__)
            return
        now = self._context.clock.monotonic()
        for name, state in heads.items():
            receiver = asked[name].receiver
            same = receiver.log_id in (None, state.log_id)
            if same and OrderKey(state.epoch, state.head or "") == receiver.continuity.complete:
                receiver.heard = now
            else:
                receiver.prompt_read(0.0)
