"""The log in PostgreSQL where statistics are of the time before a burst: the planner takes tables for empty."""

from __future__ import annotations

import pytest

from chatkit.logs.postgres import PostgresLog
from chatkit.model.order import Ident
from chatkit.testing.contract.log.kit import SUPPORT, numbers, outcomes, read
from chatkit.testing.wishes import change, wish
from tests.logs import postgres_server
from tests.logs.postgres_kit import ask, opened

pytestmark = pytest.mark.realtime

BURST = 1_000


async def burst(log: PostgresLog, dsn: str, when: str) -> None:
    """Look at it while it holds a few messages, or none; then fill it."""
    await log.append(SUPPORT, [wish(number) for number in range(1, 4)])
    if when == "few":
        ask(dsn, "VACUUM ANALYZE")
    postgres_server.empty(dsn)
    if when == "none":
        ask(dsn, "VACUUM ANALYZE")
    created = [wish(number) for number in range(1, BURST // 2)]
    edits = [change(BURST + number, "message.update", one) for number, one in enumerate(created[:300])]
    given = [change(2 * BURST + number, "reaction.add", one) for number, one in enumerate(created[:200])]
    assert await outcomes(log, *created, *edits) == ["new"] * (len(created) + len(edits))
    assert await outcomes(log, *given) == ["new"] * len(given)


@pytest.mark.parametrize("when", ["few", "none"])
async def test_reads_take_no_longer_after_a_burst(emptied: str, when: str) -> None:
    """Each ends in time; one that joins all with all takes minutes."""
    async with opened(emptied) as log:
        await burst(log, emptied, when)
        await look(log)


async def look(log: PostgresLog) -> None:
    """Read in every way."""
    page = await log.messages(SUPPORT, limit=BURST)
    idents = [item.ident for item in page.items]

    assert numbers(page.items) == list(range(1, BURST // 2))
    assert len((await log.messages(SUPPORT, limit=1)).items) == 1
    assert len((await log.entries(SUPPORT, after=None, limit=BURST)).items) == BURST // 2 - 1 + 300 + 200
    assert (await log.get(SUPPORT, idents)).items == page.items
    assert set((await log.find(SUPPORT, idents)).items) == set(idents)
    assert len((await log.versions(SUPPORT, idents[1])).items) == 2
    assert (await log.messages(SUPPORT, limit=50, thread=idents[0])).items == ()
    assert (await log.get(SUPPORT, [Ident("nobody", idents[0].id)])).items == ()
    await log.put([read(1)])
    assert (await log.unread("ada", [SUPPORT]))[SUPPORT].exact
    assert len((await log.search("message", limit=BURST)).items) <= BURST
    assert (await log.trim(SUPPORT, page.items[BURST // 4].stamp.key)).floor is not None
