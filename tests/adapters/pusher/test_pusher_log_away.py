"""A reader whose way to PostgreSQL is cut while live messages come: what it is told, and when (D16, D21, I6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

import chatkit
from chatkit.adapters.pusher.payload import EVENT
from chatkit.logs.postgres import migrate
from tests.adapters.pusher.app import PATIENCE, App, texts, until
from tests.adapters.relay import End, Relay
from tests.logs import postgres_server

pytestmark = [pytest.mark.realtime, pytest.mark.long]


class WayToPostgres(Relay):
    """A way to the database of a DSN that can be cut."""

    def __init__(self, dsn: str) -> None:
        given = conninfo_to_dict(dsn)
        self._host, self._port = str(given["host"]), int(given.get("port") or 5432)
        super().__init__(self._host, self._port)
        self.dsn = postgres_server.with_database(
            f"postgresql://{given['user']}:{given.get('password', '')}@127.0.0.1:{self.port}/postgres",
            str(given["dbname"]),
        )

    async def reach(self) -> End:
        if not self._host.startswith("/"):
            return await super().reach()
        return End(*await asyncio.open_unix_connection(f"{self._host}/.s.PGSQL.{self._port}"))


@pytest.fixture(scope="module")
def dsn(postgres: str) -> Iterator[str]:
    """The DSN of a log."""
    with postgres_server.database(postgres) as made:
        migrate(made)
        yield made


@asynccontextmanager
async def way_to(dsn: str) -> AsyncGenerator[WayToPostgres]:
    """A way to the log that is gone after the block."""
    way = WayToPostgres(dsn)
    try:
        yield way
    finally:
        await way.aclose()


class Told:
    """What a reader is told, as it is told it."""

    def __init__(self, channel: chatkit.Channel) -> None:
        self.events: list[Any] = []
        kinds = (chatkit.MessageEvent, chatkit.ReactionChanged, chatkit.Discontinuity)
        self._stream = channel.events(*kinds)

    async def follow(self) -> None:
        async for event in self._stream:
            self.events.append(event)

    @property
    def said(self) -> list[str]:
        """Each event in a word or two."""
        return [_said(event) for event in self.events]


def _said(event: Any) -> str:
    match event:
        case chatkit.Discontinuity():
            return f"gap: {event.reason}{'' if event.certain else '?'}"
        case chatkit.ReactionChanged():
            return event.emoji
        case chatkit.MessageCreated(late=True):
            return f"late: {event.message.text}"
        case chatkit.MessageCreated():
            return str(event.message.text)
        case _:
            return f"{event.message.text} (edited)"


@pytest.mark.parametrize("half_open", [False, True])
async def test_while_the_log_is_away_live_messages_are_told_and_none_twice(
    dsn: str, *, half_open: bool
) -> None:
    """All that comes is told as it comes. What is lost meanwhile is announced once, and told late, when it can be read."""
    name = f"away-{half_open}".lower()
    async with (
        way_to(dsn) as way,
        App() as app,
        app.backend("ada", log=dsn) as ada,
        app.backend("eve", log=way.dsn) as eve,
    ):
        mine, theirs = ada.channel(name), eve.channel(name)
        told, _ = Told(theirs), theirs.timeline
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(told.follow())
            await mine.attach(timeout=PATIENCE)
            await theirs.attach(timeout=PATIENCE)
            first = await (await mine.send("before")).wait("sent", timeout=PATIENCE)
            await until(lambda: told.said == ["before"], "it is told")

            way.cut(half_open=half_open)
            for number in range(5):
                _ = await mine.send(f"live {number}")
            _ = await mine.react(first, "👍")
            _ = await mine.edit(first, "before!")
            live = [*(f"live {number}" for number in range(5)), "👍", "before! (edited)"]
            await until(lambda: told.said == ["before", *live], "all that comes is told, without a gap")

            lost = app.record(EVENT, "is lost")
            _ = await (await mine.send("this is lost")).wait("sent", timeout=PATIENCE)
            await until(lambda: len(lost) == 2, "neither hears it")
            _ = await mine.send("after it")
            await until(lambda: told.said[8:] == ["after it", "gap: unread?"], "a gap is announced")
            unsent = await theirs.send("from eve")
            _ = await mine.send("and more")
            await until(lambda: told.said[10:] == ["and more"], "and live goes on")
            assert unsent.status in ("queued", "sending")

            way.heal()
            await until(lambda: "from eve" in told.said, "what eve said is in the log")
            await until(lambda: "late: this is lost" in told.said, "what was lost is told")
            assert sorted(told.said[11:]) == ["from eve", "late: this is lost"]
            in_order = ["before!", *live[:5], "this is lost", "after it", "and more", "from eve"]
            await until(lambda: texts(theirs) == texts(mine) == in_order, "both show all, in order")
            gap = told.events[9]
            assert gap.after == told.events[7].cursor  # from there on something may be missing
            assert theirs.timeline.view.state == "live"

            # Whoever comes back with the last cursor is told nothing again.
            _ = await (await mine.send("the end")).wait("sent", timeout=PATIENCE)
            await until(lambda: told.said[-1] == "the end", "live goes on")
            assert len(told.said) == 14
            following.cancel()
