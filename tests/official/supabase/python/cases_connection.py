"""Connecting, joining, leaving, and coming back."""

from __future__ import annotations

import asyncio
import json
import time

from harness import Tools, case, refused, until
from realtime import RealtimeSubscribeStates
from realtime.types import ChannelStates

ERROR = RealtimeSubscribeStates.CHANNEL_ERROR


@case("a public channel is joined")
async def joins(t: Tools) -> None:
    joined = await t.joined(t.name())
    assert joined.channel.state == ChannelStates.JOINED


@case("a channel is joined through the client of the whole project")
async def joins_project(t: Tools) -> None:
    client = await t.supabase()
    joined = await t.joined(t.name(), client=client.realtime)
    assert joined.joined


@case("a publishable key opens a connection")
async def publishable(t: Tools) -> None:
    await t.joined(t.name(), client=t.realtime(key=t.project["publishable"]))


@case("a key that is none opens nothing")
async def no_key(t: Tools) -> None:
    for key, status in (("x", 401), (t.token(exp=int(time.time()) - 9), 401)):
        client = t.realtime(key=key, auto_reconnect=False)
        error = await refused(client.connect())
        assert str(status) in str(error), error


@case("names beyond ASCII are topics like others")
async def names(t: Tools) -> None:
    for name in (t.name("räume/"), t.name("a:b c%2F"), t.name("日本 ")):
        reader, writer = await t.joined(name), await t.joined(name)
        await writer.channel.send_broadcast("e", {"name": name})
        assert await reader.reach(1) == [{"name": name}]


@case("a channel that is left hears nothing, and may be joined again")
async def leaves(t: Tools) -> None:
    name = t.name()
    client = t.realtime()
    keeper = await t.joined(t.name(), client=client)
    left, writer = await t.joined(name, client=client), await t.joined(name, itself=True)
    await client.remove_channel(left.channel)
    await until(lambda: left.channel.state == ChannelStates.CLOSED)
    assert left.states[-1] == RealtimeSubscribeStates.CLOSED
    await writer.channel.send_broadcast("e", {"n": 1})
    await writer.reach(1)
    again = await t.joined(name, client=client)
    await writer.channel.send_broadcast("e", {"n": 2})
    assert await again.reach(1) == [{"n": 2}]
    assert left.heard == []
    assert keeper.joined


@case("a cut connection is made anew and its channels are joined again")
async def reconnects(t: Tools) -> None:
    name = t.name()
    reader, writer = await t.joined(name, client=t.realtime(initial_backoff=0.05)), await t.joined(name)
    await t.deed("abort", socket=await _socket(t, reader, name, writer))
    await until(
        lambda: (
            reader.states == [RealtimeSubscribeStates.SUBSCRIBED, ERROR, RealtimeSubscribeStates.SUBSCRIBED]
        )
    )
    await writer.channel.send_broadcast("e", {"n": 1})
    assert await reader.reach(1) == [{"n": 1}]


async def _socket(t: Tools, reader: object, name: str, writer: object) -> str:
    """Of the reader: the first that joined."""
    del reader, writer
    told = await t.control("", method="GET")
    found = [socket for socket, each in told["sockets"].items() if name in each["topics"]]
    return min(found, key=int)


@case("a clean close by the server is followed by a new connection")
async def clean_closes(t: Tools) -> None:
    for code in (1000, 1001, 1012):
        name = t.name()
        reader = await t.joined(name, client=t.realtime(initial_backoff=0.05))
        await t.deed("close", socket=await t.socket_of(name), code=code)
        await until(lambda r=reader: r.states[1:] == [ERROR, RealtimeSubscribeStates.SUBSCRIBED])


@case("phx_close on a living connection leaves its channel closed")
async def closed_channel(t: Tools) -> None:
    name = t.name()
    client = t.realtime()
    other, joined = await t.joined(t.name(), client=client), await t.joined(name, client=client)
    await t.deed("close-channel", topic=name)
    await until(lambda: joined.states[-1] == RealtimeSubscribeStates.CLOSED)
    assert other.joined
    assert client.is_connected


@case("a channel that crashed is joined again")
async def crashed(t: Tools) -> None:
    name = t.name()
    joined = await t.joined(name)
    await t.deed("crash", topic=name)
    await until(
        lambda: (
            joined.states == [RealtimeSubscribeStates.SUBSCRIBED, ERROR, RealtimeSubscribeStates.SUBSCRIBED]
        )
    )


@case("a channel that is shut down says why before it is closed")
async def shut(t: Tools) -> None:
    name = t.name()
    joined = await t.joined(name)
    await t.deed("shut", topic=name, text="Too many messages per second")
    await until(lambda: joined.states[-1] == RealtimeSubscribeStates.CLOSED)


@case("a join that gets no answer times out")
async def slow_join(t: Tools) -> None:
    name = t.name()
    await t.fault(does="drop", event="phx_join", topic=name)
    tried = await t.tried(name, client=t.realtime(timeout=1))
    assert tried.states[0] == RealtimeSubscribeStates.TIMED_OUT


@case("heartbeats are answered")
async def heartbeats(t: Tools) -> None:
    client = t.realtime()
    joined = await t.joined(t.name(), client=client)
    answered = asyncio.Event()
    handle = joined.channel._handle_message
    client.channels["phoenix"] = type("Phoenix", (), {"_handle_message": lambda *_: answered.set()})()
    try:
        await client._ws_connection.send(
            json.dumps({"topic": "phoenix", "event": "heartbeat", "payload": {}, "ref": "b"})
        )
        async with asyncio.timeout(10):
            await answered.wait()
    finally:
        del client.channels["phoenix"]
    assert handle is not None


@case("a join beyond the channels of a connection is refused", alone=True)
async def channels(t: Tools) -> None:
    await t.control("/settings", {"channels": 2}, method="PATCH")
    try:
        client = t.realtime()
        for _ in range(2):
            await t.joined(t.name(), client=client)
        tried = await t.tried(t.name(), client=client)
        assert tried.states[-1] == ERROR
        assert "ChannelRateLimitReached: Too many channels" in tried.error
    finally:
        await t.control("/settings", {"channels": 100}, method="PATCH")


@case("a connection beyond the project's quota is refused", alone=True)
async def connections(t: Tools) -> None:
    told = await t.control("", method="GET")
    await t.control("/settings", {"connections": len(told["sockets"]) + 1}, method="PATCH")
    try:
        await t.joined(t.name())
        client = t.realtime(auto_reconnect=False)
        error = await refused(client.connect())
        assert "429" in str(error), error
    finally:
        await t.control("/settings", {"connections": 10_000}, method="PATCH")


@case("too many joins are refused and close the connection", alone=True)
async def joins_rate(t: Tools) -> None:
    client, name = t.realtime(auto_reconnect=False), t.name()
    await t.joined(name, client=client)
    await t.control("/settings", {"joins_per_second": 0}, method="PATCH")
    try:
        tried = await t.tried(t.name(), client=client)
        assert "ClientJoinRateLimitReached" in tried.error, tried.error
        await until(lambda: not client.is_connected)
    finally:
        await t.control("/settings", {"joins_per_second": 10_000}, method="PATCH")


@case("too many events close every channel that hears one", alone=True)
async def events_rate(t: Tools) -> None:
    name = t.name()
    reader, writer = await t.joined(name), await t.joined(name)
    await t.control("/settings", {"events_per_second": 0}, method="PATCH")
    try:
        await writer.channel.send_broadcast("e", {"n": 1})
        await until(lambda: reader.states[-1] == RealtimeSubscribeStates.CLOSED)
        assert writer.joined
    finally:
        await t.control("/settings", {"events_per_second": 1_000_000}, method="PATCH")
