"""`LogCore`: a log in memory, without waiting: every call is one step under one lock.

What it keeps of a channel is bounded: the newest `keep` entries with their messages, and far longer what
the fence needs (`chatkit.logs.fence`): 1,000,000 ids, 100,000 lanes. Channels: as many as are written to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from threading import RLock
from typing import ClassVar, Final

from chatkit.errors import ConfigError
from chatkit.logs.channel import ChannelLog
from chatkit.logs.history import RawHistory
from chatkit.logs.pages import bounded, cut
from chatkit.logs.record import ALWAYS, EPOCH, Record, Show, index_after
from chatkit.model.entry import Entry, Stamp
from chatkit.model.order import Ident, OrderKey, Place
from chatkit.ports.context import Clock, RandomSource
from chatkit.ports.log import Appended, Entries, Found, LogFeature, LogState, Messages
from chatkit.ports.outgoing import Outgoing

Moderator = Callable[[str, str], bool]


class LogCore:
    """A log in memory; see `chatkit.logs.memory.MemoryLog` for its arguments."""

    capabilities: ClassVar[frozenset[LogFeature]] = frozenset({"append", "fence", "fold", "erase"})

    def __init__(self, clock: Clock, random: RandomSource, *, moderator: Moderator | None, keep: int) -> None:
        if keep < 1:
            raise ConfigError("log: keep is at least 1 entry")
        self.log_id: Final = f"{random.getrandbits(128):032x}"
        self.lock: Final = RLock()
        self.clock: Final = clock
        self._secret = random.getrandbits(256).to_bytes(32, "big")
        self._moderator = moderator
        self._keep = keep
        self._channels: dict[str, ChannelLog] = {}

    # ------------------------------------------------------------------ writing

    def append(self, channel: str, entries: Sequence[Outgoing]) -> tuple[Appended, tuple[Entry, ...]]:
        """Number and keep entries (D9); the second is what was new, in order."""
        with self.lock:
            kept = self._kept(channel)
            now = self.clock.wall()
            answers = [kept.append(entry, now) for entry in entries]
            acks = tuple(ack for ack, _ in answers)
            return Appended(self._state(kept.record, now), acks), tuple(
                new for _, new in answers if new is not None
            )

    def note(self, channel: str, ident: Ident, data: bytes) -> Entry:
        """Number and keep an envelope without fence, rights or fold, as raw history does."""
        with self.lock:
            return self._kept(channel).note(ident, data, self.clock.wall())

    # ------------------------------------------------------------------ reading

    def newest(self, channel: str) -> Stamp | None:
        """Return the stamp of the newest entry there ever was."""
        with self.lock:
            return self._seen(channel).record.head

    def since(self, channel: str, serial: str) -> tuple[Entry, ...] | None:
        """Return all entries after a place, or `None` where nobody can say that these are all."""
        with self.lock:
            return self._seen(channel).record.since(OrderKey(EPOCH, serial))

    def heads(self, channels: Sequence[str]) -> Mapping[str, LogState]:
        """Return where each channel stands."""
        with self.lock:
            now = self.clock.wall()
            return {channel: self._state(self._seen(channel).record, now) for channel in channels}

    def entries(self, channel: str, *, after: Place | None, limit: int) -> Entries:
        """Return up to `limit` raw entries after a place, oldest first."""
        with self.lock:
            record = self._seen(channel).record
            start = 0 if after is None else index_after(record.items, after)
            stop = start + bounded(limit)
            items = tuple(item.entry for item in record.items[start:stop])
            return Entries(self._state(record, self.clock.wall()), items, stop < len(record.items))

    def messages(
        self,
        channel: str,
        *,
        before: Place | None = None,
        after: Place | None = None,
        around: Place | None = None,
        limit: int,
        thread: Ident | None = None,
    ) -> Messages:
        """Return folded messages, ascending; see `chatkit.logs.pages.cut` for what the places choose."""
        with self.lock:
            kept = self._seen(channel)
            shelf = kept.projection.thread(thread)
            page = cut(shelf.stamps, before=before, after=after, around=around, limit=limit)
            return Messages(
                state=self._state(kept.record, self.clock.wall()),
                items=kept.projection.folded(shelf, page.start, page.stop),
                as_of=_as_of(kept.record),
                before=page.before,
                after=page.after,
                provisional=False,
            )

    def get(self, channel: str, idents: Sequence[Ident | str]) -> Messages:
        """Return the messages named, folded, ascending."""
        with self.lock:
            kept = self._seen(channel)
            state = self._state(kept.record, self.clock.wall())
            return Messages(
                state, kept.projection.named(idents), _as_of(kept.record), None, None, provisional=False
            )

    def find(self, channel: str, idents: Sequence[Ident]) -> Found:
        """Say which of these envelopes were ever appended; ids outlive bodies (D20)."""
        with self.lock:
            kept = self._seen(channel)
            known = {ident: kept.fence.known(ident) for ident in idents}
            return Found(
                state=self._state(kept.record, self.clock.wall()),
                items={ident: found.key for ident, found in known.items() if found is not None},
                reaches=kept.fence.forgotten or ALWAYS,
            )

    def history(self, window: float | None, show: Show) -> RawHistory:
        """Return the view of a provider that has raw history alone.

        Args:
            window: How many seconds it reaches back; `None`: as far as entries are kept.
            show: How it shows places.
        """
        return RawHistory(self, window=window, show=show)

    def record(self, channel: str) -> Record:
        """Return the raw entries of a channel; to be read under the lock."""
        return self._seen(channel).record

    # ------------------------------------------------------------------ inside

    def _kept(self, channel: str) -> ChannelLog:
        found = self._channels.get(channel)
        if found is None:
            found = self._channels[channel] = self._seen(channel)
        return found

    def _seen(self, channel: str) -> ChannelLog:
        """Return a channel to read; one that nobody wrote to is not kept."""
        found = self._channels.get(channel)
        return found or ChannelLog(
            channel, self.log_id, self._secret, self._keep, lambda user: self._moderates(channel, user)
        )

    def _moderates(self, channel: str, user: str) -> bool:
        return self._moderator is not None and self._moderator(channel, user)

    def _state(self, record: Record, now: datetime) -> LogState:
        return LogState(
            log_id=self.log_id,
            epoch=EPOCH,
            head=record.head.key.serial if record.head else None,
            floor=record.floor.key.serial if record.floor else None,
            now=now,
        )


def _as_of(record: Record) -> OrderKey:
    return record.head.key if record.head else OrderKey(EPOCH, "")
