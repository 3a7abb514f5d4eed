"""A message and its changes count alike by whichever way each is known."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

import chatkit
from chatkit.adapters.memory import MemoryConfig
from chatkit.adapters.memory.hubs import new_hub
from chatkit.logs.memory import MemoryLog
from chatkit.testing.clock import VirtualClock


@pytest.mark.parametrize("who", ["ada", "bob"])
async def test_a_live_change_of_a_message_from_the_log_is_shown(clock: VirtualClock, who: str) -> None:
    """Beside a provider with a log of its own an edit, delete or reaction is as strong as its message,
    though the one was read and the other came live or by its acknowledgement (D2, I5).
    """
    hub, log = new_hub("crash", clock=clock, random=Random(1)), MemoryLog(clock, Random(2))

    def connect(user: str) -> chatkit.Chat:
        config = MemoryConfig(hub=hub, like="pusher")
        return chatkit.connect(config, user=user, store=":memory:", log=log, clock=clock, seed=3)

    async with connect(who) as writer:
        for text in ("to edit", "to delete", "to like"):
            await writer.channel("c").send(text)
        await writer.outbox.flush(timeout=10)

    async with connect("ada") as ada, connect("bob") as bob:
        for chat in (ada, bob):
            await chat.channel("c").attach()
        await asyncio.sleep(5)  # read from the log
        own = (ada if who == "ada" else bob).channel("c")
        edited, deleted, liked = own.timeline.view.messages
        await own.edit(edited, "edited")
        await own.delete(deleted)
        await own.react(liked, "👍")
        await asyncio.sleep(5)

        for chat in (ada, bob):
            messages = chat.channel("c").timeline.view.messages
            assert [message.text for message in messages] == ["edited", "", "to like"]
            assert messages[2].reactions == {"👍": frozenset({who})}


@pytest.mark.parametrize("attached", [True, False])
async def test_what_wait_returns_is_attested_at_once(clock: VirtualClock, attached: bool) -> None:
    """As it is shown a moment later, when the acknowledgement is folded in (D2)."""
    hub = new_hub("at-once", clock=clock, random=Random(1))
    config = MemoryConfig(hub=hub, like="pusher")
    async with chatkit.connect(config, user="ada", store=":memory:", clock=clock, seed=3) as ada:
        if attached:
            await ada.channel("c").attach(timeout=10)
        delivery = await ada.channel("c").send("hello")

        message = await delivery.wait(timeout=10)

        await asyncio.sleep(1)
        assert message.attested == delivery.message.attested == "backend"
