"""An emulator that serves from a thread of its own, beside tests that wait for other processes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, TypeVar

from chatkit.testing.emulators.serving import Emulator

E = TypeVar("E", bound=Emulator[Any])


class Serving(Generic[E]):
    """The emulator while the block lasts.

    Args:
        make: Makes it.
    """

    def __init__(self, make: Callable[[], E]) -> None:
        self._make = make
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="emulator")

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with self._make() as self._emulator:
            self._ready.set()
            await self._over.wait()

    def __enter__(self) -> E:
        self._thread.start()
        assert self._ready.wait(30)
        return self._emulator

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(30)
        assert not self._thread.is_alive()
