"""A log that tells of changes: heads are compared at once, not only now and then (D16)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random
from typing import TYPE_CHECKING, Any

import chatkit
from chatkit import MessageCreated
from chatkit.logs.memory import MemoryLog
from chatkit.ports import Lost
from tests.engine.kit import C, Down, OddLog, Stage, later, ready, shown, taken, texts

if TYPE_CHECKING:
    from chatkit.testing.clock import VirtualClock


class TellingLog(OddLog):
    """A log that says what a test tells it to say."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(MemoryLog(clock, Random(5)))
        self.listeners: list[asyncio.Queue[str | Exception | None]] = []

    @property
    def capabilities(self) -> Any:
        return self._log.capabilities | {"notify"}

    async def changes(self) -> AsyncIterator[str]:
        queue: asyncio.Queue[str | Exception | None] = asyncio.Queue()
        self.listeners.append(queue)
        yield ""
        while True:
            found = await queue.get()
            if found is None:
                return
            if isinstance(found, Exception):
                raise found
            yield found

    def tell(self, what: str | Exception | None) -> None:
        """Tell whoever listens now; `None`: nothing more."""
        for queue in self.listeners:
            queue.put_nowait(what)


def chat(stage: Stage, user: str, log: Any) -> chatkit.Chat:
    return stage.chat(user, log=log)


async def test_a_change_that_the_log_tells_is_read_at_once(clock: VirtualClock) -> None:
    """A message whose announcement was lost is there within seconds instead of half a minute."""
    stage, log = Stage(clock), TellingLog(clock)
    async with chat(stage, "ada", log) as ada, chat(stage, "bob", log) as bob:
        events = bob.channel(C).events(MessageCreated)
        await ready(ada, bob)
        with stage.lost():
            _ = await (await ada.channel(C).send("unannounced")).wait(timeout=5)
            _ = await ada.outbox.flush(timeout=5)

        log.tell(C)
        log.tell("somewhere else")

        assert texts(await later(events, 3)) == ["unannounced"]


async def test_changes_of_a_channel_in_step_cost_one_call(clock: VirtualClock) -> None:
    """Many hints are gathered, and no channel is read whose head is where it stands."""
    stage, log = Stage(clock), TellingLog(clock)
    async with chat(stage, "bob", log) as bob:
        events = bob.channel(C).events(MessageCreated)
        await ready(bob)
        await asyncio.sleep(5)
        log.calls.clear()

        for _ in range(100):
            log.tell(C)

        assert await later(events, 3) == []
        assert log.calls == ["heads"]


async def test_a_frame_that_came_first_makes_a_hint_needless(clock: VirtualClock) -> None:
    """The announcement mostly comes before the second is over: then nothing is asked."""
    stage, log = Stage(clock), TellingLog(clock)
    async with chat(stage, "ada", log) as ada, chat(stage, "bob", log) as bob:
        events = bob.channel(C).events(MessageCreated)
        await ready(ada, bob)
        await asyncio.sleep(5)
        log.calls.clear()

        log.tell(C)
        await asyncio.sleep(0.1)
        _ = await (await ada.channel(C).send("announced")).wait(timeout=5)

        assert texts(await later(events, 3)) == ["announced"]
        assert log.calls == ["append"]


async def test_a_log_that_ceased_to_tell_is_listened_to_again(clock: VirtualClock) -> None:
    """What it may have told meanwhile is looked for, in every channel."""
    stage, log = Stage(clock), TellingLog(clock)
    async with chat(stage, "ada", log) as ada, chat(stage, "bob", log) as bob:
        events = bob.channel(C).events(MessageCreated)
        await ready(ada, bob)
        listeners = len(log.listeners)
        log.tell(Down("the connection was lost"))
        with stage.lost():
            _ = await (await ada.channel(C).send("unheard")).wait(timeout=5)
            _ = await ada.outbox.flush(timeout=5)

        assert await taken(events) == []
        assert texts(await later(events, 5)) == ["unheard"]
        assert len(log.listeners) > listeners


async def test_a_log_that_is_down_is_asked_again_at_the_next_look(clock: VirtualClock) -> None:
    """A failed comparison is no news, and the next one follows (I6)."""
    stage, log = Stage(clock), TellingLog(clock)
    async with chat(stage, "ada", log) as ada, chat(stage, "bob", log) as bob:
        events = bob.channel(C).events(MessageCreated)
        await ready(ada, bob)
        with stage.lost():
            _ = await (await ada.channel(C).send("later")).wait(timeout=5)
            _ = await ada.outbox.flush(timeout=5)
        log.error = Down("away")
        log.tell(C)
        assert await later(events, 10) == []

        log.error = None

        assert texts(await later(events, 40)) == ["later"]


async def test_a_log_that_ends_its_word_is_listened_to_again(clock: VirtualClock) -> None:
    """An end without an error is a loss, too."""
    stage, log = Stage(clock), TellingLog(clock)
    async with chat(stage, "bob", log) as bob:
        await ready(bob)
        listeners = len(log.listeners)
        log.tell(None)
        await asyncio.sleep(3)

        assert len(log.listeners) == listeners + 1


async def test_while_a_channel_is_closed_its_log_is_read(stage: Stage) -> None:
    """Heads are compared meanwhile, each message is told once and health says what is wrong (D28)."""
    async with stage.chat("ada", staleness=10) as ada:
        stream = ada.channel(C).events(chatkit.Discontinuity, chatkit.MessageCreated)
        await ready(ada)
        await taken(stream)
        cleo = stage.peer("cleo")
        slow = chatkit.RateLimited("too many messages per second", retry_after=60.0)
        stage.hub.inject(C, Lost(C, slow, "later", 60.0))
        await asyncio.sleep(0.01)
        with stage.lost():
            cleo.say("meanwhile")

        assert texts(await later(stream, 20)) == ["meanwhile"]
        assert ada.channel(C).state == "suspended"
        assert ada.health().status == "degraded"
        cleo.say("unheard")
        assert texts(await later(stream, 50)) == ["unheard"]
        assert ada.channel(C).state == "attached"
        cleo.say("live")
        assert texts(await later(stream, 1)) == ["live"]


async def test_while_a_channel_is_closed_what_i_send_is_told_behind_what_is_missed(stage: Stage) -> None:
    """Others have spoken before it, and nobody heard them: their log is read first (D19, D28, I6)."""
    async with stage.chat("ada", staleness=10) as ada:
        stream = ada.channel(C).events(chatkit.Discontinuity, chatkit.MessageCreated)
        await ready(ada)
        await taken(stream)
        slow = chatkit.RateLimited("too many messages per second", retry_after=60.0)
        stage.hub.inject(C, Lost(C, slow, "later", 60.0))
        await asyncio.sleep(0.01)
        cleo = stage.peer("cleo")
        with stage.lost():
            cleo.say("meanwhile")
            assert texts(await later(stream, 20)) == ["meanwhile"]

            cleo.say("missed")
            _ = await (await ada.channel(C).send("mine")).wait(timeout=5)
            assert shown(ada) == ["meanwhile", "mine"]
            heard = await later(stream, 20)

        assert [(event.message.text, event.late) for event in heard] == [("missed", False), ("mine", False)]
        assert ada.channel(C).state == "suspended"
