"""Envelopes as a client would freeze them, for tests of whatever carries or keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from chatkit.model.order import Ident
from chatkit.ports.outgoing import Batch, Outgoing

DEVICE = "device1"


def message_id(number: int) -> str:
    """Return the id of the numbered envelope."""
    return str(UUID(int=(7 << 76) | (2 << 62) | number))


def wish(
    number: int,
    *,
    user: str = "ada",
    device: str = DEVICE,
    channel: str = "support",
    kind: str = "message.create",
    body: Mapping[str, Any] | None = None,
    target: Outgoing | None = None,
    base: int | None = None,
    thread: Outgoing | None = None,
    seq: int | None = 0,
    not_after: datetime | None = None,
    **fields: Any,
) -> Outgoing:
    """Return an envelope on its way out; `seq` 0 means: as its number."""
    ident = Ident(user, message_id(number))
    seq = number if seq == 0 else seq
    if body is None and kind in {"message.create", "message.update"}:
        body = {"type": "text", "text": f"text {number}"}
    ref = None if target is None else {"id": target.ident.id, "user": target.ident.user, "base": base}
    root = None if thread is None else {"id": thread.ident.id, "user": thread.ident.user}
    envelope = {
        "v": 1,
        "id": ident.id,
        "kind": kind,
        "channel": channel,
        "sender": {"user": user, "device": device},
        "seq": seq,
        "at": "2026-01-01T00:00:00.000Z",
        "ref": ref,
        "thread": root,
        "body": body,
        **fields,
    }
    return Outgoing(ident, device, seq, json.dumps(envelope).encode(), not_after)


def change(number: int, kind: str, target: Outgoing, **fields: Any) -> Outgoing:
    """Return an edit, delete, restore or reaction on its way out."""
    if kind.startswith("reaction."):
        fields.setdefault("body", {"type": "emoji", "emoji": "👍"})
    return wish(number, kind=kind, target=target, **fields)


def batch(*entries: Outgoing, channel: str = "support", batch_id: str = "batch-1") -> Batch:
    """Return entries as one publish."""
    return Batch(batch_id, channel, entries)


def text_of(data: bytes) -> str | None:
    """Return what an envelope says, or `None` if it has no body."""
    body = json.loads(data).get("body")
    return body["text"] if body else None
