"""The memory log beyond the contract: its clock, and what is bounded in it (D18, D20)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import timedelta
from random import Random

import pytest

from chatkit.errors import ConfigError
from chatkit.logs.memory import MemoryLog
from chatkit.testing.clock import VirtualClock
from chatkit.testing.contract.log.kit import key, outcomes, texts
from chatkit.testing.wishes import change, message_id, text_of, wish


async def fill(log: MemoryLog, clock: VirtualClock, count: int) -> None:
    """Append messages a second apart."""
    for number in range(1, count + 1):
        await log.append("support", [wish(number)])
        clock.advance(1)


async def test_time_never_steps_back(log: MemoryLog, clock: VirtualClock) -> None:
    """A time is a place in the log even if somebody sets the clock back."""
    await log.append("support", [wish(1)])
    before = clock.wall()
    clock.jump(-3600)

    (ack,) = (await log.append("support", [wish(2)])).acks

    assert ack.sent_at == before


async def test_a_late_entry_is_refused_by_its_deadline(log: MemoryLog, clock: VirtualClock) -> None:
    """Past its own `not_after`, in the log's time, an entry is certain never to appear (D9)."""
    deadline = clock.wall() + timedelta(seconds=10)
    clock.advance(10)
    assert await outcomes(log, wish(1, not_after=deadline)) == ["new"]
    clock.advance(0.001)

    assert await outcomes(log, wish(2, not_after=deadline)) == ["too_late"]


async def test_an_accepted_entry_is_known_past_its_deadline(log: MemoryLog, clock: VirtualClock) -> None:
    """What is known is answered as a duplicate first: it did appear (D9)."""
    entry = wish(1, not_after=clock.wall())
    await log.append("support", [entry])
    clock.advance(60)

    assert await outcomes(log, entry) == ["duplicate"]


async def test_an_untouched_channel_has_neither_head_nor_floor(log: MemoryLog, clock: VirtualClock) -> None:
    """A channel is there once somebody wrote to it, and reading it makes nothing (D18)."""
    heads = await log.heads(["support", "sales"])

    assert {name: (state.head, state.floor) for name, state in heads.items()} == {
        "support": (None, None),
        "sales": (None, None),
    }
    assert heads["support"].now == clock.wall()
    assert log.core._channels == {}


async def test_every_log_has_an_id_of_its_own(clock: VirtualClock) -> None:
    """A client that meets another log knows it (D18)."""
    one, other = (MemoryLog(clock, Random(seed)) for seed in (1, 2))

    ids = {(await log.heads(["support"]))["support"].log_id for log in (one, other)}

    assert len(ids) == 2


# -- what is bounded, and how


@pytest.fixture
def short(clock: VirtualClock) -> MemoryLog:
    """A log that keeps three entries of a channel."""
    return MemoryLog(clock, Random(1), keep=3)


async def test_the_oldest_entries_go_and_the_floor_rises(short: MemoryLog, clock: VirtualClock) -> None:
    """What is gone is gone from pages too, and the answer says up to where (D18)."""
    await fill(short, clock, 5)

    page = await short.messages("support", limit=10)

    assert texts(page) == ["text 3", "text 4", "text 5"]
    assert (page.state.floor, page.before) == (key(2).serial, None)


async def test_ids_outlive_bodies(short: MemoryLog, clock: VirtualClock) -> None:
    """A retry of what was trimmed since is a duplicate (D20)."""
    await fill(short, clock, 5)

    assert [ack.outcome for ack in (await short.append("support", [wish(1)])).acks] == ["duplicate"]
    assert (await short.find("support", [wish(1).ident])).items == {wish(1).ident: key(1)}


async def test_a_trimmed_message_leaves_nothing_behind(short: MemoryLog) -> None:
    """Thread, name and target go with it; its later changes stay as entries."""
    root = wish(1)
    await short.append("support", [root, wish(2, thread=root), wish(1, user="bob")])
    await short.append("support", [change(4, "message.delete", wish(1)), wish(5), wish(6)])

    assert (await short.get("support", [message_id(1)])).items == ()
    assert (await short.messages("support", thread=root.ident, limit=10)).items == ()
    (late,) = (await short.append("support", [change(7, "reaction.add", root)])).acks
    assert late.outcome == "refused"
    projection = short.core._channels["support"].projection
    assert len(projection.all.stamps) == len(projection._folds) == len(projection._texts)
    assert (projection._threads, projection._roots) == ({}, {})


async def test_a_thread_survives_its_trimmed_root(short: MemoryLog) -> None:
    """Replies stay readable; one id of two users goes alone."""
    root = wish(1)
    await short.append("support", [root, wish(1, user="bob"), wish(3, thread=root), wish(4, thread=root)])

    assert texts(await short.messages("support", thread=root.ident, limit=10)) == ["text 3", "text 4"]
    assert [item.ident.user for item in (await short.get("support", [message_id(1)])).items] == ["bob"]


async def test_what_is_trimmed_by_its_own_delete_is_erased_no_more(clock: VirtualClock) -> None:
    """A delete may be the entry that pushes its target out."""
    log = MemoryLog(clock, Random(1), keep=1)
    created = wish(1)
    await log.append("support", [created])

    (ack,) = (await log.append("support", [change(2, "message.delete", created)])).acks

    assert ack.outcome == "new"
    assert (await log.messages("support", limit=10)).items == ()


async def test_an_older_edit_below_the_floor_is_not_looked_for(short: MemoryLog) -> None:
    """Erasing takes what is still kept."""
    created = wish(1)
    edit = change(3, "message.update", created)
    await short.append("support", [created, wish(2), edit])

    (ack,) = (await short.append("support", [change(4, "message.delete", created)])).acks

    assert ack.outcome == "new"
    entries = (await short.entries("support", after=None, limit=10)).items
    assert [text_of(item.data) for item in entries] == ["text 2", None, None]
    await short.append("support", [wish(5), wish(6)])
    assert texts(await short.messages("support", limit=10)) == ["text 5", "text 6"]


def test_a_log_keeps_at_least_one_entry(clock: VirtualClock) -> None:
    """A bound of nothing is a mistake."""
    with pytest.raises(ConfigError, match="keep"):
        MemoryLog(clock, Random(1), keep=0)


async def test_the_oldest_ids_lanes_and_refusals_are_forgotten(
    log: MemoryLog, monkeypatch: pytest.MonkeyPatch, clock: VirtualClock
) -> None:
    """The fence is bounded, and says how far back it can swear (D10, I10)."""
    for bound in ("IDS", "LANES", "REFUSALS"):
        monkeypatch.setattr(f"chatkit.logs.fence.{bound}", 2)
    missing = wish(99, device="device8")
    early = change(50, "reaction.add", missing, device="device9")
    await log.append("support", [early])
    for number in range(1, 5):
        await log.append("support", [wish(number, device=f"device{number}")])
        await log.append("support", [change(50 + number, "reaction.add", missing, device="device9")])
        clock.advance(1)
    await log.append("support", [missing])

    found = await log.find("support", [wish(1).ident, wish(4).ident])

    assert set(found.items) == {wish(4).ident}
    assert found.reaches == clock.wall() - timedelta(seconds=2)
    answers = (await log.append("support", [early, wish(6, device="device1", seq=1)])).acks
    assert [ack.outcome for ack in answers] == ["new", "new"]


# -- listening


def test_a_listener_hears_of_appends_from_other_threads(log: MemoryLog) -> None:
    """The log is one for all threads and loops of the process (D16)."""

    async def listen() -> str:
        changes = log.changes()
        assert await anext(changes) == ""
        writer = threading.Thread(target=asyncio.run, args=(log.append("support", [wish(1)]),))
        writer.start()
        async with asyncio.timeout(30):
            heard = await anext(changes)
        writer.join()
        assert isinstance(changes, AsyncGenerator)
        await changes.aclose()
        return heard

    assert asyncio.run(listen()) == "support"
    assert log.core.listeners._told == {}


def test_a_listener_whose_loop_is_gone_stops_nobody(log: MemoryLog) -> None:
    """Whoever appends does not pay for those who left without a word."""

    async def listen() -> AsyncIterator[str]:
        changes = log.changes()
        assert await anext(changes) == ""
        return changes

    loop = asyncio.new_event_loop()
    changes = loop.run_until_complete(listen())
    loop.close()

    answer = asyncio.run(log.append("support", [wish(1)]))

    assert answer.acks[0].outcome == "new"
    assert isinstance(changes, AsyncGenerator)
    asyncio.run(changes.aclose())


async def test_what_was_appended_twice_meanwhile_is_told_once(log: MemoryLog) -> None:
    """A reader who is slow owes no memory but a name for each channel (I10)."""
    changes = log.changes()
    assert await anext(changes) == ""
    for number in range(1, 10):
        await log.append("support", [wish(number)])
    await log.append("support", [wish(1)])  # a duplicate is no news
    await log.append("sales", [wish(10, channel="sales")])

    assert [await anext(changes), await anext(changes)] == ["support", "sales"]
    assert isinstance(changes, AsyncGenerator)
    await changes.aclose()


async def test_nothing_is_left_of_what_was_trimmed(log: MemoryLog) -> None:
    """No thread, face, version or name of it (I10)."""
    root = wish(1)
    await log.append("support", [root, wish(2, thread=root), wish(1, user="bob")])
    await log.append("support", [change(4, "message.update", root), change(5, "message.delete", root)])

    await log.trim("support", key(9))

    projection = log.core._channels["support"].projection
    kept = (projection._folds, projection._faces, projection._texts, projection._changes)
    assert [*kept, projection._threads, projection._roots, projection._by_id] == [{}] * 7
    assert (projection.all.stamps, projection.all.idents) == ([], [])


async def test_all_ids_go_in_the_end(log: MemoryLog, clock: VirtualClock) -> None:
    """Of a channel that was trimmed of everything long ago nothing is known, and it says so (D10, D20)."""
    await log.append("support", [wish(1)])
    await log.trim("support", key(9))
    came = clock.wall()
    clock.advance(timedelta(days=401).total_seconds())

    await log.trim("support", key(9))

    found = await log.find("support", [wish(1).ident])
    assert (found.items, found.reaches) == ({}, came)
    assert found.state.head == key(1).serial
