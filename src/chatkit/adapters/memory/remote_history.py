"""`RemoteHistory`: past envelopes as a client reads them from a provider without a log of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from chatkit.adapters.memory.network import Link
from chatkit.adapters.memory.peer import Caller
from chatkit.adapters.memory.permits import check_hear
from chatkit.adapters.memory.wire import request
from chatkit.model.order import Ident, Place
from chatkit.ports.log import Entries, Found, LogState, Messages
from chatkit.ports.raw import RawLog

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


class RemoteHistory(RawLog):
    """Raw history behind a network: four calls, each a request; the others raise `CapabilityError`."""

    def __init__(self, link: Link, caller: Caller, shelf: Shelf) -> None:
        self._link = link
        self._caller = caller
        self._shelf = shelf

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

    async def _read(self, read: Callable[[], T], *channels: str) -> T:
        def act() -> T:
            self._link.check("read")
            check_hear(self._caller, *channels)
            return read()

        return await request(self._link, act, call="read")
