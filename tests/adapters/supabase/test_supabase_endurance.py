"""What is kept over deaths: of a process in mid-drain, of PostgreSQL under load, of a day without a network."""

from __future__ import annotations

import asyncio
import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from chatkit import Discontinuity, MessageCreated
from chatkit.testing.clock import VirtualClock
from chatkit.testing.emulators.faults import CallFault
from tests.adapters.lives import life, told
from tests.adapters.supabase.app import PATIENCE, texts
from tests.adapters.supabase.story_app import MODES, StoryApp, envelopes

pytestmark = pytest.mark.long
HOUR: Final = 3_600
AWAY: Final = ["away 1", "away 2", "away 3"]
EVENTS: Final = 1_000_000
"""A second: nothing is closed for its rate."""
KILLED: Final = {
    "draining": CallFault(does="delay", seconds=0.1),
    "unanswered": CallFault(does="reset"),
}
"""What happens to calls that publish when the process is killed: they take long, or nobody learns what became of them."""


@pytest.mark.realtime
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("when", KILLED)
async def test_a_process_killed_in_mid_drain_sends_the_rest(
    when: str, mode: str, database: str, tmp_path: Path
) -> None:
    """SIGKILL, then another life on the same store: each message is heard once, in order (I1 to I4, D6, D10)."""
    async with StoryApp(database, MODES[mode], events_per_second=EVENTS) as app, app.member("bob") as bob:
        theirs = bob.channel("support")
        events = theirs.events(MessageCreated, Discontinuity)
        await theirs.attach(timeout=PATIENCE)
        said = [f"message {number}" for number in range(50)]
        path = "/rpc/chatkit_append" if app.logged else "/api/broadcast"
        fault = replace(KILLED[when], moment="after", path=path, skip=2, times=1_000)
        _ = app.emulator.faults.add(fault)
        arguments = [
            app.by_way("ada", app.emulator.authority.service_key),
            str(tmp_path / "ada.db"),
            str(len(said)),
        ]

        killed = await life(*arguments, until=40, so=lambda: fault.times < 1_000, waits=2)
        assert killed == -signal.SIGKILL
        assert await _held(app) < len(said)
        app.emulator.faults.clear()

        assert await life(*arguments) == 0

        assert await told(events, said[-1]) == (said, 0)
        assert await _held(app) == len(said)


async def _held(app: StoryApp) -> int:
    """Return how many messages the service has: in its log, or as it broadcast them."""
    if not app.logged:
        return len({each["id"] for each in envelopes(app.broadcast)})
    ((count,),) = await app.emulator.database.fetch("SELECT count(*) FROM chatkit.entries")
    return int(count)


async def test_postgresql_restarted_under_load_loses_and_doubles_nothing(clock: VirtualClock) -> None:
    """600 messages of two members, the database gone twice: all are there, once, in the order of their commits, and
    all show the same (I1, I2, I4, I5).
    """
    async with StoryApp(None, MODES["database"], clock=clock, events_per_second=EVENTS) as app:  # noqa: SIM117
        async with app.member("ada") as ada, app.member("eve") as eve, app.member("bob") as bob:
            heard = bob.channel("support").events(MessageCreated, Discontinuity, buffer=2_000)
            await bob.channel("support").attach(timeout=PATIENCE)
            shown = [chat.channel("support") for chat in (ada, eve, bob)]
            for channel in shown:
                _ = channel.timeline
                await channel.attach(timeout=PATIENCE)
            for number in range(300):
                for name, channel in zip(("ada", "eve"), shown[:2], strict=True):
                    _ = await channel.send(f"{name} {number:03}")
            for held in (100, 400):
                while await _held(app) < held:
                    await asyncio.sleep(0.01)
                assert await app.do("stop-database") == 1
                await asyncio.sleep(5)
                assert await app.do("start-database") == 1
            for chat in (ada, eve):
                assert (await chat.outbox.flush(timeout=600)).queued == 0
            await asyncio.sleep(60)
            rows = await app.emulator.database.fetch("SELECT data FROM chatkit.entries ORDER BY serial")
            committed = [json.loads(data)["body"]["text"] for (data,) in rows]
            messages, gaps = list[MessageCreated](), list[Discontinuity]()
            while len(messages) < len(committed):
                event = await heard.next(timeout=PATIENCE)
                if isinstance(event, MessageCreated):
                    messages.append(event)
                elif isinstance(event, Discontinuity):
                    gaps.append(event)
            on_time = [event.message.text for event in messages if not event.late]

            for name in ("ada", "eve"):
                said = [f"{name} {number:03}" for number in range(300)]
                assert [text for text in committed if text.startswith(name)] == said
            assert sorted(event.message.text for event in messages) == sorted(committed)
            assert on_time == [text for text in committed if text in set(on_time)]
            assert not any(gap.certain for gap in gaps), "while the log is away nobody knows what it has"
            for channel in shown:
                view = texts(channel)
                assert view == committed[-len(view) :]
                assert len(view) >= 100


@pytest.mark.parametrize("mode", MODES)
async def test_a_day_offline_is_read_or_announced(
    mode: str, database: str, clock: VirtualClock, tmp_path: Path
) -> None:
    """The outbox keeps what was said, over a restart too, and it is heard once, in order; what was missed is read
    from the log, or it is told that nobody has it (I1 to I4, I6, D18).
    """
    async with StoryApp(database, MODES[mode], clock=clock, events_per_second=EVENTS) as app:
        way, store = app.way("bob"), str(tmp_path / "bob.db")
        async with app.member("bob", store=store, drain=0) as first:
            theirs = first.channel("support")
            events = theirs.events(MessageCreated)
            await theirs.attach(timeout=PATIENCE)
            await _say(app, "before")
            saved = (await events.next(timeout=PATIENCE)).cursor
            await app.stop()
            _ = await theirs.send(AWAY[0])
            await asyncio.sleep(HOUR)
            assert first.connection.state == "suspended"
            _ = await theirs.send(AWAY[1])
        await asyncio.sleep(11 * HOUR)
        await app.start()
        await _say(app, "missed")
        await app.stop()
        await asyncio.sleep(11 * HOUR)
        async with app.member("bob", store=store, drain=0) as second:
            theirs = second.channel("support")
            _ = await theirs.send(AWAY[2])
            await asyncio.sleep(HOUR)
            assert second.outbox.depth == 3
            read = theirs.events(MessageCreated, Discontinuity, since=saved)
            live = theirs.events(MessageCreated, Discontinuity)
            way.cut()
            await app.start()
            async with app.member("ada") as ada:
                mine = ada.channel("support")
                heard = mine.events(MessageCreated, Discontinuity)
                await mine.attach(timeout=PATIENCE)
                way.heal()
                assert (await second.outbox.flush(timeout=120)).queued == 0
                assert await told(heard, AWAY[-1]) == (AWAY, 0)

            if app.logged:
                assert await told(read, AWAY[-1]) == (["missed", *AWAY], 0)
                assert (await told(live, AWAY[-1]))[1] == 0
            else:
                for each in (read, live):
                    assert await told(each, AWAY[-1]) == (AWAY, 1)


async def _say(app: StoryApp, text: str) -> None:
    async with app.member("ada") as ada:
        _ = await (await ada.channel("support").send(text)).wait("sent", timeout=PATIENCE)
