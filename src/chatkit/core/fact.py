"""`Fact`: one envelope as this client believes it, with its place and who vouches for it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from chatkit.model.message import Attested
from chatkit.model.order import Ident, OrderKey
from chatkit.model.values import hide

if TYPE_CHECKING:
    from chatkit.model.envelope import Envelope


class Fact(NamedTuple):
    """A durable envelope ready to be folded."""

    envelope: Envelope
    data: bytes
    """The sender's bytes, as received."""
    ident: Ident
    """Its own identity within the channel (D1); its user is the sender as attested, else as claimed (D2)."""
    key: OrderKey
    stamped: bool
    """A sequencer numbered it and, with a log, checked its rights (D2)."""
    sent_at: datetime | None
    """When it was accepted, by the sequencer's clock."""
    attested: Attested
    origin: str
    """Who numbered it: the log's id, or the provider's realm."""
    prev: str | None = None
    """The serial before it, where the sequencer tells (D17)."""
    suspect: bool = False
    """Its hybrid clock is too far ahead to be merged (D4)."""
    revised: bool = False
    """A creation with the body of a later version (`Entry`): it does not tell the first one."""

    def __repr__(self) -> str:
        return hide(self, "data")

    @property
    def user(self) -> str:
        """The sender."""
        return self.ident[0]
