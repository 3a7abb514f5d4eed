"""What an app's own `ably.AblyRest` gives: the key that it holds, or its tokens and their renewal.

Source: `ably` 3.1.4, `ably/rest/auth.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import iscoroutinefunction
from typing import Any, Final

from chatkit.adapters.ably.codes import refusal
from chatkit.adapters.ably.config import AblyConfig
from chatkit.adapters.ably.wire import ErrorInfo, as_int
from chatkit.errors import AuthenticationError, ConfigError, TransportError
from chatkit.model.values import EMPTY

_HINT: Final = "Give the app's `ably.AblyRest`, made with the key of the URL or with tokens of its app."
_NOT_FETCHED: Final = 40170
_CANNOT_RENEW: Final = 40171


class ClientTokens:
    """`Credentials` from an app's client: its token, and what it gets when that is refused.

    Args:
        auth: Of the client.
    """

    def __init__(self, auth: Any) -> None:
        self._auth = auth

    async def get(
        self,
        *,
        channel: str | None = None,  # noqa: ARG002  # one token is for all channels
        params: Mapping[str, str] = EMPTY,  # noqa: ARG002  # likewise
        refresh: bool = False,
    ) -> Mapping[str, Any]:
        """Return token details.

        Raises:
            AuthenticationError: The client has no other token, or was refused one.
            TransportError: It had no answer.
        """
        details = None if refresh else self._auth.token_details
        if details is None:
            try:
                details = await self._auth.authorize()
            except Exception as error:  # noqa: BLE001  # whatever the app's own code raised
                raise _refused(error) from None  # its text may quote the token
        return {"token": details.token, "expires": details.expires}

    def secret(self) -> str | None:
        """Return nothing: a client with tokens has none."""
        return None


def key_or_tokens(config: AblyConfig, client: object, user: str) -> str | ClientTokens:
    """Return the secret of the key that a client holds, or its tokens.

    Raises:
        ConfigError: The client is none, another app's, or somebody else's.
    """
    auth: Any = getattr(client, "auth", None)
    options: Any = getattr(client, "options", None)
    if options is None or not iscoroutinefunction(getattr(auth, "authorize", None)):
        raise ConfigError(f"ably: client= is no ably.AblyRest, but {type(client).__name__}", hint=_HINT)
    named, credential = options.key_name, config.credential or ""
    if named is not None and credential not in (named, named.partition(".")[0]):
        raise ConfigError("ably: client= has another key than the URL", hint=_HINT)
    if auth.client_id not in (None, "*", user):
        raise ConfigError(
            "ably: client= is made for another client_id than connect(user=)",
            hint="Make it with client_id= the user, or without one.",
        )
    if auth.auth_mechanism != "BASIC":
        return ClientTokens(auth)
    if credential != named:
        raise ConfigError("ably: client= holds a key: ably://APP.KEY@ names it", hint=_HINT)
    secret: str = options.key_secret
    return secret


def _refused(error: Exception) -> Exception:
    code, status = as_int(getattr(error, "code", None)), as_int(getattr(error, "status_code", None))
    if code == _CANNOT_RENEW:
        return AuthenticationError(
            "client= has no means to renew its token",
            code=str(code),
            hint="Make it with auth_callback=, auth_url= or a key.",
        )
    if code is None or status is None or (code, status) == (_NOT_FETCHED, 401):
        return TransportError(f"client= gave no token ({type(error).__name__})")
    return refusal(ErrorInfo(code, status))
