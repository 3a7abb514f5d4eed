"""What goes to the log's functions and comes back from them, as values of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from chatkit import errors
from chatkit.errors import ChatkitError, ProviderError
from chatkit.logs.record import EPOCH
from chatkit.model.entry import Entry, Folded, Stamp
from chatkit.model.ids import is_message_id
from chatkit.model.order import Ident, OrderKey, Place
from chatkit.ports.log import LogState
from chatkit.ports.outgoing import Ack, Outgoing

_START: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

# ---------------------------------------------------------------------- to the database


def micros(at: datetime) -> int:
    """Return a time in microseconds since 1970."""
    return (at - _START) // _MICROSECOND


def place(wanted: Place | None) -> dict[str, Any] | None:
    """Return a place."""
    if wanted is None:
        return None
    if isinstance(wanted, datetime):
        return {"at": micros(wanted)}
    return {"epoch": wanted.epoch, "serial": readable(wanted.serial)}


def item(entry: Outgoing) -> dict[str, Any]:
    """Return an entry to append; its envelope was parsed, and so is UTF-8."""
    return {
        "user": entry.ident.user,
        "id": entry.ident.id,
        "device": entry.device,
        "seq": entry.seq,
        "not_after": None if entry.not_after is None else micros(entry.not_after),
        "data": entry.data.decode(),
    }


def is_text(text: str) -> bool:
    """Say whether the database could hold it: no U+0000, no lone surrogate."""
    return readable(text) == text


def readable(text: str) -> str:
    """Return text with something else in place of what the database cannot hold."""
    return text.encode(errors="replace").decode().replace("\0", "?")


def could_be(ident: Ident) -> bool:
    """Say whether an envelope may have this name."""
    return is_message_id(ident.id) and is_text(ident.user)


# ---------------------------------------------------------------------- from the database


def serial_text(number: int) -> str:
    """Return a serial as others see it; empty for 0, which is before the first."""
    return f"{number:020d}" if number else ""


def key_of(number: int) -> OrderKey:
    """Return the place of a serial."""
    return OrderKey(EPOCH, serial_text(number))


def moment(at: int) -> datetime:
    """Return a time from microseconds since 1970."""
    return _START + timedelta(microseconds=at)


def state_of(found: Mapping[str, Any]) -> LogState:
    """Return where a channel stands."""
    return LogState(
        log_id=found["log_id"],
        epoch=EPOCH,
        head=serial_text(found["head"]) or None,
        floor=serial_text(found["floor"]) or None,
        now=moment(found["now"]),
    )


def ack_of(ident: Ident, channel: str, found: Mapping[str, Any]) -> Ack:
    """Return the answer to one entry."""
    error: ChatkitError | None = None
    if "error" in found:
        kind: type[ChatkitError] = getattr(errors, found["error"], ProviderError)
        error = kind(found["reason"], channel=channel, message_id=ident.id)
    if "serial" not in found:
        return Ack(ident, found["outcome"], error=error)
    prev = found["prev"]
    return Ack(
        ident,
        found["outcome"],
        key_of(found["serial"]),
        moment(found["at"]),
        prev=None if prev is None else serial_text(prev),
    )


def entry_of(found: Sequence[Any], log_id: str) -> Entry:
    """Return a raw entry."""
    serial, at, user, data = found
    return Entry(data.encode(), _stamp(serial, at, user, log_id))


def folded(found: Iterable[Sequence[Any]], log_id: str) -> tuple[Folded, ...]:
    """Return messages."""
    return tuple(_folded(row, log_id) for row in found)


def _folded(row: Sequence[Any], log_id: str) -> Folded:
    serial, at, user, id, data, edit, version, changed, deleted, replies, last_reply, given = row
    return Folded(
        ident=Ident(user, id),
        data=data.encode(),
        stamp=_stamp(serial, at, user, log_id),
        edit=None if edit is None else edit.encode(),
        version=version,
        changed=key_of(changed),
        deleted=deleted,
        replies=replies,
        last_reply=None if last_reply is None else key_of(last_reply),
        reactions={} if given is None else {emoji: tuple(users) for emoji, users in given.items()},
    )


def _stamp(serial: int, at: int, user: str, log_id: str) -> Stamp:
    return Stamp(key_of(serial), serial_text(serial - 1), log_id, user, moment(at))
