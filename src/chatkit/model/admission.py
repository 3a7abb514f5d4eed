"""What every log asks of an entry before it looks anything up."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING

from chatkit.errors import ChatkitError, NotAllowed, Rejected
from chatkit.model.directs import objection
from chatkit.model.envelope import Envelope
from chatkit.model.order import Ident

if TYPE_CHECKING:
    from chatkit.ports.outgoing import Outgoing


def mismatch(channel: str, entry: Outgoing, envelope: Envelope) -> ChatkitError | None:
    """Return why an envelope is not what it is handed over as (D2), or not for a log or this channel."""
    where = {"channel": channel, "message_id": entry.ident.id}
    if envelope.channel != channel:
        return NotAllowed("the envelope names another channel", **where)
    if Ident(envelope.sender.user, envelope.id) != entry.ident or envelope.sender.device != entry.device:
        return NotAllowed("the envelope names another sender, device or id", **where)
    if envelope.klass != "log":
        return Rejected(f"a log keeps no envelope of class {envelope.klass}", **where)
    if envelope.claim is not None:
        return Rejected("a claim check is for frames: a log keeps the body itself", **where)
    stranger = objection(channel, envelope.sender.user, envelope.kind)
    return None if stranger is None else NotAllowed(stranger, **where)


def digest(envelope: Envelope, secret: bytes) -> bytes:
    """Return what tells bodies apart and says nothing of erased ones: a digest of 16 bytes, keyed."""
    text = json.dumps(envelope.body, sort_keys=True, ensure_ascii=False)
    return blake2b(text.encode(), key=secret, digest_size=16).digest()
