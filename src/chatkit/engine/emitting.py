"""Envelopes that are written at once and never queued: of the ephemeral class, and of registers (D25)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chatkit.model.envelope import Envelope
from chatkit.model.ids import new_message_id
from chatkit.model.values import format_time

if TYPE_CHECKING:
    from chatkit.engine.context import Context
    from chatkit.model.order import Ident


def passing_envelope(
    context: Context,
    channel: str,
    kind: str,
    body: Mapping[str, Any],
    *,
    user: str,
    device: str,
    thread: Ident | None = None,
    ttl: int | None = None,
) -> bytes:
    """Return an envelope of a user's device, of a channel or a thread; `ttl`: milliseconds that it holds.

    Raises:
        InvalidMessage: It cannot be sent; the field is named.
    """
    fields = {
        "v": 1,
        "id": new_message_id(context.server_time.now_ms(), context.random),
        "kind": kind,
        "channel": channel,
        "sender": {"user": user, "device": device},
        "at": format_time(context.clock.wall()),
        "thread": None if thread is None else {"id": thread.id, "user": thread.user},
        "body": dict(body),
        "ttl": ttl,
    }
    return Envelope.from_dict(fields).encode()
