"""Whatever the network does, readers get each message once and in order, on each provider (I2, I5, I6)."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest

import chatkit
from chatkit.adapters.memory import Faults, Like
from chatkit.model.envelope import Envelope
from tests.engine.kit import (
    NUMBERED,
    PROFILES,
    C,
    Stage,
    counters,
    engine,
    in_order,
    later,
    reader,
    shown,
    taken,
    texts,
)

if TYPE_CHECKING:
    from chatkit.testing.clock import VirtualClock

ROUGH = Faults(delay=(0.0, 0.1), drop=0.15, duplicate=0.2, reorder=0.2)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("like", NUMBERED)
async def test_a_rough_network_costs_no_message_and_doubles_none(
    clock: VirtualClock, like: Like, seed: int
) -> None:
    """Frames lost, doubled, overtaken: with a log each reader gets each message once (I2, D17, D21)."""
    stage = Stage(clock, like=like)
    stage.hub.network._random = chance = Random(seed)
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        streams = [chat.channel(C).events(chatkit.MessageCreated) for chat in (ada, bob)]
        for chat in (ada, bob):
            await chat.channel(C).attach(timeout=10)
        stage.hub.network.set_faults(ROUGH)
        peer = stage.peer("cleo")
        for number in range(60):
            peer.say(f"{number}")
            await asyncio.sleep(chance.random() * 0.3)
        stage.hub.network.set_faults(Faults())
        heard = [await later(stream, 70) for stream in streams]

        expected = [f"{number}" for number in range(60)]
        for events in heard:
            assert sorted(texts(events), key=int) == expected
            assert in_order(events)
        assert shown(ada) == shown(bob) == expected


@pytest.mark.parametrize("seed", range(4))
async def test_a_rough_network_without_a_log_doubles_and_shuffles_nothing(
    clock: VirtualClock, seed: int
) -> None:
    """Without a log what is dropped is lost; the rest is told once, latecomers as such (D20, D21)."""
    stage = Stage(clock, like="pusher")
    stage.hub.network._random = chance = Random(seed)
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ada.channel(C).attach(timeout=10)
        stage.hub.network.set_faults(ROUGH)
        peer = stage.peer("cleo")
        for number in range(60):
            peer.say(f"{number}")
            await asyncio.sleep(chance.random() * 0.3)
        events = await later(stream, 10)

        assert len(set(texts(events))) == len(events) > 30
        assert in_order(events)
        assert shown(ada) == sorted(texts(events), key=int)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("like", NUMBERED)
async def test_cuts_and_reconnects_cost_no_message_and_double_none(
    clock: VirtualClock, like: Like, seed: int
) -> None:
    """A reader that is cut off again and again gets all, once (I2, I6), own messages among them."""
    stage = Stage(clock, like=like)
    chance = Random(seed)
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ada.channel(C).attach(timeout=10)
        peer = stage.peer("cleo")
        sent = 0
        for turn in range(8):
            stage.cut("ada")
            for _ in range(chance.randrange(4)):
                peer.say(f"{sent}")
                sent += 1
            await asyncio.sleep(chance.random() * 3)
            stage.heal("ada")
            await ada.channel(C).send(f"own {turn}")
            for _ in range(chance.randrange(4)):
                peer.say(f"{sent}")
                sent += 1
                await asyncio.sleep(chance.random() * 1.5)
        events = await later(stream, 80)

        assert sorted(texts(events)) == sorted(
            [*map(str, range(sent)), *(f"own {turn}" for turn in range(8))]
        )
        assert in_order(events)
        assert shown(ada) == stage_texts(stage)
        assert not ada.outbox.depth


def stage_texts(stage: Stage) -> list[str]:
    """Return what the hub's own log holds."""
    kept = stage.hub.log.core.record(C).items
    return [str((Envelope.parse(item.entry.data).body or {})["text"]) for item in kept]


async def test_two_clients_that_hear_in_different_orders_show_the_same(clock: VirtualClock) -> None:
    """The same facts in any order make the same timeline, edits, deletes and reactions included (I5, I7)."""
    for seed in range(6):
        stage = Stage(clock, like="pusher")
        chance = Random(seed)
        peer, other = stage.peer("cleo"), stage.peer("dora")
        with stage.captured() as frames:
            idents = peer.say("one", "two", "three", "four")
            peer.edit(idents[0], "one, edited")
            other.react(idents[1])
            peer.delete(idents[2])
            peer.edit(idents[2], "three, too late")
            peer.edit(idents[0], "one, edited twice")
            other.say("five")
        async with stage.chat("ada") as ada, stage.chat("bob") as bob:
            for chat in (ada, bob):
                await chat.channel(C).attach(timeout=5)
            for user in ("ada", "bob"):
                mixed = [*frames, *chance.sample(frames, 4)]
                chance.shuffle(mixed)
                stage.deliver(*mixed, to=user)
            await asyncio.sleep(1)

            views = [chat.channel(C).timeline.view.messages for chat in (ada, bob)]
            assert shown(ada) == ["one, edited twice", "two", "", "four", "five"]
            assert [(m.text, m.key, m.reactions, m.deleted, m.version) for m in views[0]] == [
                (m.text, m.key, m.reactions, m.deleted, m.version) for m in views[1]
            ]


async def test_of_two_copies_the_lower_stands_on_every_client(clock: VirtualClock) -> None:
    """A message taken twice stands where it was taken first, in whatever order its copies come (D1, D10)."""
    stage = Stage(clock, like="ably")
    peer = stage.peer("cleo")
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        for chat in (ada, bob):
            await chat.channel(C).attach(timeout=5)
        stream = ada.channel(C).events(chatkit.MessageCreated)
        with stage.captured() as frames:
            one = peer.envelope(text="again")
            peer.publish(one)
            peer.say("between")
            await asyncio.sleep(200)  # past the provider's memory
            peer.publish(one)
        first, between, second = frames
        stage.deliver(first, between, second, to="bob")
        stage.deliver(second, between, first, to="ada")
        await asyncio.sleep(1)

        assert shown(ada) == shown(bob) == ["again", "between"]
        assert sorted(texts(await taken(stream))) == ["again", "between"]


async def test_two_users_may_use_the_same_id(stage: Stage) -> None:
    """Who repeats somebody's id swallows nothing: it is another message (D1)."""
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ada.channel(C).attach(timeout=5)
        cleo, dora = stage.peer("cleo"), stage.peer("dora")
        one = cleo.envelope(text="hers")
        cleo.publish(one)
        dora.publish(dora.envelope(text="mine", id=one.id))

        assert texts(await taken(stream)) == ["hers", "mine"]
        assert shown(ada) == ["hers", "mine"]


async def test_a_second_copy_with_another_body_is_counted(clock: VirtualClock) -> None:
    """It is a duplicate whatever it says, and a conflict for the books (D1)."""
    stage = Stage(clock, like="pusher")
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ada.channel(C).attach(timeout=5)
        peer = stage.peer("cleo")
        one = peer.envelope(text="first")
        peer.publish(one, peer.envelope(text="next"))
        peer.publish(peer.envelope(text="second", id=one.id))

        assert texts(await taken(stream)) == ["first", "next"]
        assert shown(ada) == ["first", "next"]
        assert counters(ada)["conflict"] == 1


@pytest.mark.parametrize("like", PROFILES)
async def test_a_stream_begins_with_the_send_that_follows_it(clock: VirtualClock, like: Like) -> None:
    """A stream registered before a send starts no later than its place, though it attaches later (D15)."""
    stage = Stage(clock, like=like)
    peer = stage.peer("cleo")
    peer.say("before")
    async with stage.chat("ada") as ada:
        stage.hub.network.set_faults(Faults(delay=(0.2, 0.2)), "ada")
        stream = ada.channel(C).events(chatkit.MessageCreated)
        delivery = await ada.channel(C).send("mine")
        await delivery.wait(timeout=10)
        peer.say("after")
        events = await later(stream, 5)

        # Without a log nobody hears what was sent before the attach.
        assert texts(events) == (["mine"] if like == "pusher" else ["mine", "after"])
        assert not any(event.late for event in events)
        assert (reader(stream).track(C).sure is None) == (like == "pusher")
        assert engine(ada).caught_up
