"""What the hub lets a caller do with its log beside appending: it attests who asks, as a server does (D2)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from chatkit.adapters.memory.peer import Caller
from chatkit.core.roles import objection_to_pin, objection_to_role, owned, role_of, roles_in
from chatkit.errors import NotAllowed
from chatkit.model.directs import may_hear
from chatkit.model.names import EVERYONE
from chatkit.model.registers import KIND, OWNER, PINS, ROLE, UNREAD, Register
from chatkit.model.search import SearchPage

if TYPE_CHECKING:
    from chatkit.logs.core import LogCore


def check_hear(caller: Caller, *channels: str) -> None:
    """Let a user hear and read their own personal and direct channels, of these. `NotAllowed`.

    A name that is a hash tells nobody whose it is.
    """
    for channel in channels:
        if not caller.trusted and may_hear(channel, caller.user) is False:
            raise NotAllowed("this credential hears its own user's direct channels only", channel=channel)


def audible(caller: Caller, page: SearchPage) -> SearchPage:
    """Return hits without those in direct channels of others."""
    if caller.trusted:
        return page
    found = (hit for hit in page.items if may_hear(json.loads(hit.data)["channel"], caller.user) is not False)
    return page._replace(items=tuple(found))


def check_put(caller: Caller, core: LogCore, registers: Sequence[Register]) -> None:
    """Let a user set their own registers, and of a channel's what their role allows. `NotAllowed`.

    Owners give roles and say what kind of channel it is; who pins says `chatkit.core.roles`. A channel in
    which nobody ever had a role, and nobody else has written, belongs to whoever claims it first.
    """
    if caller.trusted:
        return
    given: dict[str, list[Register]] = {}
    for register in registers:
        channel, user = register.channel, register.user
        if register.name != ROLE and user == caller.user:
            continue
        if channel not in given:
            given[channel] = list(core.registers(channel, [ROLE]))
        before = given[channel]
        problem = _objection(caller.user, core, register, before)
        if problem is not None:
            raise NotAllowed(problem, channel=channel)
        before.append(register)


def _objection(by: str, core: LogCore, register: Register, before: Sequence[Register]) -> str | None:
    """Return why a user may not set a register that is not theirs alone; `before`: roles that come first."""
    roles = roles_in(before)
    if register.name == ROLE:
        if register.user == by and register.value == OWNER and not before:
            return None if core.unclaimed(register.channel, by) else "this channel is not to be claimed"
        role = role_of(register.value)
        if role is None and register.value:
            return "there is no such role"
        return objection_to_role(roles, by, register.user, role)
    if register.user == EVERYONE and register.name == KIND:
        return None if roles.get(by) == OWNER else "only an owner says what kind of channel it is"
    if register.user == EVERYONE and register.name in PINS:
        return objection_to_pin(roles.get(by), has_owner=owned(roles))
    return "this credential sets its own user's registers only"


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
