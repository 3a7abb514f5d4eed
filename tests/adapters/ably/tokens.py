"""Tokens as an app's server would give them: JWTs signed by the secret of the key."""

from __future__ import annotations

import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from itertools import count

from chatkit.errors import NotAllowed
from chatkit.model.options import Token
from chatkit.model.values import EMPTY

KEY = "app.key"
SECRET = "secret"
_NUMBERS = count(1)


def jwt(
    user: str | None,
    *,
    seconds: float = 3_600,
    capability: Mapping[str, list[str]] | None = None,
    ahead: float = 0,
) -> str:
    """Return a token for a user that lives so long; `ahead`: by how much the server's clock is."""
    now = time.time() + ahead
    claims: dict[str, object] = {"iat": int(now), "exp": int(now + seconds), "jti": next(_NUMBERS)}
    if user is not None:
        claims["x-ably-clientId"] = user
    if capability is not None:
        claims["x-ably-capability"] = json.dumps(capability)
    parts = [{"alg": "HS256", "typ": "JWT", "kid": KEY}, claims]
    signed = b".".join(urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    mac = hmac.new(SECRET.encode(), signed, sha256).digest()
    return b".".join((signed, urlsafe_b64encode(mac).rstrip(b"="))).decode()


class Tokens:
    """`Credentials` of one user: a token, and a fresh one when it is asked for."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.fetched = 0
        self.capability: Mapping[str, list[str]] | None = None
        self._token: Token | None = None

    async def get(
        self, *, channel: str | None = None, params: Mapping[str, str] = EMPTY, refresh: bool = False
    ) -> Token:
        if channel is not None or params:
            raise NotAllowed("one token is for all channels")
        self.fetched += refresh
        if refresh or self._token is None:
            self._token = Token(value=jwt(self.user, capability=self.capability))
        return self._token

    def secret(self) -> str | None:
        return None
