"""What stands behind `supabase://KEY@REF`, and what is refused."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import chatkit
from chatkit.adapters.supabase import SupabaseConfig, factory
from chatkit.adapters.supabase.config import is_service_key
from chatkit.errors import ConfigError
from chatkit.logs.memory import MemoryLog
from chatkit.model.config import Config
from chatkit.testing.clock import VirtualClock
from chatkit.testing.emulators.supabase.tokens import sign
from chatkit.testing.parts import parts

SERVICE = sign({"role": "service_role", "exp": 1_800_000_000}, "x" * 32)
ANON = sign({"role": "anon", "exp": 1_800_000_000}, "x" * 32)


def config(url: str) -> SupabaseConfig:
    return factory.configure(Config.from_url(url))


@pytest.mark.parametrize(
    ("url", "http", "socket", "realm"),
    [
        (
            "supabase://KEY@abcdefgh",
            "https://abcdefgh.supabase.co",
            "wss://abcdefgh.supabase.co/realtime/v1/websocket",
            "supabase://abcdefgh",
        ),
        (
            "supabase://KEY@127.0.0.1:54321?tls=0",
            "http://127.0.0.1:54321",
            "ws://127.0.0.1:54321/realtime/v1/websocket",
            "supabase://127.0.0.1:54321",
        ),
        (
            "supabase://KEY@[::1]:80?tls=0",
            "http://[::1]:80",
            "ws://[::1]:80/realtime/v1/websocket",
            "supabase://[::1]:80",
        ),
        (
            "supabase://KEY@localhost",
            "https://localhost",
            "wss://localhost/realtime/v1/websocket",
            "supabase://localhost",
        ),
        (
            "supabase://KEY@abc?host=chat.example",
            "https://chat.example",
            "wss://chat.example/realtime/v1/websocket",
            "supabase://abc",
        ),
    ],
)
def test_addresses(url: str, http: str, socket: str, realm: str) -> None:
    """A hosted project by its reference, any other by host and port."""
    found = config(url)

    assert (found.http_url, found.socket_url, found.realm) == (http, socket, realm)
    assert found.local == (found.host in {"127.0.0.1", "[::1]", "localhost"})


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("supabase://@abc", "the key stands before @"),
        ("supabase://KEY@", "reference"),
        ("supabase://KEY@Abc", None),
        ("supabase://KEY@abc/path", "nothing stands after"),
        ("supabase://KEY@abc?mode=queue", "mode is"),
        ("supabase://KEY@abc?private=1", "private is for mode=broadcast"),
        ("supabase://sb_secret_x@abc?anonymous=1", "anonymous is for a public key"),
        ("supabase://KEY@abc?mode=broadcast&anonymous=1", "anonymous is for a public key"),
        ("supabase://KEY@abc?payload=0", "payload is"),
        ("supabase://KEY@abc?payload=x", "'payload' cannot be read"),
        ("supabase://KEY@abc?events=0", "events is"),
        ("supabase://KEY@host:1?port=2", "host or port stands twice"),
        ("supabase://KEY@abc?port=0", "port is"),
        ("supabase://KEY@abc?host=a/b", "host is"),
        ("supabase://KEY@abc?colour=red", "no option 'colour'"),
        (f"supabase://KEY:{ANON}@abc", "the secret is"),
    ],
)
def test_what_cannot_be(url: str, says: str | None) -> None:
    """Is refused by name, without the key (I16)."""
    if says is None:
        assert config(url).host == "Abc"
        return
    with pytest.raises(ConfigError, match=says) as refused:
        _ = config(url)

    assert "KEY" not in str(refused.value)
    assert ANON not in str(refused.value)


@pytest.mark.parametrize(
    ("key", "service"),
    [(SERVICE, True), ("sb_secret_x", True), (ANON, False), ("sb_publishable_x", False), ("x", False)],
)
def test_service_keys_are_known(key: str, service: bool) -> None:
    """By what they say of themselves: the server has the last word."""
    assert is_service_key(key) is service
    assert config(f"supabase://{key}@abc").trusted is service
    assert config(f"supabase://{ANON}:{SERVICE}@abc").key == SERVICE


def test_keys_show_nowhere() -> None:
    """Neither in a repr nor in JSON (I16)."""
    found = config(f"supabase://{ANON}:{SERVICE}@abc")

    assert SERVICE not in repr(found) + found.to_json()
    assert ANON not in repr(found) + found.to_json()


def build(clock: VirtualClock, url: str, **given: Any) -> Any:
    return factory.build(config(url), parts("ada", clock, **given))


async def test_what_can_be_done_is_declared(clock: VirtualClock) -> None:
    """By mode, and by who may."""
    database = build(clock, "supabase://anon@abc")
    trusted = build(clock, "supabase://sb_secret_x@abc")
    broadcast = build(clock, "supabase://anon@abc?mode=broadcast&events=100")
    backend = build(clock, "supabase://sb_secret_x@abc?mode=broadcast")
    for adapter in (database, trusted, broadcast, backend):
        await adapter.aclose()

    assert (database.trusted, trusted.trusted, broadcast.trusted, backend.trusted) == (
        False,
        True,
        False,
        False,
    )
    assert (database.capabilities.announce, broadcast.capabilities.announce) == ("transactional", "stream")
    assert (
        database.capabilities.channels_per_connection,
        broadcast.capabilities.channels_per_connection,
    ) == (49, 98)
    assert (database.capabilities.frame_bytes, broadcast.capabilities.frame_bytes) == (1_048_576, 230_400)
    assert broadcast.capabilities.publish_rate == 10.0
    assert (database.log is None, broadcast.log is None) == (False, True)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("supabase://sb_secret_x@abc", "the project's own PostgreSQL is the log"),
        ("supabase://anon@abc?mode=broadcast", "log= needs"),
    ],
)
def test_a_log_of_the_app_needs_broadcasts_of_a_backend(clock: VirtualClock, url: str, says: str) -> None:
    """Elsewhere it would be believed by nobody, or be one too many."""
    from random import Random

    with pytest.raises(ConfigError, match=says):
        _ = build(clock, url, log=MemoryLog(clock, Random(1)))


def test_a_url_without_a_project_needs_a_client(clock: VirtualClock) -> None:
    """Which knows both."""
    with pytest.raises(ConfigError, match="names no project"):
        _ = build(clock, "supabase://")


def test_what_is_not_installed_is_named(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the extra that brings it."""
    monkeypatch.setitem(sys.modules, "chatkit.adapters.supabase.adapter", None)

    with pytest.raises(ConfigError, match="not installed") as missing:
        _ = build(clock, "supabase://anon@abc")

    assert "[supabase]" in missing.value.hint


def test_connect_knows_the_scheme() -> None:
    """And asks where to keep what is queued, as with every network."""
    with pytest.raises(ConfigError, match="store="):
        _ = chatkit.connect("supabase://anon@abc", user="ada")
