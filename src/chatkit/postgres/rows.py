"""What goes to the log's functions and comes back from them, as values of ours.

Whoever reads an answer raises `ValueError`, `TypeError` or the like where it is not the log's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeVar

from chatkit import errors
from chatkit.errors import ChatkitError, ProviderError
from chatkit.model.entry import Entry, Folded, Stamp
from chatkit.model.ids import is_message_id
from chatkit.model.order import Ident, OrderKey, Place
from chatkit.model.paging import ALWAYS, EPOCH
from chatkit.model.registers import Register
from chatkit.model.search import SearchMark, SearchPage
from chatkit.model.views import Unread
from chatkit.ports.log import Entries, Found, LogState, Messages
from chatkit.ports.outgoing import Ack, Again, Outcome, Outgoing

T = TypeVar("T")

LAST: Final = 2**63 - 1
"""The highest number there is for a serial."""
SPOKEN: Final = 200
"""Characters of what our own functions say that are passed on."""
_START: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_KEPT: Final[frozenset[Outcome]] = frozenset({"new", "duplicate", "conflict"})
"""The log has an entry of this name, at a place."""
_NOT_KEPT: Final[frozenset[Outcome]] = frozenset({"superseded", "too_late", "refused"})
"""It has not."""
_MERGES: Final[Mapping[Any, Literal["greatest", "newest"]]] = {"greatest": "greatest", "newest": "newest"}

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


def typed(value: object, kind: type[T]) -> T:
    """Return a value that is of a type, and of no other that Python takes for it: a truth is no number."""
    if type(value) is not kind:
        raise TypeError(kind.__name__)
    return value


def text(value: object) -> str:
    """Return text that can be written as UTF-8."""
    found = typed(value, str)
    if not found.isascii():
        _ = found.encode()
    return found


def serial_text(number: int) -> str:
    """Return a serial as others see it; empty for 0, which is before the first."""
    if not 0 <= typed(number, int) <= LAST:
        raise ValueError("no serial")
    return f"{number:020d}" if number else ""


def key_of(number: int) -> OrderKey:
    """Return the place of a serial."""
    return OrderKey(EPOCH, serial_text(number))


def moment(at: int) -> datetime:
    """Return a time from microseconds since 1970."""
    return _START + timedelta(microseconds=typed(at, int))


def state_of(found: Mapping[str, Any]) -> LogState:
    """Return where a channel stands."""
    return LogState(
        log_id=text(found["log_id"]),
        epoch=EPOCH,
        head=serial_text(found["head"]) or None,
        floor=serial_text(found["floor"]) or None,
        now=moment(found["now"]),
    )


def ack_of(ident: Ident, channel: str, found: Mapping[str, Any]) -> Ack:
    """Return the answer to one entry.

    Raises:
        KeyError, TypeError, ValueError: It is none: above all, that the log has an entry is believed with its
            place alone.
    """
    outcome = found["outcome"]
    if outcome in _KEPT:
        prev = found["prev"]
        return Ack(
            ident,
            outcome,
            key_of(found["serial"]),
            moment(found["at"]),
            prev=None if prev is None else serial_text(prev),
        )
    if outcome not in _NOT_KEPT:
        raise ValueError(outcome)
    error: ChatkitError | None = None
    if "error" in found:
        said = text(found["reason"])[:SPOKEN]
        error = _error_of(found["error"])(said, channel=channel, message_id=ident.id)
    again: Again = "reauthenticate" if found.get("again") == "reauthenticate" else "never"
    return Ack(ident, outcome, error=error, again=again)


def _error_of(name: str) -> type[ChatkitError]:
    kind: object = getattr(errors, name, ProviderError)
    if not isinstance(kind, type) or not issubclass(kind, ChatkitError):
        raise TypeError(name)
    return kind


def entries(found: Mapping[str, Any]) -> Entries:
    """Return raw entries."""
    state = state_of(found["state"])
    return Entries(
        state, tuple(_entry(row, state.log_id) for row in found["items"]), typed(found["more"], bool)
    )


def messages(found: Mapping[str, Any]) -> Messages:
    """Return a page of messages."""
    state = state_of(found["state"])
    items = _messages(found["items"], state.log_id)
    older, newer = found.get("older"), found.get("newer")
    before = None
    if older is not None:
        # Of an empty page: just behind the newest of the older ones.
        before = items[0].stamp.key if items else OrderKey(EPOCH, serial_text(older) + "0")
    return Messages(
        state=state,
        items=items,
        as_of=OrderKey(EPOCH, state.head or ""),
        before=before,
        after=None if newer is None else key_of(newer),
        provisional=False,
    )


def found(answer: Mapping[str, Any]) -> Found:
    """Return what was found, and how far back the log knows."""
    forgotten = answer["forgotten"]
    return Found(
        state_of(answer["state"]),
        {Ident(text(user), text(id)): key_of(serial) for user, id, serial in answer["items"]},
        ALWAYS if forgotten is None else moment(forgotten),
    )


def registers(found: Iterable[Sequence[Any]]) -> tuple[Register, ...]:
    """Return registers."""
    return tuple(
        Register(
            text(where),
            text(user),
            text(name),
            text(value),
            _MERGES[merge],
            None if epoch is None else OrderKey(typed(epoch, int), text(serial)),
        )
        for where, user, name, value, merge, epoch, serial in found
    )


def unread(found: Sequence[Any]) -> Unread:
    """Return what a user has not read in one channel."""
    messages, mentions, exact, first = found
    return Unread(
        messages=typed(messages, int),
        mentions=typed(mentions, int),
        exact=typed(exact, bool),
        first=None if first is None else text(first),
    )


def search_page(found: Mapping[str, Any]) -> SearchPage:
    """Return hits, and where the next page goes on."""
    items = _messages(found["hits"], text(found.get("log_id", "")))
    if not typed(found["more"], bool):
        return SearchPage(items, None)
    stamp = items[-1].stamp
    return SearchPage(items, SearchMark(stamp.at, text(found["names"][-1]), stamp.key.serial))


def _entry(found: Sequence[Any], log_id: str) -> Entry:
    serial, at, user, data = found
    return Entry(data.encode(), _stamp(serial, at, user, log_id))


def _messages(found: Iterable[Sequence[Any]], log_id: str) -> tuple[Folded, ...]:
    return tuple(_folded(row, log_id) for row in found)


def _folded(row: Sequence[Any], log_id: str) -> Folded:
    serial, at, user, id, data, edit, version, changed, deleted, replies, last_reply, given = row
    return Folded(
        ident=Ident(user, text(id)),
        data=data.encode(),
        stamp=_stamp(serial, at, user, log_id),
        edit=None if edit is None else edit.encode(),
        version=typed(version, int),
        changed=key_of(changed),
        deleted=typed(deleted, bool),
        replies=typed(replies, int),
        last_reply=None if last_reply is None else key_of(last_reply),
        reactions={}
        if given is None
        else {text(emoji): tuple(map(text, users)) for emoji, users in given.items()},
    )


def _stamp(serial: int, at: int, user: str, log_id: str) -> Stamp:
    return Stamp(key_of(serial), serial_text(serial - 1), log_id, text(user), moment(at))
