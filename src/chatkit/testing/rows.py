"""Rows, batches and messages to store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from chatkit.model.entry import Folded, Stamp
from chatkit.model.order import Ident, OrderKey
from chatkit.ports.outgoing import Batch, Outgoing
from chatkit.ports.store import Row

NOON: Final = datetime(2026, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC)
DEVICE: Final = "k3v9x2"


def row(number: int, /, **changes: Any) -> Row:
    """A row that was never attempted; `number` makes its ids."""
    return Row(
        entry_id=f"entry-{number}",
        ident=Ident("ada", f"id-{number}"),
        device=DEVICE,
        channel="support",
        kind="create",
        status="queued",
        certain=True,
        data=f"draft {number}".encode(),
        depends_on=None,
        key=None,
        queued_at=NOON,
        due_at=None,
        expires_at=None,
        seq=None,
        attempts=0,
        first_attempt=None,
        batch_id=None,
        stamp=None,
        announced=True,
        reason=None,
    )._replace(**changes)


def full_row(number: int, /) -> Row:
    """A row with a value in every field."""
    return row(
        number,
        status="failed",
        certain=False,
        data=b"\x00\xff bytes",
        depends_on="entry-0",
        key="order-17",
        due_at=NOON + timedelta(microseconds=1),
        expires_at=NOON + timedelta(days=7),
        seq=7,
        attempts=3,
        first_attempt=NOON + timedelta(seconds=1),
        batch_id="batch-1",
        stamp=OrderKey(2, "00000000000000001042"),
        announced=True,
        reason="Rejected",
    )


def attempted(row: Row, batch_id: str, seq: int, /) -> Row:
    """What the row is once another attempt is recorded."""
    return row._replace(
        status="sending",
        attempts=row.attempts + 1,
        first_attempt=row.first_attempt or NOON,
        batch_id=batch_id,
        seq=seq,
        data=b"frozen " + row.ident.id.encode(),
    )


def batch_of(batch_id: str, /, *rows: Row) -> Batch:
    """The batch that holds these rows, in this order."""
    entries = tuple(Outgoing(r.ident, r.device, r.seq, r.data, r.expires_at) for r in rows)
    return Batch(batch_id, rows[0].channel, entries)


def message(number: int, /, **changes: Any) -> Folded:
    """A message at place `number` of the first epoch."""
    key = OrderKey(1, f"{number:020d}")
    return Folded(
        ident=Ident("bob", f"id-{number}"),
        data=f"create {number}".encode(),
        stamp=Stamp(key, None, "log-1", "bob", NOON),
        edit=None,
        version=1,
        changed=key,
        deleted=False,
        replies=0,
        last_reply=None,
        reactions={},
    )._replace(**changes)
