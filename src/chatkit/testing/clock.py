"""One virtual clock for everything: the `Clock` port and the event loop.

Time stands still while anything can run and jumps to the next timer when nothing can, so that
`asyncio.sleep`, `asyncio.timeout` and every deadline in chatkit pass at once and in the same order each time.

    from chatkit.testing.clock import VirtualClock, run, settle

    clock = VirtualClock()
    run(story(), clock=clock)
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

T = TypeVar("T")

_TURNS: Final = 16
"""Turns of a busy loop from one look for real events to the next: looking costs as much as a turn."""
PATIENCE: Final = 5.0
"""Real seconds to wait for a thread when no timer is left, before it is called a deadlock."""


class VirtualClock:
    """A `Clock` that moves only when told to, or when its event loop has nothing else to do.

    Args:
        start: The time of day at the start; UTC.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self._shift = 0.0

    def monotonic(self) -> float:
        """Seconds since the start."""
        return self._elapsed

    def wall(self) -> datetime:
        """The time of day, jumps included."""
        return self._start + timedelta(seconds=self._elapsed + self._shift)

    def advance(self, seconds: float) -> None:
        """Move both clocks at once, running nothing: what code that blocks the loop does."""
        self._elapsed += seconds

    def jump(self, seconds: float) -> None:
        """Move the time of day alone: somebody set the clock, or the machine slept (D32)."""
        self._shift += seconds


class DeviceClock:
    """The clock of one device in a world: seconds pass as for everybody, the time of day is its own.

    Args:
        clock: Of the world.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._shift = timedelta()

    def monotonic(self) -> float:
        """Seconds since the start of the world."""
        return self._clock.monotonic()

    def wall(self) -> datetime:
        """The time of day as this device has it."""
        return self._clock.wall() + self._shift

    def jump(self, seconds: float) -> None:
        """Move the time of day: somebody set the clock, or the device slept (D32)."""
        self._shift += timedelta(seconds=seconds)


class _IdleSelector(selectors.BaseSelector):
    """Reports real events; where the loop would wait for a timer it moves the clock instead."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._real = selectors.DefaultSelector()
        self.idle: list[asyncio.Future[None]] = []
        self.still = 0
        self.still_until = 0.0
        self._busy = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        busy = timeout is not None and timeout <= 0
        self._busy = self._busy + 1 if busy else 0
        if busy and self._busy % _TURNS:
            return []
        ready = self._real.select(0)
        if ready or busy:
            return ready
        if (wait := self._patience()) > 0 and (ready := self._real.select(wait)):
            return ready
        if self.idle:
            waiting, self.idle = self.idle, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)
            return []
        if timeout is not None:
            self._clock.advance(timeout)
            return []
        ready = self._real.select(PATIENCE)
        if not ready:
            raise RuntimeError("deadlock: every task waits and no timer is left")
        return ready

    def _patience(self) -> float:
        """Real seconds for which time is to stand still."""
        return PATIENCE if self.still > 0 else self.still_until - time.monotonic()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Any:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time.

    Args:
        clock: Its time; share it with everything that asks for a `Clock`.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self._idle_selector = _IdleSelector(clock)
        self.clock = clock
        super().__init__(self._idle_selector)
        self._clock_resolution = (
            1e-6  # a year of seconds has no room for asyncio's nanosecond: due timers would never fire
        )

    def time(self) -> float:
        """Seconds of virtual time."""
        return self.clock.monotonic()

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ARG002  # asyncio's own signature from Python 3.12 on
        """Wait for the threads of the executor, however long they take: here a time limit passes at once."""
        await super().shutdown_default_executor()

    @contextmanager
    def still(self, *, lingering: float = 0.0) -> Generator[None]:
        """Let time stand still for the block, in which a server beyond the loop, or a thread, does its work.

        Args:
            lingering: Real seconds for which it does so afterwards: what was done may yet be told.
        """
        self._idle_selector.still += 1
        try:
            yield
        finally:
            self._idle_selector.still -= 1
            until = time.monotonic() + lingering
            self._idle_selector.still_until = max(self._idle_selector.still_until, until)

    async def settle(self) -> None:
        """Return once nothing can happen without time passing."""
        future: asyncio.Future[None] = self.create_future()
        self._idle_selector.idle.append(future)
        await future


async def settle() -> None:
    """Let the running virtual loop go on until nothing can happen without time passing."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop), "settle() needs a loop of chatkit.testing.clock.run"
    await loop.settle()


def run(main: Coroutine[Any, Any, T], *, clock: VirtualClock | None = None) -> T:
    """Run a coroutine to its end on a fresh virtual loop.

    Raises:
        AssertionError: It left tasks running; they are named.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock or VirtualClock())) as runner:
        return runner.run(_leave_nothing(main))


async def _leave_nothing(main: Coroutine[Any, Any, T]) -> T:
    result = await main
    await settle()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks left running: {sorted(task.get_name() for task in left)}"
    return result
