"""Receipts: what is read, by whom, and what is unread (D25, I9)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import chatkit

if TYPE_CHECKING:
    from pathlib import Path

    from chatkit.testing.clock import VirtualClock
    from tests.api.kit import Stage

LOGGED = ("memory", "supabase")
PROFILES = ("memory", "supabase", "ably", "pusher")


def like(profile: str, **fields: Any) -> dict[str, Any]:
    """Return options of a client of one profile."""
    return {"config": {"like": profile, **fields}}


async def say(chat: chatkit.Chat, *texts: str, **options: Any) -> list[chatkit.Message]:
    """Send messages, and return them as sent."""
    return [await (await chat.channel("room").send(text, **options)).wait(timeout=30) for text in texts]


async def attach(*chats: chatkit.Chat, **options: Any) -> None:
    """Attach the channel of each, and let it catch up."""
    for chat in chats:
        await chat.channel("room", **options).attach(timeout=10)
    await asyncio.sleep(3)


def room(chat: chatkit.Chat) -> chatkit.Receipts:
    """Return a client's receipts."""
    return chat.channel("room").receipts


def count(found: chatkit.Unread) -> tuple[int, int, bool]:
    """Return what is counted."""
    return found.messages, found.mentions, found.exact


@pytest.mark.parametrize("profile", PROFILES)
async def test_marks_reach_the_others(stage: Stage, profile: str) -> None:
    """D25: who has read is told, on every kind of provider; the author is not among them."""
    async with stage.chat("ada", **like(profile)) as ada, stage.chat("bob", **like(profile)) as bob:
        advanced = ada.channel("room").events(chatkit.ReceiptAdvanced)
        await attach(ada, bob)
        first, second = await say(ada, "one", "two")
        await asyncio.sleep(1)
        await room(bob).mark_read(first.message_id)
        event = await advanced.next(timeout=5)

        assert (event.user, event.kind, event.message_id, event.own) == (
            "bob",
            "read",
            first.message_id,
            False,
        )
        assert room(ada).read_by(first) == {"bob"}
        assert room(ada).delivered_to(first) == {"bob"}
        assert room(ada).read_by(second) == frozenset()
        assert room(bob).read_by(first) == {"bob"}
        assert room(bob).unread.messages == 1


@pytest.mark.parametrize("profile", PROFILES)
async def test_unread_counts_follow(stage: Stage, profile: str) -> None:
    """Messages of others count, mentions of them apart; `exact` only where a log keeps marks."""
    exact = profile in LOGGED
    async with stage.chat("ada", **like(profile)) as ada, stage.chat("bob", **like(profile)) as bob:
        views = room(bob).watch()
        await attach(ada, bob)
        await say(ada, "one")
        await say(ada, "two", mentions=["bob"])
        (last,) = await say(ada, "three", mentions=["*"])
        await say(bob, "mine")
        await asyncio.sleep(3)
        seen = room(bob).unread
        assert count(seen) == (3, 2, exact)
        assert seen.first is not None
        await room(bob).mark_read(last)
        assert count(room(bob).unread) == (0, 0, exact)
        assert room(bob).unread.first is None
        assert (await views.next(timeout=5)).messages == 0
        await say(ada, "four")
        await asyncio.sleep(1)
        assert count(room(bob).unread) == (1, 0, exact)
        await room(bob).mark_read()
        assert room(bob).unread.messages == 0
        assert (await bob.unread())["room"] == chatkit.Unread(messages=0, mentions=0, exact=exact)
    assert [view.messages async for view in views][-1] == 0


async def test_what_is_deleted_or_in_a_thread_is_not_counted(stage: Stage) -> None:
    """As `Log.unread` counts: deleted messages are gone, edits count with whom they mention."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await attach(ada, bob)
        first, second, third = await say(ada, "one", "two", "three")
        await (await ada.channel("room").delete(first)).wait(timeout=5)
        await (await ada.channel("room").edit(second, "zwei")).wait(timeout=5)
        await asyncio.sleep(2)
        assert room(bob).unread.first == second.message_id
        assert count(room(bob).unread) == (2, 0, True)
        await room(bob).mark_unread(third)
        assert count(room(bob).unread) == (2, 0, True)


async def test_a_mark_never_goes_back_and_marking_unread_is_private(stage: Stage) -> None:
    """D25, I9: the public mark only advances; the private one moves the count of the user's devices alone."""
    async with (
        stage.chat("ada") as ada,
        stage.chat("bob") as bob,
        stage.chat("bob") as phone,
    ):
        await attach(ada, bob, phone)
        messages = await say(ada, "one", "two", "three")
        await asyncio.sleep(1)
        await room(bob).mark_read(messages[2])
        await room(bob).mark_read(messages[0])
        _ = room(phone).unread
        await asyncio.sleep(5)
        assert room(ada).read_by(messages[2]) == {"bob"}
        assert count(room(phone).unread) == (0, 0, True)
        await room(bob).mark_unread(messages[1])
        assert room(bob).unread.first == messages[1].message_id
        await asyncio.sleep(5)
        assert count(room(phone).unread) == (2, 0, True)
        assert room(ada).read_by(messages[2]) == {"bob"}
        await room(phone).mark_read()
        await asyncio.sleep(5)
        assert count(room(bob).unread) == (0, 0, True)


@pytest.mark.parametrize("profile", PROFILES)
async def test_a_second_device_follows(stage: Stage, profile: str) -> None:
    """One user's devices share a mark, also the one that was away when it moved (D25)."""
    async with (
        stage.chat("ada", **like(profile)) as ada,
        stage.chat("bob", **like(profile)) as bob,
        stage.chat("bob", **like(profile)) as phone,
    ):
        await attach(ada, bob, phone)
        one, two = await say(ada, "one", "two")
        await asyncio.sleep(1)
        await room(bob).mark_read(one)
        _ = room(phone).unread
        await asyncio.sleep(5)
        assert room(phone).unread.messages == 1
        await phone.channel("room").detach()
        await room(bob).mark_read(two)
        await asyncio.sleep(5)
        assert room(phone).unread.messages == 1
        await attach(phone)
        await room(phone).mark_read(one)
        await asyncio.sleep(10)
        assert room(phone).unread.messages == 0


@pytest.mark.parametrize("profile", PROFILES)
async def test_counts_are_there_after_a_restart_offline(stage: Stage, profile: str, tmp_path: Path) -> None:
    """D25: from the store, without the network; `exact` says that nobody could be asked."""
    options: dict[str, Any] = {"store": str(tmp_path / "bob.db")}
    async with stage.chat("ada", **like(profile)) as ada:
        async with stage.chat("bob", **like(profile), **options) as bob:
            await attach(ada, bob)
            messages = await say(ada, "one", "two", "three", mentions=["bob"])
            await asyncio.sleep(1)
            await room(bob).mark_read(messages[0])
            await asyncio.sleep(3)
        async with stage.chat("bob", **like(profile, offline=True), **options, drain=0) as bob:
            bob.channel("room")
            found = (await bob.unread())["room"]
            assert (count(found), found.first) == ((2, 2, False), messages[1].message_id)
            assert room(bob).unread == found
            await room(bob).mark_read(messages[1])
            assert room(bob).unread.messages == 1
        async with stage.chat("bob", **like(profile), **options) as bob:
            await attach(bob)
            await asyncio.sleep(3)
            assert count(room(bob).unread) == (1, 1, profile in LOGGED)
            _ = room(ada).read_by(messages[1])
            await asyncio.sleep(5)
            assert room(ada).read_by(messages[1]) == {"bob"}


async def test_what_is_not_loaded_is_counted_by_the_log(stage: Stage) -> None:
    """Nothing of the history is read for it; `first_unread` shows where to begin."""
    async with stage.chat("ada") as ada:
        messages = await say(ada, *(f"m{n}" for n in range(120)))
        async with stage.chat("bob") as bob:
            assert await bob.unread() == {}
            bob.channel("room", keep=60)
            assert count((await bob.unread())["room"]) == (0, 0, False)  # nobody was asked yet
            await bob.connection.wait(timeout=5)
            assert count((await bob.unread())["room"]) == (120, 0, True)
            assert len(bob.channel("room", keep=60).timeline.view.messages) == 0
            await room_of(bob, 60).mark_read(messages[9])
            await bob.channel("room", keep=60).attach(timeout=5)
            await asyncio.sleep(3)
            receipts, timeline = room_of(bob, 60), bob.channel("room", keep=60).timeline
            assert receipts.unread.messages == 110
            await asyncio.sleep(3)
            found = receipts.unread
            assert (count(found), found.first) == ((110, 0, True), messages[10].message_id)
            await timeline.jump("first_unread")
            assert messages[10].message_id in [m.message_id for m in timeline.view.messages]
            await timeline.jump("first_unread")
            await say(ada, "more")
            await asyncio.sleep(0.5)
            assert receipts.unread.exact is False
            await asyncio.sleep(5)
            assert count(receipts.unread) == (111, 0, True)
            await timeline.jump("newest")
            await receipts.mark_read()
            assert count(receipts.unread) == (0, 0, True)
            await timeline.jump("first_unread")
            await timeline.jump(messages[3])
            assert [timeline.view.has_newer] == [True]
            await timeline.jump("first_unread")
            assert [timeline.view.has_newer] == [False]


def room_of(chat: chatkit.Chat, keep: int) -> chatkit.Receipts:
    """Return the receipts of a channel that keeps so many."""
    return chat.channel("room", keep=keep).receipts


async def test_marks_work_offline_and_reconcile(stage: Stage) -> None:
    """Two devices read apart; the further mark stands for both when they meet (I9)."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob, stage.chat("bob") as phone:
        await attach(ada, bob, phone)
        messages = await say(ada, "one", "two", "three")
        await asyncio.sleep(1)
        stage.hub.network.cut("bob")
        await asyncio.sleep(1)
        await room(bob).mark_read(messages[2])
        await room(phone).mark_read(messages[0])
        assert count(room(bob).unread) == (0, 0, False)
        await asyncio.sleep(10)
        assert room(ada).read_by(messages[0]) == frozenset()
        stage.hub.network.heal("bob")
        await asyncio.sleep(60)
        assert count(room(bob).unread) == count(room(phone).unread) == (0, 0, True)
        _ = room(ada).read_by(messages[2])
        await asyncio.sleep(5)
        assert room(ada).read_by(messages[2]) == {"bob"}


async def test_off_tells_nobody(stage: Stage) -> None:
    """`receipts="off"`: what is read is counted on this device; nothing is told, and nothing shown."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        bob.channel("room", receipts="off")
        await ada.channel("room").attach(timeout=5)
        off = bob.channel("room", receipts="off")
        await off.attach(timeout=5)
        (message,) = await say(ada, "one")
        await room(ada).mark_read()
        await asyncio.sleep(3)
        assert off.receipts.unread.messages == 1
        await off.receipts.mark_read()
        await asyncio.sleep(10)
        assert count(off.receipts.unread) == (0, 0, True)
        assert count((await bob.unread())["room"]) == (0, 0, True)
        _ = room(ada).read_by(message)
        await asyncio.sleep(5)
        assert room(ada).read_by(message) == frozenset()
        assert off.receipts.read_by(message) == frozenset()


@pytest.mark.parametrize("profile", PROFILES)
async def test_delivered_marks_follow_by_themselves(stage: Stage, profile: str) -> None:
    """`receipts="read+delivered"`: what has arrived is told, though nobody read it."""
    async with stage.chat("ada", **like(profile)) as ada, stage.chat("bob", **like(profile)) as bob:
        await attach(ada)
        await attach(bob, receipts="read+delivered")
        (message,) = await say(ada, "one")
        _ = room(ada).delivered_to(message)
        await asyncio.sleep(5)
        assert room(ada).delivered_to(message) == {"bob"}
        assert room(ada).read_by(message) == frozenset()


@pytest.mark.parametrize("profile", PROFILES)
async def test_waiting_until_a_message_has_arrived(stage: Stage, profile: str) -> None:
    """`wait("delivered")`: until a device of somebody else has it; a reply is there when the channel is."""
    async with stage.chat("ada", **like(profile)) as ada, stage.chat("bob", **like(profile)) as bob:
        await attach(ada)
        delivery = await ada.channel("room").send("one")
        with pytest.raises(chatkit.WaitTimeout, match="nobody has it within"):
            await delivery.wait("delivered", timeout=40)
        await attach(bob, receipts="read+delivered")
        second = await ada.channel("room").send("two")
        message = await second.wait("delivered", timeout=30)
        assert room(ada).delivered_to(message) == {"bob"}
        reply = await ada.channel("room").thread(message).send("three")
        _ = await reply.wait("delivered", timeout=30)
        assert ada.channel("room").thread(message).receipts.delivered_to(reply) == {"bob"}


async def test_waiting_for_an_arrival_ends_with_the_client(stage: Stage) -> None:
    """Closed, or failed for good: the reason is raised at once, as by every wait."""
    async with stage.chat("ada") as ada:
        await attach(ada)
        waiting = asyncio.ensure_future((await ada.channel("room").send("one")).wait("delivered"))
        await asyncio.sleep(1)
    with pytest.raises(chatkit.StateError, match="closed"):
        await waiting
    async with stage.chat("ada") as ada:
        await attach(ada)
        waiting = asyncio.ensure_future((await ada.channel("room").send("one")).wait("delivered"))
        await asyncio.sleep(1)
        stage.hub.network.refuse("ada", chatkit.AuthenticationError("the account is gone"))
        stage.hub.network.cut("ada")
        stage.hub.network.heal("ada")
        with pytest.raises(chatkit.AuthenticationError):
            await waiting


@pytest.mark.parametrize("profile", PROFILES)
async def test_receipts_of_other_users_are_theirs(stage: Stage, profile: str) -> None:
    """`as_user`: marks and counts of whom the backend speaks for (D25)."""
    async with stage.chat("shop", **like(profile)) as shop, stage.chat("ada", **like(profile)) as ada:
        bob = shop.as_user("bob")
        await attach(ada, bob, shop)
        (message,) = await say(ada, "one", mentions=["bob"])
        mine = bob.channel("room").events(chatkit.ReceiptAdvanced)
        await asyncio.sleep(2)
        assert (room(bob).unread.mentions, room(shop).unread.mentions) == (1, 0)
        await room(bob).mark_read()
        assert (room(bob).unread.messages, room(shop).unread.messages) == (0, 1)
        assert (await bob.unread())["room"].messages == 0
        event = await mine.next(timeout=10)
        assert (event.user, event.own) == ("bob", True)
        assert room(shop.as_user("bob")) is room(bob)
        with pytest.raises(chatkit.StateError):
            shop.as_user("bob").channel("room", receipts="off")
        if profile in LOGGED:
            await asyncio.sleep(5)
            assert room(ada).read_by(message) == {"bob"}


async def test_what_cannot_be_marked_is_refused(stage: Stage, clock: VirtualClock) -> None:
    """Each says what to do instead, and names channel and message."""
    async with stage.chat("ada") as ada:
        with pytest.raises(chatkit.ConfigError, match="receipts is one of"):
            ada.channel("room", receipts="loud")  # type: ignore[arg-type]  # that is the point
        receipts = room(ada)
        with pytest.raises(chatkit.StateError):
            ada.channel("room", receipts="off")
        await receipts.mark_read()
        assert count(receipts.unread) == (0, 0, False)
        with pytest.raises(chatkit.MessageNotFound):
            receipts.read_by("0" * 36)
        with pytest.raises(chatkit.MessageNotFound):
            await receipts.mark_read("00000000-0000-7000-8000-000000000000")
        other = await (await ada.channel("other").send("Hello")).wait(timeout=5)
        with pytest.raises(chatkit.MessageNotFound):
            await receipts.mark_read(other)
        with pytest.raises(chatkit.MessageNotFound):
            receipts.read_by(other)
        stage.hub.network.cut("ada")
        queued = await ada.channel("room").send("later")
        assert receipts.read_by(queued) == frozenset()
        with pytest.raises(chatkit.StateError, match="no place yet"):
            await receipts.mark_unread(queued)
        await ada.outbox.entries()
        await queued.discard()
    with pytest.raises(chatkit.StateError):
        await receipts.mark_read()


async def test_many_clients_show_the_same_marks(stage: Stage) -> None:
    """Convergence: whatever order marks are made in, all see the furthest of each (I5, I9)."""
    users = ("ada", "bob", "cleo", "dan")
    async with (
        stage.chat("ada") as ada,
        stage.chat("bob") as bob,
        stage.chat("cleo") as cleo,
        stage.chat("dan") as dan,
    ):
        chats = (ada, bob, cleo, dan)
        await attach(*chats)
        sent = await say(ada, *(f"m{n}" for n in range(8)))
        await asyncio.sleep(1)
        for step in (5, 2, 7, 0, 3):
            for number, chat in enumerate(chats):
                await room(chat).mark_read(sent[(step + number) % 8])
        await asyncio.sleep(20)
        for message in sent:
            seen = {room(chat).read_by(message.message_id) for chat in chats}
            assert len(seen) == 1
        assert room(ada).read_by(sent[6]) == set(users) - {"ada"}


@pytest.mark.parametrize("profile", ["memory", "ably", "pusher"])
async def test_a_log_of_ones_own_keeps_the_marks(stage: Stage, profile: str, tmp_path: Path) -> None:
    """Beside any provider: exact counts, and marks that reach who was away (D24, D25)."""
    options: dict[str, Any] = {"log": f"sqlite:///{tmp_path / 'log.db'}", **like(profile)}
    async with stage.chat("ada", **options) as ada, stage.chat("bob", **options) as bob:
        await attach(ada)
        (message,) = await say(ada, "one", mentions=["bob"])
        await attach(bob)
        assert count(room(bob).unread) == (1, 1, True)
        await ada.channel("room").detach()
        await room(bob).mark_read()
        await asyncio.sleep(5)
        await attach(ada)
        assert room(ada).read_by(message) == {"bob"}
        assert ada.capabilities.support("receipts") == "emulated"


async def test_a_message_that_was_queued_when_it_was_taken_is_found(stage: Stage) -> None:
    """A value that a program holds does not change, what it names does."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await attach(ada, bob)
        delivery = await ada.channel("room").send("one")
        queued = delivery.message
        assert queued.key is None
        await delivery.wait(timeout=5)
        await asyncio.sleep(1)
        await room(bob).mark_read()
        await asyncio.sleep(3)
        assert room(ada).read_by(queued) == room(ada).read_by(delivery) == {"bob"}
