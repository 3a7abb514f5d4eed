"""A channel goes out as lines of JSON and comes in again, equal, as often as one likes."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from chatkit.errors import ConfigError
from chatkit.logs import open_log
from chatkit.logs.memory import MemoryLog
from chatkit.logs.transcript import Importer, export_entries, export_messages, import_lines
from chatkit.testing.wishes import change, wish

if TYPE_CHECKING:
    from chatkit.ports.log import Log
    from chatkit.testing.clock import VirtualClock

EDITED = {"type": "text", "text": "edited"}
CORPUS = Path(__file__).parents[1] / "data" / "ubuntu-irc.jsonl.gz"


def corpus(limit: int) -> list[dict[str, Any]]:
    with gzip.open(CORPUS, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in islice(lines, limit)]


@asynccontextmanager
async def a_log(kind: str, clock: VirtualClock, tmp_path: Path, name: str = "log") -> AsyncGenerator[Log]:
    url = f"sqlite:///{tmp_path}/{name}.db"
    log: Log = (
        MemoryLog(clock, Random(1))
        if kind == "memory"
        else open_log(url, clock=clock, random=Random(1), durability="process", inline=True)
    )
    try:
        yield log
    finally:
        await log.aclose()


async def put(log: Log, lines: Sequence[dict[str, Any]], channel: str = "ubuntu") -> Importer:
    return await import_lines(log, channel, list(enumerate(lines, 1)), name="file")


async def messages(log: Log, channel: str = "ubuntu") -> list[dict[str, Any]]:
    return [line async for line in export_messages(log, channel)]


async def entries(log: Log, channel: str = "ubuntu") -> list[dict[str, Any]]:
    return [line async for line in export_entries(log, channel)]


SIZES = pytest.mark.parametrize(
    "size", [pytest.param(5_000, marks=pytest.mark.long), pytest.param(32_154, marks=pytest.mark.nightly)]
)
"""Of the conversations that go through a log: a beginning, and all there is."""
KINDS = pytest.mark.parametrize("kind", ["memory", "sqlite"])


@pytest.mark.long
@KINDS
async def test_real_conversations_come_out_as_they_went_in(
    kind: str, clock: VirtualClock, tmp_path: Path
) -> None:
    """Replies, actions, joins and renames too; a second time changes nothing."""
    lines = corpus(1_200)
    async with a_log(kind, clock, tmp_path) as log:
        first = await put(log, lines)
        second = await put(log, lines)

        assert first.counts == {"new": 1_200}
        assert second.counts == {"duplicate": 1_200}
        assert await messages(log) == lines


@SIZES
async def test_real_talk_comes_out_of_a_file_as_it_went_in(
    clock: VirtualClock, tmp_path: Path, size: int
) -> None:
    """Thousands of lines, equal to the last."""
    lines = corpus(size)
    assert len(lines) == size
    async with a_log("sqlite", clock, tmp_path) as log:
        await put(log, lines)

        assert await messages(log) == lines


@KINDS
async def test_an_import_that_broke_off_goes_on(kind: str, clock: VirtualClock, tmp_path: Path) -> None:
    """What is there is passed over, what follows comes behind it, in order."""
    lines = corpus(300)
    async with a_log(kind, clock, tmp_path) as log:
        await put(log, lines[:130])

        again = await put(log, lines)

        assert again.counts == {"duplicate": 130, "new": 170}
        assert await messages(log) == lines


@KINDS
async def test_entries_are_copied_with_all_that_changed_them(
    kind: str, clock: VirtualClock, tmp_path: Path
) -> None:
    """Edits, reactions and tombstones of one log are those of the copy; text that was deleted is in neither (D26)."""
    first, second = wish(1), wish(2)
    async with a_log(kind, clock, tmp_path, "one") as log, a_log(kind, clock, tmp_path, "two") as copy:
        await log.append("support", [first, second, wish(3)])
        await log.append("support", [change(4, "message.update", first, body=EDITED)])
        await log.append("support", [change(5, "message.delete", second)])
        await log.append("support", [change(6, "reaction.add", first)])
        lines = await entries(log, "support")

        done = await put(copy, lines, "support")

        assert done.counts == {"new": 6}
        assert "text 2" not in json.dumps(lines)
        theirs, mine = [await one.messages("support", limit=10) for one in (log, copy)]
        assert [(m.ident, m.version, m.deleted, m.reactions) for m in mine.items] == [
            (m.ident, m.version, m.deleted, m.reactions) for m in theirs.items
        ]
        assert [line["envelope"] for line in await entries(copy, "support")] == [
            line["envelope"] for line in lines
        ]
        assert (await put(copy, lines, "support")).counts == {"duplicate": 6}


@KINDS
async def test_an_export_shows_messages_as_they_are_now(
    kind: str, clock: VirtualClock, tmp_path: Path
) -> None:
    """Edits folded in, deleted ones left out, other bodies than text as they are."""
    first, second = wish(1), wish(2)
    async with a_log(kind, clock, tmp_path) as log:
        await log.append("support", [first, second])
        await log.append("support", [change(3, "message.update", first, body=EDITED)])
        await log.append("support", [change(4, "message.delete", second)])
        card = {"id": "7", "user": "bob", "body": {"type": "card", "title": "Order 17", "fields": {}}}
        await put(log, [card], "support")

        found = await messages(log, "support")

        assert [(line["user"], line["text"]) for line in found] == [("ada", "edited"), ("bob", "")]
        assert found[1]["body"] == card["body"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ({"text": "x"}, "`id` or `user`"),
        ({"user": "ada", "id": 7, "text": "x"}, "`id` or `user`"),
        ({"user": "ada"}, "`text` is missing"),
        ({"user": "ada", "text": 7}, "`text` is not text"),
        ({"user": "ada", "text": "x", "body": []}, "`body` is no object"),
        ({"user": "ada", "text": "x", "at": "yesterday"}, "`at`"),
        ({"user": "ada", "text": "x", "at": 7}, None),
        ({"user": "ada", "text": "x", "reply_to": [7]}, "`reply_to`"),
        ({"user": "ada", "text": "x", "mood": "good"}, "would be lost"),
        ({"user": "", "text": "x"}, "sender.user"),
        ({"user": "ada", "text": "x", "id": "i" * 2_000}, "meta"),
        ({"envelope": 7}, "`envelope`"),
        ({"envelope": {"v": 1}}, "id"),
    ],
)
async def test_a_line_that_says_too_little_or_too_much_is_named(
    clock: VirtualClock, tmp_path: Path, line: dict[str, Any], problem: str | None
) -> None:
    """By file and number, nothing of its text; what stood before it is in the log."""
    if problem is None:
        line, problem = {**line, "at": "2026-01-01T12:00:00"}, "`at`"
    async with a_log("memory", clock, tmp_path) as log:
        good = {"user": "ada", "text": "good"}
        with pytest.raises(ConfigError) as caught:
            await put(log, [good, line, good])

        assert str(caught.value).startswith("file:2: ")
        assert problem in str(caught.value)
        assert caught.value.hint
        assert [found["text"] for found in await messages(log)] == ["good"]


async def test_what_the_log_refuses_is_counted_and_named(clock: VirtualClock, tmp_path: Path) -> None:
    """A change whose message is not there; the others go in."""
    async with a_log("memory", clock, tmp_path) as log:
        orphan = json.loads(change(2, "message.delete", wish(1)).data)

        done = await put(log, [{"envelope": orphan}, {"user": "ada", "text": "fine"}], "support")

        assert done.counts == {"refused": 1, "new": 1}
        assert done.refusals[0].startswith(orphan["id"])
