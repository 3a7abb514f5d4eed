"""How connections end: what each close code asks for, and what to tell the user.

Source: the Pusher protocol sheet, section 3.3.
"""

from __future__ import annotations

from typing import Final

from chatkit.errors import (
    AuthenticationError,
    ChatkitError,
    ConfigError,
    NotAllowed,
    ProviderError,
    RateLimited,
    TransportError,
)
from chatkit.ports.adapter import SessionClosed
from chatkit.ports.outgoing import Again

LATER: Final = 1.0
"""Least seconds before a new connection where the server is over capacity, or did not understand."""
BAD_FRAMES: Final = range(1002, 1005)
"""Codes of the WebSocket protocol for a frame that was wrong: coming again at once would be no better."""


def again_after(code: int) -> tuple[Again, float | None]:
    """Return what a close code asks for, and the least seconds to wait."""
    if code == 4009:
        return "reauthenticate", None
    if 4000 <= code <= 4099:
        return "never", None
    if 4100 <= code <= 4199 or 4300 <= code <= 4399 or code in BAD_FRAMES:
        return "later", LATER
    return "now", None


def closed(code: int, where: str) -> SessionClosed:
    """Return how a connection ended by its close code; `where`: the server, without key or secret."""
    again, after = again_after(code)
    text, cause, hint = _reason(code)
    error = SessionClosed(f"{where} {text} ({code})", again=again, after=after, hint=hint)
    error.__cause__ = cause(f"{where} {text} ({code})", hint=hint)
    return error


def _reason(code: int) -> tuple[str, type[ChatkitError], str]:
    """Return what the server says or does, as what, and what to do about it."""
    found = _FATAL.get(code)
    if found is not None:
        return found
    if 4000 <= code <= 4099:
        return "refuses the connection", ProviderError, "Look at the app in Pusher's dashboard."
    if 4100 <= code <= 4199:
        return "is over capacity", RateLimited, _WAIT
    if 4200 <= code <= 4299:
        return "asks to come again", TransportError, _WAIT
    if code in BAD_FRAMES:
        return "does not speak Pusher's protocol", TransportError, ELSEWHERE
    return "ended the connection", TransportError, _WAIT


ELSEWHERE: Final = "Check the cluster, or host= and port=: another server answers there."
_WAIT: Final = "Nothing to do: the connection is made again, and queued messages wait for it."
_RETRY: Final = "then call `chat.connection.retry_now()`."
_FATAL: Final[dict[int, tuple[str, type[ChatkitError], str]]] = {
    4000: (
        "takes connections over TLS alone",
        ConfigError,
        "Leave out tls=0, or let the app take other connections in its settings.",
    ),
    4001: (
        "knows no app with this key",
        AuthenticationError,
        "Compare key and cluster in pusher://KEY@CLUSTER/APP_ID with the dashboard's page App Keys.",
    ),
    4003: ("has this app disabled", NotAllowed, f"Enable the app in Pusher's dashboard, {_RETRY}"),
    4004: (
        "has as many connections of this app as its plan allows",
        RateLimited,
        f"Close connections or take a larger plan, {_RETRY}",
    ),
    4005: ("knows no such path", ConfigError, ELSEWHERE),
    4006: ("refuses the version", ConfigError, ELSEWHERE),
    4007: ("does not speak protocol 7", ConfigError, ELSEWHERE),
    4008: ("does not speak protocol 7", ConfigError, ELSEWHERE),
    4009: (
        "has not authorized the connection",
        AuthenticationError,
        "Check `auth=`, and that this user may still connect.",
    ),
}
