"""Events as the user who listens sees them, where one client speaks for several."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chatkit.model.events import (
    Event,
    MessageEvent,
    MessageUpdated,
    PinChanged,
    PresenceChanged,
    ReceiptAdvanced,
    RoleChanged,
    TypingChanged,
)


def seen_by(user: str, event: Event) -> Event:
    """Return an event of another user's client as a user sees it: `own` is about who listens."""
    if isinstance(event, TypingChanged):
        return replace(event, users=event.users - {user})
    if isinstance(event, ReceiptAdvanced | RoleChanged | PinChanged):
        return replace(event, own=event.user == user)
    if isinstance(event, PresenceChanged):
        return replace(event, own=event.member.user == user)
    if not isinstance(event, MessageEvent):
        return event
    mine = event.message.sender.user == user
    changes: dict[str, Any] = {"message": replace(event.message, own=mine)}
    if isinstance(event, MessageUpdated) and event.previous is not None:
        changes["previous"] = replace(event.previous, own=mine)
    return replace(event, own=mine, **changes)
