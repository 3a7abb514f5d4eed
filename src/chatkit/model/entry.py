"""What a sequencer keeps: the stamp, the entry, and the message folded from entries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from chatkit.model.order import Ident, OrderKey
from chatkit.model.values import hide


class Stamp(NamedTuple):
    """What a sequencer says of an envelope, outside the sender's bytes."""

    key: OrderKey
    prev: str | None
    """The serial before it in its epoch, where the sequencer tells (D17); "" for the first."""
    log_id: str | None
    user: str
    """The attested sender."""
    at: datetime


class Entry(NamedTuple):
    """One appended envelope and its stamp."""

    data: bytes
    stamp: Stamp
    revised: bool = False
    """Of a creation: its body is what a later version says; what it said at first is not to be had."""

    def __repr__(self) -> str:
        return hide(self, "data")


class Folded(NamedTuple):
    """One message with its changes folded in (D24)."""

    ident: Ident
    data: bytes
    """The envelope that created it; without its body once it is deleted (D26)."""
    stamp: Stamp
    edit: bytes | None
    """The envelope of the edit that shows, if there is one and the message is not deleted."""
    version: int
    """1 and one for each edit, delete and restore."""
    changed: OrderKey
    """Place of its newest change, the creation included."""
    deleted: bool
    replies: int
    last_reply: OrderKey | None
    reactions: Mapping[str, tuple[str, ...]]
    """Emoji to users, sorted."""

    def __repr__(self) -> str:
        return hide(self, "data", "edit")
