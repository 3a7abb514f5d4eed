"""`AblyConfig`: the URL, what it names, and what it keeps to itself."""

from __future__ import annotations

import sys
from random import Random

import pytest

import chatkit
from chatkit.adapters.ably import AblyConfig, factory
from chatkit.adapters.ably.adapter import AblyAdapter
from chatkit.errors import ConfigError
from chatkit.logs.memory import MemoryLog
from chatkit.model.config import Config
from chatkit.model.envelope import Envelope
from chatkit.testing.clock import VirtualClock
from chatkit.testing.parts import parts
from chatkit.wishes import RESERVED


def config(url: str) -> AblyConfig:
    return factory.configure(Config.from_url(url))


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("app.key@", {"app": "app", "host": "", "port": None, "history": 120.0, "realm": "ably://app"}),
        ("app@", {"app": "app", "secret": None}),
        ("app.key:hush@", {"secret": "hush", "tls": True, "format": "msgpack"}),
        ("app.key@127.0.0.1:8080?tls=0", {"host": "127.0.0.1", "port": 8080, "tls": False, "local": True}),
        ("app.key@[::1]:8080", {"host": "[::1]", "port": 8080, "local": True}),
        ("app.key@[::1]", {"host": "[::1]", "port": None}),
        ("app.key@acme", {"host": "acme", "local": False}),
        ("app.key@?host=ably.example.org&port=443", {"host": "ably.example.org", "port": 443}),
        ("app.key@?history=72h&format=json", {"history": 259_200.0, "format": "json"}),
        ("app.key@?history=90m", {"history": 5_400.0}),
        ("app.key@?native_edits=1", {"native_edits": True}),
        ("app.key@?native_edits=0", {"native_edits": False}),
        ("app.key@?namespace=chat", {"namespace": "chat", "realm": "ably://app/chat"}),
    ],
)
def test_a_url_names_an_app_and_where_it_is(url: str, found: dict[str, object]) -> None:
    """And what a store is bound to (D27)."""
    made = config(f"ably://{url}")

    assert {name: getattr(made, name) for name in found} == found
    assert factory.configure(made) == made


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "APP.KEY"),
        ("app.key.more@", "APP.KEY"),
        ("app:hush@", "belongs to a key"),
        ("app.key@host/path", "after @"),
        ("app.key@host:1?host=other", "twice"),
        ("app.key@?port=0", "port"),
        ("app.key@?port=many", "cannot be read"),
        ("app.key@?tls=yes", "cannot be read"),
        ("app.key@?host=a%20b", "host"),
        ("app.key@?format=xml", "format"),
        ("app.key@?namespace=a:b", "namespace"),
        ("app.key@?history=1m", "history"),
        ("app.key@?history=400d", "history"),
        ("app.key@?history=long", "cannot be read"),
        ("app.key@?native_edits=yes", "cannot be read"),
        ("app.key@?colour=red", "no option"),
    ],
)
def test_what_cannot_work_is_refused_at_once(url: str, words: str) -> None:
    """By name, with the form to write it in; no secret is quoted (I16)."""
    with pytest.raises(ConfigError, match=words) as refused:
        _ = config(f"ably://{url}")

    assert "ably://APP.KEY@" in refused.value.hint
    assert "hush" not in str(refused.value)


def test_a_secret_shows_nowhere() -> None:
    """Neither in a repr nor in what is logged of a configuration (I16)."""
    made = config("ably://app.key:hush@")

    assert "hush" not in f"{made!r} {made.to_dict()}"


def adapter(url: str) -> AblyAdapter:
    return factory.build(config(url), parts("ada", VirtualClock()))


async def test_edits_are_ablys_own_where_that_is_said() -> None:
    """Each then has a publish of its own, and is no more than one carries."""
    plain, native = adapter("ably://app.key@?tls=0"), adapter("ably://app.key@?tls=0&native_edits=1")
    fields = {"v": 1, "id": "00000000-0000-7000-8000-000000000001", "channel": "a", "kind": "message.create"}
    fields |= {"sender": {"user": "a", "device": "device01"}, "at": "2026-11-23T10:00:00.000Z"}
    create = Envelope.from_dict(fields).encode()
    edit = Envelope.from_dict(
        fields | {"kind": "message.update", "ref": {"id": fields["id"], "user": "a"}}
    ).encode()

    assert [one.capabilities.support("edit") for one in (plain, native)] == ["emulated", "native"]
    assert plain.measure("a", create) == native.measure("a", create)
    assert plain.measure("a", edit) < 500
    most = native.capabilities.frame_bytes
    assert native.measure("a", edit) <= most - RESERVED
    assert native.measure("a", edit) + native.measure("a", create) > most
    await plain.aclose()
    await native.aclose()


async def test_what_it_can_do_follows_from_the_url() -> None:
    """How far history reaches as said; who holds the key speaks for all."""
    member, backend = adapter("ably://app.key@?history=72h&tls=0"), adapter("ably://app.key:hush@?tls=0")

    assert (member.trusted, backend.trusted) == (False, True)
    assert (member.capabilities.history, backend.capabilities.history) == (259_200.0, 120.0)
    assert member.capabilities.support("as_user") == "none"
    assert backend.capabilities.support("as_user") == "native"
    await member.aclose()
    await backend.aclose()


def test_a_log_is_for_backends() -> None:
    """Others believe the announcements of whoever holds the key alone (D17)."""
    clock = VirtualClock()
    given = parts("ada", clock, log=MemoryLog(clock, Random(1)))

    with pytest.raises(ConfigError, match="log="):
        _ = factory.build(config("ably://app.key@"), given)


def test_a_log_numbers_edits_itself() -> None:
    """Ably's own would stand beside it."""
    clock = VirtualClock()
    given = parts("ada", clock, log=MemoryLog(clock, Random(1)))

    with pytest.raises(ConfigError, match="native_edits"):
        _ = factory.build(config("ably://app.key:hush@?native_edits=1"), given)


def test_a_client_of_ablys_own_is_not_taken() -> None:
    """It is said before anything is opened."""
    given = parts("ada", VirtualClock())._replace(client=object())

    with pytest.raises(ConfigError, match="client="):
        _ = factory.build(config("ably://app.key:hush@"), given)


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that brings it; without it the scheme is known all the same."""
    for name in ("adapter", "wire"):
        monkeypatch.delitem(sys.modules, f"chatkit.adapters.ably.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "msgpack", None)

    with pytest.raises(ConfigError, match="msgpack") as refused:
        _ = chatkit.connect("ably://app.key@", user="ada", store=":memory:")

    assert "chatkit-realtime[ably]" in refused.value.hint
