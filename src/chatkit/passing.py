"""Ephemeral envelopes of this client: measured and written, never queued (D25)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chatkit.engine.emitting import passing_envelope
from chatkit.errors import ChatkitError, MessageTooLarge

if TYPE_CHECKING:
    from chatkit.engine.engine import Engine
    from chatkit.model.order import Ident


async def emit(
    engine: Engine,
    user: str,
    channel: str,
    kind: str,
    body: Mapping[str, Any],
    *,
    thread: Ident | None = None,
    ttl: int | None = None,
) -> bool:
    """Write an ephemeral envelope; returns whether there was a connection to write it to.

    Args:
        engine: Of the client.
        user: Whose it is.
        channel: Where it goes.
        kind: `typing`, `presence.*` or `x.*`.
        body: JSON-ready.
        thread: The message in whose thread it is.
        ttl: Milliseconds that it holds.

    Raises:
        InvalidMessage: It cannot be sent; the field is named.
        MessageTooLarge: It does not fit a frame of the provider.
    """
    context, device = engine.context, engine.outbox.device
    try:
        data = passing_envelope(
            context, channel, kind, body, user=user, device=device, thread=thread, ttl=ttl
        )
    except ChatkitError as error:
        error.channel = channel
        raise
    if context.adapter.measure(channel, data) > context.adapter.capabilities.frame_bytes:
        raise MessageTooLarge("the event does not fit a frame of this provider", channel=channel)
    return await engine.emit(channel, data)
