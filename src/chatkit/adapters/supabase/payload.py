"""What broadcasts hold: an envelope as it was frozen, or what a log announces.

A live topic carries envelopes under the event `chatkit`, each as text, so that it is the same to the byte for
whoever hears it. A log topic carries under `entries` what a log took in: by the database's own trigger, or by
a backend that has a log of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from chatkit.adapters.supabase.wire import Object, as_int, as_list, as_object, as_text, dumps
from chatkit.model.entry import Stamp
from chatkit.model.message import Attested
from chatkit.model.order import OrderKey
from chatkit.model.values import hide
from chatkit.ports.outgoing import Outgoing

EVENT: Final = "chatkit"
ENTRIES: Final = "entries"
STAMP_BYTES: Final = 600
"""Most that an announced entry takes beside its envelope: its numbers, its user, the log's name."""
MOST: Final = 1_000
"""Entries in one announcement, envelopes in one broadcast."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SERIAL: Final = re.compile(r"[!-~]{1,200}").fullmatch
_COUNTED: Final = re.compile(r"[0-9]{20}").fullmatch
_LOG: Final = re.compile(r"[^\ud800-\udfff]{1,200}").fullmatch
_USER: Final = 200
"""Characters of a user: more than one has."""
_ATTESTED: Final[dict[Any, Attested]] = {"provider": "provider", "backend": "backend"}


class Announced(NamedTuple):
    """One entry of a log."""

    stamp: Stamp
    data: bytes | None
    """`None`: it is too large for a broadcast, and is to be read."""
    attested: Attested

    def __repr__(self) -> str:
        return hide(self, "data")


def pack(envelopes: Sequence[bytes]) -> Object:
    """Return the payload that carries envelopes: together they are one event of the project's quota."""
    texts = [data.decode("utf-8", "replace") for data in envelopes]
    return {"data": texts[0] if len(texts) == 1 else texts}


def unpack(payload: object) -> list[bytes] | None:
    """Return the envelopes that a payload carries; `None`: none."""
    data: object = as_object(payload).get("data")
    if isinstance(data, str):  # as most
        return [data.encode("utf-8", "surrogatepass")]
    texts = [as_text(text) for text in (as_list(data) or [None])[:MOST]]
    whole = [text.encode("utf-8", "surrogatepass") for text in texts if text is not None]
    return whole if len(whole) == len(texts) else None


def measure(data: bytes) -> int:
    """Return the bytes that an envelope takes as text within a broadcast."""
    return len(dumps(data.decode("utf-8", "replace")).encode()) + 1  # the comma behind it


def announcement(channel: str, entries: Sequence[Outgoing], stamps: Sequence[Stamp | None]) -> Object:
    """Return what announces entries that a log took in; each has its stamp."""
    told = [(entry, stamp) for entry, stamp in zip(entries, stamps, strict=True) if stamp is not None]
    first = told[0][1] if told else None
    return {
        "v": 1,
        "log": "" if first is None else first.log_id or "",
        "epoch": 1 if first is None else first.key.epoch,
        "channel": channel,
        "entries": [
            {
                "serial": stamp.key.serial,
                "prev": stamp.prev or "",
                "user": stamp.user,
                "at": (stamp.at - _EPOCH) // timedelta(microseconds=1),
                "data": entry.data.decode("utf-8", "replace"),
                "by": "backend",
            }
            for entry, stamp in told
        ],
    }


def announced(payload: object, channel: str) -> list[Announced] | None:
    """Return what an announcement tells, oldest first; `None`: the log is to be read to know."""
    fields = as_object(payload)
    log, epoch = as_text(fields.get("log")), as_int(fields.get("epoch"))
    rows = as_list(fields.get("entries"))
    known = fields.get("v") == 1 and fields.get("channel") == channel
    if not known or log is None or not _LOG(log) or not 0 < len(rows) <= MOST:
        return None
    if epoch is None or not 0 <= epoch < 2**53:
        return None
    found = [_entry(as_object(row), log, epoch) for row in rows]
    whole = [entry for entry in found if entry is not None]
    return whole if len(whole) == len(found) else None


def _entry(row: Object, log: str, epoch: int) -> Announced | None:
    serial, prev, user = as_text(row.get("serial")), as_text(row.get("prev")), as_text(row.get("user"))
    data, at, attested = row.get("data"), as_int(row.get("at")), _ATTESTED.get(as_text(row.get("by")))
    if serial is None or prev is None or user is None or at is None or attested is None:
        return None
    if not _SERIAL(serial) or len(user) > _USER or not isinstance(data, str | None):
        return None
    try:
        time = _EPOCH + timedelta(microseconds=at)
    except OverflowError:
        return None
    stamp = Stamp(OrderKey(epoch, serial), _before(serial, prev), log, user, time)
    return Announced(stamp, None if data is None else data.encode("utf-8", "surrogatepass"), attested)


def _before(serial: str, prev: str) -> str | None:
    """Return the serial before, as far as it is believed: what a wider step would leave out is read (D17)."""
    if not _COUNTED(serial):
        return prev if prev < serial else None
    number = int(serial)
    return prev if prev == (f"{number - 1:020d}" if number > 1 else "") else None
