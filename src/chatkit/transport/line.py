"""`Line`: what was heard and not handed on yet, where several tasks hear."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from chatkit.ports.adapter import Signal

WAITING: Final = 1_000
"""Signals that wait for the reader; with more those who bring them wait, too (I10)."""


class Source:
    """A channel as it was attached once. What waits of one that was left is passed over."""

    left = False


class Line:
    """Of one session; one reader."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Source | None, Signal]] = deque()
        self._came = asyncio.Event()
        self._room = asyncio.Event()

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    @property
    def full(self) -> bool:
        """Whether those who bring more wait."""
        return len(self._waiting) >= WAITING

    def push(self, signal: Signal) -> None:
        """Let a signal of the session itself wait, room or not."""
        self._waiting.append((None, signal))
        self._came.set()

    async def put(self, source: Source, signal: Signal) -> None:
        """Let a signal of a channel wait, when there is room."""
        while not self.offer(source, signal):
            self._room.clear()
            await self._room.wait()

    def offer(self, source: Source, signal: Signal) -> bool:
        """Let a signal of a channel wait if there is room; returns whether there was."""
        if len(self._waiting) >= WAITING:
            return False
        self._waiting.append((source, signal))
        self._came.set()
        return True

    def next(self) -> Signal | None:
        """Return what waits longest; `None`: nothing does."""
        while self._waiting:
            source, signal = self._waiting.popleft()
            self._room.set()
            if source is None or not source.left:
                return signal
        return None

    async def more(self) -> None:
        """Return once there may be something, or `wake` was called."""
        self._came.clear()
        await self._came.wait()

    def wake(self) -> None:
        """Let the reader look."""
        self._came.set()
