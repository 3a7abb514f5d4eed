"""The project's keys and tokens: JWTs that are signed with its secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Any, Final, Literal
from urllib.parse import unquote

from chatkit.testing.emulators.supabase.plain import Object, dumps, is_integer, is_number, is_object, loads
from chatkit.testing.emulators.supabase.settings import SupabaseSettings

TEN_YEARS: Final = 315_360_000
ALGORITHMS: Final = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}

Fault = Literal["expired", "claims", "malformed", "signature", "signer", "other"]


class TokenError(Exception):
    """A token that is not taken.

    Args:
        fault: Why, for who decides what to do.
        text: Why, as the server says it.
    """

    def __init__(self, fault: Fault, text: str) -> None:
        super().__init__(text)
        self.fault: Fault = fault
        self.text = text


MALFORMED: Final = "The token provided is not a valid JWT"
CLAIMS: Final = "Fields `role` and `exp` are required in JWT"
SIGNATURE: Final = "Failed to validate JWT signature"
SIGNER: Final = "Failed to generate JWT signer, check your JWT secret or JWKS configuration"


class Authority:
    """Makes and judges tokens.

    Args:
        settings: The project's, as they are now.
        now: Seconds since 1970.
    """

    def __init__(self, settings: Callable[[], SupabaseSettings], now: Callable[[], float]) -> None:
        self._settings = settings
        self._now = now
        self._keys: dict[tuple[str, str], str] = {}

    @property
    def anon_key(self) -> str:
        """The key of everybody: a token of the role `anon`, good for ten years."""
        return self._key("anon")

    @property
    def service_key(self) -> str:
        """The key of servers: a token of the role `service_role`, which no policy binds."""
        return self._key("service_role")

    def token(self, user: str | None = None, *, seconds: float = 3600, **claims: Any) -> str:
        """A signed token.

        Args:
            user: Its `sub`, a UUID where `auth.uid()` is used.
            seconds: From now to its `exp`; negative is an expired one.
            **claims: Beside these; `role` is `authenticated` without one.
        """
        now = int(self._now())
        subject = {} if user is None else {"sub": user}
        made = {"role": "authenticated", "iat": now, "exp": now + int(seconds), **subject, **claims}
        return sign(made, self._settings().jwt_secret)

    def known(self, key: str) -> str:
        """The token that an `apikey` stands for: keys of the new kind are no JWTs."""
        settings = self._settings()
        return {settings.publishable_key: self.anon_key, settings.secret_key: self.service_key}.get(key, key)

    def claims(self, token: str, *, leeway: int = 0) -> Object:
        """What a token says, if it is taken.

        Args:
            token: It.
            leeway: Seconds that it may have expired ago.

        Raises:
            TokenError: It is not.
        """
        head, body, signature = _parts(re.sub(r"\s", "", unquote(token)))
        header, claims = _decoded(head), _decoded(body)
        if not is_object(header) or not is_object(claims):
            raise TokenError("other", "expected a map")
        digest = ALGORITHMS.get(str(header.get("alg")))
        if digest is None:
            raise TokenError("signer", SIGNER)
        expected = hmac.new(self._settings().jwt_secret.encode(), f"{head}.{body}".encode(), digest).digest()
        if not hmac.compare_digest(expected, signature):
            raise TokenError("signature", SIGNATURE)
        return self._judged(claims, int(self._now()) - leeway)

    def _judged(self, claims: Object, now: int) -> Object:
        expiry = claims.get("exp")
        if "exp" in claims and not (is_number(expiry) and expiry > now):
            if is_integer(expiry):
                raise TokenError("expired", f"Token has expired {now - expiry} seconds ago")
            raise TokenError("other", "Token expiration time is invalid")
        if "iat" in claims and not is_number(claims["iat"]):
            raise TokenError("other", "Invalid iat")
        if "role" not in claims or "exp" not in claims:
            raise TokenError("claims", CLAIMS)
        return {name: round(value) if name in {"exp", "iat"} else value for name, value in claims.items()}

    def _key(self, role: str) -> str:
        secret = self._settings().jwt_secret
        if (role, secret) not in self._keys:
            self._keys[role, secret] = self.token(role=role, iss="supabase", ref="chatkit", seconds=TEN_YEARS)
        return self._keys[role, secret]


def sign(claims: Object, secret: str) -> str:
    """A JWT, HS256."""
    head, body = (_encoded(dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    digest = hmac.new(secret.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{_encoded(digest)}"


def _parts(token: str) -> tuple[str, str, bytes]:
    try:
        head, body, signature = token.split(".")
        return head, body, base64.urlsafe_b64decode(signature + "==")
    except ValueError:
        raise TokenError("malformed", MALFORMED) from None


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(part: str) -> Any:
    try:
        return loads(base64.urlsafe_b64decode(part + "=="))
    except ValueError:
        raise TokenError("malformed", MALFORMED) from None
