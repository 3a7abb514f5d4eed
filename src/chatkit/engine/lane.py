"""One lane: a user's wishes on one device for one channel, first in, first out (D8, D9, D10, D12)."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from chatkit.core import backoff
from chatkit.core.delivery import Input, State
from chatkit.engine import reading
from chatkit.engine.context import foreign
from chatkit.errors import ChatkitError, GaveUp, StoreError
from chatkit.model.envelope import Envelope
from chatkit.model.ids import new_message_id
from chatkit.ports import Ack, Batch, LaneKey, LaneMark, Outgoing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chatkit.engine.outbox import Outbox, OutboxEntry
    from chatkit.model.message import Attested

MARGIN: Final = 20.0
"""Seconds before the end of a provider's duplicate window from which on an id is looked up first (D10)."""
REFUSALS: Final = 20
"""Definite server errors on one entry after which it is given up (D12)."""
REFUSED_FOR: Final = 3_600.0
"""Seconds of such errors after which it is given up."""
PAUSE: Final = 30.0
"""Seconds that a lane pauses where the provider refused the lane and named no time."""


class Attempt(NamedTuple):
    """One batch and its entries, in order."""

    batch: Batch
    entries: tuple[OutboxEntry, ...]


class Lane:
    """Queue, numbers and the worker that empties it.

    Args:
        outbox: Its owner.
        key: Channel, user and device.
        mark: How far the lane has come.
    """

    def __init__(self, outbox: Outbox, key: LaneKey, mark: LaneMark) -> None:
        self._outbox = outbox
        self._context = outbox.context
        self.key = key
        self.mark = mark
        self._queue: deque[OutboxEntry] = deque()
        self._doubtful: deque[tuple[OutboxEntry, ...]] = deque()
        self._singly: set[OutboxEntry] = set()
        self._failures = 0
        self._free_at = 0.0
        self._not_before = 0.0
        self._nudge = asyncio.Event()
        self._workers = 0

    def append(self, entry: OutboxEntry) -> None:
        """Take an entry; one in doubt goes back with the batch it was written in (D10)."""
        if entry.state is State.IN_DOUBT:
            members = entry.batch or (entry,)
            if members not in self._doubtful:
                self._doubtful.append(members)
        else:
            self._queue.append(entry)
        self._start()

    def release(self, entry: OutboxEntry) -> None:
        """An entry ended without an answer of ours: its batch need not go on for its sake."""
        self._singly.discard(entry)
        self._doubtful = deque(batch for batch in self._doubtful if any(e.unfinished for e in batch))

    def wake(self) -> None:
        """End a backoff: the path is there again."""
        self._nudge.set()

    def _start(self) -> None:
        while self._workers < self._outbox.window:
            self._workers += 1
            self._context.tasks.keep(self._run, f"lane:{self.key.channel}")

    async def _run(self) -> None:
        """Work until there is nothing left to do."""
        while self._queue or self._doubtful:
            await self._outbox.publishing.ready()
            await self._back_off()
            if self._outbox.publishing.open:
                attempt = await self._next()
                if attempt is not None:
                    await self._try(attempt)
        self._workers -= 1
        if not self._workers:
            self._outbox.drop_lane(self)

    async def _back_off(self) -> None:
        """Wait out what the provider asked for; and our own backoff, or until the path is known to work again."""
        now = self._context.clock.monotonic()
        if self._not_before > now:
            await asyncio.sleep(self._not_before - now)
        elif self._free_at > now:
            self._nudge.clear()
            try:
                async with asyncio.timeout(self._free_at - now):
                    await self._nudge.wait()
            except TimeoutError:
                return

    # -- forming an attempt -----------------------------------------------------------------------------

    async def _next(self) -> Attempt | None:
        """Return the next batch, its attempt recorded before any byte is written (D6)."""
        doubtful = bool(self._doubtful)
        if doubtful:
            entries = self._doubtful.popleft()
            if not await self._worth_sending(entries):
                return None
        else:
            entries = self._form()
            self._stamp(entries)
        if not entries:
            return None
        now = self._context.server_time.now()
        for entry in entries:
            if entry.unfinished:
                self._outbox.move(entry, Input.ATTEMPT)
            entry.row = entry.row._replace(
                attempts=entry.row.attempts + 1, first_attempt=entry.row.first_attempt or now
            )
        batch = Batch(
            entries[0].row.batch_id or "",
            self.key.channel,
            tuple(Outgoing(e.row.ident, e.row.device, e.row.seq, e.row.data, e.row.expires_at) for e in entries),
        )
        try:
            await self._context.store.attempt(batch, [e.row for e in entries], hlc=self._context.hlc.last or "")
        except StoreError as error:
            self._context.counters["store_errors"] += 1
            self._context.observer.point("store.failed", error=type(error).__name__)
            self._not_written(entries, doubtful)
            return None
        self._context.observer.point("outbox.attempted", channel=self.key.channel, entries=len(entries))
        return Attempt(batch, entries)

    def _form(self) -> tuple[OutboxEntry, ...]:
        """Take from the queue what one publish carries: the next batch (D8)."""
        capabilities = self._context.adapter.capabilities
        taken: list[OutboxEntry] = []
        size = 0
        while self._queue and len(taken) < capabilities.batch:
            entry = self._queue[0]
            if not entry.unfinished:
                self._queue.popleft()
                continue
            size += len(entry.row.data)
            alone = entry in self._singly
            if taken and (alone or size > capabilities.frame_bytes):
                break
            taken.append(self._queue.popleft())
            if alone:
                break
        return tuple(taken)

    def _stamp(self, entries: Sequence[OutboxEntry]) -> None:
        """Give never-attempted entries their number and clock reading, and freeze their bytes (D4, D5, D7)."""
        if not entries:
            return
        batch_id = new_message_id(self._context.server_time.now_ms(), self._context.random)
        epoch = 1 if self._context.adapter.capabilities.order == "clock" else None
        for entry in entries:
            row = entry.row
            if row.seq is None:
                seq, pred = self.mark.seq + 1, self.mark.acked
                draft = Envelope.parse(row.data)
                frozen = draft.model_copy(
                    update={
                        "sender": draft.sender.model_copy(update={"device": self.key.device}),
                        "seq": seq,
                        "pred": pred,
                        "hlc": self._context.hlc.tick(self._context.server_time.now_ms()),
                        "epoch": epoch,
                    }
                )
                data = frozen.encode()
                self._outbox.size += len(data) - len(row.data)
                row = row._replace(seq=seq, data=data, device=self.key.device)
                self.mark = LaneMark(seq, seq)  # in doubt from now on; the next one names it as its predecessor
            entry.row = row._replace(batch_id=batch_id)

    async def _worth_sending(self, entries: tuple[OutboxEntry, ...]) -> bool:
        """Before the same bytes go out again past the provider's memory, look them up (D10)."""
        log, capabilities = self._context.log, self._context.adapter.capabilities
        first = min(e.row.first_attempt or self._context.server_time.now() for e in entries)
        age = (self._context.server_time.now() - first).total_seconds()
        if (log is not None and "fence" in log.capabilities) or age < capabilities.duplicate_window - MARGIN:
            return True
        if log is not None:
            idents = [entry.row.ident for entry in entries if entry.unfinished]
            try:
                found = await self._context.read(lambda: log.find(self.key.channel, idents))
            except ChatkitError:
                self._silence(entries)
                return False
            for ident, key in found.items.items():
                self._outbox.seen(self.key.channel, ident, key)
            if found.reaches is not None and found.reaches <= first:
                return any(entry.unfinished for entry in entries)
        for entry in entries:
            entry.maybe_duplicate = entry.maybe_duplicate or entry.unfinished
        return any(entry.unfinished for entry in entries)

    # -- what became of it ------------------------------------------------------------------------------

    async def _try(self, attempt: Attempt) -> None:
        try:
            acks = await self._outbox.publishing.publish(attempt.batch)
        except Exception as raised:  # noqa: BLE001  # whatever an adapter raises, the outcome is unknown
            error = foreign(raised)
            self._context.observer.point("outbox.in_doubt", channel=self.key.channel, error=type(error).__name__)
            self._silence(attempt.entries)
            return
        if len(acks) != len(attempt.entries):
            self._silence(attempt.entries)
            return
        self._failures = 0
        again: list[OutboxEntry] = []
        moved: list[OutboxEntry] = []
        for out, entry, ack in zip(attempt.batch.entries, attempt.entries, acks, strict=True):
            if entry.state.done and ack.outcome not in ("new", "duplicate", "conflict"):
                continue
            match ack.outcome:
                case "new" | "duplicate" | "conflict":
                    self._accept(out, entry, ack)
                case "too_late":
                    self._outbox.move(entry, Input.TOO_LATE)
                case "superseded":
                    self._outbox.move(entry, Input.UNSENT)
                    moved.append(entry)
                case "refused" | "unsent":
                    if not await self._refuse(entry, ack):
                        again.append(entry)
        if len(attempt.entries) > 1:
            self._singly.update(again)
        self._queue.extendleft(reversed(again))
        await self._outbox.settle(attempt.entries)
        if moved:
            await self._move_to_new_device(moved)

    def _accept(self, out: Outgoing, entry: OutboxEntry, ack: Ack) -> None:
        if ack.outcome == "conflict":
            self._context.counters["conflict"] += 1
        fact = None
        if ack.key is not None or self._context.adapter.capabilities.order == "clock":
            attested: Attested = "provider" if self._context.adapter.publisher is None else "backend"
            origin = self._outbox.origin_of(self.key.channel)
            fact = reading.own(self._context, out, ack, attested, origin)
        entry.row = entry.row._replace(stamp=None if fact is None else fact.key)
        entry.sent_at, entry.origin = ack.sent_at, None if fact is None else fact.origin
        self._outbox.move(entry, Input.ACKED if not entry.state.done or entry.state is State.SENT else Input.SEEN)
        self._outbox.on_sent(entry, fact)

    async def _refuse(self, entry: OutboxEntry, ack: Ack) -> bool:
        """Deal with a definite refusal (D12); returns whether the entry ended."""
        error = ack.error or GaveUp("the provider did not take it and did not say why")
        error.channel, error.message_id = self.key.channel, entry.row.ident.id
        if ack.outcome == "refused" and ack.scope == "entry":
            if ack.again == "never":
                self._outbox.move(entry, Input.REFUSED, error)
                return True
            if ack.again == "reauthenticate" and entry.refreshed:
                self._outbox.move(entry, Input.REFUSED, error)
                return True
            now = self._context.clock.monotonic()
            entry.refused_since = entry.refused_since or now
            entry.refusals += 1
            if entry.refusals >= REFUSALS or now - entry.refused_since >= REFUSED_FOR:
                gave_up = GaveUp("the provider answered with errors for this message alone")
                gave_up.__cause__ = error
                self._outbox.move(entry, Input.REFUSED, gave_up)
                return True
        self._outbox.move(entry, Input.UNSENT)
        if ack.again == "reauthenticate":
            entry.refreshed = True
            await self._outbox.reauthenticate()
        if ack.scope == "connection":
            self._outbox.publishing.pause(error, ack.after)
        else:
            pause = PAUSE if ack.scope == "lane" and ack.after is None else ack.after
            self._delay(pause)
        return False

    def _silence(self, entries: tuple[OutboxEntry, ...]) -> None:
        """No answer is neither yes nor no: the same batch again, later."""
        for entry in entries:
            if entry.state is State.SENDING:
                self._outbox.move(entry, Input.SILENCE)
            entry.batch = entries
        if any(entry.unfinished for entry in entries):
            self._doubtful.append(entries)
        self._delay(None)

    def _not_written(self, entries: tuple[OutboxEntry, ...], doubtful: bool) -> None:
        """The store could not record the attempt, so no byte was written: back to where the entries came from."""
        if doubtful:
            self._silence(entries)
            return
        for entry in entries:
            self._outbox.move(entry, Input.UNSENT)
        self._queue.extendleft(reversed(entries))
        self._delay(None)

    def _delay(self, after: float | None) -> None:
        now = self._context.clock.monotonic()
        self._free_at = now + backoff.delay(self._failures, self._context.random.random())
        self._failures += 1
        if after is not None:
            self._not_before = now + after

    async def _move_to_new_device(self, moved: list[OutboxEntry]) -> None:
        """A copy of this store lives elsewhere and used our numbers: go on as another device (D9, D27)."""
        device = await self._outbox.renew_device(self.key.device)
        waiting = list(self._queue)
        self._queue.clear()
        self._outbox.requeue([*moved, *waiting], device)
        await self._outbox.settle([*moved, *waiting])
