"""How a profile shows places: as the log counts them, or in the manner of Ably.

An Ably-like serial is opaque to clients and sorts as text: the time, a counter, the series, the index. Only
the hub looks inside it again.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

from chatkit.model.entry import Stamp
from chatkit.model.order import OrderKey

Style: TypeAlias = "Literal['digits', 'ably']"

_SHAPE: Final = re.compile(r"\d{14}-(\d{20})@hub:000").fullmatch
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def ably_stamp(stamp: Stamp) -> Stamp:
    """Return a stamp as Ably would say it: epoch 1, its own serial, no predecessor and no log."""
    moment = (stamp.at - _EPOCH) // timedelta(milliseconds=1)
    serial = f"{moment:014d}-{stamp.key.serial}@hub:000"
    return stamp._replace(key=OrderKey(1, serial), prev=None, log_id=None)


def log_serial(serial: str, style: Style) -> str | None:
    """Return the log's own serial for one that a client was shown; `None`: it was never shown one."""
    if style == "digits":
        return serial
    found = _SHAPE(serial)
    return found[1] if found else None
