"""What the hub answers to a publish that it does not carry out: one `Ack` an entry (D12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chatkit.adapters.memory.network import Refusal
from chatkit.adapters.memory.peer import Caller
from chatkit.errors import (
    AuthenticationError,
    ChatkitError,
    MessageTooLarge,
    NotAllowed,
    ProviderError,
    RateLimited,
    Rejected,
)
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


def inadmissible(caller: Caller, channel: str, entries: Sequence[Outgoing]) -> Mapping[int, Ack]:
    """Return the answers to entries that never get as far as being numbered, by their index."""
    profile = caller.profile
    most = profile.capabilities.batch
    if len(entries) > most:
        error = Rejected(f"a batch holds at most {most} entries", channel=channel)
        return {i: refuse(entry, error) for i, entry in enumerate(entries)}
    found: dict[int, Ack] = {}
    for i, entry in enumerate(entries):
        where = {"channel": channel, "message_id": entry.ident.id}
        if entry.ident.user != caller.user and not caller.trusted:
            found[i] = refuse(entry, NotAllowed("this credential speaks for one user only", **where))
        elif profile.measure(entry.data) > profile.capabilities.frame_bytes:
            found[i] = refuse(entry, MessageTooLarge("the message is larger than a frame", **where))
    return found


def admitted(entries: Sequence[Outgoing], bad: Mapping[int, Ack]) -> list[Outgoing]:
    """Return the entries without those that were refused."""
    return [entry for i, entry in enumerate(entries) if i not in bad]


def merged(acks: Sequence[Ack], bad: Mapping[int, Ack]) -> tuple[Ack, ...]:
    """Return the answers to admitted entries with those to the others, each in its row."""
    good = iter(acks)
    return tuple(bad[i] if i in bad else next(good) for i in range(len(acks) + len(bad)))


def refuse_all(entries: Sequence[Outgoing], refusal: Refusal) -> tuple[Ack, ...]:
    """Answer every entry with what the network's control asked for."""
    return tuple(put_off(entry, refusal.error, scope=refusal.scope) for entry in entries)


def again_of(error: ChatkitError) -> Again:
    """Say what a connection refused with this error asks for."""
    if isinstance(error, AuthenticationError):
        return "reauthenticate"
    return "never" if isinstance(error, NotAllowed) else "later"
