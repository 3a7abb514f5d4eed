"""Who may write what in direct and personal channels, as their names tell (D31)."""

from __future__ import annotations

from typing import Final

from chatkit.model.names import DIRECT, PERSONAL, escape, personal

INVITATION: Final = "direct.open"
"""The kind of envelope that a personal channel takes: its sender has opened a direct channel with the user.

No prefix that is known, so that it is an entry of the log like any message: kept, numbered, sent once.
"""
INVITE: Final = "direct"
"""The kind of an outbox row that is an invitation."""


def has_part(channel: str, user: str) -> bool | None:
    """Say whether a user is one of the two of a direct channel; `None`: its name, a hash, does not tell."""
    ids = channel.removeprefix(DIRECT).split(".")
    return escape(user) in ids if len(ids) == 2 else None


def may_hear(channel: str, user: str) -> bool | None:
    """Say whether a channel is for a user's ears; `None`: its name, a hash, does not tell."""
    if channel.startswith(PERSONAL):
        return channel == personal(user)
    return has_part(channel, user) if channel.startswith(DIRECT) else True


def objection(channel: str, user: str, kind: str) -> str | None:
    """Say why a user may not write an envelope of this kind in a channel, as far as its name tells."""
    if channel.startswith(DIRECT) and has_part(channel, user) is False:
        return "only its two users write in a direct channel"
    if channel.startswith(PERSONAL) and kind != INVITATION:
        return "a personal channel takes invitations alone"
    return None
