"""Reading a log: heads, raw entries, pages of messages, finding ids (D18, D24, D26)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from chatkit.errors import CapabilityError, ConfigError
from chatkit.logs.memory import MemoryLog
from chatkit.model.order import Ident, OrderKey
from chatkit.model.registers import Register
from chatkit.ports.log import Messages
from chatkit.testing.clock import VirtualClock
from tests.logs.wishes import change, message_id, text_of, wish


def key(number: int) -> OrderKey:
    return OrderKey(1, f"{number:020d}")


def texts(page: Messages) -> list[str | None]:
    return [text_of(item.data) for item in page.items]


async def fill(log: MemoryLog, clock: VirtualClock, count: int) -> None:
    """Append messages a second apart."""
    for number in range(1, count + 1):
        await log.append("support", [wish(number)])
        clock.advance(1)


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


async def test_entries_are_read_forward(log: MemoryLog, clock: VirtualClock) -> None:
    """From a place, oldest first, with word of whether more follow (D24)."""
    await fill(log, clock, 5)

    first = await log.entries("support", after=None, limit=3)
    rest = await log.entries("support", after=first.items[-1].stamp.key, limit=3)

    assert [text_of(item.data) for item in first.items] == ["text 1", "text 2", "text 3"]
    assert first.more
    assert [text_of(item.data) for item in rest.items] == ["text 4", "text 5"]
    assert not rest.more


async def test_entries_are_read_since_a_time(log: MemoryLog, clock: VirtualClock) -> None:
    """A time is a place: strictly after it."""
    start = clock.wall()
    await fill(log, clock, 3)

    found = await log.entries("support", after=start + timedelta(seconds=1), limit=10)

    assert [text_of(item.data) for item in found.items] == ["text 3"]


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
        ({"after": key(1), "before": key(5)}, [3, 4], 3, 4),
    ],
    ids=["newest", "before", "oldest", "after", "end", "around", "around-oldest", "between"],
)
async def test_pages(
    log: MemoryLog,
    clock: VirtualClock,
    places: dict[str, Any],
    shown: list[int],
    before: int | None,
    after: int | None,
) -> None:
    """A page ascends and says where older and newer messages lie, or that there are none."""
    await fill(log, clock, 5)

    page = await log.messages("support", limit=2, **places)

    assert texts(page) == [f"text {number}" for number in shown]
    assert page.before == (key(before) if before else None)
    assert page.after == (key(after) if after else None)
    assert not page.provisional
    assert page.as_of == key(5)


async def test_times_are_places_of_pages(log: MemoryLog, clock: VirtualClock) -> None:
    """Before, after and around a moment."""
    start = clock.wall()
    await fill(log, clock, 5)
    moment = start + timedelta(seconds=2)

    assert texts(await log.messages("support", before=moment, limit=9)) == ["text 1", "text 2"]
    assert texts(await log.messages("support", after=moment, limit=9)) == ["text 4", "text 5"]
    assert texts(await log.messages("support", around=moment, limit=3)) == ["text 2", "text 3", "text 4"]


async def test_an_empty_page_still_says_what_lies_around_it(log: MemoryLog, clock: VirtualClock) -> None:
    """Going back from behind the newest, or on from before the oldest, gives all of it."""
    await fill(log, clock, 3)

    every = ["text 1", "text 2", "text 3"]
    behind = await log.messages("support", after=key(3), limit=2)
    ahead = await log.messages("support", before=key(1), limit=2)

    assert behind.items == ahead.items == ()
    assert behind.after is None
    assert texts(await log.messages("support", before=behind.before, limit=9)) == every
    assert ahead.before is None
    assert texts(await log.messages("support", after=ahead.after, limit=9)) == ["text 1", "text 2", "text 3"]


async def test_an_empty_page_in_the_middle_divides_what_there_is(log: MemoryLog, clock: VirtualClock) -> None:
    """Nothing lies between two neighbours, and both directions go on from there."""
    await fill(log, clock, 3)

    between = await log.messages("support", after=key(1), before=key(2), limit=2)

    assert between.items == ()
    assert texts(await log.messages("support", before=between.before, limit=9)) == ["text 1"]
    assert texts(await log.messages("support", after=between.after, limit=9)) == ["text 2", "text 3"]


async def test_an_empty_channel_has_no_older_and_no_newer(log: MemoryLog) -> None:
    """A page of nothing ends in both directions."""
    page = await log.messages("support", limit=10)

    assert (page.items, page.before, page.after, page.as_of) == ((), None, None, OrderKey(1, ""))


async def test_pages_hold_at_most_a_thousand(log: MemoryLog) -> None:
    """A larger wish is capped, a senseless one gives one message."""
    await log.append("support", [wish(number) for number in range(1, 1003)])

    assert len((await log.messages("support", limit=5000)).items) == 1000
    assert len((await log.entries("support", after=None, limit=5000)).items) == 1000
    assert len((await log.messages("support", limit=0)).items) == 1


async def test_changes_are_folded_in(log: MemoryLog) -> None:
    """A page shows each message as it is now, not the entries that made it so (D24)."""
    created = wish(1)
    edit = change(2, "message.update", created)
    await log.append("support", [created, edit, change(3, "reaction.add", created, user="bob")])

    (found,) = (await log.messages("support", limit=10)).items

    assert text_of(found.data) == "text 1"
    assert found.edit == edit.data
    assert (found.version, found.changed, found.deleted) == (2, key(3), False)
    assert found.reactions == {"👍": ("bob",)}
    assert (found.ident, found.stamp.key, found.stamp.prev) == (created.ident, key(1), "")


async def test_a_delete_erases_the_text_everywhere(log: MemoryLog) -> None:
    """Entries and projection keep serial and tombstone, and no word of it (D26)."""
    created = wish(1)
    await log.append("support", [created, change(2, "message.update", created), wish(3)])

    await log.append("support", [change(4, "message.delete", created)])

    entries = (await log.entries("support", after=None, limit=10)).items
    assert [text_of(item.data) for item in entries] == [None, None, "text 3", None]
    assert [item.stamp.key for item in entries] == [key(number) for number in (1, 2, 3, 4)]
    (found, _) = (await log.messages("support", limit=10)).items
    assert (found.deleted, found.edit, text_of(found.data)) == (True, None, None)


async def test_what_is_written_after_a_delete_is_kept_for_a_restore(log: MemoryLog) -> None:
    """A restore brings back the message and what was written into it since, nothing older (D23, D26)."""
    created = wish(1)
    late = change(3, "message.update", created)
    await log.append("support", [created, change(2, "message.delete", created), late])

    await log.append("support", [change(4, "message.restore", created)])

    (found,) = (await log.messages("support", limit=10)).items
    assert (found.deleted, text_of(found.data), found.edit) == (False, None, late.data)


async def test_an_erased_message_is_still_known(log: MemoryLog) -> None:
    """A late retry of what was deleted since is a duplicate, not a message again (D20, D26)."""
    created = wish(1)
    await log.append("support", [created, change(2, "message.delete", created)])

    (ack,) = (await log.append("support", [created])).acks

    assert (ack.outcome, ack.key) == ("duplicate", key(1))


async def test_threads_are_counted_and_read_alone(log: MemoryLog) -> None:
    """A thread is the replies to its root; the root says how many there are (D24)."""
    root = wish(1)
    await log.append("support", [root, wish(2, thread=root), wish(3), wish(4, thread=root)])

    thread = await log.messages("support", thread=root.ident, limit=10)
    everything = await log.messages("support", limit=10)

    assert texts(thread) == ["text 2", "text 4"]
    assert texts(everything) == ["text 1", "text 2", "text 3", "text 4"]
    assert [(item.replies, item.last_reply) for item in everything.items] == [
        (2, key(4)),
        (0, None),
        (0, None),
        (0, None),
    ]


async def test_messages_are_got_by_name(log: MemoryLog) -> None:
    """By user and id, or by a bare id that may be several users'; unknown ones are left out (D1)."""
    await log.append("support", [wish(1), wish(2), wish(1, user="bob")])

    by_ident = await log.get("support", [wish(2).ident, Ident("ada", message_id(9)), wish(1).ident])
    by_id = await log.get("support", [message_id(1), message_id(9)])

    assert [item.ident for item in by_ident.items] == [wish(1).ident, wish(2).ident]
    assert [item.ident.user for item in by_id.items] == ["ada", "bob"]


async def test_ids_are_found_wherever_they_are(log: MemoryLog) -> None:
    """Of every kind, with their place; and nothing that is absent can be there (D10)."""
    created = wish(1)
    reaction = change(2, "reaction.add", created)
    await log.append("support", [created, reaction])

    found = await log.find("support", [created.ident, reaction.ident, wish(3).ident])

    assert found.items == {created.ident: key(1), reaction.ident: key(2)}
    assert found.reaches is not None
    assert found.reaches < datetime(2000, 1, 1, tzinfo=UTC)


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


# -- to come


async def test_what_is_to_come_says_so(log: MemoryLog) -> None:
    """Registers, counts, search and trimming are refused as capabilities that are not there."""
    created = wish(1)
    for call in (
        log.versions("support", created.ident),
        log.put([Register("support", "ada", "read", "1", "greatest", None)]),
        log.registers("support", ["read"]),
        log.unread("ada", ["support"]),
        log.search("word", channels=None, sender=None, before=None, limit=10),
        log.trim("support", key(1)),
    ):
        with pytest.raises(CapabilityError, match="yet"):
            await call
    assert log.capabilities == {"append", "fence", "fold", "erase"}
    await log.aclose()
