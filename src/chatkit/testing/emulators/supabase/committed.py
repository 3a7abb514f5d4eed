"""Broadcasts from the database: rows of `realtime.messages`, in the order of their commits.

The service reads them from a replication slot that lives as long as somebody is connected, and what was
committed while it did not is never broadcast. Here PostgreSQL's notifications take its place, which have the
same order, come at the commit alone, and are likewise not kept for who does not listen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from uuid import UUID

import psycopg

from chatkit.testing.emulators.clock import Timer
from chatkit.testing.emulators.supabase.wire import Encoding, UserBroadcast

if TYPE_CHECKING:
    from chatkit.testing.emulators.supabase.project import Project

AGAIN: Final = 1.0
"""Seconds until a lost connection is made anew."""


class Committed:
    """Hears of committed rows while somebody is connected, and says them to who listens.

    Args:
        project: Whose.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._task: asyncio.Task[None] | None = None
        self._lingering: Timer | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.ready = False
        """Whether rows that are committed from now on are broadcast."""

    # -- as clients come and go

    def wanted(self) -> None:
        """Somebody has joined: hear from soon on."""
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        if self._task is None:
            self._task = asyncio.create_task(self._hear(), name="emulator-replication")

    def unwanted(self) -> None:
        """Nobody is connected any more: hear for a while yet."""
        if self._task is not None and self._lingering is None:
            linger = self._project.settings.replication_linger
            self._lingering = self._project.clock.call_later(linger, self._over)

    def _over(self) -> None:
        self.lose()

    async def end(self) -> None:
        """Hear nothing more."""
        task = self.lose()
        if task is not None:
            with suppress(asyncio.CancelledError):
                await task

    # -- as things go wrong

    @property
    def paused(self) -> bool:
        """Whether it holds back what it hears."""
        return not self._flowing.is_set()

    def pause(self) -> None:
        """Hold back what is committed from now on."""
        self._flowing.clear()

    def resume(self) -> None:
        """Say what was held back, in order, and go on."""
        self._flowing.set()

    def lose(self) -> asyncio.Task[None] | None:
        """End the connection: what is committed until it is made anew is never broadcast."""
        self.ready = False
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        return task

    # -- within

    async def _hear(self) -> None:
        await self._project.clock.sleep(self._project.settings.replication_start)
        while True:
            with suppress(psycopg.OperationalError):
                await self._hear_once()
            self.ready = False
            await self._project.clock.sleep(AGAIN)

    async def _hear_once(self) -> None:
        database = self._project.database
        async with await database.connect() as connection:
            named = await connection.execute("SELECT oid FROM pg_database WHERE datname = current_database()")
            found = await named.fetchone()
            assert found is not None
            await connection.execute(f"LISTEN chatkit_emulator_{int(found[0])}".encode())
            self.ready = True
            while True:
                # Those that are here together are read together.
                ids = [told.payload async for told in connection.notifies(stop_after=1)]
                await self._flowing.wait()
                await self._say(UUID(each) for each in ids)

    async def _say(self, ids: Iterable[UUID]) -> None:
        wanted = list(ids)
        rows = await self._project.database.fetch(
            "SELECT id, topic, private, event, payload::text, binary_payload FROM realtime.messages"
            " WHERE id = ANY(%s)",
            (wanted,),
        )
        found = {row[0]: row for row in rows}
        for each in wanted:
            if each not in found:
                continue  # deleted since
            _, topic, private, event, payload, binary = found[each]
            body = payload.encode() if binary is None and payload is not None else binary
            if private is None or event is None or body is None:
                continue  # as the service, which logs it
            encoding: Encoding = "json" if binary is None else "binary"
            meta = {"id": str(each)}
            broadcast = UserBroadcast(event=event, payload=bytes(body), encoding=encoding, meta=meta)
            self._project.commit((private, topic), broadcast)
