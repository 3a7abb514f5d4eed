"""What is handed over for sending and what is known of it afterwards."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from chatkit.errors import ChatkitError
from chatkit.model.order import Ident, OrderKey
from chatkit.model.values import hide

Again: TypeAlias = Literal["never", "now", "later", "reauthenticate"]
"""What a close or a refusal asks for."""
Outcome: TypeAlias = Literal["new", "duplicate", "conflict", "superseded", "too_late", "refused", "unsent"]
"""What became of one entry (D9). `conflict` is a duplicate whose body differs: the first one stands."""
Scope: TypeAlias = Literal["entry", "lane", "connection"]
"""How far a refusal reaches (D12)."""


class Outgoing(NamedTuple):
    """One entry on its way out."""

    ident: Ident
    device: str
    seq: int | None
    data: bytes
    """The frozen envelope (D7)."""
    not_after: datetime | None
    """Its deadline in server time; a log refuses it afterwards (D9)."""

    def __repr__(self) -> str:
        return hide(self, "data")


class Batch(NamedTuple):
    """Entries of one lane published together; stored before it is written, equal on every retry (D6, D10)."""

    batch_id: str
    channel: str
    entries: tuple[Outgoing, ...]


class Ack(NamedTuple):
    """What is known of one entry.

    Every outcome is certain: `refused` and `unsent` did not happen; what is not known is never an `Ack`.
    """

    ident: Ident
    outcome: Outcome
    key: OrderKey | None = None
    """Its place; `None` where the provider did not say."""
    sent_at: datetime | None = None
    error: ChatkitError | None = None
    scope: Scope = "entry"
    again: Again = "never"
    after: float | None = None
    """Seconds to wait, as asked for (`Retry-After`)."""
    prev: str | None = None
    """The serial before it, where the sequencer tells; "" for the first (D17)."""
