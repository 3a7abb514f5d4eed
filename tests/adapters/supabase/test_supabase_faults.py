"""Every fault and deed that the emulator of Supabase offers, at each step of the protocol at which it can strike.

The cases are made from the emulator's own lists: a fault that is new there is tried here at every step, and fails
until somebody says what it needs. Each case is one story of two members, told while the fault strikes; time is
virtual, so that time-outs cost nothing. One fault a mode is told by default, by `nox -s long` most, in the night all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any, Final, NamedTuple, get_args

import pytest

from chatkit import AuthenticationError, Discontinuity
from chatkit.testing.clock import VirtualClock
from chatkit.testing.emulators.faults import CallDeed, CallFault, FrameFault
from chatkit.testing.emulators.supabase import Aim, Fault, SupabaseEmulator
from chatkit.testing.emulators.supabase.faults import EVENTS, Deed
from chatkit.testing.emulators.supabase.joining import JoinError
from chatkit.testing.emulators.supabase.session import Session
from tests.adapters.faults import CALLS, FRAMES, SOCKETS, do_to_sockets, none_is_left_out
from tests.adapters.supabase.app import PATIENCE, until
from tests.adapters.supabase.story_app import MODES, PUBLIC, StoryApp, envelopes, topic
from tests.adapters.talk import Talk

TIMES: Final = 2
"""Events, frames or calls that a fault strikes, of either member."""

Provoke = Callable[[StoryApp], Awaitable[Any]]


async def nothing(_: StoryApp) -> None:
    """Let it come by itself."""


async def cut(app: StoryApp) -> None:
    """End the connections."""
    _ = await app.do("abort")


async def leave(app: StoryApp) -> None:
    """Have bob look into another channel, and leave it."""
    bob = app.chats["bob"].channel("aside")
    await bob.attach(timeout=30)
    await bob.detach()


async def typing(app: StoryApp) -> None:
    """Have ada type."""
    await app.chats["ada"].channel("support").typing.keystroke()


class Step(NamedTuple):
    """A step of the protocol.

    Attributes:
        event: Of the client.
        provoke: Has it taken.
        at_first: The fault waits for it before anybody connects; else it strikes in the midst.
        modes: In which it is taken.
    """

    event: str
    provoke: Provoke = nothing
    at_first: bool = False
    modes: tuple[str, ...] = tuple(MODES)


STEPS: Final = {
    "join": Step("phx_join", at_first=True),
    "rejoin": Step("phx_join", cut),
    "leave": Step("phx_leave", leave),
    "heartbeat": Step("heartbeat"),
    "publish": Step("broadcast", modes=("broadcast",)),
    "typing": Step("broadcast", typing, modes=("database",)),
    "presence": Step("presence"),
    "token": Step("access_token"),
}
NEEDS: Final[dict[str, dict[str, Any]]] = {
    "drop": {},
    "delay": {"seconds": 3.0},
    "abort": {},
    "stall": {},
    "crash": {},
}
"""What a fault of the protocol needs beside its step."""


SELDOM: Final = ("leave", "typing", "presence", "token")
"""Steps that no message depends on: cuts at them are tried for every change, the rest in the night."""


def faults() -> Iterator[Any]:
    """Give each fault of the protocol with each step that takes it, in each mode."""
    for does in get_args(Deed):
        for moment in ("before", "after"):
            for name, step in STEPS.items():
                try:
                    _ = fault(does, moment, step.event)
                except ValueError:
                    continue  # the emulator has no such thing
                for mode in step.modes:
                    seldom = name in SELDOM and does not in ("abort", "crash")
                    quick = (does, moment, name) == ("abort", "after", "presence")
                    marks: Any = () if quick else pytest.mark.nightly if seldom else pytest.mark.long
                    yield pytest.param(does, moment, name, mode, marks=marks)
                    if mode == "broadcast" and name != "token":
                        loud = (does, name) == ("abort", "publish")
                        marks = pytest.mark.long if loud else pytest.mark.nightly
                        yield pytest.param(does, moment, name, "public", marks=marks)


def fault(does: Any, moment: Any, event: str) -> Fault:
    """Return a fault of the protocol."""
    return Fault(does=does, moment=moment, event=event, times=TIMES, **NEEDS.get(does, {}))


async def tell(
    database: str,
    clock: VirtualClock,
    mode: str,
    strike: Provoke,
    *,
    at_first: bool = False,
    hinted: bool = False,
    unseen: bool = False,
    said: int = 4,
    log: str | None = None,
) -> None:
    """Tell the story, and find all said, once, in order; without a log what is not there was announced.

    Args:
        database: DSN of the PostgreSQL behind the emulator.
        clock: Of the test.
        mode: One of `MODES`, or `public`.
        strike: What goes wrong.
        at_first: Before anybody connects; else in the midst.
        hinted: Frames are lost on connections that live: numbers hint at them (D5).
        unseen: Nobody is told who is there: members are known once they say something.
        said: How many messages are said in the midst of it.
        log: DSN of a log of the app's own.
    """
    async with StoryApp(database, MODES.get(mode, PUBLIC), clock=clock, log=log) as app:
        app.lifetime = 120.0  # so that tokens are presented anew after a minute
        if at_first:
            await strike(app)
        async with app.member("ada") as ada, app.member("bob") as bob:
            talk = Talk(ada, bob, present=True)
            await talk.begin()
            if not at_first:
                await strike(app)
            await talk.say(said)
            await talk.sent()
            await talk.say(2)
            if unseen:
                await talk.theirs.presence.update(data={"here": True})
            await talk.sent()
            heard = await talk.heard()

            if app.logged:
                talk.nothing_is_missing(heard)
                gaps = [event for event in heard if isinstance(event, Discontinuity)]
                assert not any(gap.certain for gap in gaps), "the log has all of it (I6)"
            else:
                talk.gaps_are_announced(heard, hinted=hinted)
                ids = {each["body"]["text"]: each["id"] for each in envelopes(app.broadcast)}
                again = {(each["body"]["text"], each["id"]) for each in envelopes(app.broadcast)}
                assert len(ids) == len(again) == len(talk.said), "in doubt it keeps its id (D6, D10)"
            talk.both_are_there()


def test_no_fault_of_the_emulator_is_left_out() -> None:
    """Each is known here with what it needs: those of its protocol, of frames, of calls, and of sockets."""
    none_is_left_out()

    assert set(get_args(Deed)) == NEEDS.keys()
    assert {step.event for step in STEPS.values()} == EVENTS - {""}


@pytest.mark.parametrize(("does", "moment", "step", "mode"), list(faults()))
async def test_a_fault_of_the_protocol_breaks_no_promise(
    does: str, moment: str, step: str, mode: str, database: str, clock: VirtualClock
) -> None:
    """None lost or lost unsaid, none doubled, order kept, both members there (I1, I2, I4 to I6, D10, D28)."""
    event, provoke, at_first, _ = STEPS[step]
    made = fault(does, moment, event)

    async def strike(app: StoryApp) -> None:
        app.emulator.add_fault(made)
        await provoke(app)

    await tell(database, clock, mode, strike, at_first=at_first)

    assert made.times < TIMES, "it struck"


SHUT: Final = {
    "Too many messages per second": "",
    "Client presence rate limit exceeded": topic("live"),
    "You no longer have permission to read from this Channel topic": "",
    "Query was cancelled, please try again": topic("log"),
}
"""Words with which the service closes channels under a living connection, and of which topic; empty is any."""
OF_DATABASES: Final = {"stop-database", "start-database", "restart-database"}
"""What is done to PostgreSQL, if it is the emulator's own: see `test_supabase_endurance`."""
OF_REPLICATION: Final = {"pause-replication", "resume-replication", "lose-replication"}
"""What has no meaning where the database announces nothing."""


def deeds() -> Iterator[Any]:
    """Give each deed in each mode."""
    for mode in MODES:
        for deed in sorted(SupabaseEmulator().deeds.named.keys() - OF_DATABASES):
            if deed in OF_REPLICATION and mode == "broadcast":
                continue
            if deed == "close":
                yield from (pytest.param(deed, Aim(code=code), mode) for code in (1000, 1001, 1009, 1012))
            elif deed == "shut":
                for text, named in SHUT.items():
                    if named != topic("log") or mode == "database":
                        yield pytest.param(deed, Aim(topic=named or None, text=text), mode)
            else:
                yield pytest.param(deed, Aim(), mode)


@pytest.mark.long
@pytest.mark.parametrize(("deed", "aim", "mode"), list(deeds()))
async def test_a_deed_of_the_emulator_breaks_no_promise(
    deed: str, aim: Aim, mode: str, database: str, clock: VirtualClock
) -> None:
    """Likewise what is done to connections, channels and replication at once; a pause lasts twenty seconds."""
    struck: list[int] = []

    async def strike(app: StoryApp) -> None:
        struck.append(await app.do(deed, aim))
        if deed == "pause-replication":
            _ = app.emulator.clock.call_later(20.0, app.emulator.project.committed.resume)

    await tell(database, clock, mode, strike)

    assert struck[0] > 0


FRAMED: Final[dict[str, tuple[Any, str, Provoke]]] = {
    "said": ("in", "broadcast", typing),
    "heard": ("out", "broadcast", typing),
    "answered": ("out", "phx_reply", cut),
    "who is there": ("out", "presence_state", cut),
    "who comes": ("out", "presence_diff", nothing),
}
"""Frames that are struck: their way and event, and what provokes them."""


def frame_faults() -> Iterator[Any]:
    """Give each fault of frames where most depends on it, and those of frames alone everywhere."""
    for does in FRAMES:
        for frame, (_, label, _) in FRAMED.items():
            if label == "broadcast" or does in ("drop", "duplicate"):
                yield does, frame


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("does", "frame"), list(frame_faults()))
async def test_a_fault_of_frames_breaks_no_promise(
    does: Any, frame: str, mode: str, database: str, clock: VirtualClock
) -> None:
    """Likewise those that know nothing of the protocol."""
    way, label, provoke = FRAMED[frame]
    made = FrameFault(does=does, way=way, only=label, times=TIMES, **FRAMES[does])

    async def strike(app: StoryApp) -> None:
        _ = app.emulator.faults.add(made)
        await provoke(app)

    lost = does in ("drop", "replace") and frame == "heard"
    unseen = does == "drop" and frame == "who is there"
    await tell(database, clock, mode, strike, hinted=lost, unseen=unseen)

    assert made.times < TIMES


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("deed", SOCKETS)
async def test_a_deed_of_the_control_endpoint_breaks_no_promise(
    deed: str, mode: str, database: str, clock: VirtualClock
) -> None:
    """Likewise what a test in another language does to sockets."""

    async def strike(app: StoryApp) -> None:
        do_to_sockets(app.emulator, deed)

    await tell(database, clock, mode, strike)


class Called(NamedTuple):
    """What is done over HTTP.

    Attributes:
        path: Of the call.
        mode: In which it is made.
        provoke: Has it made.
        at_first: As of a `Step`.
        writes: It may have had its effect though nobody learns it.
    """

    path: str
    mode: str
    provoke: Provoke = nothing
    at_first: bool = False
    writes: bool = False


CALLED: Final = {
    "append": Called("/rpc/chatkit_append", "database", writes=True),
    "head": Called("/rpc/chatkit_heads", "database", cut),
    "entries": Called("/rpc/chatkit_entries", "database", cut),
    "messages": Called("/rpc/chatkit_messages", "database", at_first=True),
    "publish": Called("/api/broadcast", "broadcast", cut, writes=True),
}


def call_faults() -> Iterator[Any]:
    """Give each fault of calls with each call, before it has its effect and, where it has one, after it."""
    for call, called in CALLED.items():
        for does in get_args(CallDeed):
            needs = CALLS[does]
            moments: tuple[Any, ...] = ("before", "after") if called.writes else ("before",)
            for moment in moments:
                yield pytest.param(
                    call, CallFault(does=does, moment=moment, **needs), id=f"{call}-{does}-{moment}"
                )
    for status in (401, 429, 500, 504):
        yield pytest.param("append", CallFault(does="fail", status=status), id=f"append-{status}")
        yield pytest.param("publish", CallFault(does="fail", status=status), id=f"publish-{status}")


@pytest.mark.long
@pytest.mark.parametrize(("call", "made"), list(call_faults()))
async def test_a_fault_of_calls_breaks_no_promise(
    call: str, made: CallFault, database: str, clock: VirtualClock
) -> None:
    """Likewise at what is done over HTTP: entries appended, the log read, broadcasts where no socket is."""
    path, mode, provoke, at_first, _ = CALLED[call]
    struck = replace(made, path=path, times=TIMES)

    async def strike(app: StoryApp) -> None:
        _ = app.emulator.faults.add(struck)
        await provoke(app)

    await tell(database, clock, mode, strike, at_first=at_first)

    assert struck.times < TIMES


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "settings",
    [{"connections": 0}, {"joins_per_second": 0}, {"channels": 0}],
    ids=["no room", "too many joins", "too many channels"],
)
async def test_a_project_that_lets_nobody_in_for_a_while_breaks_no_promise(
    settings: dict[str, Any], mode: str, database: str, clock: VirtualClock
) -> None:
    """At the handshake or at the join, for three quarters of a minute."""

    async def strike(app: StoryApp) -> None:
        before = {name: getattr(app.emulator.settings, name) for name in settings}
        app.emulator.change(**settings)
        _ = app.emulator.clock.call_later(45.0, lambda: app.emulator.change(**before))
        await cut(app)

    await tell(database, clock, mode, strike)


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
async def test_a_key_that_is_refused_fails_the_connection_and_no_message(
    mode: str, database: str, clock: VirtualClock
) -> None:
    """The project's keys were changed: health says why, and a retry by hand sends what waited (D12)."""
    async with StoryApp(database, MODES[mode], clock=clock) as app, app.member("ada") as ada:
        mine = ada.channel("support")
        await mine.attach(timeout=PATIENCE)
        secret = app.emulator.settings.jwt_secret
        app.emulator.change(jwt_secret="another" * 5)
        await cut(app)
        delivery = await mine.send("kept")
        await until(lambda: ada.connection.state == "failed", "it is refused")

        assert isinstance(ada.connection.reason, AuthenticationError)
        assert ada.health().status == "down"
        assert not delivery.done
        app.emulator.change(jwt_secret=secret)
        ada.connection.retry_now()
        _ = await delivery.wait("sent", timeout=60)


REASONS: Final = (
    "ConnectionRateLimitReached: Too many connected users",
    "DatabaseLackOfConnections: Database can't accept more connections, Realtime won't connect",
    "InitializingProjectConnection: Realtime is initializing the project connection",
    "InvalidJWTToken: Token has expired 1 seconds ago",
    "nobody knows",
)
"""Why a join is refused that is granted later."""


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("reason", REASONS)
async def test_a_refused_join_breaks_no_promise(
    reason: str, mode: str, database: str, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of them, each answered after five seconds in which the service does nothing else of the connection."""
    granted, left = Session._granted, [TIMES]

    async def refuse(self: Session, *asked: Any) -> Any:
        if left[0] > 0:
            left[0] -= 1
            raise JoinError(reason)
        return await granted(self, *asked)

    async def strike(app: StoryApp) -> None:
        monkeypatch.setattr(Session, "_granted", refuse)
        await cut(app)

    await tell(database, clock, mode, strike)

    assert left[0] == 0


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
async def test_tokens_that_are_not_to_be_had_break_no_promise(
    mode: str, database: str, clock: VirtualClock
) -> None:
    """The app's sign-in fails until tokens have long expired and channels were closed for it."""

    async def strike(app: StoryApp) -> None:
        app.signs = False
        _ = app.emulator.clock.call_later(300.0, lambda: setattr(app, "signs", True))
        await asyncio.sleep(200)

    await tell(database, clock, mode, strike)


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
async def test_a_project_over_its_limit_of_events_breaks_no_promise(
    mode: str, database: str, clock: VirtualClock
) -> None:
    """Its members speak faster than it takes: it closes channels, or drops what the database announces."""
    told: list[str] = []

    async def strike(app: StoryApp) -> None:
        project: Any = app.emulator.project
        commit = project.commit

        def watched(place: Any, broadcast: Any) -> None:
            if project.events.exceeded:
                told.append("dropped")
            commit(place, broadcast)

        app.emulator.change(events_per_second=4)
        app.on_shut, project.commit = told.append, watched

    await tell(database, clock, mode, strike, said=40)

    assert ("dropped" if mode == "database" else "Too many messages per second") in told


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
async def test_who_says_much_of_themself_is_not_closed_for_it(
    mode: str, database: str, clock: VirtualClock
) -> None:
    """Of thirty words on presence in a few seconds the last is told, and the service closes nothing (D28)."""
    shut: list[str] = []

    async def strike(app: StoryApp) -> None:
        app.on_shut = shut.append
        for number in range(30):
            await app.chats["ada"].channel("support").presence.update(data={"number": number})
            await asyncio.sleep(0.1)

    await tell(database, clock, mode, strike)

    assert shut == []
