"""Marks, the cached timeline, seen ids and registers in SQL; each function is one job of a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from chatkit.model.entry import Folded
from chatkit.model.order import Ident, OrderKey
from chatkit.model.registers import Register, merged
from chatkit.ports.store import Mark
from chatkit.sqlite.connection import Connection, one, run
from chatkit.sqlite.times import micros
from chatkit.stores.codec import (
    FOLDED_COLUMNS,
    REGISTER_COLUMNS,
    folded_from,
    folded_values,
    mark_from,
    mark_values,
    placeholders,
    register_from,
    register_values,
)
from chatkit.stores.rules import SEEN_LIMIT

_CACHE: Final = (
    f"INSERT OR REPLACE INTO cached (channel, {FOLDED_COLUMNS}) VALUES (?, {placeholders(FOLDED_COLUMNS)})"  # noqa: S608  # our own column names
)


def applied(
    connection: Connection,
    channel: str,
    mark: Mark | None,
    folded: Sequence[Folded],
    ids: Sequence[Ident],
    *,
    keep: int,
    now: datetime,
) -> None:
    """Record a mark, messages and ids together; the `keep` newest messages stay (D17, D20)."""
    if mark is not None:
        run(connection, "INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?, ?)", (channel, *mark_values(mark)))
    if folded:
        for message in folded:
            run(connection, _CACHE, (channel, *folded_values(message)))
        run(
            connection,
            "DELETE FROM cached WHERE rowid IN (SELECT rowid FROM cached WHERE channel = ?"
            " ORDER BY epoch DESC, serial DESC LIMIT -1 OFFSET ?)",
            (channel, keep),
        )
    if ids:
        _remember(connection, channel, ids, now)


def _remember(connection: Connection, channel: str, ids: Sequence[Ident], now: datetime) -> None:
    known = seen(connection, channel, ids)
    [(place,)] = run(connection, "SELECT coalesce(max(place), 0) FROM seen WHERE channel = ?", (channel,))
    for ident in dict.fromkeys(ids):
        if ident not in known:
            place += 1
            run(
                connection,
                "INSERT INTO seen VALUES (?, ?, ?, ?, ?)",
                (channel, ident.id, ident.user, place, micros(now)),
            )
    run(connection, "DELETE FROM seen WHERE channel = ? AND place <= ?", (channel, place - SEEN_LIMIT))


def marks(connection: Connection) -> dict[str, Mark]:
    """Return the mark of each channel."""
    found = run(connection, "SELECT channel, epoch, serial, log_id, holes FROM marks")
    return {channel: mark_from(values) for channel, *values in found}


def cached(
    connection: Connection, channel: str, *, before: OrderKey | None, limit: int
) -> tuple[Folded, ...]:
    """Return the newest messages before a place, ascending."""
    below, place = (" AND (epoch, serial) < (?, ?)", tuple(before)) if before is not None else ("", ())
    found = run(
        connection,
        f"SELECT {FOLDED_COLUMNS} FROM cached WHERE channel = ?{below}"  # noqa: S608  # our own text
        " ORDER BY epoch DESC, serial DESC LIMIT ?",
        (channel, *place, limit),
    )
    return tuple(folded_from(values) for values in reversed(found))


def seen(connection: Connection, channel: str, ids: Sequence[Ident]) -> frozenset[Ident]:
    """Return those ids that were recorded before (D20)."""
    return frozenset(
        ident
        for ident in ids
        if one(
            connection,
            "SELECT 1 FROM seen WHERE channel = ? AND id = ? AND user = ?",
            (channel, ident.id, ident.user),
        )
    )


def prune(connection: Connection, before: datetime) -> int:
    """Forget ids recorded before then; return how many."""
    run(connection, "DELETE FROM seen WHERE at < ?", (micros(before),))
    [(gone,)] = run(connection, "SELECT changes()")
    return int(gone)


def put(connection: Connection, registers: Sequence[Register]) -> None:
    """Merge registers (D25)."""
    for register in registers:
        old = one(
            connection,
            f"SELECT {REGISTER_COLUMNS} FROM registers WHERE channel = ? AND user = ? AND name = ?",  # noqa: S608  # our own text
            (register.channel, register.user, register.name),
        )
        become = merged(None if old is None else register_from(old), register)
        run(
            connection,
            f"INSERT OR REPLACE INTO registers VALUES ({placeholders(REGISTER_COLUMNS)})",  # noqa: S608  # likewise
            register_values(become),
        )


def registers(connection: Connection, channel: str | None) -> tuple[Register, ...]:
    """Return the registers of a channel, or all."""
    where, values = ("", ()) if channel is None else (" WHERE channel = ?", (channel,))
    select = f"SELECT {REGISTER_COLUMNS} FROM registers{where} ORDER BY channel, user, name"  # noqa: S608  # our own text
    found = run(connection, select, values)
    return tuple(register_from(row) for row in found)
