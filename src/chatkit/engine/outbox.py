"""The outbox: every accepted wish until its fate is known, and after a crash again (D6, D7, I1, I3)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from chatkit.core.delivery import TABLE, Effect, Input, State
from chatkit.core.table import step
from chatkit.engine.context import Context
from chatkit.engine.lane import Lane
from chatkit.engine.publishing import Publishing
from chatkit.errors import ChatkitError, DependencyFailed, StoreError
from chatkit.model.envelope import Envelope
from chatkit.model.ids import new_device
from chatkit.model.order import Ident, OrderKey
from chatkit.ports import LaneKey, LaneMark, Row

if TYPE_CHECKING:
    from chatkit.core.fact import Fact
    from chatkit.model.message import Message, Status

KEPT: Final = timedelta(days=1)
"""Ended entries are kept for the outbox's age and this long (D14)."""
SWEEP: Final = 3_600.0
"""Seconds between two sweeps of ended entries."""
LOOK: Final = 0.05
"""Least seconds between two looks at deadlines."""


@dataclass(slots=True, eq=False)
class OutboxEntry:
    """One row and what only this process knows of it."""

    row: Row
    state: State
    error: ChatkitError | None = None
    maybe_duplicate: bool = False
    refreshed: bool = False
    """A token was refreshed for its sake already (D12)."""
    refusals: int = 0
    """Definite server errors on this entry while others passed (D12)."""
    refused_since: float = 0.0
    batch: tuple[OutboxEntry, ...] = ()
    """The members of the batch it is in doubt with (D10)."""
    sent_at: datetime | None = None
    """When it was accepted, by the provider's clock."""
    origin: str | None = None
    """Who numbered it."""
    public: Any = None
    """The `Delivery` that stands for it, made once."""

    @property
    def unfinished(self) -> bool:
        """Whether it still has a fate to meet."""
        return not self.state.done

    def placed(self, message: Message, realm: str) -> Message:
        """Return the message it makes with the place and time that its acknowledgement told."""
        return replace(message, key=self.row.stamp, sent_at=self.sent_at, origin=self.origin or realm)


class Outbox:
    """Entries, lanes, and every change of status.

    Args:
        context: The client's parts.
        publishing: Where lanes publish.
        window: Publishes in flight per lane: 1, or more with `order="pipelined"` (D8).
        on_change: Told each change of status: entry, whether it is late, the reason.
        on_sent: Given the fact that an acknowledgement proved, with the entry; `None` where it has no place.
        reauthenticate: Fetches a fresh credential and presents it.
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
        self.context = context
        self.publishing = publishing
        self.window = window
        self._on_change = on_change
        self.on_sent = on_sent
        self.reauthenticate = reauthenticate
        self.origin_of = origin_of
        self._entries: dict[str, OutboxEntry] = {}
        self._idents: dict[tuple[str, Ident], OutboxEntry] = {}
        self._lanes: dict[LaneKey, Lane] = {}
        self._marks: dict[LaneKey, LaneMark] = {}
        self._changed = asyncio.Event()
        self._deadline_set = asyncio.Event()
        self._next_deadline: datetime | None = None
        self._renewed: dict[str, str] = {}
        self.device = ""
        self.depth = 0
        """How many entries still have a fate to meet."""
        self.size = 0
        """Bytes of their envelopes."""
        self.totals: Counter[str] = Counter()
        """How many entries have ended in this process, by status."""

    # -- starting and ending ----------------------------------------------------------------------------

    async def load(self, device: str) -> list[OutboxEntry]:
        """Read what an earlier life left; returns all entries that matter still, in queue order."""
        self.device = device
        store = self.context.store
        self._marks = dict(await store.lanes())
        members = await store.batches()
        statuses: tuple[Status, ...] = ("sending", "queued", "failed", "expired")
        for status in statuses:
            after = None
            while rows := await store.rows(status=status, after=after, limit=500):
                for row in rows:
                    self._register(row)
                after = rows[-1].entry_id
        entries = [entry for entry in self._entries.values() if entry.unfinished]
        for batch_id, idents in members.items():
            self._bind(batch_id, idents)
        self._take(entries)
        return list(self._entries.values())

    def start(self) -> None:
        """Begin to watch deadlines and to sweep."""
        self.context.tasks.keep(self._watch_deadlines, "deadlines")
        self.context.tasks.keep(self._sweep, "sweep")

    async def adopt(self) -> list[OutboxEntry]:
        """Take over what processes that died have left in a store directory (D27)."""
        rows = await self.context.store.adopt()
        if not rows:
            return []
        self._marks |= {key: mark for key, mark in (await self.context.store.lanes()).items() if key not in self._lanes}
        entries = [self._register(row) for row in rows]
        for batch_id, idents in (await self.context.store.batches()).items():
            self._bind(batch_id, idents)
        self._take([entry for entry in entries if entry.unfinished])
        return entries

    # -- looking ----------------------------------------------------------------------------------------

    @property
    def unfinished(self) -> list[OutboxEntry]:
        """Entries that still have a fate to meet, in queue order."""
        return [entry for entry in self._entries.values() if entry.unfinished]

    @property
    def oldest(self) -> datetime | None:
        """When the oldest of them was queued."""
        return next((entry.row.queued_at for entry in self._entries.values() if entry.unfinished), None)

    def get(self, entry_id: str) -> OutboxEntry | None:
        """Return an entry by its own id."""
        return self._entries.get(entry_id)

    def by_message(self, message_id: str) -> OutboxEntry | None:
        """Return the entry that created a message, the newest where there are several."""
        found = [e for (_, ident), e in self._idents.items() if ident.id == message_id and e.row.kind == "create"]
        return found[-1] if found else None

    def of_channel(self, channel: str) -> list[OutboxEntry]:
        """Return the entries of a channel, ended ones too, in queue order."""
        return [entry for entry in self._entries.values() if entry.row.channel == channel]

    def edits_of(self, channel: str, target: Ident, user: str) -> list[OutboxEntry]:
        """Return a user's edits of a message that were never attempted."""
        found: list[OutboxEntry] = []
        for entry in self._entries.values():
            row = entry.row
            if row.kind == "update" and row.channel == channel and row.ident.user == user and not row.attempts:
                ref = Envelope.parse(row.data).ref
                if entry.unfinished and ref is not None and (ref.user, ref.id) == target:
                    found.append(entry)
        return found

    @property
    def failed(self) -> int:
        """How many ended entries are kept with their reason."""
        return len(self._entries) - self.depth

    def adopt_row(self, row: Row) -> OutboxEntry:
        """Return the live entry of a stored row."""
        return self._entries.get(row.entry_id) or OutboxEntry(row, _state(row))

    def for_ident(self, channel: str, ident: Ident) -> OutboxEntry | None:
        """Return the entry whose envelope has this identity."""
        return self._idents.get((channel, ident))

    # -- taking and changing ----------------------------------------------------------------------------

    async def add(self, row: Row) -> OutboxEntry:
        """Keep a wish; returns once it is safe. An equal key gives the entry that has it (D14).

        Raises:
            OutboxFull, StoreError: Nothing was kept.
        """
        (stored,) = await self.context.store.add((row,))
        self.context.observer.point("outbox.added", channel=row.channel, message_id=stored.ident.id)
        known = self._entries.get(stored.entry_id)
        if known is not None:
            return known
        entry = self._register(stored)
        if entry.unfinished:
            self._take([entry])
        return entry

    async def discard(self, entry: OutboxEntry) -> bool:
        """Withdraw an entry that was never attempted; `False`: too late."""
        if entry.state is not State.QUEUED or entry.row.attempts:
            return False
        self.move(entry, Input.DISCARD)
        await self._settle((entry,))
        return True

    async def retry(self, entry: OutboxEntry) -> None:
        """Queue a failed or expired entry again: same id and body, new place in the lane (D7)."""
        if entry.state not in (State.FAILED, State.EXPIRED):
            return
        uncertain = not entry.row.certain
        expires = self.context.server_time.now() + timedelta(seconds=self.context.limits.age)
        entry.refusals, entry.refreshed, entry.batch = 0, False, ()
        entry.row = entry.row._replace(
            seq=None, batch_id=None, expires_at=expires, certain=True, reason=None, device=self.device
        )
        if uncertain and await self._find(entry):
            return
        self.move(entry, Input.RETRY)
        await self._settle((entry,))
        self._entries[entry.row.entry_id] = self._entries.pop(entry.row.entry_id)
        self._take([entry])

    def seen(self, channel: str, ident: Ident, key: OrderKey) -> None:
        """An envelope of ours came back, live or from the log: it is there, whatever we thought (D6)."""
        entry = self._idents.get((channel, ident))
        if entry is None or entry.state is State.SENT:
            return
        entry.row = entry.row._replace(stamp=key)
        self.move(entry, Input.SEEN)
        self._release(entry)
        self.context.tasks.spawn(self._settle((entry,)), "settle-seen")

    def move(self, entry: OutboxEntry, given: Input, error: ChatkitError | None = None) -> None:
        """Put an entry into its next state and tell everyone."""
        before = entry.state
        entry.state, effects = step(TABLE, entry.state, given)
        status = entry.state.status
        reason = None if error is None else f"{type(error).__name__}: {error}"
        entry.error = error
        entry.row = entry.row._replace(
            status=status, certain=Effect.UNCERTAIN not in effects, reason=reason if entry.state.done else None
        )
        if entry.state.done and not before.done:
            self.depth -= 1
            self.size -= len(entry.row.data)
            self.totals[status] += 1
            if entry.state is not State.SENT:
                self._fail_dependants(entry)
        elif before.done and not entry.state.done:
            self.depth += 1
            self.size += len(entry.row.data)
        if entry.state is State.SENT:
            self._entries.pop(entry.row.entry_id, None)
            self._idents.pop((entry.row.channel, entry.row.ident), None)
        if status != before.status or Effect.LATE in effects:
            self._on_change(entry, Effect.LATE in effects, reason)
        self._changed.set()

    async def changed(self) -> None:
        """Wait for the next change of any entry."""
        self._changed.clear()
        await self._changed.wait()

    def wake(self) -> None:
        """The publish path came back: lanes need not sit out their backoff."""
        for lane in list(self._lanes.values()):
            lane.wake()

    async def renew_device(self, old: str) -> str:
        """Go on as another device, since a copy of this store lives elsewhere (D27); returns the new one."""
        if old not in self._renewed:
            new = self._renewed[old] = new_device(self.context.random)
            await self.context.store.renew_device(old, new)
            self.context.counters["device_renewed"] += 1
            if self.device == old:
                self.device = new
        return self._renewed[old]

    async def settle(self, entries: Iterable[OutboxEntry]) -> None:
        """Record what entries became; a store that cannot is told, and the entry is sent again after a crash."""
        await self._settle(tuple(entries))

    def requeue(self, entries: Iterable[OutboxEntry], device: str) -> None:
        """Put entries that are certainly not sent into the lane of another device."""
        for entry in entries:
            entry.row = entry.row._replace(device=device, seq=None, batch_id=None, first_attempt=None, attempts=0)
            self._lane(entry).append(entry)

    def drop_lane(self, lane: Lane) -> None:
        """Forget a lane that has nothing to do; its numbers stay."""
        self._marks[lane.key] = lane.mark
        if self._lanes.get(lane.key) is lane:
            del self._lanes[lane.key]

    # -- inside -----------------------------------------------------------------------------------------

    def _register(self, row: Row) -> OutboxEntry:
        state = _state(row)
        entry = OutboxEntry(row, state)
        if state is not State.SENT:
            self._entries[row.entry_id] = entry
            self._idents[row.channel, row.ident] = entry
        if entry.unfinished:
            self.depth += 1
            self.size += len(row.data)
            ends = row.expires_at
            if ends is not None and (self._next_deadline is None or ends < self._next_deadline):
                self._deadline_set.set()
        self._changed.set()
        return entry

    def _bind(self, batch_id: str, idents: tuple[Ident, ...]) -> None:
        """Bring the members of a batch in doubt together again, in order (D10)."""
        found = [e for e in self._entries.values() if e.row.batch_id == batch_id and e.state is State.IN_DOUBT]
        order = {ident: index for index, ident in enumerate(idents)}
        members = tuple(sorted(found, key=lambda entry: order.get(entry.row.ident, len(order))))
        for entry in members:
            entry.batch = members

    def _take(self, entries: list[OutboxEntry]) -> None:
        """Put entries into their lanes, in queue order; what is due later waits outside of it."""
        for entry in entries:
            wait = self._wait_for(entry)
            if wait > 0:
                asyncio.get_running_loop().call_later(wait, self._due, entry)
            else:
                self._lane(entry).append(entry)

    def _due(self, entry: OutboxEntry) -> None:
        if entry.unfinished:
            self._take([entry])

    def _wait_for(self, entry: OutboxEntry) -> float:
        due = entry.row.due_at
        return 0.0 if due is None else (due - self.context.server_time.now()).total_seconds()

    def _lane(self, entry: OutboxEntry) -> Lane:
        key = LaneKey(entry.row.channel, entry.row.ident.user, entry.row.device or self.device)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(self, key, self._marks.get(key, LaneMark(0, 0)))
        return lane

    def _release(self, entry: OutboxEntry) -> None:
        lane = self._lanes.get(LaneKey(entry.row.channel, entry.row.ident.user, entry.row.device))
        if lane is not None:
            lane.release(entry)

    async def _find(self, entry: OutboxEntry) -> bool:
        """Look up an entry whose failure was uncertain, where no fence would answer `duplicate` (D7, D10)."""
        log, row = self.context.log, entry.row
        if log is None or "fence" in log.capabilities:
            return False
        found = await self.context.read(lambda: log.find(row.channel, [row.ident]))
        if row.ident not in found.items:
            return False
        self.seen(row.channel, row.ident, found.items[row.ident])
        return True

    def _fail_dependants(self, entry: OutboxEntry) -> None:
        failed = [
            other
            for other in self._entries.values()
            if other.row.depends_on == entry.row.entry_id and other.state is State.QUEUED
        ]
        for other in failed:
            error = DependencyFailed(
                f"the message it refers to ended {entry.state.status}",
                channel=other.row.channel,
                message_id=other.row.ident.id,
            )
            self.move(other, Input.DEPENDENCY, error)
        if failed:
            self.context.tasks.spawn(self._settle(tuple(failed)), "settle-dependants")

    async def _settle(self, entries: tuple[OutboxEntry, ...]) -> None:
        try:
            await self.context.store.settle([entry.row for entry in entries])
        except StoreError as error:
            self.context.counters["store_errors"] += 1
            self.context.observer.point("store.failed", error=type(error).__name__)
        else:
            self.context.observer.point("outbox.settled", entries=len(entries))

    async def _watch_deadlines(self) -> None:
        """End what is past its deadline; nothing before a contact has confirmed the time (D13)."""
        while True:
            self._deadline_set.clear()
            now = self.context.server_time.now()
            waiting = [e for e in self._entries.values() if e.state in (State.QUEUED, State.IN_DOUBT)]
            if self.context.server_time.confirmed:
                late = [e for e in waiting if e.row.expires_at is not None and e.row.expires_at <= now]
                for entry in late:
                    self.move(entry, Input.DEADLINE)
                    self._release(entry)
                if late:
                    await self._settle(tuple(late))
            ends = [e.row.expires_at for e in waiting if e.unfinished and e.row.expires_at is not None]
            self._next_deadline = min(ends, default=None)
            wait = SWEEP if self._next_deadline is None else (self._next_deadline - now).total_seconds()
            try:
                async with asyncio.timeout(min(max(wait, LOOK), SWEEP)):
                    await self._deadline_set.wait()
            except TimeoutError:
                continue

    async def _sweep(self) -> None:
        """Forget ended entries that nobody asks for any more (D14)."""
        while True:
            await asyncio.sleep(SWEEP)
            before = self.context.server_time.now() - timedelta(seconds=self.context.limits.age) - KEPT
            await self.context.store.prune(before)
            for entry in [e for e in self._entries.values() if e.state.done and e.row.queued_at < before]:
                del self._entries[entry.row.entry_id]
                self._idents.pop((entry.row.channel, entry.row.ident), None)


def _state(row: Row) -> State:
    """Return the state of a stored row: what was being sent when it was read is in doubt (D6)."""
    return State.IN_DOUBT if row.status == "sending" else State(row.status)
