"""The emulator of Pusher Channels, frame by frame: what official clients do not show."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest

from chatkit.testing.emulators.pusher import PusherEmulator, PusherSettings, channels, frames, names, signing
from tests.emulators.wire import serving, signature

pytestmark = pytest.mark.realtime


def emulator(**settings: Any) -> PusherEmulator:
    return PusherEmulator(PusherSettings(**settings))


# -- signatures: the examples that the service publishes

KEY_SECRET = "7ad3773142a6692b25b8"


@pytest.mark.parametrize(
    ("text", "signed"),
    [
        (
            signing.channel_text("1234.1234", "private-foobar", None),
            "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4",
        ),
        (
            signing.channel_text(
                "1234.1234", "presence-room-1", '{"user_id": "u-42", "user_info": {"name": "Ada"}}'
            ),
            "20aea7b2ad42516e9f5365c7da1f6b7a20b746c0df86dd654e3216dbbc564749",
        ),
        (
            signing.channel_text(
                "1234.1234", "presence-room-1", '{"user_id":"u-42","user_info":{"name":"Ada"}}'
            ),
            "98b38f7290c63e313ed38d1ac98def3b9299edc348b39881ded8ac7aee0efc61",
        ),
        (
            signing.user_text("1234.1234", '{"id":"12345"}'),
            "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba",
        ),
        (
            signing.call_text(
                "POST",
                "/apps/3/events",
                {
                    "body_md5": "ec365a775a4cd0599faeb73354201b6f",
                    "Auth_Version": "1.0",
                    "auth_key": "278d425bdf160c739803",
                    "auth_timestamp": "1353088179",
                    "auth_signature": "left out",
                }.items(),
            ),
            "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c",
        ),
        (
            signing.call_text(
                "GET",
                "/apps/3/channels",
                {
                    "filter_by_prefix": "presence-",
                    "info": "user_count",
                    "auth_key": "278d425bdf160c739803",
                    "auth_timestamp": "1353088179",
                    "auth_version": "1.0",
                }.items(),
            ),
            "16819168891cb5dfd72b5c7a5d3d602605b26c6ba1930033b5e2eeeb65010291",
        ),
    ],
    ids=["private", "presence", "compact", "user", "post", "get"],
)
def test_signatures_are_those_of_the_service(text: str, signed: str) -> None:
    """Over the text as it was received: other spaces, other signature."""
    assert signing.digest(KEY_SECRET, text) == signed


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("room", ""),
        ("private-room", "a"),
        ("private-encrypted-room", "ae"),
        ("presence-room", "ap"),
        ("cache-room", "c"),
        ("private-cache-room", "ac"),
        ("private-encrypted-cache-room", "aec"),
        ("presence-cache-room", "apc"),
        ("privateroom", ""),
    ],
)
def test_a_prefix_says_what_a_channel_is(name: str, kinds: str) -> None:
    """The longest counts."""
    known = {
        "a": names.is_authorized(name),
        "e": names.is_encrypted(name),
        "p": names.is_presence(name),
        "c": names.is_cache(name),
    }
    assert "".join(kind for kind in "aepc" if known[kind]) == kinds


def test_json_is_read_strictly_and_written_safely() -> None:
    """Nothing that is no JSON object, however deep or odd, is more than nothing."""
    assert [frames.parse(text) for text in ("[]", "NaN", '{"a":NaN}', "[" * 100_000, "{")] == [None] * 5
    assert frames.dumps({"a": "漢"}) == '{"a":"漢"}'
    assert frames.dumps("\ud800") == '"\\ud800"'


# -- connections


@pytest.mark.parametrize(
    ("path", "settings", "code"),
    [
        ("/app/app-key?protocol=7", {"tls_only": True}, 4000),
        ("/app/nobody?protocol=7", {}, 4001),
        ("/app/app-key?protocol=7", {"enabled": False}, 4003),
        ("/app/app-key?protocol=7", {"connections": 0}, 4004),
        ("/elsewhere?protocol=7", {}, 4005),
        ("/app/app-key?protocol=7&version=x", {}, 4006),
        ("/app/app-key?protocol=3", {}, 4007),
        ("/app/app-key", {}, 4008),
        ("/app/app-key?protocol=7", {"over_capacity": True}, 4100),
    ],
)
async def test_a_refused_connection_is_upgraded_then_closed(
    path: str, settings: dict[str, Any], code: int
) -> None:
    """With the published code and a reason, and no frame before."""
    async with serving(emulator(**settings)) as wires:
        wire = await wires.open(path)

        ended, reason = await wire.end()

        assert ended == code
        assert reason


@pytest.mark.parametrize("path", ["/app/app-key", "/app/app-key?protocol=1"])
async def test_a_client_of_any_protocol_may_be_let_in(path: str) -> None:
    """Where a setting says so, for clients of one's own that are not careful."""
    async with serving(emulator(any_protocol=True)) as wires:
        wire = await wires.open(path)

        await wire.hear_only("pusher:connection_established")


async def test_old_protocols_are_told_of_a_refusal_by_a_frame_too() -> None:
    """Before version 6 clients did not know close codes."""
    async with serving(emulator(enabled=False)) as wires:
        wire = await wires.open("/app/app-key?protocol=5")

        assert await wire.hear() == {
            "event": "pusher:error",
            "data": {"code": 4003, "message": "Application disabled"},
        }
        assert (await wire.end())[0] == 4003


async def test_the_greeting_comes_first() -> None:
    """With the id of the connection, and the seconds after which a silent one is probed."""
    async with serving(emulator(activity_timeout=2)) as wires:
        wire = await wires.open()

        told = await wire.hear()

        assert told["event"] == "pusher:connection_established"
        assert json.loads(told["data"])["activity_timeout"] == 2


async def test_the_quota_counts_who_is_connected() -> None:
    """A place is free again when its connection has ended."""
    async with serving(emulator(connections=1)) as wires:
        wire = await wires.connect()
        assert (await (await wires.open()).end())[0] == 4004

        await wire.socket.close()
        while wires.emulator.connections:
            await asyncio.sleep(0.001)

        await wires.connect()


async def test_connections_that_nobody_vouches_for_do_not_count() -> None:
    """With authorized connections a quota is for the others."""
    async with serving(emulator(connections=1, authorized_connections=True)) as wires:
        await wires.connect()
        member = await wires.connect()
        await member.join("private-room")

        assert (await (await wires.open()).end())[0] == 4004


async def test_binary_frames_are_not_spoken() -> None:
    """They close the connection."""
    async with serving() as wires:
        wire = await wires.connect()

        await wire.socket.send_bytes(b"{}")

        assert (await wire.end())[0] == 1003


async def test_a_silent_client_is_pinged_then_closed() -> None:
    """By a ping of the WebSocket protocol; any frame proves life."""
    async with serving() as wires:
        wire = await wires.connect(autoping=False)
        clock = wires.emulator.clock
        for _ in range(2):
            clock.advance(121)
            assert (await wire.socket.receive(timeout=5)).type is aiohttp.WSMsgType.PING
            await wire.nothing_more()
            clock.advance(31)
            await wire.nothing_more()

        clock.advance(121)
        assert (await wire.socket.receive(timeout=5)).type is aiohttp.WSMsgType.PING
        clock.advance(31)

        assert (await wire.end())[0] == 4201


@pytest.mark.parametrize(
    "frame",
    [
        "{",
        "[1]",
        '{"data":{}}',
        '{"event":1}',
        '{"event":"pusher:subscribe"}',
        '{"event":"pusher:subscribe","data":{}}',
    ],
)
async def test_a_frame_that_says_nothing_is_told(frame: str) -> None:
    """By an error without a code; the connection stays."""
    async with serving() as wires:
        wire = await wires.connect()

        await wire.socket.send_str(frame)

        told = await wire.hear()
        assert (told["event"], told["data"]["code"], "channel" in told) == ("pusher:error", None, False)
        await wire.nothing_more()


# -- channels


@pytest.mark.parametrize(
    ("channel_data", "told"),
    [
        (None, "needs channel_data"),
        ({"user_id": "ada"}, "a JSON text"),
        ("[]", "a JSON object"),
        ('{"user_id":true}', "user_id is missing"),
        ('{"user_id":""}', "user_id is missing"),
        (json.dumps({"user_id": "x" * 129}), "over 128 characters"),
        (json.dumps({"user_id": "ada", "user_info": "漢" * 342}), "over 1024 bytes"),
    ],
    ids=range(7),
)
async def test_a_member_that_cannot_be_is_refused(channel_data: Any, told: str) -> None:
    """Though it is signed."""
    async with serving() as wires:
        wire = await wires.connect()
        text = f"{wire.socket_id}:presence-room" + (f":{channel_data}" if channel_data is not None else "")
        asked = {"channel": "presence-room", "auth": f"app-key:{signature(text)}"}
        if channel_data is not None:
            asked["channel_data"] = channel_data

        await wire.say("pusher:subscribe", asked)

        assert told in (await wire.hear_only("pusher:error"))["message"]


async def test_a_joiner_is_told_of_all_and_the_others_of_it() -> None:
    """Each once, and with what the app told of them."""
    async with serving() as wires:
        ada, bob = await wires.connect(), await wires.connect()

        assert await ada.join("presence-room", {"user_id": 7}) == {
            "presence": {"count": 1, "ids": ["7"], "hash": {"7": None}}
        }
        roster = await bob.join("presence-room", {"user_id": "bob", "user_info": {"name": "Bo"}})

        assert roster["presence"] == {
            "count": 2,
            "ids": ["7", "bob"],
            "hash": {"7": None, "bob": {"name": "Bo"}},
        }
        added = await ada.hear_only("pusher_internal:member_added")
        assert added == {"user_id": "bob", "user_info": {"name": "Bo"}}
        await bob.nothing_more()
        await bob.socket.close()
        assert await ada.hear_only("pusher_internal:member_removed") == {"user_id": "bob"}


async def test_a_user_is_told_of_while_any_of_its_connections_is_there() -> None:
    """Leaving and coming with one of two changes nothing for the others."""
    async with serving() as wires:
        ada, phone, laptop = [await wires.connect() for _ in range(3)]
        await ada.join("presence-room", {"user_id": "ada"})
        await phone.join("presence-room", {"user_id": "bob"})
        await laptop.join("presence-room", {"user_id": "bob"})
        await ada.hear_only("pusher_internal:member_added")

        await phone.say("pusher:unsubscribe", {"channel": "presence-room"})
        await phone.nothing_more()

        await ada.nothing_more()


async def test_unsubscribing_from_what_was_never_joined_is_no_harm() -> None:
    """Nothing is answered."""
    async with serving() as wires:
        wire = await wires.connect()

        await wire.say("pusher:unsubscribe", {"channel": "room"})

        await wire.nothing_more()


async def test_a_large_channel_is_counted_at_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above 100 connections (here: 3) every five seconds, as long as somebody comes or goes."""
    monkeypatch.setattr(channels, "MANY", 3)
    async with serving(emulator(subscription_counts=True)) as wires:
        ada = await wires.connect()
        await ada.join("room")
        others = [await wires.connect() for _ in range(4)]
        for other in others:
            await other.join("room")
        for n in range(1, 5):
            assert await ada.hear_only("pusher_internal:subscription_count") == {"subscription_count": n}

        await ada.nothing_more()
        wires.emulator.clock.advance(5)
        assert await ada.hear_only("pusher_internal:subscription_count") == {"subscription_count": 5}
        wires.emulator.clock.advance(5)
        await ada.nothing_more()


async def test_a_client_event_is_relayed_as_it_was_sent() -> None:
    """A text stays a text, an object an object; the oversize and the misnamed are refused."""
    async with serving() as wires:
        ada, bob = await wires.connect(), await wires.connect()
        for wire in (ada, bob):
            await wire.join("private-room")

        await ada.say("client-said", '{"a":1}', "private-room")
        await ada.say("client-said", {"a": 1}, "private-room")
        for name, data in (("client-" + "x" * 194, {}), ("client-said", "x" * 10_241), ("said", {})):
            await ada.say(name, data, "private-room")
            assert (await ada.hear_only("pusher:error"))["code"] is None

        assert [(await bob.hear())["data"] for _ in range(2)] == ['{"a":1}', {"a": 1}]
        await bob.nothing_more()


# -- users


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("[]", "a JSON object"),
        ({}, "id is a text"),
        ({"id": 7}, "id is a text"),
        ({"id": "with space"}, "id is a text"),
        ({"id": "ada", "watchlist": "bob"}, "watchlist is a list"),
        ({"id": "ada", "watchlist": [7]}, "watchlist is a list"),
    ],
    ids=str,
)
async def test_a_user_that_cannot_be_is_refused(data: Any, told: str) -> None:
    """Though it is signed; the connection stays."""
    async with serving() as wires:
        wire = await wires.connect()

        await wire.sign_in(data)

        assert told in (await wire.hear_only("pusher:error"))["message"]
        await wire.say("pusher:signin", {"auth": "x"})
        assert "a JSON text" in (await wire.hear_only("pusher:error"))["message"]


async def test_who_watches_is_told_of_the_first_and_the_last_connection() -> None:
    """Of those in between it hears nothing."""
    async with serving(emulator(watchlists=True)) as wires:
        ada, phone, laptop = [await wires.connect() for _ in range(3)]
        await ada.sign_in({"id": "ada", "watchlist": ["bob"]})
        await ada.hear_only("pusher:signin_success")
        for wire in (phone, laptop):
            await wire.sign_in({"id": "bob"})
            await wire.hear_only("pusher:signin_success")

        assert await ada.hear_only("pusher_internal:watchlist_events") == {
            "events": [{"name": "online", "user_ids": ["bob"]}]
        }
        await phone.socket.close()
        await ada.nothing_more()
        await laptop.socket.close()
        assert await ada.hear_only("pusher_internal:watchlist_events") == {
            "events": [{"name": "offline", "user_ids": ["bob"]}]
        }


async def test_a_terminated_user_is_gone_from_its_channels() -> None:
    """The others see it at once; an unknown user is no error."""
    async with serving() as wires:
        ada, bob = await wires.connect(), await wires.connect()
        await ada.join("presence-room", {"user_id": "ada"})
        await bob.join("presence-room", {"user_id": "bob"})
        await ada.hear_only("pusher_internal:member_added")
        await bob.sign_in({"id": "bob"})
        await bob.hear_only("pusher:signin_success")

        assert await wires.call("POST", "users/nobody/terminate_connections", {}) == (200, {})
        assert await wires.call("POST", "users/bob/terminate_connections", {}) == (200, {})

        assert (await bob.end())[0] == 4009
        assert await ada.hear_only("pusher_internal:member_removed") == {"user_id": "bob"}


# -- calls


async def test_a_call_with_a_wrong_signature_is_told_what_was_signed() -> None:
    """In a plain text, as the service does."""
    async with serving() as wires:
        status, text = await wires.call("GET", "channels", secret="other")

        assert status == 401
        assert text.startswith(
            'Invalid signature: you should have sent HmacSHA256Hex("GET\\n/apps/1001/channels\\n'
        )


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"auth_timestamp": "soon"}, 401),
        ({"auth_timestamp": "1"}, 401),
        ({"auth_key": "nobody"}, 401),
        ({"auth_version": "2"}, 401),
        ({"body_md5": "0"}, 401),
        ({"info": "user_count"}, 400),
        ({"info": "everything"}, 400),
        ({"info": "user_count", "filter_by_prefix": "presence-"}, 200),
    ],
    ids=str,
)
async def test_the_parameters_of_a_call_are_checked(query: dict[str, str], status: int) -> None:
    """Who calls first, then what is asked."""
    async with serving() as wires:
        assert (await wires.call("GET", "channels", **query))[0] == status


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("events", b"{", 400),
        ("events", {"name": "said", "channel": "a", "data": "", "info": 1}, 400),
        ("events", {"name": "said", "channels": "a", "data": ""}, 400),
        ("events", {"name": "said", "channels": ["private-encrypted-a", "b"], "data": ""}, 400),
        ("events", {"name": "said", "channel": "#server-to-user-ada", "data": ""}, 200),
        ("batch_events", {"batch": []}, 400),
        ("batch_events", {"batch": [1]}, 400),
        ("batch_events", {"batch": [{"name": "said", "channel": "a", "data": ""}] * 11}, 400),
        ("batch_events", {"batch": [{"name": "said", "channel": "a", "data": ""}] * 10}, 200),
        ("channels/with space", None, 400),
        ("channels/room/users", None, 400),
    ],
)
async def test_what_is_called_for_is_checked(path: str, body: Any, status: int) -> None:
    """Nothing malformed has any effect."""
    async with serving() as wires:
        assert (await wires.call("POST" if body is not None else "GET", path, body))[0] == status


async def test_a_path_that_is_none_is_not_found() -> None:
    """By HTTP, as by WebSocket."""
    async with serving() as wires, wires.session.get(f"{wires.emulator.url}/nowhere") as answer:
        assert answer.status == 404


async def test_a_channel_has_only_what_it_can_have() -> None:
    """Users in presence channels, connections in others, an event in cache channels."""
    async with serving(emulator(subscription_counts=True)) as wires:
        wire = await wires.connect()
        await wire.join("presence-cache-room", {"user_id": "ada"})
        await wires.publish("presence-cache-room", "kept")

        asked = "channels/presence-cache-room"
        assert await wires.call("GET", asked, info="user_count,cache") == (
            200,
            {"occupied": True, "user_count": 1, "cache": {"data": "kept", "ttl": 1800}},
        )
        assert (await wires.call("GET", asked, info="subscription_count"))[0] == 400
        assert await wires.call("GET", "channels/room", info="subscription_count") == (
            200,
            {"occupied": False, "subscription_count": 0},
        )


async def test_events_tell_counts_that_were_asked_for() -> None:
    """Of the channels that have them."""
    async with serving(emulator(subscription_counts=True)) as wires:
        wire = await wires.connect()
        await wire.join("room")
        await wire.hear_only("pusher_internal:subscription_count")
        event = {"name": "said", "data": "", "info": "subscription_count,user_count"}

        single = await wires.call("POST", "events", {**event, "channels": ["room", "presence-room"]})
        batch = await wires.call("POST", "batch_events", {"batch": [{**event, "channel": "room"}]})

        assert single == (
            200,
            {"channels": {"room": {"subscription_count": 1}, "presence-room": {"user_count": 0}}},
        )
        assert batch == (200, {"batch": [{"subscription_count": 1}]})


async def test_what_a_cache_channel_kept_is_forgotten() -> None:
    """All that is stale, when something new is kept (I10)."""
    async with serving() as wires:
        for n in range(3):
            await wires.publish(f"cache-{n}", "old")
        wires.emulator.clock.advance(1801)

        await wires.publish("cache-3", "new")

        assert set(wires.emulator._channels._cached) == {"cache-3"}


@pytest.mark.long
async def test_1000_messages_a_second_pass() -> None:
    """By batches of ten to two subscribers, each in order; slower would be no server for tests."""
    async with serving() as wires:
        readers = [await wires.connect(), await wires.connect()]
        for reader in readers:
            await reader.join("room")
        began = time.process_time()  # others may use the machine, too

        async def read(wire: Any) -> list[str]:
            return [(await wire.hear())["data"] for _ in range(3000)]

        reading = asyncio.gather(*(read(reader) for reader in readers))
        for start in range(0, 3000, 10):
            batch = [{"name": "said", "channel": "room", "data": str(n)} for n in range(start, start + 10)]
            assert (await wires.call("POST", "batch_events", {"batch": batch}))[0] == 200

        assert await reading == [[str(n) for n in range(3000)]] * 2
        assert 3000 / (time.process_time() - began) > 1000
