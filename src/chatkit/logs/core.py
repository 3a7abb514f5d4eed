"""`LogCore`: a log in memory, without waiting: every call is one step under one lock.

What it keeps of a channel is bounded: the newest `keep` entries with their messages, and far longer what
the fence needs (`chatkit.logs.fence`): 1,000,000 ids, 100,000 lanes. Channels: as many as are written to.
Registers: one for each channel, user and name that is put.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from threading import RLock
from typing import ClassVar, Final, get_args

from chatkit.errors import ConfigError
from chatkit.logs.channel import ChannelLog
from chatkit.logs.history import RawHistory
from chatkit.logs.listening import Listeners
from chatkit.logs.pages import cut
from chatkit.logs.record import Record, Show, index_after
from chatkit.logs.registers import Registers
from chatkit.logs.search import Question, search
from chatkit.logs.unread import unread
from chatkit.model.entry import Entry, Stamp
from chatkit.model.order import Ident, OrderKey, Place
from chatkit.model.paging import ALWAYS, EPOCH, bounded
from chatkit.model.registers import ROLE, Register
from chatkit.model.search import SearchMark, SearchPage
from chatkit.model.views import Unread
from chatkit.ports.context import Clock, RandomSource
from chatkit.ports.log import Appended, Entries, Found, LogFeature, LogState, Messages
from chatkit.ports.outgoing import Outgoing


class LogCore:
    """A log in memory; see `chatkit.logs.memory.MemoryLog` for its arguments."""

    capabilities: ClassVar[frozenset[LogFeature]] = frozenset(get_args(LogFeature))

    def __init__(self, clock: Clock, random: RandomSource, *, keep: int) -> None:
        if keep < 1:
            raise ConfigError("log: keep is at least 1 entry")
        self.log_id: Final = f"{random.getrandbits(128):032x}"
        self.lock: Final = RLock()
        self.clock: Final = clock
        self.listeners: Final = Listeners()
        self._secret = random.getrandbits(256).to_bytes(32, "big")
        self._keep = keep
        self._channels: dict[str, ChannelLog] = {}
        self._registers = Registers()

    # ------------------------------------------------------------------ writing

    def append(self, channel: str, entries: Sequence[Outgoing]) -> tuple[Appended, tuple[Entry, ...]]:
        """Number and keep entries (D9); the second is what was new, in order."""
        with self.lock:
            kept = self._seen(channel)
            now = self.clock.wall()
            answers = [kept.append(entry, now) for entry in entries]
            acks = tuple(ack for ack, _ in answers)
            new = tuple(entry for _, entry in answers if entry is not None)
            if entries:
                self._channels[channel] = kept
            if new:
                self.listeners.tell(channel)
            return Appended(self._state(kept.record, now), acks), new

    def note(self, channel: str, ident: Ident, data: bytes) -> Entry:
        """Number and keep an envelope without fence, rights or fold, as raw history does."""
        with self.lock:
            kept = self._channels[channel] = self._seen(channel)
            return kept.note(ident, data, self.clock.wall())

    def put(self, registers: Sequence[Register]) -> None:
        """Merge registers, all or none."""
        with self.lock:
            self._registers.put(registers)

    def trim(self, channel: str, before: Place) -> LogState:
        """Forget entries and messages before a place (D26)."""
        with self.lock:
            kept = self._seen(channel)
            now = self.clock.wall()
            kept.trim(before, now)
            return self._state(kept.record, now)

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

    def versions(self, channel: str, ident: Ident) -> Entries:
        """Return the creation and every edit, delete and restore of one message, oldest first."""
        with self.lock:
            kept = self._seen(channel)
            return Entries(self._state(kept.record, self.clock.wall()), kept.versions(ident), more=False)

    def registers(
        self, channel: str, names: Sequence[str], *, users: Sequence[str] | None = None
    ) -> Sequence[Register]:
        """Return registers by name, then user."""
        with self.lock:
            return self._registers.named(channel, names, users)

    def unclaimed(self, channel: str, user: str) -> bool:
        """Say whether nobody but a user has ever had a role in a channel or written to it."""
        with self.lock:
            record = self._seen(channel).record
            others = any(item.ident.user != user for item in record.items)
            return not (others or record.floor or self._registers.named(channel, [ROLE], None))

    def unread(self, user: str, channels: Sequence[str]) -> Mapping[str, Unread]:
        """Count what a user has not read, message by message."""
        with self.lock:
            return {
                channel: unread(self._seen(channel), user, *self._registers.marks(channel, user))
                for channel in channels
            }

    def search(
        self,
        text: str,
        *,
        channels: Sequence[str] | None = None,
        sender: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: SearchMark | None = None,
        limit: int,
    ) -> SearchPage:
        """Return messages that hold all words of a text, newest first; each is looked at."""
        question = Question(text, channels, sender, since, until, before, limit)
        with self.lock:
            return search({name: kept.projection for name, kept in self._channels.items()}, question)

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

    def _seen(self, channel: str) -> ChannelLog:
        """Return a channel to read; one that nobody wrote to is not kept."""
        found = self._channels.get(channel)
        return found or ChannelLog(
            channel,
            self.log_id,
            self._secret,
            self._keep,
            moderates=lambda user: self._registers.moderates(channel, user),
            publishes=lambda user: self._registers.publishes(channel, user),
        )

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
