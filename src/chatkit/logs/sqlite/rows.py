"""What stands in rows: where a channel stands, entries, and messages with their changes folded in."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from chatkit.model.entry import Entry, Folded, Stamp
from chatkit.model.ids import is_message_id
from chatkit.model.order import Ident, OrderKey, Place
from chatkit.model.paging import EPOCH
from chatkit.ports.log import LogState
from chatkit.sqlite.connection import Connection, one, run
from chatkit.sqlite.times import micros, moment

ENTRY: Final = "e.serial, e.at, e.user, e.data"
"""Columns of `entry_of`, of `entries` as e."""
MESSAGE: Final = (
    "m.number, m.serial, m.user, e.id, e.at, e.data, f.data, m.version, m.changed, m.deleted, m.replies,"
    " m.last_reply"
)
"""Columns of `folded`."""
MESSAGES: Final = "messages m JOIN entries e ON e.number = m.number LEFT JOIN entries f ON f.number = m.edit"
"""Tables of `folded`."""
_MANY: Final = 500
"""Parameters of one statement."""


class Channel(NamedTuple):
    """Where one channel stands."""

    number: int
    """0: nobody has written to it."""
    head: int
    floor: int
    pruned: int
    forgotten: int | None


def channel_of(connection: Connection, name: str) -> Channel:
    """Return where a channel stands."""
    found = is_text(name) and one(
        connection, "SELECT number, head, floor, pruned, forgotten FROM channels WHERE name = ?", (name,)
    )
    return Channel(*found) if found else Channel(0, 0, 0, 0, None)


def log_id_of(connection: Connection) -> str:
    """Return the log's id as of now: another process may have changed it."""
    [(log_id,)] = run(connection, "SELECT log_id FROM header")
    return str(log_id)


def state_of(log_id: str, channel: Channel, now: datetime) -> LogState:
    """Return where a channel stands, as every answer carries it (D18)."""
    return LogState(
        log_id=log_id,
        epoch=EPOCH,
        head=serial_text(channel.head) or None,
        floor=serial_text(channel.floor) or None,
        now=now,
    )


# ---------------------------------------------------------------------- serials and places


def serial_text(number: int) -> str:
    """Return a serial as others see it; empty for 0, which is before the first."""
    return f"{number:020d}" if number else ""


def key_of(number: int) -> OrderKey:
    """Return the place of a serial."""
    return OrderKey(EPOCH, serial_text(number))


def up_to(connection: Connection, channel: Channel, place: Place) -> int:
    """Return the newest serial that is not after a place; 0: none is."""
    return _serial(connection, channel, place, bisect_right)


def below(connection: Connection, channel: Channel, place: Place) -> int:
    """Return the newest serial that is before a place; 0: none is."""
    return _serial(connection, channel, place, bisect_left)


def _serial(connection: Connection, channel: Channel, place: Place, bisect: Callable[..., int]) -> int:
    if isinstance(place, OrderKey):
        return bisect(range(1, channel.head + 1), place, key=key_of)

    # Serials have no hole, and time does not step back.
    def time(serial: int) -> int:
        [(at,)] = run(
            connection, "SELECT at FROM entries WHERE channel = ? AND serial = ?", (channel.number, serial)
        )
        return int(at)

    kept = range(channel.pruned + 1, channel.head + 1)
    return channel.pruned + bisect(kept, micros(place), key=time)


# ---------------------------------------------------------------------- names


def is_text(text: str) -> bool:
    """Say whether a file could hold it: no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def packed(id: str) -> bytes:
    """Return a message id in 16 bytes."""
    return bytes.fromhex(id.replace("-", ""))


def unpacked(id: bytes) -> str:
    """Return a message id from its 16 bytes."""
    digits = id.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def could_be(ident: Ident) -> bool:
    """Say whether an envelope may have this name."""
    return is_message_id(ident.id) and is_text(ident.user)


# ---------------------------------------------------------------------- entries and messages


def entry_of(row: Sequence[Any], log_id: str) -> Entry:
    """Return an entry from `ENTRY`."""
    serial, at, user, data = row
    return Entry(_bytes(data), _stamp(serial, at, user, log_id))


def folded(connection: Connection, rows: Sequence[Sequence[Any]], log_id: str) -> tuple[Folded, ...]:
    """Return messages from `MESSAGE`, in the order of the rows."""
    reactions = _reactions(connection, [row[0] for row in rows])
    return tuple(_folded(row, log_id, reactions.get(row[0], {})) for row in rows)


def _folded(row: Sequence[Any], log_id: str, reactions: dict[str, tuple[str, ...]]) -> Folded:
    _, serial, user, id, at, data, edit, version, changed, deleted, replies, last_reply = row
    return Folded(
        ident=Ident(user, unpacked(id)),
        data=_bytes(data),
        stamp=_stamp(serial, at, user, log_id),
        edit=None if edit is None else _bytes(edit),
        version=version,
        changed=key_of(changed),
        deleted=bool(deleted),
        replies=replies,
        last_reply=None if last_reply is None else key_of(last_reply),
        reactions=reactions,
    )


def _bytes(found: object) -> bytes:
    """Return an envelope; of a column anybody's program may have made something else."""
    if not isinstance(found, bytes):
        raise TypeError("an envelope is bytes")
    return found


def _stamp(serial: int, at: int, user: object, log_id: str) -> Stamp:
    if not isinstance(user, str):  # likewise
        raise TypeError("a user is text")
    return Stamp(key_of(serial), serial_text(serial - 1), log_id, user, moment(at))


def _reactions(connection: Connection, numbers: Iterable[int]) -> dict[int, dict[str, tuple[str, ...]]]:
    found: dict[int, dict[str, list[str]]] = {}
    for part in batches(numbers):
        for number, emoji, user in run(
            connection,
            f"SELECT message, emoji, user FROM reactions WHERE message IN ({marks(part)})"  # noqa: S608  # marks only
            " ORDER BY message, emoji, user",  # by bytes, as Python compares
            part,
        ):
            found.setdefault(number, {}).setdefault(emoji, []).append(user)
    return {
        number: {emoji: tuple(users) for emoji, users in given.items()} for number, given in found.items()
    }


def marks(values: Sequence[Any]) -> str:
    """Return a parameter mark for each value."""
    return ", ".join("?" * len(values))


def batches(values: Iterable[Any]) -> list[list[Any]]:
    """Return values in parts that one statement takes as parameters."""
    listed = list(values)
    return [listed[i : i + _MANY] for i in range(0, len(listed), _MANY)]
