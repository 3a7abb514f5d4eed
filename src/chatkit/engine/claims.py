"""Claim checks: what is announced of an entry that is too large for a frame (D29).

The log has it whole. Its announcement says who sent what kind of message, and where it stands; readers take
that as a sign that there is something to read. Without the log they know only that it is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chatkit.model import ijson
from chatkit.model.bodies import body_text, decode_body
from chatkit.model.envelope import Envelope

if TYPE_CHECKING:
    from chatkit.engine.context import Context
    from chatkit.ports import Outgoing

SUMMARY: Final = 200
"""Most characters of its words that a claim check shows."""


def announced(context: Context, channel: str, outgoing: Outgoing) -> Outgoing:
    """Return an entry as it is announced: as it is, or with a claim check in place of its body."""
    adapter = context.adapter
    if adapter.measure(channel, outgoing.data) <= adapter.capabilities.frame_bytes:
        return outgoing
    return outgoing._replace(data=claim_check(outgoing.data))


def claim_check(data: bytes) -> bytes:
    """Return an envelope with a claim check in place of its body; one without a body as it is."""
    envelope = Envelope.parse(data)
    if envelope.body is None:
        return data
    words = body_text(decode_body(envelope.body))[:SUMMARY]
    body = {"type": "claim", "bytes": len(ijson.dumps(envelope.body)), "summary": words}
    return envelope.model_copy(update={"body": body}).encode()
