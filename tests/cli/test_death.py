"""A simulated death leaves what the death of a process leaves, and nothing else."""

from __future__ import annotations

import asyncio
import gc
import random
import sqlite3
from typing import TYPE_CHECKING

import pytest

import chatkit
from chatkit.adapters.memory import Hub, MemoryConfig, new_hub
from chatkit.testing.death import kill

if TYPE_CHECKING:
    from pathlib import Path

    from chatkit.testing.clock import VirtualClock


@pytest.fixture
def hub(clock: VirtualClock) -> Hub:
    """A hub of the test's own."""
    return new_hub("death", clock=clock, random=random.Random(1))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the store lies."""
    return tmp_path / "ada.db"


def client(hub: Hub, file: Path, clock: VirtualClock, *, seed: int) -> chatkit.Chat:
    return chatkit.connect(MemoryConfig(hub=hub), user="ada", store=file, clock=clock, seed=seed)


async def test_what_was_queued_is_sent_by_the_next_life_under_the_same_ids(
    hub: Hub, file: Path, clock: VirtualClock
) -> None:
    """I3: a death at any point re-sends under the same id."""
    hub.network.cut("ada")
    chat = await client(hub, file, clock, seed=1)
    ids = [(await chat.channel("c").send(f"{number}")).message_id for number in range(3)]

    await kill(chat)
    hub.network.heal("ada")
    async with client(hub, file, clock, seed=2) as again:
        report = await again.outbox.flush(timeout=30)

    assert (report.sent, report.queued) == (3, 0)
    assert [item.ident.id for item in hub.log.core.record("c").items] == ids


async def test_the_dead_write_nothing_and_come_back_to_nothing(
    hub: Hub, file: Path, clock: VirtualClock
) -> None:
    """Timers of the dead client fire into the void: no session, no entry, and the file knows no clean end."""
    hub.network.cut("ada")
    chat = await client(hub, file, clock, seed=1)
    _ = await chat.channel("c").send("left behind")

    await kill(chat)
    hub.network.heal("ada")
    await asyncio.sleep(600)

    assert hub.sessions == 0
    assert hub.log.core.newest("c") is None
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (1,)
    connection.close()


async def test_the_hub_sees_the_sockets_of_the_dead_close(hub: Hub, file: Path, clock: VirtualClock) -> None:
    """A kernel closes what its process had open, without a goodbye."""
    chat = await client(hub, file, clock, seed=1)
    await chat.connection.wait(timeout=5)
    assert hub.sessions == 1

    await kill(chat)

    assert hub.sessions == 0


async def test_the_app_dies_too(hub: Hub, file: Path, clock: VirtualClock) -> None:
    """Its tasks end where they stand, one in the middle of `send()` too, and nobody complains of it."""
    chat = await client(hub, file, clock, seed=1)
    committing = asyncio.get_running_loop().create_future()
    chat.engine.context.store.add = lambda _rows: committing  # type: ignore[method-assign, assignment, return-value]
    speaking = asyncio.ensure_future(chat.channel("c").send("cut short"))
    await asyncio.sleep(1)

    await kill(chat, speaking)
    await asyncio.sleep(1)

    assert speaking.cancelled()
    assert committing.cancelled()  # its answer, which the store's thread may still give, is passed over
    del chat
    gc.collect()


async def test_a_task_that_will_not_die_is_named(hub: Hub, file: Path, clock: VirtualClock) -> None:
    """A test learns which one keeps the dead alive."""
    chat = await client(hub, file, clock, seed=1)

    async def cling() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(60)

    clinging = asyncio.create_task(cling(), name="cling")
    await asyncio.sleep(0)

    with pytest.raises(AssertionError, match="cling"):
        await kill(chat, clinging)
    await clinging


async def test_a_handler_dies_with_its_process(hub: Hub, file: Path, clock: VirtualClock) -> None:
    """A handler goes on after its app cancelled it, not after its process was killed."""
    chat = await client(hub, file, clock, seed=1)
    told: list[str] = []
    never = asyncio.Event()

    @chat.channel("c").on(chatkit.MessageCreated)
    async def wait(_event: chatkit.MessageCreated) -> None:
        told.append("called")
        try:
            await never.wait()
            told.append("went on")
        finally:
            told.append("ended")

    await chat.channel("c").attach()
    await chat.channel("c").send("hello")
    await asyncio.sleep(1)
    await kill(chat)

    never.set()
    await asyncio.sleep(1)
    assert told == ["called", "ended"]
