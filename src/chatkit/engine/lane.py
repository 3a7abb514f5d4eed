"""One lane: a user's wishes on one device for one channel, first in, first out (D8, D9, D10, D12)."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from chatkit.core import backoff
from chatkit.core.delivery import Input, State
from chatkit.engine.answers import Outcome, take_answers
from chatkit.engine.context import foreign
from chatkit.engine.forming import Formed, form
from chatkit.engine.lookup import worth_sending
from chatkit.errors import ChatkitError
from chatkit.ports import Batch, LaneKey, LaneMark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chatkit.engine.entry import OutboxEntry
    from chatkit.engine.outbox import Outbox
    from chatkit.ports import Ack

PAUSE: Final = 30.0
"""Seconds that a lane pauses where the provider refused the lane and named no time."""


class Lane:
    """Queue, numbers and the workers that empty it: one, or several where no order is kept.

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
        self.successor: str | None = None
        """The device to go on as, once what may have arrived under this one has its answer (D27)."""
        self._queue: deque[OutboxEntry] = deque()
        self._ended = 0
        """How many of the queue may have ended, at most."""
        self._parcels: deque[tuple[OutboxEntry, ...]] = deque()
        """What was written before and goes out again just so, before anything of the queue (D10)."""
        self._failures = 0
        self._backoff_until = 0.0
        self._not_before = 0.0
        self._nudge = asyncio.Event()
        self._workers = 0

    def append(self, entry: OutboxEntry) -> None:
        """Take an entry; one in doubt goes with the batch it was written in (D10)."""
        if entry.state is State.IN_DOUBT and entry.frozen:
            parcel = entry.batch or (entry,)
            if parcel not in self._parcels:
                self._parcels.append(parcel)
        else:
            self._queue.insert(self._place_of(entry), entry)
        if self._workers < self._outbox.window:
            self._workers += 1
            self._context.tasks.keep(self._run, f"lane:{self.key.channel}")

    def _place_of(self, entry: OutboxEntry) -> int:
        """Return where an entry goes: to the end; sent again by hand, before what refers to it (D7)."""
        if entry.row.attempts:
            for place, other in enumerate(self._queue):
                if not other.frozen and other.target == entry.row.ident:
                    return place
        return len(self._queue)

    def take_out(self, entry: OutboxEntry) -> None:
        """Remove an entry that ended in the queue and has not fallen out yet."""
        with suppress(ValueError):
            self._queue.remove(entry)

    def release(self) -> None:
        """An entry ended without an answer of ours: nothing needs to go on for its sake alone."""
        self._ended += 1
        if self._ended * 2 > len(self._queue):  # else it falls out when a batch is formed (I10)
            self._queue = deque(waiting for waiting in self._queue if waiting.unfinished)
            self._ended = 0
        self._parcels = deque(parcel for parcel in self._parcels if any(e.unfinished for e in parcel))

    def wake(self) -> None:
        """End a backoff: the path is there again. What the provider asked for is waited out."""
        self._backoff_until = 0.0
        self._nudge.set()

    def empty(self) -> list[OutboxEntry]:
        """Give away what waits in the queue."""
        waiting = [entry for entry in self._queue if entry.unfinished]
        self._queue.clear()
        return waiting

    async def _run(self) -> None:
        """Work until there is nothing left to do."""
        publishing = self._outbox.publishing
        while self._queue or self._parcels:
            if self.successor is not None and not self._parcels:
                self._outbox.lanes.hand_over(self, self.successor)
                continue
            await publishing.ready()
            await self._back_off()
            await publishing.turn()
            if publishing.open:
                await self._send()
        self._workers -= 1
        if not self._workers:
            self._outbox.lanes.drop(self)

    async def _back_off(self) -> None:
        """Wait out what the provider asked for; and our own backoff, until the path is known to work."""
        pause = self._not_before - self._context.clock.monotonic()
        if pause > 0:
            await asyncio.sleep(pause)
        wait = self._backoff_until - self._context.clock.monotonic()
        if wait > 0:
            self._nudge.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._nudge.wait()
            except TimeoutError:
                return

    # -- one attempt ------------------------------------------------------------------------------------

    async def _send(self) -> None:
        """Make one attempt: at what was written before, else at the next batch."""
        mark, formed = self.mark, None
        if self._parcels:
            entries = self._parcels.popleft()
            self._context.observer.point("outbox.repeating", channel=self.key.channel, entries=len(entries))
        elif self.successor is None:
            formed = form(self._outbox, self.key, mark, self._queue)
            entries, self.mark = formed.entries, formed.mark
            self._context.observer.point("outbox.formed", channel=self.key.channel, entries=len(entries))
        else:
            return  # it is about to be handed over
        if not entries:
            return
        self._outbox.publishing.charge(len(entries))
        _mark(entries, under_way=True)
        try:
            if formed is None:
                worth = await self._worth_sending(entries)
                left = _without_ended(entries) if worth else ()
                _mark([entry for entry in entries if entry not in left], under_way=False)
                entries = left
                if not worth:
                    return
            batch = await self._record(entries)
            if batch is not None:
                await self._publish(batch, entries)
                return
            _mark(entries, under_way=False)
            if formed is None:
                self._put_back(entries)
            else:
                self.mark = mark
                self._take_back(formed)
        except Exception:  # a defect of ours: the batch must not be lost from the lane
            _mark(entries, under_way=False)
            self._recover(entries)
            raise

    async def _worth_sending(self, entries: tuple[OutboxEntry, ...]) -> bool:
        try:
            return await worth_sending(self._outbox, self.key.channel, entries)
        except ChatkitError as error:
            self._context.observer.point("outbox.not_looked_up", error=type(error).__name__)
            self._put_back(entries)
            self._delay()
            return False

    async def _record(self, entries: tuple[OutboxEntry, ...]) -> Batch | None:
        """Commit the attempt before any byte is written (D6); `None`: the store could not, so nothing is."""
        trying = [entry for entry in entries if entry.unfinished]
        batch_id = trying[0].row.batch_id or self._outbox.new_id()
        for entry in trying:
            self._outbox.move(entry, Input.ATTEMPT)
            entry.row = entry.row._replace(batch_id=batch_id, attempts=entry.row.attempts + 1)
        batch = Batch(batch_id, self.key.channel, tuple(entry.outgoing for entry in entries))
        rows = [entry.row for entry in trying]
        try:
            await self._context.store.attempt(batch, rows, hlc=self._context.hlc.last or "")
        except ChatkitError as error:
            self._outbox.store_failed(error)
            self._unsent(entries, error)
            for entry in trying:
                entry.row = entry.row._replace(attempts=entry.row.attempts - 1)
            self._delay()
            return None
        self._context.observer.point("outbox.attempted", channel=self.key.channel, entries=len(entries))
        return batch

    async def _publish(self, batch: Batch, entries: tuple[OutboxEntry, ...]) -> None:
        began = self._context.clock.monotonic()
        try:
            if not any(entry.unfinished for entry in entries):
                return  # their echoes came while the attempt was recorded
            acks = await self._outbox.publishing.publish(batch)
        except Exception as raised:  # noqa: BLE001  # whatever an adapter raises, the outcome is unknown
            self._silence(entries, foreign(raised))
            return
        finally:
            _mark(entries, under_way=False)
        if acks is None:
            self._unsent(entries, None)
            self._put_back(entries)
        else:
            await self._answered(batch, entries, acks, began)

    # -- what became of it ------------------------------------------------------------------------------

    async def _answered(
        self, batch: Batch, entries: tuple[OutboxEntry, ...], acks: Sequence[Ack], began: float
    ) -> None:
        self._context.observer.point("outbox.answered", channel=self.key.channel, entries=len(entries))
        outcome = take_answers(self._outbox, batch, entries, acks)
        self._note_named(entries)
        self._outbox.announce(batch, entries, acks)
        self._sort(entries, outcome)
        self._pause(outcome)
        await self._outbox.settle()
        if outcome.stale:
            fresh = await self._outbox.refresh.since(began)
            for entry in outcome.stale:
                entry.refreshed = fresh
            outcome.incurable |= not fresh
        if outcome.pause is not None and outcome.incurable:
            self._outbox.publishing.pause(outcome.pause, outcome.after)
        if outcome.overtaken:
            try:
                await self._outbox.lanes.renew(self.key.device)
            except ChatkitError as error:
                self._outbox.store_failed(error)  # numbered anew all the same: the copy may use them again
                self._delay()

    def _sort(self, entries: tuple[OutboxEntry, ...], outcome: Outcome) -> None:
        """Give what is to be sent again its place in the lane."""
        if outcome.split:
            for entry in entries:
                entry.batch = ()
        if outcome.overtaken:  # whatever is certainly not there is numbered anew, in order
            absent = [entry for entry in entries if entry.state is State.QUEUED]
            outcome.again = [entry for entry in outcome.again if entry not in absent]
            for entry in absent:
                entry.thaw()
            self._queue.extendleft(reversed(absent))
        if outcome.split and len(entries) > 1:
            for entry in outcome.again:
                entry.row = entry.row._replace(batch_id=None)  # another one from now on
            self._parcels.extendleft((entry,) for entry in reversed(outcome.again))
        elif outcome.again:
            self._put_back(entries)

    def _pause(self, outcome: Outcome) -> None:
        if outcome.passed:
            self._failures = 0
        if outcome.again:
            self._delay(patient=outcome.patient)
            after = PAUSE if outcome.lane_pause and outcome.after is None else outcome.after
            if after is not None:
                self._not_before = self._context.clock.monotonic() + after

    def _silence(self, entries: tuple[OutboxEntry, ...], error: ChatkitError) -> None:
        """No answer is neither yes nor no: the same batch again, later (D10)."""
        self._context.observer.point("outbox.in_doubt", channel=self.key.channel, error=type(error).__name__)
        for entry in entries:
            if entry.unfinished:
                self._outbox.move(entry, Input.SILENCE, error)
                entry.refreshed = False
            entry.batch = entries
        self._note_named(entries)
        self._put_back(entries)
        self._delay()

    def _unsent(self, entries: tuple[OutboxEntry, ...], error: ChatkitError | None) -> None:
        for entry in entries:
            if entry.unfinished:
                self._outbox.move(entry, Input.UNSENT, error)

    def _put_back(self, entries: tuple[OutboxEntry, ...]) -> None:
        if any(entry.unfinished for entry in entries):
            self._parcels.appendleft(entries)

    def _take_back(self, formed: Formed) -> None:
        """Nothing was written: the entries are as they were, and their numbers free again."""
        for entry, row in zip(formed.entries, formed.before, strict=True):
            if entry.unfinished:
                as_it_was = row._replace(status=entry.state.status, expires_at=entry.row.expires_at)
                self._outbox.rewrite(entry, as_it_was)
        self._queue.extendleft(reversed(formed.entries))

    def _recover(self, entries: tuple[OutboxEntry, ...]) -> None:
        for entry in entries:
            if entry.state is State.SENDING:
                self._outbox.move(entry, Input.SILENCE)
        held = {*self._queue, *(entry for parcel in self._parcels for entry in parcel)}
        if held.isdisjoint(entries):
            self._put_back(entries)

    def _note_named(self, entries: tuple[OutboxEntry, ...]) -> None:
        """Take note of what the next wish may name as its predecessor: never one that was refused (D5)."""
        there = [entry.row.seq or 0 for entry in entries if entry.may_be_there]
        self.mark = self.mark._replace(acked=max([self.mark.acked, *there]))

    def _delay(self, *, patient: bool = True) -> None:
        wait = backoff.delay if patient else backoff.brief
        now = self._context.clock.monotonic()
        self._backoff_until = now + wait(self._failures, self._context.random.random())
        self._failures += 1


def _without_ended(entries: tuple[OutboxEntry, ...]) -> tuple[OutboxEntry, ...]:
    """Return what is to go out of a batch again: while any is in doubt all of it, as it was (D10).

    Where none is, what has ended meanwhile stays out: it would be sent though its caller was told otherwise.
    """
    left = tuple(entry for entry in entries if entry.unfinished)
    if len(left) == len(entries) or any(e.state is State.IN_DOUBT or not e.row.certain for e in entries):
        return entries
    for entry in left:
        entry.batch, entry.row = (), entry.row._replace(batch_id=None)  # another one from now on
    return left


def _mark(entries: Sequence[OutboxEntry], *, under_way: bool) -> None:
    for entry in entries:
        entry.under_way = under_way
