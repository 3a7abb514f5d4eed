"""Broadcasts of backends beside a log of the app's own in PostgreSQL: whatever strikes, nothing is missing (D9, D16).

The same stories as `test_supabase_faults` tells of databases and of broadcasts alone, with the same faults and
deeds of the emulator. One is told by `nox -s long`, in the night all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final, get_args

import pytest

from chatkit.testing.clock import VirtualClock
from chatkit.testing.emulators.faults import CallDeed, CallFault, FrameFault
from chatkit.testing.emulators.supabase import Aim, SupabaseEmulator
from chatkit.testing.emulators.supabase.faults import Deed
from tests.adapters.faults import CALLS, FRAMES, SOCKETS, do_to_sockets
from tests.adapters.supabase.story_app import StoryApp
from tests.adapters.supabase.test_supabase_faults import (
    FRAMED,
    OF_DATABASES,
    OF_REPLICATION,
    STEPS,
    TIMES,
    cut,
    fault,
    frame_faults,
    tell,
)

MODE: Final = "beside a log"
OF_TOKENS: Final = {"expire", "token"}
"""What has no meaning for who holds the secret key."""


def faults() -> Iterator[Any]:
    """Give each fault of the protocol with each step that a backend takes."""
    for does in get_args(Deed):
        for moment in ("before", "after"):
            for name, step in STEPS.items():
                try:
                    _ = fault(does, moment, step.event)
                except ValueError:
                    continue  # the emulator has no such thing
                if name not in OF_TOKENS:
                    loud = (does, moment, name) == ("abort", "after", "publish")
                    marks = pytest.mark.long if loud else pytest.mark.nightly
                    yield pytest.param(does, moment, name, marks=marks)


@pytest.mark.parametrize(("does", "moment", "step"), list(faults()))
async def test_a_fault_of_the_protocol_breaks_no_promise(
    does: str, moment: str, step: str, database: str, log: str, clock: VirtualClock
) -> None:
    """All said is told, once, in order, and both are there."""
    event, provoke, at_first, _ = STEPS[step]
    made = fault(does, moment, event)

    async def strike(app: StoryApp) -> None:
        app.emulator.add_fault(made)
        await provoke(app)

    await tell(database, clock, MODE, strike, at_first=at_first, log=log)

    assert made.times < TIMES, "it struck"


def deeds() -> Iterator[Any]:
    """Give each deed that means something to a backend."""
    for deed in sorted(SupabaseEmulator().deeds.named.keys() - OF_DATABASES - OF_REPLICATION - OF_TOKENS):
        if deed == "close":
            yield from ((deed, Aim(code=code)) for code in (1000, 1001, 1009, 1012))
        elif deed == "shut":
            yield deed, Aim(text="Too many messages per second")
        else:
            yield deed, Aim()


@pytest.mark.nightly
@pytest.mark.parametrize(("deed", "aim"), list(deeds()))
async def test_a_deed_of_the_emulator_breaks_no_promise(
    deed: str, aim: Aim, database: str, log: str, clock: VirtualClock
) -> None:
    """Likewise what is done to connections and channels at once."""
    struck: list[int] = []

    async def strike(app: StoryApp) -> None:
        struck.append(await app.do(deed, aim))

    await tell(database, clock, MODE, strike, log=log)

    assert struck[0] > 0


@pytest.mark.nightly
@pytest.mark.parametrize(("does", "frame"), list(frame_faults()))
async def test_a_fault_of_frames_breaks_no_promise(
    does: Any, frame: str, database: str, log: str, clock: VirtualClock
) -> None:
    """Likewise those that know nothing of the protocol."""
    way, label, provoke = FRAMED[frame]
    made = FrameFault(does=does, way=way, only=label, times=TIMES, **FRAMES[does])

    async def strike(app: StoryApp) -> None:
        _ = app.emulator.faults.add(made)
        await provoke(app)

    await tell(database, clock, MODE, strike, unseen=does == "drop" and frame == "who is there", log=log)

    assert made.times < TIMES


@pytest.mark.nightly
@pytest.mark.parametrize("deed", SOCKETS)
async def test_a_deed_of_the_control_endpoint_breaks_no_promise(
    deed: str, database: str, log: str, clock: VirtualClock
) -> None:
    """Likewise what a test in another language does to sockets."""

    async def strike(app: StoryApp) -> None:
        do_to_sockets(app.emulator, deed)

    await tell(database, clock, MODE, strike, log=log)


def call_faults() -> Iterator[Any]:
    """Give each fault of the calls that announce where no connection stands."""
    for does in get_args(CallDeed):
        for moment in ("before", "after"):
            yield pytest.param(CallFault(does=does, moment=moment, **CALLS[does]), id=f"{does}-{moment}")
    for status in (401, 429, 500, 504):
        yield pytest.param(CallFault(does="fail", status=status), id=f"{status}")


@pytest.mark.nightly
@pytest.mark.parametrize("made", list(call_faults()))
async def test_a_fault_of_calls_breaks_no_promise(
    made: CallFault, database: str, log: str, clock: VirtualClock
) -> None:
    """Likewise at what is announced over HTTP: it is in the log, and is announced again, or read."""
    struck = replace(made, path="/api/broadcast", times=TIMES)

    async def strike(app: StoryApp) -> None:
        _ = app.emulator.faults.add(struck)
        await cut(app)

    await tell(database, clock, MODE, strike, log=log)

    assert struck.times < TIMES
