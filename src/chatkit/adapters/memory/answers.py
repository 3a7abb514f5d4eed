"""What the hub answers to a publish that it does not carry out: one `Ack` an entry (D12)."""

from __future__ import annotations

from collections.abc import Sequence

from chatkit.adapters.memory.network import Refusal
from chatkit.errors import AuthenticationError, ChatkitError, NotAllowed, ProviderError, RateLimited
from chatkit.ports.outgoing import Ack, Again, Outgoing, Scope


def refuse(entry: Outgoing, error: ChatkitError) -> Ack:
    """Refuse one entry for good."""
    return Ack(entry.ident, "refused", error=error)


def put_off(entry: Outgoing, error: ChatkitError, *, scope: Scope | None = None) -> Ack:
    """Answer one entry with an error, as far and as long as the error reaches."""
    if isinstance(error, AuthenticationError):
        return Ack(entry.ident, "unsent", error=error, scope=scope or "connection", again="reauthenticate")
    if isinstance(error, RateLimited):
        return Ack(
            entry.ident,
            "unsent",
            error=error,
            scope=scope or "connection",
            again="later",
            after=error.retry_after,
        )
    if type(error) is ProviderError:  # the server's own failure, which passes
        return Ack(entry.ident, "unsent", error=error, scope=scope or "entry", again="later")
    return Ack(entry.ident, "refused", error=error, scope=scope or "entry")


def refuse_all(entries: Sequence[Outgoing], refusal: Refusal) -> tuple[Ack, ...]:
    """Answer every entry with what the network's control asked for."""
    return tuple(put_off(entry, refusal.error, scope=refusal.scope) for entry in entries)


def again_of(error: ChatkitError) -> Again:
    """Say what a connection refused with this error asks for."""
    if isinstance(error, AuthenticationError):
        return "reauthenticate"
    return "never" if isinstance(error, NotAllowed) else "later"
