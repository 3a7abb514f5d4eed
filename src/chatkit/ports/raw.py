"""`RawLog`: what a log declines that is no more than a provider's raw history (D24)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, NoReturn

from chatkit.errors import CapabilityError
from chatkit.model.order import Ident, Place
from chatkit.model.registers import Register
from chatkit.model.search import SearchMark, SearchPage
from chatkit.model.values import EMPTY
from chatkit.model.views import Unread
from chatkit.ports.log import Appended, Entries, LogFeature, LogState, Messages
from chatkit.ports.outgoing import Outgoing


class Shortfall(NamedTuple):
    """A channel of which less is kept than the configuration says."""

    said: float
    """Seconds that messages are kept, as configured."""
    found: float
    """Seconds that are believed in instead."""


class RawLog:
    """All of `Log` but `heads`, `entries`, `messages` and `find`, each of which raises `CapabilityError`."""

    @property
    def shortfalls(self) -> Mapping[str, Shortfall]:
        """The channels in which a read has shown that less is kept than is said, for this log's life."""
        return EMPTY

    @property
    def capabilities(self) -> frozenset[LogFeature]:
        """None."""
        return frozenset()

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
        """Do nothing: the history is the provider's."""


def _lacks(what: str, channel: str | None = None) -> NoReturn:
    raise CapabilityError(
        f"raw history {what}", channel=channel, hint="Use what `log.capabilities` names, or give a log."
    )
