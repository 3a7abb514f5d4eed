"""The timetable: when entries fall due, and when they end unsent (D13)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime
from typing import TYPE_CHECKING, Final

from chatkit.core.delivery import State

if TYPE_CHECKING:
    from chatkit.engine.context import Context
    from chatkit.engine.entry import OutboxEntry

LOOK: Final = 0.25
"""Least seconds between two looks."""
LONGEST: Final = 3_600.0
"""Most seconds between two looks."""


class Timetable:
    """Watches the clock for the outbox; one task, no timers of its own.

    Args:
        context: The client's parts.
        entries: All that are unfinished, as they come and go.
        on_due: Given each entry whose time to be sent has come.
        on_late: Given each entry past its deadline.
    """

    def __init__(
        self,
        context: Context,
        entries: Collection[OutboxEntry],
        *,
        on_due: Callable[[OutboxEntry], None],
        on_late: Callable[[OutboxEntry], None],
    ) -> None:
        self._context = context
        self._entries = entries
        self._on_due = on_due
        self._on_late = on_late
        self._waiting: dict[OutboxEntry, datetime] = {}
        self._next: datetime | None = None
        self._changed = asyncio.Event()

    def look(self) -> None:
        """Look at the clock now: it shows another time."""
        self._changed.set()

    def note(self, entry: OutboxEntry) -> None:
        """Take note of an unfinished entry's deadline."""
        self._look_by(entry.row.expires_at)

    def hold(self, entry: OutboxEntry) -> bool:
        """Keep an entry until it is due; `False`: it is."""
        due = entry.row.due_at
        if due is None or due <= self._context.server_time.now():
            self._waiting.pop(entry, None)  # it was held before, and goes earlier now
            return False
        self._waiting[entry] = due
        self._look_by(due)
        return True

    def holds(self, entry: OutboxEntry) -> bool:
        """Whether an entry is kept until it is due."""
        return entry in self._waiting

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            self._changed.clear()
            self._next = self._look()
            wait = LONGEST
            if self._next is not None:
                wait = (self._next - self._context.server_time.now()).total_seconds()
            try:
                async with asyncio.timeout(min(max(wait, LOOK), LONGEST)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _look(self) -> datetime | None:
        """Tell what is due and what is late; return when to look next.

        Nothing expires before a contact has confirmed the time. One that is being sent has its answer first.
        """
        now = self._context.server_time.now()
        for entry in [entry for entry, due in self._waiting.items() if due <= now or not entry.unfinished]:
            del self._waiting[entry]
            if entry.unfinished:
                self._on_due(entry)
        moments = list(self._waiting.values())
        if self._context.server_time.confirmed:
            for entry in tuple(self._entries):
                deadline = entry.row.expires_at
                if deadline is None or not entry.unfinished:
                    continue
                if deadline <= now and entry.state is not State.SENDING:
                    self._on_late(entry)
                else:
                    moments.append(deadline)
        return min(moments, default=None)

    def _look_by(self, moment: datetime | None) -> None:
        if moment is not None and (self._next is None or moment < self._next):
            self._changed.set()
