"""Attach, publish, subscribe, presence, changes."""

from __future__ import annotations

import asyncio
from typing import Any

from ably import Annotation, ChannelMode, ChannelOptions, CipherParams, MessageOperation
from ably.types.message import Message, MessageAction
from ably.types.presence import PresenceAction
from ably.util.crypto import generate_random_key
from harness import (
    KEY,
    LISTENER,
    RESTRICTED,
    Tools,
    case,
    collect,
    identity,
    jwt,
    listener,
    pages,
    refused,
    until,
    watch,
)

DATA: dict[str, Any] = {
    "text": "Hello, world \N{WAVING HAND SIGN}",
    "an object": {"name": "test", "value": 42, "nested": {"key": ["x", 1, None, True]}},
    "an array": [1, "two", {"three": 3}],
    "bytes": bytes([0, 1, 2, 127, 128, 254, 255]),
}


@case("data of every kind arrives as it was sent")
async def every_kind(t: Tools) -> None:
    name = t.name()
    writer, reader = await t.connected(), await t.connected()
    got = await collect(reader.channels.get(name))
    for kind, data in DATA.items():
        await writer.channels.get(name).publish(kind, data)
    await until(lambda: len(got) == len(DATA))
    assert {message.name: message.data for message in got} == DATA
    assert not any(message.encoding for message in got)


@case("data of every kind crosses from JSON to msgpack and back")
async def crosses(t: Tools) -> None:
    name = t.name()
    clients = [await t.connected(use_binary_protocol=binary) for binary in (False, True)]
    collected = [await collect(client.channels.get(name)) for client in clients]
    for client in clients:
        for kind, data in DATA.items():
            await client.channels.get(name).publish(kind, data)
    for got in collected:
        await until(lambda got=got: len(got) == 2 * len(DATA))
        assert all(message.data == DATA[message.name] for message in got)
    for binary in (False, True):
        items = await pages(await t.rest(use_binary_protocol=binary).channels.get(name).history())
        assert all(message.data == DATA[message.name] for message in items)


@case("encrypted data is readable to who has the key")
async def encrypted(t: Tools) -> None:
    name = t.name()
    cipher = CipherParams(secret_key=generate_random_key(256), algorithm="aes")
    writer, reader = await t.connected(), await t.connected()
    got = await collect(reader.channels.get(name, ChannelOptions(cipher=cipher)))
    await writer.channels.get(name, ChannelOptions(cipher=cipher)).publish("n", {"secret": True})
    await until(lambda: len(got) == 1)
    assert got[0].data == {"secret": True}


@case("a message says who published it")
async def says_who(t: Tools) -> None:
    name = t.name()
    ann, reader = await t.connected(client_id="ann"), await t.connected()
    got = await collect(reader.channels.get(name))
    await ann.channels.get(name).publish("n", "x")
    await until(lambda: len(got) == 1)
    assert got[0].client_id == "ann"
    assert got[0].connection_id == identity(ann)
    assert abs(got[0].timestamp - await t.time()) < 60_000
    assert got[0].action == MessageAction.MESSAGE_CREATE
    assert got[0].version.serial == got[0].serial


@case("extras arrive as they were sent")
async def extras(t: Tools) -> None:
    client = await t.connected()
    channel = client.channels.get(t.name())
    got = await collect(channel)
    await channel.publish(Message("n", "x", extras={"headers": {"a": "1"}}))
    await until(lambda: len(got) == 1)
    assert got[0].extras == {"headers": {"a": "1"}}


@case("two subscribers get everything in one order")
async def two_subscribers(t: Tools) -> None:
    name = t.name()
    one, two = await t.connected(), await t.connected()
    collected = [await collect(client.channels.get(name)) for client in (one, two)]
    await one.channels.get(name).publish("n", "from one")
    await two.channels.get(name).publish("n", "from two")
    for got in collected:
        await until(lambda got=got: len(got) == 2)
        assert [message.data for message in got] == ["from one", "from two"]


@case("a subscriber by name gets only that")
async def by_name(t: Tools) -> None:
    client = await t.connected()
    channel = client.channels.get(t.name())
    wanted, everything = await collect(channel, "wanted"), await collect(channel)
    await channel.publish("other", "x")
    await channel.publish("wanted", "y")
    await until(lambda: len(everything) == 2)
    assert [message.data for message in wanted] == ["y"]


@case("echo off keeps own messages away")
async def no_echo(t: Tools) -> None:
    name = t.name()
    client, other = await t.connected(transport_params={"echo": "false"}), await t.connected()
    got = await collect(client.channels.get(name))
    await client.channels.get(name).publish("n", "own")
    await other.channels.get(name).publish("n", "other")
    await until(lambda: len(got) == 1)
    assert [message.data for message in got] == ["other"]


@case("a thousand messages arrive in order")
async def thousand(t: Tools) -> None:
    name = t.name()
    writer, reader = await t.connected(), await t.connected()
    got, channel = await collect(reader.channels.get(name)), writer.channels.get(name)
    results = await asyncio.gather(*(channel.publish("n", str(index)) for index in range(1000)))
    await until(lambda: len(got) == 1000, "a thousand")
    assert [int(message.data) for message in got] == list(range(1000))
    assert [message.serial for message in got] == [result.serials[0] for result in results]


@case("a publish of several messages gives a serial each")
async def several(t: Tools) -> None:
    client = await t.connected()
    channel = client.channels.get(t.name())
    got = await collect(channel)
    result = await channel.publish([Message("a", "1"), Message("b", "2"), Message("c", "3")])
    await until(lambda: len(got) == 3)
    assert result.serials == [message.serial for message in got]


@case("the same id twice is one message")
async def same_id(t: Tools) -> None:
    client = await t.connected()
    channel = client.channels.get(t.name())
    got, name = await collect(channel), t.name()
    first = await channel.publish(Message("n", "1", id=name))
    second = await channel.publish(Message("n", "2", id=name))
    await channel.publish("n", "end")
    await until(lambda: len(got) == 2)
    assert [message.data for message in got] == ["1", "end"]
    assert got[0].id == name
    assert first.serials == second.serials


@case("too large a message is refused")
async def oversize(t: Tools) -> None:
    client = await t.connected()
    channel = client.channels.get(t.name())
    await refused(channel.publish("n", "x" * 70_000), 40009)
    await channel.publish("n", "x" * 60_000)
    await refused(t.rest().channels.get(channel.name).publish("n", "x" * 70_000), 40009)


@case("another client id than its own is refused")
async def other_client(t: Tools) -> None:
    client = await t.connected(token=jwt(client_id="ann"))
    channel = client.channels.get(t.name())
    await refused(channel.publish(Message("n", "x", client_id="bob")), 40012)


@case("a channel detaches and attaches again")
async def reattach(t: Tools) -> None:
    client, writer = await t.connected(), await t.connected()
    channel = client.channels.get(t.name())
    got = await collect(channel)
    await channel.detach()
    assert channel.state == "detached"
    await writer.channels.get(channel.name).publish("n", "unheard")
    await channel.attach()
    await writer.channels.get(channel.name).publish("n", "heard")
    await until(lambda: len(got) == 1)
    assert got[0].data == "heard"


@case("bad channel names fail the channel")
async def bad_names(t: Tools) -> None:
    client = await t.connected()
    for name in (":starts-with-colon", "[unknown]name", "two\nlines"):
        await refused(client.channels.get(name).attach(), 40010, 400)


@case("DETACHED unasked is followed by an attach")
async def expelled(t: Tools) -> None:
    client = await t.connected()
    channel = client.channels.get(t.name())
    got, changes = await collect(channel), []
    channel.on(listener(changes))
    await t.deed("detach", channel=channel.name, error={"code": 90198, "status": 500})
    await until(lambda: any(change.current == "attached" for change in changes), "attached again")
    await channel.publish("n", "x")
    await until(lambda: len(got) == 1)


@case("ERROR of a channel fails it alone")
async def channel_error(t: Tools) -> None:
    client = await t.connected()
    channel, other = client.channels.get(t.name()), client.channels.get(t.name())
    await channel.attach()
    await other.attach()
    await t.deed("fail-channel", channel=channel.name, error={"code": 40160, "status": 403})
    await until(lambda: channel.state == "failed")
    assert channel.error_reason.code == 40160
    assert other.state == "attached"


@case("ATTACHED without RESUMED is an update")
async def update(t: Tools) -> None:
    client = await t.connected()
    channel = client.channels.get(t.name())
    await channel.attach()
    changes: list[Any] = []
    channel.on("update", listener(changes))
    await t.deed("attached", channel=channel.name)
    await until(lambda: len(changes) == 1)
    assert not changes[0].resumed


@case("an attach that gets no answer suspends the channel")
async def suspended(t: Tools) -> None:
    name = t.name()
    client = await t.connected(realtime_request_timeout=2000)
    await t.fault(does="drop", action="ATTACH", channel=name)
    channel = client.channels.get(name)
    await refused(channel.attach(), 90007)
    assert channel.state == "suspended"
    await channel.attach()


@case("rewind gives the last messages at the first attach")
async def rewind(t: Tools) -> None:
    name = t.name()
    writer, client = await t.connected(), await t.connected()
    for data in "abcde":
        await writer.channels.get(name).publish("n", data)
    got = await collect(client.channels.get(name, ChannelOptions(params={"rewind": "3"})))
    await until(lambda: len(got) == 3)
    assert [message.data for message in got] == list("cde")


@case("modes are asked for and granted")
async def modes(t: Tools) -> None:
    client = await t.connected(key=RESTRICTED)
    channel = client.channels.get(
        "channel4", ChannelOptions(modes=[ChannelMode.PUBLISH, ChannelMode.PRESENCE])
    )
    await channel.attach()
    assert sorted(channel.modes) == sorted([ChannelMode.PUBLISH, ChannelMode.PRESENCE])


@case("a member enters, updates and leaves before another's eyes")
async def lifecycle(t: Tools) -> None:
    name = t.name()
    ann, bob = await t.connected(client_id="ann"), await t.connected(client_id="bob")
    seen, presence = await watch(bob.channels.get(name)), ann.channels.get(name).presence
    await presence.enter("hello")
    await presence.update("busy")
    await presence.leave("bye")
    await until(lambda: len(seen) == 3)
    assert [(each.action, each.data) for each in seen] == [
        (PresenceAction.ENTER, "hello"),
        (PresenceAction.UPDATE, "busy"),
        (PresenceAction.LEAVE, "bye"),
    ]


@case("several clients are members of their own, and one who comes later is told")
async def members(t: Tools) -> None:
    name = t.name()
    for client_id in ("ann", "bob", "eve"):
        client = await t.connected(client_id=client_id)
        await client.channels.get(name).presence.enter({"from": client_id})
    late = await t.connected()
    present = await late.channels.get(name).presence.get()
    assert {member.client_id: member.data["from"] for member in present} == {
        each: each for each in ("ann", "bob", "eve")
    }


@case("many members come in several pages of a sync")
async def many(t: Tools) -> None:
    name = t.name()
    crowd, late = await t.connected(key=KEY, client_id="*"), await t.connected()
    channel = crowd.channels.get(name)
    await channel.attach()
    ids = [f"user-{index}" for index in range(150)]
    await asyncio.gather(*(channel.presence.enter_client(each, each) for each in ids))
    present = await late.channels.get(name).presence.get()
    assert sorted(member.client_id for member in present) == sorted(ids)


@case("a closed connection leaves at once")
async def leaves(t: Tools) -> None:
    name = t.name()
    ann, bob = await t.connected(client_id="ann"), await t.connected(client_id="bob")
    seen = await watch(bob.channels.get(name))
    await ann.channels.get(name).presence.enter("data")
    await until(lambda: len(seen) == 1)
    await ann.close()
    await until(lambda: len(seen) == 2)
    assert seen[1].action == PresenceAction.LEAVE


@case("a short drop is not seen by others")
async def short_drop(t: Tools) -> None:
    name = t.name()
    ann, bob = await t.connected(client_id="ann"), await t.connected(client_id="bob")
    seen, channel = await watch(bob.channels.get(name)), ann.channels.get(name)
    await channel.presence.enter()
    await until(lambda: len(seen) == 1)
    changes: list[Any] = []
    channel.on(listener(changes))
    await t.cut(ann)
    await until(lambda: any(change.current == "attached" for change in changes), "attached again")
    await channel.presence.update("still here")
    await until(lambda: seen[-1].data == "still here")
    assert PresenceAction.LEAVE not in [each.action for each in seen]


@case("a drop of fifteen seconds is a leave", alone=True)
async def long_drop(t: Tools) -> None:
    name = t.name()
    ann, bob = await t.connected(client_id="ann"), await t.connected(client_id="bob")
    seen = await watch(bob.channels.get(name))
    await ann.channels.get(name).presence.enter()
    await until(lambda: len(seen) == 1)
    await t.fault(does="abort", action="CONNECT", connection=identity(ann), times=3)
    await t.cut(ann)
    await until(lambda: ann.connection.state == "disconnected")
    await t.control("/clock", {"advance": 16})
    await until(lambda: PresenceAction.LEAVE in [each.action for each in seen], "left")


@case("entering needs a client id and the capability")
async def may_enter(t: Tools) -> None:
    name = t.name()
    client = await t.connected(token=jwt(client_id="ann", capability={name: ["subscribe"]}))
    await refused(client.channels.get(name).presence.enter(), 40160, 401)
    anonymous = await t.connected(token=jwt())
    await refused(anonymous.channels.get(name).presence.enter(), 40012)


@case("an update and a delete are observed")
async def changes(t: Tools) -> None:
    name = t.name("mutable:")
    ann, reader = await t.connected(client_id="ann"), await t.connected()
    got, channel = await collect(reader.channels.get(name)), ann.channels.get(name)
    serial = (await channel.publish("n", "first")).serials[0]
    result = await channel.update_message(
        Message(data="second", serial=serial), MessageOperation(description="typo")
    )
    await channel.delete_message(Message(serial=serial))
    await until(lambda: len(got) == 3)
    assert [message.action for message in got] == [
        MessageAction.MESSAGE_CREATE,
        MessageAction.MESSAGE_UPDATE,
        MessageAction.MESSAGE_DELETE,
    ]
    assert {message.serial for message in got} == {serial}
    assert got[1].data == "second"
    assert got[1].version.serial == result.version_serial
    assert got[1].version.description == "typo"


@case("an append is observed, and read whole")
async def appends(t: Tools) -> None:
    name = t.name("mutable:")
    ann, reader = await t.connected(client_id="ann"), await t.connected()
    got, channel = await collect(reader.channels.get(name)), ann.channels.get(name)
    serial = (await channel.publish("n", "Hello")).serials[0]
    await channel.append_message(Message(data=", world", serial=serial))
    await until(lambda: len(got) == 2)
    assert got[1].data == ", world"
    assert got[1].action == MessageAction.MESSAGE_APPEND
    assert (await channel.get_message(serial)).data == "Hello, world"
    versions = await pages(await channel.get_message_versions(serial))
    assert [message.data for message in versions] == ["Hello", "Hello, world"]


@case("without the rule a channel has no updates")
async def no_rule(t: Tools) -> None:
    client = await t.connected()
    channel = client.channels.get(t.name())
    serial = (await channel.publish("n", "x")).serials[0]
    await refused(channel.update_message(Message(data="y", serial=serial)), 93002, 400)


@case("annotations are published and summed up")
async def annotated(t: Tools) -> None:
    name = t.name("mutable:")
    options = ChannelOptions(
        modes=[
            ChannelMode.PUBLISH,
            ChannelMode.SUBSCRIBE,
            ChannelMode.ANNOTATION_PUBLISH,
            ChannelMode.ANNOTATION_SUBSCRIBE,
        ]
    )
    client = await t.connected(client_id="ann")
    channel = client.channels.get(name, options)
    got, raw = await collect(channel), []
    await channel.annotations.subscribe(listener(raw))
    serial = (await channel.publish("n", "x")).serials[0]
    await channel.annotations.publish(serial, Annotation(type="reaction:distinct.v1", name="+1"))
    await until(lambda: len(raw) == 1 and len(got) == 2)
    assert raw[0].message_serial == serial
    summary = got[1].annotations.summary["reaction:distinct.v1"]
    assert summary["+1"]["total"] == 1
    listed = await channel.annotations.get(serial)
    assert [each.name for each in listed.items] == ["+1"]


@case("a listener hears and may not speak")
async def hears(t: Tools) -> None:
    name = t.name()
    client, writer = await t.connected(key=LISTENER), await t.connected()
    got = await collect(client.channels.get(name))
    await writer.channels.get(name).publish("n", "x")
    await until(lambda: len(got) == 1)
    await refused(client.channels.get(name).publish("n", "x"), 40160)
