"""The log: the shared memory of channels. It numbers, fences, checks rights and folds (D9, D18, D24)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple, Protocol, TypeAlias

from chatkit.model.entry import Entry, Folded
from chatkit.model.order import Ident, OrderKey, Place
from chatkit.model.views import Unread
from chatkit.ports.outgoing import Ack, Outgoing

LogFeature: TypeAlias = Literal["append", "fence", "fold", "registers", "search", "erase", "notify"]


class LogState(NamedTuple):
    """Where a log stands in one channel; every answer carries it (D18)."""

    log_id: str
    epoch: int
    head: str | None
    """Serial of the newest entry; `None` while there is none."""
    floor: str | None
    """Serial of the newest entry that was trimmed away; `None` while all are kept."""
    now: datetime
    """The log's clock, UTC."""


class Appended(NamedTuple):
    """The answer to an append: one `Ack` an entry, in order."""

    state: LogState
    acks: tuple[Ack, ...]


class Entries(NamedTuple):
    """Raw entries, oldest first. `more`: further ones follow."""

    state: LogState
    items: tuple[Entry, ...]
    more: bool


class Messages(NamedTuple):
    """A page of messages, ascending."""

    state: LogState
    items: tuple[Folded, ...]
    as_of: OrderKey | None
    """Every change up to here is folded in; `None`: cannot be said."""
    before: OrderKey | None
    """Older messages lie strictly before this; `None`: there are none."""
    after: OrderKey | None
    """Newer messages lie strictly after this; `None`: there are none."""
    provisional: bool
    """Later changes may be missing (raw history)."""


class Found(NamedTuple):
    """Where idents were found. `reaches`: what is absent and newer than this is certainly absent (D10)."""

    state: LogState
    items: Mapping[Ident, OrderKey]
    reaches: datetime | None


class Register(NamedTuple):
    """A last-value cell keyed (channel, user, name): marks, mutes, roles (D25)."""

    channel: str
    user: str
    name: str
    value: str
    merge: Literal["greatest", "newest"]
    key: OrderKey | None


class Log(Protocol):
    """A shared log. What `capabilities` lacks raises `CapabilityError`, no answer `TransportError`.

    Calls are safe to repeat: an append answers `duplicate` for what it already has.
    """

    @property
    def capabilities(self) -> frozenset[LogFeature]:
        """What this log can do; raw provider history lacks most."""
        ...

    async def append(self, channel: str, entries: Sequence[Outgoing], /) -> Appended:
        """Number and keep entries, in one transaction and in order (D9). A bad row fails alone."""
        ...

    async def heads(self, channels: Sequence[str], /) -> Mapping[str, LogState]:
        """Return where each channel stands; one call for all (D16)."""
        ...

    async def entries(self, channel: str, /, *, after: Place | None, limit: int) -> Entries:
        """Return up to `limit` (1 to 1,000) raw entries after a place (`None`: the floor), oldest first."""
        ...

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
        """Return up to `limit` (1 to 1,000) folded messages, ascending; no place: the newest."""
        ...

    async def get(self, channel: str, idents: Sequence[Ident | str], /) -> Messages:
        """Return the messages named, folded; a bare id may match several users' (D1); no error if none."""
        ...

    async def versions(self, channel: str, ident: Ident, /) -> Entries:
        """Return the creation and every change of one message, oldest first."""
        ...

    async def find(self, channel: str, idents: Sequence[Ident], /) -> Found:
        """Say which of these envelopes (of any kind) the log has (D10)."""
        ...

    async def put(self, registers: Sequence[Register], /) -> None:
        """Merge registers; a value never goes back."""
        ...

    async def registers(
        self, channel: str, names: Sequence[str], /, *, users: Sequence[str] | None = None
    ) -> Sequence[Register]:
        """Return registers of a channel by name, of some users or of all."""
        ...

    async def unread(self, user: str, channels: Sequence[str], /) -> Mapping[str, Unread]:
        """Count what a user has not read."""
        ...

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
        """Return messages that hold the words, newest first."""
        ...

    async def trim(self, channel: str, before: Place, /) -> LogState:
        """Forget what lies before a place; the floor rises (D26)."""
        ...

    async def aclose(self) -> None:
        """Release what is held; idempotent."""
        ...
