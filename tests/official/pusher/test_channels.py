"""Channels and what is published to them by the official package for Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.official.pusher.kit import Kit


@pytest.mark.parametrize(
    "data",
    [{"text": "Hi", "n": 1}, [1, None, True], "plain text", "Grüße, 漢字 👋🏽", {"ключ": "значение"}],
    ids=["object", "list", "plain", "unicode", "cyrillic"],
)
def test_an_event_arrives_as_it_was_published(kit: Kit, data: Any) -> None:
    """Objects as JSON, texts as they are, in any script."""
    room, client = kit.name(), kit.client()
    client.subscribe(room)

    kit.official.trigger(room, "said", data)

    assert client.events(room, 1) == [data]
    (message,) = client.messages("said")
    assert message["channel"] == room


def test_every_subscriber_gets_an_event(kit: Kit) -> None:
    """Once each."""
    room, clients = kit.name(), [kit.client() for _ in range(3)]
    for client in clients:
        client.subscribe(room)

    kit.official.trigger(room, "said", {"n": 1})
    kit.official.trigger(room, "said", {"n": 2})

    assert [client.events(room, 2) for client in clients] == [[{"n": 1}, {"n": 2}]] * 3


def test_who_unsubscribed_gets_no_more(kit: Kit) -> None:
    """There is no answer to it; the next events pass by."""
    room, other, client = kit.name(), kit.name(), kit.client()
    client.subscribe(room)
    client.subscribe(other)

    client.do("unsubscribe", room)
    client.do("send", "pusher:ping", {})
    client.messages("pusher:pong")
    kit.official.trigger(room, "said", {})
    kit.official.trigger(other, "said", {"last": True})

    client.events(other, 1)
    assert [message["channel"] for message in client.messages("said")] == [other]


def test_an_event_for_nobody_is_accepted(kit: Kit) -> None:
    """Whoever comes later does not get it."""
    room, client = kit.name(), kit.client()

    assert kit.official.trigger(room, "said", {"n": 1}) is not None
    client.subscribe(room)
    kit.official.trigger(room, "said", {"n": 2})

    assert client.events(room, 1) == [{"n": 2}]


def test_the_answer_to_an_event_is_empty(kit: Kit) -> None:
    """A JSON object without members."""
    assert kit.official.trigger(kit.name(), "said", {}) == {}


def test_one_call_publishes_to_many_channels(kit: Kit) -> None:
    """Up to 100, and a subscriber of several gets it from each."""
    rooms, client = [kit.name() for _ in range(100)], kit.client()
    for room in (rooms[0], rooms[50], rooms[99]):
        client.subscribe(room)

    kit.official.trigger(rooms, "said", {"n": 1})

    assert [client.events(room, 1) for room in (rooms[0], rooms[50], rooms[99])] == [[{"n": 1}]] * 3


def test_a_batch_keeps_its_order(kit: Kit) -> None:
    """Ten events in one call come in their order, each in its channel."""
    room, other, client = kit.name(), kit.name(), kit.client()
    client.subscribe(room)
    client.subscribe(other)

    batch = [{"channel": other if n % 5 == 0 else room, "name": "said", "data": {"n": n}} for n in range(10)]
    kit.official.trigger_batch(batch)

    assert client.events(room, 8) == [{"n": n} for n in range(10) if n % 5]
    assert client.events(other, 2) == [{"n": 0}, {"n": 5}]


def test_1000_events_keep_their_order(kit: Kit) -> None:
    """None is lost, doubled or shuffled on one connection."""
    room, client = kit.name(), kit.client()
    client.subscribe(room)

    for start in range(0, 1000, 10):
        kit.official.trigger_batch(
            [{"channel": room, "name": "said", "data": {"n": n}} for n in range(start, start + 10)]
        )

    assert client.events(room, 1000) == [{"n": n} for n in range(1000)]


def test_the_named_socket_is_left_out(kit: Kit) -> None:
    """`socket_id` spares one connection an event, in a batch too; an unknown one spares nobody."""
    room, sender, other = kit.name(), kit.client(), kit.client()
    sender.subscribe(room)
    other.subscribe(room)
    own = sender.do("socket_id")

    kit.official.trigger(room, "said", {"n": 1}, own)
    kit.official.trigger_batch([{"channel": room, "name": "said", "data": {"n": 2}, "socket_id": own}])
    kit.official.trigger(room, "said", {"n": 3}, "1.1")

    assert other.events(room, 3) == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert sender.events(room, 1) == [{"n": 3}]


def test_a_second_subscription_to_a_channel_is_an_error(kit: Kit) -> None:
    """It names the channel, and the first one stays."""
    room, client = kit.name(), kit.client()
    client.subscribe(room)

    client.do("send", "pusher:subscribe", {"channel": room})

    assert client.errors() == [{"code": None, "message": f"Existing subscription to channel {room}"}]


def test_a_name_may_have_164_characters(kit: Kit) -> None:
    """Of letters, digits and `_-=@,.;`."""
    room = (kit.name() + "_-=@,.;AZaz09").ljust(164, "x")
    client = kit.client().subscribe(room)

    kit.official.trigger(room, "said", {"n": 1})

    assert client.events(room, 1) == [{"n": 1}]


@pytest.mark.parametrize(
    "tail", ["x" * 164, " ", "ä", "#", "/", ":"], ids=["long", "space", "umlaut", "hash", "slash", "colon"]
)
def test_other_names_are_refused(kit: Kit, tail: str) -> None:
    """Longer ones, and other characters; the connection stays."""
    room, client = kit.name() + tail, kit.client()

    client.do("send", "pusher:subscribe", {"channel": room})

    client.refused().subscribe(kit.name())
    assert not client.subscribed(room)


def test_a_refused_name_is_told(kit: Kit) -> None:
    """By an error without a code."""
    client = kit.client()

    client.do("send", "pusher:subscribe", {"channel": "with space"})

    assert client.errors() == [{"code": None, "message": "Invalid channel name: with space"}]


# -- private channels


def test_a_private_channel_asks_the_app(kit: Kit) -> None:
    """A form with socket and channel goes to the app's server, its signature to Pusher."""
    room, client = kit.name("private-"), kit.client()
    client.subscribe(room)

    kit.official.trigger(room, "said", {"n": 1})

    assert client.events(room, 1) == [{"n": 1}]
    ((path, form),) = kit.app.asked
    assert path == "/pusher/auth"
    assert (form["socket_id"], form["channel_name"]) == (client.do("socket_id"), room)


def test_a_refusal_of_the_app_never_reaches_the_server(kit: Kit) -> None:
    """The channel says 403; everything else works."""
    room, client = kit.name("private-"), kit.client(mode="forbid")

    client.do("subscribe", room)

    (refused,) = client.sees(saw="refused", channel=room)
    assert refused["error"]["status"] == 403
    client.subscribe(kit.name())


@pytest.mark.parametrize("prefix", ["private-", "presence-", "private-encrypted-", "private-cache-"])
@pytest.mark.parametrize("mode", ["forge", "key", "shape"])
def test_a_wrong_signature_subscribes_nothing(kit: Kit, mode: str, prefix: str) -> None:
    """Forged, of another key, or none at all: no event arrives, and the connection stays."""
    room, other, client = kit.name(prefix), kit.name(), kit.client(mode=mode)

    client.do("subscribe", room)
    client.refused().subscribe(other)
    kit.official.trigger(room, "said", {"n": 1})
    kit.official.trigger(other, "said", {"n": 2})

    client.events(other, 1)
    assert len(client.messages("said")) == 1
    assert not client.subscribed(room)


def test_a_forged_signature_is_told_in_the_services_words(kit: Kit) -> None:
    """An error without a code and without a channel quotes what should have been signed."""
    room, client = kit.name("private-"), kit.client(mode="forge")

    client.do("subscribe", room)

    (error,) = client.errors()
    signed = f"{client.do('socket_id')}:{room}"
    assert error["code"] is None
    assert error["message"].startswith(
        f"Invalid signature: Expected HMAC SHA256 hex digest of {signed}, but got "
    )


def test_a_signature_of_another_shape_or_key_is_told(kit: Kit) -> None:
    """In the words of the hosted service."""
    room = kit.name("private-")
    shape, key = kit.client(mode="shape"), kit.client(mode="key")

    shape.do("subscribe", room)
    key.do("subscribe", room)

    wanted = f"Auth value for subscription to {room} is invalid: should be of format 'key:signature'"
    assert shape.errors()[0]["message"] == wanted
    assert key.errors()[0]["message"] == "Invalid key in subscription auth data: 'otherapp-key'"


def test_a_signature_for_another_socket_is_refused(kit: Kit) -> None:
    """A signature is good for one connection alone."""
    room, other, owner, thief = kit.name("private-"), kit.name(), kit.client(), kit.client()
    auth = kit.official.authenticate(room, owner.do("socket_id"))["auth"]

    thief.do("send", "pusher:subscribe", {"channel": room, "auth": auth})
    thief.refused().subscribe(other)
    kit.official.trigger(room, "said", {"n": 1})
    kit.official.trigger(other, "said", {"n": 2})

    thief.events(other, 1)
    assert len(thief.messages("said")) == 1
    assert not thief.subscribed(room)


# -- encrypted channels


def test_an_encrypted_event_is_read_by_those_who_may(kit: Kit) -> None:
    """The official package for Python encrypts, pusher-js decrypts; between them nobody can read."""
    room, client = kit.name("private-encrypted-"), kit.client()
    client.subscribe(room)

    kit.official.trigger(room, "said", {"secret": "漢字"})

    assert client.events(room, 1) == [{"secret": "漢字"}]
    (message,) = client.messages("said")
    assert set(message["data"]) == {"nonce", "ciphertext"}


def test_an_encrypted_event_is_for_one_channel(kit: Kit) -> None:
    """Each has a key of its own."""
    rooms = [kit.name("private-encrypted-"), kit.name()]

    answer = kit.call("POST", "events", {"name": "said", "channels": rooms, "data": "{}"})

    assert answer.status == 400


# -- cache channels


@pytest.mark.parametrize(
    "prefix", ["cache-", "private-cache-", "presence-cache-", "private-encrypted-cache-"]
)
def test_who_comes_late_gets_the_last_event_of_a_cache_channel(kit: Kit, prefix: str) -> None:
    """After the confirmation, and the last one alone."""
    room, client = kit.name(prefix), kit.client()
    kit.official.trigger(room, "said", {"n": 1})
    kit.official.trigger(room, "said", {"n": 2})

    client.subscribe(room)

    assert client.events(room, 1) == [{"n": 2}]


def test_an_empty_cache_is_told(kit: Kit) -> None:
    """`pusher:cache_miss` comes in the channel."""
    room, client = kit.name("cache-"), kit.client()

    client.subscribe(room)

    client.sees(saw="event", channel=room, event="pusher:cache_miss")


def test_a_client_event_is_not_cached(kit: Kit) -> None:
    """Who comes later gets what the app's server published last."""
    room, early, late = kit.name("private-cache-"), kit.client(), kit.client()
    kit.official.trigger(room, "said", {"n": 1})
    early.subscribe(room)
    early.do("trigger", room, "client-said", {"n": 2})
    early.do("send", "pusher:ping", {})
    early.messages("pusher:pong")

    late.subscribe(room)

    assert late.events(room, 1) == [{"n": 1}]
