"""`MemoryLog`: a shared log in this process's memory, safe to use from any thread and event loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from chatkit.errors import CapabilityError
from chatkit.logs.core import LogCore, Moderator
from chatkit.model.order import Ident, OrderKey, Place
from chatkit.model.registers import Register
from chatkit.model.views import Unread
from chatkit.ports.context import Clock, RandomSource
from chatkit.ports.log import Appended, Entries, Found, LogFeature, LogState, Messages
from chatkit.ports.outgoing import Outgoing


class MemoryLog:
    """The reference implementation of `chatkit.ports.Log`; registers, search and trimming are to come.

    Args:
        clock: Its time; entries of a channel never go back in it.
        random: Gives the log its id.
        moderator: Says whether a user moderates a channel; `None`: nobody moderates any.
        keep: Most entries kept of one channel; the oldest go, with their messages, and the floor rises.
    """

    def __init__(
        self, clock: Clock, random: RandomSource, *, moderator: Moderator | None = None, keep: int = 100_000
    ) -> None:
        self.core = LogCore(clock, random, moderator=moderator, keep=keep)
        """The same without waiting, for a hub that announces what it appends in one step."""

    @property
    def capabilities(self) -> frozenset[LogFeature]:
        """What this log can do."""
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

    async def find(self, channel: str, idents: Sequence[Ident], /) -> Found:
        """Say which of these envelopes the log has (D10)."""
        return self.core.find(channel, idents)

    async def versions(self, channel: str, ident: Ident, /) -> Entries:
        """Refuse: not there yet."""
        del ident
        _not_yet("the versions of a message", channel)

    async def put(self, registers: Sequence[Register], /) -> None:
        """Refuse: not there yet."""
        del registers
        _not_yet("registers")

    async def registers(
        self, channel: str, names: Sequence[str], /, *, users: Sequence[str] | None = None
    ) -> Sequence[Register]:
        """Refuse: not there yet."""
        del names, users
        _not_yet("registers", channel)

    async def unread(self, user: str, channels: Sequence[str], /) -> Mapping[str, Unread]:
        """Refuse: not there yet."""
        del user, channels
        _not_yet("unread counts")

    async def search(
        self,
        text: str,
        /,
        *,
        channels: Sequence[str] | None,
        sender: str | None,
        before: OrderKey | None,
        limit: int,
    ) -> Messages:
        """Refuse: not there yet."""
        del text, channels, sender, before, limit
        _not_yet("search")

    async def trim(self, channel: str, before: Place, /) -> LogState:
        """Refuse: not there yet; `keep` bounds a channel."""
        del before
        _not_yet("trimming", channel)

    async def aclose(self) -> None:
        """Do nothing: what is held goes with the log."""


def _not_yet(what: str, channel: str | None = None) -> NoReturn:
    raise CapabilityError(
        f"the memory log has no {what} yet", channel=channel, hint="Use what `log.capabilities` names."
    )
