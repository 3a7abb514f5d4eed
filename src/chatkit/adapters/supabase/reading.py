"""`Reading`: entries that are too large for a broadcast are read, in their turn.

What is announced behind such an entry waits for it, so that all comes in the order of the log. Where it
cannot be read, or too much waits, the engine is told to look into the log itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from chatkit.adapters.supabase.attached import Attached
from chatkit.adapters.supabase.hearing import received
from chatkit.adapters.supabase.payload import Announced
from chatkit.errors import ChatkitError
from chatkit.model.entry import Stamp
from chatkit.model.order import OrderKey
from chatkit.ports.adapter import Shed, Signal
from chatkit.ports.log import Log

WAITING: Final = 100
"""Entries that wait for one that is being read."""
PATIENCE: Final = 20.0
"""Seconds for one to be read: an answer may come byte by byte."""
_MOST: Final = WAITING + 2
"""Kept of those that wait: also behind one that is taken out there are then too many: it is given up."""


class Reading:
    """Of one connection.

    Args:
        log: Where entries are read.
        spawn: Runs a task until the connection ends.
        put: Hands a signal on.
    """

    def __init__(
        self,
        log: Log,
        *,
        spawn: Callable[[Coroutine[Any, Any, None], str], object],
        put: Callable[[Attached, Signal], Awaitable[None]],
    ) -> None:
        self._log = log
        self._spawn = spawn
        self._put = put

    def take(self, one: Attached, entries: list[Announced]) -> None:
        """Have entries handed on, in order, once those that are not whole were read."""
        if one.waiting is not None:
            one.waiting.extend(entries[: max(0, _MOST - len(one.waiting))])
            return
        one.waiting = deque(entries[:_MOST])
        _ = self._spawn(self._work(one, one.waiting), "supabase-large")

    async def _work(self, one: Attached, waiting: deque[Announced]) -> None:
        try:
            while waiting:
                entry = waiting.popleft()
                data = entry.data if entry.data is not None else await self._read(one, entry.stamp)
                if data is None or len(waiting) > WAITING:
                    await self._put(one, Shed(one.channel, "large"))
                    return  # which has the others, too
                await self._put(one, received(one.channel, entry, data))
        finally:
            one.waiting = None

    async def _read(self, one: Attached, stamp: Stamp) -> bytes | None:
        """Return an entry's envelope; `None`: it is not to be had."""
        behind = OrderKey(stamp.key.epoch, stamp.prev or "")
        try:
            async with asyncio.timeout(PATIENCE):
                found = await self._log.entries(one.channel, after=behind, limit=1)
        except (ChatkitError, TimeoutError):
            return None
        if not found.items or found.items[0].stamp.key != stamp.key:
            return None
        return found.items[0].data
