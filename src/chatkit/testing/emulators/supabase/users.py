"""Signing up, in, and on: sessions whose tokens are renewed, as far as clients need them.

Users live as long as the emulator, and in no table of the database.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from aiohttp import web

from chatkit.testing.emulators.supabase import gateway
from chatkit.testing.emulators.supabase.plain import Object, is_object, loads
from chatkit.testing.emulators.supabase.tokens import TokenError

if TYPE_CHECKING:
    from chatkit.testing.emulators.supabase.project import Project

BASE: Final = "/auth/v1"
MOST: Final = 10_000
"""Users."""
MOST_TOKENS: Final = 100
"""By which sessions of one user can go on; the oldest are forgotten."""


@dataclass
class User:
    """Who has signed up; `refreshing` says of the tokens by which sessions go on whether they were used."""

    id: str
    email: str
    password: str
    meta: Object
    refreshing: dict[str, bool] = field(default_factory=dict[str, bool])


class AuthError(Exception):
    """A call that is refused.

    Args:
        status: Of HTTP.
        code: For programs.
        text: For people.
    """

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.body = {"code": status, "error_code": code, "msg": text}


class Users:
    """The calls.

    Args:
        project: Whose.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._users: dict[str, User] = {}
        """By their addresses."""

    def routes(self) -> list[web.RouteDef]:
        """Theirs."""
        return [
            web.post(BASE + "/{call:signup|token|logout}", self._answer),
            web.get(BASE + "/{call:user|settings|health}", self._answer),
        ]

    async def _answer(self, request: web.Request) -> web.Response:
        if (refusal := gateway.refused(request, self._project.authority)) is not None:
            return refusal
        try:
            match request.match_info["call"]:
                case "signup":
                    return web.json_response(self._sign_up(await _body(request)))
                case "token":
                    return web.json_response(
                        self._token(request.query.get("grant_type"), await _body(request))
                    )
                case "logout":
                    self._sign_out(request)
                    return web.Response(status=204)
                case "user":
                    return web.json_response(self._shown(self._by_token(request)))
                case "settings":
                    return web.json_response({"external": {"email": True}, "mailer_autoconfirm": True})
                case _:
                    return web.json_response({"name": "GoTrue", "description": "emulated by chatkit"})
        except AuthError as error:
            return web.json_response(error.body, status=error.status)

    def _sign_up(self, body: Object) -> Object:
        email, password = _texts(body, "email", "password")
        if email in self._users:
            raise AuthError(422, "user_already_exists", "User already registered")
        if len(password) < 6:
            raise AuthError(422, "weak_password", "Password should be at least 6 characters.")
        if len(self._users) >= MOST:
            raise AuthError(429, "over_request_rate_limit", "Request rate limit reached")
        data = body.get("data")
        meta = data if is_object(data) else {}
        made = str(UUID(bytes=secrets.token_bytes(16), version=4))
        user = self._users[email] = User(made, email, password, meta)
        return self._session(user)

    def _token(self, grant: str | None, body: Object) -> Object:
        if grant == "password":
            email, password = _texts(body, "email", "password")
            user = self._users.get(email)
            if user is None or not secrets.compare_digest(user.password.encode(), password.encode()):
                raise AuthError(400, "invalid_credentials", "Invalid login credentials")
            return self._session(user)
        if grant == "refresh_token":
            (token,) = _texts(body, "refresh_token")
            user = next((each for each in self._users.values() if token in each.refreshing), None)
            if user is None:
                raise AuthError(
                    400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found"
                )
            if user.refreshing[token]:
                user.refreshing.clear()  # somebody else has it, too
                raise AuthError(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used")
            user.refreshing[token] = True
            return self._session(user)
        raise AuthError(400, "validation_failed", "unsupported_grant_type")

    def _sign_out(self, request: web.Request) -> None:
        self._by_token(request).refreshing.clear()

    def _session(self, user: User) -> Object:
        seconds = self._project.settings.session_seconds
        token = self._project.authority.token(
            user.id,
            seconds=seconds,
            email=user.email,
            user_metadata=user.meta,
            session_id=secrets.token_hex(8),
        )
        refresh = secrets.token_urlsafe(9)
        while len(user.refreshing) >= MOST_TOKENS:
            del user.refreshing[next(iter(user.refreshing))]
        user.refreshing[refresh] = False
        return {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": seconds,
            "expires_at": int(self._project.clock.unix()) + seconds,
            "refresh_token": refresh,
            "user": self._shown(user),
        }

    def _by_token(self, request: web.Request) -> User:
        token = gateway.bearer(request, self._project.authority)
        try:
            subject = self._project.authority.claims(token).get("sub")
        except TokenError as error:
            raise AuthError(403, "bad_jwt", f"invalid JWT: {error.text}") from None
        user = next((each for each in self._users.values() if each.id == subject), None)
        if user is None:
            raise AuthError(403, "user_not_found", "User from sub claim in JWT does not exist")
        return user

    def _shown(self, user: User) -> Object:
        at = "1970-01-01T00:00:00Z"
        return {
            "id": user.id,
            "aud": "authenticated",
            "role": "authenticated",
            "email": user.email,
            "app_metadata": {"provider": "email", "providers": ["email"]},
            "user_metadata": user.meta,
            "identities": [],
            "created_at": at,
            "updated_at": at,
        }


async def _body(request: web.Request) -> Object:
    try:
        body: Any = loads(await request.read() or b"{}")
    except ValueError:
        body = None
    if not is_object(body):
        raise AuthError(400, "bad_json", "Could not parse request body as JSON")
    return body


def _texts(body: Object, *names: str) -> list[str]:
    found = [body.get(name) for name in names]
    texts = [each for each in found if isinstance(each, str) and each]
    if len(texts) < len(names):
        raise AuthError(400, "validation_failed", f"missing: {', '.join(names)}")
    return texts
