"""`RemoteHistory`: past envelopes as a client reads them from a provider without a log of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import NoReturn, Protocol, TypeVar

from chatkit.adapters.memory.network import Link
from chatkit.adapters.memory.peer import Caller
from chatkit.adapters.memory.permits import check_hear
from chatkit.adapters.memory.wire import request
from chatkit.errors import CapabilityError
from chatkit.model.order import Ident, Place
from chatkit.model.registers import Register
from chatkit.model.search import SearchMark, SearchPage
from chatkit.model.views import Unread
from chatkit.ports.log import Appended, Entries, Found, LogFeature, LogState, Messages
from chatkit.ports.outgoing import Outgoing

T = TypeVar("T")


class Shelf(Protocol):
    """What can be read there."""

    def heads(self, channels: Sequence[str]) -> Mapping[str, LogState]:
        """As `Log.heads`."""
        ...

    def entries(self, channel: str, *, after: Place | None, limit: int) -> Entries:
        """As `Log.entries`."""
        ...

    def messages(
        self,
        channel: str,
        *,
        before: Place | None,
        after: Place | None,
        around: Place | None,
        limit: int,
        thread: Ident | None,
    ) -> Messages:
        """As `Log.messages`."""
        ...

    def find(self, channel: str, idents: Sequence[Ident]) -> Found:
        """As `Log.find`."""
        ...


class RemoteHistory:
    """Raw history behind a network: four calls, each a request; the others raise `CapabilityError`."""

    def __init__(self, link: Link, caller: Caller, shelf: Shelf) -> None:
        self._link = link
        self._caller = caller
        self._shelf = shelf

    @property
    def capabilities(self) -> frozenset[LogFeature]:
        """None."""
        return frozenset()

    async def heads(self, channels: Sequence[str], /) -> Mapping[str, LogState]:
        """Return where each channel stands."""
        return await self._read(lambda: self._shelf.heads(channels))

    async def entries(self, channel: str, /, *, after: Place | None, limit: int) -> Entries:
        """Return raw entries after a place, oldest first."""
        return await self._read(lambda: self._shelf.entries(channel, after=after, limit=limit), channel)

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
        """Return messages as far as they can be folded, ascending; of a thread: `CapabilityError`."""
        return await self._read(
            lambda: self._shelf.messages(
                channel, before=before, after=after, around=around, limit=limit, thread=thread
            ),
            channel,
        )

    async def find(self, channel: str, idents: Sequence[Ident], /) -> Found:
        """Say which of these envelopes are there."""
        return await self._read(lambda: self._shelf.find(channel, idents))

    async def append(self, channel: str, entries: Sequence[Outgoing], /) -> Appended:
        """Refuse."""
        del entries
        _lacks("is written by publishing", channel)

    async def get(self, channel: str, idents: Sequence[Ident | str], /) -> Messages:
        """Refuse."""
        del idents
        _lacks("cannot be read by message", channel)

    async def versions(self, channel: str, ident: Ident, /) -> Entries:
        """Refuse."""
        del ident
        _lacks("cannot be read by message", channel)

    async def put(self, registers: Sequence[Register], /) -> None:
        """Refuse."""
        del registers
        _lacks("keeps no registers")

    async def registers(
        self, channel: str, names: Sequence[str], /, *, users: Sequence[str] | None = None
    ) -> Sequence[Register]:
        """Refuse."""
        del names, users
        _lacks("keeps no registers", channel)

    async def unread(self, user: str, channels: Sequence[str], /) -> Mapping[str, Unread]:
        """Refuse."""
        del user, channels
        _lacks("keeps no registers to count from")

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
        """Refuse."""
        del text, channels, sender, since, until, before, limit
        _lacks("cannot be searched")

    async def trim(self, channel: str, before: Place, /) -> LogState:
        """Refuse."""
        del before
        _lacks("cannot be trimmed", channel)

    def changes(self) -> AsyncIterator[str]:
        """Refuse."""
        _lacks("tells of no appends")

    async def aclose(self) -> None:
        """Do nothing: the history is the hub's."""

    async def _read(self, read: Callable[[], T], *channels: str) -> T:
        def act() -> T:
            self._link.check("read")
            check_hear(self._caller, *channels)
            return read()

        return await request(self._link, act, call="read")


def _lacks(what: str, channel: str | None = None) -> NoReturn:
    raise CapabilityError(
        f"raw history {what}", channel=channel, hint="Use what `log.capabilities` names, or give a log."
    )
