"""What the secret signs: by the worked examples, and never shown."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pusher
import pytest
import respx

from chatkit.adapters.pusher import PusherConfig
from chatkit.adapters.pusher.calls import ACCEPTED, Calls, Event, verdict
from chatkit.adapters.pusher.signing import Signer, http_url_of, signer_of
from chatkit.errors import (
    AuthenticationError,
    ChatkitError,
    ConfigError,
    MessageTooLarge,
    NotAllowed,
    RateLimited,
    Rejected,
    TransportError,
)

KEY, SECRET = "278d425bdf160c739803", "7ad3773142a6692b25b8"
CONFIG = PusherConfig(credential=KEY, secret=SECRET, place="eu", path="3")


def signer() -> Signer:
    found = signer_of(CONFIG, None)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "user", "auth"),
    [
        ("private-foobar", "u-42", "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"),
        ("presence-room", "ada", None),
        ("presence-room", 'ü"\\', None),
    ],
)
def test_a_permit_is_what_the_official_package_makes(name: str, user: str, auth: str | None) -> None:
    """The same signature for the same text; the text goes as it was signed."""
    permit = signer().permit(name, "1234.1234", user)

    if auth is not None:
        assert permit.auth == f"{KEY}:{auth}"
        assert permit.channel_data is None
    else:
        from pusher.signature import sign

        assert permit.auth == f"{KEY}:{sign(SECRET, f'1234.1234:{name}:{permit.channel_data}')}"


def test_each_call_is_signed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the time of the attempt: a signed call grows stale (600 s)."""
    times: Iterator[float] = iter((1353088179.0, 1353088180.0))
    monkeypatch.setattr("pusher.http.time.time", lambda: next(times))
    body = {"name": "foo", "channels": ["project-3"], "data": '{"some": "data"}'}

    first, second = signer().call("events", body), signer().call("events", body)

    assert first.body == second.body
    query = parse_qs(urlsplit(first.path).query)
    assert query["auth_timestamp"] == ["1353088179"]
    assert query["body_md5"] == ["e99c7bd443c2257b30f72ae568153d4f"]
    assert query["auth_signature"] == ["d550b5c3df185aa94a2c76c7c3ca5bdec16c5dbef2f7eccdb68886384e05c06a"]
    assert parse_qs(urlsplit(second.path).query)["auth_signature"] != query["auth_signature"]


def test_an_apps_own_client_signs() -> None:
    """Its credentials, its host and its master key are used."""
    own = pusher.Pusher(
        "3", KEY, SECRET, host="api.example", port=8443, encryption_master_key_base64="MDAw" * 10 + "MDA="
    )
    config = PusherConfig(credential=KEY, place="eu", channels="encrypted")

    found = signer_of(config, own)

    assert found is not None
    assert (found.app_id, found.key, found.secret) == ("3", KEY, SECRET)
    assert found.shared_secret("private-encrypted-x") == signer_of(
        PusherConfig(credential=KEY, secret=SECRET, place="eu", path="3", master_key="MDAw" * 10 + "MDA="),
        None,
    ).shared_secret("private-encrypted-x")  # type: ignore[union-attr]
    assert http_url_of(config, own) == "https://api.example:8443"
    assert http_url_of(config, None) == "https://api-eu.pusher.com"


@pytest.mark.parametrize(
    ("client", "config"),
    [
        (object(), CONFIG),
        (pusher.Pusher("3", "other-key", SECRET), CONFIG),
        (pusher.Pusher("4", KEY, SECRET), CONFIG),
        (pusher.Pusher("3", KEY, SECRET), PusherConfig(credential=KEY, place="eu", channels="encrypted")),
    ],
)
def test_another_apps_client_is_refused(client: Any, config: PusherConfig) -> None:
    """`ConfigError`, without what it holds."""
    with pytest.raises(ConfigError) as caught:
        _ = signer_of(config, client)
    assert SECRET not in f"{caught.value} {caught.value.hint}"


ANSWERS = [
    (401, "Invalid signature: you should have sent HmacSHA256Hex(auth_key=x&auth_timestamp=1)", "secret"),
    (401, "Timestamp expired: Given timestamp (x) not within 600s of server time (y)", "clock"),
    (401, "Unknown auth_key", "key"),
    (403, "", "quota"),
    (404, "", "app"),
    (413, "", "10,240"),
    (429, "", "too many"),
    (400, "", "refused"),
]


@pytest.mark.parametrize(("status", "text", "words"), ANSWERS)
def test_an_answer_says_what_to_do(status: int, text: str, words: str) -> None:
    """In words of ours: the server's may quote what was signed (D12, I16)."""
    found = verdict(status, text).error

    assert found is not None
    assert words in str(found)
    assert found.hint or isinstance(found, RateLimited)
    assert "HmacSHA256Hex" not in f"{found}{found.hint}"


def test_classes_of_answers() -> None:
    """Of the connection, or of this event alone; a failing server is in doubt (D10)."""
    kinds: list[tuple[int, type[ChatkitError], str, str]] = [
        (401, AuthenticationError, "unsent", "connection"),
        (403, NotAllowed, "unsent", "connection"),
        (404, AuthenticationError, "unsent", "connection"),
        (429, RateLimited, "unsent", "connection"),
        (413, MessageTooLarge, "refused", "entry"),
        (400, Rejected, "refused", "entry"),
    ]
    for status, kind, outcome, scope in kinds:
        found = verdict(status, "", "7")
        assert (type(found.error), found.outcome, found.scope) == (kind, outcome, scope)
    assert verdict(429, "", "7").after == 7.0
    assert verdict(429, "", "soon").after is None
    assert verdict(200, "{}") == verdict(202, "{}") == ACCEPTED
    for status in (500, 502, 503, 302):
        with pytest.raises(TransportError):
            _ = verdict(status, "")


@respx.mock
async def test_a_status_in_the_body_counts(respx_mock: respx.MockRouter) -> None:
    """Some servers answer 200 to everything."""
    body = {"error": "The app does not exist", "code": 404}
    respx_mock.post(host="api.example").mock(httpx.Response(200, json=body))
    async with httpx.AsyncClient(verify=False) as client:
        calls = Calls("http://api.example", signer(), client, told_time=lambda _: None)

        found = await calls.publish([Event("private-x", "chatkit", "{}")])

    assert isinstance(found.error, AuthenticationError)


@respx.mock
async def test_a_call_shows_in_no_log(respx_mock: respx.MockRouter, caplog: pytest.LogCaptureFixture) -> None:
    """Neither signature nor body, at DEBUG too; nor in the error of a lost answer (I16)."""
    caplog.set_level(logging.DEBUG)
    respx_mock.post(host="api.example").mock(side_effect=httpx.ReadError("auth_signature=secret"))
    async with httpx.AsyncClient(verify=False) as client:
        calls = Calls("http://api.example", signer(), client, told_time=lambda _: None)

        with pytest.raises(TransportError) as caught:
            _ = await calls.publish([Event("private-x", "chatkit", "hush")])
        respx_mock.post(host="api.example").mock(httpx.Response(200, json={}))
        _ = await calls.publish([Event("private-x", "chatkit", "hush")])

    assert "auth_signature" not in f"{caught.value!r} {caught.value.__cause__!r} {caplog.text}"
    assert "hush" not in caplog.text
    assert SECRET not in f"{signer()!r} {CONFIG!r} {CONFIG.to_dict()} {Event('a', 'b', 'hush')!r}"


@respx.mock
async def test_events_go_out_in_order(respx_mock: respx.MockRouter) -> None:
    """One by `events`, more by `batch_events`; without whoever is left out."""
    route = respx_mock.post(host="api.example").mock(httpx.Response(200, json={}))
    async with httpx.AsyncClient(verify=False) as client:
        calls = Calls("http://api.example", signer(), client, told_time=lambda _: None)
        _ = await calls.publish([Event("private-x", "chatkit", "1")], but="1.2")
        _ = await calls.publish([Event("private-x", "chatkit", text) for text in "12"])

    one, two = (call.request for call in route.calls)
    assert one.extensions["target"].startswith(b"/apps/3/events?")
    assert two.extensions["target"].startswith(b"/apps/3/batch_events?")
    assert b'"socket_id": "1.2"' in one.content
    assert two.content.index(b'"data": "1"') < two.content.index(b'"data": "2"')
