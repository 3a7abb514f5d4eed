"""What official clients do when the emulator is told to misbehave, and what it does when its time passes."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from pusher.errors import PusherBadStatus, PusherForbidden

from tests.official.pusher.test_connecting import states

if TYPE_CHECKING:
    from tests.official.pusher.kit import Kit

pytestmark = pytest.mark.official


# -- who may connect


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"enabled": False}, 4003),
        ({"connections": 0}, 4004),
    ],
    ids=str,
)
def test_a_connection_is_refused_for_good(emulated: Kit, settings: dict[str, Any], code: int) -> None:
    """An app that is disabled, or over its quota: the client is told by the close code and stays away."""
    emulated.change(**settings)

    client = emulated.start()

    client.sees(saw="state", current="disconnected")
    assert [error["code"] for error in client.errors()] == [code]


def test_only_the_close_code_tells_of_a_refusal(emulated: Kit) -> None:
    """With protocol 7 no frame goes before it, unless a setting asks for the old way."""
    emulated.change(enabled=False)
    new = emulated.start()
    new.sees(saw="state", current="disconnected")
    emulated.change(legacy_error_frame=True)
    old = emulated.start()
    old.sees(saw="state", current="disconnected")

    assert not any(each["saw"] == "message" for each in new.seen)
    assert old.errors()[0] == {"code": 4003, "message": "Application disabled"}


def test_a_server_without_tls_can_ask_for_it(emulated: Kit) -> None:
    """4000: pusher-js goes on with TLS, which nobody speaks here."""
    emulated.change(tls_only=True)

    client = emulated.start(options={"enabledTransports": ["ws", "wss"], "wssPort": emulated.server.port})

    assert client.errors()[0]["code"] == 4000


def test_a_server_over_capacity_is_tried_again(emulated: Kit) -> None:
    """4100: after a second, and when there is room it connects."""
    emulated.change(over_capacity=True)
    client = emulated.start()
    client.sees(saw="state", current="connecting")
    assert client.errors()[0]["code"] == 4100

    emulated.change(over_capacity=False)

    client.connected()


@pytest.mark.parametrize("code", [4200, 4299])
def test_a_client_comes_back_at_once_when_asked_to(emulated: Kit, code: int) -> None:
    """After 4200 to 4299; it subscribes again with a fresh signature."""
    room, client = emulated.name("private-"), emulated.client()
    client.subscribe(room)
    began = time.monotonic()

    emulated.control("POST", "/sockets/*/close", {"code": code, "reason": "go"})
    client.sees(2, saw="subscribed", channel=room)

    assert time.monotonic() - began < 0.9
    assert len({form["socket_id"] for _, form in emulated.app.asked}) == 2


@pytest.mark.parametrize("code", [4001, 4009, 4099])
def test_a_client_stays_away_when_told_to(emulated: Kit, code: int) -> None:
    """After 4000 to 4099."""
    client = emulated.client()

    emulated.control("POST", "/sockets/*/close", {"code": code})

    client.sees(saw="state", current="disconnected")


@pytest.mark.parametrize("deed", ["abort", "close"])
def test_a_client_comes_back_after_a_cut(emulated: Kit, deed: str) -> None:
    """Without a goodbye, or with a common one."""
    client = emulated.client()

    emulated.control("POST", f"/sockets/{client.do('socket_id')}/{deed}", {"code": 1011})

    client.sees(2, saw="state", current="connected")


def test_a_half_open_link_is_noticed_by_the_client(emulated: Kit) -> None:
    """It asks, hears nothing, and connects anew."""
    client = emulated.client(options={"activityTimeout": 100, "pongTimeout": 200})

    emulated.control("POST", f"/sockets/{client.do('socket_id')}/stall")

    client.sees(2, saw="state", current="connected")


def test_a_half_open_link_is_noticed_by_the_server(emulated: Kit) -> None:
    """It pings after its silence, and without an answer the others see the user gone; the client learns it late."""
    room, ada, bob = emulated.name("presence-"), emulated.client(user="ada"), emulated.client(user="bob")
    ada.subscribe(room)
    bob.subscribe(room)
    socket_id = bob.do("socket_id")
    emulated.control("POST", f"/sockets/{socket_id}/stall")

    emulated.advance(121)
    ada.do("send", "pusher:ping", {})
    ada.messages("pusher:pong")
    emulated.advance(31)
    ada.sees(saw="event", event="pusher:member_removed")
    assert bob.do("state") == "connected"
    emulated.control("POST", f"/sockets/{socket_id}/resume")

    assert bob.errors()[0]["code"] == 4201
    bob.sees(2, saw="state", current="connected")


def test_a_client_that_answers_pings_stays(emulated: Kit) -> None:
    """However long it says nothing."""
    client = emulated.client()

    for _ in range(3):
        emulated.advance(121)
        client.do("send", "pusher:ping", {})
        client.messages("pusher:pong")

    assert states(client) == ["connecting", "connected"]


def test_who_is_not_authorized_is_sent_away(emulated: Kit) -> None:
    """With authorized connections: 4009 after a while, unless it signed in or joined such a channel."""
    emulated.change(authorized_connections=True)
    idle, public, member, user = (emulated.client() for _ in range(4))
    public.subscribe(emulated.name())
    member.subscribe(emulated.name("private-"))
    user.do("signin")
    user.messages("pusher:signin_success")

    emulated.advance(31)

    for client in (idle, public):
        client.sees(saw="state", current="disconnected")
        assert client.errors()[0]["code"] == 4009
    for client in (member, user):
        client.subscribe(emulated.name())


# -- time and settings


def test_a_cached_event_expires(emulated: Kit) -> None:
    """After half an hour the cache is empty."""
    room, client = emulated.name("cache-"), emulated.client()
    emulated.official.trigger(room, "said", {"n": 1})

    emulated.advance(1801)
    client.subscribe(room)

    client.sees(saw="event", channel=room, event="pusher:cache_miss")


def test_a_wrong_clock_refuses_calls(emulated: Kit) -> None:
    """The emulator's, for once: the official package gets 401, and works again afterwards."""
    emulated.control("POST", "/clock", {"skew": -700.0})
    answer = emulated.call("POST", "events", {"name": "said", "channel": "room", "data": "{}"})
    emulated.control("POST", "/clock", {"skew": 0.0})

    assert answer.status == 401
    assert "not within 600s of server time" in answer.text
    assert emulated.official.trigger("room", "said", {}) == {}


def test_client_events_can_be_off(emulated: Kit) -> None:
    """As they are in a new app of the hosted service: the sender is told."""
    emulated.change(client_events=False)
    room, client = emulated.name("private-"), emulated.client()
    client.subscribe(room)

    client.do("trigger", room, "client-said", {})

    assert client.errors()[0]["message"].startswith("To send client events, you must enable this feature")


def test_a_full_channel_has_room_for_those_who_are_there(emulated: Kit) -> None:
    """A second connection of a member is no second member."""
    emulated.change(members=2)
    room = emulated.name("presence-")
    for user in ("ada", "bob", "ada"):
        emulated.client(user=user).subscribe(room)

    late = emulated.client(user="cleo")
    late.do("subscribe", room)

    assert late.errors() == [{"code": None, "message": f"{room} has 2 members, which is the limit"}]


def test_the_rate_of_client_events_recovers(emulated: Kit) -> None:
    """Ten more after a second."""
    room, sender, other = emulated.name("private-"), emulated.client(), emulated.client()
    sender.subscribe(room)
    other.subscribe(room)

    for so_far in (10, 20, 30):
        for n in range(10):
            sender.do("trigger", room, "client-said", {"n": n})
        assert len(other.events(room, so_far)) == so_far
        emulated.advance(1)

    assert not any(each["saw"] == "error" for each in sender.seen)


def test_connections_are_counted_where_it_is_on(emulated: Kit) -> None:
    """In the channel at each coming and going, and in the HTTP API."""
    emulated.change(subscription_counts=True)
    room, ada, bob = emulated.name(), emulated.client(), emulated.client()
    ada.subscribe(room)
    bob.subscribe(room)

    counts = [
        each["data"]["subscription_count"]
        for each in ada.sees(2, saw="event", event="pusher:subscription_count")
    ]
    assert counts == [1, 2]
    assert emulated.official.channel_info(room, ["subscription_count"])["subscription_count"] == 2


def test_the_online_users_of_a_watchlist_are_told(emulated: Kit) -> None:
    """Those that are, then each that comes or goes with all its connections."""
    emulated.change(watchlists=True)
    bob = emulated.client(user="bob")
    bob.do("signin")
    bob.messages("pusher:signin_success")
    ada = emulated.client(user="ada", user_data=json.dumps({"watchlist": ["bob", "cleo"]}))
    ada.do("signin")
    ada.sees(1, saw="watchlist", event="online")

    bob.do("disconnect")
    ada.sees(1, saw="watchlist", event="offline")

    seen = [(each["event"], each["data"]["user_ids"]) for each in ada.seen if each["saw"] == "watchlist"]
    assert seen == [("online", ["bob"]), ("offline", ["bob"])]


def test_a_long_watchlist_is_cut_off(emulated: Kit) -> None:
    """The user is signed in, and told with 4302 that only the first 100 count."""
    emulated.change(watchlists=True)
    watched = [f"user-{n}" for n in range(101)]
    ada = emulated.client(user="ada", user_data=json.dumps({"watchlist": watched}))

    ada.do("signin")

    ada.messages("pusher:signin_success")
    assert [error["code"] for error in ada.errors()] == [4302]


# -- calls that fail


@pytest.mark.parametrize(("moment", "came"), [("before", [2]), ("after", [1, 2])])
def test_a_failed_call_may_have_had_its_effect(emulated: Kit, moment: str, came: list[int]) -> None:
    """The official package says 503 in both cases; a retry of one of them doubles."""
    room, client = emulated.name(), emulated.client()
    client.subscribe(room)
    emulated.call_fault(does="fail", moment=moment, path="/events", status=503)

    with pytest.raises(PusherBadStatus, match="503"):
        emulated.official.trigger(room, "said", 1)
    emulated.official.trigger(room, "said", 2)

    assert client.events(room, len(came)) == came


def test_a_call_may_be_cut_off(emulated: Kit) -> None:
    """After its effect, without an answer."""
    room, client = emulated.name(), emulated.client()
    client.subscribe(room)
    emulated.call_fault(does="reset", moment="after")

    with pytest.raises(Exception, match="Connection aborted"):
        emulated.official.trigger(room, "said", 1)

    assert client.events(room, 1) == [1]


@pytest.mark.parametrize("setting", [{"over_quota": True}, {"enabled": False}], ids=str)
def test_an_app_that_may_not_publish_is_forbidden(emulated: Kit, setting: dict[str, Any]) -> None:
    """403: over its quota of messages, or disabled."""
    emulated.change(**setting)

    with pytest.raises(PusherForbidden):
        emulated.official.trigger("room", "said", {})


# -- frames that go wrong


def test_a_frame_may_be_lost_or_doubled(emulated: Kit) -> None:
    """Those of one event, as many as were said."""
    room, client = emulated.name(), emulated.client()
    client.subscribe(room)
    emulated.frame_fault(does="drop", only="said", skip=1, times=2)
    emulated.frame_fault(does="duplicate", only="told")

    for n in range(4):
        emulated.official.trigger(room, "said", n)
    emulated.official.trigger(room, "told", 9)

    assert client.events(room, 4) == [0, 3, 9, 9]


def test_a_frame_may_come_late(emulated: Kit) -> None:
    """With all behind it, in their order."""
    room, client = emulated.name(), emulated.client()
    client.subscribe(room)
    emulated.frame_fault(does="delay", only="said", seconds=60.0, socket=client.do("socket_id"))

    emulated.official.trigger(room, "said", 1)
    emulated.official.trigger(room, "told", 2)
    assert client.events(room, 0) == []
    emulated.advance(60)

    assert client.events(room, 2) == [1, 2]


@pytest.mark.parametrize(
    ("data", "seen"), [('"{broken"', "{broken"), ('{"n":1}', {"n": 1}), ("null", None)], ids=str
)
def test_data_may_have_another_shape(emulated: Kit, data: str, seen: Any) -> None:
    """A text that is no JSON, an object that is not encoded: pusher-js passes both on."""
    room, client = emulated.name(), emulated.client()
    client.subscribe(room)
    text = f'{{"event":"said","channel":"{room}","data":{data}}}'
    emulated.frame_fault(does="replace", only="said", text=text)

    emulated.official.trigger(room, "said", 1)

    assert client.events(room, 1) == [seen]


def test_a_connection_may_end_at_any_frame(emulated: Kit) -> None:
    """Cut as the client subscribes: it comes back and subscribes again."""
    room, client = emulated.name(), emulated.client()
    emulated.frame_fault(does="abort", way="in", only="pusher:subscribe")

    client.do("subscribe", room)

    client.sees(saw="subscribed", channel=room)
    assert states(client).count("connected") == 2
