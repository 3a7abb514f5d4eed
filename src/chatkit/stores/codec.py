"""How the port's values lie in columns, and back.

A file that another program wrote, or that a disk damaged, may hold anything in any column: what chatkit never
wrote there is refused as it is read, before anything is made of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, TypeAlias, get_args

from chatkit.errors import StoreError
from chatkit.model.entry import Folded, Stamp
from chatkit.model.message import Status
from chatkit.model.order import Ident, OrderKey
from chatkit.model.registers import Register
from chatkit.ports.store import LaneKey, LaneMark, Mark, Row
from chatkit.sqlite.times import micros, moment

ROW_COLUMNS: Final = (
    "entry_id, user, id, device, channel, kind, status, certain, data, depends_on, key, queued_at, due_at,"
    " expires_at, seq, attempts, first_attempt, batch_id, epoch, serial, announced, reason"
)
FOLDED_COLUMNS: Final = (
    "user, id, epoch, serial, prev, log_id, attested, at, data, edit, version, changed_epoch, changed_serial,"
    " deleted, replies, last_epoch, last_serial, reactions"
)
REGISTER_COLUMNS: Final = "channel, user, name, value, merge, epoch, serial"

_Shape: TypeAlias = "tuple[type | tuple[type, ...], ...]"
_NONE: Final = type(None)
_TEXT: Final = (str, _NONE)
_NUMBER: Final = (int, _NONE)
_ROW: Final[_Shape] = (
    *(
        str,
        str,
        str,
        str,
        str,
        str,
        str,
        int,
        bytes,
        _TEXT,
        _TEXT,
        int,
        _NUMBER,
        _NUMBER,
        _NUMBER,
        int,
        _NUMBER,
    ),
    *(_TEXT, _NUMBER, _TEXT, int, _TEXT),
)
_FOLDED: Final[_Shape] = (
    *(str, str, int, str, _TEXT, _TEXT, str, int, bytes, (bytes, _NONE), int, int, str, int, int, _NUMBER),
    *(_TEXT, str),
)
_REGISTER: Final[_Shape] = (str, str, str, str, str, _NUMBER, _TEXT)
_MARK: Final[_Shape] = (int, str, _TEXT, str)
_PLACE: Final[_Shape] = (int, str)
_HEADER: Final[_Shape] = (str, str, str, bytes, int, int, _TEXT)
_LANE: Final[_Shape] = (str, str, str, int, int)
_STATUSES: Final = frozenset(get_args(Status))


def checked(values: Sequence[Any], shape: _Shape) -> Sequence[Any]:
    """Return values that lie in columns if they are of the types that chatkit writes there.

    Raises:
        StoreError: They are not.
    """
    if not all(map(isinstance, values, shape)):
        raise _damaged()
    return values


def _damaged() -> StoreError:
    return StoreError(
        "the store holds what chatkit never wrote: it is damaged",
        hint="Keep a copy of the file, and give `store=` another one.",
    )


def header_from(values: Sequence[Any]) -> Sequence[Any]:
    """Return user, realm, device, secret, owner_epoch, clean, hlc of a header."""
    return checked(values, _HEADER)


def lane_from(values: Sequence[Any]) -> tuple[LaneKey, LaneMark]:
    """Return the lane that lies in channel, user, device, seq, acked."""
    channel, user, device, seq, acked = checked(values, _LANE)
    return LaneKey(channel, user, device), LaneMark(seq, acked)


def placeholders(columns: str) -> str:
    """Return as many parameter marks as there are columns."""
    return ", ".join("?" * (columns.count(",") + 1))


def _key(epoch: int | None, serial: str | None) -> OrderKey | None:
    return None if epoch is None or serial is None else OrderKey(epoch, serial)


def row_values(row: Row) -> tuple[Any, ...]:
    """Return a row as `ROW_COLUMNS`."""
    epoch, serial = row.stamp or (None, None)
    return (
        row.entry_id,
        row.ident.user,
        row.ident.id,
        row.device,
        row.channel,
        row.kind,
        row.status,
        row.certain,
        row.data,
        row.depends_on,
        row.key,
        micros(row.queued_at),
        micros(row.due_at),
        micros(row.expires_at),
        row.seq,
        row.attempts,
        micros(row.first_attempt),
        row.batch_id,
        epoch,
        serial,
        row.announced,
        row.reason,
    )


def row_from(values: Sequence[Any]) -> Row:
    """Return the row that lies in `ROW_COLUMNS`."""
    (entry_id, user, id, device, channel, kind, status, certain, data, depends_on, key, queued_at, due_at,
     expires_at, seq, attempts, first_attempt, batch_id, epoch, serial, announced, reason,
    ) = checked(values, _ROW)  # fmt: skip
    if status not in _STATUSES:
        raise _damaged()
    return Row(
        entry_id=entry_id,
        ident=Ident(user, id),
        device=device,
        channel=channel,
        kind=kind,
        status=status,
        certain=bool(certain),
        data=data,
        depends_on=depends_on,
        key=key,
        queued_at=moment(int(queued_at)),
        due_at=moment(due_at),
        expires_at=moment(expires_at),
        seq=seq,
        attempts=attempts,
        first_attempt=moment(first_attempt),
        batch_id=batch_id,
        stamp=_key(epoch, serial),
        announced=bool(announced),
        reason=reason,
    )


def folded_values(folded: Folded) -> tuple[Any, ...]:
    """Return a message as `FOLDED_COLUMNS`."""
    stamp = folded.stamp
    last_epoch, last_serial = folded.last_reply or (None, None)
    return (
        *folded.ident,
        *stamp.key,
        stamp.prev,
        stamp.log_id,
        stamp.user,
        micros(stamp.at),
        folded.data,
        folded.edit,
        folded.version,
        *folded.changed,
        folded.deleted,
        folded.replies,
        last_epoch,
        last_serial,
        json.dumps({emoji: list(users) for emoji, users in folded.reactions.items()}),
    )


def folded_from(values: Sequence[Any]) -> Folded:
    """Return the message that lies in `FOLDED_COLUMNS`."""
    (user, id, epoch, serial, prev, log_id, attested, at, data, edit, version, changed_epoch, changed_serial,
     deleted, replies, last_epoch, last_serial, reactions) = checked(values, _FOLDED)  # fmt: skip
    return Folded(
        ident=Ident(user, id),
        data=data,
        stamp=Stamp(OrderKey(epoch, serial), prev, log_id, attested, moment(int(at))),
        edit=edit,
        version=version,
        changed=OrderKey(changed_epoch, changed_serial),
        deleted=bool(deleted),
        replies=replies,
        last_reply=_key(last_epoch, last_serial),
        reactions={emoji: tuple(users) for emoji, users in json.loads(reactions).items()},
    )


def register_values(register: Register) -> tuple[Any, ...]:
    """Return a register as `REGISTER_COLUMNS`."""
    epoch, serial = register.key or (None, None)
    return (register.channel, register.user, register.name, register.value, register.merge, epoch, serial)


def register_from(values: Sequence[Any]) -> Register:
    """Return the register that lies in `REGISTER_COLUMNS`."""
    channel, user, name, value, merge, epoch, serial = checked(values, _REGISTER)
    if merge not in ("greatest", "newest"):
        raise _damaged()
    return Register(channel, user, name, value, merge, _key(epoch, serial))


def mark_values(mark: Mark) -> tuple[Any, ...]:
    """Return a mark as epoch, serial, log_id, holes."""
    return (*mark.key, mark.log_id, json.dumps(mark.holes))


def mark_from(values: Sequence[Any]) -> Mark:
    """Return the mark that lies in epoch, serial, log_id, holes."""
    epoch, serial, log_id, holes = checked(values, _MARK)
    return Mark(
        OrderKey(epoch, serial),
        log_id,
        tuple(
            (OrderKey(*checked(after, _PLACE)), OrderKey(*checked(before, _PLACE)))
            for after, before in json.loads(holes)
        ),
    )
