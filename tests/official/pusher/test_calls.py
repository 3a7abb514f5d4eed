"""The HTTP API, as the official package for Python calls it, and as it must not be called."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any

import pusher
import pytest
from pusher.errors import PusherBadAuth, PusherBadRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pusher.http import Request

    from tests.official.pusher.kit import Kit


def test_the_occupied_channels_are_told(kit: Kit) -> None:
    """With a prefix those alone; with `user_count` how many users each has."""
    room, presence, client = kit.name(), kit.name("presence-"), kit.client()
    client.subscribe(room)
    client.subscribe(presence)
    kit.client().subscribe(presence)

    assert {room, presence} <= set(kit.official.channels_info()["channels"])
    told = kit.official.channels_info("presence-", ["user_count"])["channels"]
    assert told[presence] == {"user_count": 1}
    assert room not in told


def test_a_channel_is_told(kit: Kit) -> None:
    """Whether anybody is there, and how many users."""
    presence, empty = kit.name("presence-"), kit.name()
    kit.client(user="ada").subscribe(presence)
    kit.client(user="bob").subscribe(presence)
    kit.client(user="bob").subscribe(presence)

    told = kit.official.channel_info(presence, ["user_count"])

    assert (told["occupied"], told["user_count"]) == (True, 2)
    assert kit.official.channel_info(empty)["occupied"] is False


def test_a_channel_has_the_parts_that_were_asked_for(kit: Kit) -> None:
    """And no others."""
    presence = kit.name("presence-")
    kit.client(user="ada").subscribe(presence)

    assert kit.official.channel_info(presence, ["user_count"]) == {"occupied": True, "user_count": 1}
    assert kit.official.channel_info(presence) == {"occupied": True}


def test_the_users_of_a_presence_channel_are_told(kit: Kit) -> None:
    """Once each; of other channels it is an error."""
    presence = kit.name("presence-")
    for user in ("ada", "bob", "bob"):
        kit.client(user=user).subscribe(presence)

    assert kit.official.users_info(presence) == {"users": [{"id": "ada"}, {"id": "bob"}]}
    assert kit.call("GET", f"channels/{kit.name()}/users").status == 400


def test_users_are_counted_in_presence_channels_alone(kit: Kit) -> None:
    """Without that prefix it is an error."""
    with pytest.raises(PusherBadRequest):
        kit.official.channels_info(None, ["user_count"])


def test_a_count_that_a_channel_has_not_is_an_error(kit: Kit) -> None:
    """Users of a public channel."""
    with pytest.raises(PusherBadRequest):
        kit.official.channel_info(kit.name(), ["user_count"])


def test_an_event_can_ask_for_counts(kit: Kit) -> None:
    """Of each channel, and of each event of a batch in its place."""
    presence, room = kit.name("presence-"), kit.name()
    kit.client().subscribe(presence)
    event = {"name": "said", "data": "{}", "info": "user_count"}

    single = kit.call("POST", "events", {**event, "channels": [presence, room]})
    batch = kit.call(
        "POST",
        "batch_events",
        {"batch": [{"name": "said", "data": "{}", "channel": room}, {**event, "channel": presence}]},
    )

    assert single.json == {"channels": {presence: {"user_count": 1}, room: {}}}
    assert batch.json == {"batch": [{}, {"user_count": 1}]}


def test_the_kept_event_of_a_cache_channel_is_told(kit: Kit) -> None:
    """With the seconds for which it is kept still; null if there is none."""
    room, empty = kit.name("cache-"), kit.name("cache-")
    kit.official.trigger(room, "said", "kept")

    told = kit.official.channel_info(room, ["cache"])

    assert told["cache"]["data"] == "kept"
    assert 1700 < told["cache"]["ttl"] <= 1800
    assert kit.official.channel_info(empty, ["cache"])["cache"] is None


# -- who may not call


def skew(seconds: int) -> Callable[[Kit, Request], None]:
    def change(kit: Kit, request: Request) -> None:
        stamp = int(request.query_params["auth_timestamp"]) + seconds
        request.query_params["auth_timestamp"] = str(stamp)
        kit.resign(request)

    return change


def other_body(kit: Kit, request: Request) -> None:
    request.body = request.body.replace(b"said", b"lied")


def no_md5(kit: Kit, request: Request) -> None:
    del request.query_params["body_md5"]
    kit.resign(request)


def other_md5(kit: Kit, request: Request) -> None:
    request.query_params["body_md5"] = hashlib.md5(b"other").hexdigest()
    kit.resign(request)


def other_signature(kit: Kit, request: Request) -> None:
    request.query_params["auth_signature"] = "0" * 64


def other_key(kit: Kit, request: Request) -> None:
    request.query_params["auth_key"] = "nobody"
    kit.resign(request)


def other_version(kit: Kit, request: Request) -> None:
    request.query_params["auth_version"] = "2.0"
    kit.resign(request)


EVENT: dict[str, Any] = {"name": "said", "channel": "room", "data": "{}"}


@pytest.mark.parametrize(
    "change",
    [skew(-610), skew(610), other_body, no_md5, other_md5, other_signature, other_key, other_version],
    ids=["late", "early", "body", "no md5", "md5", "signature", "key", "version"],
)
def test_a_call_that_is_not_signed_well_is_refused(kit: Kit, change: Callable[[Kit, Request], None]) -> None:
    """Over 600 s off, changed underway, of another key: 401, and nothing is published."""
    room, client = kit.name(), kit.client()
    client.subscribe(room)

    answer = kit.call("POST", "events", {**EVENT, "channel": room}, change=partial(change, kit))
    kit.official.trigger(room, "said", {"last": True})

    assert answer.status == 401
    assert client.events(room, 1) == [{"last": True}]


def test_a_clock_that_is_a_little_off_is_no_harm(kit: Kit) -> None:
    """Within 600 s either way."""
    for change in (skew(-590), skew(590)):
        assert kit.call("POST", "events", EVENT, change=partial(change, kit)).status == 200


def test_the_official_package_knows_the_refusal(kit: Kit) -> None:
    """A wrong secret is an error of its own kind."""
    forger = pusher.Pusher(
        kit.server.app_id, kit.server.key, "wrong", host=kit.server.host, port=kit.server.port, ssl=False
    )

    with pytest.raises(PusherBadAuth, match="Invalid signature: you should have sent HmacSHA256Hex"):
        forger.trigger("room", "said", {})
    forger._pusher_client.http.session.close()


def test_an_unknown_app_is_not_found(kit: Kit) -> None:
    """404."""

    def change(request: Request) -> None:
        request.path = request.path.replace(kit.server.app_id, "999")
        kit.resign(request)

    assert kit.call("POST", "events", EVENT, change=change).status == 404


# -- what may not be said


@pytest.mark.parametrize(("size", "status"), [(10_240, 200), (10_241, 413)], ids=["fits", "over"])
def test_the_data_of_an_event_has_10240_bytes_at_most(kit: Kit, size: int, status: int) -> None:
    """Of UTF-8, however it is written in the body."""
    data = "漢" * ((size - 1) // 3)
    data += "x" * (size - len(data.encode()))

    assert kit.call("POST", "events", {**EVENT, "data": data}).status == status
    assert kit.call("POST", "batch_events", {"batch": [{**EVENT, "data": data}]}).status == status


MALFORMED: dict[str, dict[str, Any]] = {
    "no name": {"name": ""},
    "long name": {"name": "x" * 201},
    "reserved name": {"name": "pusher:said"},
    "object": {"data": {"no": "text"}},
    "no data": {"data": None},
    "channel with space": {"channel": "with space"},
    "long channel": {"channel": "x" * 165},
    "no channel": {"channel": None},
    "no channels": {"channels": []},
    "101 channels": {"channels": [f"room-{n}" for n in range(101)]},
    "socket": {"socket_id": "nonsense"},
}


@pytest.mark.parametrize("event", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_event_is_refused(kit: Kit, event: dict[str, Any]) -> None:
    """400, whatever is wrong with it."""
    assert kit.call("POST", "events", {**EVENT, **event}).status == 400


def test_a_batch_has_ten_events_at_most(kit: Kit) -> None:
    """Eleven are refused as a whole, as is a batch with one that is malformed."""
    room, client = kit.name(), kit.client()
    client.subscribe(room)
    event = {"name": "said", "channel": room, "data": "{}"}

    assert kit.call("POST", "batch_events", {"batch": [event] * 11}).status == 400
    assert kit.call("POST", "batch_events", {"batch": [event, {**event, "name": ""}]}).status == 400
    kit.official.trigger(room, "said", {"last": True})

    assert client.events(room, 1) == [{"last": True}]


def test_errors_have_their_status(kit: Kit) -> None:
    """The status line says it, not the body alone."""
    assert kit.call("POST", "events", {**EVENT, "data": None}).response.status_code == 400
