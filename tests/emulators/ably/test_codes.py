"""Refusals with the codes that `ably/ably-common` publishes for them, one by one."""

from __future__ import annotations

from typing import Any

import pytest

from chatkit.testing.emulators.ably.wire import Action, Flag
from tests.emulators.ably.raw import Raw, call, emulated

pytestmark = pytest.mark.realtime

HISTORY = "/channels/c/messages"


async def test_what_a_channel_was_attached_without_is_refused() -> None:
    """40165 for a publish and an annotation without their modes, 40160 without the right; no attach, no mode."""
    async with emulated() as ably, Raw(ably, clientId="ann") as client:
        await client.attach("mutable:c", flags=int(Flag.SUBSCRIBE))
        refused = await client.publish("mutable:c", {"data": "x"})
        assert (refused["error"]["code"], refused["error"]["statusCode"]) == (40165, 401)
        assert (await client.publish("mutable:d", {"data": "x"}))["action"] == Action.ACK
        serial = ably.app.channel("mutable:d").store.latest()[0]["serial"]
        await client.attach("mutable:d")
        annotation = {"messageSerial": serial, "type": "x:flag.v1"}
        await client.send(Action.ANNOTATION, channel="mutable:d", annotations=[annotation])
        assert (await client.answer())["error"]["code"] == 40165
        # Changing a message takes a right of its own, not the mode for new ones.
        await client.attach("mutable:d", flags=int(Flag.SUBSCRIBE))
        change = await client.publish("mutable:d", {"serial": serial, "action": 1, "data": "y"})
        assert change["action"] == Action.ACK
        async with Raw(ably, key="app.listener:secret") as listener:
            await listener.attach("c")
            assert (await listener.publish("c", {}))["error"]["code"] == 40160


async def test_everything_that_is_published_has_a_size() -> None:
    """40009 with status 413 for messages, members, annotations, bodies, and what an append would make."""
    async with emulated(message_bytes=100, largest_body=1_000) as ably, Raw(ably, clientId="ann") as client:
        large = {"data": "x" * 101}

        async def refused(action: Action, items: str, item: dict[str, Any], channel: str = "c") -> bool:
            await client.send(action, channel=channel, **{items: [item]})
            error = (await client.answer()).get("error", {})
            return (error.get("code"), error.get("statusCode")) == (40009, 413)

        await client.attach("c")
        assert await refused(Action.MESSAGE, "messages", large)
        assert await refused(Action.PRESENCE, "presence", {"action": 2, **large})
        serials = (await client.publish("mutable:c", {"data": "x" * 60}))["res"][0]["serials"]
        annotation = {"messageSerial": serials[0], "type": "x:flag.v1", **large}
        assert await refused(Action.ANNOTATION, "annotations", annotation, "mutable:c")
        more = {"serial": serials[0], "action": 5, "data": "x" * 60}
        assert await refused(Action.MESSAGE, "messages", more, "mutable:c")
        status, body, _ = await call(ably, "POST", HISTORY, {"data": "x" * 2_000})
        assert (status, body["error"]["code"]) == (413, 40009)


async def test_an_attach_point_is_served_for_two_minutes() -> None:
    """90008 beyond, also where more is remembered: `untilAttach` works from the window of recent messages."""
    async with emulated() as ably, Raw(ably) as client:
        await client.publish("persisted:c", {"data": "old"})
        ably.clock.advance(300)
        serial = (await client.attach("persisted:c"))["channelSerial"]
        await client.publish("persisted:c", {"data": "new"})
        path = "/channels/persisted:c/messages"
        _, items, _ = await call(ably, "GET", path, params={"fromSerial": serial})
        assert [item["data"] for item in items] == ["old"]
        ably.clock.advance(121)
        status, body, _ = await call(ably, "GET", path, params={"fromSerial": serial})
        assert (status, body["error"]["code"]) == (400, 90008)
        assert len((await call(ably, "GET", path))[1]) == 2
        for wrong in ("x@none", "soon" + serial[14:]):
            answer = await call(ably, "GET", path, params={"fromSerial": wrong})
            assert answer[1]["error"]["code"] == 40024


async def test_a_batch_has_a_hundred_channels_at_most() -> None:
    """90010, for a publish and for presence; what a batch is not is 40003."""
    async with emulated() as ably:
        many = [f"c{n}" for n in range(101)]
        for spec, code in (
            ({"channels": many, "messages": {"data": "x"}}, 90010),
            ({"channels": "c", "messages": [3]}, 40003),
            ({"channels": [], "messages": []}, 40003),
        ):
            assert (await call(ably, "POST", "/messages", spec))[1]["error"]["code"] == code
        answer = await call(ably, "GET", "/presence", params={"channels": ",".join(many)})
        assert answer[1]["error"]["code"] == 90010


async def test_a_refused_call_is_counted_and_said_in_headers() -> None:
    """Also where a name holds what a header cannot."""
    async with emulated() as ably:
        status, body, headers = await call(ably, "GET", "/n%0Aone%C3%A4")
        assert (status, body["error"]["code"]) == (404, 40400)
        assert headers["X-Ably-Errormessage"] == "no such path: GET /n?one?"
        _, (minute,), _ = await call(ably, "GET", "/stats")
        assert minute["entries"] == {"apiRequests.all.refused.count": 1}
