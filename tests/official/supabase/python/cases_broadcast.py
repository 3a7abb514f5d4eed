"""Broadcasts and presence on public channels."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from harness import Tools, case, refused, until
from realtime import RealtimeSubscribeStates
from realtime.types import RealtimeAcknowledgementStatus

DATA: dict[str, Any] = {
    "text": "Hello, world \N{WAVING HAND SIGN}",
    "nested": {"key": ["x", 1, 1.5, None, True]},
    "empty": {},
    "long": "é" * 100,
}


@case("a broadcast of any object arrives as it was sent")
async def any_object(t: Tools) -> None:
    name = t.name()
    reader, writer = await t.joined(name), await t.joined(name)
    for payload in (DATA, {}, {"n": None}):  # the client hears nothing else
        await writer.channel.send_broadcast("e", payload)
    assert await reader.reach(3) == [DATA, {}, {"n": None}]


@case("a broadcast comes back only if that was asked for")
async def itself(t: Tools) -> None:
    name = t.name()
    silent, echoed = await t.joined(name), await t.joined(name, itself=True)
    await silent.channel.send_broadcast("e", {"n": 1})
    await echoed.channel.send_broadcast("e", {"n": 2})
    assert await echoed.reach(2) == [{"n": 1}, {"n": 2}]
    assert await silent.reach(1) == [{"n": 2}]
    assert len(silent.heard) == 1


async def _pushed(joined: Any, payload: Any) -> tuple[asyncio.Event, list[Any]]:
    """A broadcast whose answer is kept."""
    answered, told = asyncio.Event(), []

    def keep(answer: Any = None) -> None:
        told.append(answer)
        answered.set()

    push = await joined.channel.push("broadcast", {"type": "broadcast", "event": "e", "payload": payload})
    push.receive(RealtimeAcknowledgementStatus.Ok, keep)
    push.receive(RealtimeAcknowledgementStatus.Error, keep)
    return answered, told


@case("a broadcast is acknowledged only if that was asked for")
async def acknowledged(t: Tools) -> None:
    name = t.name()
    asking, other = await t.joined(name, ack=True), await t.joined(name, itself=True)
    answered, _ = await _pushed(asking, {"n": 1})
    async with asyncio.timeout(10):
        await answered.wait()
    silent, _ = await _pushed(other, {"n": 2})
    assert await other.reach(2) == [{"n": 1}, {"n": 2}]
    assert not silent.is_set()


@case("a lost ack is no lost broadcast")
async def lost_ack(t: Tools) -> None:
    name = t.name()
    writer, reader = await t.joined(name, ack=True), await t.joined(name)
    await t.fault(does="drop", event="broadcast", moment="after", topic=name)
    first, _ = await _pushed(writer, {"n": 1})
    second, _ = await _pushed(writer, {"n": 2})
    assert await reader.reach(2) == [{"n": 1}, {"n": 2}]
    async with asyncio.timeout(10):
        await second.wait()
    assert not first.is_set()


@case("a thousand broadcasts arrive in order")
async def order(t: Tools) -> None:
    name = t.name()
    reader, writer = await t.joined(name), await t.joined(name)
    for number in range(1_000):
        await writer.channel.send_broadcast("e", {"n": number})
    assert [each["n"] for each in await reader.reach(1_000)] == list(range(1_000))


@case("fifty kilobytes arrive whole")
async def large(t: Tools) -> None:
    name = t.name()
    reader, writer = await t.joined(name), await t.joined(name)
    payload = {"text": "é€" * 10_000}
    await writer.channel.send_broadcast("e", payload)
    assert await reader.reach(1) == [payload]


@case("several channels of one connection keep apart")
async def apart(t: Tools) -> None:
    client, names = t.realtime(), [t.name(), t.name()]
    joined = [await t.joined(name, client=client) for name in names]
    for name in names:
        writer = await t.joined(name)
        await writer.channel.send_broadcast("e", {"to": name})
    for name, each in zip(names, joined, strict=True):
        assert await each.reach(1) == [{"to": name}]


@case("a batch by HTTP arrives")
async def batch(t: Tools) -> None:
    name = t.name()
    reader = await t.joined(name, "e", "f")
    messages = [{"topic": name, "event": event, "payload": {"of": event}} for event in ("e", "f")]
    answer = await t.post("/realtime/v1/api/broadcast", {"messages": messages})
    assert answer.status_code == 202
    assert await reader.reach(2) == [{"of": "e"}, {"of": "f"}]
    wrong = await t.post("/realtime/v1/api/broadcast", {"messages": [{"topic": name}]})
    assert wrong.status_code == 422
    assert "errors" in wrong.json()


@case("a channel sends by HTTP")
async def http_send(t: Tools) -> None:
    name = t.name()
    reader = await t.joined(name)
    sender = t.realtime().channel(name)
    await sender.http_send("e", {"by": "http"})
    assert await reader.reach(1) == [{"by": "http"}]


@case("a failing call is told to who sends by HTTP", alone=True)
async def http_fails(t: Tools) -> None:
    name = t.name()
    for status in (429, 503):
        await t.control("/faults/call", {"does": "fail", "path": "/api/broadcast", "status": status})
        error = await refused(t.realtime().channel(name).http_send("e", {}))
        assert error.status == status, error


@case("an answer that comes after the caller gave up had its effect", alone=True)
async def too_late(t: Tools) -> None:
    name = t.name()
    reader = await t.joined(name)
    late = {"does": "delay", "moment": "after", "path": "/api/broadcast", "seconds": 2.0}
    await t.control("/faults/call", late)
    body = {"messages": [{"topic": name, "event": "e", "payload": {"n": 1}}]}
    headers = {"Authorization": f"Bearer {t.token()}"}
    async with httpx.AsyncClient(base_url=t.url, timeout=0.5) as client:
        try:
            await client.post("/realtime/v1/api/broadcast", json=body, headers=headers)
        except httpx.ReadTimeout:
            pass
        else:
            raise AssertionError("not late")
    assert await reader.reach(1) == [{"n": 1}]


# -- presence


def _members(joined: Any) -> dict[str, list[dict[str, Any]]]:
    state = joined.channel.presence_state()
    return {
        key: [{k: v for k, v in m.items() if k != "presence_ref"} for m in metas]
        for key, metas in state.items()
    }


@case("two clients see one another come, change and go")
async def presence(t: Tools) -> None:
    name = t.name()
    ann = await t.joined(name, key="ann")
    await ann.channel.track({"mood": "good"})
    await until(lambda: _members(ann) == {"ann": [{"mood": "good"}]})
    ben = await t.joined(name, key="ben")
    await until(lambda: _members(ben) == {"ann": [{"mood": "good"}]})
    await ben.channel.track({"mood": "odd"})
    both = {"ann": [{"mood": "good"}], "ben": [{"mood": "odd"}]}
    await until(lambda: _members(ann) == both)
    await ann.channel.track({"mood": "bad"})
    await until(lambda: _members(ben) == {**both, "ann": [{"mood": "bad"}]})
    await ben.channel.untrack()
    await until(lambda: _members(ann) == {"ann": [{"mood": "bad"}]})
    await ann.channel.socket.close()
    await until(lambda: _members(ben) == {})


@case("two devices of one key are two members of it")
async def devices(t: Tools) -> None:
    name = t.name()
    first, second = await t.joined(name, key="ann"), await t.joined(name, key="ann")
    await first.channel.track({"on": "phone"})
    await second.channel.track({"on": "desk"})
    await until(lambda: len(_members(first).get("ann", [])) == 2)
    await first.channel.unsubscribe()
    await until(lambda: _members(second) == {"ann": [{"on": "desk"}]})


@case("the sixth presence call in half a minute closes the channel")
async def calls(t: Tools) -> None:
    name = t.name()
    joined = await t.joined(name, key="ann")
    for number in range(6):
        await joined.channel.track({"n": number})
    await until(lambda: joined.states[-1] == RealtimeSubscribeStates.CLOSED)
    assert len(_members(joined).get("ann", [])) <= 1
