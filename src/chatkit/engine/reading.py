"""From a signal to what this client believes: whose envelope it is, where it stands, or that it is foreign (D2, D3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chatkit.core.fact import Fact
from chatkit.errors import InvalidMessage
from chatkit.model.envelope import Envelope
from chatkit.model.order import clock_key

if TYPE_CHECKING:
    from chatkit.engine.context import Context
    from chatkit.model.entry import Entry
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


def believe(context: Context, signal: Received) -> Fact | Passing | Refused:
    """Read an envelope that came over the wire.

    A stamp counts only on a path that members cannot write to; without one the place is the hybrid clock's.
    """
    try:
        envelope = Envelope.parse(signal.data)
    except InvalidMessage:
        return Refused("unreadable")
    if envelope.channel != signal.channel:
        return Refused("other_channel")
    if signal.user is not None and signal.user != envelope.sender.user:
        return Refused("forged_sender")
    user = envelope.sender.user
    if envelope.klass != "log":
        return Passing(envelope, user)
    stamp = signal.stamp if signal.unforgeable else None
    if stamp is not None:
        if stamp.user != user:
            return Refused("forged_sender")
        suspect = _merge(context, envelope)
        origin = stamp.log_id or context.origin
        return Fact(
            envelope, signal.data, user, stamp.key, True, stamp.at, signal.attested, origin, stamp.prev, suspect
        )
    if context.adapter.capabilities.order != "clock":
        return Refused("unstamped")
    if envelope.hlc is None:
        return Refused("unordered")
    suspect = _merge(context, envelope)
    return Fact(
        envelope, signal.data, user, _place(envelope), False, None, signal.attested, context.origin, None, suspect
    )


def from_log(context: Context, channel: str, entry: Entry) -> Fact | None:
    """Read an entry of the log; `None` where it is no envelope of the log class, which a log should not hold."""
    try:
        envelope = Envelope.parse(entry.data)
    except InvalidMessage:
        context.counters["unreadable_entry"] += 1
        return None
    stamp = entry.stamp
    suspect = _merge(context, envelope)
    origin = stamp.log_id or context.origin
    return Fact(envelope, entry.data, stamp.user, stamp.key, True, stamp.at, "provider", origin, stamp.prev, suspect)


def own(context: Context, outgoing: Outgoing, ack: Ack, attested: Attested, origin: str) -> Fact:
    """Return the fact that an acknowledgement proves: our own envelope, now with its place."""
    envelope = Envelope.parse(outgoing.data)
    key = ack.key or _place(envelope)
    stamped = ack.key is not None
    return Fact(envelope, outgoing.data, outgoing.ident.user, key, stamped, ack.sent_at, attested, origin)


def _place(envelope: Envelope) -> OrderKey:
    assert envelope.hlc is not None  # stamped at the first attempt, or refused above
    return clock_key(envelope.hlc, envelope.sender.user, envelope.sender.device, envelope.id)


def _merge(context: Context, envelope: Envelope) -> bool:
    """Let our clock follow; returns whether the reading is too far ahead to be believed (D4)."""
    return envelope.hlc is not None and not context.hlc.observe(envelope.hlc, context.server_time.now_ms())
