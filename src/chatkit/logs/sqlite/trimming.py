"""Forgetting: entries and messages first, ids and lanes much later (D20, D26)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from chatkit.logs.sqlite import projection, searching
from chatkit.logs.sqlite.rows import Channel, batches, below, channel_of, log_id_of, marks, state_of
from chatkit.model.order import Place
from chatkit.ports.log import LogState
from chatkit.sqlite.connection import Connection, run
from chatkit.sqlite.times import micros

IDS: Final = timedelta(days=400)
"""How long ids and lanes are remembered: longer than any outbox may keep an entry (`OutboxLimits`)."""
STEP: Final = 500
"""Entries forgotten in one transaction, so that nobody waits long to write."""


def goal(connection: Connection, name: str, before: Place) -> int:
    """Return the newest serial that is to go."""
    return below(connection, channel_of(connection, name), before)


def trim(connection: Connection, name: str, goal: int, now: datetime) -> tuple[LogState, bool]:
    """Forget some entries up to a serial, and some ids; says whether more are to go."""
    channel = channel_of(connection, name)
    floor = max(channel.floor, min(goal, channel.floor + STEP))
    if floor > channel.floor:
        _forget(connection, channel, floor)
    channel = channel._replace(floor=floor)
    old = micros(now - IDS)
    channel, pruned = _prune(connection, channel, old)
    if channel.number:
        run(
            connection,
            "UPDATE channels SET floor = ?, pruned = ?, forgotten = ? WHERE number = ?",
            (channel.floor, channel.pruned, channel.forgotten, channel.number),
        )
        run(connection, "DELETE FROM lanes WHERE channel = ? AND at < ?", (channel.number, old))
    return state_of(log_id_of(connection), channel, now), floor < goal or pruned == STEP


def _forget(connection: Connection, channel: Channel, floor: int) -> None:
    """Forget what lies above the floor so far and up to a new one."""
    which = (channel.number, channel.floor, floor)
    rows = run(
        connection,
        "SELECT number, serial, user, edit, deleted, root_id, root_user FROM messages"
        " WHERE channel = ? AND serial > ? AND serial <= ?",
        which,
    )
    for number, serial, user, edit, deleted, *_ in rows:
        showing = projection.shown(connection, number, edit)
        if not deleted:
            searching.remove(connection, number, channel.number, user, showing)
        mentioned = projection.mentioned(connection, number, showing)
        projection.forget_mentions(connection, channel.number, serial, mentioned)
    for part in batches(row[0] for row in rows):
        run(connection, f"DELETE FROM reactions WHERE message IN ({marks(part)})", part)  # noqa: S608  # marks only
    run(connection, "DELETE FROM messages WHERE channel = ? AND serial > ? AND serial <= ?", which)
    run(
        connection,
        "UPDATE entries SET data = NULL WHERE channel = ? AND serial > ? AND serial <= ?",
        which,
    )
    for id, user in {(row[5], row[6]) for row in rows if row[5] is not None}:
        _recount(connection, channel.number, id, user)


def _recount(connection: Connection, channel: int, id: bytes, user: str) -> None:
    """Count the replies anew of a root that stays, being younger than some of its replies."""
    run(
        connection,
        "UPDATE messages SET (replies, last_reply) = (SELECT count(*), max(serial) FROM messages"
        " WHERE channel = ? AND root_id = ? AND root_user = ?)"
        " WHERE number = (SELECT number FROM entries WHERE channel = ? AND id = ? AND user = ?)",
        (channel, id, user, channel, id, user),
    )


def _prune(connection: Connection, channel: Channel, old: int) -> tuple[Channel, int]:
    """Forget ids of trimmed entries that are old; the log's newest stays, since numbers go on from it."""
    rows = run(
        connection,
        "SELECT serial, at FROM entries WHERE channel = ? AND serial > ? AND serial <= ? AND at < ?"
        " AND number < (SELECT max(number) FROM entries) ORDER BY serial LIMIT ?",
        (channel.number, channel.pruned, channel.floor, old, STEP),
    )
    if not rows:
        return channel, 0
    last, at = rows[-1]
    run(
        connection,
        "DELETE FROM entries WHERE channel = ? AND serial > ? AND serial <= ?",
        (channel.number, channel.pruned, last),
    )
    return channel._replace(pruned=last, forgotten=at), len(rows)
