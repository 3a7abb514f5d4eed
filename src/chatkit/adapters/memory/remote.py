"""`RemoteLog`: the hub's log as a client reaches it, each call a request of its own over the link."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, NoReturn, Protocol, TypeVar

from chatkit.adapters.memory.answers import refuse_all
from chatkit.adapters.memory.hub import Hub
from chatkit.adapters.memory.network import Link
from chatkit.adapters.memory.peer import Caller
from chatkit.adapters.memory.wire import request
from chatkit.errors import CapabilityError
from chatkit.model.order import Ident, OrderKey, Place
from chatkit.model.registers import Register
from chatkit.model.views import Unread
from chatkit.ports.log import Appended, Entries, Found, LogFeature, LogState, Messages
from chatkit.ports.outgoing import Outgoing

T = TypeVar("T")


class Shelf(Protocol):
    """What can be read at the hub: the log, or the history of a provider that has no log."""

    capabilities: ClassVar[frozenset[LogFeature]]
    """As `Log.capabilities`."""

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

    def get(self, channel: str, idents: Sequence[Ident | str]) -> Messages:
        """As `Log.get`."""
        ...

    def find(self, channel: str, idents: Sequence[Ident]) -> Found:
        """As `Log.find`."""
        ...


class RemoteLog:
    """A log behind a network. Any call: `TransportError` if unanswered, or what the hub refuses it with."""

    def __init__(self, hub: Hub, link: Link, caller: Caller, shelf: Shelf) -> None:
        self._hub = hub
        self._link = link
        self._caller = caller
        self._shelf = shelf

    @property
    def capabilities(self) -> frozenset[LogFeature]:
        """What this log can do."""
        return self._shelf.capabilities

    async def append(self, channel: str, entries: Sequence[Outgoing], /) -> Appended:
        """Number and keep entries, and announce them in the same transaction (D9)."""
        if "append" not in self.capabilities:
            raise CapabilityError("this history is written by publishing", channel=channel)

        def act() -> Appended:
            refusal = self._link.refusal("publish")
            if refusal is None:
                return self._hub.append(self._caller, channel, entries)
            return Appended(self._shelf.heads([channel])[channel], refuse_all(entries, refusal))

        return await request(self._link, act, call="publish")

    async def heads(self, channels: Sequence[str], /) -> Mapping[str, LogState]:
        """Return where each channel stands."""
        return await self._read(lambda: self._shelf.heads(channels))

    async def entries(self, channel: str, /, *, after: Place | None, limit: int) -> Entries:
        """Return raw entries after a place, oldest first."""
        return await self._read(lambda: self._shelf.entries(channel, after=after, limit=limit))

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
        """Return folded messages, ascending."""
        return await self._read(
            lambda: self._shelf.messages(
                channel, before=before, after=after, around=around, limit=limit, thread=thread
            )
        )

    async def get(self, channel: str, idents: Sequence[Ident | str], /) -> Messages:
        """Return the messages named."""
        return await self._read(lambda: self._shelf.get(channel, idents))

    async def find(self, channel: str, idents: Sequence[Ident], /) -> Found:
        """Say which of these envelopes are there."""
        return await self._read(lambda: self._shelf.find(channel, idents))

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
        """Refuse: not there yet."""
        del before
        _not_yet("trimming", channel)

    async def aclose(self) -> None:
        """Do nothing: the log is the hub's."""

    async def _read(self, read: Callable[[], T]) -> T:
        def act() -> T:
            self._link.check("read")
            return read()

        return await request(self._link, act, call="read")


def _not_yet(what: str, channel: str | None = None) -> NoReturn:
    raise CapabilityError(
        f"memory:// has no {what} yet", channel=channel, hint="Use what `log.capabilities` names."
    )
