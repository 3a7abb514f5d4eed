"""What the client does to its users when the network fails, as of 3.1.4: a case passes where it still does.

`tests/adapters/ably/test_ably_sdk_failures.py` tells chatkit the same stories; docs/providers/ably.md what they mean.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from ably.transport import websockettransport
from ably.transport.defaults import Defaults
from ably.types.connectionstate import ConnectionState
from harness import Tools, case, collect, identity, reach, refused, until

State = ConnectionState


@case("suspended it gives up what is queued, takes nothing, and does not read what it missed", alone=True)
async def suspended(t: Tools) -> None:
    name, tag = t.name(), t.name()
    client, other = await t.connected(transport_params={"tag": tag}), await t.connected()
    channel = client.channels.get(name)
    got, missed = await collect(channel), other.channels.get(name)
    await t.fault(does="abort", action="CONNECT", query={"tag": tag}, times=1_000)
    kept, Defaults.connection_state_ttl = Defaults.connection_state_ttl, 500
    try:
        await t.cut(client)
        await until(lambda: client.connection.state == State.DISCONNECTED)
        queued = asyncio.ensure_future(channel.publish("n", "queued"))
        await until(lambda: client.connection.state == State.SUSPENDED)
    finally:
        Defaults.connection_state_ttl = kept
    await refused(queued, 80002)
    await refused(channel.publish("n", "while suspended"), 40001)
    await missed.publish("n", "missed")
    await t.control("/ably/faults", method="DELETE")
    await reach(client.connection, State.CONNECTED)
    await until(lambda: channel.state == "attached")
    await missed.publish("n", "after")
    await until(lambda: got)
    assert [message.data for message in got] == ["after"]
    history = await channel.history(direction="forwards")
    assert [message.data for message in history.items] == ["missed", "after"]


@case("what is queued while connecting goes out twice")
async def doubled(t: Tools) -> None:
    name, tag = t.name(), t.name()
    sent: list[Any] = []
    send = websockettransport.WebSocketTransport.send

    async def watched(self: Any, message: dict[str, Any]) -> None:
        if message.get("channel") == name:
            sent.append(message["messages"][0]["data"])
        await send(self, message)

    websockettransport.WebSocketTransport.send = watched
    try:
        await t.fault(does="drop", action="CONNECT", query={"tag": tag})
        client = t.realtime(transport_params={"tag": tag}, realtime_request_timeout=1_000)
        await client.channels.get(name).publish("n", "queued")
        await until(lambda: len(sent) == 2, "the second")
    finally:
        websockettransport.WebSocketTransport.send = send
    assert sent == ["queued", "queued"]


@case("after a refused resume one message is there twice and another lost, both acknowledged")
async def stale(t: Tools) -> None:
    name = t.name()
    client, reader = await t.connected(), await t.connected()
    channel, before = client.channels.get(name), identity(client)
    got = await collect(reader.channels.get(name))
    for number in range(3):
        await channel.publish("n", str(number))
    await t.fault(does="refuse", action="CONNECT", connection=before, error={"code": 80018})
    await t.fault(does="abort", way="out", action="ACK", connection=before)
    for number in range(3, 10):
        await channel.publish("n", str(number))
    await reader.channels.get(name).publish("n", "end")
    await until(lambda: got and got[-1].data == "end")
    assert [message.data for message in got[:-1]] == ["0", "1", "2", "3", "3", "4", "5", "6", "8", "9"]


@case("a publish that is pending when the connection fails is never settled")
async def hanging(t: Tools) -> None:
    client = await t.connected()
    await t.fault(does="drop", way="out", action="ACK", connection=identity(client))
    pending = asyncio.ensure_future(client.channels.get(t.name()).publish("n", "pending"))
    await until(client.connection.connection_manager.pending_message_queue.count)
    await asyncio.sleep(0.1)  # it goes out
    await t.deed("fail", connection=identity(client), error={"code": 50000})
    await until(lambda: client.connection.state == State.FAILED)
    done, _ = await asyncio.wait([pending], timeout=3)
    assert not done
    pending.cancel()


@case("a silent socket is let go of ten seconds after it was given up")
async def silent(t: Tools) -> None:
    idle, patience, closing = 5.0, 0.5, 10.0
    client = await t.connected(
        transport_params={"heartbeatInterval": int(idle * 1000)}, realtime_request_timeout=patience * 1000
    )
    noticed: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    client.connection.once(lambda _: noticed.set_result(time.monotonic()))
    began = time.monotonic()
    await t.deed("stall", connection=identity(client))
    assert await noticed - began > idle + patience + closing - 1
