"""The store: what this device keeps over restarts. Each call is one transaction (D6, D14, D27)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from chatkit.model.entry import Folded
from chatkit.model.message import Status
from chatkit.model.order import Ident, OrderKey
from chatkit.model.registers import Register
from chatkit.model.search import SearchMark, SearchPage
from chatkit.model.values import hide
from chatkit.ports.outgoing import Batch


class StoreHeader(NamedTuple):
    """What a store says of itself when it is opened."""

    user: str
    realm: str
    """Scheme and project the store is bound to (D27)."""
    device: str
    secret: bytes
    """Key of this store, or store directory, for ids made from a caller's key (D14)."""
    owner_epoch: int
    """Counts the owners; every write checks that it is still ours."""
    schema: int
    clean: bool
    """The last owner closed it; otherwise every unfinished entry counts as attempted (D6)."""
    hlc: str | None
    """Last reading of the hybrid clock (D4)."""

    def __repr__(self) -> str:
        return hide(self, "secret")


class Row(NamedTuple):
    """One entry of the outbox, a wish and its fate."""

    entry_id: str
    ident: Ident
    device: str
    channel: str
    kind: str
    """create, update, delete, restore, reaction; direct, of an invitation."""
    status: Status
    certain: bool
    """Whether a final status is known rather than assumed."""
    data: bytes
    """The envelope: a draft until the first attempt, then frozen (D7)."""
    depends_on: str | None
    """`entry_id` of the entry it refers to, while that one was unfinished when this was queued (D7)."""
    key: str | None
    """The caller's idempotency key (D14)."""
    queued_at: datetime
    due_at: datetime | None
    """Not to be sent before."""
    expires_at: datetime | None
    """Its deadline, an instant of server time (D13)."""
    seq: int | None
    attempts: int
    first_attempt: datetime | None
    batch_id: str | None
    """The batch it was last attempted in; members of one batch are in doubt together (D10)."""
    stamp: OrderKey | None
    """Where it was accepted."""
    announced: bool
    """Of a `sent` row: nobody needs to be told of it any more; else it stays, to be announced (D16)."""
    reason: str | None
    """Why it ended; no body, no secret."""

    def __repr__(self) -> str:
        return hide(self, "data")


class LaneKey(NamedTuple):
    """A lane: one user's wishes on one device for one channel (D8)."""

    channel: str
    user: str
    device: str


class LaneMark(NamedTuple):
    """How far a lane has come (D5)."""

    seq: int
    """The last number taken."""
    acked: int
    """The last number acknowledged or in doubt: the `pred` of the next."""


class Mark(NamedTuple):
    """Up to where a channel is applied: `complete`, less its recorded holes (D17, D19)."""

    key: OrderKey
    log_id: str | None
    holes: tuple[tuple[OrderKey, OrderKey], ...] = ()
    """Each open range (after, before): entries strictly between may be missing."""


class Store(Protocol):
    """The local store. Every call returns after its commit; on `StoreError` nothing of the call is kept.

    One owner at a time. Safe to call from one event loop; calls are applied in the order they were made.
    """

    @property
    def durable(self) -> bool:
        """Whether what is kept outlives the process."""
        ...

    async def open(self, user: str, realm: str, /, *, rebind: bool) -> StoreHeader:
        """Take ownership. `StoreLocked`: somebody has it. `StateError`: other user or realm.

        `rebind` takes another realm: never-attempted entries move, attempted ones end uncertainly failed.
        """
        ...

    async def add(self, rows: Sequence[Row], /) -> Sequence[Row]:
        """Queue entries; for an equal (user, channel, key) the stored row comes back in its place (D14)."""
        ...

    async def attempt(self, batch: Batch, rows: Sequence[Row], /, *, hlc: str) -> None:
        """Record an attempt before bytes are written: rows as they are, members in order, clock (D6)."""
        ...

    async def settle(self, rows: Sequence[Row], /) -> None:
        """Record what rows became.

        `sent` ones that are announced and have no key are forgotten, other ended ones are kept.
        """
        ...

    async def renew_device(self, old: str, new: str, /) -> None:
        """Give never-attempted and new rows another device: a copy of this store lives elsewhere (D27)."""
        ...

    async def rows(
        self,
        *,
        status: Status | None = None,
        channel: str | None = None,
        ident: Ident | None = None,
        entry_id: str | None = None,
        announced: bool | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Sequence[Row]:
        """Return rows in queue order, after an `entry_id`; each filter that is given holds."""
        ...

    async def lanes(self) -> Mapping[LaneKey, LaneMark]:
        """Return how far each lane has come."""
        ...

    async def batches(self) -> Mapping[str, tuple[Ident, ...]]:
        """Return the members, in order, of each batch that has an unfinished row (D10)."""
        ...

    async def adopt(self) -> Sequence[Row]:
        """Take over files of owners that died; none outside a directory.

        Returns their rows that are unfinished, or `sent` and not announced.
        """
        ...

    async def prune(self, before: datetime, /) -> int:
        """Forget ended rows and ids older than `before` (D14, D20); returns how many."""
        ...

    async def marks(self) -> Mapping[str, Mark]:
        """Return the mark of each channel."""
        ...

    async def applied(
        self, channel: str, mark: Mark | None, folded: Sequence[Folded], ids: Sequence[Ident], /, *, keep: int
    ) -> None:
        """Record a mark, cached messages (the `keep` newest stay) and seen ids, together (D20)."""
        ...

    async def cached(self, channel: str, /, *, before: OrderKey | None, limit: int) -> Sequence[Folded]:
        """Return cached messages, ascending: the newest `limit` before a place."""
        ...

    async def seen(self, channel: str, ids: Sequence[Ident], /) -> frozenset[Ident]:
        """Say which ids were recorded before (D20)."""
        ...

    async def search(
        self,
        text: str,
        /,
        *,
        channel: str | None = None,
        sender: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: SearchMark | None = None,
        limit: int,
    ) -> SearchPage:
        """Return cached messages that hold all words of a text, newest first; see `Log.search`.

        `CapabilityError`: this store keeps no index.
        """
        ...

    async def put(self, registers: Sequence[Register], /) -> None:
        """Merge registers, the newest only; outside the lanes (D25)."""
        ...

    async def registers(self, channel: str | None = None, /) -> Sequence[Register]:
        """Return registers, of one channel or of all."""
        ...

    async def aclose(self) -> None:
        """Give up ownership after everything called before is committed; idempotent."""
        ...
