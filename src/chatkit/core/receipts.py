"""`Marks`: the receipts of one channel: how far each user has read and received (D25)."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Final

from chatkit.model.order import OrderKey
from chatkit.model.registers import DELIVERED, READ, UNREAD, Register, merged, place_of

PUBLIC: Final = (READ, DELIVERED)
"""Marks that everyone may see."""
MOST: Final = 10_000
"""Users whose marks are kept of one channel; of more the first that came go."""


class Marks:
    """Registers by user and name, merged: the same ones in any order, with repeats, give the same (I5, I9).

    Args:
        mine: Users whose marks never go.
        most: Users whose marks are kept.
    """

    def __init__(self, mine: Container[str], *, most: int = MOST) -> None:
        self._mine = mine
        self._most = most
        self._cells: dict[str, dict[str, Register]] = {}
        self.users = 0
        """How many users have a public mark."""
        self.evicted = 0
        """Users whose marks had to go."""

    def take(self, register: Register) -> bool:
        """Merge a register; returns whether it changed anything."""
        cells = self._cells.setdefault(register.user, {})
        old = cells.get(register.name)
        self.users += register.name in PUBLIC and not _is_public(cells)
        cells[register.name] = now = merged(old, register)
        if len(self._cells) > self._most:
            self._evict(register.user)
        return now != old

    def get(self, user: str, name: str) -> Register | None:
        """Return one register."""
        return self._cells.get(user, {}).get(name)

    def of(self, user: str) -> tuple[Register, ...]:
        """Return all registers of a user."""
        return tuple(self._cells.get(user, {}).values())

    def place(self, user: str, name: str = READ) -> OrderKey | None:
        """Return up to where a user has read, or received."""
        found = self.get(user, name)
        return None if found is None else found.key

    def again(self, user: str) -> OrderKey | None:
        """Return from where on all is unread again, for a user who marked it so."""
        found = self.get(user, UNREAD)
        return None if found is None else place_of(found.value)

    def read(self) -> Iterator[Register]:
        """Give how far each user has read."""
        return (cells[READ] for cells in self._cells.values() if READ in cells)

    def reached(self, key: OrderKey, *names: str) -> frozenset[str]:
        """Return whose mark, of one of these names, stands at a place or above it."""
        return frozenset(
            user
            for user, cells in self._cells.items()
            if any((cell := cells.get(name)) and cell.key and cell.key >= key for name in names)
        )

    def _evict(self, newest: str) -> None:
        for user in self._cells:
            if user != newest and user not in self._mine:
                self.users -= _is_public(self._cells.pop(user))
                self.evicted += 1
                return


def _is_public(cells: Mapping[str, Register]) -> bool:
    return any(name in cells for name in PUBLIC)
