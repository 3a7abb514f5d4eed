"""`announce="after"`: an entry is sent at the append, and stays until receivers were told (D16)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from chatkit import MessageCreated
from chatkit.adapters.memory import Faults
from chatkit.adapters.memory.network import Call
from chatkit.engine import announcing
from chatkit.errors import AuthenticationError, RateLimited, Rejected
from chatkit.model.order import OrderKey
from chatkit.testing.death import kill
from tests.engine.kit import Apart, C, Down, OddLog, counters, in_order, later, shown, taken, texts
from tests.engine.kit import ready as attached

if TYPE_CHECKING:
    from pathlib import Path

    from chatkit.testing.clock import VirtualClock


@pytest.fixture(params=["memory", "ably", "pusher"])
def apart(clock: VirtualClock, request: pytest.FixtureRequest) -> Apart:
    """Providers whose memory is not used."""
    return Apart(clock, request.param)


PUBLISHING: tuple[Call, ...] = ("publish",)
"""Announcements; appends go to a log that is none of the provider's."""


async def test_a_message_is_sent_at_the_append_and_arrives(apart: Apart) -> None:
    """It has its place from the log, and the frame that announces it is no second copy (D16)."""
    async with apart.chat("ada") as ada, apart.chat("bob") as bob:
        events = bob.channel(C).events(MessageCreated)
        own = ada.channel(C).events(MessageCreated)
        await attached(ada, bob)

        deliveries = [await ada.channel(C).send(text) for text in ("one", "two", "three")]
        sent = [await delivery.wait(timeout=5) for delivery in deliveries]

        assert [message.serial for message in sent] == [f"{n:020d}" for n in (1, 2, 3)]
        assert texts(await later(events, 1)) == texts(await taken(own)) == ["one", "two", "three"]
        assert shown(ada) == shown(bob) == apart.kept == ["one", "two", "three"]
        assert counters(bob)["duplicate"] == 0


async def test_a_message_is_sent_while_the_provider_is_away(apart: Apart) -> None:
    """The log is another path: it takes messages while nobody can be told, and they are told later (D15)."""
    async with apart.chat("ada") as ada, apart.chat("bob") as bob:
        events = bob.channel(C).events(MessageCreated)
        await attached(ada, bob)
        apart.cut("ada")

        delivery = await ada.channel(C).send("from a tunnel")
        _ = await delivery.wait(timeout=5)

        assert await taken(events) == []
        assert not (await ada.outbox.flush(timeout=1)).queued
        apart.heal("ada")
        assert texts(await later(events, 10)) == ["from a tunnel"]


async def test_what_nobody_announces_is_found_by_comparing_heads(apart: Apart) -> None:
    """A crash between append and announcement hides a message until the next look (D16, I6)."""
    async with apart.chat("ada") as ada, apart.chat("bob") as bob:
        events = bob.channel(C).events(MessageCreated)
        await attached(ada, bob)

        with apart.lost():
            _ = await (await ada.channel(C).send("hidden")).wait(timeout=5)
            _ = await ada.outbox.flush(timeout=5)

        assert await later(events, 5) == []
        assert texts(await later(events, 31)) == ["hidden"]


async def test_a_restart_announces_what_was_appended(apart: Apart, tmp_path: Path) -> None:
    """The entry is sent, and still in the outbox: its announcement is made in the next life (D16)."""
    store = tmp_path / "ada.db"
    async with apart.chat("bob") as bob:
        events = bob.channel(C).events(MessageCreated)
        await attached(bob)
        ada = await apart.chat("ada", store=store)
        await attached(ada)
        apart.cut("ada")
        _ = await (await ada.channel(C).send("told late")).wait(timeout=5)
        await kill(ada)
        apart.heal("ada")

        async with apart.chat("ada", store=store) as again:
            assert texts(await later(events, 5)) == ["told late"]

            assert apart.kept == ["told late"]
            assert await again.outbox.entries() == ()


async def test_a_crash_before_the_answer_is_recorded_announces_too(apart: Apart, tmp_path: Path) -> None:
    """In doubt about the append, the next life appends again, a duplicate, and announces (D6, D16)."""
    store = tmp_path / "ada.db"
    async with apart.chat("bob") as bob:
        events = bob.channel(C).events(MessageCreated)
        await attached(bob)
        log = OddLog(apart.log)
        log.gate = asyncio.Event()
        ada = await apart.chat("ada", store=store, log=log)
        _ = await ada.channel(C).send("once")
        await asyncio.sleep(1)
        assert apart.kept == ["once"]
        await kill(ada)

        async with apart.chat("ada", store=store) as again:
            assert texts(await later(events, 5)) == ["once"]

            assert apart.kept == ["once"]
            assert await again.outbox.entries() == ()


async def test_what_the_log_shows_to_be_appended_is_announced(apart: Apart, tmp_path: Path) -> None:
    """An entry in doubt that a backfill proves is sent, and perhaps nobody else was told (D6, D16)."""
    store = tmp_path / "ada.db"
    async with apart.chat("bob") as bob:
        events = bob.channel(C).events(MessageCreated)
        await attached(bob)
        log = OddLog(apart.log)
        log.on["append"] = lambda: (_ for _ in ()).throw(Down("lost on its way back"))
        ada = await apart.chat("ada", store=store, log=log, staleness=3)
        await attached(ada)
        delivery = await ada.channel(C).send("proved by the log")
        await asyncio.sleep(0.1)
        assert delivery.in_doubt

        await asyncio.sleep(4)

        assert delivery.status == "sent"
        assert await taken(events) == []
        log.on.clear()
        assert texts(await later(events, 20)) == ["proved by the log"]
        await ada.aclose()


async def test_announcements_that_are_refused_for_now_are_made_again(apart: Apart) -> None:
    """A provider that is overloaded holds up announcements, in their order, and no append (D12)."""
    async with apart.chat("ada") as ada, apart.chat("bob") as bob:
        events = bob.channel(C).events(MessageCreated)
        await attached(ada, bob)
        apart.hub.network.refuse("ada", RateLimited("slow down", retry_after=7.0), calls=PUBLISHING, count=1)

        for text in ("one", "two"):
            _ = await (await ada.channel(C).send(text)).wait(timeout=1)

        assert await later(events, 6) == []
        assert texts(await later(events, 4)) == ["one", "two"]


async def test_an_announcement_that_is_refused_for_good_is_counted(apart: Apart) -> None:
    """The entry stays sent; receivers find it by comparing heads (D16)."""
    async with apart.chat("ada") as ada, apart.chat("bob") as bob:
        events = bob.channel(C).events(MessageCreated)
        await attached(ada, bob)
        apart.hub.network.refuse("ada", Rejected("never"), calls=PUBLISHING, scope="entry", count=1)

        delivery = await ada.channel(C).send("unannounced")
        _ = await delivery.wait(timeout=1)

        await ada.outbox.flush(timeout=5)
        assert counters(ada)["unannounced"] == 1
        assert delivery.status == "sent"
        assert texts(await later(events, 31)) == ["unannounced"]


async def test_an_announcement_is_made_with_a_fresh_credential(apart: Apart) -> None:
    """A refusal of the credential is answered by a fresh one, once (D12)."""
    async with apart.chat("ada") as ada, apart.chat("bob") as bob:
        events = bob.channel(C).events(MessageCreated)
        await attached(ada, bob)
        apart.hub.network.refuse("ada", AuthenticationError("expired"), calls=PUBLISHING, count=1)

        _ = await (await ada.channel(C).send("again")).wait(timeout=1)

        assert texts(await later(events, 1)) == ["again"]


async def test_a_credential_that_stays_refused_is_not_fetched_for_ever(apart: Apart) -> None:
    """A fresh one is tried once, then the provider is left alone for a while (D12)."""
    async with apart.chat("ada") as ada:
        await attached(ada)
        apart.hub.network.refuse("ada", AuthenticationError("expired"), calls=PUBLISHING)
        refreshes = 0
        refresh = ada.engine.outbox.refresh.since

        async def counted(moment: float) -> bool:
            nonlocal refreshes
            refreshes += 1
            return await refresh(moment)

        ada.engine.outbox.announcer._refresh = counted
        _ = await (await ada.channel(C).send("refused")).wait(timeout=1)
        await asyncio.sleep(100)

        assert refreshes == 1
        assert ada.health().checks["outbox"]["unannounced"] == 1


async def test_a_lost_answer_announces_twice_and_shows_once(apart: Apart) -> None:
    """Receivers know the second announcement by its place (D16, D20)."""
    async with apart.chat("ada") as ada, apart.chat("bob") as bob:
        events = bob.channel(C).events(MessageCreated)
        await attached(ada, bob)
        apart.hub.network.lose_ack("ada")

        _ = await (await ada.channel(C).send("twice told")).wait(timeout=1)

        assert texts(await later(events, 30)) == ["twice told"]
        assert counters(bob)["duplicate"] == 1
        assert ada.outbox.depth == 0


async def test_announcements_that_wait_are_bounded(apart: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many the oldest are left to be found (I10); nothing is lost."""
    monkeypatch.setattr(announcing, "WAITING", 2)
    async with apart.chat("ada") as ada, apart.chat("bob") as bob:
        events = bob.channel(C).events(MessageCreated)
        await attached(ada, bob)
        apart.cut("ada")
        for text in ("one", "two", "three", "four"):
            _ = await (await ada.channel(C).send(text)).wait(timeout=5)

        apart.heal("ada")

        assert counters(ada)["unannounced"] == 2
        found = await later(events, 40)
        assert texts(sorted(found, key=lambda event: event.message.key)) == ["one", "two", "three", "four"]
        assert in_order(found)


async def test_closing_waits_for_announcements(apart: Apart) -> None:
    """As for all else that is to go out, and no longer (I12)."""
    async with apart.chat("bob") as bob:
        events = bob.channel(C).events(MessageCreated)
        await attached(bob)
        async with apart.chat("ada") as ada:
            await attached(ada)
            apart.hub.network.set_faults(Faults(delay=(0.5, 0.5)), "ada")
            _ = await (await ada.channel(C).send("before I go")).wait(timeout=5)

        assert texts(await later(events, 2)) == ["before I go"]


async def test_a_store_taken_to_a_provider_that_numbers_owes_nothing(apart: Apart, tmp_path: Path) -> None:
    """What was not announced is let go where the provider itself remembers and tells."""
    store = tmp_path / "ada.db"
    ada = await apart.chat("ada", store=store)
    apart.cut("ada")
    _ = await (await ada.channel(C).send("untold")).wait(timeout=5)
    await kill(ada)

    async with apart.chat("ada", store=store, log=None) as again:
        await asyncio.sleep(1)

        assert await again.outbox.entries() == ()


async def test_what_the_log_does_not_take_again_is_announced_to_nobody(apart: Apart, tmp_path: Path) -> None:
    """Trimmed, forgotten and past its deadline: its place is not to be had any more, and it owes nothing (D6)."""
    store = tmp_path / "ada.db"
    ada = await apart.chat("ada", store=store)
    apart.cut("ada")
    _ = await (await ada.channel(C).send("long ago")).wait(timeout=5)
    await kill(ada)
    apart.heal("ada")
    await asyncio.sleep(401 * 86_400)
    apart.log.core.trim(C, OrderKey(1, f"{2:020d}"))

    async with apart.chat("ada", store=store) as again, apart.chat("bob") as bob:
        events = bob.channel(C).events(MessageCreated)
        await attached(again, bob)

        assert await later(events, 40) == []
        assert apart.kept == []
        assert await again.outbox.entries() == ()


async def test_a_refusal_of_one_channel_holds_up_no_other(apart: Apart) -> None:
    """What is announced elsewhere does not wait for it (D12)."""
    async with apart.chat("ada") as ada, apart.chat("bob") as bob:
        here = bob.channel(C).events(MessageCreated)
        there = bob.channel("elsewhere").events(MessageCreated)
        await attached(ada, bob)
        slow = RateLimited("slow down", retry_after=7.0)
        apart.hub.network.refuse("ada", slow, calls=PUBLISHING, scope="lane", count=1)

        _ = await (await ada.channel(C).send("held up")).wait(timeout=1)
        await asyncio.sleep(1)
        _ = await (await ada.channel("elsewhere").send("at once")).wait(timeout=1)

        assert texts(await later(there, 1)) == ["at once"]
        assert texts(await taken(here)) == []
        assert texts(await later(here, 7)) == ["held up"]


async def test_an_announcement_whose_turn_comes_when_the_connection_is_lost_is_made_later(
    clock: VirtualClock,
) -> None:
    """It waited for the rate while the session went: nothing was written, and it is made again (D11, D16)."""
    apart = Apart(clock, "ably")
    async with (
        apart.chat("ada", config={"capabilities": {"publish_rate": 1.0}}) as ada,
        apart.chat("bob") as bob,
    ):
        events = bob.channel(C).events(MessageCreated)
        await attached(ada, bob)
        for text in ("one", "two"):
            _ = await (await ada.channel(C).send(text)).wait(timeout=5)
        await asyncio.sleep(0.5)
        apart.cut("ada")
        await asyncio.sleep(1)
        apart.heal("ada")

        assert texts(await later(events, 60)) == ["one", "two"]
