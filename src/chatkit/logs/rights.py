"""Who may change what (D2, D9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from chatkit.errors import ChatkitError, MessageNotFound, NotAllowed, VersionConflict

if TYPE_CHECKING:
    from chatkit.model.envelope import Envelope

CHANGES: Final = frozenset(
    {"message.update", "message.delete", "message.restore", "reaction.add", "reaction.remove"}
)
"""Kinds that need a target."""


def unpublished(envelope: Envelope) -> ChatkitError:
    """Return why a message is refused that its sender may not publish."""
    return NotAllowed(
        "only an owner may publish in a broadcast channel", channel=envelope.channel, message_id=envelope.id
    )


class Target(Protocol):
    """What is asked of a message that is to be changed."""

    @property
    def user(self) -> str:
        """Who wrote it."""
        ...

    @property
    def version(self) -> int:
        """How many changes it has seen, 1 at first."""
        ...


def objection(envelope: Envelope, target: Target | None, *, moderator: bool) -> ChatkitError | None:
    """Return why a change is refused, or `None`.

    Args:
        envelope: One of `CHANGES`, its sender attested.
        target: The message it names; `None`: there is none.
        moderator: Its sender moderates the channel.
    """
    where = {"channel": envelope.channel, "message_id": envelope.id}
    if target is None or envelope.ref is None:
        return MessageNotFound("the message that this is for is not in the log", **where)
    own = envelope.sender.user == target.user
    if envelope.kind == "message.update" and not own:
        return NotAllowed("only its author may edit a message", **where)
    if envelope.kind in {"message.delete", "message.restore"} and not own and not moderator:
        return NotAllowed("only its author or a moderator may delete or restore a message", **where)
    if envelope.ref.base is not None and envelope.ref.base != target.version:
        return VersionConflict(f"the message is at version {target.version} by now", **where)
    return None
