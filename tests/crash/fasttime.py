"""Time that runs faster: threads and processes are real, and the seconds of the library pass sooner.

A virtual clock would jump while a thread of the store is at work; a plain one makes each life take seconds.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")


class FastClock:
    """A `Clock` on which `speed` seconds pass in each real one.

    Args:
        speed: How much faster.
        since: When all lives of one test began, by `time.time()`: so that each begins after the one before.
    """

    def __init__(self, speed: float, since: float) -> None:
        self.speed = speed
        self._since = since

    def monotonic(self) -> float:
        return time.monotonic() * self.speed

    def wall(self) -> datetime:
        passed = (time.time() - self._since) * self.speed
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=passed)


class _Selector(selectors.DefaultSelector):
    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout and timeout / self._speed)


class FastLoop(asyncio.SelectorEventLoop):
    """An event loop on a `FastClock`."""

    def __init__(self, clock: FastClock) -> None:
        self._fast = clock
        super().__init__(_Selector(clock.speed))

    def time(self) -> float:
        return self._fast.monotonic()


def run(main: Coroutine[Any, Any, T], clock: FastClock) -> T:
    """Run a coroutine to its end on fast time."""
    with asyncio.Runner(loop_factory=lambda: FastLoop(clock)) as runner:
        return runner.run(main)
