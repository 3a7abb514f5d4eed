"""`client=`: an app's own `supabase.AsyncClient`, here one that looks like it; the real one is in `tests/official`."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

import chatkit
from chatkit import AuthenticationError, ConfigError, TransportError
from chatkit.adapters.supabase import SupabaseConfig, factory
from chatkit.adapters.supabase.own_client import ClientSession, config_of
from chatkit.testing.clock import VirtualClock
from chatkit.testing.parts import parts
from tests.adapters.supabase.app import PATIENCE, App


class Refused(Exception):
    """As `supabase_auth` raises it."""

    def __init__(self, status: int | None) -> None:
        super().__init__("this text quotes the token")
        self.status = status


class Auth:
    """As `AsyncClient.auth`, as far as it is used."""

    def __init__(self, *tokens: str, expires_at: int | None = None) -> None:
        self.tokens = list(tokens)
        self.expires_at = expires_at
        self.renewed = 0
        self.error: Exception | None = None

    async def get_session(self) -> Any:
        if self.error is not None:
            raise self.error
        if not self.tokens:
            return None
        return SimpleNamespace(access_token=self.tokens[0], expires_at=self.expires_at)

    async def refresh_session(self) -> Any:
        if self.error is not None:
            raise self.error
        self.renewed += 1
        del self.tokens[0]
        return SimpleNamespace(session=await self.get_session())


def client(url: str, key: str, auth: Auth, **headers: str) -> Any:
    return SimpleNamespace(
        supabase_url=url, supabase_key=key, auth=auth, options=SimpleNamespace(headers=headers)
    )


@pytest.mark.parametrize(
    ("url", "http", "realm"),
    [
        ("https://abcd.supabase.co/", "https://abcd.supabase.co", "supabase://abcd"),
        ("http://127.0.0.1:54321/", "http://127.0.0.1:54321", "supabase://127.0.0.1:54321"),
        ("http://[::1]:80/", "http://[::1]:80", "supabase://[::1]:80"),
    ],
)
def test_it_knows_the_project(url: str, http: str, realm: str) -> None:
    """And its key."""
    found = config_of(SupabaseConfig(), client(url, "anon", Auth()))

    assert (found.http_url, found.realm, found.key) == (http, realm, "anon")
    assert config_of(found, client(url, "anon", Auth())) == found


@pytest.mark.parametrize(
    "given",
    [
        object(),
        SimpleNamespace(
            supabase_url="https://x.supabase.co", supabase_key="k", auth=SimpleNamespace(get_session=list)
        ),
    ],
)
def test_what_is_no_such_client_is_refused(clock: VirtualClock, given: object) -> None:
    """By its type; a blocking one, too."""
    with pytest.raises(ConfigError, match=r"no supabase\.AsyncClient"):
        _ = factory.build(SupabaseConfig(), parts("ada", clock, client=given))


@pytest.mark.parametrize("other", [{"place": "other"}, {"credential": "other-key"}])
def test_another_project_than_the_urls_is_refused(other: dict[str, Any]) -> None:
    """Neither is shown."""
    own = client("https://abcd.supabase.co", "anon", Auth())

    with pytest.raises(ConfigError, match="another project or key"):
        _ = config_of(SupabaseConfig(**{"place": "abcd", "credential": "anon", **other}), own)


async def test_its_session_gives_tokens() -> None:
    """Renewed by the client itself, and only where it has no other already."""
    auth = Auth("one", "two", expires_at=1_800_000_000)
    session = ClientSession(client("https://abcd.supabase.co", "anon", auth))

    first = await session.get()
    second = await session.get(refresh=True)
    auth.tokens = ["three"]  # the client renewed it by itself
    third = await session.get(refresh=True)

    assert [first.value, second.value, third.value] == ["one", "two", "three"]
    assert first.expires_at is not None
    assert auth.renewed == 1
    assert session.secret() is None


async def test_a_token_that_the_app_gave_the_client_is_taken() -> None:
    """Of another issuer, say; without one nobody is signed in."""
    own = client("https://abcd.supabase.co", "anon", Auth(), Authorization="Bearer given")
    assert (await ClientSession(own).get()).value == "given"
    own.options.headers["Authorization"] = "Bearer anon"

    with pytest.raises(AuthenticationError, match="nobody is signed in"):
        _ = await ClientSession(own).get()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, AuthenticationError),
        (403, AuthenticationError),
        (429, TransportError),
        (500, TransportError),
        (None, TransportError),
    ],
)
async def test_its_errors_are_judged(status: int | None, kind: type[Exception]) -> None:
    """And their words not passed on (I16)."""
    auth = Auth("one")
    auth.error = Refused(status)

    with pytest.raises(kind) as refused:
        _ = await ClientSession(client("https://abcd.supabase.co", "anon", auth)).get()

    assert "quotes" not in str(refused.value)


@pytest.mark.realtime
@pytest.mark.long
async def test_it_chats_with_its_credentials(database: str) -> None:
    """As its user, as long as its session can be renewed; as anybody where its key is the service key."""
    async with App(database) as app:
        app.lifetime = 3.0
        auth = Auth(*(app.token("ada") for _ in range(50)))
        own = client(app.emulator.url, app.emulator.authority.anon_key, auth)
        backend = client(app.emulator.url, app.emulator.authority.service_key, Auth())
        async with (
            chatkit.connect("supabase://", user="ada", store=":memory:", client=own) as ada,
            chatkit.connect("supabase://", user="bot", store=":memory:", client=backend) as bot,
        ):
            mine, theirs = ada.channel("own"), bot.channel("own")
            events = mine.events(chatkit.MessageCreated)
            await mine.attach(timeout=PATIENCE)
            _ = await (await theirs.send("hello")).wait("sent", timeout=PATIENCE)
            assert (await events.next(timeout=PATIENCE)).message.text == "hello"

            async with asyncio.timeout(PATIENCE):
                while auth.renewed < 1:
                    await asyncio.sleep(0.01)
            _ = await (await mine.send("still here")).wait("sent", timeout=PATIENCE)
            assert bot.as_user("eve") is not None
