"""An emulator that serves from a thread of its own, beside tests that wait for other processes."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Final, Self

from chatkit.testing.emulators.ably import AblyEmulator, Settings

# The keys of Ably's own test application: all rights, rights by channel, subscribe alone.
RESTRICTED: Final = (
    '{"channel0":["publish"],"channel1":["publish"],"channel2":["publish","subscribe"],'
    '"channel3":["subscribe"],"channel4":["presence","publish","subscribe"],"channel5":["presence"],'
    '"channel6":["*"]}'
)
KEYS: Final = (
    "app.key:secret",
    f"app.restricted:secret:{RESTRICTED}",
    'app.listener:secret:{"*":["subscribe"]}',
)


class Served:
    """The emulator while the block lasts; `url` tells where."""

    def __init__(self) -> None:
        self.emulator = AblyEmulator(Settings(keys=KEYS, connection_rate=0, channel_rate=0))
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="ably-emulator")

    @property
    def url(self) -> str:
        """Where it serves."""
        return self.emulator.url

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with self.emulator:
            self._ready.set()
            await self._end.wait()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        assert self._end is not None
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        assert not self._thread.is_alive()
