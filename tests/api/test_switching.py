"""Another provider under the same store: nothing is lost, nothing comes twice, and nothing is guessed (D27)."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit.adapters.memory import new_hub
from chatkit.adapters.memory.config import MemoryConfig
from chatkit.logs.memory import MemoryLog
from chatkit.testing.death import kill

if TYPE_CHECKING:
    from pathlib import Path

    from chatkit.testing.clock import VirtualClock


class Providers:
    """Two hubs that behave like different providers, perhaps beside one log."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.hubs = {name: new_hub(name, clock=clock, random=Random(7)) for name in ("before", "after")}
        self.log = MemoryLog(clock, Random(5))
        self._opened = 0

    def chat(self, hub: str, like: Any, user: str, **options: Any) -> chatkit.Chat:
        """Return a client of one of them that is not open yet."""
        self._opened += 1
        source = MemoryConfig(hub=self.hubs[hub], like=like)
        return chatkit.connect(source, user=user, clock=self.clock, seed=self._opened, **options)


@pytest.fixture
def providers(clock: VirtualClock) -> Providers:
    """Two providers of the test's own."""
    return Providers(clock)


async def test_a_store_of_another_provider_is_refused_unless_it_is_to_move(
    providers: Providers, tmp_path: Path
) -> None:
    """What is in it belongs elsewhere, so that it must be said aloud; with that said it goes out, once (D27)."""
    store = tmp_path / "ada.db"
    providers.hubs["before"].network.cut("ada")
    async with providers.chat("before", "ably", "ada", store=store, drain=0) as ada:
        for number in range(3):
            await ada.channel("support").send(f"{number}")

    with pytest.raises(chatkit.StateError, match="before") as refused:
        _ = await providers.chat("after", "pusher", "ada", store=store)
    assert "rebind=True" in refused.value.hint

    async with providers.chat("after", "pusher", "bob") as bob:
        events = bob.channel("support").events(chatkit.MessageCreated)
        await bob.channel("support").attach(timeout=10)
        async with providers.chat("after", "pusher", "ada", store=store, rebind=True) as ada:
            report = await ada.outbox.flush(timeout=60)
        heard = [(await events.next(timeout=60)).message.text for _ in range(3)]

    assert (report.queued, report.failed, heard) == (0, 0, ["0", "1", "2"])


async def test_what_was_attempted_elsewhere_ends_uncertain(providers: Providers, tmp_path: Path) -> None:
    """Nobody can ask the other provider any more: it is kept, with its reason, to be sent again by hand (D27, I4)."""
    store = tmp_path / "ada.db"
    ada = await providers.chat("before", "ably", "ada", store=store)
    await ada.connection.wait(timeout=10)
    providers.hubs["before"].network.lose_ack("ada", count=10)
    doubtful = await ada.channel("support").send("perhaps there")
    await asyncio.sleep(12)
    assert doubtful.in_doubt
    await kill(ada)

    async with providers.chat("after", "pusher", "ada", store=store, rebind=True) as moved:
        [ended] = await moved.outbox.entries()
        assert (ended.message_id, ended.status, ended.certain) == (doubtful.message_id, "failed", False)
        await ended.retry()
        assert (await ended.wait(timeout=60)).message_id == doubtful.message_id


@pytest.mark.parametrize(("before", "after"), [("pusher", "ably"), ("ably", "pusher")])
async def test_with_a_log_in_common_nothing_is_lost_or_doubled_by_a_switch(
    providers: Providers, tmp_path: Path, before: str, after: str
) -> None:
    """The log outlives the provider: what is in doubt is found there, readers go on from their cursor (I1, I2)."""
    store, log = tmp_path / "ada.db", providers.log
    heard: list[str] = []
    place: chatkit.Cursor | None = None
    async with providers.chat("before", before, "bob", log=log) as bob:
        events = bob.channel("support").events(chatkit.MessageCreated, since=chatkit.START)
        ada = await providers.chat("before", before, "ada", store=store, log=log)
        for number in range(5):
            await (await ada.channel("support").send(f"before {number}")).wait(timeout=60)
            event = await events.next(timeout=60)
            heard.append(event.message.text)
            place = event.cursor
        providers.hubs["before"].network.cut("ada")
        appended = await ada.channel("support").send("appended, never announced")
        await appended.wait(timeout=60)
        await kill(ada)

    async with (
        providers.chat("after", after, "bob", log=log) as bob,
        providers.chat("after", after, "ada", store=store, log=log, rebind=True) as ada,
    ):
        events = bob.channel("support").events(chatkit.MessageCreated, since=place)
        await bob.channel("support").attach(timeout=10)
        for number in range(5):
            await ada.channel("support").send(f"after {number}")
        await ada.outbox.flush(timeout=120)
        heard += [(await events.next(timeout=120)).message.text for _ in range(6)]
        with pytest.raises(chatkit.WaitTimeout):
            await events.next(timeout=120)

    expected = [
        *(f"before {n}" for n in range(5)),
        "appended, never announced",
        *(f"after {n}" for n in range(5)),
    ]
    assert heard == expected
    assert len(log.core.entries("support", after=None, limit=100).items) == len(expected)
