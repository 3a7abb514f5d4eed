"""Who is there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.official.pusher.kit import Kit


def test_a_member_sees_all_including_itself(kit: Kit) -> None:
    """With what the app's server told of each."""
    room = kit.name("presence-")
    kit.client(user="ada").subscribe(room)

    bob = kit.client(user="bob", info=json.dumps({"name": "Bo", "emoji": "👋"})).subscribe(room)

    members = bob.do("members", room)
    assert members["count"] == 2
    assert members["members"] == {"ada": {"name": "Ada"}, "bob": {"name": "Bo", "emoji": "👋"}}
    assert members["me"] == {"id": "bob", "info": {"name": "Bo", "emoji": "👋"}}


def test_coming_and_going_is_told_to_the_others(kit: Kit) -> None:
    """Once each, and not to the one who comes."""
    room, ada = kit.name("presence-"), kit.client(user="ada")
    ada.subscribe(room)
    bob = kit.client(user="bob").subscribe(room)

    (added,) = ada.sees(saw="event", event="pusher:member_added")
    bob.do("unsubscribe", room)
    (removed,) = ada.sees(saw="event", event="pusher:member_removed")

    assert added["data"] == {"id": "bob", "info": {"name": "Ada"}}
    assert removed["data"]["id"] == "bob"
    assert not any(each.get("event") == "pusher:member_added" for each in bob.seen)


def test_a_closed_connection_leaves(kit: Kit) -> None:
    """The others see its user gone at once."""
    room, ada = kit.name("presence-"), kit.client(user="ada")
    ada.subscribe(room)
    bob = kit.client(user="bob").subscribe(room)

    bob.do("disconnect")

    ada.sees(saw="event", event="pusher:member_removed")
    assert ada.do("members", room)["count"] == 1


def test_connections_of_one_user_are_one_member(kit: Kit) -> None:
    """Added with the first, removed after the last."""
    room, ada = kit.name("presence-"), kit.client(user="ada")
    ada.subscribe(room)
    phone, laptop = kit.client(user="bob"), kit.client(user="bob")
    phone.subscribe(room)
    laptop.subscribe(room)
    assert laptop.do("members", room)["count"] == 2

    phone.do("disconnect")
    kit.client(user="cleo").subscribe(room)
    ada.sees(2, saw="event", event="pusher:member_added")
    assert not any(each.get("event") == "pusher:member_removed" for each in ada.seen)
    laptop.do("unsubscribe", room)

    (removed,) = ada.sees(saw="event", event="pusher:member_removed")
    assert removed["data"]["id"] == "bob"
    added = [each["data"]["id"] for each in ada.sees(2, saw="event", event="pusher:member_added")]
    assert added == ["bob", "cleo"]


def test_100_users_are_the_limit(kit: Kit) -> None:
    """The one after them is refused, and its connection stays."""
    room = kit.name("presence-")
    clients = [kit.start(user=f"user-{n}", options={"quiet": True}) for n in range(100)]
    for client in clients:
        client.connected().do("subscribe", room)
    for client in clients:
        client.sees(saw="subscribed", channel=room)

    late = kit.client(user="late")
    late.do("subscribe", room)
    late.refused().subscribe(kit.name())

    assert not late.subscribed(room)
    assert len(kit.official.users_info(room)["users"]) == 100


@pytest.mark.parametrize(
    ("user", "info"),
    [("u" * 129, "{}"), ("ada", json.dumps({"about": "x" * 1024}))],
    ids=["id", "info"],
)
def test_a_member_that_is_too_large_is_refused(kit: Kit, user: str, info: str) -> None:
    """An id over 128 characters, or more than 1 kB about a user."""
    room, client = kit.name("presence-"), kit.client(user=user, info=info)

    client.do("subscribe", room)
    client.refused().subscribe(kit.name())

    assert not client.subscribed(room)


def test_a_member_without_an_id_is_refused(kit: Kit) -> None:
    """Signed or not."""
    room, other, client = kit.name("presence-"), kit.name(), kit.client()
    answer = kit.official.authenticate(room, client.do("socket_id"), {"user_info": {}})

    client.do("send", "pusher:subscribe", {"channel": room, **answer})
    client.refused().subscribe(other)

    assert not client.subscribed(room)


def test_a_changed_description_is_refused(kit: Kit) -> None:
    """The text that was signed counts, not what it means."""
    room, other, client = kit.name("presence-"), kit.name(), kit.client()
    answer = kit.official.authenticate(room, client.do("socket_id"), {"user_id": "ada"})
    answer["channel_data"] = json.dumps(json.loads(answer["channel_data"]), separators=(",", ":"))

    client.do("send", "pusher:subscribe", {"channel": room, **answer})
    client.refused().subscribe(other)

    assert not client.subscribed(room)
    assert kit.official.users_info(room) == {"users": []}


def test_numbers_are_told_as_texts_in_the_table(kit: Kit) -> None:
    """A user id that is a number is a key like any other."""
    room, client = kit.name("presence-"), kit.client()
    answer = kit.official.authenticate(room, client.do("socket_id"), {"user_id": 42})

    client.do("send", "pusher:subscribe", {"channel": room, **answer})

    (message,) = client.messages("pusher_internal:subscription_succeeded")
    assert set(message["data"]["presence"]["hash"]) == {"42"}
