"""The contract of logs: pages of messages, and the law that holds between them (D24, I14)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from chatkit.model.order import Ident, OrderKey
from chatkit.ports.log import Log
from chatkit.testing.contract.base import needing
from chatkit.testing.contract.log.kit import SUPPORT, LogKit, append, key, numbers, serial, spread, texts
from chatkit.testing.contract.log.part import LogPart
from chatkit.testing.wishes import change, wish


async def forward(log: Log, limit: int, *, thread: Ident | None = None) -> list[int]:
    """Read all messages page by page, oldest first."""
    found: list[int] = []
    after: OrderKey | None = OrderKey(1, "")
    while after is not None:
        page = await log.messages(SUPPORT, after=after, limit=limit, thread=thread)
        found += numbers(page.items)
        after = page.after
    return found


async def backward(log: Log, limit: int, *, thread: Ident | None = None) -> list[int]:
    """Read all messages page by page, newest first."""
    found: list[int] = []
    before: OrderKey | None = None
    while True:
        page = await log.messages(SUPPORT, before=before, limit=limit, thread=thread)
        found += reversed(numbers(page.items))
        before = page.before
        if before is None:
            return found


class PagesContract(LogPart):
    """A page ascends and says where older and newer messages lie, or that there are none."""

    needs = frozenset({"append", "fence"})

    @pytest.mark.parametrize(
        ("places", "shown", "before", "after"),
        [
            ({}, [4, 5], 4, None),
            ({"before": key(4)}, [2, 3], 2, 3),
            ({"before": key(2)}, [1], None, 1),
            ({"after": key(1)}, [2, 3], 2, 3),
            ({"after": key(4)}, [5], 5, None),
            ({"around": key(3)}, [2, 3], 2, 3),
            ({"around": key(1)}, [1, 2], None, 2),
            ({"around": key(5)}, [4, 5], 4, None),
            ({"around": key(9)}, [4, 5], 4, None),
            ({"after": key(1), "before": key(5)}, [3, 4], 3, 4),
        ],
    )
    async def test_pages(
        self, kit: LogKit, places: dict[str, Any], shown: list[int], before: int | None, after: int | None
    ) -> None:
        """Two of five, by every kind of place (D24)."""
        async with kit.opened() as log:
            await append(log, *map(wish, range(1, 6)))

            page = await log.messages(SUPPORT, limit=2, **places)

            assert texts(page) == [f"text {number}" for number in shown]
            assert page.before == (key(before) if before else None)
            assert page.after == (key(after) if after else None)
            assert not page.provisional
            assert page.as_of == key(5)

    async def test_times_are_places_of_pages(self, kit: LogKit) -> None:
        """Before, after and around a moment."""
        async with kit.opened() as log:
            moment = (await spread(kit, log, 5))[2]

            assert texts(await log.messages(SUPPORT, before=moment, limit=9)) == ["text 1", "text 2"]
            assert texts(await log.messages(SUPPORT, after=moment, limit=9)) == ["text 4", "text 5"]
            around = await log.messages(SUPPORT, around=moment, limit=3)
            assert texts(around) == ["text 2", "text 3", "text 4"]
            between = await log.messages(SUPPORT, around=moment - timedelta(microseconds=1), limit=2)
            assert texts(between) == ["text 2", "text 3"]

    async def test_an_empty_page_still_says_what_lies_around_it(self, kit: LogKit) -> None:
        """Going back from behind the newest, or on from before the oldest, gives all of it."""
        async with kit.opened() as log:
            await append(log, wish(1), wish(2), wish(3))

            every = ["text 1", "text 2", "text 3"]
            behind = await log.messages(SUPPORT, after=key(3), limit=2)
            ahead = await log.messages(SUPPORT, before=key(1), limit=2)

            assert behind.items == ahead.items == ()
            assert behind.after is None
            assert texts(await log.messages(SUPPORT, before=behind.before, limit=9)) == every
            assert ahead.before is None
            assert texts(await log.messages(SUPPORT, after=ahead.after, limit=9)) == every

    async def test_an_empty_page_in_the_middle_divides_what_there_is(self, kit: LogKit) -> None:
        """Nothing lies between two neighbours, and both directions go on from there."""
        async with kit.opened() as log:
            await append(log, wish(1), wish(2), wish(3))

            between = await log.messages(SUPPORT, after=key(1), before=key(2), limit=2)

            assert between.items == ()
            assert texts(await log.messages(SUPPORT, before=between.before, limit=9)) == ["text 1"]
            assert texts(await log.messages(SUPPORT, after=between.after, limit=9)) == ["text 2", "text 3"]

    async def test_an_empty_channel_has_no_older_and_no_newer(self, kit: LogKit) -> None:
        """A page of nothing ends in both directions."""
        async with kit.opened() as log:
            page = await log.messages(SUPPORT, limit=10)

            assert (page.items, page.before, page.after, page.as_of) == ((), None, None, OrderKey(1, ""))

    async def test_pages_hold_at_most_a_thousand(self, kit: LogKit) -> None:
        """A larger wish is capped, a senseless one gives one message."""
        async with kit.opened() as log:
            await append(log, *(wish(number) for number in range(1, 1003)))

            assert len((await log.messages(SUPPORT, limit=5000)).items) == 1000
            assert len((await log.entries(SUPPORT, after=None, limit=5000)).items) == 1000
            assert len((await log.messages(SUPPORT, limit=0)).items) == 1
            assert len((await log.entries(SUPPORT, after=None, limit=0)).items) == 1

    # -- the law

    @needing("erase", "fold")
    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
    async def test_forward_and_backward_are_each_others_reverse(self, kit: LogKit, limit: int) -> None:
        """And cover all above the floor once, whatever lies between messages (I14)."""
        async with kit.opened() as log:
            root = wish(1)
            replies = [3, 6, 7, 13]
            for number in range(1, 15):
                if number % 5 == 0:
                    await append(log, change(number, "reaction.add", wish(number - 1)))
                else:
                    await append(log, wish(number, thread=root if number in replies else None))
            every = [number for number in range(1, 15) if number % 5]
            assert await forward(log, limit) == every
            assert await backward(log, limit) == every[::-1]
            assert await forward(log, limit, thread=root.ident) == replies
            assert await backward(log, limit, thread=root.ident) == replies[::-1]

            await log.trim(SUPPORT, key(6))

            every = [number for number in every if number >= 6]
            assert await forward(log, limit) == every
            assert await backward(log, limit) == every[::-1]
            assert await forward(log, limit, thread=root.ident) == [6, 7, 13]
            assert await backward(log, limit, thread=root.ident) == [13, 7, 6]

    async def test_the_law_holds_while_others_write(self, kit: LogKit) -> None:
        """What is there at the start is covered once; forward reads what came meanwhile too (I14)."""
        async with kit.opened() as one, kit.opened() as other:
            await append(one, *map(wish, range(1, 11)))

            async def write() -> None:
                for number in range(11, 31):
                    await append(other, wish(number))
                    await asyncio.sleep(0)

            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(write())
                down = await backward(one, 3)
                up = await forward(one, 3)
                await writing

            assert down == list(range(down[0], 0, -1))
            assert down[0] >= 10
            assert up == list(range(1, up[-1] + 1))
            assert up[-1] >= down[0]

    async def test_entries_read_while_others_write_miss_nothing(self, kit: LogKit) -> None:
        """A reader who has seen a serial never sees a lower one appear later (D17)."""
        async with kit.opened() as one, kit.opened() as other:

            async def write(log: Log, lane: int) -> None:
                for number in range(1, 11):
                    await append(log, wish(lane * 100 + number, device=f"device{lane}"))

            async def follow() -> list[str]:
                seen: list[str] = []
                after: OrderKey | None = None
                while len(seen) < 30:
                    page = await one.entries(SUPPORT, after=after, limit=4)
                    seen += [item.stamp.key.serial for item in page.items]
                    after = page.items[-1].stamp.key if page.items else after
                    await asyncio.sleep(0)
                return seen

            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(follow())
                for lane, log in enumerate((one, other, other)):
                    tasks.create_task(write(log, lane))

            assert following.result() == [serial(number) for number in range(1, 31)]
