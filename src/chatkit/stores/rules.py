"""What every store decides alike: what is finished, what is full, what a lane and a register become."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from chatkit.errors import OutboxFull
from chatkit.model.message import Status
from chatkit.model.options import OutboxLimits
from chatkit.ports.store import Row

UNFINISHED: Final[frozenset[Status]] = frozenset({"queued", "sending"})
"""Statuses of rows that still wait for their end; only these count against the limits."""

SEEN_LIMIT: Final = 50_000
"""Ids kept a channel (D20, I10): the oldest are forgotten first."""


@dataclass(slots=True)
class Tally:
    """What is unfinished: rows, and bytes of their envelopes."""

    entries: int = 0
    size: int = 0

    def count(self, status: Status, size: int, sign: Literal[1, -1]) -> None:
        """Count a row that came, or one that went; ended ones do not count."""
        if status in UNFINISHED:
            self.entries += sign
            self.size += sign * size


def check_room(limits: OutboxLimits, tally: Tally, row: Row) -> None:
    """Refuse a row that would make the outbox larger than allowed; one that has ended already needs no room.

    Raises:
        OutboxFull: Too many rows or bytes (I10).
    """
    if row.status not in UNFINISHED:
        return
    if tally.entries >= limits.entries:
        reason = f"the outbox holds {limits.entries} unfinished entries already"
    elif tally.size + len(row.data) > limits.size:
        reason = f"the outbox would hold more than {limits.size} bytes"
    else:
        return
    raise OutboxFull(reason, channel=row.channel, message_id=row.ident.id)


def may_have_arrived(row: Row) -> bool:
    """Say whether an ended row can be the `pred` of the next: acknowledged or in doubt (D5)."""
    return row.status == "sent" or (row.status not in UNFINISHED and not row.certain)


def forgettable(row: Row) -> bool:
    """Say whether a row may go once its batch is finished: accepted, told, and no key to answer for (D14)."""
    return row.status == "sent" and row.announced and row.key is None
