"""`World`: stories with cuts, lost answers and crashes, on virtual time; and what it says when used wrongly."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import chatkit
from chatkit.adapters.memory import NONE, Faults
from chatkit.errors import StateError
from chatkit.model.cursor import decode_cursor
from chatkit.testing import World

if TYPE_CHECKING:
    from chatkit.adapters.memory import Like


def answering(chat: chatkit.Chat) -> None:
    """A small helper: answers prices and dice, under keys of its own, so that no question gets two answers."""
    support = chat.channel("support")

    @support.on(chatkit.MessageCreated)
    async def answer(event: chatkit.MessageCreated) -> None:
        if not event.own:
            text = "See /pricing" if "price" in event.message.text else "You rolled 4 and 2"
            await support.send(text, key=f"answer {event.message.message_id}")


@pytest.mark.parametrize("like", ["memory", "supabase", "ably"])
async def test_an_answer_survives_a_cut_that_nobody_was_told_of(like: Like) -> None:
    """Liveness, backoff, backfill and the answer, in two virtual minutes (I6, I11)."""
    async with World(like=like) as world:
        _ = await world.connect("helper", start=answering)
        ada = await world.connect("ada")
        support = ada.channel("support")
        await support.attach()
        world.cut("helper", half_open=True)
        await support.send("what is the price?")
        await world.advance(10)
        assert world.texts("support") == ["what is the price?"]
        world.heal("helper")
        await world.advance(120)
        assert world.texts("support")[-1] == "See /pricing"
        assert [m.text for m in support.timeline.view.messages][-1] == "See /pricing"
        world.check()


@pytest.mark.parametrize(
    ("like", "log"),
    [("memory", False), ("supabase", False), ("ably", False), ("pusher", False), ("pusher", True)],
)
async def test_a_lost_ack_and_a_crash_double_nothing(like: Like, *, log: bool) -> None:
    """The helper's answer is written, its acknowledgement lost, and the helper killed: it goes out once (I2, I3)."""
    async with World(like=like, log=log) as world:
        _ = await world.connect("helper", start=answering)
        ada = await world.connect("ada")
        await world.advance(1)
        world.lose_ack("helper")
        await ada.channel("support").send("!roll 2")
        await world.settle()
        _ = await world.crash("helper")
        await world.advance(61)
        if like == "pusher" and not log:  # nobody remembers, so nobody can say that it is there already (D10)
            assert set(world.texts("support")) == {"!roll 2", "You rolled 4 and 2"}
        else:
            assert world.texts("support") == ["!roll 2", "You rolled 4 and 2"]
        world.check()


async def test_the_log_holds_messages_as_they_are_now() -> None:
    """`log` and `texts` show what the provider has: edits folded in, deleted texts gone."""
    async with World() as world:
        ada = await world.connect("ada")
        room = ada.channel("room")
        first, second = await room.send("first"), await room.send("second")
        await world.settle()
        await room.edit(first, "first, mended")
        await room.delete(second)
        await world.settle()
        assert world.texts("room") == ["first, mended"]
        assert [(m.sender.user, m.version, m.deleted) for m in world.log("room")] == [
            ("ada", 2, False),
            ("ada", 2, True),
        ]


async def test_devices_of_a_user_have_networks_and_stores_of_their_own() -> None:
    """A cut of one device leaves the other alone; a crash of the user is one of both."""
    async with World() as world:
        desk = await world.connect("ada", device="desk")
        _ = await world.connect("ada", device="phone")
        world.cut("ada/phone")
        await world.settle()
        assert desk.connection.state == "connected"
        assert world.chat("ada/phone").connection.state != "connected"
        world.heal("ada/phone")
        assert await world.crash("ada") is world.chat("ada/desk")
        await world.advance(61)
        assert world.chat("ada/phone").connection.state == "connected"
        world.check()


async def test_what_is_queued_outlives_its_client() -> None:
    """A message accepted without a network is sent by the next client of the device (I3)."""
    async with World() as world:
        ada = await world.connect("ada")
        world.cut("ada")
        await ada.channel("room").send("hello")
        await world.kill("ada")
        world.heal("ada")
        with pytest.raises(StateError, match="no open client of ada"):
            _ = world.chat("ada")
        _ = await world.connect("ada")
        await world.advance(61)
        assert world.texts("room") == ["hello"]
        world.check()


async def test_a_device_comes_back_as_it_was_but_for_what_is_said_anew() -> None:
    """Options and start of the first `connect` hold for the next one, too; each may be given again."""
    async with World() as world:
        asked = await world.connect("helper", start=answering, drain=0.5)
        await world.kill("helper")
        again = await world.connect("helper")
        await world.kill("helper")
        third = await world.connect("helper", start=lambda _chat: None)
        assert asked is not again
        assert [bool(chat.channels) for chat in (asked, again, third)] == [True, True, False]


async def test_what_a_restored_log_took_is_not_taken_for_lost() -> None:
    """D18: the log took it in its new life, before the client had noticed that there is one; it starts again later."""
    async with World(like="supabase") as world:
        ada, bob = await world.connect("ada"), await world.connect("bob")
        room = ada.channel("room")
        await room.attach(timeout=10)
        await room.send("one")
        await world.advance(1)
        backup = world.core.backup()
        await room.send("two")
        await world.advance(1)
        world.hub.network.set_faults(Faults(drop=1.0), "ada")  # it hears nothing of what follows
        world.core.restore(backup)
        await bob.channel("room").send("three")
        await bob.channel("room").send("four")
        await world.settle()
        five = await (await room.send("five")).wait(timeout=1)
        assert five.cursor is not None
        assert decode_cursor(five.cursor).origin == world.core.log_id
        await world.advance(1)
        world.hub.network.set_faults(NONE, "ada")
        await world.advance(40)
        again = await world.crash("ada")
        await again.channel("room").attach(timeout=10)
        await world.advance(60)
        shown = [(m.text, "orphaned" in m.flags) for m in again.channel("room").timeline.view.messages]
        assert sorted(shown) == sorted(
            [("one", False), ("two", True), ("three", False), ("four", False), ("five", False)]
        )


async def test_an_adapter_of_the_world_takes_a_client_of_ones_own() -> None:
    """`adapter` is for code that makes its own client."""
    async with World() as world:
        source = world.adapter("cleo")
        async with chatkit.connect(source, user="cleo", store=":memory:", clock=world.clock) as cleo:
            await cleo.channel("room").send("by hand")
            await world.settle()
        assert world.texts("room") == ["by hand"]


async def test_a_world_names_what_is_used_wrongly() -> None:
    """Each misuse says what to do instead."""
    async with World() as world:
        _ = await world.connect("ada")
        with pytest.raises(StateError, match="a client of ada already"):
            _ = await world.connect("ada")
        with pytest.raises(StateError, match="knows no bob"):
            _ = await world.crash("bob")
        await world.close("ada")
        with pytest.raises(StateError, match="no open client of ada"):
            _ = world.chat("ada")
        with pytest.raises(StateError, match="has a store already"):
            _ = await world.connect("ada", store=":memory:")


@pytest.mark.realtime
async def test_a_world_refuses_another_event_loop() -> None:
    """On a loop with time of its own nothing in it would be true."""
    world = World()
    with pytest.raises(StateError, match="does not drive this event loop"):
        _ = await world.connect("ada")
    await world.aclose()


async def test_a_broken_promise_is_named() -> None:
    """`check` raises with the invariant, the channel and the client; here the provider loses what it took."""
    async with World() as world:
        ada = await world.connect("ada")
        bob = await world.connect("bob")
        await bob.channel("room").attach()
        await ada.channel("room").send("hello")
        await world.advance(61)
        world.check()
        told = world.history.records
        accepted = next(one for one in told if type(one).__name__ == "Accepted")
        told.remove(accepted)
        with pytest.raises(
            AssertionError, match=r"I1 room ada \(client 1\): create .* the provider never had it"
        ):
            world.check()


def test_a_world_runs_a_story_by_itself() -> None:
    """Outside of pytest `run` plays a story on the world's time."""

    async def story(world: World) -> float:
        ada = await world.connect("ada")
        await ada.channel("room").send("hello")
        await asyncio.sleep(3600)
        return world.clock.monotonic()

    world = World()
    assert world.run(story(world)) == 3600.0
    assert world.texts("room") == ["hello"]
