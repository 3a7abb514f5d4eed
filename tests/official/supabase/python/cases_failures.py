"""What the client does to its users when the network fails, as of 2.34.1: a case passes where it still does.

`tests/adapters/supabase/test_supabase_sdk_failures.py` tells chatkit the same stories.
"""

from __future__ import annotations

import asyncio
from typing import Any

from harness import Joined, Tools, case, until
from realtime import RealtimeSubscribeStates
from realtime._async import client as module
from realtime.types import ChannelStates


async def away(t: Tools, socket: str) -> None:
    """Keep a client away: what is there is cut, what comes is refused."""
    await t.control("/settings", {"connections": 0}, method="PATCH")
    await t.deed("abort", socket=socket)


async def back(t: Tools) -> None:
    """Let clients in again."""
    await t.control("/settings", {"connections": 10_000}, method="PATCH")


async def heard_by(t: Tools, name: str, socket: str) -> bool:
    """Whether a connection is in a topic as the service sees it."""
    told = await t.control("", method="GET")
    return name in told["sockets"].get(socket, {"topics": []})["topics"]


@case("after one exception in a callback nothing more is heard, and it looks connected and joined")
async def deaf(t: Tools) -> None:
    name, calls = t.name(), list[Any]()
    reader, writer = await t.joined(name), await t.joined(name)

    def fail(payload: Any) -> None:
        calls.append(payload)
        raise RuntimeError("a bug of the app")

    reader.channel.on_broadcast("e", fail)
    for number in range(3):
        await writer.channel.send_broadcast("e", {"n": number})
        await asyncio.sleep(0.3)
    assert len(calls) == 1
    assert reader.channel.socket.is_connected
    assert reader.joined
    assert reader.channel.state == ChannelStates.JOINED


@case("without a server it gives up after five tries, a quarter of a minute, and nobody is told", alone=True)
async def gives_up(t: Tools) -> None:
    name = t.name()
    client = t.realtime(initial_backoff=0.05)  # a twentieth of its own: then it is 15 s
    reader = await t.joined(name, client=client)
    listening: Any = client._listen_task
    await away(t, await t.socket_of(name))
    try:
        await until(listening.done, "it gives up")
        assert isinstance(listening.exception(), Exception)
    finally:
        await back(t)
    told = list(reader.states)
    await asyncio.sleep(1)
    assert not client.is_connected
    assert (
        reader.states
        == told
        == [
            RealtimeSubscribeStates.SUBSCRIBED,
            RealtimeSubscribeStates.CHANNEL_ERROR,
        ]
    )


@case("heartbeats that nobody answers are never noticed", alone=True)
async def unanswered(t: Tools) -> None:
    name = t.name()
    module.max = min  # it beats each fifteen seconds or more slowly
    try:
        client = t.realtime(hb_interval=0.02)
        reader = await t.joined(name, client=client)
        socket = await t.socket_of(name)
        await t.fault(does="drop", event="heartbeat", socket=socket, times=1_000)
        sent, send = list[Any](), client.send

        async def watched(message: Any) -> None:
            sent.append(message)
            await send(message)

        client.send = watched
        await until(lambda: len(sent) >= 50, "fifty heartbeats")
        assert {(message.event, message.ref) for message in sent} == {("heartbeat", None)}
        assert reader.states == [RealtimeSubscribeStates.SUBSCRIBED]
        assert await heard_by(t, name, socket)
    finally:
        del module.max
        await t.control("/supabase/faults", method="DELETE")


@case("what is said while it is away for longer than its time-out is dropped, unsaid", alone=True)
async def dropped(t: Tools) -> None:
    name = t.name()
    client = t.realtime(timeout=1, initial_backoff=0.5)  # a tenth of its own
    writer, reader = await t.joined(name, client=client), await t.joined(name)
    socket = min(await _sockets(t, name), key=int)
    await away(t, socket)
    try:
        await until(lambda: not client.is_connected)
        await writer.channel.send_broadcast("e", {"n": "old"})
        await asyncio.sleep(1.2)
        await writer.channel.send_broadcast("e", {"n": "new"})
    finally:
        await back(t)
    await until(lambda: writer.states[-1:] == [RealtimeSubscribeStates.SUBSCRIBED] and writer.states[1:])
    assert await reader.reach(1) == [{"n": "new"}]


@case("a channel that is closed for its rate is left for good")
async def closed(t: Tools) -> None:
    name = t.name()
    client = t.realtime()
    await t.joined(t.name(), client=client)
    reader = await t.joined(name, client=client)
    socket = await t.socket_of(name)
    await t.deed("shut", topic=name, text="Too many messages per second")
    await until(lambda: reader.states[-1] == RealtimeSubscribeStates.CLOSED)
    await asyncio.sleep(3)  # it tries after one second what it tries at all
    assert reader.channel.state == ChannelStates.CLOSED
    assert not await heard_by(t, name, socket)


@case("a join that is slower than its time-out ends closed, while the service has it joined")
async def slow(t: Tools) -> None:
    name = t.name()
    client, writer = t.realtime(timeout=1), t.realtime()
    await t.joined(t.name(), client=client)
    await t.fault(does="delay", event="phx_join", topic=name, seconds=2.5)
    joining = Joined(client.channel(name))
    await joining.join()
    await until(lambda: RealtimeSubscribeStates.CLOSED in joining.states)
    await asyncio.sleep(1)  # what comes of its second join comes to nobody
    assert joining.channel.state == ChannelStates.CLOSED
    assert RealtimeSubscribeStates.SUBSCRIBED not in joining.states
    assert len(await _sockets(t, name)) == 1
    other = await t.joined(name, client=writer)
    await other.channel.send_broadcast("e", {"n": 1})
    await asyncio.sleep(0.5)
    assert joining.heard == []


async def _sockets(t: Tools, name: str) -> list[str]:
    told = await t.control("", method="GET")
    return [socket for socket, each in told["sockets"].items() if name in each["topics"]]
