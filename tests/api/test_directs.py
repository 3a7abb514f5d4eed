"""Direct channels: two users, one name, and hearing of a first message (D31)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit import MessageCreated
from chatkit.logs.memory import MemoryLog
from chatkit.model.registers import Register
from tests.engine.kit import Stage, later, texts

if TYPE_CHECKING:
    from chatkit.adapters.memory import Like
    from chatkit.testing.clock import VirtualClock

LIKES: tuple[Like, ...] = ("memory", "supabase", "ably", "pusher")
AB = "dm.ada.bob"
LONG = "é" * 60
"""Takes more bytes than a name has room for."""


@dataclass
class Directs(Stage):
    """A stage whose clients may share a log of their own."""

    log: MemoryLog | None = None

    def chat(self, user: str, /, **options: Any) -> chatkit.Chat:
        return super().chat(user, log=self.log, **options)


@pytest.fixture
def stage(clock: VirtualClock) -> Directs:
    """A hub and a clock."""
    return Directs(clock)


@pytest.fixture(params=[*LIKES, *(f"{like}+log" for like in LIKES)])
def each(clock: VirtualClock, request: pytest.FixtureRequest) -> Directs:
    """A hub like each provider, with a log of the app's own and without."""
    like, _, log = request.param.partition("+")
    return Directs(clock, like=like, log=MemoryLog(clock, Random(5)) if log else None)


def remembers(stage: Directs) -> bool:
    """Whether there is a log or history."""
    return stage.like != "pusher" or stage.log is not None


async def say(chat: chatkit.Chat, other: str, *words: str) -> list[chatkit.Message]:
    """Send direct messages, and return them as sent."""
    return [await (await chat.direct(other).send(text)).wait(timeout=30) for text in words]


async def test_a_direct_channel_is_the_same_from_either_side(stage: Directs) -> None:
    """One name, and one object for it; a name of that kind is nobody's to give."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        mine, theirs = ada.direct(chatkit.User(id="bob")), bob.direct("ada")

        assert (mine.name, mine.kind, theirs.name) == (AB, "direct", AB)
        assert ada.direct("bob") is mine is ada.channels[AB]
        assert ada.as_user("bob").direct("ada").name == AB
        assert ada.direct("e\u0301va").name == ada.direct("\u00e9va").name
        for name in (AB, "u.ada"):
            with pytest.raises(chatkit.InvalidMessage, match="reserved"):
                ada.channel(name)
        for user in ("", "*", "a\nb"):
            with pytest.raises(chatkit.InvalidMessage):
                ada.direct(user)


async def test_marks_of_a_third_are_not_shown(stage: Directs) -> None:
    """The log keeps no register of theirs; where the name does not tell, nobody is shown it."""
    async with stage.chat("ada") as ada, stage.chat(LONG) as bob:
        await ada.direct(LONG).attach(timeout=10)
        (message,) = await say(ada, LONG, "hello")
        name = ada.direct(LONG).name
        log: Any = ada.engine.context.log
        mark = Register(name, "mallory", "read", message.message_id, "greatest", message.key)
        await log.put([mark])
        with pytest.raises(chatkit.InvalidMessage):
            await log.put([mark._replace(channel=AB)])
        await bob.direct("ada").attach(timeout=10)
        await bob.direct("ada").receipts.mark_read(message)
        await asyncio.sleep(5)
        assert ada.direct(LONG).receipts.read_by(message) == {LONG}


async def test_two_talk_on_every_provider(each: Directs) -> None:
    """What one says the other hears, edits and all, and it is read later where it is remembered."""
    async with each.chat("ada") as ada, each.chat("bob") as bob:
        mine, theirs = ada.direct("bob"), bob.direct("ada")
        heard = theirs.events(MessageCreated)
        await mine.attach(timeout=10)
        await theirs.attach(timeout=10)
        (message,) = await say(ada, "bob", "hello")
        await (await mine.edit(message, "good day")).wait(timeout=10)
        assert texts(await later(heard, 3)) == ["hello"]
        assert [shown.text for shown in theirs.timeline.view.messages] == ["good day"]
        if remembers(each):
            assert [found.text for found in (await theirs.history()).items] == ["good day"]


@pytest.mark.parametrize("like", ["memory", "ably"])
async def test_direct_and_personal_channels_are_their_users_to_read(clock: VirtualClock, like: Like) -> None:
    """A credential of one user reads neither those of others; theirs it may write invitations to."""
    stage = Directs(clock, like=like)
    alone = {"config": {"trusted": False}}
    async with stage.chat("ada", **alone) as ada, stage.chat("bob", **alone) as bob:
        await say(ada, "bob", "secret words")
        assert len((await bob.direct("ada").history()).items) == 1
        async with stage.chat("eve", **alone) as eve:
            for name in (AB, "u.bob"):
                await stage_refuses(eve, name)
            if like == "memory":
                assert (await eve.search("secret")).items == ()
                assert len((await ada.search("secret")).items) == 1
                log: Any = eve.engine.context.log
                for call in (
                    log.get(AB, ["id"]),
                    log.versions(AB, ("ada", "id")),
                    log.registers(AB, ["read"]),
                    log.unread("eve", [AB]),
                    log.search("secret", channels=[AB], limit=1),
                ):
                    with pytest.raises(chatkit.NotAllowed):
                        await call


async def stage_refuses(chat: chatkit.Chat, name: str) -> None:
    """A channel can be neither attached nor read."""
    await chat.connection.wait(timeout=10)
    log: Any = chat.engine.context.log
    session: Any = chat.engine.session
    with pytest.raises(chatkit.NotAllowed):
        await session.attach(name, None, presence=False)
    with pytest.raises(chatkit.NotAllowed):
        await log.entries(name, after=None, limit=1)
    with pytest.raises(chatkit.NotAllowed):
        await log.messages(name, limit=1)
