"""What the engine makes of any log: one set of stories, told on each kind.

Each client has a log object of its own, as processes of their own would; the provider only announces. The stories
use short times, since a database answers in real time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit import Discontinuity, MessageCreated, MessageDeleted, MessageUpdated, ReactionChanged
from chatkit.adapters.memory import MemoryConfig, new_hub
from chatkit.testing.death import kill

if TYPE_CHECKING:
    from chatkit.adapters.memory import Hub
    from chatkit.ports import Clock, Log

C = "room"
ALL = (MessageCreated, MessageUpdated, MessageDeleted)
STALENESS = 1.0


@dataclass
class LogKit:
    """Clients of one hub, each with its own way to one log."""

    clock: Clock
    open: Callable[[], Log]
    """Makes another object for the same log."""
    timed: bool
    """The clock is a virtual one, and drives the clients too."""
    hub: Hub = field(init=False)
    logs: list[Log] = field(default_factory=list["Log"])
    _opened: int = 0

    def __post_init__(self) -> None:
        self.hub = new_hub("apart", clock=self.clock, random=Random(7))

    def log(self) -> Log:
        """Return a log object that is closed with the kit."""
        found = self.open()
        self.logs.append(found)
        return found

    def chat(self, user: str, /, **options: Any) -> chatkit.Chat:
        """Return a client that is not open yet."""
        self._opened += 1
        if self.timed:
            options |= {"clock": self.clock, "seed": self._opened}
        return chatkit.connect(
            MemoryConfig(hub=self.hub),
            user=user,
            log=options.pop("log", None) or self.log(),
            staleness=STALENESS,
            **options,
        )

    @asynccontextmanager
    async def closing(self) -> AsyncGenerator[None]:
        """Close what the block opened."""
        try:
            yield
        finally:
            for log in self.logs:
                await log.aclose()


async def until(done: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something is so; the assertion that follows says what was not."""
    waited = 0.0
    while not done() and waited < seconds:
        await asyncio.sleep(0.02)
        waited += 0.02


async def attached(*chats: chatkit.Chat) -> None:
    for chat in chats:
        await chat.channel(C).attach(timeout=10)


async def say(chat: chatkit.Chat, *texts: str) -> list[chatkit.Message]:
    deliveries = [await chat.channel(C).send(text) for text in texts]
    return [await delivery.wait(timeout=10) for delivery in deliveries]


def shown(chat: chatkit.Chat) -> list[str]:
    return [message.text for message in chat.channel(C).timeline.view.messages]


async def heard(stream: chatkit.Stream[Any], count: int) -> list[Any]:
    """Return the next events of a stream."""
    return [await stream.next(timeout=10) for _ in range(count)]


def texts(events: list[Any]) -> list[str]:
    return [e.message.text if isinstance(e, chatkit.MessageEvent) else type(e).__name__ for e in events]


class EngineOnLog:
    """The stories."""

    async def test_messages_are_numbered_by_the_log_and_told_once(self, kit: LogKit) -> None:
        """Two clients with their own objects for it hear everything, once, in one order (I2, I4)."""
        async with kit.closing(), kit.chat("ada") as ada, kit.chat("bob") as bob:
            await attached(ada, bob)
            streams = [chat.channel(C).events(MessageCreated) for chat in (ada, bob)]

            sent, others = await asyncio.gather(say(ada, "a1", "a2", "a3"), say(bob, "b1", "b2", "b3"))

            found = [await heard(stream, 6) for stream in streams]
            assert texts(found[0]) == texts(found[1])
            assert [e.message.serial for e in found[0]] == [f"{n:020d}" for n in range(1, 7)]
            for mine in (sent, others):
                keys = [m.key for m in mine]
                assert keys == sorted(keys, key=str)
            await until(lambda: shown(ada) == shown(bob) == texts(found[0]))
            assert shown(ada) == shown(bob) == texts(found[0])

    async def test_changes_show_on_every_client(self, kit: LogKit) -> None:
        """Edits, deletes and reactions go the same way as messages."""
        async with kit.closing(), kit.chat("ada") as ada, kit.chat("bob") as bob:
            await attached(ada, bob)
            stream = bob.channel(C).events(*ALL)
            reactions = ada.channel(C).events(ReactionChanged)
            first, second = await say(ada, "wrong", "secret")
            await (await ada.channel(C).edit(first, "right")).wait(timeout=10)
            await (await ada.channel(C).delete(second)).wait(timeout=10)
            await (await bob.channel(C).react(first.message_id, "👍")).wait(timeout=10)

            kinds = [type(e).__name__ for e in await heard(stream, 4)]
            reaction = await reactions.next(timeout=10)

            assert kinds == ["MessageCreated", "MessageCreated", "MessageUpdated", "MessageDeleted"]
            assert (reaction.user, reaction.emoji, reaction.added) == ("bob", "👍", True)
            page = await bob.channel(C).history()
            assert [(m.text, m.deleted, m.version) for m in page.items] == [
                ("", True, 2),
                ("right", False, 2),
            ]

    async def test_what_was_missed_is_read_before_what_follows(self, kit: LogKit) -> None:
        """A day offline: nothing is missing, nothing is late, nothing is announced (I6)."""
        async with kit.closing(), kit.chat("ada") as ada, kit.chat("bob") as bob:
            await attached(ada, bob)
            stream = bob.channel(C).events(MessageCreated, Discontinuity)
            await say(ada, "before")
            await heard(stream, 1)
            kit.hub.network.cut("bob")
            await say(ada, "missed 1", "missed 2")

            kit.hub.network.heal("bob")
            bob.connection.retry_now()
            await until(lambda: bob.channel(C).state == "attached")
            await say(ada, "after")

            events = await heard(stream, 3)
            assert texts(events) == ["missed 1", "missed 2", "after"]
            assert not any(event.late for event in events)

    async def test_what_nobody_announced_is_found(self, kit: LogKit) -> None:
        """Within `staleness`, by comparing heads (D16)."""
        async with kit.closing(), kit.chat("ada") as ada, kit.chat("bob") as bob:
            await attached(ada, bob)
            stream = bob.channel(C).events(MessageCreated)
            kit.hub.hold(lose=True)
            await say(ada, "unannounced")
            await ada.outbox.flush(timeout=5)
            kit.hub.release()

            assert texts(await heard(stream, 1)) == ["unannounced"]

    async def test_a_killed_client_sends_once_and_announces(self, kit: LogKit, tmp_path: Path) -> None:
        """What it had queued, what it had appended and not announced: all of it, once (I3, D16)."""
        store = tmp_path / "ada.db"
        async with kit.closing(), kit.chat("bob") as bob:
            await attached(bob)
            stream = bob.channel(C).events(MessageCreated)
            ada = await kit.chat("ada", store=store)
            kit.hub.network.cut("ada")
            (appended,) = await say(ada, "appended")
            ids = [appended.message_id]
            ids += [(await ada.channel(C).send(f"queued {n}")).message_id for n in range(20)]
            await kill(ada)
            kit.hub.network.heal("ada")

            async with kit.chat("ada", store=store) as again:
                await again.outbox.flush(timeout=10)
                assert (await again.outbox.entries()) == ()

            events = await heard(stream, 21)
            assert [event.message.message_id for event in events] == ids
            page = await bob.channel(C).history(limit=100)
            assert [message.message_id for message in reversed(page.items)] == ids

    async def test_a_key_is_one_message_in_every_process(self, kit: LogKit, tmp_path: Path) -> None:
        """From a store directory: the second send of a key ends sent, as a duplicate (D14)."""
        outbox = f"{tmp_path}/outbox/"
        async with (
            kit.closing(),
            kit.chat("ada", store=outbox) as one,
            kit.chat("ada", store=outbox) as two,
        ):
            first = await one.channel(C).send("once", key="order-17")
            second = await two.channel(C).send("once", key="order-17")

            messages = [await first.wait(timeout=10), await second.wait(timeout=10)]

            assert messages[0].message_id == messages[1].message_id
            assert messages[0].serial == messages[1].serial
            page = await one.channel(C).history()
            assert [m.text for m in page.items] == ["once"]

    async def test_a_cursor_comes_back_in_another_life(self, kit: LogKit) -> None:
        """From the log, then live, without hole or double (D17)."""
        async with kit.closing():
            async with kit.chat("bob") as bob, kit.chat("ada") as ada:
                await attached(ada, bob)
                stream = bob.channel(C).events(MessageCreated)
                await say(ada, "one", "two")
                _, second = await heard(stream, 2)
                cursor = second.cursor
            async with kit.chat("ada") as ada:
                await say(ada, "three")
            async with kit.chat("bob") as bob, kit.chat("ada") as ada:
                stream = bob.channel(C).events(MessageCreated, since=cursor)
                await attached(ada, bob)
                await say(ada, "four")

                assert texts(await heard(stream, 2)) == ["three", "four"]

    async def test_what_was_trimmed_is_told(self, kit: LogKit) -> None:
        """Readers hear from where to where nothing is kept any more (D18, D26)."""
        async with kit.closing(), kit.chat("ada") as ada, kit.chat("bob") as bob:
            await attached(ada, bob)
            stream = bob.channel(C).events(MessageCreated, Discontinuity)
            await say(ada, "before")
            (before,) = await heard(stream, 1)
            kit.hub.network.cut("bob")
            sent = await say(ada, "gone 1", "gone 2", "kept")
            assert sent[2].key is not None
            await kit.log().trim(C, sent[2].key)

            kit.hub.network.heal("bob")
            bob.connection.retry_now()
            gap, kept = await heard(stream, 2)

            assert (type(gap), gap.reason, gap.after) == (Discontinuity, "retention", before.cursor)
            assert texts([kept]) == ["kept"]
            with pytest.raises(chatkit.CursorInvalid):
                await bob.channel(C).events(MessageCreated, since=before.cursor).next(timeout=5)

    async def test_a_restored_log_is_told(self, kit: LogKit) -> None:
        """By the id that it was given anew: what it holds is read again (D18)."""
        async with kit.closing(), kit.chat("ada") as ada, kit.chat("bob") as bob:
            await attached(ada, bob)
            stream = bob.channel(C).events(MessageCreated, Discontinuity)
            await say(ada, "one")
            await heard(stream, 1)
            log: Any = kit.log()
            await log.restored()

            await say(ada, "two")

            events = await heard(stream, 1)
            assert (type(events[0]), events[0].reason) == (Discontinuity, "log_reset")
            await until(lambda: shown(bob) == ["one", "two"])
            assert shown(bob) == ["one", "two"]
            await say(ada, "three")
            while True:
                (event,) = await heard(stream, 1)
                if texts([event]) == ["three"]:
                    break

    async def test_search_asks_the_log(self, kit: LogKit) -> None:
        """Also for what this client has never seen."""
        async with kit.closing(), kit.chat("ada") as ada, kit.chat("bob") as bob:
            await say(ada, "the manual", "no hit", "the Manual again")

            page = await bob.channel(C).search("manual")

            assert [m.text for m in page.items] == ["the Manual again", "the manual"]
            assert not page.provisional
            assert [m.text for m in (await bob.search("hit")).items] == ["no hit"]

    async def test_pages_cover_everything_once_while_others_write(self, kit: LogKit) -> None:
        """Forward and backward (I14)."""
        async with kit.closing(), kit.chat("ada") as ada, kit.chat("bob") as bob:
            await say(ada, *(f"m{n}" for n in range(25)))
            writing = asyncio.ensure_future(say(ada, *(f"later {n}" for n in range(25))))
            forth = [message.text async for message in bob.channel(C).scan(limit=25)]
            await writing
            back: list[str] = []
            page = await bob.channel(C).history(limit=7)
            while True:
                back += [m.text for m in page.items]
                if page.next is None:
                    break
                page = await bob.channel(C).history(before=page.next, limit=7)

            assert forth == [f"m{n}" for n in range(25)]
            assert back[::-1] == [*forth, *(f"later {n}" for n in range(25))]
