"""What stands before every call of a project: who has no key of the project is not let in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from chatkit.testing.emulators.supabase.tokens import Authority

NO_KEY: Final = {
    "message": "No API key found in request",
    "hint": "No `apikey` request header or url param was found.",
}
WRONG_KEY: Final = {
    "message": "Invalid API key",
    "hint": "Double check your Supabase `anon` or `service_role` API key.",
}


def refused(request: web.Request, authority: Authority) -> web.Response | None:
    """The refusal of a call without a key of the project."""
    key = _key(request)
    if not key:
        return web.json_response(NO_KEY, status=401)
    if authority.known(key) not in {authority.anon_key, authority.service_key}:
        return web.json_response(WRONG_KEY, status=401)
    return None


def bearer(request: web.Request, authority: Authority) -> str:
    """The token by which a call is judged: its own, or that of its key.

    A key of the new kind is no token: it is taken for one where it is the call's key as well.
    """
    key = _key(request)
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or token.strip() == key:
        return authority.known(key)
    return token.strip()


def _key(request: web.Request) -> str:
    return request.headers.get("apikey") or request.query.get("apikey", "")
