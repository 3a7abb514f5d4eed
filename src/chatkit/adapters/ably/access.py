"""How a client proves who it is: by its key, or by tokens that the app gives it.

Source: the Ably sheet, section 12.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from chatkit.adapters.ably.places import moment
from chatkit.adapters.ably.wire import as_int, as_text
from chatkit.errors import ConfigError
from chatkit.model.options import Token
from chatkit.ports.adapter import Credentials
from chatkit.ports.context import Observer
from chatkit.transport import LATEST, end_of_jwt


class Access(Protocol):
    """What goes with sockets and calls."""

    @property
    def renewable(self) -> bool:
        """Whether there are other credentials to be had."""
        ...

    @property
    def expires_at(self) -> datetime | None:
        """When the present one ends; `None`: it does not, or nobody knows."""
        ...

    async def query(self) -> Mapping[str, str]:
        """Return what stands in the URL of a socket."""
        ...

    async def header(self) -> str:
        """Return the header of a call."""
        ...

    async def token(self) -> str:
        """Return a fresh token."""
        ...

    def refused(self) -> None:
        """Take note that the present one was refused: the next one is fresh."""
        ...


class KeyAccess:
    """By the key itself, which speaks for anybody.

    Args:
        name: `APP.KEY`.
        secret: Its other half.
    """

    renewable = False
    expires_at = None

    def __init__(self, name: str, secret: str) -> None:
        self._key = f"{name}:{secret}"

    async def query(self) -> Mapping[str, str]:
        """Return the key."""
        return {"key": self._key}

    async def header(self) -> str:
        """Return the key."""
        return f"Basic {b64encode(self._key.encode()).decode()}"

    async def token(self) -> str:
        """Decline. `ConfigError`."""
        raise ConfigError("a client that holds the key has no tokens")

    def refused(self) -> None:
        """Do nothing: there is no other one."""


class TokenAccess:
    """By tokens for one user.

    Args:
        credentials: Of the app: a token, or what Ably's own clients take: token details, a token request.
        user: For whom.
        exchange: Gives Ably a token request, for token details.
    """

    renewable = True

    def __init__(
        self,
        credentials: Credentials,
        user: str,
        exchange: Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]],
    ) -> None:
        self._credentials = credentials
        self._user = user
        self._exchange = exchange
        self._token: Token | None = None
        self._refused = False
        self._one = asyncio.Lock()

    @property
    def expires_at(self) -> datetime | None:
        """When the present token ends."""
        return None if self._token is None else self._token.expires_at

    async def query(self) -> Mapping[str, str]:
        """Return a token, and for whom it must be."""
        return {"accessToken": await self._value(), "clientId": self._user}

    async def header(self) -> str:
        """Return a token."""
        return f"Bearer {b64encode((await self._value()).encode()).decode()}"

    async def token(self) -> str:
        """Return a fresh one."""
        self._refused = True
        return await self._value()

    def refused(self) -> None:
        """Ask for a fresh one next time."""
        self._refused = True

    async def _value(self) -> str:
        async with self._one:
            if self._token is None or self._refused:
                given = await self._credentials.get(refresh=self._refused)
                self._token = await self._read(given)
                self._refused = False
            return self._token.value

    async def _read(self, given: Token | Mapping[str, Any]) -> Token:
        if isinstance(given, Token):
            return (
                given
                if given.expires_at is not None
                else Token(value=given.value, expires_at=end_of_jwt(given.value))
            )
        if "mac" in given:
            given = await self._exchange(given)
        value, expires = as_text(given.get("token")), as_int(given.get("expires"))
        if value is None:
            raise ConfigError(
                "ably: auth= gave neither a token nor token details nor a token request",
                hint="Return a token as text, a Token, or what Ably's own createTokenRequest returns.",
            )
        return Token(value=value, expires_at=end_of_jwt(value) if expires is None else _instant(expires))


async def renewed(reauthenticate: Callable[[], Awaitable[None]], observer: Observer) -> None:
    """Present a fresh token; where that fails the service ends the connection when the old one does."""
    try:
        await reauthenticate()
    except Exception as error:  # noqa: BLE001  # an app's token provider may raise anything
        observer.point("ably.not_renewed", error=type(error).__name__)


def _instant(milliseconds: int) -> datetime | None:
    return moment(milliseconds) if 0 <= milliseconds <= LATEST * 1_000 else None
