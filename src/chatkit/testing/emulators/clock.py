"""The time an emulator lives by: that of its event loop, and moved ahead by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class Timer:
    """One thing to be done later; made by `EmulatorClock.call_later`."""

    __slots__ = ("_clock", "callback", "due", "handle")

    def __init__(self, clock: EmulatorClock, due: float, callback: Callable[[], None]) -> None:
        self._clock = clock
        self.due = due
        self.callback = callback
        self.handle: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        """Do it no more; harmless when it is done."""
        self._clock.forget(self)


class EmulatorClock:
    """Every time limit of an emulator asks here, so that a test need not wait for one.

    Args:
        unix: The time of day to start from, in seconds since 1970; on a virtual loop that of its clock.
    """

    def __init__(self, unix: Callable[[], float] = time.time) -> None:
        self._unix = unix
        self._ahead = 0.0
        self._skew = 0.0
        self._timers: dict[Timer, None] = {}

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return asyncio.get_running_loop().time() + self._ahead

    def unix(self) -> float:
        """The time of day as the emulator believes it, in seconds since 1970."""
        return self._unix() + self._ahead + self._skew

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back once that much time has passed, in either way."""
        timer = Timer(self, self.monotonic() + seconds, callback)
        self._timers[timer] = None
        self._arm(timer)
        return timer

    async def sleep(self, seconds: float) -> None:
        """Return once that much time has passed, in either way."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, lambda: None if over.done() else over.set_result(None))
        try:
            await over
        finally:
            timer.cancel()

    def advance(self, seconds: float) -> None:
        """Move ahead at once: what falls due is called in order, on the next turns of the loop."""
        before = self.monotonic()
        self._ahead += seconds
        for timer in sorted(self._timers, key=lambda timer: timer.due):
            if timer.due > before:  # others are about to be called
                self._arm(timer)

    def set_skew(self, seconds: float) -> None:
        """Believe in a time of day that is wrong by so much (behind if negative); timers do not notice."""
        self._skew = seconds

    def forget(self, timer: Timer) -> None:
        """Cancel a timer."""
        self._timers.pop(timer, None)
        if timer.handle is not None:
            timer.handle.cancel()

    def stop(self) -> None:
        """Cancel all timers."""
        for timer in list(self._timers):
            self.forget(timer)

    def _arm(self, timer: Timer) -> None:
        if timer.handle is not None:
            timer.handle.cancel()
        loop = asyncio.get_running_loop()
        timer.handle = loop.call_at(timer.due - self._ahead, self._call, timer)

    def _call(self, timer: Timer) -> None:
        self._timers.pop(timer, None)
        timer.callback()
