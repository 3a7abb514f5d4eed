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
    error = SessionClosed(
        f"{where} closed the connection ({code}): {text}", again=again, after=after, hint=hint
    )
    error.__cause__ = cause
    return error


def _reason(code: int) -> tuple[str, ChatkitError, str]:
    found = _FATAL.get(code)
    if found is not None:
        text, kind, hint = found
        return text, kind(text, hint=hint), hint
    if 4000 <= code <= 4099:
        return "refused", ProviderError("refused for good", code=str(code)), _DASHBOARD
    if 4100 <= code <= 4199:
        return "over capacity", RateLimited("over capacity", code=str(code), retry_after=LATER), _WAIT
    if 4200 <= code <= 4299:
        return "come again", TransportError("the server asks to come again"), _WAIT
    return "the connection ended", TransportError("the connection ended"), _WAIT


_WAIT: Final = "Nothing to do: the connection is made again, and queued messages wait for it."
_DASHBOARD: Final = "Look at the app in Pusher's dashboard."
_FATAL: Final[dict[int, tuple[str, type[ChatkitError], str]]] = {
    4000: (
        "the app takes connections over TLS alone",
        ConfigError,
        "Leave out tls=0, or let the app take other connections in its settings.",
    ),
    4001: (
        "there is no app with this key in this cluster",
        AuthenticationError,
        "Compare key and cluster in pusher://KEY@CLUSTER/APP_ID with the dashboard's page App Keys.",
    ),
    4003: (
        "the app is disabled",
        NotAllowed,
        "Enable the app in Pusher's dashboard, then call `chat.connection.retry_now()`.",
    ),
    4004: (
        "the app has as many connections as its plan allows",
        RateLimited,
        "Close connections or take a larger plan, then call `chat.connection.retry_now()`.",
    ),
    4005: ("there is no such path", ConfigError, "Check host= and port=: another server answers there."),
    4006: (
        "the version string is refused",
        ConfigError,
        "Check host= and port=: another server answers there.",
    ),
    4007: ("protocol 7 is not spoken there", ConfigError, "Use a server that speaks Pusher's protocol 7."),
    4008: ("protocol 7 is not spoken there", ConfigError, "Use a server that speaks Pusher's protocol 7."),
    4009: (
        "the connection is not authorized",
        AuthenticationError,
        "Check `auth=`, and that this user may still connect.",
    ),
}
