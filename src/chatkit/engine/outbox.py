"""The outbox: every accepted wish until its fate is known, and after a crash again (D6, D7, I1, I3)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Final

from chatkit.core.delivery import Input, State
from chatkit.engine.accepting import Acceptor
from chatkit.engine.announcing import Announcer, stamp_of
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
    from chatkit.ports import Ack, Batch

__all__ = ["Outbox", "OutboxEntry"]

LONGER: Final = timedelta(days=1)
"""Ended entries are kept for the outbox's age and this long (D14)."""
SWEEP: Final = 3_600.0
"""Seconds between two sweeps of ended entries."""
BEHIND: Final = timedelta(seconds=1)
"""By how much a clock must have been behind for deadlines that it made to be made anew."""
PAGE: Final = 500
"""Rows in one read of the store."""


class Outbox(Entries):
    """What is done with entries: `Acceptor` takes them, `Lanes` send them, `Timetable` watches the clock.

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
        self.acceptor = Acceptor(self)
        self._blocked: dict[OutboxEntry, None] = {}
        """What must not go out before another entry that is in no lane yet, or in another one (D7)."""
        self._guessed: dict[OutboxEntry, None] = {}
        """What has a deadline by a clock that no contact had confirmed."""
        self._adopted: list[Row] = []
        """What is ours by now and not yet taken over."""
        self.announcer = Announcer(context, publishing, on_done=self._announced, refresh=self.refresh.since)
        self._timetable = Timetable(context, self._unfinished, on_due=self._put, on_late=self._expire)
        context.server_time.on_confirmed = self._confirmed

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
            rows += await self._stored(status)
        return await self._take_over([*rows, *await self._stored("sent", announced=False)])

    async def _stored(self, status: Status, *, announced: bool | None = None) -> list[Row]:
        read = partial(self.context.store.rows, status=status, announced=announced, limit=PAGE)
        found: list[Row] = []
        page = await read()
        while page:
            found += page
            page = await read(after=page[-1].entry_id)
        return found

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
        if entries:
            self.context.observer.point("outbox.adopted", entries=len(entries))
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
        for entry in sorted(entries, key=_numbered):
            if not self.fail_orphan(entry) and entry.unfinished:
                self.schedule(entry)
        self._take_over_unannounced([entry for entry in entries if not entry.row.announced])
        return entries

    def _take_over_unannounced(self, entries: Sequence[OutboxEntry]) -> None:
        if self.publishing.announces:
            self.announcer.put(entries, None)
            return
        for entry in entries:  # by now the provider is one that needs no telling
            entry.row = entry.row._replace(announced=True)
            self._announced(entry)

    def _announced(self, entry: OutboxEntry) -> None:
        self.unsettled(entry)
        self.settle_soon()
        self.told()

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
        if entry.held is not None:
            return  # nobody was told that it ended
        doubt = not entry.row.certain
        bound = entry.bound
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
        self._guess(entry)
        self.requeue(entry, Input.RETRY_IN_DOUBT if doubt else Input.RETRY)
        if bound:
            self._timetable.note(entry)
        else:
            self.schedule(entry)
        await self.settle()

    def seen(self, channel: str, ident: Ident, key: OrderKey) -> None:
        """An envelope of ours came back, live or from the log: it is there, whatever we thought (D6)."""
        entry = self.for_ident(channel, ident)
        if entry is not None:
            owes = self.publishing.announces and entry.state is not State.SENT
            entry.row = entry.row._replace(stamp=key, announced=entry.row.announced and not owes)
            self.move(entry, Input.SEEN)
            self.lanes.release(entry)
            if owes:  # it was appended, and perhaps nobody was told
                self.announcer.put((entry,), None)

    def wake(self) -> None:
        """The publish path came back: lanes need not sit out their backoff."""
        self.lanes.wake()

    def announce(self, batch: Batch, entries: Sequence[OutboxEntry], acks: Sequence[Ack]) -> None:
        """Have receivers told of what the log took in, where that is another step (D16)."""
        if self.publishing.announces:
            log_id = self.publishing.log_ids.get(batch.channel)
            given = zip(entries, map(stamp_of, batch.entries, acks, repeat(log_id)), strict=True)
            placed = [(entry, stamp) for entry, stamp in given if stamp is not None]
            self.announcer.put([entry for entry, _ in placed], [stamp for _, stamp in placed])

    # -- by the clock -----------------------------------------------------------------------------------

    def begin(self, entry: OutboxEntry) -> None:
        """Let an entry that was just queued go its way."""
        self._guess(entry)
        if not self.fail_orphan(entry):
            self.schedule(entry)

    def schedule(self, entry: OutboxEntry) -> None:
        """Put an entry into its lane: now, when it is due, or when what it refers to has gone out."""
        self._timetable.note(entry)
        target = self.get(entry.row.depends_on or "")
        if target is not None and target.unfinished and not entry.frozen and not self._leads(target, entry):
            self._blocked[entry] = None
        elif not self._timetable.hold(entry):
            self._put(entry)

    def blocker(self, entry: OutboxEntry) -> OutboxEntry | None:
        """Return what must go out before an entry that is therefore in no lane yet."""
        return self.get(entry.row.depends_on or "") if entry in self._blocked else None

    def scheduled(self, entry: OutboxEntry) -> bool:
        """Whether an entry is kept until it is due."""
        return self._timetable.holds(entry)

    def _leads(self, target: OutboxEntry, entry: OutboxEntry) -> bool:
        """Whether an entry that goes into its lane now goes out behind what it refers to."""
        if target in self._blocked or self.scheduled(target):
            return False
        return self.lanes.lane_of(target) == self.lanes.lane_of(entry)

    def _put(self, entry: OutboxEntry) -> None:
        self.lanes.put(entry)
        for other in self.dependants(entry):
            self.unblock(other)

    def unblock(self, entry: OutboxEntry) -> None:
        """Let an entry go on that waits for what it refers to; where it must wait still, it does."""
        if entry in self._blocked:
            del self._blocked[entry]
            if entry.unfinished:
                self.schedule(entry)

    def _guess(self, entry: OutboxEntry) -> None:
        """Take note of a deadline that was reckoned from a time that may be wrong."""
        entry.guessed = not self.context.server_time.confirmed
        if entry.guessed:
            self._guessed[entry] = None

    def _confirmed(self) -> None:
        """Put off the deadlines of a clock that was behind: else what it queued would end early (D13)."""
        behind = self.context.server_time.behind
        guessed, self._guessed = self._guessed, {}
        for entry in guessed:
            entry.guessed = False
            if behind > BEHIND and entry.unfinished and entry.row.expires_at is not None:
                entry.row = entry.row._replace(expires_at=entry.row.expires_at + behind)
                self.unsettled(entry)
                self.settle_soon()
        self._timetable.look()

    def expire_late(self, entry: OutboxEntry) -> bool:
        """End an entry whose turn comes past its deadline; says whether it is."""
        deadline, time = entry.row.expires_at, self.context.server_time
        if deadline is None or not time.confirmed or deadline > time.now():
            return False
        self.move(entry, Input.DEADLINE)
        return True

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


def _numbered(entry: OutboxEntry) -> tuple[bool, int]:
    """Order what a lane takes up again: numbers that were taken come before those to be taken (D5, D9)."""
    return entry.row.seq is None, entry.row.seq or 0
