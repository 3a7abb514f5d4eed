"""What refusals and closings ask for: of a connection, a join, a channel, a call.

The texts of the service are matched and not passed on: they may quote a topic or a token.

Source: the Supabase sheet, sections 1, 4, 6 and 10.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from chatkit.errors import (
    AuthenticationError,
    ChatkitError,
    ConfigError,
    MessageTooLarge,
    NotAllowed,
    RateLimited,
    Rejected,
    TransportError,
)
from chatkit.model.order import Ident
from chatkit.ports.adapter import SessionClosed
from chatkit.ports.context import RandomSource
from chatkit.ports.outgoing import Ack, Again, Outcome, Scope

PAUSE: Final = 30.0
"""Least seconds to wait where something came too fast, or the project has no room."""
JITTER: Final = 10.0
"""Most seconds more, so that not all come again at once."""
KEYS: Final = "Compare the key and the project in supabase://KEY@REF with the dashboard's page API Keys."
"""What to do about a key or a project that is refused."""
NO_WAY: Final = (
    "What is queued waits. If it lasts, check the network, and the project in supabase://KEY@REF or "
    "supabase://KEY@HOST:PORT, with ?tls=0 for a server without TLS."
)
"""What to do where nothing answers."""
BAD_FRAMES: Final = frozenset({1002, 1003, 1007, 1008, 1009})
"""Codes of the WebSocket protocol after which coming again at once would be no better."""
AWAY: Final = 1001
"""The service asks to go: too many joins, or the project is gone."""

_GONE: Final = ("RealtimeDisabledForTenant", "TenantNotFound")
_SET_UP: Final = ("PrivateOnly", "TopicNameRequired")
_TOKEN: Final = ("InvalidJWTToken", "MalformedJWT", "JwtSignatureError", "JwtSignerError")
_FULL: Final = (
    "ChannelRateLimitReached",
    "ConnectionRateLimitReached",
    "ClientJoinRateLimitReached",
    "DatabaseConnectionRateLimitReached",
    "IncreaseConnectionPool",
    "DatabaseLackOfConnections",
)
_RATE: Final = (
    "Too many messages per second",
    "Too many presence messages per second",
    "Client presence rate limit exceeded",
)
_ENDED: Final = (
    "Token has expired",
    "The token provided is not a valid JWT",
    "Fields `role` and `exp` are required",
)
_NO_RIGHT: Final = ("You do not have permissions", "You no longer have permission")
_WAIT: Final = "Nothing to do: it is tried again by itself, and queued messages wait for it."
_MEMBER: Final = (
    "Make the user a member of the channel, or let a policy of realtime.messages open it; "
    "`chatkit supabase sql` has the policies that chatkit brings."
)
_PRIVATE: Final = (
    "The project allows private channels only: use mode=database, or private=1 with policies of your own."
)


class Closing(NamedTuple):
    """What the end of a channel asks for."""

    error: ChatkitError
    again: Again
    after: float | None = None
    whole: bool = False
    """It is the end of the connection, too: all its channels have the same token."""


class Verdict(NamedTuple):
    """What a refused call means for all that it held."""

    error: ChatkitError
    outcome: Outcome
    scope: Scope
    again: Again
    after: float | None = None

    def ack(self, ident: Ident) -> Ack:
        """Return the answer to one entry."""
        return Ack(
            ident,
            self.outcome,
            error=self.error,
            scope=self.scope,
            again=self.again,
            after=self.after,
        )


def pause(random: RandomSource) -> float:
    """Return the seconds to wait where something came too fast."""
    return PAUSE + JITTER * random.random()


def closed(code: int, where: str, random: RandomSource) -> SessionClosed:
    """Return how a connection ended by its close code. All of them ask to come again."""
    again: Again = "later" if code in BAD_FRAMES or code == AWAY else "now"
    after = pause(random) if code == AWAY else None
    text = f"{where} ended the connection ({code})"
    error = SessionClosed(text, again=again, after=after, hint=_WAIT)
    error.__cause__ = TransportError(text)
    return error


def not_opened(status: int, where: str, random: RandomSource) -> SessionClosed:
    """Return why there is no connection, by the status that answered."""
    text = f"{where} answered {status} in place of a connection"
    if status == 401:
        return _ended(text, AuthenticationError(text, hint=KEYS), "reauthenticate", None)
    if status == 403:
        hint = "Switch Realtime on in the project's settings, then call `chat.connection.retry_now()`."
        return _ended(text, NotAllowed(text, hint=hint), "never", None)
    if status == 404:
        return _ended(text, ConfigError(text, hint=KEYS), "never", None)
    if status == 429:
        after = pause(random)
        return _ended(text, RateLimited(text, retry_after=after, hint=_WAIT), "later", after)
    return _ended(text, TransportError(text), "later", None)


def join_refused(reason: str, channel: str, random: RandomSource) -> Closing:
    """Return what a refused join asks for; what is not known may pass."""
    code = reason.partition(":")[0]
    if code in _GONE:
        text = "the project is gone, or Realtime is switched off there"
        return Closing(NotAllowed(text, code=code, hint=KEYS), "never", whole=True)
    if code in _SET_UP:
        return Closing(ConfigError("the channel is refused", hint=_PRIVATE, channel=channel), "never")
    if code == "Unauthorized":
        return Closing(_not_allowed(channel, code), "reauthenticate")
    if code in _TOKEN:
        refused = AuthenticationError("the token is refused", code=code, channel=channel)
        return Closing(refused, "reauthenticate")
    if code in _FULL:
        after = pause(random)
        error = RateLimited(
            "Supabase has no room for the channel now",
            code=code,
            retry_after=after,
            channel=channel,
            hint=_WAIT,
        )
        return Closing(error, "later", after)
    return Closing(TransportError("Supabase could not join the channel", channel=channel), "later")


def channel_closed(reason: str | None, channel: str, random: RandomSource, *, crashed: bool) -> Closing:
    """Return what the end of a channel asks for, of which the connection knows no other reason."""
    text = reason or ""
    if text.startswith(_RATE):
        after = pause(random)
        error = RateLimited(
            "Supabase closed the channel: the project is over its limit of events",
            retry_after=after,
            channel=channel,
            hint="Send less, or take a larger plan; the channel is opened again by itself.",
        )
        return Closing(error, "later", after)
    if text.startswith(_ENDED):
        return Closing(AuthenticationError("the token is refused"), "reauthenticate", whole=True)
    if text.startswith(_NO_RIGHT):
        return Closing(_not_allowed(channel, None), "reauthenticate")
    again: Again = "later" if text or crashed else "now"
    return Closing(TransportError("Supabase closed the channel", channel=channel), again)


def call_refused(status: int, channel: str, after: float | None) -> Verdict:
    """Return what the status of a broadcast by HTTP means.

    Raises:
        TransportError: The service failed and may have broadcast.
    """
    code = str(status)
    if status == 401:
        stale = AuthenticationError("the token is refused", code=code, channel=channel)
        return Verdict(stale, "unsent", "connection", "reauthenticate")
    if status == 403:
        return Verdict(_not_allowed(channel, code), "unsent", "entry", "reauthenticate")
    if status == 404:
        old = ConfigError(
            "this server takes no single broadcasts by HTTP",
            channel=channel,
            hint="Attach the channel before sending, or update Realtime to 2.97 or newer.",
        )
        return Verdict(old, "unsent", "lane", "later", PAUSE)
    if status == 413:
        return Verdict(too_large(channel), "refused", "entry", "never")
    if status == 429:
        slow = RateLimited(
            "the project is over its limit of events", code=code, retry_after=after, channel=channel
        )
        return Verdict(slow, "unsent", "connection", "later", PAUSE if after is None else after)
    if 400 <= status <= 499:
        return Verdict(
            Rejected("Supabase refused the broadcast", code=code, channel=channel),
            "refused",
            "entry",
            "never",
        )
    raise TransportError(f"Supabase failed ({status}) and may have broadcast", channel=channel)


def too_large(channel: str) -> MessageTooLarge:
    """Return why a broadcast is refused for its size."""
    return MessageTooLarge("it is larger than a broadcast of this project", channel=channel)


def dead(why: Closing, where: str) -> SessionClosed:
    """Return the end of a connection for what befell one of its channels."""
    return _ended(f"{where}: {why.error.args[0]}", why.error, why.again, why.after)


def _not_allowed(channel: str, code: str | None) -> NotAllowed:
    return NotAllowed("this user may not use the channel", code=code, channel=channel, hint=_MEMBER)


def _ended(text: str, cause: ChatkitError, again: Again, after: float | None) -> SessionClosed:
    found = SessionClosed(text, again=again, after=after, hint=cause.hint)
    found.__cause__ = cause
    return found
