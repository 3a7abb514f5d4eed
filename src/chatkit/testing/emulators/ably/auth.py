"""Who comes: keys, tokens, JWTs, and what may be done with each.

Source: RSA of the features specification; ably/docs auth/token/jwt and api/token-request-spec.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from chatkit.testing.emulators.ably.capability import Capability
from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.plain import is_object, natural, plain
from chatkit.testing.emulators.ably.settings import Key, Settings

HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
CURRENT: Final = 120_000
"""Milliseconds by which the time of a token request may be off."""
LATEST: Final = 1e11
"""Seconds since 1970 that no time of a token reaches."""
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
        token: The token itself.
    """

    key: Key
    client_id: str | None
    capability: Capability
    expires: int | None = None
    issued: int = 0
    revocation_key: str | None = None
    token: str | None = field(default=None, repr=False)

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
        self._ended: OrderedDict[str, None] = OrderedDict()
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
            AblyError: 40005 for another shape, 40101 or 40400.
        """
        name, _, secret = text.partition(":")
        if not secret or not name.partition(".")[2]:
            raise AblyError(40005, "invalid key in the request: a key is APP.KEY:SECRET")
        key = self.key(name)
        if not hmac.compare_digest(_raw(secret), key.secret.encode()):
            raise AblyError(40101, "the key's secret is wrong")
        return Access(key=key, client_id=client_id or "*", capability=key.capability)

    def by_token(self, token: str) -> Access:
        """Verify an issued token or a JWT.

        Raises:
            AblyError: 40101, 40141 to 40144.
        """
        access = self._by_jwt(token) if token.count(".") == 2 else self._tokens.get(token)
        if access is None:
            raise AblyError(40143, status=401)
        if token in self._ended or (access.expires is not None and access.expires <= self._now()):
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
            return self.by_key(unpacked(value))
        if scheme.lower() == "bearer":
            token = value if value.count(".") == 2 else unpacked(value)
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
        ttl = HOUR if request.get("ttl") in (None, "") else request["ttl"]
        lasts = None if isinstance(ttl, bool) else natural(str(ttl))
        if not lasts or lasts > DAY:
            raise AblyError(40003, "ttl is in whole milliseconds, above 0 and at most 24 h")
        capability = key.capability
        if request.get("capability"):
            capability = Capability.parse(request["capability"]).intersect(key.capability)
        client_id = request.get("clientId") or None
        if client_id is not None and not isinstance(client_id, str):
            raise AblyError(40012, "clientId is a text")
        expires = now + lasts
        token = f"{key.app}.{secrets.token_urlsafe(24)}"
        self._tokens[token] = Access(
            key=key, client_id=client_id, capability=capability, expires=expires, issued=now, token=token
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
        if not hmac.compare_digest(base64.b64encode(digest), str(request["mac"]).encode()):
            raise AblyError(40101, "the mac does not fit the token request")
        at = natural(str(request.get("timestamp") or 0))
        if at is None:
            raise AblyError(40003, "timestamp is in whole milliseconds")
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
            header, claims = (plain(json.loads(_unpadded(part)), frozenset()) for part in (head, body))
            given = _unpadded(signature)
        except (AblyError, ValueError, RecursionError) as error:
            raise AblyError(40144, status=401) from error
        if not is_object(header) or not is_object(claims) or header.get("alg") != "HS256":
            raise AblyError(40144, "a JWT is signed with HS256", status=401)
        key = self.key(str(header.get("kid")))
        digest = hmac.new(key.secret.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
        if not hmac.compare_digest(digest, given):
            raise AblyError(40144, "the signature of the JWT does not fit its key", status=401)
        issued, expires = (_millis(claims.get(name)) for name in ("iat", "exp"))
        if issued is None or expires is None:
            raise AblyError(40144, "invalid token; iat and exp must be specified, in seconds", status=400)
        capability = key.capability
        if claims.get("x-ably-capability"):
            capability = Capability.parse(claims["x-ably-capability"]).intersect(capability)
        client_id, revocation_key = claims.get("x-ably-clientId"), claims.get("x-ably-revocation-key")
        if client_id is not None and not isinstance(client_id, str):
            raise AblyError(40012, "invalid token; clientId must be a string")
        return Access(
            key=key,
            client_id=client_id or None,
            capability=capability,
            expires=expires,
            issued=issued,
            revocation_key=str(revocation_key) if revocation_key else None,
            token=token,
        )

    # -------------------------------------------------------------------------------- ending tokens

    def end(self, access: Access) -> None:
        """Let its token, if it is one, have expired."""
        if access.token is not None:
            self._ended[access.token] = None
            _bound(self._ended)

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


def unpacked(text: str) -> str:
    """What base64 holds, or the text itself; of a header, where clients differ."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return _raw(text).decode(errors="replace")


def _raw(text: str) -> bytes:
    """A text out of a header, where anything can stand."""
    return text.encode(errors="surrogateescape")


def _millis(seconds: Any) -> int | None:
    is_time = isinstance(seconds, int | float) and 0 <= seconds < LATEST
    return int(seconds * 1000) if is_time else None


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _bound(kept: OrderedDict[Any, Any]) -> None:
    while len(kept) > MOST:
        kept.popitem(last=False)
