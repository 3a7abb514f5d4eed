"""A channel of Ably in which others say more than one read of history brings: nothing of ours goes missing."""

from __future__ import annotations

import asyncio

import httpx
import pytest

import chatkit
from chatkit import Discontinuity, MessageCreated
from chatkit.adapters.ably import pages, walking
from chatkit.adapters.ably.places import moment, time_of
from chatkit.testing.clock import VirtualClock
from tests.adapters.ably.app import PATIENCE, App, texts, until
from tests.adapters.ably.tokens import KEY, SECRET

CONFIG = "&namespace=persisted&history=72h"
APART = 40.0
"""Seconds between two messages: more than what is read twice."""


@pytest.fixture(autouse=True)
def _short_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """One read of history is two answers of three messages."""
    monkeypatch.setattr(pages, "PAGES", 2)
    monkeypatch.setattr(walking, "PAGE", 3)


async def crowd(app: App, count: int) -> None:
    """Have another program publish to the channel."""
    url = f"http://127.0.0.1:{app.emulator.port}/channels/persisted:support/messages"
    async with httpx.AsyncClient(trust_env=False, auth=(KEY, SECRET)) as client:
        for number in range(count):
            answer = await client.post(url, json={"name": "price", "data": str(number)})
            assert answer.status_code == 201
            await asyncio.sleep(APART)


async def say(channel: chatkit.Channel, *said: str) -> None:
    for text in said:
        _ = await (await channel.send(text)).wait("sent", timeout=PATIENCE)


async def test_what_lies_behind_the_crowd_is_read_after_an_absence(clock: VirtualClock) -> None:
    """Each read goes on where the last one ended, though it brought nothing of ours (D17, I1, I6)."""
    async with App(CONFIG, clock=clock) as app, app.backend("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        events = theirs.events(MessageCreated, Discontinuity)
        await theirs.attach(timeout=PATIENCE)
        await say(mine, "before")

        async def meanwhile() -> None:
            await crowd(app, 20)
            await say(mine, "behind the crowd")
            await crowd(app, 8)

        await app.cut_off("bob", meanwhile)
        await bob.connection.wait("connected", timeout=60)
        await say(mine, "after")

        told = [await events.next(timeout=PATIENCE) for _ in range(3)]
        assert [event.message.text for event in told if isinstance(event, MessageCreated)] == [
            "before",
            "behind the crowd",
            "after",
        ]


async def test_what_lies_before_the_crowd_is_paged_to(clock: VirtualClock) -> None:
    """A page that holds nothing of ours says that there is more, and from where on (D24, I14)."""
    async with App(CONFIG, clock=clock) as app, app.backend("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        await say(mine, "one", "two")
        await crowd(app, 20)
        await say(mine, "three")

        found = [message.text async for message in theirs.scan()]
        assert found == ["one", "two", "three"]

        await theirs.attach(timeout=PATIENCE)
        await until(lambda: texts(theirs)[-1:] == ["three"], "the newest show")
        while theirs.timeline.view.has_older:
            await theirs.timeline.load_older()
        assert texts(theirs) == ["one", "two", "three"]


async def test_what_lies_before_the_crowd_is_not_said_to_be_absent(clock: VirtualClock) -> None:
    """A look for ids says how far back it went: no farther than it was read (D10, I2)."""
    async with App(CONFIG, clock=clock) as app, app.backend("ada") as ada, app.member("bob") as bob:
        await say(ada.channel("support"), "one")
        await crowd(app, 20)
        log = bob._shared.engine.context.adapter.log
        assert log is not None
        [message] = [one async for one in bob.channel("support").scan()]

        found = await log.find("support", [message.ident])

        assert message.ident not in found.items
        said = time_of(message.serial or "")
        assert found.reaches is not None
        assert said is not None
        assert found.reaches > moment(said)
