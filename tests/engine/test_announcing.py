"""`announce="after"`: an entry is sent at the append, and stays until receivers were told (D16)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit import MessageCreated
from chatkit.adapters.memory import Faults
from chatkit.engine import announcing
from chatkit.errors import AuthenticationError, ProviderError, RateLimited, Rejected
from chatkit.logs.memory import MemoryLog
from chatkit.testing.death import kill
from tests.engine.kit import C, Down, OddLog, Stage, counters, later, shown, taken, texts
from tests.engine.kit import ready as attached

if TYPE_CHECKING:
    from pathlib import Path

    from chatkit.testing.clock import VirtualClock


class Apart(Stage):
    """A hub that only announces, beside a log that the clients share."""

    def __init__(self, clock: VirtualClock, like: Any) -> None:
        super().__init__(clock, like=like)
        self.log = MemoryLog(clock, Random(5))

    def chat(self, user: str, /, **options: Any) -> chatkit.Chat:  # type: ignore[override]  # a log comes with it
        return super().chat(user, **{"log": self.log, **options})

    @property
    def kept(self) -> list[str]:
        """What the log holds, in order."""
        return [
            chatkit.model.envelope.Envelope.parse(entry.data).body["text"]  # type: ignore[index]
            for entry in self.log.core.entries(C, after=None, limit=1000).items
        ]


@pytest.fixture(params=["memory", "ably", "pusher"])
def apart(clock: VirtualClock, request: pytest.FixtureRequest) -> Apart:
    """Providers whose memory is not used."""
    return Apart(clock, request.param)


@contextmanager
def refusing(stage: Stage, error: Exception, count: int | None = None, **how: Any) -> Iterator[None]:
    """Refuse announcements; the log is none of the provider's."""
    stage.hub.network.refuse("ada", error, calls=("publish",), count=count, **how)
    try:
        yield
    finally:
        stage.hub.network.refuse("ada", None)


async def test_a_message_is_sent_at_the_append_and_arrives(apart: Apart) -> None:
    """It has its place from the log, and the frame that announces it is no second copy (D16)."""
    async with apart.chat("ada") as ada, apart.chat("bob") as bob:
        events = bob.channel(C).events(MessageCreated)
        own = ada.channel(C).events(MessageCreated)
        await attached(ada, bob)

        deliveries = [await ada.channel(C).send(text) for text in ("one", "two", "three")]
        sent = [await delivery.wait(timeout=5) for delivery in deliveries]

        assert [message.serial for message in sent] == [f"{n:020d}" for n in (1, 2, 3)]
        assert texts(await later(events, 1)) == texts(await taken(own)) == ["one", "two", "three"]
        assert shown(ada) == shown(bob) == apart.kept == ["one", "two", "three"]
        assert counters(bob)["duplicate"] == 0
