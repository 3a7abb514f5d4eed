"""Who comes: keys, tokens, JWTs, and what may be done with each.

Source: RSA of the features specification; ably/docs auth/token/jwt and api/token-request-spec.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from chatkit.testing.emulators.ably.capability import Capability
from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.settings import Key, Settings
from chatkit.testing.emulators.ably.wire import is_object

HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
CURRENT: Final = 120_000
"""Milliseconds by which the time of a token request may be off."""
MOST: Final = 100_000
"""Tokens, nonces and revocations remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What came with a request or connection, verified.

    Attributes:
        key: The key it is of.
        client_id: Whom it names: an id, `*` for any, `None` for nobody.
        capability: What it may do.
        expires: In milliseconds since 1970; `None` for a key.
        issued: Likewise.
        revocation_key: The claim by which a group of tokens can be revoked.
    """

    key: Key
    client_id: str | None
    capability: Capability
    expires: int | None = None
    issued: int = 0
    revocation_key: str | None = None

    @property
    def basic(self) -> bool:
        """Whether the key itself came."""
        return self.expires is None

    def demand(self, operation: str, channel: str) -> None:
        """Refuse what the capability does not allow.

        Raises:
            AblyError: 40160 with status 401.
        """
        if not self.capability.allows(operation, channel):
            raise AblyError(40160, f"operation {operation} is not permitted on channel {channel!r}")

    def identify(self, wanted: str | None) -> str | None:
        """Whom a connection speaks for that asks to be `wanted`.

        Raises:
            AblyError: 40102, the credentials name another or nobody.
        """
        if wanted in {None, ""}:
            return self.client_id
        if self.client_id not in {"*", wanted}:
            raise AblyError(40102, "the client id is not that of the credentials")
        return wanted


class Authority:
    """Verifies credentials and issues tokens.

    Args:
        settings: The keys.
        now: The time in milliseconds since 1970.
    """

    def __init__(self, settings: Settings, now: Callable[[], int]) -> None:
        self._keys: dict[str, Key] = {}
        self.use(settings)
        self._now = now
        self._tokens: OrderedDict[str, Access] = OrderedDict()
        self._nonces: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._revoked: OrderedDict[tuple[str, str, str], tuple[int, int]] = OrderedDict()

    def use(self, settings: Settings) -> None:
        """Know these keys from now on."""
        self._keys = {key.name: key for key in settings.parsed_keys()}

    def key(self, name: str) -> Key:
        """The key of that name.

        Raises:
            AblyError: 40400 for an unknown key of the application, 40101 for another application.
        """
        if name in self._keys:
            return self._keys[name]
        if name.partition(".")[0] == next(iter(self._keys)).partition(".")[0]:
            raise AblyError(40400, "no such key", status=401)
        raise AblyError(40101, "no such application")

    def by_key(self, text: str, client_id: str | None = None) -> Access:
        """Verify `NAME:SECRET`.

        Raises:
            AblyError: 40101 or 40400.
        """
        name, _, secret = text.partition(":")
        key = self.key(name)
        if not hmac.compare_digest(secret.encode(), key.secret.encode()):
            raise AblyError(40101, "the key's secret is wrong")
        return Access(key=key, client_id=client_id or "*", capability=key.capability)

    def by_token(self, token: str) -> Access:
        """Verify an issued token or a JWT.

        Raises:
            AblyError: 40101, 40140 to 40144.
        """
        access = self._by_jwt(token) if token.count(".") == 2 else self._tokens.get(token)
        if access is None:
            raise AblyError(40140, "no such token", status=401)
        if access.expires is not None and access.expires <= self._now():
            raise AblyError(40142, status=401)
        if self.revoked(access):
            raise AblyError(40141, status=401)
        return access

    def by_header(self, header: str | None, query: Mapping[str, str]) -> Access:
        """Verify what came with an HTTP request, by its header or its query.

        Raises:
            AblyError: As `by_key` and `by_token`; 40101 where nothing came.
        """
        scheme, _, value = (header or "").partition(" ")
        if scheme.lower() == "basic":
            return self.by_key(_unpacked(value))
        if scheme.lower() == "bearer":
            token = value if value.count(".") == 2 else _unpacked(value)
            return self.by_token(token if token in self._tokens or token.count(".") == 2 else value)
        given = query.get("access_token") or query.get("accessToken")
        if given:
            return self.by_token(given)
        if query.get("key"):
            return self.by_key(query["key"])
        raise AblyError(40101, "no credentials")

    # ------------------------------------------------------------------------------------- issuing

    def issue(self, name: str, request: Mapping[str, Any], access: Access | None) -> dict[str, Any]:
        """Answer a token request, signed or sent with the key itself, with token details.

        Raises:
            AblyError: 40101 for a wrong mac, 40104, 40105, 40160, or a malformed field.
        """
        key = self.key(name)
        if request.get("keyName", name) != name:
            raise AblyError(40101, "the token request is for another key")
        if request.get("mac"):
            self._verify(key, request)
        elif access is None or access.key.name != name or not access.basic:
            raise AblyError(40101, "a token request needs a mac, or the key")
        now = self._now()
        ttl = HOUR if request.get("ttl") in {None, ""} else request["ttl"]
        if isinstance(ttl, bool) or not isinstance(ttl, int | str) or not str(ttl).isdigit():
            raise AblyError(40003, "ttl is in whole milliseconds")
        if int(ttl) > DAY or int(ttl) <= 0:
            raise AblyError(40003, "ttl is above 0 and at most 24 h")
        capability = key.capability
        if request.get("capability"):
            capability = Capability.parse(request["capability"]).intersect(key.capability)
        client_id = request.get("clientId") or None
        expires = now + int(ttl)
        token = f"{key.app}.{secrets.token_urlsafe(24)}"
        self._tokens[token] = Access(
            key=key, client_id=client_id, capability=capability, expires=expires, issued=now
        )
        _bound(self._tokens)
        details = {
            "token": token,
            "keyName": key.name,
            "issued": now,
            "expires": expires,
            "capability": str(capability),
        }
        return {**details, "clientId": client_id} if client_id else details

    def _verify(self, key: Key, request: Mapping[str, Any]) -> None:
        names = ("keyName", "ttl", "capability", "clientId", "timestamp", "nonce")
        signed = "".join(f"{'' if request.get(name) is None else request[name]}\n" for name in names)
        digest = hmac.new(key.secret.encode(), signed.encode(), hashlib.sha256).digest()
        if not hmac.compare_digest(base64.b64encode(digest).decode(), str(request["mac"])):
            raise AblyError(40101, "the mac does not fit the token request")
        try:
            at = int(request.get("timestamp") or 0)
        except (TypeError, ValueError) as error:
            raise AblyError(40003, "timestamp is in whole milliseconds") from error
        if abs(self._now() - at) > CURRENT:
            raise AblyError(40104, status=401)
        nonce = str(request.get("nonce") or "")
        if len(nonce) < 16:
            raise AblyError(40003, "a nonce has 16 characters or more")
        if (key.name, nonce) in self._nonces:
            raise AblyError(40105, status=401)
        self._nonces[key.name, nonce] = None
        _bound(self._nonces)

    def _by_jwt(self, token: str) -> Access:
        head, body, signature = token.split(".")
        try:
            header, claims = json.loads(_unpadded(head)), json.loads(_unpadded(body))
            given = _unpadded(signature)
        except (ValueError, binascii.Error) as error:
            raise AblyError(40144, status=401) from error
        if not is_object(header) or not is_object(claims) or header.get("alg") != "HS256":
            raise AblyError(40144, "a JWT is signed with HS256", status=401)
        key = self.key(str(header.get("kid")))
        digest = hmac.new(key.secret.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
        if not hmac.compare_digest(digest, given):
            raise AblyError(40144, "the signature of the JWT does not fit its key", status=401)
        issued, expires = claims.get("iat"), claims.get("exp")
        if not isinstance(issued, int | float) or not isinstance(expires, int | float):
            raise AblyError(40144, "a JWT has iat and exp, in seconds", status=401)
        capability = key.capability
        if claims.get("x-ably-capability"):
            capability = Capability.parse(claims["x-ably-capability"]).intersect(capability)
        client_id, revocation_key = claims.get("x-ably-clientId"), claims.get("x-ably-revocation-key")
        return Access(
            key=key,
            client_id=str(client_id) if client_id else None,
            capability=capability,
            expires=int(expires * 1000),
            issued=int(issued * 1000),
            revocation_key=str(revocation_key) if revocation_key else None,
        )

    # ------------------------------------------------------------------------------------- revoking

    def revoke(self, key: Key, target: str, issued_before: int, applies_at: int) -> None:
        """From `applies_at` on refuse the key's tokens of that target issued before that time.

        Raises:
            AblyError: 40000, the target is not `clientId:`, `revocationKey:` or `channel:` something.
        """
        kind, _, value = target.partition(":")
        if kind not in {"clientId", "revocationKey", "channel"} or not value:
            raise AblyError(40000, "a target is clientId:, revocationKey: or channel: and a value")
        self._revoked[key.name, kind, value] = (issued_before, applies_at)
        _bound(self._revoked)

    def revoked(self, access: Access) -> bool:
        """Whether the token was revoked by now."""
        if access.basic:
            return False
        now = self._now()
        return any(
            name == access.key.name
            and access.issued < before
            and at <= now
            and _concerns(access, kind, value)
            for (name, kind, value), (before, at) in self._revoked.items()
        )


def _concerns(access: Access, kind: str, value: str) -> bool:
    if kind == "clientId":
        return access.client_id == value
    if kind == "revocationKey":
        return access.revocation_key == value
    return access.capability.allows("subscribe", value)


def _unpacked(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return text


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _bound(kept: OrderedDict[Any, Any]) -> None:
    while len(kept) > MOST:
        kept.popitem(last=False)
