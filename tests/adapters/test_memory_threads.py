"""One hub, clients on several loops in several threads."""

from __future__ import annotations

import asyncio
import threading
from random import Random

import pytest

from chatkit.adapters.memory import MemoryConfig, factory, new_hub
from chatkit.engine.system import SystemClock
from chatkit.ports.adapter import Received, SessionClosed
from chatkit.testing.parts import parts
from chatkit.testing.wishes import batch, text_of, wish

EACH = 60
USERS = ("ada", "bob")


async def client(hub_config: MemoryConfig, user: str, ready: threading.Barrier) -> list[Received]:
    """Publish, and read until everybody's messages are there."""
    adapter = factory.build(hub_config, parts(user, SystemClock()))
    session = await adapter.open()
    await session.attach("support", None, presence=False)
    await asyncio.to_thread(ready.wait)
    found: list[Received] = []

    async def read() -> None:
        async for signal in session.signals():
            if isinstance(signal, Received):
                found.append(signal)
            if len(found) == EACH * len(USERS):
                return

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(read())
        for number in range(1, EACH + 1):
            (ack,) = await session.publish(batch(wish(number, user=user)), [None])
            assert ack.outcome == "new"
    await adapter.aclose()
    return found


def test_controls_work_from_any_thread() -> None:
    """A link is cut from outside of its client's loop, and again when that loop is gone."""
    hub = new_hub(clock=SystemClock(), random=Random(1))
    adapter = factory.build(MemoryConfig(hub=hub), parts("ada", SystemClock()))
    opened, ended = threading.Event(), threading.Event()
    reasons: list[str] = []

    async def live() -> None:
        session = await adapter.open()
        opened.set()
        try:
            async for _ in session.signals():
                pass
        except SessionClosed as error:
            reasons.append(error.again)
        hub.network.heal("ada")
        await adapter.open()
        ended.set()

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    assert opened.wait(10)
    hub.network.cut("ada")
    assert ended.wait(10)
    thread.join(10)

    hub.network.cut("ada")

    assert reasons == ["now"]
    assert hub.network.link("ada")._travellers == {}


@pytest.mark.parametrize("attempt", range(3))
def test_clients_on_two_loops_see_one_order(attempt: int) -> None:
    """Each sees every message once, in the order of the log, whichever thread published it (I2, I4)."""
    hub = new_hub(clock=SystemClock(), random=Random(attempt))
    ready = threading.Barrier(len(USERS))
    seen: dict[str, list[Received]] = {}

    def live(user: str) -> None:
        seen[user] = asyncio.run(client(MemoryConfig(hub=hub), user, ready))

    threads = [threading.Thread(target=live, args=(user,)) for user in USERS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    kept = hub.log.core.entries("support", after=None, limit=1000).items
    assert len(kept) == EACH * len(USERS)
    for user in USERS:
        assert [frame.stamp for frame in seen[user]] == [entry.stamp for entry in kept]
        mine = [text_of(entry.data) for entry in kept if entry.stamp.user == user]
        assert mine == [f"text {number}" for number in range(1, EACH + 1)]
    assert hub.sessions == 0
