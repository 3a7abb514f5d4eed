"""Years of real conversation through a few clients: what the log holds is what went in (I1, I2, I4, I5)."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zlib import crc32

import pytest

import chatkit
from chatkit.model.envelope import Envelope
from tests.engine.kit import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chatkit.adapters.memory import Like
    from chatkit.ports import Log
    from chatkit.testing.clock import VirtualClock

FILE: Final = Path(__file__).parents[1] / "data" / "ubuntu-irc.jsonl.gz"
CHANNEL: Final = "ubuntu"
CLIENTS: Final = 3
"""Backends that speak for all users; each user through the same one."""
AHEAD: Final = 300
"""Lines after which the outboxes are emptied."""
SAID: Final = frozenset({"message", "action"})
"""Kinds of line that are said; the others, joins, leaves and renames, are presence, of which no log keeps anything."""
BUSY: Final = 5
"""Threads that are read whole at the end: those of the most replies."""
PATIENCE: Final = 600
"""Minutes after which everybody is there who came: some providers are told of five in half a minute."""
TAG: Final = "line"
"""Names the line in `meta`: it tells two copies of one from two lines that say the same."""


class Line(NamedTuple):
    """One line of the file."""

    id: str
    kind: str
    user: str
    text: str
    answers: str | None
    """The first of the lines it answers that was said."""
    root: str | None
    """The line that its thread is under; threads have no threads."""


class Written(NamedTuple):
    """A line as it is in the log."""

    user: str
    text: str
    answers: str | None
    root: str | None


def read() -> Iterator[Line]:
    """Give all that happened, in order."""
    roots: dict[str, str] = {}
    with gzip.open(FILE, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            answers = next((id for id in row["reply_to"] if id in roots), None)
            root = None if answers is None else roots[answers]
            if row["kind"] in SAID:
                roots[row["id"]] = root or row["id"]
            yield Line(row["id"], row["kind"], row["user"], row["text"], answers, root)


@dataclass
class Everybody:
    """All users of the conversation, over a few clients."""

    backends: Sequence[chatkit.Chat]
    sent: dict[str, chatkit.Delivery] = field(default_factory=dict)
    """By line."""
    moves: bool = True
    """They come and go as the lines say."""
    present: set[str] = field(default_factory=set)
    """Who came and did not leave."""

    async def play(self, lines: Iterator[Line]) -> None:
        """Have everybody do what the lines say, in their order."""
        for number, line in enumerate(lines, 1):
            if line.kind in SAID:
                await self.say(line)
            elif self.moves:
                await self.move(line)
            if number % AHEAD == 0:
                await self.settle()
        await self.settle()

    async def say(self, line: Line) -> None:
        """Send a line; an answer in the thread of what it answers, once that was accepted."""
        room, meta = self.room(line.user), {TAG: line.id}
        if line.answers is None:
            self.sent[line.id] = await room.send(line.text, meta=meta)
            return
        answered = await self.sent[line.answers].wait(timeout=600)
        thread = room.thread(answered)
        self.sent[line.id] = await thread.send(line.text, reply_to=answered, meta=meta)

    async def move(self, line: Line) -> None:
        """Come, go, or come back under another name."""
        if line.kind != "join":
            self.present.discard(line.user)
            await self.room(line.user).presence.leave()
        if line.kind != "leave":
            user = line.user if line.kind == "join" else line.text
            self.present.add(user)
            await self.room(user).presence.enter()

    async def settle(self) -> None:
        """Wait until all is sent that was said."""
        for backend in self.backends:
            report = await backend.outbox.flush(timeout=600)
            assert (report.queued, report.failed) == (0, 0)

    def room(self, user: str) -> chatkit.Channel:
        """Return the channel as a user sees it: for a moment, as backends speak for very many."""
        backend = self.backends[crc32(user.encode()) % len(self.backends)]
        return backend.as_user(user).channel(CHANNEL)


async def written(log: Log) -> dict[str, Written]:
    """Return what the log holds, by line, in its order; a line that stands twice fails."""
    lines: dict[str, str] = {}
    found: dict[str, Written] = {}
    after: Any = None
    while True:
        page = await log.entries(CHANNEL, after=after, limit=1_000)
        for entry in page.items:
            envelope = Envelope.parse(entry.data)
            line = (envelope.meta or {})[TAG]
            assert envelope.kind == "message.create"
            assert line not in found
            lines[envelope.id] = line
            answers = None if envelope.ref is None else lines[envelope.ref.id]
            root = None if envelope.thread is None else lines[envelope.thread.id]
            found[line] = Written(entry.stamp.user, str((envelope.body or {})["text"]), answers, root)
        if not page.more:
            return found
        after = page.items[-1].stamp.key


def by_user(lines: Mapping[str, Written]) -> dict[str, list[str]]:
    """Return the lines of each user, in order."""
    found: dict[str, list[str]] = {}
    for id, line in lines.items():
        found.setdefault(line.user, []).append(id)
    return found


async def assembled(room: chatkit.Channel, users: set[str]) -> set[str]:
    """Return who is there as soon as it is these users, or in the end."""
    there: set[str] = set()
    for _ in range(PATIENCE):
        there = {who.user for who in room.presence.members.values() if who.status != "offline"}
        if there == users:
            break
        await asyncio.sleep(60)
    return there


@pytest.mark.parametrize(
    ("like", "count"),
    [
        ("memory", 150),
        pytest.param("memory", 5_000, marks=pytest.mark.long),
        pytest.param("memory", None, marks=pytest.mark.nightly),
        pytest.param("supabase", None, marks=pytest.mark.nightly),
        pytest.param("ably", None, marks=pytest.mark.nightly),
        pytest.param("pusher", None, marks=pytest.mark.nightly),
    ],
)
async def test_what_the_log_holds_is_what_went_in(
    clock: VirtualClock, tmp_path: Path, like: Like, count: int | None
) -> None:
    """Each line once, its author's, word for word, an answer in its thread; each user's in their order.

    A reader who is there is told each line once, and shows the newest.
    """
    stage = Stage(clock, like=like)
    options: dict[str, Any] = {}
    if like == "pusher":  # it has none of its own
        options["log"] = f"sqlite:///{tmp_path}/log.db"
    elif (
        like == "ably"
    ):  # an account that keeps what is said: two minutes would be over before the conversation
        options["config"] = {"history": 72 * 3_600.0}
    went_in = {
        line.id: Written(line.user, line.text, line.answers, line.root)
        for line in islice(read(), count)
        if line.kind in SAID
    }
    async with AsyncExitStack() as stack:
        chats = [
            await stack.enter_async_context(stage.chat(f"backend{n}", **options)) for n in range(CLIENTS)
        ]
        reader = await stack.enter_async_context(stage.chat("reader", **options))
        watched = reader.channel(CHANNEL)
        told: Counter[str] = Counter()

        @watched.on(chatkit.MessageCreated)
        async def _(event: chatkit.MessageCreated) -> None:
            told[event.message.meta[TAG]] += 1

        await watched.attach(timeout=60)
        # Ably takes 200 members; on Pusher each client enters for its own user alone.
        everybody = Everybody(chats, moves=like in {"memory", "supabase"})
        await everybody.play(islice(read(), count))
        await asyncio.sleep(60)
        shown = [(m.meta[TAG], m.sender.user, m.text) for m in watched.timeline.view.messages]
        if everybody.moves:
            assert await assembled(watched, everybody.present) == everybody.present
        held = await written(reader.engine.context.need_log(CHANNEL))
        loaded = {line for line, _, _ in shown}
        threads = Counter(line.root for line in went_in.values() if line.root is not None)
        for root, replies in threads.most_common(BUSY):
            thread = watched.thread(everybody.sent[root].message)
            found = [(m.meta[TAG], m.text) async for m in thread.scan()]
            assert found == [(id, line.text) for id, line in held.items() if line.root == root]
            assert len(found) == replies
            if like != "ably":
                assert (await thread.info()).replies == replies
            elif root not in loaded:  # raw history cannot be asked for one message
                with pytest.raises(chatkit.CapabilityError, match="cannot be read by message"):
                    await thread.info()

    assert held == went_in
    assert by_user(held) == by_user(went_in)
    opened = [(id, line.user, line.text) for id, line in held.items() if line.root is None]
    assert shown == opened[-len(shown) :]
    assert len(shown) >= min(len(opened), 500)
    assert told == dict.fromkeys(went_in, 1)
