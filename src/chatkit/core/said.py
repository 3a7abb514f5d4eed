"""`Said`: what one device says of itself where it is present (D32)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast

from chatkit.errors import InvalidMessage
from chatkit.model import ijson
from chatkit.model.values import EMPTY

Standing: TypeAlias = Literal["online", "away", "offline"]

DATA: Final = 1_024
"""Most bytes of one device's data, as JSON."""


class Said(NamedTuple):
    """What one device says of itself."""

    status: Standing = "online"
    data: Mapping[str, Any] = EMPTY

    def fields(self) -> dict[str, Any]:
        """Return it as it travels."""
        return {"status": self.status, "data": dict(self.data)}


DEFAULT: Final = Said()
"""What is true of a device that says nothing."""


def packed_data(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a copy of data that nobody can change.

    Raises:
        InvalidMessage: It is no JSON, or more than `DATA` bytes of it.
    """
    if not given:
        return EMPTY
    text = ijson.dumps(dict(given))
    if len(text) > DATA:
        raise InvalidMessage(f"data: is more than {DATA:,} bytes of JSON")
    return MappingProxyType(ijson.loads(text, limit=DATA))


def read_said(fields: Mapping[str, Any]) -> tuple[Said, bool]:
    """Read what a device says of itself; what cannot be read is left out.

    Returns:
        What it says, and whether all of it could be read.
    """
    status, data = fields.get("status", "online"), fields.get("data", EMPTY)
    known: Standing = "away" if status == "away" else "offline" if status == "offline" else "online"
    if not isinstance(data, Mapping):
        return Said(known), False
    try:
        kept = packed_data(cast("Mapping[str, Any]", data))
    except InvalidMessage:
        return Said(known), False
    return Said(known, kept), known == status
