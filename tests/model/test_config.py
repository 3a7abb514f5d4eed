"""Where to connect, from a URL or the environment; what is secret is never shown (I16)."""

from __future__ import annotations

import traceback
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.errors import ConfigError
from chatkit.model.config import Config

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHATKIT_URL", raising=False)
    monkeypatch.delenv("CHATKIT_SECRET", raising=False)


@pytest.mark.parametrize(
    ("url", "config"),
    [
        ("memory://demo", Config(scheme="memory", place="demo")),
        ("memory://", Config(scheme="memory")),
        ("memory:///", Config(scheme="memory")),
        (
            "memory://demo?like=pusher&offline=1",
            Config(scheme="memory", place="demo", options={"like": "pusher", "offline": "1"}),
        ),
        ("pusher://KEY@eu/42", Config(scheme="pusher", credential="KEY", place="eu", path="42")),
        (
            "pusher://KEY:S3CRET@eu/42?host=::1&port=6001",
            Config(
                scheme="pusher",
                credential="KEY",
                secret="S3CRET",
                place="eu",
                path="42",
                options={"host": "::1", "port": "6001"},
            ),
        ),
        ("ably://APP.KEY:SEC:RET@", Config(scheme="ably", credential="APP.KEY", secret="SEC:RET")),
        ("ably://:S3CRET@", Config(scheme="ably", secret="S3CRET")),
        (
            "supabase://KEY@127.0.0.1:54321",
            Config(scheme="supabase", credential="KEY", place="127.0.0.1:54321"),
        ),
        ("supabase://KEY@[::1]:54321/", Config(scheme="supabase", credential="KEY", place="[::1]:54321")),
        ("x-my+own.1://a/b/c", Config(scheme="x-my+own.1", place="a", path="b/c")),
        ("memory://demo?&a=&b&", Config(scheme="memory", place="demo", options={"a": "", "b": ""})),
    ],
)
def test_a_url_says_it_all(url: str, config: Config) -> None:
    """`scheme://CREDENTIAL[:SECRET]@PLACE/ID?option=value`; each part but the scheme may be missing."""
    assert Config.from_url(url) == config


def test_parts_are_percent_decoded() -> None:
    """And a plus sign is one: keys hold them."""
    config = Config.from_url(
        "pusher://K%2FEY:a+b%40%3A%C3%A9@my%20place/%34%32?log=postgres%3A//u%40h%3Fx%26y+z"
    )

    assert config == Config(
        scheme="pusher",
        credential="K/EY",
        secret="a+b@:é",
        place="my place",
        path="42",
        options={"log": "postgres://u@h?x&y+z"},
    )


plain = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffd"), max_size=20)


@given(plain, plain, plain, plain, plain)
def test_what_was_quoted_comes_back(key: str, secret: str, place: str, path: str, option: str) -> None:
    """Any text, in any part."""
    url = (
        f"x://{quote(key, '')}:{quote(secret, '')}@{quote(place, '')}/{quote(path, '')}?o={quote(option, '')}"
    )

    assert Config.from_url(url) == Config(
        scheme="x",
        credential=key or None,
        secret=secret or None,
        place=place,
        path=path,
        options={"o": option},
    )


def refused(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_url(url)
    shown = (
        "".join(traceback.format_exception(caught.value, limit=0)) + repr(caught.value) + caught.value.hint
    )
    assert SECRET not in shown
    assert "memory://demo" in caught.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "",
        SECRET,
        "://place",
        "Memory://demo",
        "1x://demo",
        f"pusher:/KEY:{SECRET}@eu",
        f"pusher://KEY:{SECRET}@eu/42#there",
        f"pusher://KEY:{SECRET}@eu/42 ",
        f"pusher://KEY:{SECRET}@e u",
        f"pusher://KEY:{SECRET}@eu\n",
        f"pusher://KEY:{SECRET}@e%0Au",
        f"pusher://KEY:{SECRET}%00@eu",
        f"pusher://KEY:{SECRET}%FF@eu",
        f"pusher://KEY:{SECRET}%E9@eu",
        f"pusher://KEY:{SECRET}\udcff@eu",
        f"pusher://KEY:{SECRET}@eu?host=a&host=b",
        f"pusher://KEY:{SECRET}@eu?Host=a",
        f"pusher://KEY:{SECRET}@eu?ho%73t=a",
        f"pusher://KEY:{SECRET}@eu?=a",
        f"pusher://KEY:{SECRET}@eu?{'x' * 65}=a",
        f"pusher://KEY:{SECRET}@eu/{'x' * 4_096}",
    ],
    ids=repr,
)
def test_another_form_is_refused(url: str) -> None:
    """Without quoting it: the form that is meant stands in the hint (I16)."""
    refused(url)


@pytest.mark.parametrize(
    "url",
    [
        f"ably://APP.KEY:{SECRET}",
        f"pusher://KEY:12@{SECRET}@eu/42",
        f"pusher://KEY:12/{SECRET}@eu/42",
        f"pusher://KEY:12?{SECRET}@eu/42",
        f"pusher://KEY:12?a={SECRET}@eu/42",
        f"pusher://KEY:12#{SECRET}@eu/42",
        f"supabase://KEY@host:{SECRET}",
        f"supabase://KEY@host:123456:{SECRET}",
    ],
)
def test_a_secret_in_the_wrong_place_is_refused(url: str) -> None:
    """Where `@` is missing or the secret is not quoted, part of it would show as a host or path (I16)."""
    refused(url)


def test_what_is_secret_is_shown_nowhere() -> None:
    """Neither the credential nor options, which may hold another provider's (I16)."""
    config = Config.from_url(f"pusher://{SECRET}1:{SECRET}2@eu/42?log=postgres%3A//u%3A{SECRET}3")

    assert (config.credential, config.secret) == (f"{SECRET}1", f"{SECRET}2")
    assert repr(config) == "Config(scheme='pusher', place='eu', path='42')"
    assert config.to_dict() == {"scheme": "pusher", "place": "eu", "path": "42"}
    assert SECRET not in f"{config}{config.to_json()}"


def test_the_environment_names_the_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """`CHATKIT_URL`, and `CHATKIT_SECRET` so that no secret need stand in it."""
    monkeypatch.setenv("CHATKIT_URL", "pusher://KEY@eu/42")
    monkeypatch.setenv("CHATKIT_SECRET", SECRET)

    assert Config.from_env() == Config(
        scheme="pusher", credential="KEY", secret=SECRET, place="eu", path="42"
    )


def test_a_secret_in_the_url_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands nearer wins."""
    monkeypatch.setenv("CHATKIT_SECRET", "other")
    config = Config.from_url(f"pusher://KEY:{SECRET}@eu/42")

    assert config.with_environment() is config


@pytest.mark.parametrize("secret", [None, ""])
def test_without_a_secret_there_is_none(monkeypatch: pytest.MonkeyPatch, secret: str | None) -> None:
    """An empty variable is the same as none."""
    monkeypatch.setenv("CHATKIT_URL", "memory://demo")
    if secret is not None:
        monkeypatch.setenv("CHATKIT_SECRET", secret)

    assert Config.from_env().secret is None


@pytest.mark.parametrize("url", [None, ""])
def test_without_a_provider_the_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    """And how the variable is called."""
    if url is not None:
        monkeypatch.setenv("CHATKIT_URL", url)

    with pytest.raises(ConfigError, match="CHATKIT_URL") as caught:
        Config.from_env()
    assert "memory://demo" in caught.value.hint


def test_a_bad_url_in_the_environment_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As any other (I16)."""
    monkeypatch.setenv("CHATKIT_URL", SECRET)

    with pytest.raises(ConfigError) as caught:
        Config.from_env()
    assert SECRET not in str(caught.value)
