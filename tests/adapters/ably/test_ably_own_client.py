"""`client=`: an app's own `ably.AblyRest`, here one that looks like it; the real one is in `tests/official`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

import chatkit
from chatkit import AuthenticationError, ConfigError, NotAllowed, TransportError
from chatkit.adapters.ably import AblyConfig, factory
from chatkit.adapters.ably.own_client import ClientTokens, key_or_tokens
from chatkit.logs.memory import MemoryLog
from chatkit.testing.clock import VirtualClock
from chatkit.testing.parts import parts
from tests.adapters.ably.app import PATIENCE, App, texts, until
from tests.adapters.ably.tokens import KEY, SECRET, jwt


class Refused(Exception):
    """As `ably` raises it."""

    def __init__(self, status_code: int, code: int) -> None:
        super().__init__("this text quotes the token")
        self.status_code = status_code
        self.code = code


class Auth:
    """As `ably.AblyRest.auth`, as far as it is used."""

    def __init__(
        self,
        mechanism: str,
        client_id: str | None,
        renew: Callable[[], Awaitable[str]] | None,
        token: str | None,
    ) -> None:
        self.auth_mechanism = mechanism
        self.client_id = client_id
        self.token_details = None if token is None else SimpleNamespace(token=token, expires=None)
        self.authorized = 0
        self._renew = renew

    async def authorize(self) -> Any:
        self.authorized += 1
        if self._renew is None:
            raise Refused(403, 40171)
        self.token_details = SimpleNamespace(token=await self._renew(), expires=None)
        return self.token_details


def rest(
    *,
    key: str | None = None,
    token: str | None = None,
    renew: Callable[[], Awaitable[str]] | None = None,
    client_id: str | None = None,
) -> Any:
    """Return what looks like an `ably.AblyRest` of a key, a token, or a callback."""
    name, _, secret = (key or "").partition(":")
    auth = Auth("BASIC" if key else "TOKEN", client_id, renew, token)
    return SimpleNamespace(
        auth=auth, options=SimpleNamespace(key_name=name or None, key_secret=secret or None)
    )


def config(credential: str = KEY) -> AblyConfig:
    return AblyConfig(credential=credential)


def test_a_client_with_a_key_is_trusted(clock: VirtualClock) -> None:
    """It speaks for anybody, and takes a log (D29)."""
    adapter = factory.build(config(), parts("ada", clock, client=rest(key=f"{KEY}:{SECRET}")))
    assert adapter.trusted
    assert adapter.capabilities.support("as_user") == "native"
    log = MemoryLog(clock, parts("ada", clock).random)
    client = rest(key=f"{KEY}:{SECRET}", client_id="ada")
    assert factory.build(config(), parts("ada", clock, client=client, log=log)).log is log


def test_a_client_with_tokens_is_a_member(clock: VirtualClock) -> None:
    """Even where a secret lies about: what the app gives counts."""
    configured = AblyConfig(credential=KEY, secret=SECRET)
    adapter = factory.build(configured, parts("ada", clock, client=rest(token="t")))
    assert not adapter.trusted
    with pytest.raises(ConfigError, match="log="):
        factory.build(
            configured,
            parts("ada", clock, client=rest(token="t"), log=MemoryLog(clock, parts("ada", clock).random)),
        )


@pytest.mark.parametrize(
    ("client", "credential", "says"),
    [
        (object(), KEY, "is no ably.AblyRest, but object"),
        ("app.key:secret", KEY, "but str"),
        (SimpleNamespace(auth=SimpleNamespace(authorize=lambda: None), options=object()), KEY, "is no ably"),
        (SimpleNamespace(auth=Auth("TOKEN", None, None, "t")), KEY, "is no ably"),
        (rest(key="other.key:secret"), KEY, "another key than the URL"),
        (rest(key="app.other:secret"), KEY, "another key than the URL"),
        (rest(key=f"{KEY}:{SECRET}"), "app", "names it"),
        (rest(key=f"{KEY}:{SECRET}", client_id="bob"), KEY, "another client_id"),
        (rest(token="t", client_id="bob"), "app", "another client_id"),
    ],
)
def test_what_is_no_such_client_is_refused(
    clock: VirtualClock, client: object, credential: str, says: str
) -> None:
    """With a word on what to give; no secret stands in it (I16)."""
    with pytest.raises(ConfigError, match=says) as refused:
        factory.build(config(credential), parts("ada", clock, client=client))
    assert SECRET not in str(refused.value)


def test_whoever_is_not_named_may_be_anybody() -> None:
    """A client without a client_id, with a wildcard, or with the user's."""
    for client_id in (None, "*", "ada"):
        assert key_or_tokens(config(), rest(key=f"{KEY}:{SECRET}", client_id=client_id), "ada") == SECRET
        found = key_or_tokens(config("app"), rest(token="t", client_id=client_id), "ada")
        assert isinstance(found, ClientTokens)
        assert found.secret() is None


async def test_the_token_that_is_there_is_used() -> None:
    """Another one is fetched where it was refused, or there is none."""

    async def renew() -> str:
        return "fresh"

    client = rest(token="first", renew=renew)
    tokens = ClientTokens(client.auth)
    assert (await tokens.get())["token"] == "first"
    assert client.auth.authorized == 0
    assert (await tokens.get(refresh=True))["token"] == "fresh"
    assert (await tokens.get())["token"] == "fresh"
    assert (await ClientTokens(rest(renew=renew).auth).get())["token"] == "fresh"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Refused(403, 40171), AuthenticationError),
        (Refused(401, 40101), AuthenticationError),
        (Refused(403, 40300), chatkit.Rejected),
        (Refused(401, 40160), NotAllowed),
        (Refused(401, 40170), TransportError),
        (Refused(500, 50000), TransportError),
        (OSError("no network"), TransportError),
    ],
)
async def test_a_failed_renewal_says_what_it_is(error: Exception, kind: type[Exception]) -> None:
    """What may pass is tried again; no text of the client's is passed on (I16)."""

    async def renew() -> str:
        raise error

    with pytest.raises(kind) as refused:
        await ClientTokens(rest(renew=renew).auth).get(refresh=True)
    assert "quotes" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.realtime
@pytest.mark.long
@pytest.mark.parametrize("transport", ["websocket", "poll"])
async def test_clients_of_each_kind_chat(transport: str) -> None:
    """A key, a token, and a callback whose tokens are renewed before they end."""
    asked: list[str] = []

    async def renew() -> str:
        asked.append(jwt("eve", seconds=2.0))
        return asked[-1]

    async with App(f"&transport={transport}&poll=0.1") as app:
        clients = {
            "ada": rest(key=f"{KEY}:{SECRET}"),
            "bob": rest(token=jwt("bob"), client_id="bob"),
            "eve": rest(renew=renew, client_id="eve"),
        }
        chats = [
            chatkit.connect(app.url, user=user, store=":memory:", client=client)
            for user, client in clients.items()
        ]
        for chat in chats:
            _ = await chat
        channels = [chat.channel("support") for chat in chats]
        for channel in channels:
            _ = channel.timeline
            await channel.attach(timeout=PATIENCE)
        for chat, channel in zip(chats, channels, strict=True):
            _ = await (await channel.send(f"from {chat.user.id}")).wait("sent", timeout=PATIENCE)
        said = [f"from {user}" for user in clients]
        for channel in channels:
            await until(lambda channel=channel: texts(channel) == said, "all show all")  # type: ignore[misc]
            assert {each.attested for each in channel.timeline.view.messages} == {"provider"}
        await until(lambda: len(asked) >= 3, "tokens are renewed")
        _ = await (await channels[2].send("still here")).wait("sent", timeout=PATIENCE)
        for chat in chats:
            await chat.aclose()
