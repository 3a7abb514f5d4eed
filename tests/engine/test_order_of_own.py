"""Own messages stand among those of others where the log put them (D21)."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import chatkit
from chatkit.adapters.memory import MemoryConfig, new_hub

if TYPE_CHECKING:
    from chatkit.testing.clock import VirtualClock


async def test_an_acknowledgement_does_not_overtake_what_stands_below_it(clock: VirtualClock) -> None:
    """On a network that reorders nothing no message is marked late, whoever speaks at once (D17, D21)."""
    hub = new_hub("order", clock=clock, random=random.Random(1))
    chats = [
        await chatkit.connect(MemoryConfig(hub=hub), user=user, clock=clock, seed=seed)
        for seed, user in enumerate(("ada", "bob", "cleo"))
    ]
    streams = [chat.channel("c").events(chatkit.MessageCreated) for chat in chats]
    for chat in chats:
        await chat.channel("c").attach(timeout=10)

    async def speak(chat: chatkit.Chat) -> None:
        for number in range(20):
            await chat.channel("c").send(f"{number}")

    await asyncio.gather(*(speak(chat) for chat in chats))
    heard = [[await stream.next(timeout=10) for _ in range(60)] for stream in streams]

    for events in heard:
        keys = [event.message.key for event in events]
        assert keys == sorted(keys, key=lambda key: key or ())
        assert not any(event.late for event in events)
    for chat in chats:
        await chat.aclose()
