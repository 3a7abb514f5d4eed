"""Hostile and odd tokens, and apps whose `auth=` misbehaves: a clear error, in time, and nobody else's token."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pytest

from chatkit.adapters.supabase.access import FETCH, TokenAccess
from chatkit.errors import AuthenticationError, ChatkitError, ConfigError, TransportError
from chatkit.model.options import Token
from chatkit.testing.clock import VirtualClock
from chatkit.testing.fuzz import SECRET
from chatkit.transport import keep_fresh

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)


def jwt(claims: object, *, signature: str = "c2ln") -> str:
    """A token that says this, in which nothing is checked here."""
    text = claims if isinstance(claims, str) else json.dumps(claims)
    return f"e30.{urlsafe_b64encode(text.encode()).decode().rstrip('=')}.{signature}"


class Auth:
    """`Credentials` of an app: what it gives is made anew each time."""

    def __init__(self, give: Callable[[], Any]) -> None:
        self.give = give
        self.asked = 0

    async def get(self, *, channel: Any = None, params: Any = None, refresh: bool = False) -> Any:
        del channel, params, refresh
        self.asked += 1
        given = self.give()
        return await given if asyncio.iscoroutine(given) else given

    def secret(self) -> None:
        return None


def access(clock: VirtualClock, give: Callable[[], Any]) -> tuple[TokenAccess, Auth]:
    auth = Auth(give)
    return TokenAccess("anon", auth, "ada", clock), auth


NOT_TAKEN: Final = {
    "nothing": Token(value=""),
    "no token": {"error": SECRET},
    "nobody": None,
    "a number": 7,
    "bytes": jwt({"sub": "ada"}).encode(),
    "a token in bytes": Token(value=jwt({"sub": "ada"}).encode()),  # type: ignore[arg-type]
    "no JWT": Token(value=SECRET),
    "two parts": Token(value="e30.e30"),
    "four parts": Token(value=jwt({"sub": "ada"}) + ".e30"),
    "no base64": Token(value="e30.%%%.c2ln"),
    "no JSON": Token(value=jwt("{")),
    "levels without end": Token(value=jwt("[" * 20_000)),
    "a list": Token(value=jwt(["ada"])),
    "no subject": Token(value=jwt({"role": "authenticated"})),
    "another's": Token(value=jwt({"sub": "eve", "name": SECRET})),
    "a subject that is none": Token(value=jwt({"sub": ["ada"]})),
    "a subject of megabytes": Token(value=jwt({"sub": "ada" * 1_000_000})),
    "megabytes beside the subject": Token(value=jwt({"sub": "ada", "x": "x" * 2_000_000})),
    "a line break": Token(value=jwt({"sub": "ada"}, signature=f"x\r\nX-Header: {SECRET}")),
    "letters that no header holds": Token(value=jwt({"sub": "ada"}, signature="\u00e9")),
    "a lone surrogate": Token(value=jwt({"sub": "ada"}, signature="\ud800")),
    "white space within": Token(value=jwt({"sub": "ada"}).replace(".", ". ")),
}


@pytest.mark.parametrize("given", NOT_TAKEN.values(), ids=NOT_TAKEN)
async def test_what_is_no_token_of_the_user_is_not_taken(clock: VirtualClock, given: Any) -> None:
    """An error says what auth= is to give, and shows nothing of what it gave (D2, I16)."""
    asked, _ = access(clock, lambda: given)

    for ask in (asked.token, asked.headers, asked.renew):
        with pytest.raises(ConfigError) as wrong:
            _ = await ask()
        assert SECRET not in f"{wrong.value!r}{wrong.value}"
        assert "session" in wrong.value.hint
    assert asked.expires_at is None


ENDS: Final = {
    "text": '"1790000000"',
    "NaN": "NaN",
    "1e400": "1e400",
    "-1e400": "-1e400",
    "below zero": "-1",
    "beyond all dates": "99999999999999999999",
    "many digits": "9" * 400,
    "truth": "true",
    "a list": "[1790000000]",
    "null": "null",
}


@pytest.mark.parametrize("exp", ENDS.values(), ids=ENDS)
async def test_a_token_whose_end_is_none_has_none(clock: VirtualClock, exp: str) -> None:
    """The service judges it; here it is not renewed for its age, and not over and over."""
    asked, auth = access(clock, lambda: Token(value=jwt('{"sub":"ada","exp":%s}' % exp)))  # noqa: UP031  # JSON has braces

    headers = await asked.headers()
    assert asked.expires_at is None
    _ = httpx.Request("POST", "https://project.example", headers=dict(headers))
    await keep_fresh(asked, lambda: clock.wall().timestamp(), 60.0, _never)
    assert auth.asked == 1


async def _never() -> None:
    raise AssertionError("renewed")


@pytest.mark.parametrize("seconds", [0, 1, -1, -1_000_000, 0.5])
async def test_tokens_that_are_over_already_are_asked_for_in_measure(
    clock: VirtualClock, seconds: float
) -> None:
    """An app whose clock is wrong gives such for ever: it is asked once a second at most (D32)."""
    asked, auth = access(
        clock,
        lambda: Token(value=jwt({"sub": "ada", "exp": clock.wall().timestamp() + seconds, "n": auth.asked})),
    )
    _ = await asked.token()

    async def renew() -> None:
        _ = await asked.renew()

    renewing = asyncio.ensure_future(keep_fresh(asked, lambda: clock.wall().timestamp(), 60.0, renew))
    await asyncio.sleep(100)
    renewing.cancel()
    with suppress(asyncio.CancelledError):
        await renewing

    assert 50 <= auth.asked <= 101


@pytest.mark.parametrize("expires", [datetime(1, 1, 1), "soon", 7, datetime(9999, 12, 31)])  # noqa: DTZ001  # that is the point
async def test_an_end_that_nobody_can_tell_is_the_tokens_own(clock: VirtualClock, expires: Any) -> None:
    """Without its time zone a date says nothing; the token says it itself."""
    ends = NOW + timedelta(hours=1)
    given = Token(value=jwt({"sub": "ada", "exp": ends.timestamp()}), expires_at=expires)
    asked, _ = access(clock, lambda: given)

    _ = await asked.token()

    assert asked.expires_at == ends


RAISED: Final = (
    ValueError(SECRET),
    KeyError(SECRET),
    TimeoutError(SECRET),
    ConnectionError(SECRET),
    OSError(SECRET),
)


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
async def test_what_auth_raises_is_named_and_may_pass(clock: VirtualClock, error: Exception) -> None:
    """By its class, and without its text (I16); what is queued waits, and it is asked again."""

    def give() -> Any:
        if auth.asked < 3:
            raise error
        return Token(value=jwt({"sub": "ada"}))

    asked, auth = access(clock, give)
    for _ in range(2):
        with pytest.raises(TransportError, match=f"auth= raised {type(error).__name__}") as told:
            _ = await asked.token()
        assert SECRET not in f"{told.value!r}{told.value}{told.value.hint}"
    assert await asked.token() == jwt({"sub": "ada"})


async def test_errors_of_ours_that_auth_raises_are_passed_on(clock: VirtualClock) -> None:
    """An app that says that nobody is signed in is believed."""

    def give() -> Any:
        raise AuthenticationError("nobody is signed in")

    asked, _ = access(clock, give)

    with pytest.raises(AuthenticationError, match="nobody is signed in"):
        _ = await asked.token()


async def test_auth_that_hangs_is_given_up(clock: VirtualClock) -> None:
    """In time to say whose fault it was; whoever asks next is not behind it."""
    asked, auth = access(clock, lambda: asyncio.Event().wait())
    began = clock.monotonic()

    found = await asyncio.gather(*(asked.token() for _ in range(3)), return_exceptions=True)

    assert clock.monotonic() - began == pytest.approx(3 * FETCH)
    assert {str(error) for error in found} == {f"supabase: auth= gave no token within {FETCH:g} s"}
    auth.give = lambda: Token(value=jwt({"sub": "ada"}))
    assert await asked.token()


async def test_a_token_is_good_while_a_fresh_one_does_not_come(clock: VirtualClock) -> None:
    """Calls go on with the one that there is: `auth=` may hang or fail a minute before it ends (D32)."""
    first = jwt({"sub": "ada", "n": 1})
    asked, auth = access(clock, lambda: Token(value=first))
    assert await asked.token() == first
    await asyncio.sleep(1)
    auth.give = lambda: asyncio.Event().wait()

    renewing = asyncio.ensure_future(asked.renew())
    await asyncio.sleep(1)
    began = clock.monotonic()
    assert (await asked.headers())["Authorization"] == f"Bearer {first}"
    assert clock.monotonic() == began
    with pytest.raises(TransportError):
        _ = await renewing
    assert await asked.token() == first

    asked.refused()  # now it is good no more
    with pytest.raises(ChatkitError):
        _ = await asked.token()
