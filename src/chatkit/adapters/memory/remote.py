"""`RemoteLog`: the hub's log as a client reaches it, each call a request of its own over the link."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from chatkit.adapters.memory.answers import refuse_all
from chatkit.adapters.memory.hub import Hub
from chatkit.adapters.memory.network import Call, Link
from chatkit.adapters.memory.peer import Caller
from chatkit.adapters.memory.permits import audible, check_hear, check_put, check_trim, check_unread, visible
from chatkit.adapters.memory.watching import watch
from chatkit.adapters.memory.wire import request
from chatkit.model.order import Ident, Place
from chatkit.model.registers import Register
from chatkit.model.search import SearchMark, SearchPage
from chatkit.model.views import Unread
from chatkit.ports.log import Appended, Entries, Found, LogFeature, LogState, Messages
from chatkit.ports.outgoing import Outgoing

T = TypeVar("T")


class RemoteLog:
    """A log behind a network. Any call: `TransportError` if unanswered, or what the hub refuses it with.

    A caller that is not trusted has its own registers, counts and direct channels, gives roles as an owner
    alone and trims nothing: `NotAllowed`.
    """

    def __init__(self, hub: Hub, link: Link, caller: Caller) -> None:
        self._hub = hub
        self._link = link
        self._caller = caller
        self._core = hub.log.core

    @property
    def capabilities(self) -> frozenset[LogFeature]:
        """All there is."""
        return self._core.capabilities

    async def append(self, channel: str, entries: Sequence[Outgoing], /) -> Appended:
        """Number and keep entries, and announce them in the same transaction (D9)."""

        def act() -> Appended:
            refusal = self._link.refusal("publish")
            if refusal is None:
                return self._hub.append(self._caller, channel, entries)
            return Appended(self._core.heads([channel])[channel], refuse_all(entries, refusal))

        return await request(self._link, act, call="publish")

    async def heads(self, channels: Sequence[str], /) -> Mapping[str, LogState]:
        """Return where each channel stands."""
        return await self._ask("read", lambda: self._core.heads(channels))

    async def entries(self, channel: str, /, *, after: Place | None, limit: int) -> Entries:
        """Return raw entries after a place, oldest first."""
        return await self._hear(channel, lambda: self._core.entries(channel, after=after, limit=limit))

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
        return await self._hear(
            channel,
            lambda: self._core.messages(
                channel, before=before, after=after, around=around, limit=limit, thread=thread
            ),
        )

    async def get(self, channel: str, idents: Sequence[Ident | str], /) -> Messages:
        """Return the messages named."""
        return await self._hear(channel, lambda: self._core.get(channel, idents))

    async def versions(self, channel: str, ident: Ident, /) -> Entries:
        """Return the creation and every edit, delete and restore of one message."""
        return await self._hear(channel, lambda: self._core.versions(channel, ident))

    async def find(self, channel: str, idents: Sequence[Ident], /) -> Found:
        """Say which of these envelopes are there."""
        return await self._ask("read", lambda: self._core.find(channel, idents))

    async def put(self, registers: Sequence[Register], /) -> None:
        """Merge registers."""

        def act() -> None:
            with self._core.lock:  # roles stand between the look and the deed
                check_put(self._caller, self._core, registers)
                self._core.put(registers)

        await self._ask("write", act)

    async def registers(
        self, channel: str, names: Sequence[str], /, *, users: Sequence[str] | None = None
    ) -> Sequence[Register]:
        """Return registers of a channel by name, without marks that are private to others."""
        return await self._hear(
            channel, lambda: visible(self._caller, self._core.registers(channel, names, users=users))
        )

    async def unread(self, user: str, channels: Sequence[str], /) -> Mapping[str, Unread]:
        """Count what a user has not read."""

        def act() -> Mapping[str, Unread]:
            check_unread(self._caller, user)
            check_hear(self._caller, *channels)
            return self._core.unread(user, channels)

        return await self._ask("read", act)

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

        def act() -> SearchPage:
            check_hear(self._caller, *(channels or ()))
            found = self._core.search(
                text, channels=channels, sender=sender, since=since, until=until, before=before, limit=limit
            )
            return audible(self._caller, found)

        return await self._ask("read", act)

    async def trim(self, channel: str, before: Place, /) -> LogState:
        """Forget entries and messages before a place."""

        def act() -> LogState:
            check_trim(self._caller, channel)
            return self._core.trim(channel, before)

        return await self._ask("write", act)

    def changes(self) -> AsyncIterator[str]:
        """Yield the name of each channel that was appended to, one's own appends too."""
        return watch(self._link, self._core.listeners)

    async def aclose(self) -> None:
        """Do nothing: the log is the hub's."""

    async def _hear(self, channel: str, read: Callable[[], T]) -> T:
        def act() -> T:
            check_hear(self._caller, channel)
            return read()

        return await self._ask("read", act)

    async def _ask(self, call: Call, act: Callable[[], T]) -> T:
        def checked() -> T:
            self._link.check(call)
            return act()

        return await request(self._link, checked, call=call)
