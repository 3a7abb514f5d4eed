"""A client that is killed leaves what a dead process leaves: its files, and nothing that runs or waits."""

from __future__ import annotations

import asyncio
import gc
import random
import weakref
from typing import TYPE_CHECKING

import chatkit
from chatkit.adapters.memory import MemoryConfig, new_hub
from chatkit.testing.clock import settle
from chatkit.testing.death import kill
from tests.soak.measure import open_files

if TYPE_CHECKING:
    from pathlib import Path

    from chatkit.testing.clock import VirtualClock


async def test_all_of_a_client_dies(clock: VirtualClock, tmp_path: Path) -> None:
    """Handlers, idle or busy, the log of its URL, and the timers that would keep it (I12)."""
    hub = new_hub(clock=clock, random=random.Random(1))

    async def live_and_die() -> weakref.ref[object]:
        chat = await chatkit.connect(
            MemoryConfig(hub=hub),
            user="ada",
            store=tmp_path / "ada.db",
            log=f"sqlite:///{tmp_path}/log.db",
            clock=clock,
            seed=1,
        )
        channel = chat.channel("support")

        @channel.on(chatkit.MessageCreated)
        async def busy(event: chatkit.MessageCreated) -> None:
            await asyncio.sleep(3600)

        @channel.on(chatkit.MessageDeleted)
        async def idle(event: chatkit.MessageDeleted) -> None:
            raise AssertionError("nothing is deleted")

        await (await channel.send("Hello")).wait("sent", timeout=5)
        await settle()
        hub.network.cut("ada")  # it waits for its network
        await asyncio.sleep(1)
        await kill(chat)
        return weakref.ref(chat.engine)

    gc.disable()  # what goes is let go of, not only found
    try:
        engine = await live_and_die()
    finally:
        gc.enable()
    await settle()

    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert not [name for name in open_files() if "log.db" in name]
    gc.collect()
    assert engine() is None
