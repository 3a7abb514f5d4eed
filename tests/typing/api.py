"""The public surface as type checkers see it. Never run: mypy and pyright read it in strict mode.

Each line with an ignore is a misuse that must be refused: an unused ignore fails the check.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_type

import chatkit
from chatkit import (
    Change,
    Channel,
    Chat,
    CloseReport,
    Connection,
    CustomEvent,
    Delivery,
    DirectOpened,
    Discontinuity,
    Event,
    FlushReport,
    Member,
    Message,
    MessageCreated,
    MessageEvent,
    Page,
    Pin,
    PinChanged,
    Presence,
    PresenceChanged,
    PresenceView,
    ReactionChanged,
    ReceiptAdvanced,
    Receipts,
    Role,
    RoleChanged,
    Stream,
    Thread,
    TimelineView,
    Unread,
)
from chatkit.moderation import Blocks, Mutes, SlowMode


async def uses() -> None:
    """What programs do."""
    async with chatkit.connect("memory://x", user="ada", store="ada.db") as chat:
        _ = assert_type(chat, Chat)
        assert_type(chat.connection, Connection)
        channel = chat.channel("support")
        assert_type(channel.events(), Stream[Event])
        thread = assert_type(channel.thread("id"), Thread)
        _ = assert_type(await thread.send("x", also_in_channel=True), Delivery)
        _ = assert_type((await thread.info()).last, Message | None)
        assert_type(channel.events(MessageCreated), Stream[MessageCreated])
        both = channel.events(MessageEvent, Discontinuity, since=chatkit.START)
        assert_type(both, Stream[MessageEvent | Discontinuity])
        delivery = await channel.send("Hello", key="k", mentions=["bob"])
        assert_type(delivery, Delivery)
        message = await delivery.wait(timeout=10)
        assert_type(message, Message)
        assert_type(await channel.edit(message, "Hi"), Delivery)
        assert_type(await channel.react(delivery, "👋"), Delivery)
        assert_type(await channel.history(before=message), Page[Message])
        assert_type(await channel.wait_for(ReactionChanged, where=lambda e: e.added), ReactionChanged)
        assert_type(channel.timeline.watch(), Stream[TimelineView])
        assert_type(await chat.outbox.flush(), FlushReport)
        assert_type(chat.direct("bob"), Channel)
        assert_type(chat.events(DirectOpened), Stream[DirectOpened])
        assert_type(await chat.directs(), tuple[str, ...])
        async for event in channel.events(CustomEvent, MessageCreated):
            match event:
                case CustomEvent(name=name, data=data):
                    assert_type((name, data), tuple[str, Mapping[str, Any]])
                case MessageCreated(message=found):
                    assert_type(found, Message)

        @channel.on(MessageCreated)
        async def handler(event: MessageCreated) -> None:
            assert_type(event.message, Message)

        channel.off(handler)
        assert_type(await chat.aclose(), CloseReport)
        blocks = Blocks(["mallory"], file="blocks.json")
        chat.use(blocks, Mutes(channels=["random"]), SlowMode(30, exempt=["ada"]))
        await blocks.block("mallory")
        assert_type(blocks.users, frozenset[str])
    opened = await chatkit.connect(user=chatkit.User(id="ada"))
    _ = assert_type(opened, Chat)


async def members(chat: Chat, message: Message) -> None:
    """Who is there, who has read, who may what."""
    channel = chat.channel("support")
    quiet = chat.channel("quiet", receipts="read+delivered")
    assert_type(quiet.receipts, Receipts)
    assert_type(quiet.receipts.unread, Unread)
    assert_type(quiet.receipts.watch(), Stream[Unread])
    assert_type(quiet.receipts.read_by(message), frozenset[str])
    assert_type(await chat.unread(), Mapping[str, Unread])
    assert_type(quiet.events(ReceiptAdvanced), Stream[ReceiptAdvanced])
    await quiet.timeline.jump("first_unread")
    assert_type(channel.presence, Presence)
    await channel.presence.enter(status="away", data={"desk": 4})
    assert_type(await channel.presence.wait_synced(timeout=10), Mapping[str, Member])
    assert_type(channel.presence.watch(), Stream[PresenceView])
    assert_type(await channel.wait_for(PresenceChanged), PresenceChanged)
    assert_type(await channel.grant("bob", "moderator"), Change)
    assert_type(await (await channel.pin(message)).wait(timeout=5), None)
    assert_type(await channel.roles(), Mapping[str, Role])
    assert_type(await channel.role(), Role | None)
    assert_type(await channel.pins(), tuple[Pin, ...])
    assert_type(chat.channel("news", kind="broadcast", owners=["ada"]), Channel)
    assert_type(channel.topic("billing").events(RoleChanged, PinChanged), Stream[RoleChanged | PinChanged])


async def misuses(chat: Chat, message: Message) -> None:
    """What must be refused."""
    channel = chat.channel("support")
    _ = chatkit.connect("memory://x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    _ = chatkit.connect("memory://x", user="ada", colour="red")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    _ = chatkit.connect(user="ada", require=["flying"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    await channel.send(42)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await channel.send(b"bytes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    channel.events(str)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await channel.history(before="some text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    message.status = "sent"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    await channel.react(message)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

    @channel.on(MessageCreated)  # type: ignore[arg-type]
    def plain(event: MessageCreated) -> None:  # pyright: ignore[reportArgumentType]
        """Not a coroutine function."""

    channel.off(plain)
