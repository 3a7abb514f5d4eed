"""How a client proves who it is: by a key alone, or by a key and the tokens of its user.

Source: the Supabase sheet, sections 1, 5 and 15.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Protocol, cast

from chatkit.errors import ChatkitError, ConfigError, TransportError
from chatkit.model.options import Token
from chatkit.model.values import EMPTY
from chatkit.ports.adapter import Credentials
from chatkit.ports.context import Clock
from chatkit.transport import claims_of, end_of_jwt

FRESH: Final = 0.5
"""Seconds for which a token that was just fetched is fresh for whoever asks for a fresh one, too."""
FETCH: Final = 10.0
"""Seconds for the app to give one: less than a connection waits, so that it is told who was waited for."""

# It goes as a header and in frames; of more bytes no server takes a header.
_TOKEN: Final = re.compile(r"[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]*").fullmatch
_LARGEST: Final = 100_000


class Access(Protocol):
    """What goes with connections, joins and calls."""

    @property
    def key(self) -> str:
        """The project's key."""
        ...

    @property
    def renewable(self) -> bool:
        """Whether there are other credentials to be had."""
        ...

    @property
    def expires_at(self) -> datetime | None:
        """When the present one ends; `None`: it does not, or nobody knows."""
        ...

    async def token(self) -> str | None:
        """Return the user's token; `None`: there is none beside the key."""
        ...

    async def renew(self) -> str | None:
        """Return a fresh one."""
        ...

    async def headers(self) -> Mapping[str, str]:
        """Return what goes with a call."""
        ...

    def refused(self) -> None:
        """Take note that the present one was refused: the next one is fresh."""
        ...


def headers_of(key: str, token: str) -> dict[str, str]:
    """Return the headers of a call. A key of the new kind is no token, and goes as itself alone."""
    return {"apikey": key} if token.startswith("sb_") else {"apikey": key, "Authorization": f"Bearer {token}"}


class KeyAccess:
    """By the key itself.

    Args:
        key: Of the project.
    """

    renewable = False
    expires_at = None

    def __init__(self, key: str) -> None:
        self.key = key

    async def token(self) -> str | None:
        """Return nothing: the key says it all."""
        return None

    async def renew(self) -> str | None:
        """Return nothing: there is no other."""
        return None

    async def headers(self) -> Mapping[str, str]:
        """Return the key."""
        return headers_of(self.key, self.key)

    def refused(self) -> None:
        """Do nothing: likewise."""


class TokenAccess:
    """By tokens for one user.

    Args:
        key: Of the project.
        credentials: Of the app.
        user: For whom.
        clock: Tells how fresh a token is.
    """

    renewable = True

    def __init__(self, key: str, credentials: Credentials, user: str, clock: Clock) -> None:
        self.key = key
        self._credentials = credentials
        self._user = user
        self._clock = clock
        self._token: Token | None = None
        self._refused = False
        self._fetched = float("-inf")
        self._one = asyncio.Lock()

    @property
    def expires_at(self) -> datetime | None:
        """When the present token ends."""
        return None if self._token is None else self._token.expires_at

    async def token(self) -> str:
        """Return the present token; while a fresh one is waited for, it goes on being good.

        Raises:
            ConfigError: There is none, or it is another user's.
            TransportError: The app gave none in time.
        """
        if self._token is None or self._refused:
            async with self._one:
                if self._token is None or self._refused:
                    await self._fetch()
        assert self._token is not None  # noqa: S101  # fetched, now or before
        return self._token.value

    async def renew(self) -> str:
        """Return a token that was just fetched. Raises as `token`."""
        async with self._one:
            if self._refused or self._clock.monotonic() - self._fetched > FRESH:
                await self._fetch()
        assert self._token is not None  # noqa: S101  # likewise
        return self._token.value

    async def headers(self) -> Mapping[str, str]:
        """Return key and token. Raises as `token`."""
        return headers_of(self.key, await self.token())

    def refused(self) -> None:
        """Ask for a fresh one next time."""
        self._refused = True

    async def _fetch(self) -> None:
        limit = asyncio.timeout(FETCH)
        try:
            async with limit:
                given = await self._credentials.get(refresh=self._token is not None)
        except ChatkitError:
            raise
        except TimeoutError as error:
            if not limit.expired():
                raise _no_answer(error) from error
            raise TransportError(f"supabase: auth= gave no token within {FETCH:g} s", hint=_ASKED) from None
        except Exception as error:  # whatever the app's own code raised
            raise _no_answer(error) from error
        self._token = _checked(given, self._user)
        self._refused, self._fetched = False, self._clock.monotonic()


_ASKED: Final = "It is asked again by itself, and what is queued waits. Look at what auth= does."


def _no_answer(error: Exception) -> TransportError:
    """Return ours for what an app's token provider raised: its class named, its text kept out (I16)."""
    return TransportError(f"supabase: auth= raised {type(error).__name__}", hint=_ASKED)


def _checked(given: object, user: str) -> Token:
    """Return a token of this user (D2), with its end.

    Raises:
        ConfigError: It is none, or another's; it is not shown.
    """
    value, ends = _parts(given)
    if not isinstance(value, str) or not value:
        raise ConfigError(
            "supabase: auth= gave no token",
            hint="Return the access token of the user's session as text, or a Token.",
        )
    if len(value) > _LARGEST or not _TOKEN(value):
        raise ConfigError(
            "supabase: what auth= gave is no JWT",
            hint="Return the access token of the user's session, `session.access_token`, as it is.",
        )
    if claims_of(value).get("sub") != user:
        raise ConfigError(
            "supabase: the token is for another user than connect(user=)",
            hint="Give connect() the user's id, `session.user.id`: the claim `sub` of the token.",
        )
    known = isinstance(ends, datetime) and ends.tzinfo is not None  # else nobody knows which hour it means
    return Token(value=value, expires_at=cast("datetime", ends) if known else end_of_jwt(value))


def _parts(given: object) -> tuple[object, object]:
    """Return a token's value, and when it is said to end."""
    if isinstance(given, Token):
        return given.value, given.expires_at
    fields = cast("Mapping[str, Any]", given) if isinstance(given, Mapping) else EMPTY
    return fields.get("access_token"), None
