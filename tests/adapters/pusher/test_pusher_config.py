"""`PusherConfig`: the URL, what it names, and what it keeps to itself."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

import chatkit
from chatkit.adapters.pusher import PusherConfig, factory
from chatkit.adapters.pusher.pace import BURST, RATE, Bucket
from chatkit.errors import ConfigError
from chatkit.model.config import Config
from chatkit.testing.clock import VirtualClock
from chatkit.testing.parts import parts
from chatkit.transport import DateClock

MASTER = "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA="


def config(url: str) -> PusherConfig:
    return factory.configure(Config.from_url(url))


@pytest.mark.parametrize(
    ("url", "socket", "http", "realm"),
    [
        ("KEY@eu/1001", "wss://ws-eu.pusher.com/app/", "https://api-eu.pusher.com", "pusher://eu/1001"),
        ("KEY@mt1", "wss://ws-mt1.pusher.com/app/", "https://api-mt1.pusher.com", "pusher://mt1/KEY"),
        (
            "KEY:SECRET@own/1001?host=chat.example&port=6001&tls=0",
            "ws://chat.example:6001/app/",
            "http://chat.example:6001",
            "pusher://own/1001",
        ),
        ("KEY@/7?host=[::1]&tls=0", "ws://[::1]/app/", "http://[::1]", "pusher://[::1]/7"),
    ],
)
def test_a_url_names_a_server_and_an_app(url: str, socket: str, http: str, realm: str) -> None:
    """Where connections and calls go, and what a store is bound to (D27)."""
    found = config(f"pusher://{url}")

    assert (found.socket_url, found.http_url, found.realm) == (socket, http, realm)
    assert factory.configure(found) == found


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("eu/1", "key"),
        ("KEY@", "cluster"),
        ("KEY@eu.example/1", "cluster"),
        ("KEY@eu/app", "digits"),
        ("KEY:hush@eu", "app id"),
        ("KEY@eu/1?port=0", "port"),
        ("KEY@eu/1?port=many", "cannot be read"),
        ("KEY@eu/1?tls=yes", "cannot be read"),
        ("KEY@eu/1?host=a%20b", "host"),
        ("KEY@eu/1?channels=public", "channels"),
        ("KEY@eu/1?colour=red", "colour"),
        ("KEY@eu/1?master_key=hush", "master_key"),
        ("KEY:hush@eu/1?channels=encrypted", "master_key"),
        ("KEY@eu/1?auth=ftp%3A//hush", "auth"),
    ],
)
def test_a_mistake_is_named(url: str, words: str) -> None:
    """At once, with the form that it should have, and no secret in it (I16)."""
    with pytest.raises(ConfigError, match=words) as caught:
        _ = config(f"pusher://{url}")

    assert "pusher://KEY@CLUSTER/APP_ID" in caught.value.hint
    assert "hush" not in f"{caught.value} {caught.value.hint}"


def test_secrets_show_nowhere() -> None:
    """Neither in a `repr` nor in JSON (I16)."""
    url = f"pusher://KEY:hush@eu/1?channels=encrypted&master_key={MASTER.replace('=', '%3D')}&auth=https%3A//a/?t=hush"
    found = config(url)

    shown = f"{found!r} {found.to_dict()}"

    assert found.secret == "hush"
    assert found.master_key == MASTER
    assert "hush" not in shown
    assert MASTER not in shown


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("[::1]", True), ("10.0.0.1", False), ("a.example", False)],
)
def test_no_proxy_leads_to_this_machine(host: str, local: bool) -> None:
    """Anywhere else the environment's is used."""
    assert PusherConfig(credential="k", host=host).local is local


def test_an_endpoint_is_an_option_where_the_provider_has_it() -> None:
    """`auth=` may be an address at Pusher, and nowhere else."""
    with pytest.raises(ConfigError, match="auth"):
        _ = chatkit.connect("memory://x", user="ada", auth="https://app.example/auth")


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, clock: VirtualClock
) -> None:
    """`PusherConfig` is there all the same."""
    monkeypatch.setitem(sys.modules, "chatkit.adapters.pusher.adapter", None)

    with pytest.raises(ConfigError) as caught:
        _ = factory.build(config("pusher://KEY:secret@eu/1"), parts("ada", clock))

    assert "chatkit-realtime[pusher]" in caught.value.hint


async def test_capabilities_follow_from_the_set_up(clock: VirtualClock) -> None:
    """What `sent` proves, who numbers, and for whom it speaks (D11)."""
    made: dict[str, Any] = {}
    for name, url in (("trusted", "KEY:secret@eu/1"), ("untrusted", "KEY@eu/1")):
        adapter = factory.build(config(f"pusher://{url}"), parts("ada", clock))
        made[name] = adapter
        await adapter.aclose()

    assert [made[name].capabilities.ack for name in made] == ["accepted", "barrier"]
    assert [made[name].trusted for name in made] == [True, False]
    assert [made[name].capabilities.support("as_user") for name in made] == ["native", "none"]
    assert made["trusted"].publisher is not None
    assert made["untrusted"].publisher is None


@pytest.mark.parametrize("late", [0.0, 0.05, 0.16])
def test_ten_client_events_never_arrive_in_a_second(late: float) -> None:
    """However the network presses them together, by up to 160 ms (D29)."""
    bucket, now, sent = Bucket(0.0), 0.0, list[float]()
    for _ in range(60):
        now += bucket.wait(now)
        bucket.take(now)
        sent.append(now)

    assert sent[:BURST] == [0.0] * BURST
    for first in sent:
        window = [at for at in sent if first <= at < first + 1.0 + late]
        assert len(window) <= 10
    assert sent[-1] == pytest.approx((60 - BURST) / RATE)


def test_what_passes_by_leaves_room() -> None:
    """An event may go only where others find a token after it."""
    bucket = Bucket(0.0)
    assert bucket.wait(0.0, spare=1) == 0.0
    for _ in range(BURST - 1):
        bucket.take(0.0)

    assert bucket.wait(0.0) == 0.0
    assert bucket.wait(0.0, spare=1) == pytest.approx(1 / RATE)


@pytest.mark.parametrize("off", [0, 1, -1, 30, -3_600])
def test_server_time_is_what_the_answers_tell(clock: VirtualClock, off: int) -> None:
    """Near enough the device's own clock is better: headers end at seconds (D4)."""
    dates = DateClock(clock)
    assert dates.now() is None
    dates.told(format_datetime(clock.wall() + timedelta(seconds=off), usegmt=True))
    clock.advance(10.0)

    found = dates.now()

    assert found is not None
    assert abs(found - clock.wall() - timedelta(seconds=off)) <= timedelta(seconds=2)
    assert (found == clock.wall()) is (abs(off) < 2)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "yesterday",
        "Mon, 99 Jan 2026 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Fri, 31 Dec 9999 23:59:59 -0500",
        "Mon, 01 Jan 2026 00:00:00 +9999999999999999999",
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    ],
)
def test_a_date_that_cannot_be_read_is_none(clock: VirtualClock, header: str | None) -> None:
    """What was told before stays."""
    dates = DateClock(clock)
    dates.told(header)
    assert dates.now() is None
    dates.told(format_datetime(datetime(2030, 1, 1, tzinfo=UTC), usegmt=True))

    dates.told(header)

    assert dates.now() is not None
