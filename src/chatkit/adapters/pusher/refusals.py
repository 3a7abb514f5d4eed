"""What the server's words on subscriptions and client events mean; the words themselves may quote signatures.

Source: the Pusher protocol sheet, sections 4 and 8; other servers' words as they were seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chatkit.adapters.pusher.protocol import RATE, ClientEventRefused, Refused
from chatkit.errors import (
    AuthenticationError,
    CapabilityError,
    ChatkitError,
    NotAllowed,
    Rejected,
    TransportError,
)
from chatkit.ports.outgoing import Ack, Outgoing

OFF_FOR: Final = 30.0
"""Seconds until it is tried again where client events are switched off."""
EXISTING: Final = "Existing subscription"
_FULL: Final = (
    "LimitReached",
    "members, which is the limit",
    "maximum members",
    "members limit",
    "too many members",
)
_SIGNED: Final = ("Invalid signature", "Auth value", "Invalid key", "AuthError", "unauthorized")
_OFF: Final = ("must enable this feature", "have client messaging enabled")


def subscription_error(refusal: Refused, channel: str, *, trusted: bool) -> ChatkitError:
    """Return why a channel was not subscribed to."""
    text, code = refusal.text, None if refusal.code is None else str(refusal.code)
    if text.startswith(EXISTING):
        return TransportError("the channel was still subscribed to", channel=channel)
    if any(words in text for words in _FULL):
        hint = "Set channels=private for all clients of the app: messages then have no such limit."
        return CapabilityError("the presence channel has its 100 members", channel=channel, hint=hint)
    if refusal.code == 403:
        return NotAllowed("the server does not let this user in", code=code, channel=channel)
    if refusal.code == 401 or any(words in text for words in _SIGNED):
        hint = (
            "Compare key and CHATKIT_SECRET with the dashboard's page App Keys."
            if trusted
            else "Have auth= sign with the app's secret for the socket_id it was asked for."
        )
        return AuthenticationError("the signature is refused", code=code, channel=channel, hint=hint)
    return Rejected("the server refuses the channel", code=code, channel=channel)


def burst_acks(
    channel: str, entries: Sequence[Outgoing], refusals: Sequence[ClientEventRefused]
) -> list[Ack]:
    """Return what became of client events of which some were thrown away; which ones is not said.

    Raises:
        TransportError: Any of them may have arrived.
    """
    if any(words in refusal.text for refusal in refusals for words in _OFF):
        hint = "Switch on Enable client events in the app's settings; what is queued waits."
        off = NotAllowed("client events are switched off for this app", channel=channel, hint=hint)
        return [
            Ack(entry.ident, "unsent", error=off, scope="connection", again="later", after=OFF_FOR)
            for entry in entries
        ]
    if any(refusal.code == RATE for refusal in refusals):
        raise TransportError("some client events came too fast: which, is not said", channel=channel)
    if any("not a member" in refusal.text for refusal in refusals):
        raise TransportError("the subscription had ended", channel=channel)
    error = Rejected("the server refuses the client event", channel=channel)
    return [Ack(entry.ident, "refused", error=error) for entry in entries]
