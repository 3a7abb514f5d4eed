"""`MemoryLog`: a shared log in this process's memory, safe to use from any thread and event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime

from chatkit.logs.core import LogCore
from chatkit.model.order import Ident, Place
from chatkit.model.registers import Register
from chatkit.model.search import SearchMark, SearchPage
from chatkit.model.views import Unread
from chatkit.ports.context import Clock, RandomSource
from chatkit.ports.log import Appended, Entries, Found, LogFeature, LogState, Messages
from chatkit.ports.outgoing import Outgoing


class MemoryLog:
    """The reference implementation of `chatkit.ports.Log`. No call waits or goes unanswered.

    Args:
        clock: Its time; entries of a channel never go back in it.
        random: Gives the log its id.
        keep: Most entries kept of one channel; the oldest go, with their messages, and the floor rises.
    """

    def __init__(self, clock: Clock, random: RandomSource, *, keep: int = 100_000) -> None:
        self.core = LogCore(clock, random, keep=keep)
        """The same without waiting, for a hub that announces what it appends in one step."""

    @property
    def capabilities(self) -> frozenset[LogFeature]:
        """All there is."""
        return self.core.capabilities

    async def append(self, channel: str, entries: Sequence[Outgoing], /) -> Appended:
        """Number and keep entries, in one transaction and in order (D9)."""
        return self.core.append(channel, entries)[0]

    async def heads(self, channels: Sequence[str], /) -> Mapping[str, LogState]:
        """Return where each channel stands."""
        return self.core.heads(channels)

    async def entries(self, channel: str, /, *, after: Place | None, limit: int) -> Entries:
        """Return up to `limit` raw entries after a place, oldest first; `None`: from the floor."""
        return self.core.entries(channel, after=after, limit=limit)

    async def messages(
        self,
        channel: str,
        /,
        *,
        before: Place | None = None,
        after: Place | None = None,
        around: Place | None = None,
        limit: int,
        thread: Ident | None = None,
    ) -> Messages:
        """Return up to `limit` folded messages, ascending; no place: the newest."""
        return self.core.messages(
            channel, before=before, after=after, around=around, limit=limit, thread=thread
        )

    async def get(self, channel: str, idents: Sequence[Ident | str], /) -> Messages:
        """Return the messages named, folded, ascending."""
        return self.core.get(channel, idents)

    async def versions(self, channel: str, ident: Ident, /) -> Entries:
        """Return the creation and every edit, delete and restore of one message, oldest first."""
        return self.core.versions(channel, ident)

    async def find(self, channel: str, idents: Sequence[Ident], /) -> Found:
        """Say which of these envelopes the log has (D10)."""
        return self.core.find(channel, idents)

    async def put(self, registers: Sequence[Register], /) -> None:
        """Merge registers, all or none."""
        self.core.put(registers)

    async def registers(
        self, channel: str, names: Sequence[str], /, *, users: Sequence[str] | None = None
    ) -> Sequence[Register]:
        """Return registers of a channel by name, of some users or of all."""
        return self.core.registers(channel, names, users=users)

    async def unread(self, user: str, channels: Sequence[str], /) -> Mapping[str, Unread]:
        """Count what a user has not read."""
        return self.core.unread(user, channels)

    async def search(
        self,
        text: str,
        /,
        *,
        channels: Sequence[str] | None = None,
        sender: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: SearchMark | None = None,
        limit: int,
    ) -> SearchPage:
        """Return messages that hold all words of a text, newest first."""
        return self.core.search(
            text, channels=channels, sender=sender, since=since, until=until, before=before, limit=limit
        )

    async def trim(self, channel: str, before: Place, /) -> LogState:
        """Forget entries and messages before a place, and ids that went more than 400 days ago."""
        return self.core.trim(channel, before)

    def changes(self) -> AsyncIterator[str]:
        """Yield the name of each channel that anybody in this process appended to."""
        return self.core.listeners.changes()

    async def aclose(self) -> None:
        """Do nothing: what is held goes with the log."""
