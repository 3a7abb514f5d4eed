"""Reading rows: heads, raw entries, pages of messages, and what is asked for by name (D18, D24)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from chatkit.logs.sqlite.rows import (
    ENTRY,
    MESSAGE,
    MESSAGES,
    Channel,
    batches,
    below,
    channel_of,
    could_be,
    entry_of,
    folded,
    key_of,
    log_id_of,
    marks,
    packed,
    state_of,
    up_to,
)
from chatkit.model.ids import is_message_id
from chatkit.model.order import Ident, OrderKey, Place
from chatkit.model.paging import ALWAYS, MOST, bounded
from chatkit.ports.log import Entries, Found, LogState, Messages
from chatkit.sqlite.connection import Connection, one, run
from chatkit.sqlite.times import moment


def heads(connection: Connection, channels: Sequence[str], now: datetime) -> Mapping[str, LogState]:
    """Return where each channel stands."""
    log_id = log_id_of(connection)
    return {name: state_of(log_id, channel_of(connection, name), now) for name in channels}


def entries(connection: Connection, name: str, after: Place | None, limit: int, now: datetime) -> Entries:
    """Return raw entries after a place, oldest first."""
    log_id, channel = log_id_of(connection), channel_of(connection, name)
    start = max(channel.floor, 0 if after is None else up_to(connection, channel, after))
    limit = bounded(limit)
    rows = run(
        connection,
        f"SELECT {ENTRY} FROM entries e WHERE channel = ? AND serial > ? ORDER BY serial LIMIT ?",  # noqa: S608  # our own names
        (channel.number, start, limit),
    )
    more = channel.head > start + len(rows)
    if more and len(rows) < limit:  # serials have no hole; who reads on would do so for ever
        raise ValueError("entries are missing below the head")
    return Entries(state_of(log_id, channel, now), tuple(entry_of(row, log_id) for row in rows), more)


def versions(connection: Connection, name: str, ident: Ident, now: datetime) -> Entries:
    """Return the creation and every edit, delete and restore of one message, oldest first."""
    log_id, channel = log_id_of(connection), channel_of(connection, name)
    number = _number(connection, channel, ident)
    message = number and one(connection, "SELECT 1 FROM messages WHERE number = ?", (number,))
    rows: list[tuple[Any, ...]] = []
    if message:
        rows = run(connection, f"SELECT {ENTRY} FROM entries e WHERE number = ?", (number,))  # noqa: S608  # our own names
        rows += run(
            connection,
            f"SELECT {ENTRY} FROM entries e WHERE target = ? ORDER BY number LIMIT ?",  # noqa: S608  # our own names
            (number, MOST),
        )
    items = tuple(entry_of(row, log_id) for row in rows[:MOST])
    return Entries(state_of(log_id, channel, now), items, len(rows) > MOST)


def find(connection: Connection, name: str, idents: Sequence[Ident], now: datetime) -> Found:
    """Say which of these envelopes were ever appended; ids outlive bodies (D20)."""
    channel = channel_of(connection, name)
    found: dict[Ident, OrderKey] = {}
    for ident in filter(could_be, idents):
        row = one(connection, _BY_IDENT, (channel.number, packed(ident.id), ident.user))
        if row is not None:
            found[ident] = key_of(row[1])
    reaches = ALWAYS if channel.forgotten is None else moment(channel.forgotten)
    return Found(state_of(log_id_of(connection), channel, now), found, reaches)


def get(connection: Connection, name: str, names: Sequence[Ident | str], now: datetime) -> Messages:
    """Return the messages named, folded, ascending."""
    log_id, channel = log_id_of(connection), channel_of(connection, name)
    numbers: set[int] = set()
    for wanted in names:
        if isinstance(wanted, Ident):
            numbers.add(_number(connection, channel, wanted))
        elif is_message_id(wanted):
            rows = run(
                connection,
                "SELECT number FROM entries WHERE channel = ? AND id = ?",
                (channel.number, packed(wanted)),
            )
            numbers.update(number for (number,) in rows)
    found: list[Sequence[Any]] = []
    for part in batches(numbers):
        found += run(connection, f"SELECT {MESSAGE} FROM {MESSAGES} WHERE m.number IN ({marks(part)})", part)  # noqa: S608  # our own names
    found.sort(key=lambda row: row[1])
    return Messages(
        state=state_of(log_id, channel, now),
        items=folded(connection, found, log_id),
        as_of=key_of(channel.head),
        before=None,
        after=None,
        provisional=False,
    )


class Wanted(NamedTuple):
    """Which page is asked for; see `chatkit.logs.pages.cut` for what the places choose."""

    before: Place | None
    after: Place | None
    around: Place | None
    limit: int
    thread: Ident | None


def messages(connection: Connection, name: str, wanted: Wanted, now: datetime) -> Messages:
    """Return folded messages, ascending."""
    log_id, channel = log_id_of(connection), channel_of(connection, name)
    shelf = _Shelf(connection, channel, wanted.thread)
    low = 0 if wanted.after is None else up_to(connection, channel, wanted.after)
    high = channel.head if wanted.before is None else below(connection, channel, wanted.before)
    limit = bounded(wanted.limit)
    if wanted.around is not None:
        middle = below(connection, channel, wanted.around)
        older = shelf.down(low, min(high, middle), limit)
        rows = older + shelf.up(max(low, middle), high, limit)
        stop = min(len(rows), max(0, len(older) - limit // 2) + limit)
        rows = rows[max(0, stop - limit) : stop]
    elif wanted.after is not None and wanted.before is None:
        rows = shelf.up(low, high, limit)
    else:
        rows = shelf.down(low, high, limit)
    edge = high if wanted.after is None else low  # of an empty page
    return Messages(
        state=state_of(log_id, channel, now),
        items=folded(connection, rows, log_id),
        as_of=key_of(channel.head),
        before=shelf.older(rows, edge),
        after=shelf.newer(rows, edge),
        provisional=False,
    )


class _Shelf:
    """Messages in order: all of a channel, or those of one thread."""

    def __init__(self, connection: Connection, channel: Channel, thread: Ident | None) -> None:
        self._connection = connection
        self._which = "m.channel = ?"
        self._values: tuple[Any, ...] = (channel.number,)
        if thread is not None:
            known = could_be(thread)
            self._which += " AND m.root_id = ? AND m.root_user = ?"
            self._values += (packed(thread.id), thread.user) if known else (b"", "")

    def down(self, low: int, high: int, limit: int) -> list[tuple[Any, ...]]:
        """Return the newest messages above one serial and up to another, ascending."""
        return self._rows(low, high, limit, "DESC")[::-1]

    def up(self, low: int, high: int, limit: int) -> list[tuple[Any, ...]]:
        """Return the oldest messages above one serial and up to another, ascending."""
        return self._rows(low, high, limit, "ASC")

    def older(self, rows: Sequence[Sequence[Any]], place: int) -> OrderKey | None:
        """Return what older messages lie strictly before; of an empty page: those up to a place."""
        found = self._edge("max", "<= ?", rows[0][1] - 1 if rows else place)
        if found is None:
            return None
        if rows:
            return key_of(rows[0][1])
        epoch, serial = key_of(found)
        return OrderKey(epoch, serial + "0")  # just behind the newest of the older ones

    def newer(self, rows: Sequence[Sequence[Any]], place: int) -> OrderKey | None:
        """Return what newer messages lie strictly after; of an empty page: those above a place."""
        if self._edge("min", "> ?", rows[-1][1] if rows else place) is None:
            return None
        return key_of(rows[-1][1] if rows else self._edge("max", "<= ?", place) or 0)

    def _rows(self, low: int, high: int, limit: int, order: str) -> list[tuple[Any, ...]]:
        return run(
            self._connection,
            f"SELECT {MESSAGE} FROM {MESSAGES} WHERE {self._which} AND m.serial > ? AND m.serial <= ?"  # noqa: S608  # our own names
            f" ORDER BY m.serial {order} LIMIT ?",
            (*self._values, low, high, limit),
        )

    def _edge(self, end: str, side: str, serial: int) -> int | None:
        [(found,)] = run(
            self._connection,
            f"SELECT {end}(m.serial) FROM messages m WHERE {self._which} AND m.serial {side}",  # noqa: S608  # our own names
            (*self._values, serial),
        )
        return None if found is None else int(found)


def _number(connection: Connection, channel: Channel, ident: Ident) -> int:
    """Return the number of the entry of this name; 0: there is none."""
    if not could_be(ident):
        return 0
    found = one(connection, _BY_IDENT, (channel.number, packed(ident.id), ident.user))
    return int(found[0]) if found else 0


_BY_IDENT: Final = "SELECT number, serial FROM entries WHERE channel = ? AND id = ? AND user = ?"
