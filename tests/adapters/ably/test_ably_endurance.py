"""What is kept over deaths: of a process in mid-drain, of the server under load, of a day without a network."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Final

import pytest

from chatkit import CursorInvalid, Discontinuity, MessageCreated
from chatkit.testing.clock import VirtualClock
from chatkit.testing.emulators.ably import Aim, Fault
from tests.adapters.ably.app import PATIENCE, App, published
from tests.adapters.lives import life, told

pytestmark = pytest.mark.long
SOCKET: Final = "&transport=websocket"
REMEMBERED: Final = f"{SOCKET}&namespace=persisted&history=72h"
SUPPORT: Final = "persisted:support"
HOUR: Final = 3_600
AWAY: Final = ["away 1", "away 2", "away 3"]
KILLED: Final = {
    "draining": lambda: Fault(does="delay", action="MESSAGE", skip=2, times=1_000, seconds=0.1),
    "unanswered": lambda: Fault(does="drop", way="out", action="ACK", times=1_000),
    "unanswered for long": lambda: Fault(does="drop", way="out", action="ACK", skip=1, times=1_000),
}
"""What happens to publishes, or to their answers, when the process is killed."""


@pytest.mark.realtime
@pytest.mark.parametrize("when", KILLED)
async def test_a_process_killed_in_mid_drain_sends_the_rest(when: str, tmp_path: Path) -> None:
    """SIGKILL, then another life on the same store: each message is heard once, in order (I1 to I4, D10)."""
    async with App(REMEMBERED, connection_rate=0, channel_rate=0) as app, app.member("bob") as bob:
        theirs = bob.channel("support")
        events = theirs.events(MessageCreated, Discontinuity)
        await theirs.attach(timeout=PATIENCE)
        said = [f"message {number}" for number in range(50)]
        fault = app.emulator.add_fault(KILLED[when]())
        arguments = [app.trusted_url, str(tmp_path / "ada.db"), str(len(said))]

        assert await life(*arguments, until=40, so=lambda: fault.times < 1_000) == -signal.SIGKILL
        assert len(published(app, SUPPORT)) < len(said)
        app.emulator.app.faults.clear()
        if when == "unanswered for long":
            app.emulator.clock.advance(150)  # Ably has forgotten the ids; history has the messages

        assert await life(*arguments) == 0

        assert await told(events, said[-1]) == (said, 0)
        assert len(published(app, SUPPORT)) == len(said)


async def test_a_server_restarted_under_load_loses_and_doubles_nothing(clock: VirtualClock) -> None:
    """5,000 messages, the server gone twice, the second time with what it knew of connections (I1, I2, I4, I6)."""
    async with App(REMEMBERED, clock=clock) as app, app.backend("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        events = theirs.events(MessageCreated, Discontinuity, buffer=6_000)
        await theirs.attach(timeout=PATIENCE)
        said = [str(number) for number in range(5_000)]
        for text in said:
            _ = await mine.send(text)
        for held in (1_500, 3_500):
            while len(published(app, SUPPORT)) < held:
                await asyncio.sleep(0.5)
            await app.emulator.aclose()
            if held > 1_500:
                assert app.emulator.deeds.forget(Aim()) == 2
                _ = app.emulator.deeds.lose_continuity(Aim())
            await asyncio.sleep(5)
            await app.emulator.start()

        assert (await ada.outbox.flush(timeout=600)).queued == 0
        assert await told(events, said[-1]) == (said, 0)
        assert len(published(app, SUPPORT)) == len(said)


@pytest.mark.parametrize(
    ("config", "kept"), [(SOCKET, False), (REMEMBERED, True)], ids=["2 minutes", "72 hours"]
)
async def test_a_day_offline_is_read_or_announced(
    config: str, kept: bool, clock: VirtualClock, tmp_path: Path
) -> None:
    """The outbox keeps what was said, over a restart too, and it is heard once, in order; what was missed is read
    from where the app saved its cursor, or it is told that history no longer has it (I1 to I4, I6, D18).
    """
    async with App(config, clock=clock) as app:
        ably, store = app.emulator, str(tmp_path / "bob.db")
        async with app.backend("bob", store=store, drain=0) as first:
            theirs = first.channel("support")
            events = theirs.events(MessageCreated)
            await theirs.attach(timeout=PATIENCE)
            await _say(app, "before")
            saved = (await events.next(timeout=PATIENCE)).cursor
            await ably.aclose()
            _ = await theirs.send(AWAY[0])
            await asyncio.sleep(12 * HOUR)
            assert first.connection.state == "suspended"
            _ = await theirs.send(AWAY[1])
        await ably.start()
        await _say(app, "missed")
        await ably.aclose()
        async with app.backend("bob", store=store, drain=0) as second:
            theirs = second.channel("support")
            _ = await theirs.send(AWAY[2])
            await asyncio.sleep(12 * HOUR)
            assert second.outbox.depth == 3
            read = theirs.events(MessageCreated, Discontinuity, since=saved)
            live = theirs.events(MessageCreated, Discontinuity)
            await ably.start()
            async with app.backend("ada") as ada:
                mine = ada.channel("support")
                heard = mine.events(MessageCreated, Discontinuity)
                await mine.attach(timeout=PATIENCE)
                assert (await second.outbox.flush(timeout=60)).queued == 0
                assert await told(heard, AWAY[-1]) == (AWAY, 0)

            if kept:
                texts, gaps = await told(read, AWAY[-1])
                again = texts[:1] == ["before"]  # a saved cursor stands up to 30 s behind what was told
                assert (texts[again:], gaps) == (["missed", *AWAY], 0)
                assert (await told(live, AWAY[-1]))[1] == 0
            else:
                with pytest.raises(CursorInvalid):
                    _ = await told(read, AWAY[-1])
                assert await told(live, AWAY[-1]) == (AWAY, 1)


async def _say(app: App, text: str) -> None:
    async with app.backend("ada") as ada:
        _ = await (await ada.channel("support").send(text)).wait("sent", timeout=PATIENCE)
