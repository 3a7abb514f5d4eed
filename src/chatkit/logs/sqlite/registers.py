"""Registers on rows, and what is counted from them: what a user has not read (D25)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from chatkit.core.roles import may_publish
from chatkit.logs.sqlite.rows import Channel, batches, below, channel_of, is_text, marks, unpacked, up_to
from chatkit.model.names import EVERYONE
from chatkit.model.order import OrderKey
from chatkit.model.registers import KIND, MODERATORS, READ, ROLE, UNREAD, Register, merged, place_of
from chatkit.model.views import Unread
from chatkit.sqlite.connection import Connection, one, run

_COLUMNS: Final = "channel, user, name, value, merge, epoch, serial"


def put(connection: Connection, registers: Sequence[Register]) -> None:
    """Merge registers."""
    for register in registers:
        old = _one(connection, register.channel, register.name, register.user)
        now = merged(old, register)
        if now != old:
            epoch, serial = now.key or (None, None)
            run(
                connection,
                f"INSERT OR REPLACE INTO registers ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  # our own names
                (now.channel, now.user, now.name, now.value, now.merge, epoch, serial),
            )


def registers(
    connection: Connection, channel: str, names: Sequence[str], users: Sequence[str] | None
) -> tuple[Register, ...]:
    """Return registers of a channel, by name, then user, as bytes."""
    if not is_text(channel):
        return ()
    rows: list[tuple[Any, ...]] = []
    for name in sorted(set(filter(is_text, names))):
        if users is None:
            rows += run(
                connection,
                f"SELECT {_COLUMNS} FROM registers WHERE channel = ? AND name = ? ORDER BY user",  # noqa: S608  # our own names
                (channel, name),
            )
            continue
        for part in batches(sorted(set(filter(is_text, users)))):
            rows += run(
                connection,
                f"SELECT {_COLUMNS} FROM registers WHERE channel = ? AND name = ? AND user IN ({marks(part)})"  # noqa: S608  # our own names
                " ORDER BY user",
                (channel, name, *part),
            )
    return tuple(map(_register, rows))


def moderates(connection: Connection, channel: str, user: str) -> bool:
    """Say whether a user moderates a channel (D2)."""
    role = _one(connection, channel, ROLE, user)
    return role is not None and role.value in MODERATORS


def publishes(connection: Connection, channel: str, user: str) -> bool:
    """Say whether a user may make messages in a channel."""
    kind = _one(connection, channel, KIND, EVERYONE)
    if kind is None:  # as in most
        return True
    role = _one(connection, channel, ROLE, user)
    return may_publish(kind.value, role and role.value)


def unread(connection: Connection, user: str, channels: Sequence[str]) -> Mapping[str, Unread]:
    """Count what a user has not read."""
    return {name: _unread(connection, user, name) for name in channels}


def _unread(connection: Connection, user: str, name: str) -> Unread:
    channel = channel_of(connection, name)
    if not channel.number:
        return Unread(messages=0, mentions=0, exact=True)
    user = user if is_text(user) else ""  # of whom there is nothing
    start = _start(connection, channel, user, name)
    which = (channel.number, start, user)
    [(count,)] = run(connection, f"SELECT count(*) {_UNREAD}", which)
    first = one(connection, f"SELECT serial {_UNREAD} ORDER BY serial LIMIT 1", which)
    id = None
    if first is not None:
        [(found,)] = run(
            connection, "SELECT id FROM entries WHERE channel = ? AND serial = ?", (channel.number, *first)
        )
        id = unpacked(found)
    [(mentions,)] = run(connection, _MENTIONS, (*which, user, EVERYONE))
    return Unread(messages=count, mentions=mentions, exact=channel.floor <= start, first=id)


def _start(connection: Connection, channel: Channel, user: str, name: str) -> int:
    """Return the serial above which a user has not read."""
    read = _one(connection, name, READ, user)
    marked = _one(connection, name, UNREAD, user)
    start = up_to(connection, channel, read.key) if read and read.key else 0
    again = place_of(marked.value) if marked else None
    return start if again is None else min(start, below(connection, channel, again))


def _one(connection: Connection, channel: str, name: str, user: str) -> Register | None:
    row = one(
        connection,
        f"SELECT {_COLUMNS} FROM registers WHERE channel = ? AND name = ? AND user = ?",  # noqa: S608  # our own names
        (channel, name, user),
    )
    return _register(row) if row else None


def _register(row: Sequence[Any]) -> Register:
    channel, user, name, value, merge, epoch, serial = row
    return Register(channel, user, name, value, merge, None if epoch is None else OrderKey(epoch, serial))


_UNREAD: Final = "FROM messages WHERE channel = ? AND serial > ? AND shown AND user <> ?"
# `CROSS JOIN`: from the few mentions to their messages, not the other way round.
_MENTIONS: Final = (
    "SELECT count(DISTINCT n.serial) FROM mentions n"
    " CROSS JOIN messages m ON m.channel = n.channel AND m.serial = n.serial"
    " WHERE n.channel = ? AND n.serial > ? AND m.shown AND m.user <> ? AND n.user IN (?, ?)"
)
