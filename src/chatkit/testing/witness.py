"""Providers and logs that tell a history what they accepted."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from chatkit.adapters.memory.hub import Hub
from chatkit.errors import Rejected
from chatkit.logs.core import LogCore
from chatkit.logs.memory import MemoryLog
from chatkit.model.order import Ident, OrderKey, clock_key
from chatkit.ports import Ack
from chatkit.testing.history import Accepted, Forgotten, History

if TYPE_CHECKING:
    from chatkit.adapters.memory.peer import Caller
    from chatkit.logs.channel import ChannelLog
    from chatkit.model.entry import Entry
    from chatkit.model.order import Place
    from chatkit.ports import Appended, Clock, Entries, LogState, Messages, Outgoing, RandomSource

Backup: TypeAlias = dict[str, int]
"""By channel: how many entries it holds."""


class WitnessCore(LogCore):
    """A log whose accepted entries are noted, and that can be put back to an older state.

    Args:
        clock: Its time.
        random: Gives it its id.
        history: Told what it takes, with the places that readers see; `None`: somebody else tells.
    """

    def __init__(self, clock: Clock, random: RandomSource, history: History | None) -> None:
        super().__init__(clock, random, keep=100_000)
        self._chance = random
        self._history = history
        self._taken: dict[str, list[tuple[Outgoing, datetime]]] = {}
        self._behind: dict[str, ChannelLog] | None = None
        """What plain reads are answered from while a replica lags; `None`: from what there is."""

    def append(self, channel: str, entries: Sequence[Outgoing]) -> tuple[Appended, tuple[Entry, ...]]:
        """Append, and note what was new."""
        answer, new = super().append(channel, entries)
        added = iter(new)
        for entry, ack in zip(entries, answer.acks, strict=True):
            if ack.outcome == "new":
                kept = next(added)
                self._taken.setdefault(channel, []).append((entry, kept.stamp.at))
                if self._history is not None:
                    taken = Accepted(self.clock.monotonic(), channel, ack.ident, kept.stamp.key, kept.data)
                    self._history.note(taken)
        return answer, new

    def heads(self, channels: Sequence[str]) -> Mapping[str, LogState]:
        """Return where each channel stands, as the replica has it."""
        with self._replica():
            return super().heads(channels)

    def entries(self, channel: str, *, after: Place | None, limit: int) -> Entries:
        """Return raw entries, as the replica has them."""
        with self._replica():
            return super().entries(channel, after=after, limit=limit)

    def messages(self, channel: str, **page: Any) -> Messages:
        """Return a page, as the replica has it."""
        with self._replica():
            return super().messages(channel, **page)

    @contextmanager
    def _replica(self) -> Generator[None]:
        with self.lock:
            if self._behind is None:
                yield
                return
            primary, self._channels = self._channels, self._behind
            try:
                yield
            finally:
                self._channels = primary

    def backup(self) -> Backup:
        """Return how far each channel has come."""
        with self.lock:
            return {name: len(taken) for name, taken in self._taken.items()}

    def restore(self, backup: Backup) -> None:
        """Put an older state in place of this one, under a new id, as an administrator does (D18)."""
        with self.lock:
            self.log_id = f"{self._chance.getrandbits(128):032x}"  # type: ignore[misc]  # final but for this
            self._channels = self._as_of(backup)
            self._taken = {name: self._taken[name][:count] for name, count in backup.items()}
            if self._history is not None:
                self._history.note(Forgotten(self.clock.monotonic(), tuple(sorted(backup.items()))))

    @property
    def lagging(self) -> bool:
        """Whether plain reads are answered from an older state."""
        return self._behind is not None

    def marks(self, channel: str, user: str) -> tuple[OrderKey | None, OrderKey | None]:
        """Return up to where a user has read, and from where on that was marked unread."""
        with self.lock:
            return self._registers.marks(channel, user)

    def lag(self) -> None:
        """Answer plain reads from what there is now, until `caught_up`."""
        with self.lock:
            self._behind = self._as_of(self.backup())

    def catch_up(self) -> None:
        """Answer plain reads from what there is again."""
        self._behind = None

    def _as_of(self, backup: Backup) -> dict[str, ChannelLog]:
        """Return channels with their first entries alone: made anew, by taking the same in again."""
        now, self._channels = self._channels, {}
        try:
            for name, count in backup.items():
                channel = self._channels[name] = self._seen(name)
                for entry, at in self._taken[name][:count]:
                    _ = channel.append(entry, at)
            return self._channels
        finally:
            self._channels = now


def witness_log(clock: Clock, random: RandomSource, history: History | None) -> MemoryLog:
    """Return a log in memory that tells what it accepts."""
    log = MemoryLog(clock, random)
    log.core = WitnessCore(clock, random, history)
    return log


class WitnessHub(Hub):
    """A provider that tells what it accepted, with the places that its clients see.

    Args:
        name: What it is called.
        clock: Its own time.
        random: The source of chance of its network and log.
        history: Told.
    """

    def __init__(self, name: str, *, clock: Clock, random: RandomSource, history: History) -> None:
        super().__init__(name, log=witness_log(clock, random, history), clock=clock, random=random)
        self._history = history
        self.refuse_one = False
        """Refuse the second entry of the next batch that has one, and take the others (D9)."""
        self._refused: set[Outgoing] = set()

    def append(self, caller: Caller, channel: str, entries: Sequence[Outgoing]) -> Appended:
        """Append; one entry of a batch may be refused."""
        if self.refuse_one and len(entries) > 1 and not self.log.core.find(channel, [entries[1].ident]).items:
            self.refuse_one = False
            self._refused.add(entries[1])
        bad = {
            number: Ack(entry.ident, "refused", error=_disliked(channel, entry))
            for number, entry in enumerate(entries)
            if entry in self._refused  # for good: each attempt at it has the same answer (D9)
        }
        answer = super().append(caller, channel, [one for n, one in enumerate(entries) if n not in bad])
        acks = list(answer.acks)
        for number, ack in sorted(bad.items()):
            acks.insert(number, ack)
        return answer._replace(acks=tuple(acks))

    def _accept(self, caller: Caller, channel: str, entry: Outgoing) -> Ack:
        ack = super()._accept(caller, channel, entry)
        key = ack.key
        if key is None:  # it keeps nothing that clients could read; the witness does
            self.log.core.note(channel, entry.ident, entry.data)
            key = _clock_key(entry)
        self._history.note(Accepted(self.clock.monotonic(), channel, entry.ident, key, entry.data))
        return ack


def _disliked(channel: str, entry: Outgoing) -> Rejected:
    return Rejected("the provider did not like it", channel=channel, message_id=entry.ident.id)


def _clock_key(entry: Outgoing) -> OrderKey:
    said = json.loads(entry.data)
    ident: Ident = entry.ident
    return clock_key(said["hlc"], ident.user, said["sender"]["device"], ident.id)
