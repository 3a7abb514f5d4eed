"""`Living`: what sessions with a socket and without share: what is said, tokens, tasks that end with them."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

from chatkit.adapters.ably.access import Access, renewed
from chatkit.adapters.ably.speaking import Speaking
from chatkit.model.entry import Stamp
from chatkit.ports.adapter import Present
from chatkit.ports.context import Observer
from chatkit.ports.outgoing import Ack, Batch
from chatkit.transport import OneLife, keep_fresh

F = TypeVar("F")


class Living(OneLife, Generic[F]):
    """One live connection that dies once. Who derives from it gives it its `_speaking`.

    Args:
        access: Gives fresh tokens.
        observer: Told where one could not be presented.
    """

    _speaking: Speaking[F]

    def __init__(self, access: Access, observer: Observer) -> None:
        super().__init__()
        self._access = access
        self._observer = observer
        self._tasks: set[asyncio.Task[None]] = set()

    async def publish(self, batch: Batch, stamps: Sequence[Stamp | None], /) -> list[Ack]:
        """Make one attempt; one `Ack` an entry, in order.

        Raises:
            TransportError, SessionClosed: The outcome is unknown.
        """
        self._check()
        return await self._speaking.publish(batch, stamps)

    async def emit(self, channel: str, data: bytes) -> None:
        """Send what is not kept, in its turn; dropped where too many wait."""
        self._check()
        await self._speaking.emit(channel, data)

    async def enter(self, channel: str, member: Present) -> None:
        """Enter a member, or change what it says; declined without a socket. Raises as `Speaking.enter`."""
        self._check()
        await self._speaking.enter(channel, member)

    async def leave(self, channel: str, member: Present) -> None:
        """Take a member out; nothing where it is not in. Raises as `enter`."""
        self._check()
        await self._speaking.leave(channel, member)

    @abstractmethod
    async def reauthenticate(self) -> None:
        """Go on with a fresh token; with the key there is none."""

    def keep_fresh(self, now: Callable[[], float], lead: float) -> None:
        """Renew tokens before they end, from now on.

        Args:
            now: The service's clock, in seconds since 1970.
            lead: Seconds before the end, or half of what is left where that is less.
        """
        if self._access.renewable:
            _ = self._spawn(keep_fresh(self._access, now, lead, self._renew), "ably-tokens")

    async def _renew(self) -> None:
        await renewed(self.reauthenticate, self._observer)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run a task that ends with the session."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended_task)
        return task

    def _ended_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)

    def _end_tasks(self) -> None:
        """Cancel them all, but the one that asks for it."""
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()
