"""The outbox: every accepted wish until its fate is known, and after a crash again (D6, D7, I1, I3)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from chatkit.core.delivery import Input, State
from chatkit.engine.context import Context
from chatkit.engine.entries import KEPT, Entries
from chatkit.engine.entry import OutboxEntry
from chatkit.engine.lanes import Lanes
from chatkit.engine.lookup import look_up
from chatkit.engine.publishing import Publishing, Refresh
from chatkit.engine.timetable import Timetable
from chatkit.errors import ChatkitError
from chatkit.model.order import Ident, OrderKey
from chatkit.ports import Row

if TYPE_CHECKING:
    from chatkit.core.fact import Fact
    from chatkit.model.message import Status

__all__ = ["Outbox", "OutboxEntry"]

LONGER: Final = timedelta(days=1)
"""Ended entries are kept for the outbox's age and this long (D14)."""
SWEEP: Final = 3_600.0
"""Seconds between two sweeps of ended entries."""
PAGE: Final = 500
"""Rows in one read of the store."""


class Outbox(Entries):
    """What is done with entries: `Lanes` send them, `Timetable` watches the clock for them.

    Args:
        context: The client's parts.
        publishing: Where lanes publish.
        window: Publishes in flight per lane: 1, or more where no order is kept (D8).
        on_change: Told each change of status: entry, whether it is late, the reason.
        on_sent: Given the fact that an acknowledgement proved, with the entry; `None` where it has no place.
        reauthenticate: Fetches a fresh credential and presents it; raises where it could not.
        origin_of: Returns who numbers a channel: its log's id as far as known, else the realm.
    """

    def __init__(
        self,
        context: Context,
        publishing: Publishing,
        *,
        window: int,
        on_change: Callable[[OutboxEntry, bool, str | None], None],
        on_sent: Callable[[OutboxEntry, Fact | None], None],
        reauthenticate: Callable[[], Awaitable[None]],
        origin_of: Callable[[str], str],
    ) -> None:
        super().__init__(context, on_change=on_change, on_sent=on_sent)
        self.publishing = publishing
        self.window = window
        self.origin_of = origin_of
        self.refresh = Refresh(context, reauthenticate)
        self.lanes = Lanes(self)
        self._adopted: list[Row] = []
        """What is ours by now and not yet taken over."""
        self._timetable = Timetable(context, self._unfinished, on_due=self.lanes.put, on_late=self._expire)

    @property
    def device(self) -> str:
        """The device of new wishes."""
        return self.lanes.device

    @property
    def in_order(self) -> bool:
        """Whether each lane keeps its order (D8)."""
        return self.window == 1

    # -- starting ---------------------------------------------------------------------------------------

    async def load(self, device: str) -> list[OutboxEntry]:
        """Read what an earlier life left; returns all that matters still, each lane in queue order."""
        self.lanes.device = device
        rows: list[Row] = []
        statuses: tuple[Status, ...] = ("sending", "queued", "failed", "expired")
        for status in statuses:
            page = await self.context.store.rows(status=status, limit=PAGE)
            while page:
                rows += page
                page = await self.context.store.rows(status=status, after=page[-1].entry_id, limit=PAGE)
        return await self._take_over(rows)

    async def adopt(self) -> list[OutboxEntry]:
        """Take over what processes that died have left in a store directory (D27).

        What the store cannot do now is done at the next call.
        """
        try:
            self._adopted += await self.context.store.adopt()
            entries = await self._take_over(self._adopted) if self._adopted else []
        except ChatkitError as error:
            self.store_failed(error)
            return []
        self._adopted = []
        return entries

    def start(self) -> None:
        """Begin to watch deadlines and to sweep."""
        self.context.tasks.keep(self._timetable.run, "deadlines")
        self.context.tasks.keep(self._sweep, "sweep")

    async def _take_over(self, rows: Sequence[Row]) -> list[OutboxEntry]:
        self.lanes.learn(await self.context.store.lanes())
        entries = [self.adopt_row(row) for row in rows]
        for entry in entries:
            self.register(entry)
        await self._bind([entry for entry in entries if entry.state is State.IN_DOUBT])
        for entry in entries:
            if not self.fail_orphan(entry) and entry.unfinished:
                self._schedule(entry)
        return entries

    async def _bind(self, doubtful: Iterable[OutboxEntry]) -> None:
        """Bring the members of each batch in doubt together again, ended ones too, in order (D10)."""
        batches = await self.context.store.batches()
        for entry in doubtful:
            if entry.batch:
                continue
            idents = batches.get(entry.row.batch_id or "", ())
            members = [await self._member(entry, ident) for ident in idents]
            found = tuple(member for member in members if member is not None)
            if found and len(found) == len(members):
                for member in found:
                    member.batch = found
            else:  # it cannot go out again as it was: alone, and looked up first
                entry.row = entry.row._replace(batch_id=None)

    async def _member(self, entry: OutboxEntry, ident: Ident) -> OutboxEntry | None:
        found = self.for_ident(entry.row.channel, ident)
        if found is None:
            rows = await self.context.store.rows(channel=entry.row.channel, ident=ident, limit=1)
            found = self.adopt_row(rows[0]) if rows else None
        return found if found is not None and found.row.batch_id == entry.row.batch_id else None

    # -- verbs ------------------------------------------------------------------------------------------

    async def add(self, row: Row) -> OutboxEntry:
        """Keep a wish; returns once it is safe. An equal key gives the entry that has it (D14).

        Raises:
            OutboxFull, StoreError: Nothing was kept.
        """
        (stored,) = await self.context.store.add((row,))
        self.context.observer.point("outbox.added", channel=row.channel, message_id=stored.ident.id)
        new = self.get(stored.entry_id) is None and stored.entry_id == row.entry_id
        entry = self.adopt_row(stored)
        self.register(entry)
        if new and not self.fail_orphan(entry):  # else it has ended, or whoever reads it schedules it
            self._schedule(entry)
        return entry

    async def discard(self, entry: OutboxEntry) -> bool:
        """Withdraw an entry that was never attempted; `False`: too late.

        Raises:
            StoreError: It is withdrawn, but the store could not take note: a restart would send it.
        """
        if not entry.untried:
            return False
        self.move(entry, Input.DISCARD)
        self.lanes.release(entry)
        await self.settle(required=True)
        return True

    async def retry(self, entry: OutboxEntry) -> None:
        """Queue a failed or expired entry again: same id and body, new place in the lane (D7).

        Where its batch is on its way, or in doubt still, it goes on in it, unchanged (D10).

        Raises:
            ChatkitError: It must be looked up first, and the log gave no answer; nothing has changed.
        """
        doubt = not entry.row.certain
        bound = _bound(entry)
        if entry.state in KEPT and doubt and not bound and not self.context.fenced:
            since = entry.row.first_attempt or entry.row.queued_at
            doubt = not await look_up(self, entry.row.channel, (entry,), since)
            entry.maybe_duplicate |= doubt and entry.state in KEPT
        if entry.state not in KEPT:
            return  # never was, was found, or was queued again by another caller
        if not bound:
            self.lanes.take_out(entry)
            entry.thaw()
        entry.refusals, entry.refreshed = 0, False
        expires = self.context.server_time.now() + timedelta(seconds=self.context.limits.age)
        entry.row = entry.row._replace(expires_at=expires, due_at=None)
        self.requeue(entry, Input.RETRY_IN_DOUBT if doubt else Input.RETRY)
        if bound:
            self._timetable.note(entry)
        else:
            self._schedule(entry)
        await self.settle()

    def seen(self, channel: str, ident: Ident, key: OrderKey) -> None:
        """An envelope of ours came back, live or from the log: it is there, whatever we thought (D6)."""
        entry = self.for_ident(channel, ident)
        if entry is not None:
            entry.row = entry.row._replace(stamp=key)
            self.move(entry, Input.SEEN)
            self.lanes.release(entry)

    def wake(self) -> None:
        """The publish path came back: lanes need not sit out their backoff."""
        self.lanes.wake()

    # -- by the clock -----------------------------------------------------------------------------------

    def _schedule(self, entry: OutboxEntry) -> None:
        self._timetable.note(entry)
        if not self._timetable.hold(entry):
            self.lanes.put(entry)

    def _expire(self, entry: OutboxEntry) -> None:
        self.move(entry, Input.DEADLINE)
        self.lanes.release(entry)

    async def _sweep(self) -> None:
        """Forget ended entries that nobody asks for any more (D14)."""
        while True:
            await asyncio.sleep(SWEEP)
            before = self.context.server_time.now() - timedelta(seconds=self.context.limits.age) - LONGER
            self.forget(before)
            await self.settle()
            try:
                await self.context.store.prune(before)
            except ChatkitError as error:
                self.store_failed(error)


def _bound(entry: OutboxEntry) -> bool:
    """Whether its batch is on its way, or goes out again as it was."""
    return entry.under_way or any(member.unfinished for member in entry.batch)
