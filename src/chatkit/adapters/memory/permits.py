"""What the hub lets a caller do with its log beside appending: it attests who asks, as a server does (D2)."""

from __future__ import annotations

from collections.abc import Sequence

from chatkit.adapters.memory.peer import Caller
from chatkit.errors import NotAllowed
from chatkit.model.registers import ROLE, UNREAD, Register


def check_put(caller: Caller, registers: Sequence[Register]) -> None:
    """Let a user set their own registers, but name no moderators. `NotAllowed`."""
    if caller.trusted:
        return
    for register in registers:
        if register.user != caller.user:
            raise NotAllowed("this credential sets its own user's registers only", channel=register.channel)
        if register.name == ROLE:
            raise NotAllowed("this credential gives no roles", channel=register.channel)


def check_unread(caller: Caller, user: str) -> None:
    """Let a user count their own messages. `NotAllowed`."""
    if not caller.trusted and user != caller.user:
        raise NotAllowed("this credential counts its own user's messages only")


def check_trim(caller: Caller, channel: str) -> None:
    """Let nobody forget what is everyone's. `NotAllowed`."""
    if not caller.trusted:
        raise NotAllowed("this credential trims no channel", channel=channel)


def visible(caller: Caller, registers: Sequence[Register]) -> Sequence[Register]:
    """Return registers without those that are private to others."""
    if caller.trusted:
        return registers
    return tuple(cell for cell in registers if cell.name != UNREAD or cell.user == caller.user)
