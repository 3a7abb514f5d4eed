"""`memory://NAME`: what it accepts and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from chatkit.adapters.memory import MemoryConfig, factory, forget_hub, new_hub, shared_hub
from chatkit.errors import ConfigError
from chatkit.model.config import Config
from chatkit.testing.clock import VirtualClock
from chatkit.testing.parts import parts


def configure(url: str) -> MemoryConfig:
    return factory.configure(Config.from_url(url))


def test_a_url_says_everything() -> None:
    """Name, likeness and switches come by URL options."""
    found = configure("memory://demo?like=ably&offline=1&resume=5&history=60")

    assert (found.name, found.like, found.offline, found.resume, found.history) == (
        "demo",
        "ably",
        True,
        5,
        60,
    )


def test_without_a_name_it_is_the_default_one() -> None:
    """`memory://` alone is enough for a first try."""
    assert configure("memory://").name == "default"


def test_a_config_says_the_same() -> None:
    """A configuration in code completes to the same value as its URL."""
    assert factory.configure(MemoryConfig(name="demo", like="pusher")) == configure(
        "memory://demo?like=pusher"
    )


def test_completing_twice_changes_nothing() -> None:
    """What was completed can be completed again."""
    found = configure("memory://demo?offline=0")

    assert factory.configure(found) == found


def test_a_secret_of_the_environment_is_ignored() -> None:
    """`CHATKIT_SECRET` may be set for another provider."""
    found = factory.configure(replace(Config.from_url("memory://demo"), secret="hush"))

    assert found.name == "demo"
    assert "hush" not in f"{found!r} {found.to_json()}"


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("memory://a%20b", "name"),
        (f"memory://{'a' * 65}", "name"),
        ("memory://demo/app", "path"),
        ("memory://key@demo", "credential"),
        ("memory://demo?like=irc", "like"),
        ("memory://demo?colour=red", "'colour'"),
        ("memory://demo?offline=perhaps", "'offline'"),
        ("memory://demo?resume=soon", "'resume'"),
        ("memory://demo?resume=-1", "resume"),
        ("memory://demo?history=inf", "history"),
        ("memory://demo?history=nan", "history"),
        ("memory://demo?like=pusher&history=60", "history"),
        ("memory://demo?like=pusher&resume=60", "resume_window"),
    ],
)
def test_a_wrong_url_is_refused_by_name(url: str, named: str) -> None:
    """The error names what is wrong and shows how to write it."""
    with pytest.raises(ConfigError, match=named) as caught:
        configure(url)

    assert caught.value.hint


@pytest.mark.parametrize(
    ("capabilities", "named"),
    [
        ({"colour": "red"}, "'colour'"),
        ({"batch": 0}, "batch"),
        ({"frame_bytes": 300}, "frame_bytes"),
        ({"publish_rate": 0}, "publish_rate"),
        ({"duplicate_window": -1}, "windows"),
        ({"order": "clock"}, "history"),
        ({"order": "clock", "history": 0, "resume_window": 5}, "resume_window"),
        ({"order": "clock", "history": 0}, "contiguous"),
        ({"announce": "transactional", "history": 0}, "transactional"),
        ({"announce": "after"}, "needs a log"),
    ],
)
def test_capabilities_that_nobody_has_are_refused(capabilities: dict[str, Any], named: str) -> None:
    """A test meets providers that could be, or an error."""
    with pytest.raises(ConfigError, match=named):
        factory.configure(MemoryConfig(name="demo", capabilities=capabilities))


def test_pusher_needs_its_secret() -> None:
    """Publishing over HTTP is trusted, or it is not publishing over HTTP (D29)."""
    with pytest.raises(ConfigError, match="pusher"):
        factory.configure(MemoryConfig(name="demo", like="pusher", trusted=False))


def test_clients_of_one_name_meet(clock: VirtualClock) -> None:
    """One hub per process and name, until it is forgotten."""
    first = shared_hub("meeting", clock=clock, random=Random(1))

    adapter = factory.build(configure("memory://meeting"), parts("ada", clock))

    assert adapter._hub is first
    assert adapter.realm == "memory://meeting"
    forget_hub("meeting")
    forget_hub("meeting")
    assert shared_hub("meeting", clock=clock, random=Random(1)) is not first
    forget_hub("meeting")


def test_a_hub_of_ones_own_needs_no_name(clock: VirtualClock) -> None:
    """`MemoryConfig(hub=...)` keeps tests apart from the process."""
    hub = new_hub("own", clock=clock, random=Random(1))

    adapter = factory.build(MemoryConfig(hub=hub), parts("ada", clock))

    assert adapter._hub is hub
    assert adapter.realm == "memory://own"


def test_a_hub_is_like_one_provider(clock: VirtualClock) -> None:
    """Its first client decides; another likeness is a mistake that is named."""
    hub = new_hub(clock=clock, random=Random(1))
    factory.build(MemoryConfig(hub=hub, like="ably"), parts("ada", clock))
    factory.build(MemoryConfig(hub=hub, like="ably"), parts("bob", clock))

    with pytest.raises(ConfigError, match="like ably"):
        factory.build(MemoryConfig(hub=hub), parts("carol", clock))


def test_it_needs_no_network() -> None:
    """So `store=` need not be said aloud."""
    assert factory.networked is False
