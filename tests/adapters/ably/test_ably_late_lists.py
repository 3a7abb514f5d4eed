"""Reactions that can be listed only long after they were told of: shown all the same."""

from __future__ import annotations

import asyncio

import pytest

from chatkit.testing.clock import VirtualClock
from chatkit.testing.emulators.faults import CallFault
from tests.adapters.ably.app import PATIENCE, App, until
from tests.adapters.ably.test_ably_reactions import NATIVE, PLAIN, given, opened


@pytest.mark.parametrize(
    ("transport", "seconds"),
    [
        ("websocket", 45),
        *(
            pytest.param(transport, seconds, marks=pytest.mark.long)
            for transport in ("websocket", "sse", "poll")
            for seconds in (5, 45, 300)
            if (transport, seconds) != ("websocket", 45)
        ),
    ],
)
async def test_a_list_that_comes_late_is_shown(clock: VirtualClock, transport: str, seconds: int) -> None:
    """Though others were heard meanwhile: calls have no answer for so long, while the socket lives (I5, D17)."""
    async with App(NATIVE, clock=clock) as app, app.member("ada") as ada:
        app._config = f"{PLAIN}&transport={transport}"
        async with app.member("bob") as bob:
            mine, theirs = await opened(ada, bob)
            message = await (await mine.send("Hello")).wait("sent", timeout=PATIENCE)
            await until(lambda: given(theirs) == [{}], "it is there")
            lost = CallFault(does="fail", status=503, path="/annotations", skip=1, times=100_000)
            app.emulator.faults.add(lost)  # the first is by who reacts
            _ = await (await mine.react(message, "👍")).wait("sent", timeout=PATIENCE)
            for number in range(seconds):
                if number < 10:
                    _ = await (await mine.send(f"message {number}")).wait("sent", timeout=PATIENCE)
                await asyncio.sleep(1)

            app.emulator.faults.clear()

            await asyncio.sleep(90)
            assert lost.times < 100_000
            assert given(theirs)[0] == {"👍": ["ada"]}
