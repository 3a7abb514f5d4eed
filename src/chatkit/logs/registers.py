"""`Registers`: last-value cells in memory (D25)."""

from __future__ import annotations

from collections.abc import Sequence

from chatkit.core.roles import may_publish
from chatkit.model.names import EVERYONE
from chatkit.model.order import OrderKey
from chatkit.model.registers import KIND, MODERATORS, READ, ROLE, UNREAD, Register, check, merged, place_of


class Registers:
    """The registers of all channels: as many as are put."""

    def __init__(self) -> None:
        self._channels: dict[str, dict[tuple[str, str], Register]] = {}

    def put(self, registers: Sequence[Register]) -> None:
        """Merge registers, all or none.

        Raises:
            InvalidMessage: One is none.
        """
        for register in registers:
            check(register)
        for register in registers:
            cells = self._channels.setdefault(register.channel, {})
            cell = register.name, register.user
            cells[cell] = merged(cells.get(cell), register)

    def get(self, channel: str, name: str, user: str) -> Register | None:
        """Return one register."""
        return self._channels.get(channel, {}).get((name, user))

    def named(self, channel: str, names: Sequence[str], users: Sequence[str] | None) -> tuple[Register, ...]:
        """Return registers by name, then user, as bytes."""
        wanted, chosen = frozenset(names), None if users is None else frozenset(users)
        cells = self._channels.get(channel, {})
        found = (cell for cell in cells if cell[0] in wanted and (chosen is None or cell[1] in chosen))
        return tuple(cells[cell] for cell in sorted(found))

    def moderates(self, channel: str, user: str) -> bool:
        """Say whether a user moderates a channel (D2)."""
        role = self.get(channel, ROLE, user)
        return role is not None and role.value in MODERATORS

    def publishes(self, channel: str, user: str) -> bool:
        """Say whether a user may make messages in a channel."""
        kind, role = self.get(channel, KIND, EVERYONE), self.get(channel, ROLE, user)
        return may_publish(kind and kind.value, role and role.value)

    def marks(self, channel: str, user: str) -> tuple[OrderKey | None, OrderKey | None]:
        """Return up to where a user has read, and from where on that is unread again."""
        read = self.get(channel, READ, user)
        again = self.get(channel, UNREAD, user)
        return read and read.key, again and place_of(again.value)
