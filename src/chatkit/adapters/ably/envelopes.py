"""Messages of Ably that carry envelopes: how they are made, read and measured.

The envelope is the data, as text; its id is `BATCH:INDEX`, so that a publish that is
repeated as it was is known again as one (D10). Who it is from is the client id, which the service has
checked.

Source: the Ably sheet, sections 5 and 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from chatkit.adapters.ably.places import key_of, moment, time_of
from chatkit.adapters.ably.stamps import LOG_CLIENT, STAMP_BYTES, extras_of, stamp_of
from chatkit.adapters.ably.wire import Frame, as_frame, as_int, as_text, text_of
from chatkit.model.entry import Entry, Stamp
from chatkit.model.message import Attested
from chatkit.model.order import OrderKey
from chatkit.model.values import hide
from chatkit.ports.adapter import Foreign, Received
from chatkit.ports.outgoing import Batch, Outgoing

NAME: Final = "chatkit"
"""Of the messages that carry envelopes."""
BYTES: Final = 65_536
"""That all messages of a publish have together, their names, client ids and extras included."""
_EPHEMERAL: Final = {"ephemeral": True}
OVERHEAD: Final = len(NAME) + 128 + len('{"ephemeral":true}')
"""Bytes beside the envelope, the longest client id among them."""
_CREATE: Final = 0


class Said(NamedTuple):
    """A message that carries an envelope."""

    data: bytes
    user: str | None
    """As whom the service knows its sender, or a log beside it; `None`: nobody."""
    stamp: Stamp | None
    """Where it stands at Ably; `None`: it is not kept, or nobody vouches for its sender."""
    logged: Stamp | None
    """Where it stands in a log beside Ably; `None`: it was not announced by one."""

    def __repr__(self) -> str:
        return hide(self, "data")


def pack(batch: Batch, entries: Sequence[Outgoing], *, named: bool) -> list[Frame]:
    """Return the messages of one publish.

    Args:
        batch: Gives the ids their base.
        entries: Those of it that are sent.
        named: Each says whose it is; else the connection does.
    """
    messages: list[Frame] = []
    for index, entry in enumerate(entries):
        message: Frame = {"id": f"{batch.batch_id}:{index}", "name": NAME, "data": entry.data.decode()}
        if named:
            message["clientId"] = entry.ident.user
        messages.append(message)
    return messages


def pack_logged(data: bytes, stamp: Stamp) -> Frame:
    """Return a message that announces what a log took in.

    It has no id: announced again it must come again, to whoever missed it; receivers know it by its serial.
    """
    return {"name": NAME, "data": data.decode(), "clientId": LOG_CLIENT, "extras": extras_of(stamp)}


def pack_passing(data: bytes, user: str | None) -> Frame:
    """Return a message that is not kept; `user`: whose, where the connection does not say it."""
    message: Frame = {"name": NAME, "data": data.decode(), "extras": _EPHEMERAL}
    if user is not None:
        message["clientId"] = user
    return message


def measure(data: bytes, *, logged: bool = False) -> int:
    """Return the bytes that an envelope takes in a message, with room for the stamp of a log."""
    return len(data) + OVERHEAD + (STAMP_BYTES if logged else 0)


def read(item: Frame) -> Said | None:
    """Return the envelope that a message carries; `None`: it is none of ours."""
    text = text_of(item)
    if item.get("name") != NAME or not _is_new(item) or text is None:
        return None
    user, logged = as_text(item.get("clientId")), None
    if user == LOG_CLIENT:
        logged = stamp_of(as_frame(item.get("extras")))
        if logged is None:
            return None
        user = logged.user
    data = text.encode("utf-8", "surrogateescape")
    serial = as_text(item.get("serial"))
    if serial is None or user is None or is_passing(item):
        return Said(data, user, None, logged)
    at = time_of(serial)
    if at is None:
        at = as_int(item.get("timestamp")) or 0
    return Said(data, user, Stamp(key_of(serial), None, None, user, moment(at)), logged)


def _is_new(item: Frame) -> bool:
    return (item.get("action") or _CREATE) == _CREATE


def is_passing(item: Frame) -> bool:
    """Say whether a message is not kept."""
    extras = as_frame(item.get("extras"))
    return extras is not None and extras.get("ephemeral") is True


def entry_of(item: Frame) -> Entry | None:
    """Return a message of history as an entry; `None`: it is none, or nobody vouches for its sender."""
    said = read(item)
    return None if said is None or said.stamp is None else Entry(said.data, said.stamp)


def signal_of(channel: str, item: Frame, *, logged: bool = False) -> Received | Foreign:
    """Return what a message that came live is; `logged`: a log beside Ably numbers."""
    said = read(item)
    if said is None:
        id = as_text(item.get("serial")) if _is_new(item) else None  # a change has that of its message
        return Foreign(channel, as_text(item.get("name")), item.get("data"), "other_message", id)
    attested: Attested = "none" if said.user is None else "provider"
    stamp = said.logged if logged else said.stamp
    return Received(channel, said.data, said.user, attested, stamp, unforgeable=stamp is not None)


def place_of(serial: str | None) -> OrderKey | None:
    """Return where an acknowledged message stands."""
    return None if serial is None else key_of(serial)
