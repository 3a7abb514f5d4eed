"""Users who sign in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.official.pusher.kit import Kit


def test_a_user_signs_in(kit: Kit) -> None:
    """The app's server signs for the connection; the client then knows who it is."""
    client = kit.client(user="ada", user_data=json.dumps({"user_info": {"name": "Ada"}}))

    client.do("signin")

    client.messages("pusher:signin_success")
    assert client.do("user") == {"id": "ada", "user_info": {"name": "Ada"}}
    assert kit.app.asked[0][0] == "/pusher/user-auth"


def test_a_forged_sign_in_is_refused(kit: Kit) -> None:
    """An error tells; the client is nobody."""
    client = kit.client(user="ada", mode="forge")

    client.do("signin")

    client.errors()
    assert not any(each.get("event") == "pusher:signin_success" for each in client.seen)
    assert client.do("user") is None


def test_a_refused_sign_in_leaves_the_connection(kit: Kit) -> None:
    """It is as good as before."""
    client = kit.client(user="ada", mode="forge")

    client.do("signin")
    client.errors()

    client.subscribe(kit.name())
    assert client.do("state") == "connected"


def test_a_connection_has_one_user(kit: Kit) -> None:
    """A second id on it is refused, the same id again is not."""
    client = kit.client(user="ada")
    client.do("signin")
    client.messages("pusher:signin_success")
    socket_id = client.do("socket_id")

    client.do("send", "pusher:signin", kit.official.authenticate_user(socket_id, {"id": "ada"}))
    client.messages("pusher:signin_success", 2)
    client.do("send", "pusher:signin", kit.official.authenticate_user(socket_id, {"id": "bob"}))

    client.errors()
    assert client.do("user")["id"] == "ada"


def test_an_event_for_a_user_reaches_all_its_connections(kit: Kit) -> None:
    """And nobody else's."""
    ada, bob = kit.name(), kit.name()
    phone, laptop, other = kit.client(user=ada), kit.client(user=ada), kit.client(user=bob)
    for client in (phone, laptop, other):
        client.do("signin")
        client.messages("pusher_internal:subscription_succeeded")

    kit.official.trigger(f"#server-to-user-{ada}", "told", {"n": 1})
    kit.official.trigger(f"#server-to-user-{bob}", "told", {"n": 2})

    assert [
        [each["data"] for each in client.sees(saw="user", event="told")] for client in (phone, laptop, other)
    ] == [[{"n": 1}], [{"n": 1}], [{"n": 2}]]


def test_the_channel_of_a_user_is_for_that_user(kit: Kit) -> None:
    """Nobody else subscribes to it, signed in or not."""
    client = kit.client(user="bob")
    client.do("signin")
    client.messages("pusher_internal:subscription_succeeded")

    client.do("send", "pusher:subscribe", {"channel": "#server-to-user-ada", "auth": ""})

    assert client.errors()[0]["code"] is None


def test_terminating_a_user_closes_its_connections(kit: Kit) -> None:
    """With 4009, after which clients stay away; others notice nothing."""
    ada, bob = kit.client(user="ada"), kit.client(user="bob")
    for client in (ada, bob):
        client.do("signin")
        client.messages("pusher:signin_success")

    assert kit.call("POST", "users/ada/terminate_connections", {}).status == 200

    ada.sees(saw="state", current="disconnected")
    assert {error["code"] for error in ada.errors()} == {4009}
    bob.subscribe(kit.name())


def test_who_did_not_sign_in_is_not_terminated(kit: Kit) -> None:
    """Though its user is there in a presence channel."""
    room, ada = kit.name("presence-"), kit.client(user="ada")
    ada.subscribe(room)

    assert kit.call("POST", "users/ada/terminate_connections", {}).status == 200

    ada.subscribe(kit.name())
    assert ada.do("state") == "connected"


def test_a_signed_in_user_needs_no_description(kit: Kit) -> None:
    """In a presence channel it is who it signed in as."""
    room = kit.name("presence-")
    client = kit.client(user="ada", mode="signed-in", user_data=json.dumps({"user_info": {"name": "A"}}))
    client.do("signin")
    client.messages("pusher:signin_success")

    client.do("subscribe", room)

    client.sees(saw="subscribed", channel=room)
    assert kit.official.users_info(room) == {"users": [{"id": "ada"}]}
