"""From a signal to what this client believes: whose envelope, where it stands, or a foreign one (D2, D3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chatkit.core.fact import Fact
from chatkit.errors import InvalidMessage
from chatkit.model.envelope import Envelope
from chatkit.model.order import Ident, clock_key
from chatkit.model.values import packed

if TYPE_CHECKING:
    from chatkit.engine.context import Context
    from chatkit.model.entry import Entry, Stamp
    from chatkit.model.message import Attested
    from chatkit.model.order import OrderKey
    from chatkit.ports import Ack, Outgoing, Received


class Refused(NamedTuple):
    """Why a frame is not believed."""

    reason: str


class Passing(NamedTuple):
    """An envelope that is not kept: ephemeral, or a register."""

    envelope: Envelope
    user: str
    attested: Attested
    """Who vouches for the sender (D2)."""


def believe(context: Context, signal: Received) -> Fact | Passing | Refused:
    """Read an envelope that came over the wire.

    A stamp counts only on a path that members cannot write to; without one the place is the hybrid clock's.
    """
    read = _read(context, signal.data, signal.channel, signal.user)
    if isinstance(read, Refused):
        return read
    user = read.sender.user
    if read.klass != "log":
        return Passing(read, user, signal.attested)
    if signal.stamp is not None and signal.unforgeable:
        return _stamped(context, read, signal.data, signal.stamp, vouched(context, signal.attested))
    if context.adapter.capabilities.order != "clock":
        return Refused("unstamped")
    if read.hlc is None:
        return Refused("unordered")
    suspect = _merge(context, read)
    ident, place = Ident(user, read.id), _place(read)
    return Fact(read, signal.data, ident, place, False, None, signal.attested, context.origin, None, suspect)


def from_log(context: Context, channel: str, entry: Entry) -> Fact | Refused:
    """Read an entry of a log.

    Raw history holds what members wrote, as the wire brought it, so that no less is asked of it: what is
    refused live is refused here, or clients would differ (I5).
    """
    read = _read(context, entry.data, channel, None)
    if isinstance(read, Refused):
        return read
    if read.klass != "log":
        return Refused("no_entry")
    return _stamped(context, read, entry.data, entry.stamp, "provider", revised=entry.revised)


def vouched(context: Context, attested: Attested) -> Attested:
    """Return who vouches for a stamped envelope that is known by another way than a read of the log.

    A log that checks rights vouches for its entries itself. By whichever way one comes, it must count as
    much: else a change that came live would be too weak for its message that was read from the log (D2, I5).
    """
    return "provider" if context.fenced else attested


def own(outgoing: Outgoing, ack: Ack, attested: Attested, origin: str) -> Fact:
    """Return the fact that an acknowledgement proves: our own envelope, now with its place."""
    envelope = Envelope.parse(outgoing.data)
    key, stamped = ack.key or _place(envelope), ack.key is not None
    ident, data = outgoing.ident, outgoing.data
    return Fact(envelope, data, ident, key, stamped, ack.sent_at, attested, origin, ack.prev)


def _read(context: Context, data: bytes, channel: str, attested: str | None) -> Envelope | Refused:
    """Return an envelope that came in a channel, from whom it says; `attested`: the sender as vouched for."""
    try:
        envelope = Envelope.parse(data)
    except InvalidMessage:
        return Refused("unreadable")
    if envelope.channel != channel:
        return Refused("other_channel")
    if attested is not None and attested != envelope.sender.user:
        return Refused("forged_sender")
    guard = context.guards.get(channel)
    refusal = None if guard is None else guard.refusal(envelope)
    return envelope if refusal is None else Refused(refusal)


def _stamped(
    context: Context,
    envelope: Envelope,
    data: bytes,
    stamp: Stamp,
    attested: Attested,
    *,
    revised: bool = False,
) -> Fact | Refused:
    user = envelope.sender.user
    if stamp.user != user:
        return Refused("forged_sender")
    suspect = _merge(context, envelope)
    origin = stamp.log_id or context.origin
    ident = packed(Ident, (user, envelope.id))
    return packed(
        Fact,
        (envelope, data, ident, stamp.key, True, stamp.at, attested, origin, stamp.prev, suspect, revised),
    )


def _place(envelope: Envelope) -> OrderKey:
    assert envelope.hlc is not None  # noqa: S101  # stamped at the first attempt, or refused above
    return clock_key(envelope.hlc, envelope.sender.user, envelope.sender.device, envelope.id)


def _merge(context: Context, envelope: Envelope) -> bool:
    """Let our clock follow; returns whether the reading is too far ahead to be believed (D4)."""
    hlc = envelope.hlc
    return hlc is not None and not context.hlc.observe(hlc, context.server_time.now_ms())
