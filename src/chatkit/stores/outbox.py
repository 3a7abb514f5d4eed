"""The outbox in SQL: rows, lanes, batches. Each function is one job inside a transaction of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from chatkit.errors import MessageNotFound, StateError
from chatkit.model.message import Status
from chatkit.model.options import OutboxLimits
from chatkit.model.order import Ident
from chatkit.ports.outgoing import Batch
from chatkit.ports.store import LaneKey, LaneMark, Row
from chatkit.sqlite.connection import Connection, one, run
from chatkit.sqlite.times import micros
from chatkit.stores.codec import ROW_COLUMNS, lane_from, placeholders, row_from, row_values
from chatkit.stores.faults import conflicts
from chatkit.stores.rules import UNFINISHED, Tally, check_room, forgettable, may_have_arrived

_SELECT: Final = f"SELECT {ROW_COLUMNS} FROM outbox"  # noqa: S608  # our own column names
_INSERT: Final = f"INSERT INTO outbox ({ROW_COLUMNS}) VALUES ({placeholders(ROW_COLUMNS)})"  # noqa: S608  # likewise
_UPDATE: Final = (
    f"UPDATE outbox SET ({ROW_COLUMNS}, ended_at) = ({placeholders(ROW_COLUMNS)}, ?) WHERE entry_id = ?"  # noqa: S608  # likewise
)
_BATCH_OPEN: Final = "SELECT 1 FROM outbox WHERE batch_id = ? AND status IN ('queued', 'sending') LIMIT 1"


def tally(connection: Connection) -> Tally:
    """Count what is unfinished."""
    [(entries, size)] = run(
        connection,
        "SELECT count(*), coalesce(sum(length(data)), 0) FROM outbox WHERE status IN ('queued', 'sending')",
    )
    return Tally(entries, size)


def add(connection: Connection, rows: Sequence[Row], limits: OutboxLimits, tally: Tally) -> tuple[Row, ...]:
    """Queue rows; a known key or identity gives the stored row in its place (D14).

    Raises:
        OutboxFull: There is no room for all of them (I10).
    """
    return tuple([_add(connection, row, limits, tally) for row in rows])


def _add(connection: Connection, row: Row, limits: OutboxLimits, tally: Tally) -> Row:
    try:
        check_room(limits, tally, row)
        connection.execute(_INSERT, row_values(row))
    except Exception as error:
        # Looked up only now: most rows are new, and a look at each would cost a third of the insert.
        known = stored(connection, row) if conflicts(error) else None
        if known is None:
            raise
        return known
    tally.count(row.status, len(row.data), 1)
    return row


def stored(connection: Connection, row: Row) -> Row | None:
    """Return the row that has the same key or the same identity in its channel, if there is one."""
    found = None
    if row.key is not None:
        found = one(
            connection,
            f"{_SELECT} WHERE key = ? AND user = ? AND channel = ?",
            (row.key, row.ident.user, row.channel),
        )
    found = found or one(
        connection,
        f"{_SELECT} WHERE id = ? AND user = ? AND channel = ?",
        (row.ident.id, row.ident.user, row.channel),
    )
    return None if found is None else row_from(found)


def withdraw(rows: Sequence[Row], added: Sequence[Row], connection: Connection) -> None:
    """Take an `add` back: remove those of its rows that were new."""
    for row, kept in zip(rows, added, strict=True):
        if kept is row:
            run(connection, "DELETE FROM outbox WHERE entry_id = ?", (row.entry_id,))


def attempt(connection: Connection, batch: Batch, rows: Sequence[Row], hlc: str, tally: Tally) -> None:
    """Record an attempt: rows as they now are, members in order, clock (D6).

    Raises:
        StateError: A row is not stored; nothing may be written to the provider.
    """
    left: set[str] = set()
    for row in rows:
        before = _replace(connection, row, None, tally)
        if before is None:
            raise StateError("an entry was attempted that is not in the store", message_id=row.ident.id)
        _, batch_id = before
        if batch_id is not None and batch_id != batch.batch_id:
            left.add(batch_id)
        if row.seq is not None:
            _advance(connection, row, seq=row.seq, acked=0)
    run(connection, "DELETE FROM batches WHERE batch_id = ?", (batch.batch_id,))
    for place, entry in enumerate(batch.entries):
        run(connection, "INSERT INTO batches VALUES (?, ?, ?, ?)", (batch.batch_id, place, *entry.ident))
    for batch_id in left:
        _finish_batch(connection, batch_id)
    run(connection, "UPDATE header SET hlc = ? WHERE hlc IS NULL OR hlc < ?", (hlc, hlc))


def settle(connection: Connection, rows: Sequence[Row], now: datetime, tally: Tally) -> None:
    """Record what rows became, and forget those that nothing needs any more (D10, D14)."""
    batches: set[str] = set()
    for row in rows:
        before = _replace(connection, row, now, tally)
        if before is None:
            continue  # settled and forgotten before
        status, batch_id = before
        if row.status in UNFINISHED and status not in UNFINISHED:
            # A manual retry goes to the end of the queue (D7).
            run(
                connection,
                "UPDATE outbox SET position = (SELECT max(position) + 1 FROM outbox) WHERE entry_id = ?",
                (row.entry_id,),
            )
        if row.seq is not None and may_have_arrived(row):
            _advance(connection, row, seq=row.seq, acked=row.seq)
        batches |= {known for known in (batch_id, row.batch_id) if known is not None}
        if row.batch_id is None and forgettable(row):
            run(connection, "DELETE FROM outbox WHERE entry_id = ?", (row.entry_id,))
    for batch_id in batches:
        _finish_batch(connection, batch_id)


def _replace(
    connection: Connection, row: Row, now: datetime | None, tally: Tally
) -> tuple[Status, str | None] | None:
    """Write a row over the stored one, if there is one; return that one's status and batch."""
    select = "SELECT status, batch_id, length(data) FROM outbox WHERE entry_id = ?"
    before = one(connection, select, (row.entry_id,))
    if before is None:
        return None
    ended = None if row.status in UNFINISHED else micros(now)
    run(connection, _UPDATE, (*row_values(row), ended, row.entry_id))
    status, batch_id, size = before
    tally.count(status, size, -1)
    tally.count(row.status, len(row.data), 1)
    return status, batch_id


def _advance(connection: Connection, row: Row, *, seq: int, acked: int) -> None:
    run(
        connection,
        "INSERT INTO lanes VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET seq = max(seq, excluded.seq), acked = max(acked, excluded.acked)",
        (row.channel, row.ident.user, row.device, seq, acked),
    )


def _finish_batch(connection: Connection, batch_id: str) -> None:
    # While one member is in doubt the others stay, so that it can be sent again in the identical batch (D10).
    if one(connection, _BATCH_OPEN, (batch_id,)) is None:
        run(
            connection,
            "DELETE FROM outbox WHERE batch_id = ? AND status = 'sent' AND announced AND key IS NULL",
            (batch_id,),
        )
        run(connection, "DELETE FROM batches WHERE batch_id = ?", (batch_id,))


def renew_device(connection: Connection, old: str, new: str) -> None:
    """Give never-attempted rows, and the header, another device (D27)."""
    run(
        connection,
        "UPDATE outbox SET device = ? WHERE device = ? AND attempts = 0 AND status IN ('queued', 'sending')",
        (new, old),
    )
    run(connection, "UPDATE header SET device = ? WHERE device = ?", (new, old))


def rows(
    connection: Connection,
    *,
    status: Status | None = None,
    channel: str | None = None,
    ident: Ident | None = None,
    entry_id: str | None = None,
    announced: bool | None = None,
    after: str | None = None,
    limit: int,
) -> tuple[Row, ...]:
    """Return rows in queue order.

    Raises:
        MessageNotFound: There is no entry `after`.
    """
    wanted: dict[str, object] = {
        "status": status,
        "channel": channel,
        "entry_id": entry_id,
        "announced": announced,
    }
    if ident is not None:
        wanted |= {"id": ident.id, "user": ident.user}
    terms = {f"{column} = ?": value for column, value in wanted.items() if value is not None}
    if after is not None:
        found = one(connection, "SELECT position FROM outbox WHERE entry_id = ?", (after,))
        if found is None:
            raise MessageNotFound(f"no entry {after} to go on after", hint="Read again from the start.")
        terms["position > ?"] = found[0]
    where = f"WHERE {' AND '.join(terms)}" if terms else ""
    found_rows = run(connection, f"{_SELECT} {where} ORDER BY position LIMIT ?", (*terms.values(), limit))
    return tuple(row_from(values) for values in found_rows)


def lanes(connection: Connection) -> dict[LaneKey, LaneMark]:
    """Return how far each lane has come; a row being sent is in doubt, so it counts as acknowledged (D5)."""
    found = run(
        connection,
        "SELECT channel, user, device, seq, max(acked, coalesce((SELECT max(o.seq) FROM outbox AS o"
        " WHERE o.status = 'sending' AND o.channel = lanes.channel AND o.user = lanes.user"
        " AND o.device = lanes.device), 0)) FROM lanes",
    )
    return dict(map(lane_from, found))


def batches(connection: Connection) -> Mapping[str, tuple[Ident, ...]]:
    """Return the members of each batch that has an unfinished row (D10)."""
    members: dict[str, list[Ident]] = {}
    for batch_id, user, id in run(
        connection,
        "SELECT batch_id, user, id FROM batches WHERE batch_id IN"
        " (SELECT batch_id FROM outbox WHERE status IN ('queued', 'sending')) ORDER BY batch_id, place",
    ):
        members.setdefault(batch_id, []).append(Ident(user, id))
    return {batch_id: tuple(idents) for batch_id, idents in members.items()}


def devices(connection: Connection) -> frozenset[str]:
    """Return every device that a row of this file belongs to, and the file's own."""
    found = run(connection, "SELECT device FROM outbox UNION SELECT device FROM header")
    return frozenset(device for (device,) in found)


def waiting(connection: Connection) -> tuple[Row, ...]:
    """Return every row that waits for its end or for being told of (D16), in queue order."""
    found = run(
        connection,
        f"{_SELECT} WHERE status IN ('queued', 'sending') OR (status = 'sent' AND NOT announced)"
        " ORDER BY position",
    )
    return tuple(row_from(values) for values in found)


def is_empty(connection: Connection) -> bool:
    """Say whether no row is left, ended or not."""
    return one(connection, "SELECT 1 FROM outbox LIMIT 1") is None


def prune(connection: Connection, before: datetime) -> int:
    """Forget rows that ended before then, except in a batch with an unfinished row (D14); return how many."""
    run(
        connection,
        "DELETE FROM outbox WHERE ended_at < ? AND (batch_id IS NULL OR batch_id NOT IN"
        " (SELECT batch_id FROM outbox WHERE batch_id IS NOT NULL AND status IN ('queued', 'sending')))",
        (micros(before),),
    )
    [(gone,)] = run(connection, "SELECT changes()")
    return int(gone)
