"""No answer of the log in PostgreSQL is larger than a reader can take, whatever members wrote (I10, I14)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager

import pytest

from chatkit.logs.postgres import PostgresLog
from chatkit.model.order import OrderKey
from chatkit.model.search import SearchMark
from chatkit.ports.log import Messages
from chatkit.testing.contract.log.kit import SUPPORT, append, key, numbers, says
from chatkit.testing.wishes import change
from tests.logs import postgres_server
from tests.logs.postgres_kit import ask, opened

pytestmark = pytest.mark.realtime

MOST = 6_000
"""Bytes of envelopes in an answer, here: of more than that it would be slow to make some."""
LARGE = "x" * 900
COUNT = 12


def narrow(dsn: str, most: int) -> None:
    query = "CREATE OR REPLACE FUNCTION chatkit.most_bytes() RETURNS bigint LANGUAGE sql AS"
    ask(dsn, f"{query} 'SELECT {most}::bigint'")


@pytest.fixture
def emptied(migrated: str) -> Generator[str]:
    narrow(migrated, MOST)
    yield migrated
    postgres_server.empty(migrated)


@asynccontextmanager
async def filled(dsn: str) -> AsyncGenerator[PostgresLog]:
    """A log whose messages are as large as can be, but for some in the middle."""
    async with opened(dsn) as log:
        for number in range(1, COUNT + 1):
            await append(log, says(number, "small" if number in {6, 7} else LARGE))
        yield log


def held(items: Sequence[object]) -> int:
    return sum(len(getattr(item, "data", b"")) + len(getattr(item, "edit", b"") or b"") for item in items)


async def test_entries_are_read_on_in_answers_that_fit(emptied: str) -> None:
    """Each once and in order; the last answer says that it is the last."""
    async with filled(emptied) as log:
        found: list[int] = []
        sizes: list[int] = []
        after: OrderKey | None = None
        while True:
            page = await log.entries(SUPPORT, after=after, limit=1_000)
            found += numbers(page.items)
            sizes.append(held(page.items))
            after = page.items[-1].stamp.key
            if not page.more:
                break

    assert found == list(range(1, COUNT + 1))
    assert len(sizes) == 3
    assert max(sizes) <= MOST


@pytest.mark.parametrize("newest_first", [True, False])
async def test_pages_are_each_others_reverse(emptied: str, *, newest_first: bool) -> None:
    """Each message once, from either end (I14)."""
    async with filled(emptied) as log:
        pages: list[Messages] = []
        place: OrderKey | None = None if newest_first else OrderKey(0, "")
        while True:
            page = (
                await log.messages(SUPPORT, before=place, limit=50)
                if newest_first
                else await log.messages(SUPPORT, after=place, limit=50)
            )
            pages.append(page)
            place = page.before if newest_first else page.after
            if place is None:
                break

    if newest_first:
        pages.reverse()
    assert [number for page in pages for number in numbers(page.items)] == list(range(1, COUNT + 1))
    assert all(held(page.items) <= MOST for page in pages)
    assert len(pages) == 3


@pytest.mark.parametrize("middle", [1, 4, 6, 12])
async def test_a_page_around_a_place_keeps_its_middle(emptied: str, middle: int) -> None:
    """What is looked for is there, and what lies on both sides of it as far as it fits."""
    async with filled(emptied) as log:
        page = await log.messages(SUPPORT, around=key(middle), limit=50)

    found = numbers(page.items)
    assert middle in found
    assert found == list(range(found[0], found[-1] + 1))
    assert held(page.items) <= MOST
    assert (page.before is None, page.after is None) == (found[0] == 1, found[-1] == COUNT)
    assert len(found) >= 2


async def test_one_that_alone_is_too_large_is_given_alone(emptied: str) -> None:
    """A reader must get on."""
    narrow(emptied, 10)
    async with filled(emptied) as log:
        page = await log.messages(SUPPORT, limit=50)
        entries = await log.entries(SUPPORT, after=None, limit=50)
        around = await log.messages(SUPPORT, around=key(5), limit=50)

    assert (numbers(page.items), numbers(entries.items)) == ([COUNT], [1])
    assert numbers(around.items) == [4, 5]
    assert entries.more
    assert page.before is not None


async def test_versions_that_do_not_fit_are_said_to_be_more(emptied: str) -> None:
    """The first of them are told."""
    async with opened(emptied) as log:
        await append(log, says(1, "before"), says(2, LARGE))
        for number in range(3, 10):
            edit = change(number, "message.update", says(2, ""), body={"type": "text", "text": LARGE})
            await append(log, edit)
        versions = await log.versions(SUPPORT, says(2, "").ident)

    found = numbers(versions.items)
    assert found == list(range(2, 2 + len(found)))
    assert 2 <= len(found) < 8
    assert versions.more
    assert held(versions.items) <= MOST


async def test_all_versions_that_fit_are_told(emptied: str) -> None:
    """And that there are no more."""
    async with opened(emptied) as log:
        await append(log, says(1, "a"))
        await append(log, change(2, "message.update", says(1, ""), body={"type": "text", "text": "b"}))
        versions = await log.versions(SUPPORT, says(1, "").ident)

    assert (numbers(versions.items), versions.more) == ([1, 2], False)


async def test_hits_are_found_page_by_page(emptied: str) -> None:
    """Each once, newest first."""
    async with opened(emptied) as log:
        for number in range(1, COUNT + 1):
            await append(log, says(number, f"word {LARGE}"))
        found: list[int] = []
        sizes: list[int] = []
        mark: SearchMark | None = None
        while True:
            page = await log.search("word", before=mark, limit=50)
            found += numbers(page.items)
            sizes.append(held(page.items))
            mark = page.next
            if mark is None:
                break

    assert found == list(range(COUNT, 0, -1))
    assert len(sizes) == 3
    assert max(sizes) <= MOST
