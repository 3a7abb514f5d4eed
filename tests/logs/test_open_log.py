"""`open_log`: which log a URL names."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

import chatkit
from chatkit.adapters.memory import forget_hub
from chatkit.errors import ConfigError
from chatkit.logs import open_log, restored
from chatkit.logs.sqlite.log import SqliteLog
from chatkit.ports.log import Log
from chatkit.testing.clock import VirtualClock
from tests.special import names, other

SECRET = "hunter2-very-secret"


def named(url: str) -> Log:
    return open_log(url, clock=VirtualClock(), random=Random(1), inline=True)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "not a URL"),
        ("shop.db", "not a URL"),
        (f"sqlite://user:{SECRET}@host/shop.db", "names no host"),
        (f"sqlite:///shop.db?key={SECRET}", "takes no options"),
        ("sqlite:///", "names no file"),
        ("sqlite:///logs/", "names no file"),
        ("sqlite:///a%00b", "names no file"),
        ("sqlite:///\ud800", "names no file"),
        ("sqlite:///:memory:", "in memory"),
        (f"https://{SECRET}@relay.example", "comes with the relay"),
        (f"mysql://user:{SECRET}@host/app", "no log for mysql://"),
        (f"{SECRET}://host", "no log for such://"),
    ],
)
def test_a_url_of_no_log_is_refused(url: str, words: str) -> None:
    """With words of what to write instead, and nothing of the URL that may be a secret (I16)."""
    with pytest.raises(ConfigError, match=words) as caught:
        named(url)

    assert caught.value.hint
    assert SECRET not in f"{caught.value} {caught.value.hint} {caught.value!r}"


@pytest.mark.parametrize("kind", ["a device", "a pipe", "a socket", "a directory"])
def test_what_is_no_file_is_refused_before_anything_is_made(tmp_path: Path, kind: str) -> None:
    """Also behind a symbolic link; SQLite would leave a lock and a journal beside it."""
    with other(tmp_path, kind) as path:
        (tmp_path / "link").symlink_to(path)
        before = names(tmp_path, Path("/dev"))
        for name in (path, tmp_path / "link"):
            with pytest.raises(ConfigError, match=f"log: {path.name} is {kind}, not a file") as caught:
                named(f"sqlite:///{name}")
            assert "sqlite:///shop.db" in caught.value.hint
        assert names(tmp_path, Path("/dev")) == before


async def test_a_file_lies_where_its_url_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three slashes from where the process stands, four from the root; one file under both names."""
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite:///logs/my%20shop.db", f"sqlite:///{tmp_path}/logs/my%20shop.db"):
        log = named(url)
        assert isinstance(log, SqliteLog)
        await log.heads(["support"])
        await log.aclose()

    assert os.listdir(tmp_path) == ["logs"]  # noqa: PTH208  # as for the next one
    assert "my shop.db" in os.listdir(tmp_path / "logs")  # noqa: PTH208  # Path's own may not be asked here


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_missing_driver_is_named_with_its_extra(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver is looked for when such a log is asked for, and not before."""

    def missing(name: str) -> Any:
        assert name == "chatkit.logs.postgres"
        raise ModuleNotFoundError("no", name="psycopg")

    monkeypatch.setattr(importlib, "import_module", missing)

    with pytest.raises(ConfigError, match="psycopg") as caught:
        named(f"{scheme}://user:{SECRET}@host/app")

    assert "chatkit-realtime[postgres]" in caught.value.hint
    assert SECRET not in f"{caught.value} {caught.value.hint}"


def test_a_log_on_postgresql_is_given_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is: it is the driver's own."""
    module = SimpleNamespace(PostgresLog=lambda dsn: ("log", dsn))
    monkeypatch.setattr(importlib, "import_module", lambda name: module)

    found: object = named("postgresql://host/app")

    assert found == ("log", "postgresql://host/app")


async def test_a_client_opens_and_closes_the_log_of_its_url(tmp_path: Path, clock: VirtualClock) -> None:
    """What one client sent is there for the next one, from the file alone."""
    url = f"sqlite:///{tmp_path}/shop.db"
    async with chatkit.connect("memory://log-of-a-url", user="ada", log=url, clock=clock, seed=1) as chat:
        delivery = await chat.channel("support").send("Hello")
        await delivery.wait("sent")
        assert chat.engine.context.opened is chat.engine.context.log

    forget_hub("log-of-a-url")
    async with chatkit.connect("memory://log-of-a-url", user="bob", log=url, clock=clock, seed=2) as chat:
        page = await chat.channel("support").history()

    assert [message.text for message in page.items] == ["Hello"]


@pytest.mark.realtime
async def test_a_restored_log_is_another_one(tmp_path: Path) -> None:
    """For whoever looks next, in whichever process (D18)."""
    url = f"sqlite:///{tmp_path}/shop.db"
    log = named(url)
    before = (await log.heads(["support"]))["support"].log_id

    told = await restored(url, clock=VirtualClock(), random=Random(2))

    assert (await log.heads(["support"]))["support"].log_id == told != before
    await log.aclose()
