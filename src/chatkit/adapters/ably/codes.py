"""What error codes ask for: of a connection, a channel, a publish, a member, a call.

The texts of the service are not passed on: they may quote what was sent. Unknown codes go by their status.

Source: the Ably sheet, section 13.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from chatkit.adapters.ably.wire import ErrorInfo
from chatkit.errors import (
    AuthenticationError,
    CapabilityError,
    ChatkitError,
    MessageTooLarge,
    NotAllowed,
    ProviderError,
    RateLimited,
    Rejected,
    TransportError,
)
from chatkit.ports.adapter import SessionClosed
from chatkit.ports.outgoing import Again, Outcome, Scope

PAUSE: Final = 1.0
"""Least seconds to wait where the service says that something came too fast: it counts by the second."""
SLOWER: Final = 5.0
"""The same where it ended the connection for it."""

_TOKEN: Final = range(40140, 40150)
_FULL: Final = range(40111, 40116)
_LIMITED: Final = frozenset({90010, 90021, 40150, 40151})
_TOO_FAST: Final = frozenset({42920, 42921, 42924})
_CONNECTION: Final = range(80000, 80030)
"""What befell a connection or its state: another connection is what helps."""
_CHANNEL_RATE: Final = 42913
_TOO_LARGE: Final = 40009
_NO_RULE: Final = 93002
_MEMBERS: Final = frozenset({91003})
_NOT_ALLOWED: Final = frozenset({40012, 40160, 40161, 40162, 40165, 91000})


class Verdict(NamedTuple):
    """What a NACK means for all that its frame held."""

    error: ChatkitError
    outcome: Outcome
    scope: Scope
    again: Again
    after: float | None = None


def is_token_error(error: ErrorInfo) -> bool:
    """Whether a fresh token helps. 40160 has the same status and is a missing right."""
    return error.code in _TOKEN


def closed(error: ErrorInfo | None, where: str, *, fatal: bool) -> SessionClosed:
    """Return how a connection ended.

    Args:
        error: What was said, if anything.
        where: The server, without key or secret.
        fatal: It came as ERROR, else as DISCONNECTED.
    """
    if error is None:
        return _ended(TransportError, where, "ended the connection", None, "now")
    if is_token_error(error):
        return _ended(AuthenticationError, where, "refuses the token", error, "reauthenticate")
    if error.code in _TOO_FAST:
        return _ended(
            RateLimited, where, "ended the connection: it was too fast", error, "later", after=SLOWER
        )
    if _is_limit(error):
        return _ended(RateLimited, where, "has no room for the connection now", error, "later", after=PAUSE)
    if error.status >= 500 or (fatal and error.code in _CONNECTION):
        return _ended(ProviderError, where, "failed", error, "later" if fatal else "now")
    if not fatal:
        return _ended(TransportError, where, "ended the connection", error, "now")
    kind = (
        AuthenticationError if error.status == 401 else NotAllowed if error.status == 403 else ProviderError
    )
    return _ended(kind, where, "refuses the connection", error, "never")


def verdict(error: ErrorInfo, channel: str) -> Verdict:
    """Return what a NACK of a publish means.

    Raises:
        TransportError: The service failed and may have published.
    """
    code = str(error.code)
    if error.code == _TOO_LARGE:
        large = MessageTooLarge("Ably takes 64 KiB a publish", channel=channel)
        return Verdict(large, "refused", "entry", "never")
    if error.code == _NO_RULE:
        return Verdict(_no_rule(channel), "refused", "entry", "never")
    if is_token_error(error):
        stale = AuthenticationError("the token is refused", code=code, channel=channel)
        return Verdict(stale, "unsent", "connection", "reauthenticate")
    if error.code == _CHANNEL_RATE:
        return Verdict(_limited(error, channel), "unsent", "lane", "later", PAUSE)
    if _is_limit(error):
        return Verdict(_limited(error, channel), "unsent", "connection", "later", PAUSE)
    if error.status >= 500:
        raise TransportError(f"Ably failed ({code}) and may have published", channel=channel)
    if error.code in _NOT_ALLOWED:  # once with a fresh token, in case a right was given meanwhile (D12)
        return Verdict(_not_allowed(error, channel), "unsent", "entry", "reauthenticate")
    if error.status == 401:
        wrong = AuthenticationError(
            "the credential is refused", code=code, channel=channel, hint=_hint(error)
        )
        return Verdict(wrong, "unsent", "connection", "later")
    return Verdict(_rejected(error, channel), "refused", "entry", "never")


def refusal(error: ErrorInfo | None, channel: str | None = None) -> ChatkitError:
    """Return why a channel, a member or a call was refused; `None`: the service did not say."""
    if error is None:
        return TransportError("Ably closed the channel", channel=channel)
    code = str(error.code)
    if is_token_error(error):
        return AuthenticationError("the token is refused", code=code, channel=channel)
    if error.code == _NO_RULE:
        return _no_rule(channel)
    if error.code in _MEMBERS:
        return CapabilityError("the channel has as many members present as it takes", channel=channel)
    if _is_limit(error):
        return _limited(error, channel)
    if error.status >= 500:
        return TransportError(f"Ably failed ({code})", channel=channel)
    if error.code in _NOT_ALLOWED:
        return _not_allowed(error, channel)
    if error.status == 401:
        return AuthenticationError("the credential is refused", code=code, channel=channel, hint=_hint(error))
    return _rejected(error, channel)


def _is_limit(error: ErrorInfo) -> bool:
    return error.status == 429 or error.code // 100 == 429 or error.code in _FULL or error.code in _LIMITED


def _limited(error: ErrorInfo, channel: str | None) -> RateLimited:
    code = str(error.code)
    return RateLimited(
        "Ably asks to be slower", code=code, retry_after=PAUSE, channel=channel, hint=_hint(error)
    )


def _not_allowed(error: ErrorInfo, channel: str | None) -> NotAllowed:
    hint = f"Give the key or token a capability for this channel; {_HELP}{error.code}."
    return NotAllowed("the credential has no right to this", code=str(error.code), channel=channel, hint=hint)


def _no_rule(channel: str | None) -> CapabilityError:
    return CapabilityError(
        "Ably's rule for the channel allows no updates, deletes and annotations",
        channel=channel,
        hint="In Ably's dashboard, under Settings and Rules, add a rule for the channel's namespace and "
        "switch on 'Message annotations, updates, deletes and appends'; or leave native_edits out.",
    )


def _rejected(error: ErrorInfo, channel: str | None) -> Rejected:
    return Rejected("Ably refused this", code=str(error.code), channel=channel, hint=_hint(error))


def _ended(
    kind: type[ChatkitError],
    where: str,
    what: str,
    error: ErrorInfo | None,
    again: Again,
    *,
    after: float | None = None,
) -> SessionClosed:
    text = f"{where} {what}" + ("" if error is None else f" ({error.code})")
    hint = "Nothing to do: the connection is made again, and queued messages wait for it."
    if again == "never" and error is not None:
        hint = f"{_hint(error)} Then call `chat.connection.retry_now()`."
    found = SessionClosed(text, again=again, after=after, hint=hint)
    found.__cause__ = kind(text, hint=hint)
    return found


def _hint(error: ErrorInfo) -> str:
    if error.status == 401:
        return f"Compare key and CHATKIT_SECRET with the dashboard's page API Keys; {_HELP}{error.code}."
    return f"Look up the code: {_HELP}{error.code}."


_HELP: Final = "https://help.ably.io/error/"
