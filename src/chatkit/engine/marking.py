"""Marks on the wire: what a client announces of its receipts, and what it believes of others' (D25)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from chatkit.engine.emitting import passing_envelope
from chatkit.errors import InvalidMessage
from chatkit.model.ids import is_message_id
from chatkit.model.order import OrderKey
from chatkit.model.registers import DELIVERED, READ, Register, check

if TYPE_CHECKING:
    from chatkit.engine.context import Context
    from chatkit.engine.reading import Passing
    from chatkit.model.order import Ident

KINDS: Final = {"state.read": READ, "state.delivered": DELIVERED}
"""Which register each kind of envelope announces."""
_LONGEST: Final = 512
"""Bytes of a place: a reading of the clock, a user and two ids take 300."""


class Announced(NamedTuple):
    """What an envelope says."""

    register: Register | None
    """`None`: that something changed, and no more: the log is to be asked."""
    log_id: str | None
    """Whose numbers its place is of."""


def announcement(
    context: Context,
    channel: str,
    name: str,
    register: Register | None,
    *,
    device: str,
    log_id: str | None,
    thread: Ident | None = None,
) -> bytes:
    """Return an envelope that announces a mark of this client's user; without one: that the log be asked."""
    body: dict[str, Any] = {"type": "mark"}
    if register is not None and register.key is not None:
        body |= {"id": register.value, "epoch": register.key.epoch, "serial": register.key.serial}
        if log_id is not None:
            body["log"] = log_id
    kind = f"state.{name}"
    return passing_envelope(context, channel, kind, body, user=context.user, device=device, thread=thread)


def announced(passing: Passing, channel: str) -> Announced | None:
    """Read what a mark's envelope says; `None`: it is none.

    A mark whose sender nobody vouches for moves nothing: it only says that something changed (D2).
    """
    body = passing.envelope.body or {}
    log_id = body.get("log")
    if body.get("type") != "mark" or not passing.envelope.readable or not isinstance(log_id, str | None):
        return None
    if passing.attested == "none" or "id" not in body:
        return Announced(None, log_id)
    id, epoch, serial = body["id"], body.get("epoch"), body.get("serial")
    if not isinstance(id, str) or not is_message_id(id) or not isinstance(serial, str):
        return None
    if type(epoch) is not int or len(serial) > _LONGEST:
        return None
    name = KINDS[passing.envelope.kind]
    register = Register(channel, passing.user, name, id, "greatest", OrderKey(epoch, serial))
    try:
        check(register)
    except InvalidMessage:
        return None
    return Announced(register, log_id)
