"""Whom a client hears in a channel that is not everybody's, direct or personal, and who hears it (D31)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from chatkit.model.directs import may_hear

if TYPE_CHECKING:
    from chatkit.model.envelope import Envelope


class Guard(NamedTuple):
    """Whose envelopes, and of which kinds, are believed in a channel, and for whom they are."""

    users: frozenset[str] | None = None
    """`None`: anybody's."""
    kinds: frozenset[str] | None = None
    """`None`: any."""
    ears: frozenset[str] = frozenset()
    """For whom it is, of the users of this client."""

    def refusal(self, envelope: Envelope) -> str | None:
        """Say why an envelope is not believed; `None`: it is."""
        if not self.admits(envelope.sender.user):
            return "not_a_member"
        if self.kinds is not None and envelope.kind not in self.kinds:
            return "other_kind"
        return None

    def admits(self, user: str) -> bool:
        """Say whether a user has a say here."""
        return self.users is None or user in self.users


def is_for(guards: Mapping[str, Guard], channel: str, user: str) -> bool:
    """Say whether a channel is for a user; a hash for a name does not tell, until somebody asks for it."""
    guard = guards.get(channel)
    return may_hear(channel, user) is True if guard is None else user in guard.ears
