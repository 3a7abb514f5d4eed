"""Ably's emulator frame by frame: what the official clients do not let one see."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import pytest

from chatkit.testing.emulators.ably.wire import Action, Flag, Format, Wire
from tests.emulators.ably.raw import KEY, Raw, call, emulated, gone

pytestmark = pytest.mark.realtime


async def test_connected_says_everything() -> None:
    """CD2; a wildcard key may be anyone, and `echo` and `heartbeats` are no errors."""
    async with emulated() as ably, Raw(ably, heartbeats="true", clientId="ann") as client:
        details = client.greeting["connectionDetails"]
        assert client.greeting["action"] == Action.CONNECTED
        assert details["clientId"] == "ann"
        assert details["connectionKey"] == client.greeting["connectionKey"]
        assert details["maxIdleInterval"] == 15_000
        assert details["connectionStateTtl"] == 120_000
        assert details["maxFrameSize"] == 524_288


BAD_OPENINGS: list[tuple[dict[str, str], int]] = [
    ({"v": "1"}, 40017),
    ({"v": "new"}, 40017),
    ({"v": "²"}, 40017),
    ({"v": "9" * 5_000}, 40017),
    ({"key": "app.key"}, 40005),
    ({"key": "key:secret"}, 40005),
    ({"key": "app.key:wrong"}, 40101),
    ({"key": "app.other:secret"}, 40400),
    ({"key": "none.key:secret"}, 40101),
    ({"accessToken": "unknown"}, 40143),
    ({"accessToken": "a.b.c"}, 40144),
    ({"key": ""}, 40101),
]


async def test_a_bad_opening_is_an_error_and_the_end() -> None:
    """ERROR, then the socket closes (RTN14)."""
    async with emulated() as ably:
        for query, code in BAD_OPENINGS:
            async with Raw(ably, **query) as client:
                assert client.greeting["action"] == Action.ERROR
                assert client.greeting["error"]["code"] == code, query
                assert await client.ends()


async def test_more_connections_than_allowed_are_refused() -> None:
    """With 40111; an event stream is one of them."""
    async with emulated(connections=1) as ably:
        async with Raw(ably), Raw(ably) as second:
            assert second.greeting["error"]["code"] == 40111
            assert second.greeting["error"]["statusCode"] == 403
            stream = {"v": "1.2", "channels": "c"}
            assert (await call(ably, "GET", "/sse", params=stream))[1]["error"]["code"] == 40111
        ably.clock.advance(121)
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{ably.url}/sse", params={**stream, "key": KEY}),
            Raw(ably) as third,
        ):
            assert third.greeting["error"]["code"] == 40111


async def test_a_heartbeat_is_answered_with_its_id() -> None:
    """RTN13e; an unknown action is ignored, a DISCONNECT answered (RTF1)."""
    async with emulated() as ably, Raw(ably, Format.MSGPACK) as client:
        await client.raw(b"\x81\xa6action\x63")  # {"action": 99}
        await client.send(Action.HEARTBEAT, id="x")
        assert await client.next() == {"action": 0, "id": "x"}
        await client.send(Action.DISCONNECT)
        assert (await client.next())["action"] == Action.DISCONNECTED
        assert await client.ends()


async def test_a_frame_that_is_too_large_ends_the_transport() -> None:
    """Above `maxFrameSize`, with close code 1009."""
    async with emulated() as ably, Raw(ably) as client:
        await client.raw("x" * 600_000)
        with pytest.raises(ConnectionError, match="1009"):
            await client.next()


@pytest.mark.parametrize("frame", ["no json", "[]", '{"action":15,"channel":"c","msgSerial":"x"}'])
async def test_a_frame_that_is_none_fails_the_connection(frame: str) -> None:
    """A malformed frame is the client's own fault."""
    async with emulated() as ably, Raw(ably) as client:
        await client.raw(frame)
        assert (await client.next())["action"] == Action.ERROR
        assert await client.ends()


async def test_the_emulator_sends_heartbeats_by_its_clock() -> None:
    """At most `maxIdleInterval` apart (RTN23)."""
    async with emulated() as ably, Raw(ably) as client:
        ably.clock.advance(8)
        assert await client.next() == {"action": 0}
        ably.clock.advance(8)
        assert await client.next() == {"action": 0}


async def test_a_client_asks_for_heartbeats_of_its_own() -> None:
    """`heartbeatInterval` in milliseconds, from 5 seconds to half an hour."""
    async with emulated() as ably:
        for asked, given in (("20000", 20_000), ("1", 5_000), ("9999999", 1_800_000), ("soon", 15_000)):
            async with Raw(ably, heartbeatInterval=asked) as client:
                assert client.greeting["connectionDetails"]["maxIdleInterval"] == given
                ably.clock.advance(given / 2_000)
                assert (await client.next())["action"] == Action.HEARTBEAT


async def test_a_resume_keeps_the_connection_and_changes_its_key() -> None:
    """RTN15c6; the key before it still resumes, since the answer may have been lost."""
    async with emulated() as ably:
        async with Raw(ably) as first:
            pass
        async with Raw(ably, resume=first.key) as second:
            assert second.id == first.id
            assert second.key != first.key
            assert "error" not in second.greeting
        async with Raw(ably, resume=first.key) as third:
            assert third.id == first.id


async def test_a_resume_takes_the_connection_from_a_live_transport() -> None:
    """The older one is closed."""
    async with emulated() as ably, Raw(ably) as first, Raw(ably, resume=first.key) as second:
        assert second.id == first.id
        assert await first.ends()


@pytest.mark.parametrize(("key", "code"), [("nonsense", 80018), ("gone!key", 80023)])
async def test_a_resume_of_nothing_is_a_new_connection_with_an_error(key: str, code: int) -> None:
    """RTN15c7."""
    async with emulated() as ably, Raw(ably, resume=key) as client:
        assert client.greeting["action"] == Action.CONNECTED
        assert client.greeting["error"]["code"] == code


async def test_a_wrong_key_and_another_client_do_not_resume() -> None:
    """The secret half counts, and so does who it is."""
    async with emulated() as ably:
        async with Raw(ably, clientId="ann") as first:
            pass
        async with Raw(ably, clientId="ann", resume=f"{first.id}!guess") as guessed:
            assert guessed.greeting["error"]["code"] == 80018
        async with Raw(ably, clientId="bob", resume=first.key) as other:
            assert other.greeting["action"] == Action.ERROR
            assert other.greeting["error"]["code"] == 40102


async def test_two_minutes_are_the_end_of_a_connection_and_of_continuity() -> None:
    """Within them all is there, after them nothing (RTN15g, RTL18)."""
    async with emulated() as ably, Raw(ably) as writer:
        async with Raw(ably) as client:
            attached = await client.attach("c")
            await writer.publish("c", {"name": "n"})
        ably.clock.advance(110)
        async with Raw(ably, resume=client.key) as back:
            assert back.id == client.id
            again = await back.attach("c", channelSerial=attached["channelSerial"])
            assert Flag(again["flags"]) & Flag.RESUMED
            assert Flag(again["flags"]) & Flag.HAS_BACKLOG
            assert (await back.next())["messages"][0]["name"] == "n"
        ably.clock.advance(121)
        await asyncio.sleep(0)
        async with Raw(ably, resume=back.key) as late:
            assert late.greeting["error"]["code"] == 80023
            lost = await late.attach("c", channelSerial=attached["channelSerial"])
            assert not Flag(lost["flags"]) & Flag.RESUMED
            assert lost["error"]["code"] == 90003


async def test_a_frame_sent_again_is_answered_as_the_first_time() -> None:
    """RTN19a: by connection and msgSerial, over a resume; also a refusal."""
    async with emulated() as ably:
        async with Raw(ably) as first:
            ack = await first.publish("c", {"name": "n"})
            nack = await first.publish(":bad", {"name": "n"})
            assert nack["error"]["code"] == 40010
        async with Raw(ably, resume=first.key) as second:
            assert await second.publish("c", {"name": "n"}, msgSerial=0) == ack
            assert await second.publish(":bad", {"name": "n"}, msgSerial=1) == nack
        assert len(ably.app.channel("c").store) == 1


async def test_echo_off_keeps_own_messages_away() -> None:
    """RTN2b: those of the connection, never those of others; live and in what is replayed."""
    async with emulated() as ably, Raw(ably, echo="false") as client, Raw(ably) as other:
        attached = await client.attach("c")
        await client.publish("c", {"data": "own"})
        await other.publish("c", {"data": "other"})
        assert (await client.until(Action.MESSAGE))["messages"][0]["data"] == "other"
        await client.attach("c", channelSerial=attached["channelSerial"])
        assert (await client.until(Action.MESSAGE))["messages"][0]["data"] == "other"


async def test_a_bad_channel_name_fails_the_channel_alone() -> None:
    """RTL14: ERROR with its name; the connection goes on."""
    async with emulated() as ably, Raw(ably) as client:
        assert (await client.attach(":bad"))["error"]["code"] == 40010
        assert (await client.attach("good"))["action"] == Action.ATTACHED


async def test_acknowledgements_are_gathered() -> None:
    """One ACK for all of a while, with the serials of each."""
    async with emulated(ack_seconds=5.0) as ably, Raw(ably) as client:
        for _ in range(5):
            await client.send(Action.MESSAGE, channel="c", messages=[{"name": "n"}, {"name": "m"}])
        while len(ably.app.channel("c").store) < 10:
            await asyncio.sleep(0)
        ably.clock.advance(6)
        ack = await client.answer()
        assert (ack["msgSerial"], ack["count"]) == (0, 5)
        assert [len(result["serials"]) for result in ack["res"]] == [2] * 5


BAD_PUBLISHES: list[tuple[list[Any], int]] = [
    ([], 40030),
    (["x"], 40030),
    ([{"data": 3}], 40013),
    ([{"id": "a"}, {"id": "b"}], 40031),
    ([{"id": "a:0"}, {}], 40031),
    ([{"id": 3}], 40031),
    ([{"extras": 3}], 40032),
    ([{"extras": {"headers": 3}}], 40032),
    ([{"extras": {"headers": {"a": [1]}}}], 40032),
    ([{"extras": {"mine": 1}}], 40032),
    ([{"name": 3}], 40016),
    ([{"name": ["n"]}], 40016),
    ([{"id": ""}], 40031),
    ([{"id": "a:1"}, {"id": "a:0"}], 40031),
    ([{"clientId": 3}], 40012),
    ([{"data": "x" * 70_000}], 40009),
    ([{}] * 1001, 40034),
    ([{"clientId": "*"}], 40012),
    ([{"action": 1, "serial": "s"}], 93002),
    ([{"action": 4, "serial": "s"}], 40030),
    ([{"action": 77, "serial": "s"}], 40030),
    ([{"action": 1}, {}], 40030),
]


async def test_a_bad_publish_is_a_nack() -> None:
    """Nothing of it is added."""
    async with emulated() as ably, Raw(ably) as client:
        for messages, code in BAD_PUBLISHES:
            nack = await client.publish("c", *messages)
            assert nack["action"] == Action.NACK, messages
            assert nack["error"]["code"] == code
        assert len(ably.app.channel("c").store) == 0


async def test_rates_are_kept_apart_for_connections_and_channels() -> None:
    """42911 and 42913 with status 429; a second later it goes on."""
    async with emulated(connection_rate=2) as ably, Raw(ably) as client:
        codes = [(await client.publish("c", {})).get("error", {}).get("code") for _ in range(3)]
        assert codes == [None, None, 42911]
        ably.clock.advance(1)
        assert (await client.publish("c", {}))["action"] == Action.ACK
    async with emulated(channel_rate=2) as ably, Raw(ably) as one, Raw(ably) as two:
        await one.publish("c", {})
        await two.publish("c", {})
        refused = await one.publish("c", {})
        assert (refused["error"]["code"], refused["error"]["statusCode"]) == (42913, 429)
        assert (await one.publish("d", {}))["action"] == Action.ACK


async def test_channels_are_limited() -> None:
    """On a connection with 90010, in the application with 40114; idle ones make room."""
    async with emulated(connection_channels=1, channels=2) as ably, Raw(ably) as client:
        await client.attach("a")
        assert (await client.attach("b"))["error"]["code"] == 90010
        await client.publish("b", {})
        assert (await client.publish("c", {}))["error"]["code"] == 40114
        ably.clock.advance(300)
        await client.until(Action.HEARTBEAT)
        assert (await client.publish("c", {}))["action"] == Action.ACK


async def test_modes_come_by_flags_or_by_a_parameter() -> None:
    """The parameter wins; what the capability has not is not granted; nothing left is 40160 (RTL4l)."""
    async with (
        emulated() as ably,
        Raw(ably) as client,
        Raw(ably, key="app.listener:secret") as deaf,
    ):
        granted = await client.attach("a", flags=int(Flag.PUBLISH), params={"modes": "subscribe"})
        assert granted["flags"] == Flag.SUBSCRIBE
        assert granted["params"] == {"modes": "subscribe"}
        listening = await deaf.attach("a")
        assert listening["flags"] == Flag.SUBSCRIBE | Flag.PRESENCE_SUBSCRIBE
        refused = await deaf.attach("b", flags=int(Flag.PUBLISH))
        assert (refused["error"]["code"], refused["error"]["statusCode"]) == (40160, 401)
        assert (await client.attach("c", params={"modes": "fly"}))["error"]["code"] == 40003


async def test_presence_needs_an_attached_channel_its_mode_and_an_identity() -> None:
    """RTP8; each refusal has its own code."""
    enter = {"action": 2}
    async with emulated() as ably, Raw(ably) as nobody, Raw(ably, clientId="ann") as ann:

        async def present(client: Raw, channel: str, item: Wire) -> Wire:
            await client.send(Action.PRESENCE, channel=channel, presence=[item])
            return await client.answer()

        assert (await present(ann, "a", enter))["error"]["code"] == 91001
        await ann.attach("a")
        await ann.attach("b", flags=int(Flag.SUBSCRIBE))
        await nobody.attach("a")
        assert (await present(ann, "b", enter))["error"]["code"] == 40165
        assert (await present(nobody, "a", enter))["error"]["code"] == 91000
        assert (await present(ann, "a", {"action": 1}))["error"]["code"] == 40003
        assert (await present(ann, "a", {**enter, "clientId": "bob"}))["error"]["code"] == 40012
        assert (await present(ann, "a", {"action": 3}))["action"] == Action.ACK
        assert (await present(ann, "a", enter))["res"] == [{"serials": []}]
        assert (await present(ann, "a", {"action": 3}))["action"] == Action.ACK
        await ann.send(Action.OBJECT, channel="a", state=[{}])
        assert (await ann.answer())["error"]["code"] == 92000
        await ann.send(Action.PRESENCE, channel="a", presence="x")
        assert (await ann.answer())["error"]["code"] == 40030


async def test_a_sync_is_given_again_when_asked() -> None:
    """With a new sequence; of a channel that is not attached there is none."""
    async with emulated() as ably, Raw(ably, clientId="ann") as ann:
        await ann.attach("a")
        await ann.send(Action.PRESENCE, channel="a", presence=[{"action": 2}])
        await ann.answer()
        serials = []
        for _ in range(2):
            await ann.send(Action.SYNC, channel="other")
            await ann.send(Action.SYNC, channel=":bad")
            await ann.send(Action.SYNC, channel="a")
            sync = await ann.until(Action.SYNC)
            assert [member["action"] for member in sync["presence"]] == [1]
            serials.append(sync["channelSerial"])
        assert serials[0] != serials[1]


async def test_a_leave_of_the_emulator_is_told_from_one_of_the_client() -> None:
    """RTP2b1: its id does not begin with the connection's; the member leaves with its last data."""
    async with emulated(present_seconds=15.0) as ably, Raw(ably) as watcher:
        await watcher.attach("a")
        async with Raw(ably, clientId="ann", remainPresentFor="2000") as ann:
            await ann.attach("a")
            await ann.send(Action.PRESENCE, channel="a", presence=[{"action": 2, "data": "x"}])
            entered = (await watcher.until(Action.PRESENCE))["presence"][0]
            assert entered["id"].startswith(ann.id)
        await gone(ably, left=1)
        assert len(ably.app.channel("a").presence) == 1
        ably.clock.advance(2.1)
        left = (await watcher.until(Action.PRESENCE))["presence"][0]
        assert left["action"] == 3
        assert left["data"] == "x"
        assert left["connectionId"] == ann.id
        assert not left["id"].startswith(ann.id)


async def test_credentials_are_changed_in_band() -> None:
    """RTC8: another client, a bad token or none ends the connection."""
    async with emulated() as ably:
        issue = ably.app.authority.issue
        key = ably.app.authority.by_key(KEY)
        tokens = {client: issue("app.key", {"clientId": client}, key)["token"] for client in ("ann", "bob")}
        async with Raw(ably, accessToken=tokens["ann"]) as ann:
            await ann.send(Action.AUTH, auth={"accessToken": tokens["ann"]})
            assert (await ann.next())["connectionDetails"]["clientId"] == "ann"
            await ann.send(Action.AUTH, auth={"accessToken": tokens["bob"]})
            assert (await ann.next())["error"]["code"] == 40102
            assert await ann.ends()
        for wrong in (None, {"accessToken": "unknown"}):
            async with Raw(ably, accessToken=tokens["bob"]) as bob:
                await bob.send(Action.AUTH, auth=wrong)
                assert (await bob.next())["action"] == Action.ERROR


async def test_new_credentials_take_away_what_they_do_not_allow() -> None:
    """RTC8: of a channel's modes, and the channel itself where nothing is left (40160)."""
    async with emulated() as ably, Raw(ably) as writer:
        key = ably.app.authority.by_key(KEY)

        def token(capability: dict[str, list[str]]) -> str:
            return str(ably.app.authority.issue("app.key", {"capability": capability}, key)["token"])

        async with Raw(ably, accessToken=token({"*": ["*"]})) as client:
            await client.attach("a")
            await client.attach("b")
            await client.send(Action.AUTH, auth={"accessToken": token({"a": ["publish"]})})
            await client.until(Action.CONNECTED)
            error = await client.until(Action.ERROR)
            assert (error["channel"], error["error"]["code"]) == ("b", 40160)
            await writer.publish("a", {"data": "unheard"})
            assert await client.attach("b") == {**error, "channel": "b"}
            await client.send(Action.MESSAGE, channel="a", messages=[{"data": "own"}])
            assert (await client.next())["action"] == Action.ACK
            await client.send(Action.HEARTBEAT, id="x")
            assert (await client.next())["id"] == "x"


async def test_a_token_is_asked_for_again_and_then_ends() -> None:
    """AUTH 30 seconds before, DISCONNECTED with 40142 at its end (RTN22, RTN15h)."""
    async with emulated() as ably:
        key = ably.app.authority.by_key(KEY)
        token = ably.app.authority.issue("app.key", {"ttl": 60_000}, key)["token"]
        async with Raw(ably, accessToken=token) as client:
            ably.clock.advance(31)
            await client.until(Action.AUTH)
            ably.clock.advance(30)
            assert (await client.until(Action.DISCONNECTED))["error"]["code"] == 40142
            assert await client.ends()
        async with Raw(ably, accessToken=token) as late:
            assert late.greeting["error"]["code"] == 40142


async def test_own_changes_need_an_identity_and_authorship() -> None:
    """40166 for nobody, 40160 for another, and for what the capability has not."""
    own = 'app.key:secret:{"*":["publish","subscribe","message-update-own"]}'
    async with emulated(keys=(own,)) as ably, Raw(ably, clientId="ann") as ann, Raw(ably) as nobody:
        ack = await ann.publish("mutable:c", {"data": "x"})
        serial = ack["res"][0]["serials"][0]
        change = {"action": 1, "serial": serial, "data": "y"}
        assert (await nobody.publish("mutable:c", change))["error"]["code"] == 40166
        assert (await nobody.publish("mutable:c", {**change, "clientId": "bob"}))["error"]["code"] == 40160
        assert (await ann.publish("mutable:c", {**change, "action": 2}))["error"]["code"] == 40160
        assert (await ann.publish("mutable:c", {"action": 1}))["error"]["code"] == 40003
        assert (await ann.publish("mutable:c", change))["action"] == Action.ACK


async def test_bad_annotations_are_refused() -> None:
    """93002 without the rule; an unknown action or message; none at all."""
    kind = {"type": "x:total.v1"}
    async with emulated() as ably, Raw(ably) as client:

        async def annotate(channel: str, *items: Wire) -> int:
            await client.send(Action.ANNOTATION, channel=channel, annotations=list(items))
            answer = await client.answer()
            return int(answer["error"]["code"]) if "error" in answer else 0

        serial = (await client.publish("mutable:c", {}))["res"][0]["serials"][0]
        assert await annotate("plain", kind) == 93002
        assert await annotate("mutable:c") == 40030
        assert await annotate("mutable:c", {**kind, "messageSerial": serial, "action": 7}) == 40003
        assert await annotate("mutable:c", kind) == 40400
        assert await annotate("mutable:c", {**kind, "messageSerial": serial}) == 0


@pytest.mark.long
async def test_a_thousand_messages_a_second_hold() -> None:
    """Sent, acknowledged and received by a subscriber in the other format, in order."""
    count = 2_000
    async with emulated() as ably, Raw(ably, Format.MSGPACK) as writer, Raw(ably) as reader:
        await reader.attach("c")

        async def received() -> list[str]:
            got: list[str] = []
            while len(got) < count:
                got += [item["data"] for item in (await reader.until(Action.MESSAGE))["messages"]]
            return got

        async def acknowledged() -> int:
            done = 0
            while done < count:
                done += (await writer.until(Action.ACK))["count"]
            return done

        begun = time.process_time()
        waiting = asyncio.gather(received(), acknowledged())
        for index in range(count):
            await writer.send(Action.MESSAGE, channel="c", messages=[{"data": str(index)}])
        got, acked = await waiting
        assert (got, acked) == ([str(index) for index in range(count)], count)
        # Processor time, both clients included: other programs on this machine do not count.
        assert count / (time.process_time() - begun) > 1_000
