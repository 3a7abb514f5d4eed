"""Searching a channel and all channels: in the log, and offline in what was seen (D24)."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

import chatkit

if TYPE_CHECKING:
    from pathlib import Path

    from tests.api.kit import Stage


async def say(chat: chatkit.Chat, channel: str, *texts: str) -> list[chatkit.Message]:
    deliveries = [await chat.channel(channel).send(text) for text in texts]
    return [await delivery.wait(timeout=10) for delivery in deliveries]


def texts(page: chatkit.Page[chatkit.Message]) -> list[str]:
    return [message.text for message in page.items]


async def test_a_channel_is_searched_newest_first(stage: Stage) -> None:
    """All words must be there; pages go on where they ended."""
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        await support.attach(timeout=5)
        await say(ada, "support", "the old manual", "no hit", "the new Manual", "manual, the newest")
        await say(ada, "sales", "the manual of sales")

        page = await support.search("manual THE", limit=2)
        rest = await support.search("manual THE", limit=2, after=page.next)

        assert texts(page) == ["manual, the newest", "the new Manual"]
        assert texts(rest) == ["the old manual"]
        assert rest.next is None


async def test_all_channels_are_searched_at_once(stage: Stage) -> None:
    """Hits say which channel they are of."""
    async with stage.chat("ada") as ada:
        for channel in ("support", "sales"):
            await ada.channel(channel).attach(timeout=5)
            await say(ada, channel, f"manual of {channel}")
            await asyncio.sleep(1)

        page = await ada.search("manual")

        assert [(m.channel, m.text) for m in page.items] == [
            ("sales", "manual of sales"),
            ("support", "manual of support"),
        ]


async def test_a_search_is_for_so_many_words(stage: Stage) -> None:
    """Repeats do not count; more is refused before anything is asked."""
    most = " ".join(f"w{number}" for number in range(2_000))
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        await support.attach(timeout=5)
        await say(ada, "support", most)

        assert texts(await support.search(f"{most} {most}")) == [most]
        for search in (support.search, ada.search):
            for text in (f"{most} more", "x" * 65_537):
                with pytest.raises(chatkit.ConfigError, match="at most 2,000 words"):
                    await search(text)


async def test_search_works_offline_after_a_restart(stage: Stage, tmp_path: Path) -> None:
    """What this device has seen is found without a network, and the page says that there may be more."""
    store = tmp_path / "ada.db"
    async with stage.chat("ada", store=store) as ada:
        await ada.channel("support").attach(timeout=5)
        await say(ada, "support", "seen before")
    stage.hub.network.cut("ada")

    async with stage.chat("ada", store=store) as ada:
        page = await ada.channel("support").search("seen")

        assert texts(page) == ["seen before"]
        assert page.provisional
        assert page.items[0].own


async def test_without_a_log_what_was_seen_is_searched(stage: Stage) -> None:
    """A provider without memory has no search of its own: chatkit supplies it, and says so."""
    async with stage.chat("ada", config={"like": "pusher"}) as ada:
        assert ada.capabilities.support("search") == "emulated"
        await ada.channel("support").attach(timeout=5)
        await say(ada, "support", "one word", "another")
        await asyncio.sleep(1)

        page = await ada.channel("support").search("word")

        assert (texts(page), page.provisional) == (["one word"], True)


async def test_without_an_index_nothing_can_be_searched(stage: Stage) -> None:
    """It is refused, never answered with nothing."""
    async with stage.chat("ada", config={"like": "pusher"}, index=False) as ada:
        assert ada.capabilities.support("search") == "none"
        with pytest.raises(chatkit.CapabilityError) as caught:
            await ada.channel("support").search("word")

        assert caught.value.channel == "support"
        assert "index" in caught.value.hint


async def test_sender_and_time_narrow_a_search(stage: Stage) -> None:
    """As in history, a time needs its zone."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        support = ada.channel("support")
        await support.attach(timeout=5)
        (first,) = await say(ada, "support", "word of ada")
        await asyncio.sleep(10)
        (second,) = await say(bob, "support", "word of bob")
        await asyncio.sleep(1)
        assert first.sent_at is not None
        assert second.sent_at is not None

        assert texts(await support.search("word", sender="bob")) == ["word of bob"]
        assert texts(await support.search("word", until=second.sent_at)) == ["word of ada"]
        assert texts(await support.search("word", since=second.sent_at)) == ["word of bob"]
        with pytest.raises(chatkit.ConfigError, match="zone"):
            await support.search("word", since=datetime(2026, 1, 1))  # noqa: DTZ001  # the mistake


async def test_an_edited_message_is_found_by_what_it_says_now(stage: Stage) -> None:
    """And a deleted one is not found at all (D26)."""
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        await support.attach(timeout=5)
        edited, deleted = await say(ada, "support", "wrong word", "secret word")
        await (await support.edit(edited, "right word")).wait(timeout=5)
        await (await support.delete(deleted)).wait(timeout=5)
        await asyncio.sleep(1)

        assert texts(await support.search("word")) == ["right word"]
        assert texts(await support.search("wrong")) == []


@pytest.mark.parametrize("limit", [0, 1_001])
async def test_a_limit_that_cannot_be_is_refused(stage: Stage, limit: int) -> None:
    """1 to 1,000, as everywhere."""
    async with stage.chat("ada") as ada:
        with pytest.raises(chatkit.ConfigError, match="limit"):
            await ada.channel("support").search("x", limit=limit)


async def test_a_cursor_of_something_else_is_refused(stage: Stage) -> None:
    """And one of a search is no place to read from."""
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        await support.attach(timeout=5)
        (message, _) = await say(ada, "support", "one word", "two word")
        await asyncio.sleep(1)
        with pytest.raises(chatkit.CursorInvalid, match="search"):
            await support.search("word", after=message.cursor)
        page = await support.search("word", limit=1)
        assert page.next is not None
        with pytest.raises(chatkit.CursorInvalid):
            await support.history(after=page.next)


async def test_nobody_searches_a_closed_client(stage: Stage) -> None:
    """Nor one that is not open yet."""
    chat = stage.chat("ada")
    with pytest.raises(chatkit.StateError):
        await chat.search("x")
