"""The tasks of one client: each has a name and an owner, and ends with it (I12)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from chatkit.engine.system import logger

RESTART: Final = 1.0
"""Seconds before a loop that broke on a defect is run again."""


class Tasks:
    """Owns background tasks. A defect in one is logged, counted and told; it stops no other.

    Args:
        on_defect: Told the name of what broke and what it raised.
    """

    def __init__(self, on_defect: Callable[[str, Exception], None]) -> None:
        self._on_defect = on_defect
        self._running: set[asyncio.Task[Any]] = set()
        self.closing = False
        """The client is ending them."""

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` once."""
        _ = self.task(work, name)

    def task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` once, for a caller that follows or cancels it."""
        task = asyncio.get_running_loop().create_task(self._guard(work, name), name=f"chatkit:{name}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _: work.close())  # cancelled before its first step it was never awaited
        return task

    def keep(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        """Run `work` until it returns, again after a defect: a loop that must not end unnoticed (I11)."""

        async def loop() -> None:
            while True:
                try:
                    return await work()
                except Exception as error:  # noqa: BLE001  # a defect of ours, whatever it is
                    self.broke(name, error)
                    await asyncio.sleep(RESTART)

        self.spawn(loop(), name)

    def broke(self, name: str, error: Exception) -> None:
        """Report a defect that was caught: its traceback to the log, its name to the client (I13)."""
        logger.error("%s broke: please report this", name, exc_info=error)
        self._on_defect(name, error)

    async def aclose(self, timeout: float) -> tuple[str, ...]:
        """Cancel what runs, wait for it, and return the names of what did not end in time."""
        self.closing = True
        me = asyncio.current_task()
        running = {task for task in self._running if task is not me}
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=timeout)
        return tuple(sorted(task.get_name() for task in running if not task.done()))

    async def _guard(self, work: Coroutine[Any, Any, None], name: str) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001  # likewise
            self.broke(name, error)
