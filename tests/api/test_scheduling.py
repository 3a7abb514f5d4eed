"""Sends with a time: not before one, not after one, whatever becomes of the process meanwhile (D13)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

import chatkit
from chatkit.testing.death import kill

if TYPE_CHECKING:
    from pathlib import Path

    from tests.api.kit import Stage


@pytest.mark.parametrize("killed", [True, False])
async def test_a_scheduled_message_goes_out_when_it_is_due_in_a_later_life(
    stage: Stage, tmp_path: Path, killed: bool
) -> None:
    """Shown as queued at once, in each life; others pass it (D13, I3)."""
    store = tmp_path / "ada.db"
    ada = await stage.chat("ada", store=store, drain=0)
    await ada.connection.wait(timeout=10)
    due = stage.clock.wall() + timedelta(hours=3)
    scheduled = await ada.channel("support").send("later", send_at=due)
    await (await ada.channel("support").send("now")).wait(timeout=10)
    assert (scheduled.status, stage.texts("support")) == ("queued", ["now"])
    if killed:
        await kill(ada)
    else:
        _ = await ada.aclose()
    await asyncio.sleep(3_600)

    async with stage.chat("ada", store=store) as again:
        again.channel("support").timeline.watch()
        [delivery] = await again.outbox.entries()
        assert (delivery.message_id, delivery.status) == (scheduled.message_id, "queued")
        await asyncio.sleep(2 * 3_600 - 60)
        assert (delivery.status, stage.texts("support")) == ("queued", ["now"])
        await asyncio.sleep(120)
        assert (delivery.status, stage.texts("support")) == ("sent", ["now", "later"])


async def test_what_was_due_while_nobody_ran_goes_out_at_the_next_start(stage: Stage, tmp_path: Path) -> None:
    """Late, and once (I3)."""
    store = tmp_path / "ada.db"
    async with stage.chat("ada", store=store, drain=0) as ada:
        await ada.channel("support").send("missed", send_at=stage.clock.wall() + timedelta(minutes=1))
    await asyncio.sleep(3_600)

    async with stage.chat("ada", store=store) as again:
        await again.outbox.flush(timeout=60)
    assert stage.texts("support") == ["missed"]


async def test_a_message_that_expired_while_nobody_ran_is_not_sent(stage: Stage, tmp_path: Path) -> None:
    """It is kept with its fate, to be sent again by hand or let go (D13, I4)."""
    store = tmp_path / "ada.db"
    stage.hub.network.cut("ada")
    async with stage.chat("ada", store=store, drain=0) as ada:
        brief = await ada.channel("support").send("lunch?", expires_in=600)
        await ada.channel("support").send("still of use")
    await asyncio.sleep(3_600)
    stage.hub.network.heal("ada")

    async with stage.chat("ada", store=store) as again:
        await again.outbox.flush(timeout=60)
        await asyncio.sleep(60)
        [expired] = await again.outbox.entries(status="expired")
        assert (expired.message_id, expired.certain) == (brief.message_id, True)
        assert stage.texts("support") == ["still of use"]
        await expired.retry()
        assert (await expired.wait(timeout=60)).text == "lunch?"


async def test_a_scheduled_message_can_be_withdrawn_and_changed_before(stage: Stage, tmp_path: Path) -> None:
    """It was never attempted: nothing of it goes out, or what it was changed to (D7)."""
    store = tmp_path / "ada.db"
    async with stage.chat("ada", store=store, drain=0) as ada:
        due = stage.clock.wall() + timedelta(hours=1)
        withdrawn = await ada.channel("support").send("never", send_at=due)
        changed = await ada.channel("support").send("at noon", send_at=due)
        await ada.channel("support").edit(changed, "at one")
    async with stage.chat("ada", store=store) as again:
        assert await (await again.outbox.get(withdrawn.id)).discard()
        await asyncio.sleep(2 * 3_600)
        await again.outbox.flush(timeout=60)
        assert [m.text async for m in again.channel("support").scan()] == ["at one"]


async def test_times_that_cannot_be_are_refused(stage: Stage) -> None:
    """Before anything is queued."""
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        with pytest.raises(chatkit.ConfigError, match="zone"):
            await support.send("x", send_at=stage.clock.wall().replace(tzinfo=None))
        for seconds in (0, -1, 10**9):
            with pytest.raises(chatkit.ConfigError, match="expires_in"):
                await support.send("x", expires_in=seconds)
        assert ada.outbox.depth == 0
