"""The log: the shared memory of channels. It numbers, fences, checks rights and folds (D9, D18, D24)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple, Protocol, TypeAlias

from chatkit.model.entry import Entry, Folded
from chatkit.model.order import Ident, OrderKey, Place
from chatkit.model.registers import Register
from chatkit.model.search import SearchMark, SearchPage
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


class Log(Protocol):
    """A shared log. What `capabilities` lacks raises `CapabilityError`, no answer `TransportError`.

    Calls are safe to repeat: an append answers `duplicate` for what it already has. `append`, `heads`,
    `entries`, `messages` and `find` every log has (but raw history no `append`); of the features, `fence` is
    what D9 asks of an append, `fold` `get`, `versions` and threads, `registers` `put`, `registers`, `unread`
    and roles, `search` `search`, `erase` `trim` and the erasing of deleted text, `notify` `changes`.

    A log trusts its caller to be whom the idents name: what attests them stands before it.
    """

    @property
    def capabilities(self) -> frozenset[LogFeature]:
        """What this log can do; raw provider history lacks most."""
        ...

    async def append(self, channel: str, entries: Sequence[Outgoing], /) -> Appended:
        """Number and keep entries, in one transaction and in order (D9). A bad row fails alone.

        Acks of what the log has, duplicates too, carry place, time and `prev` (`None` for a duplicate whose
        entry was trimmed). Rights: an edit is its author's, a delete or restore also a moderator's: whoever
        has a `ROLE` register in the channel that says so (D2).

        Raises:
            AuthenticationError, NotAllowed, RateLimited, Rejected, ConfigError: The call was refused: nothing
                was taken.
            TransportError: The outcome is unknown.
        """
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
        """Return the creation and every edit, delete and restore of one message, oldest first.

        Of what was erased the envelopes stay, without their bodies (D26). No error if there is none.
        """
        ...

    async def find(self, channel: str, idents: Sequence[Ident], /) -> Found:
        """Say which of these envelopes (of any kind) the log has (D10)."""
        ...

    async def put(self, registers: Sequence[Register], /) -> None:
        """Merge registers as `chatkit.model.registers.merged` says, in one transaction; safe to repeat.

        Raises:
            InvalidMessage: One is none, as `chatkit.model.registers.check` says; none of the call is kept.
        """
        ...

    async def registers(
        self, channel: str, names: Sequence[str], /, *, users: Sequence[str] | None = None
    ) -> Sequence[Register]:
        """Return registers of a channel by name, of some users or of all; by name, then user, as bytes."""
        ...

    async def unread(self, user: str, channels: Sequence[str], /) -> Mapping[str, Unread]:
        """Count what a user has not read, from their `READ` and `UNREAD` registers alone.

        Counted are messages of others that are not deleted and stand in the channel itself (no thread, or
        also shown in the channel): those above the `READ` mark, and those from the `UNREAD` place on.
        `mentions`: those of them that mention the user or everyone. `first`: the id of the oldest. Without a
        mark: all that is kept. `exact=False`: the floor lies above the mark.
        """
        ...

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
        """Return messages that hold all words of a text, newest first.

        `chatkit.model.search` says what is searched of a body and what a word is; a text without a word finds
        nothing. Searched is what shows: of an edited message the edit, of a deleted one nothing.

        Args:
            text: The words.
            channels: Only these; `None`: all of the log.
            sender: Only this user's.
            since: Only what the log took in at or after this.
            until: Only what it took in before this.
            before: Where an earlier page ended.
            limit: 1 to 1,000.
        """
        ...

    async def trim(self, channel: str, before: Place, /) -> LogState:
        """Forget entries and messages that lie before a place, for good; the floor rises, never falls (D26).

        Ids and lanes are remembered for longer (D20). What was a thread's root may be gone: its replies stay.
        """
        ...

    def changes(self) -> AsyncIterator[str]:
        """Yield the name of each channel that another process appended to; `""`: any may have changed.

        A hint: may repeat, name one's own appends, and miss some; it prompts a look at `heads`. The first
        item, `""`, says that listening has begun. Ends by raising `TransportError` where the connection is
        lost; call again.
        """
        ...

    async def aclose(self) -> None:
        """Release what is held; idempotent."""
        ...
