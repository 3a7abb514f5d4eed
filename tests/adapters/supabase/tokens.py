"""Tokens as an app's sign-in would give them: of the emulator's own authority."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Final

from chatkit.errors import NotAllowed
from chatkit.model.options import Token
from chatkit.model.values import EMPTY
from chatkit.testing.emulators.supabase.tokens import Authority

_NUMBERS: Final = count(1)


class Tokens:
    """`Credentials` of one user: a token, and a fresh one when it is asked for."""

    def __init__(self, user: str, authority: Authority) -> None:
        self.user = user
        self.fetched = 0
        self.seconds = 3_600.0
        """How long a token lives."""
        self._authority = authority
        self._token: Token | None = None

    async def get(
        self, *, channel: str | None = None, params: Mapping[str, str] = EMPTY, refresh: bool = False
    ) -> Token:
        if channel is not None or params:
            raise NotAllowed("one token is for all channels")
        self.fetched += refresh
        if refresh or self._token is None:
            made = self._authority.token(self.user, seconds=self.seconds, jti=next(_NUMBERS))
            self._token = Token(value=made)
        return self._token

    def secret(self) -> str | None:
        return None
