"""Running the coroutine of a test, on virtual time or real; what it leaves is noticed."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Any, Final

from chatkit.testing.clock import VirtualClock, run

GRACE: Final = 1.0
"""Real seconds in which tasks that have been told to end may do so."""


class Running:
    """Runs coroutines, each on a loop of its own, and hears what the loops have to complain about.

    Args:
        clock: The virtual clock that drives the loops; `None`: plain loops, in real time.
        grace: Real seconds in which tasks may end that are left in real time.
    """

    def __init__(self, clock: VirtualClock | None, *, grace: float = GRACE) -> None:
        self._clock = clock
        self._grace = grace
        self._complaints: list[dict[str, Any]] = []

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run one to its end.

        Raises:
            AssertionError: It left tasks running; they are named.
        """
        if self._clock is not None:
            run(self._listen(main), clock=self._clock)
        else:
            with asyncio.Runner(debug=False) as runner:
                runner.run(self._leave_nothing(main))

    def finish(self) -> None:
        """Make what was dropped speak now, not in the middle of a later test.

        Raises:
            AssertionError: A loop complained: of an exception that nobody saw, of what was not closed.
        """
        gc.collect()
        for context in self._complaints:
            message = f"the event loop complained: {context['message']}"
            raise AssertionError(message) from context.get("exception")

    async def _listen(self, main: Coroutine[Any, Any, None]) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self._complaints.append(context))
        await main

    async def _leave_nothing(self, main: Coroutine[Any, Any, None]) -> None:
        await self._listen(main)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            _, left = await asyncio.wait(left, timeout=self._grace)
        assert not left, f"tasks left running: {sorted(task.get_name() for task in left)}"


def run_test(main: Coroutine[Any, Any, None], *, clock: VirtualClock | None) -> None:
    """Run the coroutine of one test. Raises as `Running.run` and `Running.finish`."""
    running = Running(clock)
    with _garbage_of_its_own():
        running.run(main)
        running.finish()


@contextmanager
def _garbage_of_its_own() -> Generator[None]:
    """Keep what was there before out of the garbage collections of the block: most of their time."""
    if _others_freeze():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _others_freeze() -> bool:
    """Whether this process keeps things out of collections already: `unfreeze` would bring them back."""
    global _seen_frozen  # noqa: PLW0603
    if not _seen_frozen:  # counting goes through all that is frozen, so only until there was any
        _seen_frozen = gc.get_freeze_count() > 0
    return _seen_frozen


_seen_frozen = False
