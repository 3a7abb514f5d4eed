"""Stamps of a log beside Ably: in a header of the message, under a client id that is nobody's.

Members may publish what they like in a channel, but under their own client id alone. So a stamp is believed
under one that only a holder of the key takes: it is not in Unicode normal form C, so it is no user of
chatkit's, and no app gives a token for it (decision 21).
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

from chatkit.adapters.ably.wire import Frame, as_frame, as_int, as_text
from chatkit.model.entry import Stamp
from chatkit.model.order import OrderKey

LOG_CLIENT: Final = "chatkit-lo\u0301g"
"""The client id of announcements: with an accent that stands beside its letter."""
HEADER: Final = "chatkit-stamp"
STAMP_BYTES: Final = 900
"""Most that a stamp takes: its numbers, the name of its log, and a user of 128 bytes, each escaped twice."""


def extras_of(stamp: Stamp) -> Frame:
    """Return the extras of a message with a stamp."""
    fields: dict[str, Any] = {"epoch": stamp.key.epoch, "serial": stamp.key.serial, "prev": stamp.prev}
    fields |= {"log": stamp.log_id, "at": stamp.at.isoformat(), "user": stamp.user}
    told = {name: value for name, value in fields.items() if value is not None}
    return {"headers": {HEADER: json.dumps(told, ensure_ascii=False, separators=(",", ":"))}}


def stamp_of(extras: Frame | None) -> Stamp | None:
    """Return the stamp of a message; `None`: there is none that can be read."""
    headers = as_frame((extras or {}).get("headers")) or {}
    try:
        fields = as_frame(json.loads(as_text(headers.get(HEADER)) or "null")) or {}
        at = datetime.fromisoformat(as_text(fields.get("at")) or "")
    except (ValueError, RecursionError):
        return None
    epoch, serial, user = (
        as_int(fields.get("epoch")),
        as_text(fields.get("serial")),
        as_text(fields.get("user")),
    )
    prev, log = fields.get("prev"), fields.get("log")
    if epoch is None or serial is None or user is None or at.tzinfo is None:
        return None
    if not isinstance(prev, str | None) or not isinstance(log, str | None):
        return None
    return Stamp(OrderKey(epoch, serial), prev, log, user, at)
