"""Years of real conversation, with edits, deletes and reactions that are Ably's own, beside clients without them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Final
from zlib import crc32

import pytest

from chatkit.model.order import Ident
from tests.adapters.ably.app import App
from tests.adapters.ably.test_ably_reactions import NATIVE, PLAIN
from tests.api.test_conversations import CHANNEL, CLIENTS, SAID, TAG, Everybody, Line, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    import chatkit
    from chatkit.testing.clock import VirtualClock

BACKENDS: Final = (NATIVE, PLAIN, NATIVE)
"""How those speak who speak for all users."""
AHEAD: Final = 300
"""Lines after which some of them are changed."""
EMOJIS: Final = ("👍", "🎉", "❤")


@dataclass
class Shown:
    """A line as all are to show it."""

    user: str
    text: str
    deleted: bool = False
    reactions: dict[str, list[str]] = field(default_factory=dict[str, "list[str]"])


@dataclass
class Story:
    """What everybody does, and what comes of it."""

    everybody: Everybody
    random: Random
    users: list[str]
    changed: int
    """Of so many lines as are said in a row, each in one way or several."""
    lines: dict[str, Shown] = field(default_factory=dict[str, Shown])
    by_message: set[str] = field(default_factory=set[str])
    """Lines that were changed by messages: a page of history has those alone that stand in it (D24)."""
    _idents: dict[Ident, str] = field(default_factory=dict[Ident, str])

    async def play(self, lines: Sequence[Line]) -> None:
        """Say these, and change some."""
        await self.everybody.play(iter(lines))
        said = [line for line in lines if line.kind in SAID]
        for line in said:
            self.lines[line.id] = Shown(line.user, line.text)
            self._idents[self.everybody.sent[line.id].target] = line.id
        for line in self.random.sample(said, min(self.changed, len(said))):
            message = await self.everybody.sent[line.id].wait(timeout=600)
            for deed in self.random.sample((self.edit, self.react, self.react, self.unreact, self.delete), 3):
                await deed(line, message)

    async def edit(self, line: Line, message: chatkit.Message) -> None:
        """Have the author say something else."""
        shown = self.lines[line.id]
        if not shown.deleted:
            await self.sent(
                line, line.user, await self.everybody.room(line.user).edit(message, f"{line.text} (edited)")
            )
            shown.text = f"{line.text} (edited)"

    async def delete(self, line: Line, message: chatkit.Message) -> None:
        """Have the author take it back; now and then."""
        if self.random.random() < 0.3:
            await self.sent(line, line.user, await self.everybody.room(line.user).delete(message))
            self.lines[line.id].deleted = True

    async def react(self, line: Line, message: chatkit.Message) -> None:
        """Have two react to it, through whichever clients speak for them."""
        shown = self.lines[line.id]
        for user in self.random.sample(self.users, 2):
            if not shown.deleted:
                emoji = self.random.choice(EMOJIS)
                await self.sent(line, user, await self.everybody.room(user).react(message, emoji))
                shown.reactions[emoji] = sorted({*shown.reactions.get(emoji, []), user})

    async def unreact(self, line: Line, message: chatkit.Message) -> None:
        """Have one take back what was given."""
        shown = self.lines[line.id]
        for emoji, users in sorted(shown.reactions.items())[:1]:
            if not shown.deleted:
                await self.sent(line, users[0], await self.everybody.room(users[0]).unreact(message, emoji))
                shown.reactions[emoji] = users[1:]
                if not users[1:]:
                    del shown.reactions[emoji]

    def line_of(self, message: chatkit.Message) -> str:
        """Return the line that a message is of; one that is deleted has lost what says so."""
        if not message.deleted:
            return str(message.meta[TAG])
        return self._idents[message.ident]

    async def sent(self, line: Line, user: str, delivery: chatkit.Delivery) -> None:
        """Wait until it is."""
        _ = await delivery.wait("sent", timeout=600)
        if BACKENDS[crc32(user.encode()) % CLIENTS] == PLAIN:
            self.by_message.add(line.id)


def as_shown(message: chatkit.Message) -> Shown:
    """Return what a message shows; of a deleted one nothing but that."""
    if message.deleted:
        return Shown(message.sender.user, "", deleted=True)
    reactions = {emoji: sorted(users) for emoji, users in message.reactions.items()}
    return Shown(message.sender.user, message.text, reactions=reactions)


@pytest.mark.parametrize(
    ("count", "changed"),
    [pytest.param(900, 15, marks=pytest.mark.long), pytest.param(None, 5, marks=pytest.mark.nightly)],
)
async def test_what_all_show_is_what_was_done(clock: VirtualClock, count: int | None, changed: int) -> None:
    """Each line as its author left it, with the reactions that stand, whoever gave them by what (I1, I2, I5).

    With the option and without: who was there all the time shows the newest, who comes later reads all.
    """
    lines = list(islice(read(), count))
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(App(NATIVE, clock=clock, connection_rate=0, channel_rate=0))

        async def chat(user: str, config: str) -> chatkit.Chat:
            app._config = config
            return await stack.enter_async_context(app.backend(user))

        backends = [await chat(f"backend{n}", config) for n, config in enumerate(BACKENDS)]
        readers = [await chat(f"reader{n}", config) for n, config in enumerate((NATIVE, PLAIN))]
        rooms = [reader.channel(CHANNEL) for reader in readers]
        for room in rooms:
            _ = room.timeline
            await room.attach(timeout=60)
        users = sorted({line.user for line in lines[:AHEAD]})
        story = Story(Everybody(backends, moves=False), Random(1), users, changed)
        for start in range(0, len(lines), AHEAD):
            await story.play(lines[start : start + AHEAD])
        await asyncio.sleep(60)
        expected = {
            id: Shown(shown.user, "", deleted=True) if shown.deleted else shown
            for id, shown in story.lines.items()
        }

        for room in rooms:
            shown = {story.line_of(m): as_shown(m) for m in room.timeline.view.messages}
            assert len(shown) >= min(len(expected) // 4, 400)
            assert shown == {id: expected[id] for id in shown}
        natively = expected.keys() - story.by_message
        for config in (NATIVE, PLAIN):
            late = (await chat("late", config)).channel(CHANNEL)
            read_later = {story.line_of(m): m async for m in late.scan()}
            assert read_later.keys() == expected.keys()
            # What a message of a newer page changes is not in an older one, which says so.
            sure = natively | {id for id, m in read_later.items() if "provisional" not in m.flags}
            assert {id: as_shown(read_later[id]) for id in sure} == {id: expected[id] for id in sure}
