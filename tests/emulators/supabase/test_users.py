"""Signing up, in, on and out."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.emulators.supabase.raw import Raws, serving

pytestmark = pytest.mark.realtime

ANN = {"email": "ann@example.org", "password": "a password", "data": {"name": "Ann"}}


async def called(raws: Raws, call: str, body: Any = None, *, token: str = "") -> tuple[int, Any]:
    key = raws.emulator.authority.anon_key
    return await raws.post(f"/auth/v1/{call}", body, token=token or key, headers={"apikey": key})


async def shown(raws: Raws, token: str) -> Any:
    headers = {"apikey": raws.emulator.authority.anon_key, "Authorization": f"Bearer {token}"}
    async with raws.session.get(f"{raws.emulator.url}/auth/v1/user", headers=headers) as answer:
        return answer.status, await answer.json()


async def test_a_session_lasts_and_goes_on_by_its_refresh_token(database: str) -> None:
    """Each is good for one renewal; one that is used twice ends all of its user's."""
    async with serving(database, session_seconds=60) as raws:
        status, first = await called(raws, "signup", ANN)
        assert (status, first["expires_in"], first["user"]["user_metadata"]) == (200, 60, {"name": "Ann"})
        claims = raws.emulator.authority.claims(first["access_token"])
        assert (claims["sub"], claims["email"]) == (first["user"]["id"], "ann@example.org")
        assert (await shown(raws, first["access_token"]))[1] == first["user"]

        refresh = "token?grant_type=refresh_token"
        _, second = await called(raws, refresh, {"refresh_token": first["refresh_token"]})
        raws.emulator.clock.advance(61.0)
        status, told = await shown(raws, second["access_token"])
        assert (status, told["error_code"]) == (403, "bad_jwt")
        _, told = await called(raws, refresh, {"refresh_token": first["refresh_token"]})
        assert told["error_code"] == "refresh_token_already_used"
        _, told = await called(raws, refresh, {"refresh_token": second["refresh_token"]})
        assert told["error_code"] == "refresh_token_not_found"
        _, third = await called(raws, "token?grant_type=password", ANN)
        assert await called(raws, "logout", token=third["access_token"]) == (204, None)
        _, told = await called(raws, refresh, {"refresh_token": third["refresh_token"]})
        assert told["error_code"] == "refresh_token_not_found"


REFUSED: Final = [
    ("signup", ANN, 422, "user_already_exists"),
    ("signup", {"email": "b@example.org", "password": "short"}, 422, "weak_password"),
    ("signup", {"email": "b@example.org"}, 400, "validation_failed"),
    ("signup", [1], 400, "bad_json"),
    ("signup", b"{", 400, "bad_json"),
    ("token?grant_type=password", {**ANN, "password": "another"}, 400, "invalid_credentials"),
    ("token?grant_type=password", {**ANN, "email": "x@example.org"}, 400, "invalid_credentials"),
    ("token?grant_type=magic", {}, 400, "validation_failed"),
    ("logout", {}, 403, "user_not_found"),
]


async def test_what_is_refused_has_a_code(database: str) -> None:
    """And a status."""
    async with serving(database) as raws:
        await called(raws, "signup", ANN)
        for call, body, status, code in REFUSED:
            answered, told = await called(raws, call, body)
            assert (answered, told["error_code"]) == (status, code), call


async def test_a_call_needs_a_key_and_settings_are_told(database: str) -> None:
    """Of the project."""
    async with serving(database) as raws:
        assert (await raws.post("/auth/v1/signup", ANN))[0] == 401
        for call, name in (("settings", "external"), ("health", "name")):
            url = f"{raws.emulator.url}/auth/v1/{call}?apikey={raws.emulator.settings.publishable_key}"
            async with raws.session.get(url) as answer:
                assert name in await answer.json()
