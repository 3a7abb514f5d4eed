"""Who may do what in a channel, by its roles (D2): the rules alone, for clients and servers alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from chatkit.model.registers import BROADCAST, MODERATORS, OWNER, ROLE, Register, Role

_ROLES: Final[Mapping[str, Role]] = {"owner": "owner", "moderator": "moderator", "member": "member"}


def role_of(text: object) -> Role | None:
    """Read the value of a `ROLE` register, or what an app's callback says; `None`: no role."""
    return _ROLES.get(text) if isinstance(text, str) else None


def roles_in(registers: Iterable[Register]) -> Mapping[str, Role]:
    """Return who has a role, from registers of one channel, in their order."""
    found: dict[str, Role | None] = {
        cell.user: role_of(cell.value) for cell in registers if cell.name == ROLE
    }
    return {user: role for user, role in found.items() if role is not None}


def owned(roles: Mapping[str, Role]) -> bool:
    """Say whether somebody owns the channel."""
    return OWNER in roles.values()


def objection_to_role(roles: Mapping[str, Role], by: str, user: str, role: Role | None) -> str | None:
    """Return why somebody may not give a role, or take it (`None`); `None`: they may.

    Owners give and take roles; anybody gives up their own. The last owner stays: nobody could follow.
    """
    if role != OWNER and [name for name, held in roles.items() if held == OWNER] == [user]:
        return "the last owner of a channel stays its owner" if by == user else "only an owner gives roles"
    if roles.get(by) == OWNER or (by == user and role is None):
        return None
    return "only an owner gives roles"


def objection_to_pin(role: Role | None, *, has_owner: bool) -> str | None:
    """Return why somebody with this role may not pin; `None`: they may, as everyone where nobody owns."""
    return "only an owner or a moderator pins messages" if has_owner and role not in MODERATORS else None


def may_publish(kind: str | None, role: str | None) -> bool:
    """Say whether somebody may make messages: in a broadcast channel owners alone.

    Args:
        kind: Of the channel, as its `KIND` register says; `None`: there is none.
        role: Of whoever sends.
    """
    return kind != BROADCAST or role == OWNER
