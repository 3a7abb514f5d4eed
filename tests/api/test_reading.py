"""Reading: history both ways and around, scan, get, timelines."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

import chatkit

if TYPE_CHECKING:
    from tests.api.kit import Stage


async def fill(chat: chatkit.Chat, count: int, channel: str = "support") -> list[chatkit.Message]:
    """Send numbered messages and return them as sent."""
    deliveries = [await chat.channel(channel).send(f"m{n}") for n in range(count)]
    return [await delivery.wait(timeout=60) for delivery in deliveries]


def texts(page: chatkit.Page[chatkit.Message]) -> list[str]:
    """Return the texts of a page."""
    return [message.text for message in page.items]


async def test_history_pages_are_each_others_reverse(stage: Stage) -> None:
    """I14: forward and backward pages cover everything once."""
    async with stage.chat("ada") as ada:
        await fill(ada, 23)
        support = ada.channel("support")
        for limit in (1, 7, 23, 50):
            back: list[str] = []
            page = await support.history(limit=limit)
            back += texts(page)
            while page.next is not None:
                page = await support.history(before=page.next, limit=limit)
                back += texts(page)
            forth: list[str] = []
            after: chatkit.Position | None = chatkit.START
            while after is not None:
                page = await support.history(after=after, limit=limit)
                forth += texts(page)
                after = page.next
            assert forth == [f"m{n}" for n in range(23)]
            assert back == forth[::-1]


async def test_history_around_a_message(stage: Stage) -> None:
    """Oldest first, with the place in the middle."""
    async with stage.chat("ada") as ada:
        sent = await fill(ada, 11)
        page = await ada.channel("support").history(around=sent[5], limit=5)
        assert texts(page) == ["m3", "m4", "m5", "m6", "m7"]


async def test_a_position_may_be_a_time_a_cursor_a_message_or_a_delivery(stage: Stage) -> None:
    """Each names a place in the channel."""
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        await fill(ada, 2)
        await asyncio.sleep(60)
        delivery = await support.send("later")
        later = await delivery.wait(timeout=5)
        for position in (later.sent_at, later, later.cursor, delivery):
            assert position is not None
            assert texts(await support.history(before=position)) == ["m1", "m0"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"limit": 0}, chatkit.ConfigError),
        ({"limit": 1_001}, chatkit.ConfigError),
        ({"before": chatkit.START, "after": chatkit.START}, chatkit.ConfigError),
        ({"before": datetime(2026, 1, 1)}, chatkit.ConfigError),  # noqa: DTZ001  # that is the point
        ({"before": 42}, chatkit.ConfigError),
        ({"before": "garbage"}, chatkit.CursorInvalid),
    ],
)
async def test_a_bad_position_is_refused(
    stage: Stage, options: dict[str, Any], error: type[Exception]
) -> None:
    """What is no place in this channel is said at once."""
    async with stage.chat("ada") as ada:
        with pytest.raises(error):
            await ada.channel("support").history(**options)


async def test_a_place_of_another_channel_or_log_is_refused(stage: Stage) -> None:
    """A cursor is self-describing; one of another channel, log or life of a log does not fit."""
    async with stage.chat("ada") as ada:
        (other,) = await fill(ada, 1, "other")
        support = ada.channel("support")
        await support.attach(timeout=5)
        (mine,) = await fill(ada, 1)
        assert mine.cursor is not None
        assert other.cursor is not None
        for position in (other, other.cursor):
            with pytest.raises(chatkit.CursorInvalid):
                await support.history(before=position)
        with pytest.raises(chatkit.MessageNotFound):
            await support.react(other, "👍")
        stage.hub.network.cut("ada")
        queued = await support.send("queued")
        with pytest.raises(chatkit.StateError, match="no place yet"):
            await support.history(before=queued)
        assert texts(await support.history(before=chatkit.START)) == []


async def test_scan_reads_all_oldest_first(stage: Stage) -> None:
    """Page by page to the present end; `limit` ends it sooner."""
    async with stage.chat("ada") as ada:
        sent = await fill(ada, 12)
        support = ada.channel("support")
        assert [m.text async for m in support.scan()] == [f"m{n}" for n in range(12)]
        assert [m.text async for m in support.scan(limit=5)] == [f"m{n}" for n in range(5)]
        assert [m.text async for m in support.scan(after=sent[9])] == ["m10", "m11"]


async def test_get_finds_what_is_queued_loaded_or_in_the_log(stage: Stage) -> None:
    """By message, delivery or id; what nobody has is `MessageNotFound`."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        (first,) = await fill(ada, 1)
        assert (await bob.channel("support").get(first.message_id)).text == "m0"
        assert (await bob.channel("support").get(first)).text == "m0"
        stage.hub.network.cut("ada")
        queued = await ada.channel("support").send("queued")
        for ref in (queued, queued.message_id):
            shown = await ada.channel("support").get(ref)
            assert (shown.text, shown.status) == ("queued", "queued") or shown.status == "sending"
        with pytest.raises(chatkit.MessageNotFound):
            await bob.channel("support").get("00000000-0000-7000-8000-000000000000")
        with pytest.raises(chatkit.MessageNotFound):
            await bob.channel("support").get(queued.message)


async def test_no_answer_is_a_transport_error_that_repeating_may_help(stage: Stage) -> None:
    """A read without an answer tells so, after a few attempts of its own."""
    async with stage.chat("ada") as ada:
        await fill(ada, 1)
        stage.hub.network.cut("ada")
        with pytest.raises(chatkit.TransportError) as caught:
            await ada.channel("support").history()
        assert caught.value.retryable


async def test_the_timeline_shows_what_is_there_and_what_is_mine(stage: Stage) -> None:
    """Confirmed messages in order, then own unsent ones; the state says how far to believe it."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await fill(bob, 3)
        timeline = ada.channel("support").timeline
        assert str(timeline.view.state) == "local"
        views = timeline.watch()
        await ada.channel("support").attach(timeout=5)
        await asyncio.sleep(1)
        assert [m.text for m in timeline.view.messages] == ["m0", "m1", "m2"]
        assert str(timeline.view.state) == "live"

        stage.hub.network.cut("ada")
        mine = await ada.channel("support").send("mine")
        await (await bob.channel("support").send("m3")).wait(timeout=5)
        shown = timeline.view.messages
        assert [(m.text, m.status) for m in shown][-1][0] == "mine"
        assert shown[-1].status in ("queued", "sending")
        assert timeline.view.state in ("live", "stale")
        stage.hub.network.heal("ada")
        await mine.wait(timeout=90)
        await asyncio.sleep(5)
        assert [m.text for m in timeline.view.messages] == ["m0", "m1", "m2", "m3", "mine"]
        first = await views.next(timeout=1)
        assert first.changes is None
        await views.aclose()


async def test_a_reader_draws_the_changes_it_is_given(stage: Stage) -> None:
    """Applying `changes` to the last view gives the next one."""
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        views = support.timeline.watch()
        drawn: list[chatkit.Message] = []

        async def draw() -> None:
            view = await views.next(timeout=5)
            if view.changes is None:
                drawn[:] = view.messages
                return
            for change in view.changes:
                if change.op != "insert":
                    del drawn[change.index]
                if change.op != "remove":
                    drawn.insert(change.index, change.message)
            assert tuple(drawn) == tuple(view.messages)

        await support.attach(timeout=5)
        await draw()
        for message in await fill(ada, 3):
            await (await support.react(message, "👍")).wait(timeout=5)
            await draw()
        await (await support.delete(drawn[0])).wait(timeout=5)
        await asyncio.sleep(1)
        await draw()
        assert [m.deleted for m in drawn] == [True, False, False]


async def test_older_messages_load_on_demand_and_a_jump_shows_another_stretch(stage: Stage) -> None:
    """A channel opens on its newest 50; the rest is a call away."""
    async with stage.chat("bob") as bob:
        sent = await fill(bob, 130)
        async with stage.chat("ada") as ada:
            support = ada.channel("support")
            await support.attach(timeout=5)
            await asyncio.sleep(1)
            timeline = support.timeline
            assert len(timeline.view.messages) == 50
            assert timeline.view.has_older
            assert await timeline.load_older(50) == 50
            assert await timeline.load_older(500) == 30
            view = timeline.view
            assert not view.has_older
            assert await timeline.load_older() == 0
            assert [m.text for m in timeline.view.messages] == [f"m{n}" for n in range(130)]

            await timeline.jump(sent[20])
            shown = [m.text for m in timeline.view.messages]
            assert "m20" in shown
            view = timeline.view
            assert view.has_newer
            await timeline.jump("newest")
            view = timeline.view
            assert timeline.view.messages[-1].text == "m129"
            assert not view.has_newer


async def test_a_late_joiner_is_not_told_what_was_there_before(stage: Stage) -> None:
    """Plain `events()` begin now; `since=` brings what was before, then goes on live."""
    async with stage.chat("bob") as bob, stage.chat("ada") as ada:
        await fill(bob, 5)
        support = ada.channel("support")
        live = support.events(chatkit.MessageCreated)
        all_of_it = support.events(chatkit.MessageCreated, since=chatkit.START)
        await support.attach(timeout=5)
        await asyncio.sleep(1)
        await (await bob.channel("support").send("m5")).wait(timeout=5)

        assert (await live.next(timeout=5)).message.text == "m5"
        assert [(await all_of_it.next(timeout=5)).message.text for _ in range(6)] == [
            f"m{n}" for n in range(6)
        ]
        with pytest.raises(chatkit.WaitTimeout):
            await live.next(timeout=timedelta(seconds=40).total_seconds())
