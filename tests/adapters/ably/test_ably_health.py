"""What `health()` says of an account that keeps less than `?history=` does."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

import chatkit
from chatkit import CursorInvalid, MessageCreated
from tests.adapters.ably.app import PATIENCE, App

pytestmark = [pytest.mark.realtime]


@pytest.mark.parametrize("kept", [pytest.param(True, marks=pytest.mark.long), False])
async def test_health_shows_where_less_is_kept_than_is_said(kept: bool) -> None:  # a parameter
    """Which channel, what was said and what is believed, for the client's life (D18, I6)."""
    async with App(f"&history=72h&namespace={'persisted' if kept else 'brief'}") as app:
        async with app.member("ada") as ada:
            before = await (await ada.channel("support").send("before")).wait("sent", timeout=PATIENCE)
        app.emulator.clock.advance(600)

        async with app.backend("bob") as bob:
            await bob.connection.wait(timeout=PATIENCE)
            assert bob.health().checks["history"] == _shown({})
            events = bob.channel("support").events(MessageCreated, since=before.cursor)
            _ = await (await bob.channel("support").send("after")).wait("sent", timeout=PATIENCE)
            with nullcontext() if kept else pytest.raises(CursorInvalid):
                _ = await events.next(timeout=PATIENCE)

            assert bob.health().checks["history"] == _shown({} if kept else {"support": 120.0})
            assert bob.health().status == ("ok" if kept else "degraded")
            _ = await bob.channel("support").history()
            assert bob.health().checks["history"] == _shown({} if kept else {"support": 120.0})
        async with app.backend("bob") as anew:
            await anew.connection.wait(timeout=PATIENCE)
            assert anew.health().checks["history"] == _shown({})


def _shown(found: dict[str, float]) -> dict[str, object]:
    told = {name: {"said": 72 * 3_600.0, "found": seconds} for name, seconds in found.items()}
    return {"shorter_than_said": told}


async def test_health_says_nothing_of_a_log_that_was_given() -> None:
    """A log of the app keeps what it keeps: nothing is said of it that could be contradicted."""
    async with chatkit.connect("memory://health-of-a-log", user="ada") as ada:
        assert ada.health().checks["history"] == _shown({})
