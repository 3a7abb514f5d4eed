"""Connecting, as pusher-js does it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.official.pusher.clients import Client
    from tests.official.pusher.kit import Kit


def states(client: Client) -> list[str]:
    return [each["current"] for each in client.seen if each["saw"] == "state"]


def test_a_client_connects(kit: Kit) -> None:
    """It goes from connecting to connected, with a socket id of digits, a point and digits."""
    client = kit.client()

    assert states(client) == ["connecting", "connected"]
    assert re.fullmatch(r"\d+\.\d+", client.do("socket_id"))


def test_an_unknown_key_is_refused_for_good(kit: Kit) -> None:
    """Close code 4001: the client is disconnected and does not come back."""
    client = kit.start(key="nobody")

    client.sees(saw="state", current="disconnected")
    assert {error["code"] for error in client.errors()} == {4001}
    assert states(client) == ["connecting", "disconnected"]


def test_each_connection_has_an_id_of_its_own(kit: Kit) -> None:
    """Also when the same client comes back."""
    client, other = kit.client(), kit.client()
    first = client.do("socket_id")

    client.do("disconnect")
    client.do("connect")
    client.sees(2, saw="state", current="connected")

    assert len({first, client.do("socket_id"), other.do("socket_id")}) == 3


def test_a_ping_of_the_client_is_answered(kit: Kit) -> None:
    """`pusher:ping` brings `pusher:pong`, so that the client knows that the link works."""
    client = kit.client()

    client.do("send", "pusher:ping", {})

    client.messages("pusher:pong")


def test_a_silent_link_is_probed_by_the_client(kit: Kit) -> None:
    """After its own activity time-out it asks, is answered, and stays connected."""
    client = kit.client(options={"activityTimeout": 100, "pongTimeout": 2000})

    client.messages("pusher:pong", 3)

    assert client.do("state") == "connected"


def test_a_client_that_comes_back_subscribes_again(kit: Kit) -> None:
    """The server remembers nothing; what is published then arrives."""
    room, client = kit.name(), kit.client()
    client.subscribe(room)

    client.do("disconnect")
    client.do("connect")
    client.sees(2, saw="subscribed", channel=room)
    kit.official.trigger(room, "said", {"n": 1})

    assert client.events(room, 1) == [{"n": 1}]


def test_a_text_that_is_no_event_breaks_nothing(kit: Kit) -> None:
    """The connection stays and works."""
    client = kit.client()

    client.do("raw", "{not json")
    client.do("raw", "[]")
    client.subscribe(kit.name())

    assert states(client) == ["connecting", "connected"]


def test_a_text_that_is_no_event_is_told(kit: Kit) -> None:
    """An error without a code says so."""
    client = kit.client()

    client.do("raw", "{not json")

    assert client.errors()[0]["code"] is None
