"""What Ably's own client for Python does wrong, told to chatkit in the same words: it does none of it.

That `ably` 3.1.4 does so is shown by `tests/official/ably/python/cases_failures.py`; what each comes to for a
user stands in docs/providers/ably.md. Time is virtual, sockets are real.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import chatkit
from chatkit import Discontinuity, MessageCreated
from chatkit.testing.clock import VirtualClock
from chatkit.testing.emulators.ably import Aim, ErrorInfo, Fault
from chatkit.testing.emulators.ably.sending import Sending
from chatkit.testing.emulators.ably.wire import Action, Wire
from tests.adapters.ably.app import PATIENCE, App, published, texts, until
from tests.adapters.lives import told

SOCKET = "&transport=websocket"
REMEMBERED = f"{SOCKET}&namespace=persisted&history=72h"


async def test_it_does_not_give_up_when_suspended(clock: VirtualClock) -> None:
    """Away for longer than Ably remembers a connection, it takes messages, sends them when it is back, and is
    told what was said meanwhile, without a gap where history reaches back (I1, I2, I6).
    """
    async with App(REMEMBERED, clock=clock) as app, app.backend("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        events = theirs.events(MessageCreated, Discontinuity)
        await theirs.attach(timeout=PATIENCE)
        _ = await (await mine.send("before")).wait("sent", timeout=PATIENCE)
        queued: list[chatkit.Delivery] = []

        async def meanwhile() -> None:
            queued.append(await theirs.send("queued"))
            await asyncio.sleep(150)
            assert bob.connection.state == "suspended"
            queued.append(await theirs.send("queued while suspended"))
            _ = await (await mine.send("missed")).wait("sent", timeout=PATIENCE)

        await app.cut_off("bob", meanwhile)
        await bob.connection.wait("connected", timeout=60)
        for delivery in queued:
            _ = await delivery.wait("sent", timeout=PATIENCE)

        said = ["before", "missed", "queued", "queued while suspended"]
        assert await told(events, said[-1]) == (said, 0)


@pytest.mark.parametrize("how", ["abort", "drop"])
async def test_it_does_not_double_what_is_queued(how: Any, clock: VirtualClock) -> None:
    """What waits while connecting fails, by silence or by a cut, goes out in one publish (D6, D8, I2)."""
    async with App(SOCKET, clock=clock) as app:
        app.emulator.add_fault(Fault(does=how, action="CONNECT", times=3))
        frames = app.emulator.add_fault(Fault(does="delay", action="MESSAGE", times=1_000))
        async with app.backend("ada") as ada:
            mine = ada.channel("support")
            queued = [await mine.send(f"queued {number}") for number in range(3)]
            for delivery in queued:
                _ = await delivery.wait("sent", timeout=120)

            assert len(published(app)) == 3
            assert 1_000 - frames.times == 1


async def test_it_numbers_anew_after_a_refused_resume(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames of each connection are numbered from 0 without a gap: nothing is swallowed or doubled (D10, I2)."""
    numbers: dict[str, list[int]] = {}
    handle = Sending.handle

    def noted(self: Sending, action: Action, wire: Wire) -> None:
        if action is Action.MESSAGE:
            numbers.setdefault(self._session.connection_id, []).append(wire["msgSerial"])
        handle(self, action, wire)

    monkeypatch.setattr(Sending, "handle", noted)
    async with App(SOCKET, clock=clock) as app, app.backend("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        events = theirs.events(MessageCreated, Discontinuity)
        await theirs.attach(timeout=PATIENCE)
        said = [f"message {number}" for number in range(10)]
        for number, text in enumerate(said):
            if number == 3:
                app.emulator.add_fault(Fault(does="refuse", action="CONNECT"))
                app.emulator.add_fault(Fault(does="abort", way="out", action="ACK"))
            _ = await (await mine.send(text)).wait("sent", timeout=PATIENCE)

        assert await told(events, said[-1]) == (said, 0)
        assert len(published(app)) == 10
        assert sorted(numbers.values()) == [list(range(4)), list(range(7))]


@pytest.mark.parametrize("code", [50000, 80000])
async def test_it_settles_what_was_pending_at_an_error(code: int, clock: VirtualClock) -> None:
    """An ERROR of the connection ends no publish in silence: it goes out again as it was, and is there once (I1, D10)."""
    async with App(SOCKET, clock=clock) as app, app.backend("ada") as ada:
        mine = ada.channel("support")  # not attached: no echo tells what became of it
        await ada.connection.wait("connected", timeout=PATIENCE)
        app.emulator.add_fault(Fault(does="drop", way="out", action="ACK"))
        delivery = await mine.send("pending")
        await until(lambda: len(published(app)) == 1, "Ably has it, and its answer is lost")

        _ = app.emulator.deeds.fail(Aim(error=ErrorInfo(code=code)))

        _ = await delivery.wait("sent", timeout=60)
        assert len(published(app)) == 1


async def test_it_keeps_what_was_pending_at_a_fatal_error(clock: VirtualClock) -> None:
    """A refused key fails the connection and no message: health says why, and a retry by hand sends it (D12)."""
    async with App(SOCKET, clock=clock) as app, app.backend("ada") as ada:
        mine = ada.channel("support")  # not attached: no echo tells what became of it
        await ada.connection.wait("connected", timeout=PATIENCE)
        app.emulator.add_fault(Fault(does="drop", way="out", action="ACK"))
        delivery = await mine.send("pending")
        await until(lambda: len(published(app)) == 1, "Ably has it, and its answer is lost")

        _ = app.emulator.deeds.fail(Aim(error=ErrorInfo(code=40101)))
        await until(lambda: ada.connection.state == "failed", "the connection has failed")

        assert (ada.health().status, delivery.status) == ("down", "sending")
        ada.connection.retry_now()
        _ = await delivery.wait("sent", timeout=60)
        assert len(published(app)) == 1


async def test_it_notices_a_silent_socket(clock: VirtualClock) -> None:
    """Within 25 seconds, whatever the socket looks like; then it connects again and goes on (I11, D32)."""
    async with App(SOCKET, clock=clock) as app, app.backend("ada") as ada:
        mine = ada.channel("support")
        _ = mine.timeline
        await mine.attach(timeout=PATIENCE)
        _ = app.emulator.deeds.stall(Aim())
        began = clock.monotonic()
        delivery = await mine.send("into the silence")

        _ = await delivery.wait("sent", timeout=60)

        assert clock.monotonic() - began <= ada.capabilities.liveness + 1
        assert texts(mine) == ["into the silence"]
        assert len(published(app)) == 1
