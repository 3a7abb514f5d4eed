"""What Supabase's own client for Python does wrong, told to chatkit in the same words: it does none of it.

That `realtime` 2.34.1 does so is shown by `tests/official/supabase/python/cases_failures.py`. Time is virtual,
sockets and PostgreSQL are real.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import chatkit
from chatkit import Discontinuity, MessageCreated
from chatkit.adapters.supabase.joining import JOIN
from chatkit.adapters.supabase.session import BEAT, ECHO
from chatkit.testing.clock import VirtualClock
from chatkit.testing.emulators.supabase import Aim, Fault
from tests.adapters.lives import told
from tests.adapters.supabase.app import PATIENCE, until
from tests.adapters.supabase.story_app import MODES, StoryApp

pytestmark = [pytest.mark.long, pytest.mark.parametrize("mode", MODES)]
RATE = "Too many messages per second"


async def test_an_exception_in_a_handler_ends_nothing(mode: str, database: str, clock: VirtualClock) -> None:
    """It is told to the app, and whatever comes next is handed on, to that handler too (I13)."""
    async with StoryApp(database, MODES[mode], clock=clock) as app:
        errors: list[Any] = []
        handled: list[str] = []
        bobs = app.member("bob", on_error=lambda *error: errors.append(error))
        async with app.member("ada") as ada, bobs as bob:
            mine, theirs = ada.channel("support"), bob.channel("support")

            @theirs.on(MessageCreated)
            async def fail(event: MessageCreated) -> None:
                handled.append(event.message.text)
                raise RuntimeError("a bug of the app")

            await theirs.attach(timeout=PATIENCE)
            for text in ("one", "two", "three"):
                _ = await (await mine.send(text)).wait("sent", timeout=PATIENCE)
            await until(lambda: len(handled) == 3, "all are handled")

            assert handled == ["one", "two", "three"]
            assert len(errors) == 3
            assert bob.connection.state == "connected"


@pytest.mark.parametrize("seconds", [19, 600])
async def test_it_does_not_give_up_without_a_server(
    seconds: int, mode: str, database: str, clock: VirtualClock
) -> None:
    """However long it is away: it connects again by itself, sends what waits and tells of what it missed (I6, I11)."""
    async with (
        StoryApp(database, MODES[mode], clock=clock) as app,
        app.member("ada") as ada,
        app.member("bob") as bob,
    ):
        mine, theirs = ada.channel("support"), bob.channel("support")
        events = theirs.events(MessageCreated, Discontinuity)
        await theirs.attach(timeout=PATIENCE)
        _ = await (await mine.send("before")).wait("sent", timeout=PATIENCE)

        await app.stop()
        delivery = await mine.send("meanwhile")
        await asyncio.sleep(seconds)
        assert bob.connection.state != "connected"
        await app.start()
        await bob.connection.wait("connected", timeout=60)
        await theirs.attach(timeout=60)
        _ = await delivery.wait("sent", timeout=60)
        _ = await (await mine.send("after")).wait("sent", timeout=60)

        texts, gaps = await told(events, "after")
        assert [text for text in texts if text != "meanwhile"] == ["before", "after"]
        if app.logged:
            assert (texts, gaps) == (["before", "meanwhile", "after"], 0)
        else:
            assert gaps == 1


@pytest.mark.parametrize("how", ["unanswered", "silent"])
async def test_it_notices_that_nobody_answers(
    how: str, mode: str, database: str, clock: VirtualClock
) -> None:
    """Heartbeats without an answer, on a socket that looks well or says nothing: it goes ten seconds later (I11)."""
    async with (
        StoryApp(database, MODES[mode], clock=clock) as app,
        app.member("ada") as ada,
        app.member("bob") as bob,
    ):
        mine, theirs = ada.channel("support"), bob.channel("support")
        events = theirs.events(MessageCreated, Discontinuity)
        await theirs.attach(timeout=PATIENCE)
        _ = await (await mine.send("before")).wait("sent", timeout=PATIENCE)
        (old,) = app.connections("bob")
        if how == "silent":
            assert await app.do("stall", Aim(socket=old)) == 1
        else:
            app.emulator.add_fault(Fault(does="drop", event="heartbeat", socket=old, times=1_000))
        began = clock.monotonic()
        while app.connections("bob") in ([], [old]):
            await asyncio.sleep(0.5)

        assert clock.monotonic() - began <= BEAT + ECHO + 3 < bob.capabilities.liveness
        await theirs.attach(timeout=60)
        _ = await mine.send("after")
        assert (await told(events, "after"))[0] == ["before", "after"]


async def test_it_keeps_what_waits_longer_than_ten_seconds(
    mode: str, database: str, clock: VirtualClock
) -> None:
    """A minute without a network: what was said then is sent, once, in order, and nothing of it is dropped (I1, I4)."""
    async with StoryApp(database, MODES[mode], clock=clock) as app:
        way = app.way("ada")
        async with app.member("ada") as ada, app.member("bob") as bob:
            mine, theirs = ada.channel("support"), bob.channel("support")
            events = theirs.events(MessageCreated, Discontinuity)
            for channel in (mine, theirs):
                await channel.attach(timeout=PATIENCE)
            way.cut()
            said = [f"message {number}" for number in range(5)]
            queued: list[chatkit.Delivery] = []
            for text in said:
                queued.append(await mine.send(text))
                await asyncio.sleep(12)
            assert {delivery.status for delivery in queued} <= {"queued", "sending"}
            way.heal()
            for delivery in queued:
                _ = await delivery.wait("sent", timeout=120)

            assert await told(events, said[-1]) == (said, 0)


async def test_it_joins_again_what_was_closed_for_its_rate(
    mode: str, database: str, clock: VirtualClock
) -> None:
    """Not before half a minute has passed, and health says so; what is said then is read or announced (D28, I6)."""
    async with (
        StoryApp(database, MODES[mode], clock=clock) as app,
        app.member("ada") as ada,
        app.member("bob") as bob,
    ):
        mine, theirs = ada.channel("support"), bob.channel("support")
        events = theirs.events(MessageCreated, Discontinuity)
        for channel in (mine, theirs):
            await channel.attach(timeout=PATIENCE)
        _ = await (await mine.send("before")).wait("sent", timeout=PATIENCE)
        (socket,) = app.connections("bob")
        began = clock.monotonic()

        assert await app.do("shut", Aim(socket=socket, text=RATE)) > 0
        await asyncio.sleep(1)
        assert bob.health().status == "degraded"
        assert bob.connection.state == "connected"
        _ = await (await mine.send("meanwhile")).wait("sent", timeout=PATIENCE)
        await theirs.attach(timeout=60)
        back = clock.monotonic() - began
        _ = await (await mine.send("after")).wait("sent", timeout=PATIENCE)

        texts, gaps = await told(events, "after")
        assert 30 <= back <= 45
        assert app.connections("bob") == [socket]
        if app.logged:
            assert (texts, gaps) == (["before", "meanwhile", "after"], 0)
        else:
            assert (texts, gaps) == (["before", "after"], 1)
        await until(lambda: bob.health().status == "ok", "all is well again")


@pytest.mark.parametrize("seconds", [15.0, 25.0])
async def test_it_waits_for_a_slow_join(
    seconds: float, mode: str, database: str, clock: VirtualClock
) -> None:
    """Up to twenty seconds; then it asks anew, and the end of the join before is not taken for its own (I11)."""
    async with StoryApp(database, MODES[mode], clock=clock) as app:
        app.emulator.add_fault(Fault(does="delay", event="phx_join", seconds=seconds))
        async with app.member("bob") as bob:
            theirs = bob.channel("support")
            events = theirs.events(MessageCreated, Discontinuity)
            began = clock.monotonic()
            await theirs.attach(timeout=120)
            assert clock.monotonic() - began >= seconds
            async with app.member("ada") as ada:
                for text in ("one", "two"):
                    _ = await (await ada.channel("support").send(text)).wait("sent", timeout=PATIENCE)

            texts, gaps = await told(events, "two")
            unsaid = seconds > JOIN and not app.logged  # the first join may have been heard for a while
            assert (texts, gaps) == (["one", "two"], int(unsaid))
