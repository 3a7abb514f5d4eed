"""What an app's own `supabase.AsyncClient` gives: the project, the key, and the session of whoever signed in.

Source: `supabase` 2.34, `supabase/_async/client.py`; `supabase_auth` 2.34, `_async/gotrue_client.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from inspect import iscoroutinefunction
from typing import Any, Final
from urllib.parse import urlsplit

from chatkit.adapters.supabase.config import SupabaseConfig
from chatkit.errors import AuthenticationError, ConfigError, TransportError
from chatkit.model.options import Token
from chatkit.model.values import EMPTY

_HINT: Final = "Give the app's `supabase.AsyncClient`, as `await create_async_client(...)` returns it."
_SIGN_IN: Final = "Sign the user in there first: `await client.auth.sign_in_with_password(...)` or the like."
_HOSTED: Final = ".supabase.co"
_BEARER: Final = "Bearer "


class ClientSession:
    """`Credentials` from an app's client: the token of its session, renewed by that client.

    Args:
        client: The app's.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._given: str | None = None

    async def get(
        self,
        *,
        channel: str | None = None,  # noqa: ARG002  # one token is for all channels
        params: Mapping[str, str] = EMPTY,  # noqa: ARG002  # likewise
        refresh: bool = False,
    ) -> Token:
        """Return the token of the session; a fresh one, unless the client has another already.

        Raises:
            AuthenticationError: Nobody is signed in, or the session cannot go on.
            TransportError: The client had no answer.
        """
        try:
            session = await self._client.auth.get_session()
            if session is not None and refresh and session.access_token == self._given:
                session = (await self._client.auth.refresh_session()).session
        except Exception as error:  # noqa: BLE001  # whatever the app's own code raised
            raise _refused(error) from None  # its text may quote the token
        token = self._header() if session is None else str(session.access_token)
        if token is None:
            raise AuthenticationError("nobody is signed in at client=", hint=_SIGN_IN)
        ends = None if session is None else session.expires_at
        self._given = token
        return Token(value=token, expires_at=None if ends is None else datetime.fromtimestamp(ends, UTC))

    def secret(self) -> str | None:
        """Return nothing: its key speaks for itself."""
        return None

    def _header(self) -> str | None:
        """Return the token that the app gave the client itself, if it did."""
        header = str(self._client.options.headers.get("Authorization", ""))
        token = header.removeprefix(_BEARER)
        return None if token in ("", self._client.supabase_key) else token


def config_of(config: SupabaseConfig, client: object) -> SupabaseConfig:
    """Return the configuration with the project and the key of an app's client.

    Raises:
        ConfigError: It is none, or another project's than the URL names.
    """
    found: Any = client
    url, key = getattr(found, "supabase_url", None), getattr(found, "supabase_key", None)
    asks = getattr(getattr(found, "auth", None), "get_session", None)
    if url is None or not isinstance(key, str) or not iscoroutinefunction(asks):
        raise ConfigError(
            f"supabase: client= is no supabase.AsyncClient, but {type(client).__name__}", hint=_HINT
        )
    where = urlsplit(str(url))
    host = where.hostname or ""
    host = f"[{host}]" if ":" in host else host
    own = replace(
        config,
        credential=key,
        secret=None,
        place=host.removesuffix(_HOSTED) if host.endswith(_HOSTED) else config.place,
        host="" if host.endswith(_HOSTED) else host,
        port=where.port,
        tls=where.scheme == "https",
    )
    if config.key and (config.key, config.http_url) != (own.key, own.http_url):
        raise ConfigError(
            "supabase: client= has another project or key than the URL",
            hint="Write supabase:// alone: the client knows both.",
        )
    return own


def _refused(error: Exception) -> Exception:
    status = getattr(error, "status", None)
    if isinstance(status, int) and 400 <= status < 500 and status != 429:
        return AuthenticationError("the session at client= cannot go on", code=str(status), hint=_SIGN_IN)
    return TransportError(f"client= gave no token ({type(error).__name__})")
