"""Broadcasts over sockets and by HTTP: to whom, in which form, with which answer, and how many."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.emulators.supabase.raw import ACK, PRIVATE, SELF, serving

pytestmark = pytest.mark.realtime


def pushed(topic: str, event: str, payload: bytes, *, encoding: int = 1, meta: bytes = b"") -> bytes:
    """A binary frame of a client, with a join's ref and a ref."""
    parts = [b"1", b"77", topic.encode(), event.encode(), meta]
    return b"".join([bytes([3, *map(len, parts), encoding]), *parts, payload])


def told(topic: str, event: str, payload: bytes, *, encoding: int = 1, meta: bytes = b"") -> bytes:
    """The binary frame that others get."""
    parts = [topic.encode(), event.encode(), meta]
    return b"".join([bytes([4, *map(len, parts), encoding]), *parts, payload])


async def test_a_text_frame_goes_to_others_as_it_came(database: str) -> None:
    """Whatever is in it, in both versions; not to the channel that sent it, but to its user's others."""
    async with serving(database) as raws:
        writer, second, first = [await raws.open(), await raws.open(), await raws.open(version=1)]
        await writer.join("räume")
        await second.join("räume")
        await first.say("realtime:räume", "phx_join", {})
        await first.hear()
        for payload in (
            {},
            {"odd": [1.5, None, "漢"], "type": 7},
            {"type": "broadcast", "event": "e", "payload": "x"},
        ):
            await writer.say("realtime:räume", "broadcast", payload)
            assert await second.hear() == [None, None, "realtime:räume", "broadcast", payload]
            assert await first.hear() == {
                "topic": "realtime:räume",
                "event": "broadcast",
                "payload": payload,
                "ref": None,
            }
        await writer.nothing_more()


async def test_a_binary_frame_arrives_binary_or_as_text_in_version_1(database: str) -> None:
    """Bytes that are no JSON do not arrive in version 1 at all."""
    async with serving(database) as raws:
        writer, second, first = [await raws.open(), await raws.open(), await raws.open(version=1)]
        await writer.join("room")
        await second.join("room")
        await first.say("realtime:room", "phx_join", {})
        await first.hear()

        await writer.socket.send_bytes(pushed("realtime:room", "é", b'{"a":1}', meta=b'{"mine":1}'))
        await writer.socket.send_bytes(pushed("realtime:room", "b", b"\x00\xff", encoding=0))
        await writer.socket.send_bytes(pushed("realtime:room", "no json", b"{"))
        await writer.broadcast("room", "last", 1)

        assert await second.hear() == told("realtime:room", "é", b'{"a":1}')
        assert await second.hear() == told("realtime:room", "b", b"\x00\xff", encoding=0)
        assert await second.hear() == told("realtime:room", "no json", b"{")
        payload = {"event": "é", "payload": {"a": 1}, "type": "broadcast"}
        assert (await first.hear())["payload"] == payload
        assert (await first.hear())["payload"]["event"] == "last"


async def test_an_ack_and_the_own_copy_come_if_they_were_asked_for(database: str) -> None:
    """An empty answer; without `ack` none, without `self` no copy."""
    async with serving(database) as raws:
        raw = await raws.open()
        await raw.join("room", {"broadcast": {"ack": True, "self": True}})
        ref = await raw.broadcast("room", "e", 1)
        heard = [await raw.hear() for _ in range(2)]
        assert ["1", ref, "realtime:room", "phx_reply", {"status": "ok", "response": {}}] in heard
        await raw.socket.send_bytes(pushed("realtime:room", "e", b"1"))
        heard = [await raw.hear() for _ in range(2)]
        assert told("realtime:room", "e", b"1") in heard
        assert ["1", "77", "realtime:room", "phx_reply", {"status": "ok", "response": {}}] in heard


async def test_what_is_too_large_is_told_by_a_text(database: str) -> None:
    """If an ack was asked for; else it is lost, and to nobody's knowledge."""
    async with serving(database, payload_kb=1) as raws:
        writer, silent = await raws.open(), await raws.open()
        await writer.join("room", ACK)
        await silent.join("room")
        ref = await writer.broadcast("room", "e", "x" * 1_500)
        reply = {"status": "error", "response": "payload_size_exceeded"}
        assert await writer.hear() == ["1", ref, "realtime:room", "phx_reply", reply]
        await silent.broadcast("room", "e", "x" * 1_500)
        await silent.nothing_more()
        await writer.nothing_more()
        await silent.broadcast("room", "e", "x" * 1_300)
        await writer.hear_only("broadcast")


async def test_a_payload_that_is_no_map_crashes_the_channel(database: str) -> None:
    """`phx_error` with the join's ref; the socket lives, an unknown event does nothing."""
    async with serving(database) as raws:
        raw = await raws.open()
        await raw.join("room")
        await raw.say("realtime:room", "x", {})
        await raw.nothing_more()
        await raw.say("realtime:room", "broadcast", [1])
        assert await raw.hear() == ["1", "1", "realtime:room", "phx_error", {}]
        await raw.join("room")


async def test_private_and_public_topics_of_one_name_never_meet(database: str) -> None:
    """Neither hears the other."""
    async with serving(database) as raws:
        public, private = await raws.open(), await raws.open()
        await public.join("room", SELF)
        await private.join("room", {"private": True, "broadcast": {"self": True}})
        await private.broadcast("room", "p", 1)
        assert (await private.hear_only("broadcast"))["event"] == "p"
        await public.nothing_more()


async def test_the_policies_of_the_database_decide(database: str) -> None:
    """Who may not read does not join; who may not write is silently ignored, ack or not, until the token changes."""
    policy = """
        CREATE POLICY "all read" ON realtime.messages FOR SELECT TO authenticated
          USING (realtime.topic() LIKE 'lobby%' AND extension = 'broadcast');
        CREATE POLICY "ada writes" ON realtime.messages FOR INSERT TO authenticated
          WITH CHECK (auth.uid()::text LIKE '%ada0' AND auth.jwt() ->> 'level' = '2' AND auth.role() = 'authenticated'
            AND current_setting('request.headers')::json ->> 'x-kind' IS NULL);
    """
    async with serving(database, policy=policy) as raws:
        try:
            raw, other = await raws.open(), await raws.open(key=raws.token(role="service_role"))
            text = "You do not have permissions to read from this Channel topic: hall"
            assert await raw.refused("hall", PRIVATE) == f"Unauthorized: {text}"
            await raw.join("lobby", {"private": True, "broadcast": {"ack": True}})
            await other.join("lobby", {"private": True, "broadcast": {"self": True}})
            await raw.broadcast("lobby", "e", 1)
            await raw.nothing_more()

            await raw.say("realtime:lobby", "access_token", {"access_token": raws.token(level=2)})
            await raw.broadcast("lobby", "e", 2)

            assert (await other.hear_only("broadcast"))["payload"] == 2
            assert await raw.hear_only("phx_reply") == {"status": "ok", "response": {}}
            nobody = await raws.open(key=raws.token(role="no-such-role"))
            assert (await nobody.refused("lobby", PRIVATE)).startswith("Unauthorized: ")
            assert (await raws.post("/realtime/v1/api/broadcast/lobby/events/e?private=true", {}))[0] == 403
        finally:
            await raws.sql(
                'DROP POLICY "all read" ON realtime.messages; DROP POLICY "ada writes" ON realtime.messages'
            )


async def test_a_token_that_no_longer_serves_ends_the_channel_not_the_socket(database: str) -> None:
    """A `system` message with the reason, then `phx_close`; what changes nothing is ignored, and nothing is answered."""
    async with serving(database) as raws:
        raw = await raws.open()

        async def renewed(token: Any, config: Any = None) -> Any:
            join = await raw.join("room", config)
            await raw.say("realtime:room", "access_token", {"access_token": token})
            return join

        good = raws.token(n=1)
        await raw.join("room", access_token=good)
        for token in ("sb_secret_x", None, good, 3, raws.token(n=2)):
            await raw.say("realtime:room", "access_token", {"access_token": token})
            await raw.nothing_more()
        anon = raws.emulator.authority.anon_key
        await raw.answer("realtime:room", "phx_leave")
        await raw.hear_only("phx_close")
        for token, config, text in (
            (raws.token(seconds=-3), {}, "Token has expired 3 seconds ago"),
            ("x", {}, "The token provided is not a valid JWT"),
            (anon[:-2] + "AA", {}, ":signature_error"),
            (anon, PRIVATE, "You do not have permissions to read from this Channel topic: room"),
        ):
            join = await renewed(token, config)
            shut = {"extension": "system", "status": "error", "message": text, "channel": "room"}
            assert await raw.hear() == [join, None, "realtime:room", "system", shut]
            assert await raw.hear() == [join, join, "realtime:room", "phx_close", {}]
        await raw.nothing_more()


async def test_a_right_that_is_gone_ends_a_channel_that_keeps_another(database: str) -> None:
    """Presence may still be read, broadcasts no more."""
    policy = """CREATE POLICY "by level" ON realtime.messages FOR SELECT TO authenticated
                  USING (extension = 'presence' OR auth.jwt() ->> 'level' = '2')"""
    async with serving(database, policy=policy) as raws:
        try:
            raw = await raws.open(key=raws.token(level=2))
            await raw.join("room", {"private": True, "presence": {"enabled": True}})
            await raw.hear_only("presence_state")
            await raw.say("realtime:room", "access_token", {"access_token": raws.token()})
            shut = await raw.hear_only("system")
            assert shut["message"] == "You no longer have permission to read from this Channel topic: room"
        finally:
            await raws.sql('DROP POLICY "by level" ON realtime.messages')


async def test_a_token_is_looked_at_when_it_expires_and_every_five_minutes(database: str) -> None:
    """The channel is closed with its age."""
    async with serving(database, idle=10_000.0) as raws:
        raw = await raws.open()
        await raw.join("room", access_token=raws.token(seconds=400))
        raws.emulator.clock.advance(300.0)
        await raw.nothing_more()
        raws.emulator.clock.advance(101.0)
        assert (await raw.hear_only("system"))["message"].startswith("Token has expired ")
        await raw.hear_only("phx_close")


async def test_too_many_events_close_every_channel_that_hears_one(database: str) -> None:
    """The one that only sends is not told; calls are answered with 429."""
    async with serving(database, events_per_second=4) as raws:
        writer, reader = await raws.open(), await raws.open()
        await writer.join("room")
        await reader.join("room")
        for number in range(20):
            await writer.broadcast("room", "e", number)
            await reader.hear_only("broadcast")
        raws.emulator.clock.advance(5.0)  # the mean over two buckets of five seconds is four
        await writer.broadcast("room", "e", 20)
        await reader.hear_only("broadcast")
        assert (await reader.hear_only("system"))["message"] == "Too many messages per second"
        await reader.hear_only("phx_close")
        await writer.nothing_more()
        path = "/realtime/v1/api/broadcast"
        messages = {"messages": [{"topic": "room", "event": "e", "payload": {}}]}
        assert await raws.post(path, messages) == (429, {"message": "Too many requests"})
        assert await raws.post(f"{path}/room/events/e", {}) == (
            429,
            {"message": "You have exceeded your rate limit"},
        )
        raws.emulator.clock.advance(300.0)
        assert (await raws.post(path, messages))[0] == 202


async def test_a_batch_by_http_arrives_as_text_and_what_is_not_allowed_is_lost(database: str) -> None:
    """202 all the same; an id comes back as `meta.id`."""
    async with serving(database) as raws:
        raw = await raws.open()
        await raw.join("room", PRIVATE)
        await raw.join("hall")
        batch = [
            {"topic": "room", "event": "a", "payload": {"n": 1}, "private": True},
            {"topic": "x:denied", "event": "a", "payload": {}, "private": True},
            {"topic": "hall", "event": "b", "payload": {}, "id": "id-1"},
        ]
        assert await raws.post("/realtime/v1/api/broadcast", {"messages": batch}) == (202, None)
        payload = {"payload": {}, "event": "b", "type": "broadcast", "meta": {"id": "id-1"}}
        assert await raw.hear() == [None, None, "realtime:hall", "broadcast", payload]
        payload = {"payload": {"n": 1}, "event": "a", "type": "broadcast"}
        assert await raw.hear() == [None, None, "realtime:room", "broadcast", payload]
        await raw.nothing_more()


async def test_a_single_broadcast_by_http_arrives_binary(database: str) -> None:
    """JSON of any shape, or bytes; topics and events may be anything that a path can say."""
    async with serving(database) as raws:
        raw = await raws.open()
        await raw.join("räume: 1")
        path = "/realtime/v1/api/broadcast/r%C3%A4ume%3A%201/events/e%2F1"
        assert (await raws.post(path, {"a": "é"}))[0] == 202
        assert await raw.hear() == told("realtime:räume: 1", "e/1", '{"a":"é"}'.encode())
        assert (await raws.post(path, [1]))[0] == 202
        assert await raw.hear() == told("realtime:räume: 1", "e/1", b'{"_json":[1]}')
        headers = {"Content-Type": "application/octet-stream"}
        assert (await raws.post(path, b"\x00", headers=headers))[0] == 202
        assert await raw.hear() == told("realtime:räume: 1", "e/1", b"\x00", encoding=0)


async def test_calls_that_are_wrong_say_how(database: str) -> None:
    """401, 415, 422, 403, 400; nothing is sent."""
    async with serving(database, payload_kb=1, events_per_second=3) as raws:
        path, single = "/realtime/v1/api/broadcast", "/realtime/v1/api/broadcast/room/events/e"
        for call in (path, single):
            assert await raws.post(call, {}, token="x") == (401, {"message": "Unauthorized"})
            assert (await raws.post(call, {}, headers={"Authorization": "Basic x"}))[0] == 401
            assert (await raws.post(call, b"{", headers={"Content-Type": "application/json"}))[0] == 400
        assert await raws.post(path, {}) == (422, {"errors": {"messages": ["can't be blank"]}})
        assert await raws.post(path, {"messages": "x"}) == (422, {"errors": {"messages": ["is invalid"]}})
        wrong = [
            {},
            {"topic": "a", "event": 3, "payload": [1], "private": 3},
            {"topic": "a", "event": "e", "payload": {"x": "y" * 1_500}},
            7,
            {"topic": "a", "event": "e", "payload": {}},
        ]
        _, told_so = await raws.post(path, {"messages": wrong})
        assert told_so["errors"]["messages"] == [
            {"topic": ["can't be blank"], "event": ["can't be blank"], "payload": ["can't be blank"]},
            {"event": ["is invalid"], "payload": ["is invalid"], "private": ["is invalid"]},
            {"payload": ["Payload size exceeds tenant limit"]},
            {"message": ["is invalid"]},
            {},
        ]
        many = {"messages": [{"topic": "a", "event": "e", "payload": {}}] * 4}
        assert (await raws.post(path, many))[1]["message"].startswith("Too many messages to broadcast")
        assert (await raws.post(single, b"x", headers={"Content-Type": "text/plain"}))[0] == 415
        assert (await raws.post(single, {"x": "y" * 1_500}))[0] == 422
        denied = "/realtime/v1/api/broadcast/x:denied/events/e?private=true"
        assert await raws.post(denied, {}) == (403, {"message": "Unauthorized"})


async def test_broadcasts_arrive_in_order(database: str) -> None:
    """Of one sender to one receiver, both forms mixed."""
    async with serving(database, events_per_second=10_000) as raws:
        writer, reader = await raws.open(), await raws.open()
        await writer.join("room")
        await reader.join("room")
        for number in range(200):
            if number % 2:
                await writer.broadcast("room", "e", number)
            else:
                await writer.socket.send_bytes(pushed("realtime:room", "e", str(number).encode()))
        for number in range(200):
            heard = await reader.hear()
            assert (json.loads(heard[19:]) if isinstance(heard, bytes) else heard[4]["payload"]) == number
