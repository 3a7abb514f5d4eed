"""Keeping wishes for callers, who may be cancelled while that is done (D14)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from chatkit.core.delivery import Input
from chatkit.errors import ChatkitError

if TYPE_CHECKING:
    from chatkit.engine.entry import OutboxEntry
    from chatkit.engine.outbox import Outbox
    from chatkit.ports import Row

CANCELLED: Final = "cancelled"
"""Why an entry was withdrawn whose callers were cancelled: under its key it may be wished again (D14)."""


class Acceptor:
    """Puts wishes into the store, and takes them back for callers that were cancelled.

    A send runs in its caller alone: only a caller that is cancelled costs a task, which asks the store what
    became of the wish.

    Args:
        outbox: Where entries go.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._context = outbox.context
        self._accepting = 0
        """How many wishes are being kept for callers."""
        self._withdrawing: set[asyncio.Task[None]] = set()

    async def accept(self, row: Row) -> OutboxEntry:
        """`add` for a caller who may be cancelled: what was never attempted is then withdrawn (D14).

        Raises:
            OutboxFull, StoreError: Nothing was kept.
        """
        return (await self.accept_together(row))[0]

    async def accept_together(self, *rows: Row) -> list[OutboxEntry]:
        """`accept` of several wishes in one transaction: all are kept, or none.

        Raises:
            OutboxFull, StoreError: Nothing was kept.
        """
        self._accepting += 1
        try:
            stored = await self._keep(*rows)
            await asyncio.sleep(0)  # whoever only sends gives others a turn, whatever the store is
            return [await self._take(row, kept) for row, kept in zip(rows, stored, strict=True)]
        except asyncio.CancelledError:
            for row in rows:
                _ = self._follow(self._give_up(row))
            raise
        finally:
            self._accepting -= 1
            self._outbox.told()

    async def add(self, row: Row) -> OutboxEntry:
        """Keep a wish; returns once it is safe. An equal key gives the entry that has it (D14).

        Raises:
            OutboxFull, StoreError: Nothing was kept.
        """
        [stored] = await self._keep(row)
        return await self._take(row, stored)

    async def _keep(self, *rows: Row) -> Sequence[Row]:
        point = self._context.observer.point
        point("outbox.adding", channel=rows[0].channel, message_id=rows[0].ident.id)
        stored = await self._context.store.add(rows)
        point("outbox.added", channel=rows[0].channel, message_id=stored[0].ident.id)
        return stored

    async def _take(self, row: Row, stored: Row) -> OutboxEntry:
        """Take in what the store has of a wish: the wish itself, or an earlier one under its key."""
        outbox = self._outbox
        mine = outbox.get(stored.entry_id) is None and stored.entry_id == row.entry_id
        entry = outbox.adopt_row(stored)
        outbox.register(entry)
        if mine:
            entry.made_here = True
        else:
            entry.asked += 1
        if entry.row.reason == CANCELLED:
            await self._again(entry, row)
        elif mine:  # else it has ended, or whoever made it begins it
            outbox.begin(entry)
        self._context.observer.point("outbox.taken", channel=row.channel, message_id=stored.ident.id)
        return entry

    async def taken(self, timeout: float) -> None:
        """Wait for what is being kept or withdrawn for callers."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._accepting or self._withdrawing:
                    await self._outbox.changed()

    # -- for a caller that was cancelled ----------------------------------------------------------------

    async def _give_up(self, row: Row) -> None:
        """Withdraw what was kept for a caller who has not heard of it, unless others want it by now."""
        kept: Sequence[Row] = (row,)
        try:
            kept = await self._context.store.rows(entry_id=row.entry_id, limit=1)
        except ChatkitError as error:  # taken for kept: to withdraw what is not there does no harm
            self._outbox.store_failed(error)
        for stored in kept:  # none: nothing was kept, or it is somebody else's
            entry = self._outbox.adopt_row(stored)
            self._outbox.register(entry)
            entry.asked -= 1
            if entry.asked:
                self._outbox.begin(entry)
            else:
                await self._withdraw(entry)

    async def _withdraw(self, entry: OutboxEntry) -> None:
        self._cancel(entry)
        await self._outbox.settle()
        row = entry.row
        self._context.observer.point("outbox.withdrawn", channel=row.channel, message_id=row.ident.id)

    def _cancel(self, entry: OutboxEntry) -> None:
        self._outbox.move(entry, Input.DISCARD)
        entry.row = entry.row._replace(reason=CANCELLED)
        self._outbox.lanes.release(entry)

    # -- what was withdrawn is wished again -------------------------------------------------------------

    async def _again(self, entry: OutboxEntry, row: Row) -> None:
        again = self._follow(self._wish_again(entry, row))
        try:
            await asyncio.shield(again)
        except asyncio.CancelledError:
            _ = self._follow(self._unwish(entry, again))
            raise

    async def _wish_again(self, entry: OutboxEntry, row: Row) -> None:
        """Put a later caller's wish in place of one that was cancelled, in the file where that one lies."""
        entry.row = row._replace(entry_id=entry.row.entry_id, device=entry.row.device)
        entry.asked = 1
        self._outbox.requeue(entry, Input.RETRY)
        try:
            await self._outbox.settle(required=True)
        except ChatkitError:
            self._cancel(entry)
            raise
        self._outbox.begin(entry)

    async def _unwish(self, entry: OutboxEntry, again: asyncio.Task[None]) -> None:
        with suppress(ChatkitError):
            await again
        entry.asked -= 1
        if entry.untried and not entry.asked:
            await self._withdraw(entry)

    def _follow(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name="chatkit:withdraw")
        self._withdrawing.add(task)
        task.add_done_callback(self._followed)
        return task

    def _followed(self, task: asyncio.Task[None]) -> None:
        self._withdrawing.discard(task)
        self._outbox.told()
