"""Topics: a label on each message, and who hears one of them alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import chatkit

if TYPE_CHECKING:
    from tests.api.kit import Stage

PROFILES = ("memory", "supabase", "ably", "pusher")


def room(chat: chatkit.Chat) -> chatkit.Channel:
    """Return a channel of topics."""
    return chat.channel("room", kind="topic")


async def say(
    place: chatkit.Channel | chatkit.Topic | chatkit.Thread, text: str, **options: Any
) -> chatkit.Message:
    """Send a message, and return it as sent."""
    return await (await place.send(text, **options)).wait(timeout=30)


async def chunks(*texts: str) -> Any:
    for text in texts:
        yield text


async def test_a_channel_of_topics_takes_none_without(stage: Stage) -> None:
    """`InvalidMessage` before anything is queued; in any other channel a topic may be given."""
    async with stage.chat("ada") as ada:
        for refused in (room(ada).send("which?"), room(ada).send_stream(chunks("a"))):
            with pytest.raises(chatkit.InvalidMessage, match="topic") as missing:
                await refused
            assert missing.value.channel == "room"
        assert ada.outbox.depth == 0
        message = await say(room(ada), "this", topic="billing")
        assert message.topic == "billing"
        grown = await (await room(ada).send_stream(chunks("a", "b"), topic="billing")).wait(timeout=10)
        assert grown.topic == "billing"
        assert (await (await room(ada).forward(message)).wait(timeout=10)).topic == "billing"
        assert (await say(ada.channel("hall"), "any")).topic is None
        with pytest.raises(chatkit.InvalidMessage, match="topic"):
            room(ada).topic("")
        with pytest.raises(chatkit.InvalidMessage, match="topic"):
            room(ada).topic("x" * 65)


@pytest.mark.parametrize("profile", PROFILES)
async def test_who_hears_a_topic_hears_it_alone(stage: Stage, profile: str) -> None:
    """Messages, changes and reactions of it; what others say takes no room in the stream."""
    config = {"like": profile}
    async with stage.chat("ada", config=config) as ada, stage.chat("bob", config=config) as bob:
        billing = room(bob).topic("billing")
        stream = billing.events(buffer=15)
        heard: list[str] = []

        @billing.on(chatkit.MessageCreated)
        async def note(event: chatkit.MessageCreated) -> None:
            heard.append(event.message.text)

        for chat in (ada, bob):
            await room(chat).attach(timeout=10)
        await asyncio.sleep(3)
        mine = await say(room(ada).topic("billing"), "an invoice")
        for number in range(20):
            await say(room(ada), f"noise {number}", topic="noise")
        await (await room(ada).edit(mine, "an invoice!")).wait(timeout=10)
        await (await room(bob).react(mine.message_id, "👍")).wait(timeout=10)
        noise = await say(room(ada).topic("noise"), "more")
        await (await room(ada).react(noise, "👎")).wait(timeout=10)
        await asyncio.sleep(2)
        names = [type(await stream.next(timeout=1)).__name__]
        while names[-1] != "ReactionChanged":
            names.append(type(await stream.next(timeout=1)).__name__)
        assert [name for name in names if name not in {"ChannelChanged", "DeliveryChanged"}] == [
            "MessageCreated",
            "MessageUpdated",
            "ReactionChanged",
        ]
        assert heard == ["an invoice"]
        billing.off(note)
        assert [message.text for message in billing.messages] == ["an invoice!"]
        assert billing.messages[0].reactions == {"👍": frozenset({"bob"})}
        assert (billing.name, repr(billing)) == ("billing", "Topic('room', 'billing')")
        await stream.aclose()
        rest = [event async for event in stream]
        assert {type(event) for event in rest} <= {chatkit.DeliveryChanged}  # of the reaction


async def test_my_own_deliveries_are_told_where_they_go(stage: Stage) -> None:
    """`DeliveryChanged` of a message of the topic, and of no other."""
    async with stage.chat("ada") as ada:
        stream = room(ada).topic("billing").events(chatkit.DeliveryChanged)
        await say(room(ada).topic("noise"), "noise")
        await say(room(ada).topic("billing"), "an invoice")
        assert (await stream.next(timeout=5)).delivery.message.text == "an invoice"
        await asyncio.sleep(1)
        told = [await stream.next(timeout=1)]
        assert {event.delivery.message.text for event in told} == {"an invoice"}


@pytest.mark.parametrize("profile", ["memory", "ably"])
async def test_a_topic_is_read_page_by_page(stage: Stage, profile: str) -> None:
    """History, scans, searches and replays hold it alone, in either direction, each message once (I14)."""
    async with stage.chat("ada", config={"like": profile}) as ada:
        billing = room(ada).topic("billing")
        texts = [f"invoice {number}" for number in range(7)]
        for text in texts:
            await say(billing, text)
            await say(room(ada), "noise", topic="noise")
        newest = await billing.history(limit=3)
        assert [message.text for message in newest.items] == texts[:3:-1]
        older = await billing.history(before=newest.next, limit=10)
        assert [message.text for message in older.items] == texts[3::-1]
        assert [message.text async for message in billing.scan()] == texts
        found = billing.events(chatkit.MessageCreated, since=chatkit.START)
        assert [(await found.next(timeout=5)).message.text for _ in texts] == texts
        if profile == "memory":
            assert [message.text for message in (await billing.search("invoice", limit=2)).items] == texts[
                :4:-1
            ]
            assert (await billing.search("noise", limit=2)).items == ()


async def test_replies_belong_to_the_topic_of_their_message(stage: Stage) -> None:
    """A thread needs no topic of its own; where its message is loaded its replies have that one."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await room(ada).attach(timeout=5)
        root = await say(room(ada).topic("billing"), "an invoice")
        await asyncio.sleep(1)
        assert (await say(room(ada).thread(root), "paid")).topic == "billing"
        assert (await say(room(bob).thread(root), "thanks")).topic is None


async def test_a_topic_works_for_whoever_asks(stage: Stage) -> None:
    """`as_user`: own messages are that user's."""
    async with stage.chat("app") as app:
        await room(app).attach(timeout=5)
        bob = app.as_user("bob")
        await say(room(bob).topic("billing"), "mine")
        await asyncio.sleep(1)
        assert [message.own for message in room(bob).topic("billing").messages] == [True]
        assert [message.own for message in room(app).topic("billing").messages] == [False]
