"""What clients send to one another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.official.pusher.kit import Kit


@pytest.mark.parametrize("data", [{"n": 1, "text": "Grüße 👋"}, [1], "text"], ids=["object", "list", "text"])
@pytest.mark.parametrize("prefix", ["private-", "presence-", "private-cache-"])
def test_a_client_event_reaches_the_others(kit: Kit, prefix: str, data: Any) -> None:
    """As it was sent, and never its sender."""
    room, ada, bob = kit.name(prefix), kit.client(), kit.client(user="bob")
    ada.subscribe(room)
    bob.subscribe(room)

    assert ada.do("trigger", room, "client-said", data) is True
    assert bob.events(room, 1) == [data]
    bob.do("trigger", room, "client-said", {"back": True})

    assert ada.events(room, 1) == [{"back": True}]


def test_a_presence_channel_says_who_sent_it(kit: Kit) -> None:
    """The server vouches for the user; in a private channel nobody does."""
    ada, bob = kit.client(user="ada"), kit.client(user="bob")
    rooms = [kit.name("presence-"), kit.name("private-")]
    for room in rooms:
        ada.subscribe(room)
        bob.subscribe(room)
        ada.do("trigger", room, "client-said", {})

    messages = bob.messages("client-said", 2)

    assert [message.get("user_id") for message in messages] == ["ada", None]


def test_a_client_event_in_a_public_channel_is_refused(kit: Kit) -> None:
    """In the words of the hosted service."""
    room, client = kit.name(), kit.client()
    client.subscribe(room)

    client.do("send", "client-said", {}, room)

    assert client.errors() == [
        {"code": None, "message": "Client event rejected - only supported on private and presence channels"}
    ]


def test_a_client_event_in_a_public_channel_reaches_nobody(kit: Kit) -> None:
    """Whatever its sender is told."""
    room, sender, other = kit.name(), kit.client(), kit.client()
    sender.subscribe(room)
    other.subscribe(room)

    sender.do("send", "client-said", {}, room)
    sender.do("send", "pusher:ping", {})
    sender.messages("pusher:pong")
    kit.official.trigger(room, "said", {"last": True})

    assert other.events(room, 1) == [{"last": True}]


def test_only_members_send_client_events(kit: Kit) -> None:
    """Who is not subscribed is told so."""
    room, client = kit.name("private-"), kit.client()

    client.do("send", "client-said", {}, room)

    wanted = "The client is not a member of the specified channel."
    assert client.errors() == [{"code": None, "message": wanted}]


def test_a_client_event_of_a_stranger_reaches_nobody(kit: Kit) -> None:
    """Whatever the stranger is told."""
    room, stranger, member = kit.name("private-"), kit.client(), kit.client()
    member.subscribe(room)

    stranger.do("send", "client-said", {}, room)
    stranger.do("send", "pusher:ping", {})
    stranger.messages("pusher:pong")
    kit.official.trigger(room, "said", {"last": True})

    assert member.events(room, 1) == [{"last": True}]


def test_other_names_are_no_client_events(kit: Kit) -> None:
    """What does not begin with `client-` is refused."""
    room, client = kit.name("private-"), kit.client()
    client.subscribe(room)

    client.do("send", "said", {}, room)

    assert client.errors()[0]["code"] is None


def test_ten_client_events_a_second_are_the_limit(kit: Kit) -> None:
    """What is beyond is lost, each told by 4301; the connection stays."""
    room, sender, other = kit.name("private-"), kit.client(), kit.client()
    sender.subscribe(room)
    other.subscribe(room)

    for n in range(30):
        sender.do("trigger", room, "client-said", {"n": n})
    sender.do("send", "pusher:ping", {})
    sender.messages("pusher:pong")

    refused = len([error for error in sender.errors() if error["code"] == 4301])
    kit.official.trigger(room, "said", {"last": True})
    came = other.events(room, 31 - refused)
    assert refused >= 15
    assert came[-1] == {"last": True}
    assert sender.do("state") == "connected"


def test_a_client_event_over_10_kb_is_refused(kit: Kit) -> None:
    """The others get the next one."""
    room, sender, other = kit.name("private-"), kit.client(), kit.client()
    sender.subscribe(room)
    other.subscribe(room)

    sender.do("trigger", room, "client-said", {"text": "x" * 10_240})
    sender.do("trigger", room, "client-said", {"text": "fits"})

    assert other.events(room, 1) == [{"text": "fits"}]
    sender.errors()
