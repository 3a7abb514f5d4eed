"""The link: one session kept alive, whatever the provider and the machine do."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from chatkit.core import backoff
from chatkit.core.connection import PROOF, SUSPEND_AFTER, State
from chatkit.engine.link import CLOSE_TIMEOUT, OPEN_TIMEOUT, TIME_TIMEOUT, unreachable
from chatkit.engine.liveness import LOOK
from chatkit.errors import (
    AuthenticationError,
    ChatkitError,
    ConfigError,
    NotAllowed,
    ProviderError,
    RateLimited,
    TransportError,
)
from chatkit.ports import Alive, SessionClosed
from chatkit.testing.clock import settle
from tests.engine.sending_kit import CAPABLE, Client, FakeAdapter, FakeSession, Fixed, World, for_ever

if TYPE_CHECKING:
    from chatkit.ports import Again
    from chatkit.testing.clock import VirtualClock

LIVENESS = CAPABLE.liveness


def client(clock: VirtualClock, adapter: Any, *, chance: float = 1.0) -> Client:
    """Return a client whose waits are as long as chance allows."""
    found = Client(clock, adapter)
    found.context.random = Fixed(chance)
    return found


def closed(again: Again, after: float | None = None) -> SessionClosed:
    return SessionClosed("closed", again=again, after=after)


def refusing(count: int, error: ChatkitError | None = None) -> FakeAdapter:
    """Return an adapter that refuses its first connections."""
    adapter = FakeAdapter()
    adapter.script += [error or closed("later")] * count
    return adapter


# -- connecting


async def test_a_link_connects(clock: VirtualClock) -> None:
    """Starting returns at once; users see each state."""
    async with client(clock, FakeAdapter()) as ada:
        assert ada.link.view.state == "connecting"
        assert ada.link.view.transport is None
        await settle()

        view = ada.link.view
        assert (view.state, view.reason, view.attempt, view.retry_in) == ("connected", None, 0, None)
        assert view.transport == "fake"
        assert ada.link.live is ada.link.session is not None


async def test_a_session_may_say_by_what_it_is_carried(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it is called after the scheme."""
    monkeypatch.setattr(FakeSession, "transport", "poll", raising=False)
    async with client(clock, FakeAdapter()) as ada:
        await ada.connected()
        assert ada.link.view.transport == "poll"


async def test_each_failure_doubles_the_wait(clock: VirtualClock) -> None:
    """Full jitter under a cap: here chance is at its highest."""
    adapter = refusing(8)
    async with client(clock, adapter) as ada:
        await ada.connected()

        waits = [later - earlier for earlier, later in zip(adapter.opens, adapter.opens[1:], strict=False)]
        assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30]


async def test_a_wait_lies_anywhere_below_its_bound(clock: VirtualClock) -> None:
    """So that a crowd that lost its connection together does not come back together."""
    adapter = refusing(3)
    async with client(clock, adapter, chance=0.25) as ada:
        await ada.connected()

        assert adapter.opens == [0.0, 0.125, 0.375, 0.875]


async def test_a_view_tells_when_the_next_attempt_is(clock: VirtualClock) -> None:
    """Failures in a row, the reason, and the seconds that are left."""
    adapter = refusing(2, TransportError("no route"))
    async with client(clock, adapter) as ada:
        await settle()
        first = ada.link.view
        await asyncio.sleep(0.1)
        later = ada.link.view

        assert (first.state, first.attempt, first.retry_in) == ("disconnected", 1, 0.5)
        assert isinstance(first.reason, TransportError)
        assert later.retry_in == pytest.approx(0.4)


async def test_the_backoff_starts_anew_only_once_a_connection_proved_itself(clock: VirtualClock) -> None:
    """One that dies young counts as one more failure: else a provider that drops everybody is hammered."""
    adapter = refusing(3)
    async with client(clock, adapter) as ada:
        await ada.connected()
        adapter.script += [closed("later")] * 1
        adapter.sessions[-1].heard.put_nowait(closed("later"))
        began = clock.monotonic()
        await settle()
        await ada.connected()

        assert [at - began for at in adapter.opens[4:]] == [4.0, 12.0]


async def test_a_proven_connection_starts_the_backoff_anew(clock: VirtualClock) -> None:
    """After ten seconds of life the failures before it are forgotten."""
    adapter = refusing(5)
    async with client(clock, adapter) as ada:
        await ada.connected()
        await asyncio.sleep(PROOF + 0.1)
        adapter.sessions[-1].heard.put_nowait(closed("later"))
        began = clock.monotonic()
        await settle()
        await ada.connected()

        assert adapter.opens[-1] - began == pytest.approx(0.5)


async def test_an_open_that_hangs_is_given_up(clock: VirtualClock) -> None:
    """After its time the attempt counts as failed, and the next is made (I11)."""
    adapter = FakeAdapter()
    adapter.script.append(for_ever)
    async with client(clock, adapter) as ada:
        await ada.connected()

        assert adapter.opens == [0.0, OPEN_TIMEOUT + 0.5]


async def test_whatever_an_adapter_raises_the_link_goes_on_trying(clock: VirtualClock) -> None:
    """A defect of an adapter is no reason to stay away; its text stays out of the reason (I16)."""
    adapter = FakeAdapter()
    adapter.script += [KeyError("secret"), ProviderError("500")]
    async with client(clock, adapter) as ada:
        await settle()
        assert "KeyError" in str(ada.link.reason)
        assert "secret" not in str(ada.link.reason)
        await ada.connected()


# -- what a loss asks for


async def test_a_fatal_close_ends_the_trying(clock: VirtualClock) -> None:
    """Only the user begins again, from the start."""
    adapter = refusing(1, closed("never"))
    async with client(clock, adapter) as ada:
        await asyncio.sleep(1_000)
        assert (ada.link.state, len(adapter.opens)) == (State.FAILED, 1)

        ada.link.retry_now()
        await settle()
        assert ada.link.state is State.CONNECTED


@pytest.mark.parametrize("error", [NotAllowed("banned"), ConfigError("no token provider")])
async def test_misuse_and_a_refusal_for_good_are_fatal(clock: VirtualClock, error: ChatkitError) -> None:
    """Whoever raised them: trying again cannot help."""
    async with client(clock, refusing(1, error)) as ada:
        await settle()
        assert (ada.link.state, ada.link.reason) == (State.FAILED, error)


async def test_a_provider_that_says_now_gets_us_back_almost_at_once(clock: VirtualClock) -> None:
    """After a moment of chance; but not again and again."""
    adapter = FakeAdapter()
    async with client(clock, adapter) as ada:
        await asyncio.sleep(PROOF + 1)
        began = clock.monotonic()
        adapter.script.append(closed("now"))
        adapter.sessions[-1].heard.put_nowait(closed("now"))
        await settle()
        await ada.connected()

        assert [at - began for at in adapter.opens[1:]] == [
            pytest.approx(backoff.BRIEF),
            pytest.approx(backoff.BRIEF + 1.0),
        ]


@pytest.mark.parametrize("error", [closed("later", 45.0), RateLimited("slowly", retry_after=45.0)])
async def test_a_pause_asked_for_is_kept(clock: VirtualClock, error: ChatkitError) -> None:
    """`Retry-After` is obeyed where it is longer than the backoff."""
    adapter = refusing(1, error)
    async with client(clock, adapter) as ada:
        await ada.connected()

        assert adapter.opens == [0.0, 45.0]


async def test_a_pause_asked_for_holds_for_the_next_attempt_only(clock: VirtualClock) -> None:
    """The attempt after that waits as long as any other."""
    adapter = FakeAdapter()
    adapter.script += [closed("later", 45.0), closed("later")]
    async with client(clock, adapter) as ada:
        await ada.connected()

        assert adapter.opens == [0.0, 45.0, 46.0]


@pytest.mark.parametrize("error", [closed("reauthenticate"), AuthenticationError("expired")])
async def test_a_refused_credential_is_tried_once_more(clock: VirtualClock, error: ChatkitError) -> None:
    """The adapter, which was refused, fetches a fresh one; if that is refused too it is for good (D12)."""
    adapter = refusing(2, error)
    async with client(clock, adapter) as ada:
        await asyncio.sleep(1_000)

        assert (ada.link.state, len(adapter.opens)) == (State.FAILED, 2)


async def test_a_credential_that_worked_may_be_refused_again(clock: VirtualClock) -> None:
    """Tokens expire: each refusal after a connection has a fresh one (D32)."""
    adapter = FakeAdapter()
    async with client(clock, adapter) as ada:
        for _ in range(3):
            await ada.connected()
            adapter.sessions[-1].heard.put_nowait(closed("reauthenticate"))
            await settle()
        await ada.connected()

        assert ada.link.state is State.CONNECTED


async def test_a_user_may_end_the_backoff(clock: VirtualClock) -> None:
    """It does not wait its turn, and failures are forgotten."""
    adapter = refusing(7)
    async with client(clock, adapter) as ada:
        await asyncio.sleep(40)
        assert ada.link.state is State.DISCONNECTED

        ada.link.retry_now()
        await settle()

        assert (len(adapter.opens), adapter.opens[-1]) == (8, clock.monotonic())
        assert (ada.link.state, ada.link.view.attempt) == (State.CONNECTED, 0)


# -- away for long


async def test_a_link_away_for_long_is_suspended_and_goes_on_trying(clock: VirtualClock) -> None:
    """After two minutes nobody expects to resume; the trying goes on, for days (D32)."""
    adapter = refusing(20)
    async with client(clock, adapter) as ada:
        await asyncio.sleep(SUSPEND_AFTER - 1)
        before = ada.link.view.state
        await asyncio.sleep(2)
        assert (before, ada.link.view.state) == ("disconnected", "suspended")

        await ada.connected(within=1_000)
        assert len(adapter.opens) == 21
        tried = ["disconnected", "connecting"] * 8
        assert ada.states == ["connecting", *tried, "disconnected", "suspended", "connected"]


async def test_a_resume_window_longer_than_that_puts_it_off(clock: VirtualClock) -> None:
    """As long as the provider may resume, the link is only disconnected."""
    world = World(clock)
    world.network.cut("ada")
    async with world.client(like="ably", resume=400) as ada:
        await asyncio.sleep(399)
        before = ada.link.view.state
        await asyncio.sleep(10)

        assert before in ("disconnected", "connecting")
        assert ada.link.view.state == "suspended"


async def test_absence_is_counted_from_each_loss_anew(clock: VirtualClock) -> None:
    """A watch from before a failure does not suspend what was begun after it."""
    adapter = refusing(1, closed("never"))
    async with client(clock, adapter) as ada:
        await asyncio.sleep(100)
        adapter.script += [closed("later")] * 20
        ada.link.retry_now()
        await asyncio.sleep(SUSPEND_AFTER - 1)
        before = ada.link.view.state
        await asyncio.sleep(2)

        assert (before, ada.link.view.state) == ("disconnected", "suspended")


# -- liveness


async def test_frames_are_proof_of_life(clock: VirtualClock) -> None:
    """A connection that hears something needs no probe (I11)."""
    adapter = FakeAdapter()
    async with client(clock, adapter) as ada:
        await ada.connected()
        [session] = adapter.sessions
        for _ in range(20):
            session.heard.put_nowait(Alive(clock.monotonic()))
            await asyncio.sleep(LIVENESS / 2 - 1)

        assert (session.probes, ada.link.state) == (0, State.CONNECTED)
        assert len(ada.signals) == 20


async def test_silence_is_probed_after_half_the_time(clock: VirtualClock) -> None:
    """An answer keeps the connection."""
    adapter = FakeAdapter()
    async with client(clock, adapter) as ada:
        await ada.connected()
        [session] = adapter.sessions
        await asyncio.sleep(LIVENESS / 2 + 0.1)
        first = session.probes
        await asyncio.sleep(10 * LIVENESS)

        assert (first, ada.link.state, len(adapter.sessions)) == (1, State.CONNECTED, 1)


@pytest.mark.parametrize("like", ["memory", "supabase", "ably", "pusher"])
async def test_a_half_open_socket_is_noticed_in_time(clock: VirtualClock, like: str) -> None:
    """It looks open and nothing comes: within `capabilities.liveness` the link knows (I11)."""
    world = World(clock)
    async with world.client(like=like) as ada:
        await ada.connected()
        await asyncio.sleep(7.3)
        world.network.cut("ada", half_open=True)
        await asyncio.sleep(ada.context.adapter.capabilities.liveness)

        assert ada.link.live is None
        assert "no sign of life" in str(ada.link.reason)


async def test_a_lost_answer_to_a_probe_is_no_death_where_frames_come(clock: VirtualClock) -> None:
    """Liveness is judged from received frames, of whatever kind."""
    adapter = FakeAdapter()
    async with client(clock, adapter) as ada:
        await ada.connected()
        [session] = adapter.sessions
        session.on_probe = for_ever
        await asyncio.sleep(LIVENESS / 2 + 1)
        session.heard.put_nowait(Alive(clock.monotonic()))
        await asyncio.sleep(LIVENESS / 2)

        assert (session.probes, len(adapter.sessions)) == (1, 1)


async def test_a_probe_that_finds_the_session_dead_tells_why(clock: VirtualClock) -> None:
    """What the provider asked for counts, not what the watch would say."""
    adapter = FakeAdapter()
    async with client(clock, adapter) as ada:
        await ada.connected()

        async def dead() -> None:
            raise closed("never")

        adapter.sessions[0].on_probe = dead
        await asyncio.sleep(LIVENESS)

        assert ada.link.state is State.FAILED


async def test_a_session_is_lost_once(clock: VirtualClock) -> None:
    """The reader, the watch and a call may all find it dead: the first word counts."""
    adapter = FakeAdapter()
    async with client(clock, adapter) as ada:
        await ada.connected()
        session = ada.link.live
        assert session is not None
        ada.link.lost(session, closed("later"))
        ada.link.lost(session, closed("never"))
        adapter.sessions[0].heard.put_nowait(closed("never"))
        await ada.connected()

        assert adapter.sessions[0].closed == 1
        assert ada.link.state is State.CONNECTED


async def test_a_session_that_just_stops_is_opened_anew(clock: VirtualClock) -> None:
    """A reader that ends without a word is a connection that ended."""
    adapter = FakeAdapter()
    async with client(clock, adapter) as ada:
        await ada.connected()
        adapter.sessions[0].heard.put_nowait(None)
        await settle()
        reason = ada.link.reason
        await ada.connected()

        assert "ended the connection" in str(reason)
        assert len(adapter.sessions) == 2


async def test_a_reader_that_breaks_is_opened_anew(clock: VirtualClock) -> None:
    """What it raised is a loss like any other."""
    adapter = FakeAdapter()
    async with client(clock, adapter) as ada:
        await ada.connected()
        adapter.sessions[0].heard.put_nowait(KeyError("x"))
        await settle()
        await ada.connected()

        assert len(adapter.sessions) == 2


async def test_a_frame_that_breaks_us_does_not_cost_the_connection(clock: VirtualClock) -> None:
    """A defect of ours is counted, and the next frame read (I13)."""
    adapter = FakeAdapter()
    async with client(clock, adapter) as ada:
        await ada.connected()
        taken: list[object] = []

        def choke(signal: object) -> None:
            taken.append(signal)
            if len(taken) == 1:
                raise ValueError("oops")

        ada.link._on_signal = choke
        adapter.sessions[0].heard.put_nowait(Alive(0.0))
        adapter.sessions[0].heard.put_nowait(Alive(0.0))
        await settle()

        assert (len(taken), ada.link.state) == (2, State.CONNECTED)
        assert ada.context.defects == {"signal": 1}
        ada.context.defects.clear()


# -- sleep and time


async def test_a_machine_that_slept_probes_its_socket_at_once(clock: VirtualClock) -> None:
    """The wall clock ran ahead: the socket is in question, however little time passed awake (D32)."""
    adapter = FakeAdapter()
    async with client(clock, adapter) as ada:
        await ada.connected()
        [session] = adapter.sessions
        clock.jump(3_600)
        await asyncio.sleep(LOOK + 0.1)

        assert (session.probes, ada.wakes, ada.link.state) == (1, 1, State.CONNECTED)
        assert "connection.woke" in ada.watcher.names


async def test_a_socket_that_died_in_its_sleep_is_replaced(clock: VirtualClock) -> None:
    """It has half the liveness to answer, as after any silence (D32)."""
    world = World(clock)
    async with world.client() as ada:
        await ada.connected()
        dead = ada.link.session
        world.network.cut("ada", half_open=True)
        world.network.heal("ada")
        clock.jump(3_600)
        await asyncio.sleep(LOOK + ada.context.adapter.capabilities.liveness / 2 + 1)

        assert ada.link.live not in (None, dead)


async def test_every_link_of_a_client_notices_that_the_machine_slept(clock: VirtualClock) -> None:
    """The first one to look takes nothing away from the others (D32)."""
    adapter = FakeAdapter()
    async with client(clock, adapter) as ada:
        other = type(ada.link)(ada.context, on_signal=print, on_change=lambda: None, on_wake=ada._woke)
        other.start()
        await settle()
        clock.jump(3_600)
        await asyncio.sleep(LOOK + 0.1)

        assert ada.wakes == 2
        assert [session.probes for session in adapter.sessions] == [1, 1]
        await other.aclose()


async def test_after_a_sleep_the_time_is_asked_again(clock: VirtualClock) -> None:
    """Until a contact has confirmed it nothing expires (D13)."""
    adapter = FakeAdapter()
    async with client(clock, adapter) as ada:
        await ada.connected()
        clock.jump(3_600)
        assert ada.context.server_time.sleeps() == 1
        assert not ada.context.server_time.confirmed
        await asyncio.sleep(2 * LOOK + 0.1)

        assert ada.context.server_time.confirmed


async def test_the_time_is_known_before_anything_is_sent(clock: VirtualClock) -> None:
    """The first clock reading that goes out is by server time (D4)."""
    ahead = datetime(2030, 1, 1, tzinfo=UTC)
    adapter = FakeAdapter()

    async def tell() -> datetime:
        await asyncio.sleep(1)
        return ahead

    adapter.time = tell
    async with client(clock, adapter) as ada:
        await asyncio.sleep(0.5)
        before = ada.link.state
        await asyncio.sleep(0.6)

        assert (before, ada.link.state) == (State.CONNECTING, State.CONNECTED)
        assert ada.context.server_time.now() - ahead < timedelta(seconds=1)


async def test_a_time_that_nobody_tells_is_asked_for_again(clock: VirtualClock) -> None:
    """The session lives without it; entries expire once it is known (D13)."""
    adapter = FakeAdapter()
    adapter.time = for_ever
    async with client(clock, adapter) as ada:
        await asyncio.sleep(TIME_TIMEOUT + 0.1)
        first = ada.link.state, ada.context.server_time.confirmed
        adapter.time = None
        await asyncio.sleep(LOOK + 0.1)

        assert first == (State.CONNECTED, False)
        assert ada.context.server_time.confirmed


# -- closing


async def test_closing_ends_the_session(clock: VirtualClock) -> None:
    """Once, and no timer stays (I12)."""
    adapter = FakeAdapter()
    ada = client(clock, adapter)
    await ada.open()
    await ada.connected()

    assert await ada.aclose() == ()
    await ada.link.aclose()

    assert (adapter.sessions[0].closed, ada.link.state) == (1, State.CLOSED)
    assert ada.states[-2:] == ["closing", "closed"]
    assert scheduled() == []


async def test_closing_while_waiting_leaves_no_timer(clock: VirtualClock) -> None:
    """Neither the backoff's nor that of absence (I12)."""
    ada = client(clock, refusing(100))
    await ada.open()
    await asyncio.sleep(50)

    assert await ada.aclose() == ()
    assert scheduled() == []


async def test_a_session_that_does_not_close_is_dropped(clock: VirtualClock) -> None:
    """Closing returns by its deadline (I12)."""
    adapter = FakeAdapter()
    ada = client(clock, adapter)
    await ada.open()
    await ada.connected()
    adapter.sessions[0].on_close = for_ever
    began = clock.monotonic()
    await ada.link.aclose()

    assert clock.monotonic() - began == pytest.approx(CLOSE_TIMEOUT)
    assert "session.end_failed" in ada.watcher.names
    adapter.sessions[0].on_close = None
    await ada.aclose()


async def test_a_session_that_appears_while_stopping_is_closed(clock: VirtualClock) -> None:
    """An adapter that cannot be cancelled brings it late: it must not stay open (I12)."""
    adapter = FakeAdapter()
    late = FakeSession()

    async def deaf() -> FakeSession:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
        return late

    adapter.script.append(deaf)
    ada = client(clock, adapter)
    await ada.open()
    await asyncio.sleep(0.1)
    await ada.link.aclose()
    assert late.closed == 0
    await asyncio.sleep(2)

    assert (late.closed, ada.link.session, ada.link.state) == (1, None, State.CLOSED)
    await ada.aclose()


async def test_a_session_found_just_before_stopping_is_closed(clock: VirtualClock) -> None:
    """Closing between the session's birth and the word that it is open ends it, once (I12)."""
    adapter = FakeAdapter()

    async def slow() -> None:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:  # a call that cannot be cancelled
            return

    adapter.time = slow
    ada = client(clock, adapter)
    await ada.open()
    await asyncio.sleep(0.1)
    await ada.link.aclose()
    await asyncio.sleep(2)

    assert adapter.sessions[0].closed == 1
    assert ada.link.state is State.CLOSED
    assert "connected" not in ada.states
    await ada.aclose()


async def test_closing_a_link_that_is_opening_ends_the_attempt(clock: VirtualClock) -> None:
    """It is not waited for (I12)."""
    adapter = FakeAdapter()
    adapter.script.append(for_ever)
    ada = client(clock, adapter)
    await ada.open()
    await settle()
    await ada.link.aclose()

    assert clock.monotonic() == 0.0
    assert (await ada.aclose(), adapter.sessions) == ((), [])


def test_an_unreachable_provider_has_a_reason() -> None:
    """The link's own, or that there was no connection yet."""
    error = closed("later")
    assert unreachable(error) is error
    assert isinstance(unreachable(None), TransportError)


def scheduled() -> list[asyncio.TimerHandle]:
    """Return the timers that wait to go off."""
    loop: Any = asyncio.get_running_loop()
    return [handle for handle in loop._scheduled if not handle.cancelled()]
