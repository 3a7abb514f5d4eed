"""The second stage of a provider with a separate log: telling receivers what the log took in (D16).

With `announce="after"` an entry is `sent` when it is appended, and stays in the outbox until the provider has
taken the announcement. Announcements are hints: one that is made twice is a duplicate to receivers, one that
is never made they find by comparing heads. So nothing here fails an entry, and no lane waits for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from chatkit.core import backoff
from chatkit.engine.claims import announced
from chatkit.engine.context import Context, bounded
from chatkit.errors import ChatkitError
from chatkit.model.entry import Stamp
from chatkit.ports import Batch, Outgoing

if TYPE_CHECKING:
    from chatkit.engine.entry import OutboxEntry
    from chatkit.engine.publishing import Publishing
    from chatkit.ports import Ack

WAITING: Final = 10_000
"""Most entries that wait for their announcement; of more the oldest are left to be found (I10)."""
PAUSE: Final = 30.0
"""Seconds to wait where the provider refused and named no time."""
TIMEOUT: Final = 10.0
"""Seconds for one attempt."""


class Parcel(NamedTuple):
    """Entries that were appended together; announced together, too."""

    entries: tuple[OutboxEntry, ...]
    stamps: tuple[Stamp, ...] | None
    """Where the log put them; `None`: an earlier life knew, and the log is asked again."""


class Announcer:
    """Announces what was appended, in order, channel by channel.

    Args:
        context: The client's parts.
        publishing: The way to the provider.
        on_done: Told of each entry that nobody needs to be told of any more.
        refresh: Returns whether there is a credential newer than a moment, fetched where there was none.
    """

    def __init__(
        self,
        context: Context,
        publishing: Publishing,
        *,
        on_done: Callable[[OutboxEntry], None],
        refresh: Callable[[float], Awaitable[bool]],
    ) -> None:
        self._context = context
        self._publishing = publishing
        self._on_done = on_done
        self._refresh = refresh
        self._queues: dict[str, deque[Parcel]] = {}
        self._waiting: dict[OutboxEntry, None] = {}
        self._not_before = 0.0

    @property
    def depth(self) -> int:
        """How many entries wait to be announced."""
        return len(self._waiting)

    def put(self, entries: Sequence[OutboxEntry], stamps: Sequence[Stamp] | None) -> None:
        """Take entries that the log has and that their rows call unannounced; known ones are passed over."""
        if stamps is not None:
            pairs = [(e, s) for e, s in zip(entries, stamps, strict=True) if e not in self._waiting]
            parcels = [Parcel(tuple(e for e, _ in pairs), tuple(s for _, s in pairs))] if pairs else []
        else:
            parcels = [Parcel((entry,), None) for entry in entries if entry not in self._waiting]
        for parcel in parcels:
            self._waiting |= dict.fromkeys(parcel.entries)
            channel = parcel.entries[0].row.channel
            queue = self._queues.get(channel)
            if queue is None:
                queue = self._queues[channel] = deque()
                self._context.tasks.keep(partial(self._run, channel), f"announce:{channel}")
            queue.append(parcel)
        while len(self._waiting) > WAITING:
            self._context.counters["unannounced"] += 1
            self._done(next(iter(self._waiting)))

    async def _run(self, channel: str) -> None:
        """Announce what waits in a channel, one parcel after the other."""
        queue = self._queues[channel]
        failures = 0
        while queue:
            parcel = queue[0]
            if not any(entry in self._waiting for entry in parcel.entries):
                queue.popleft()
                continue
            try:
                parcel = queue[0] = await self._placed(channel, parcel)
                await self._publishing.way_to_announce()
                wait = await self._announce(channel, parcel, refresh=not failures)
            except ChatkitError as error:
                self._context.observer.point(
                    "outbox.not_announced", channel=channel, error=type(error).__name__
                )
                wait = backoff.delay(failures, self._context.random.random())
            if wait is None:
                queue.popleft()
                failures = 0
            else:
                failures += 1
                await asyncio.sleep(wait)
        del self._queues[channel]

    async def _placed(self, channel: str, parcel: Parcel) -> Parcel:
        """Return a parcel with its places: where an earlier life knew, the log is asked by that append."""
        if parcel.stamps is not None:
            return parcel
        log = self._context.need_log(channel)
        outgoing = [entry.outgoing for entry in parcel.entries]
        appended = await bounded(lambda: log.append(channel, outgoing), TIMEOUT)
        placed: list[tuple[OutboxEntry, Stamp]] = []
        for entry, out, ack in zip(parcel.entries, outgoing, appended.acks, strict=True):
            stamp = stamp_of(out, ack, appended.state.log_id)
            if stamp is None:  # it was trimmed, or the log is another one: nobody is to be told
                self._done(entry)
            else:
                placed.append((entry, stamp))
        return Parcel(tuple(entry for entry, _ in placed), tuple(stamp for _, stamp in placed))

    async def _announce(self, channel: str, parcel: Parcel, *, refresh: bool) -> float | None:
        """Make one attempt; returns the seconds after which to make another, `None`: all are told.

        `refresh`: a fresh credential may help; one that was just fetched does not get better by fetching.
        """
        context = self._context
        pause = self._not_before - context.clock.monotonic()
        if pause > 0:
            return pause
        pairs = [
            (e, s) for e, s in zip(parcel.entries, parcel.stamps or (), strict=True) if e in self._waiting
        ]
        if not pairs:
            return None
        batch_id = pairs[0][0].row.batch_id or pairs[0][0].row.ident.id
        batch = Batch(batch_id, channel, tuple(announced(context, channel, e.outgoing) for e, _ in pairs))
        began = context.clock.monotonic()
        context.observer.point("outbox.announcing", channel=channel, entries=len(pairs))
        acks = await self._publishing.announce(batch, [stamp for _, stamp in pairs])
        again: list[Ack] = []
        for (entry, _), ack in zip(pairs, acks, strict=True):
            if ack.outcome in ("refused", "unsent") and (ack.again != "never" or ack.scope != "entry"):
                again.append(ack)
                continue
            if ack.outcome == "refused":
                context.counters["unannounced"] += 1
            self._done(entry)
        context.observer.point("outbox.announced", channel=channel, entries=len(pairs) - len(again))
        return await self._wait(again, began if refresh else None) if again else None

    async def _wait(self, refused: Sequence[Ack], began: float | None) -> float:
        """Return how long to wait after refusals that pass; one of the connection holds up every channel."""
        stale = any(ack.again == "reauthenticate" for ack in refused)
        if stale and began is not None and await self._refresh(began):
            return 0.0
        wait = max((ack.after for ack in refused if ack.after is not None), default=PAUSE)
        if any(ack.scope == "connection" for ack in refused):
            self._not_before = self._context.clock.monotonic() + wait
        return wait

    def _done(self, entry: OutboxEntry) -> None:
        del self._waiting[entry]
        entry.row = entry.row._replace(announced=True)
        self._on_done(entry)


def stamp_of(outgoing: Outgoing, ack: Ack, log_id: str | None) -> Stamp | None:
    """Return where a log put an entry; `None`: it has not, or another entry has its place (D1)."""
    if ack.outcome not in ("new", "duplicate") or ack.key is None or ack.sent_at is None:
        return None
    return Stamp(ack.key, ack.prev, log_id, outgoing.ident.user, ack.sent_at)
