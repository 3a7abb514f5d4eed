"""`OutboxEntry`: one accepted wish, as this process knows it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from chatkit.core.delivery import State
from chatkit.errors import InvalidMessage
from chatkit.model.envelope import Envelope
from chatkit.model.order import Ident
from chatkit.ports import Outgoing

if TYPE_CHECKING:
    from chatkit.errors import ChatkitError
    from chatkit.model.message import Attested, Message
    from chatkit.ports import Row


@dataclass(slots=True, eq=False, weakref_slot=True)
class OutboxEntry:
    """One row and what only this process knows of it."""

    row: Row
    state: State
    held: State | None = None
    """What it was shown as when it ended, until that end is on disk: a restart would still send it (I1)."""
    error: ChatkitError | None = None
    """Why it ended, or what the last attempt met."""
    maybe_duplicate: bool = False
    batch: tuple[OutboxEntry, ...] = ()
    """The members of the batch it is in doubt with, ended ones too (D10)."""
    under_way: bool = False
    """An attempt at its batch is being made: whatever becomes of it meanwhile, the answer is to come."""
    guessed: bool = False
    """Its deadline was reckoned from a time that no contact had confirmed: no log is told it (D13)."""
    refreshed: bool = False
    """Its last refusal was answered by a fresh credential already (D12)."""
    refusals: int = 0
    """Definite server errors on this entry (D12)."""
    refused_since: float = 0.0
    """When the first of them came, by the monotonic clock."""
    sent_before: int = 0
    """How many entries of this client had been sent when it came."""
    sent_at: datetime | None = None
    """When it was accepted, by the provider's clock."""
    origin: str | None = None
    """Who numbered it."""
    attested: Attested = "none"
    """Who vouches for its sender, as its acknowledgement proved."""
    asked: int = 1
    """For how many callers it is kept: one that is cancelled gives up its share (D14)."""
    ended_at: datetime | None = None
    """When it ended, or was loaded as ended."""
    public: Any = None
    """The `Delivery` that stands for it, made once."""
    made_here: bool = False
    """Its bytes were made in this life, so that they can be read."""

    @property
    def shown(self) -> State:
        """Where it is, as users are told: an end that is no `sent` once no restart can undo it."""
        return self.held or self.state

    @property
    def unfinished(self) -> bool:
        """Whether it still has a fate to meet."""
        return not self.state.done

    @property
    def untried(self) -> bool:
        """Whether it waits and was never attempted: it may be withdrawn or folded (D7)."""
        return self.state is State.QUEUED and not self.row.attempts

    @property
    def frozen(self) -> bool:
        """Whether its envelope has gone out, or is about to, and never changes again (D7)."""
        return self.row.first_attempt is not None

    @property
    def may_be_there(self) -> bool:
        """Whether the channel has it, or may have it."""
        return self.state in (State.SENT, State.IN_DOUBT) or not self.row.certain

    @property
    def outgoing(self) -> Outgoing:
        """What is handed over for sending."""
        row = self.row
        return Outgoing(row.ident, row.device, row.seq, row.data, None if self.guessed else row.expires_at)

    @property
    def envelope(self) -> Envelope | None:
        """What it carries; `None`: its bytes cannot be read, damaged or of a later version."""
        try:
            return Envelope.parse(self.row.data)
        except InvalidMessage:
            return None

    @property
    def readable(self) -> bool:
        """Whether its bytes can be read."""
        return self.made_here or self.envelope is not None

    @property
    def target(self) -> Ident | None:
        """What it refers to."""
        ref = None if self.envelope is None else self.envelope.ref
        return None if ref is None else Ident(ref.user, ref.id)

    @property
    def bound(self) -> bool:
        """Whether its batch is on its way or in doubt still, and it waits for the answer with it (D10)."""
        # One that was sent again by hand has left it, whatever the others remember.
        return self.under_way or any(other.unfinished and other.batch == self.batch for other in self.batch)

    def thaw(self, **changes: Any) -> None:
        """Have number, clock reading and bytes made anew at the next attempt; its batch is no more."""
        for member in self.batch:
            member.batch = ()
        self.row = self.row._replace(seq=None, first_attempt=None, batch_id=None, **changes)

    def placed(self, message: Message, realm: str) -> Message:
        """Return the message it makes with what its acknowledgement told."""
        origin = self.origin or realm
        return replace(
            message, key=self.row.stamp, sent_at=self.sent_at, origin=origin, attested=self.attested
        )


def state_of(row: Row) -> State:
    """Return the state of a stored row: what was being sent when it was read is in doubt (D6)."""
    return State.IN_DOUBT if row.status == "sending" else State(row.status)
