"""What somebody wants of a channel's registers, until its log says what became of it (D25)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Final, Literal, TypeAlias

from chatkit.errors import ChatkitError
from chatkit.model.names import EVERYONE
from chatkit.model.order import Ident, OrderKey
from chatkit.model.pins import Pinned, pin_of
from chatkit.model.registers import PINS, Register

Cells: TypeAlias = "Mapping[tuple[str, str], Register]"
"""Registers of one channel by name and user."""
WishStatus: TypeAlias = Literal["queued", "sent", "failed", "discarded"]

_PIN: Final = "pin:"
_STORED: Final = "wish."


class Wish:
    """One change that is wanted, and its fate.

    Args:
        register: What is to be. A pin has no place yet: its name and user are those of the message.
        slot: A number of its own among those that wait.
    """

    def __init__(self, register: Register, slot: int) -> None:
        self.register = register
        self.slot = slot
        """Where it lies in the store."""
        self.status: WishStatus = "queued"
        self.error: ChatkitError | None = None
        self.met: ChatkitError | None = None
        """What the last attempt to have the log take it met."""
        self.ended = asyncio.Event()
        self.tries = 0
        """Places that it was put in and that others took."""

    @property
    def cell(self) -> tuple[str, str]:
        """What it is about: of several about the same the newest counts."""
        return self.register.name, self.register.user

    @property
    def pin(self) -> Ident | None:
        """The message that it pins or unpins."""
        name, user = self.cell
        return Ident(user, name.removeprefix(_PIN)) if name.startswith(_PIN) else None

    def end(self, status: WishStatus, error: ChatkitError | None = None) -> None:
        """Say what became of it."""
        self.status, self.error = status, error
        self.ended.set()


def pin_name(ident: Ident) -> str:
    """Return what the wish to pin a message is called; its user is the author."""
    return _PIN + ident.id


def holds(cell: Register, ident: Ident) -> bool:
    """Say whether a register pins a message."""
    found = pinned_in(cell)
    return found is not None and found.ident == ident


def pinned_in(cell: Register | None) -> Pinned | None:
    """Return what a register pins; `None`: it pins nothing."""
    return None if cell is None or cell.name not in PINS else pin_of(cell.value)


def registers_for(wish: Wish, cells: Cells) -> list[Register] | None:
    """Return the registers that make a wish true; `None`: there is no room for a pin."""
    ident, wanted = wish.pin, wish.register
    if ident is None:
        return [wanted]
    held = [cell for cell in cells.values() if holds(cell, ident)]
    if not wanted.value:  # one that was pinned after this was wished stays
        return [cell._replace(value="", key=wanted.key) for cell in held if not _newer(cell, wanted)]
    if held:
        return []
    free = [place for place in PINS if pinned_in(cells.get((place, EVERYONE))) is None]
    if not free:
        return None
    # The same message gets the same place from whoever pins it, and different ones rarely the same.
    place = free[int.from_bytes(sha256("\n".join(ident).encode()).digest()[:8]) % len(free)]
    before = cells.get((place, EVERYONE))
    key = before.key if before is not None and _newer(before, wanted) else wanted.key
    return [wanted._replace(user=EVERYONE, name=place, key=key)]


def outcome(wish: Wish, cells: Cells) -> WishStatus:
    """Say what became of a wish, by what the log holds after it was put there; `queued`: not yet true."""
    ident, wanted = wish.pin, wish.register.value
    if ident is None:
        now = cells.get(wish.cell)
        return "sent" if now is not None and now.value == wanted else "discarded"
    if any(holds(cell, ident) for cell in cells.values()) == bool(wanted):
        return "sent"
    return "queued" if wanted else "discarded"


def _newer(cell: Register, wanted: Register) -> bool:
    return cell.key is not None and wanted.key is not None and cell.key > wanted.key


# -- in the store -----------------------------------------------------------------------------------------


def slot_name(slot: int) -> str:
    """Return what a place for a wish is called."""
    return f"{_STORED}{slot:04d}"


def stored(channel: str, slot: int, wanted: Register | None) -> Register:
    """Return a wish as the store keeps it, in one of so many places; `None`: the place is free."""
    fields = wanted and [wanted.name, wanted.user, wanted.value, wanted.key]
    value = "" if fields is None else json.dumps(fields, ensure_ascii=False)
    return Register(channel, EVERYONE, slot_name(slot), value, "newest", None)


def recalled(cell: Register) -> Wish | None:
    """Read `stored`; `None`: it is no wish, or its place is free."""
    if not cell.name.startswith(_STORED) or not cell.value:
        return None
    name, user, value, key = json.loads(cell.value)
    register = Register(cell.channel, user, name, value, "newest", key and OrderKey(*key))
    return Wish(register, int(cell.name.removeprefix(_STORED)))
