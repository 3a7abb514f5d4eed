"""Every fault that the emulator of Ably offers, at each step of the protocol at which it can strike.

The cases are made from the emulator's own lists: a fault that is new there is tried here at every step, and fails
until somebody says what it needs. Each case is one story of two members, told while the fault strikes; time is
virtual, so that time-outs cost nothing. One fault at each step is told by default, by `nox -s long` all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, NamedTuple, get_args

import pytest

from chatkit import Discontinuity
from chatkit.testing.clock import VirtualClock
from chatkit.testing.emulators.ably import AblyEmulator, Aim, ErrorInfo, Fault
from chatkit.testing.emulators.ably.faults import ACTIONS, Deed
from chatkit.testing.emulators.faults import CallFault, FrameFault
from tests.adapters.ably.app import App, published
from tests.adapters.faults import CALLS, FRAMES, SOCKETS, do_to_sockets, none_is_left_out
from tests.adapters.talk import LONG, Talk

REMEMBERED: Final = "&namespace=persisted&history=72h"
TIMES: Final = 2
"""Frames or calls that a fault strikes, of either member."""


class Step(NamedTuple):
    """A step of the protocol.

    Attributes:
        action: Of its frame.
        way: Of the frame, `in` to the service.
        provoke: Has it taken; `None`: it comes anyway.
        by_hand: Has it taken by a client, in the midst.
    """

    action: str
    way: str
    provoke: Callable[[AblyEmulator], Any] | None = None
    by_hand: Callable[[Talk], Awaitable[None]] | None = None


def cut(ably: AblyEmulator) -> None:
    """End the transports."""
    _ = ably.deeds.abort(Aim())


def detach(ably: AblyEmulator) -> None:
    """Take the channels away."""
    _ = ably.deeds.detach(Aim())


def ask_for_tokens(ably: AblyEmulator) -> None:
    """Ask for fresh ones, in band."""
    _ = ably.deeds.reauth(Aim())


def break_continuity(ably: AblyEmulator) -> None:
    """End the transports, and vouch for nothing afterwards: history is read."""
    _ = ably.deeds.lose_continuity(Aim())
    _ = ably.deeds.abort(Aim())


def end_streams(ably: AblyEmulator) -> None:
    """End the event streams."""
    _ = ably.deeds.end_streams(Aim())


def disconnect(ably: AblyEmulator) -> None:
    """Say that the connections end."""
    _ = ably.deeds.disconnect(Aim())


def fail(ably: AblyEmulator) -> None:
    """Say that the connections have failed."""
    _ = ably.deeds.fail(Aim(error=ErrorInfo(code=50001)))


def refuse_a_publish(ably: AblyEmulator) -> None:
    """Refuse some, for now."""
    _ = ably.add_fault(Fault(does="nack", action="MESSAGE", times=TIMES, error=ErrorInfo(code=50001)))


def fall_silent(ably: AblyEmulator) -> None:
    """Say nothing for so long that each client asks whether anybody is there."""
    _ = ably.add_fault(Fault(does="drop", way="out", action="HEARTBEAT", times=20))


async def turn_away(talk: Talk) -> None:
    """Have the listener close the channel, and open it again."""
    await talk.theirs.detach()
    await talk.theirs.attach(timeout=LONG)


STEPS: Final = {
    "connect": Step("CONNECT", "in"),
    "resume": Step("CONNECT", "in", cut),
    "CONNECTED": Step("CONNECTED", "out", cut),
    "attach": Step("ATTACH", "in", detach),
    "ATTACHED": Step("ATTACHED", "out", detach),
    "publish": Step("MESSAGE", "in"),
    "ACK": Step("ACK", "out"),
    "message": Step("MESSAGE", "out"),
    "enter": Step("PRESENCE", "in"),
    "PRESENCE": Step("PRESENCE", "out"),
    "SYNC": Step("SYNC", "out", detach),
    "AUTH": Step("AUTH", "out", ask_for_tokens),
    "authenticate": Step("AUTH", "in", ask_for_tokens),
    "HEARTBEAT": Step("HEARTBEAT", "out"),
    "probe": Step("HEARTBEAT", "in", fall_silent),
    "NACK": Step("NACK", "out", refuse_a_publish),
    "DISCONNECTED": Step("DISCONNECTED", "out", disconnect),
    "ERROR": Step("ERROR", "out", fail),
    "detach": Step("DETACH", "in", by_hand=turn_away),
    "DETACHED": Step("DETACHED", "out", detach),
    "close": Step("CLOSE", "in"),
    "CLOSED": Step("CLOSED", "out"),
}
NATIVE: Final = {("ANNOTATION", "in"), ("ANNOTATION", "out")}
"""Steps of changes that are Ably's own: see `test_ably_faults_native`."""
NEVER: Final = {("DISCONNECT", "in"), ("SYNC", "in")}
"""Steps that chatkit does not take: it says CLOSE, or nothing, and who is there comes with each attach."""
UNUSED: Final = {"ACTIVATE", "OBJECT", "OBJECT_SYNC"}
"""What is for devices that are pushed to, and for objects."""
ANSWERS: Final = {"ACK", "NACK", "CONNECTED", "DISCONNECTED", "CLOSED", "ERROR", "ATTACHED", "DETACHED"}
"""What only the service says."""
ASKED: Final = {"CONNECT", "DISCONNECT", "CLOSE", "ATTACH", "DETACH"}
"""What only clients say."""
UNHEARD: Final = {("drop", "DETACHED"), ("replace", "DETACHED")}
"""Ably takes a channel away, and nobody hears of it on a connection that lives: the next one makes up for it."""
CALLED: Final[dict[str, tuple[str, str, str, Callable[[AblyEmulator], Any] | None]]] = {
    "history": ("GET", "/messages", "auto", break_continuity),
    "time": ("GET", "/time", "auto", cut),
    "stream": ("GET", "/sse", "sse", end_streams),
    "publish by REST": ("POST", "/messages", "poll", None),
    "poll": ("GET", "/messages", "poll", None),
}
"""What is done over HTTP: method, path, by which transport, and what provokes it."""
NEEDS: Final[dict[str, dict[str, Any]]] = {
    "drop": {},
    "duplicate": {},
    "delay": {"seconds": 3.0},
    "replace": {"frame": {"action": 0}},
    "abort": {},
    "stall": {},
    "nack": {"error": ErrorInfo(code=50001)},
    "disconnect": {},
    "error": {"error": ErrorInfo(code=50001)},
    "refuse": {"error": ErrorInfo(code=80018)},
}
"""What a fault of Ably's protocol needs beside its step."""


def faults() -> Iterator[Any]:
    """Give each fault of the protocol with each step that takes it."""
    for does in get_args(Deed):
        for step, (action, way, *_) in STEPS.items():
            try:
                _ = fault(does, action, way)
            except ValueError:
                continue  # the emulator has no such thing
            yield pytest.param(does, step, marks=[] if does == "abort" else pytest.mark.long)


def fault(does: Any, action: str, way: Any) -> Fault:
    """Return a fault of the protocol."""
    return Fault(does=does, action=action, way=way, times=TIMES, **NEEDS.get(does, {}))


async def tell(
    clock: VirtualClock,
    strike: Callable[[AblyEmulator], Any],
    *,
    at_first: bool = False,
    refused: bool = False,
    transport: str = "auto",
    by_hand: Callable[[Talk], Awaitable[None]] | None = None,
    cut_off: bool = False,
) -> None:
    """Tell the story, and find all said, once, in order, and nothing announced that history has.

    Args:
        clock: Of the test.
        strike: What goes wrong.
        at_first: Before anybody connects; else in the midst.
        refused: Ably refuses the sender for good, which health says, until it asks again.
        transport: By which both are connected; nobody is present without a socket.
        by_hand: What a client does in the midst.
        cut_off: Both are cut off before all is told.
    """
    present = transport == "auto"
    async with App(f"{REMEMBERED}&transport={transport}&poll=2", clock=clock) as app:
        if at_first:
            strike(app.emulator)
        async with app.member("ada") as ada, app.member("bob") as bob:
            talk = Talk(ada, bob, present=present)
            await talk.begin()
            if not at_first:
                strike(app.emulator)
            await talk.say(2)
            if by_hand is not None:
                await by_hand(talk)
            await talk.say(2)
            if refused:
                assert (ada.connection.state, ada.health().status) == ("failed", "down")
                ada.connection.retry_now()
            await talk.sent()
            await talk.say(2)
            if cut_off:
                cut(app.emulator)
            await talk.sent()
            heard = await talk.heard()

            talk.nothing_is_missing(heard)
            ids = published(app, "persisted:support")
            assert len(ids) == len(set(ids)) == len(talk.said), "and there once at Ably (D10)"
            gaps = [event for event in heard if isinstance(event, Discontinuity)]
            assert gaps == [], "history has all of it (I6)"
            if present:
                talk.both_are_there()


def test_no_fault_of_the_emulator_is_left_out() -> None:
    """Each is known here with what it needs: those of its protocol, of frames, of calls, and of sockets."""
    none_is_left_out()

    assert set(get_args(Deed)) == NEEDS.keys()


def test_no_step_of_the_protocol_is_left_out() -> None:
    """Each frame, on each way that it can go, is a step at which every fault is tried, or one that is never taken."""
    told = ACTIONS - UNUSED - {""}
    steps = {(action, "in") for action in told - ANSWERS} | {(action, "out") for action in told - ASKED}

    assert steps == {(step.action, step.way) for step in STEPS.values()} | NATIVE | NEVER


@pytest.mark.parametrize(("does", "step"), list(faults()))
async def test_a_fault_of_the_protocol_breaks_no_promise(does: str, step: str, clock: VirtualClock) -> None:
    """None lost, none doubled, order kept, both members there (I1, I2, I4 to I6, D10, D30)."""
    action, way, provoke, by_hand = STEPS[step]
    made = fault(does, action, way)

    def strike(ably: AblyEmulator) -> None:
        ably.add_fault(made)
        if provoke is not None:
            provoke(ably)

    await tell(clock, strike, at_first=step == "connect", by_hand=by_hand, cut_off=(does, step) in UNHEARD)

    assert made.times < TIMES, "it struck"


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(AblyEmulator().deeds.named.keys() - {"end-streams"}))
async def test_a_deed_of_the_emulator_breaks_no_promise(name: str, clock: VirtualClock) -> None:
    """Likewise what is done to connections and channels at once; to event streams: see `test_ably_ways`."""
    error = ErrorInfo(code=50001) if name.startswith("fail") else None
    transport = "sse" if "stream" in name else "auto"
    struck: list[int] = []

    def strike(ably: AblyEmulator) -> None:
        struck.append(ably.deeds.named[name](Aim(error=error)))

    await tell(clock, strike, transport=transport)

    assert struck[0] > 0


@pytest.mark.long
@pytest.mark.parametrize("way", ["in", "out"])
@pytest.mark.parametrize("does", FRAMES)
async def test_a_fault_of_frames_breaks_no_promise(does: Any, way: Any, clock: VirtualClock) -> None:
    """Likewise those that know nothing of the protocol, at messages."""
    times = 1 if does == "replace" else TIMES
    made = FrameFault(does=does, way=way, only="MESSAGE", times=times, **FRAMES[does])
    garbage = (does, way) == ("replace", "in")  # is no fault of the service, which says so
    await tell(clock, lambda ably: ably.faults.add(made), refused=garbage)

    assert made.times < times


@pytest.mark.long
@pytest.mark.parametrize(
    ("call", "moment"), [*((call, "before") for call in CALLED), ("publish by REST", "after")]
)
@pytest.mark.parametrize("does", CALLS)
async def test_a_fault_of_calls_breaks_no_promise(
    call: str, moment: Any, does: Any, clock: VirtualClock
) -> None:
    """Likewise at what is done over HTTP: with a socket and without."""
    method, path, transport, provoke = CALLED[call]
    made = CallFault(does=does, moment=moment, method=method, path=path, times=TIMES, **CALLS[does])

    def strike(ably: AblyEmulator) -> None:
        _ = ably.faults.add(made)
        if provoke is not None:
            provoke(ably)

    await tell(clock, strike, transport=transport)

    assert made.times < TIMES


@pytest.mark.long
@pytest.mark.parametrize("deed", SOCKETS)
async def test_a_deed_of_the_control_endpoint_breaks_no_promise(deed: str, clock: VirtualClock) -> None:
    """Likewise what a test in another language does to sockets."""
    await tell(clock, lambda ably: do_to_sockets(ably, deed))
