"""The connection's table: complete where the world speaks, refusing where only a defect could."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.core.connection import LOST, TABLE, Effect, Input, PublicState, State
from chatkit.core.table import Illegal, step
from chatkit.ports import Again
from tests.core.tables import asking, causes, leaving, reachable

S, I, E = State, Input, Effect

TRYING = {S.CONNECTING, S.SUSPENDED_CONNECTING}
WAITING = {S.DISCONNECTED, S.SUSPENDED}
ENDED = {S.CLOSING, S.CLOSED}
LOSSES = set(LOST.values())

LEGAL: dict[Input, set[State]] = {
    I.START: {S.DISCONNECTED},
    I.OPENED: TRYING | ENDED,
    I.STOPPED: {S.CLOSING},
    **{lost: TRYING | ENDED | {S.CONNECTED} for lost in LOSSES},
    **{anytime: set(S) for anytime in (I.TIMER, I.RETRY, I.OVERDUE, I.PROVEN, I.STOP)},
}


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("heard", I)
def test_a_pair_is_tabled_or_refused(state: State, heard: Input) -> None:
    """A driver can meet exactly the tabled pairs; any other is a defect and says so."""
    if state in LEGAL[heard]:
        assert step(TABLE, state, heard) is TABLE[state, heard]
    else:
        with pytest.raises(Illegal, match=str(heard)):
            step(TABLE, state, heard)


def test_every_state_can_be_reached() -> None:
    """None stands in the table for show."""
    assert reachable(TABLE, S.DISCONNECTED) == set(S)


@pytest.mark.parametrize("state", S)
def test_every_state_comes_to_closed(state: State) -> None:
    """Whatever happened, a client can end (I12)."""
    assert S.CLOSED in reachable(TABLE, state)


@pytest.mark.parametrize("state", [state for state in S if state not in ENDED])
def test_no_state_is_a_dead_end(state: State) -> None:
    """Until it is told to stop, the link can come back (I11)."""
    assert S.CONNECTED in reachable(TABLE, state)


CAUSES = {
    S.DISCONNECTED: LOSSES - {I.LOST_NEVER},
    S.CONNECTING: {I.START, I.TIMER, I.RETRY},
    S.CONNECTED: {I.OPENED},
    S.SUSPENDED: LOSSES - {I.LOST_NEVER} | {I.OVERDUE},
    S.SUSPENDED_CONNECTING: {I.TIMER, I.RETRY, I.OVERDUE},
    S.CLOSING: {I.STOP},
    S.CLOSED: {I.STOPPED},
    S.FAILED: {I.LOST_NEVER},
}


@pytest.mark.parametrize("state", CAUSES)
def test_each_state_has_its_causes(state: State) -> None:
    """Connected is an open session, failed is what a provider refused for good."""
    assert causes(TABLE, state) == CAUSES[state]


def test_ended_means_ended() -> None:
    """Nothing leads from closing or closed back to a connection (I12)."""
    assert reachable(TABLE, S.CLOSING) == ENDED
    assert reachable(TABLE, S.CLOSED) == {S.CLOSED}


def test_each_way_to_come_again_has_its_input() -> None:
    """What an adapter answers is what the table hears."""
    assert set(LOST) == set(get_args(Again))
    assert len(LOSSES) == len(LOST)


def test_users_see_seven_states() -> None:
    """The one that only the driver tells apart shows as `suspended`."""
    assert {state.public for state in S} == set(get_args(PublicState))
    assert S.SUSPENDED_CONNECTING.public == S.SUSPENDED.public == "suspended"


def walk(*heard: Input, start: State = S.DISCONNECTED) -> State:
    for one in heard:
        start = step(TABLE, start, one).state
    return start


def test_a_long_absence_shows_until_the_link_is_back() -> None:
    """`suspended` outlasts attempts that fail."""
    away = (I.START, I.LOST_LATER, I.OVERDUE)

    assert walk(*away, I.TIMER, I.LOST_LATER).public == "suspended"
    assert walk(*away, I.TIMER, I.LOST_LATER, I.TIMER, I.OPENED) is S.CONNECTED


def test_an_absence_is_long_or_short_until_it_ends() -> None:
    """Only time makes it long; only a session, a final refusal or a stop ends it."""
    long = {S.SUSPENDED, S.SUSPENDED_CONNECTING}
    short = {S.DISCONNECTED, S.CONNECTING}

    assert leaving(TABLE, long) == {I.OPENED, I.LOST_NEVER, I.STOP}
    assert leaving(TABLE, short) == {I.OPENED, I.LOST_NEVER, I.STOP, I.OVERDUE}
    assert causes(TABLE, S.SUSPENDED) & leaving(TABLE, short) == {I.OVERDUE}
    for state in S:
        if state not in long | {S.DISCONNECTED, S.CONNECTING}:
            assert not {step(TABLE, state, heard).state for heard in I if state in LEGAL[heard]} & long


def test_a_session_lasts_until_it_is_lost() -> None:
    """Timers and retries that come late do not end it; each loss does, and so does a stop."""
    assert leaving(TABLE, {S.CONNECTED}) == LOSSES | {I.STOP}
    assert all(step(TABLE, S.CONNECTED, lost).state is not S.CONNECTED for lost in LOSSES)


@pytest.mark.parametrize("state", sorted(TRYING, key=str))
def test_an_attempt_lasts_until_it_is_answered(state: State) -> None:
    """Or until the absence is long, which changes its name."""
    assert leaving(TABLE, {state}) == LOSSES | {I.OPENED, I.STOP} | (
        {I.OVERDUE} if state is S.CONNECTING else set()
    )


def test_stop_is_heard_in_every_state() -> None:
    """A client can end whatever its link is doing (I12)."""
    for state in S:
        assert step(TABLE, state, I.STOP).state is (state if state in ENDED else S.CLOSING)


LIVE = TRYING | {S.CONNECTED}
ASKED: dict[Effect, set[tuple[State, Input]]] = {
    E.OPEN: {(S.DISCONNECTED, I.START), (S.FAILED, I.RETRY)}
    | {(state, heard) for state in WAITING for heard in (I.TIMER, I.RETRY)},
    E.WAIT: {(state, I.LOST_LATER) for state in LIVE},
    E.WAIT_BRIEFLY: {(state, heard) for state in LIVE for heard in (I.LOST_NOW, I.LOST_REAUTHENTICATE)},
    E.STOP_WAITING: {(state, I.RETRY) for state in WAITING},
    # Before the next attempt, wherever the loss comes.
    E.REFRESH: {(state, I.LOST_REAUTHENTICATE) for state in LIVE},
    # From each loss of a session on; a failed attempt does not start it anew.
    E.WATCH_ABSENCE: {(S.DISCONNECTED, I.START), (S.FAILED, I.RETRY)}
    | {(S.CONNECTED, lost) for lost in LOSSES - {I.LOST_NEVER}},
    E.PROVE: {(state, I.OPENED) for state in TRYING},
    # A provider that accepts and drops at once is not hammered.
    E.RESET: {(S.CONNECTED, I.PROVEN)},
    # A session that opens too late is closed too (I12).
    E.CLOSE: {(state, I.STOP) for state in S if state not in ENDED} | {(state, I.OPENED) for state in ENDED},
}


@pytest.mark.parametrize("effect", E)
def test_each_effect_is_asked_for_where_it_is_due(effect: Effect) -> None:
    """And nowhere else."""
    assert asking(TABLE, effect) == ASKED[effect]


def test_a_credential_is_fetched_before_the_wait_for_the_next_attempt() -> None:
    """Effects are done in order."""
    for state in LIVE:
        effects = step(TABLE, state, I.LOST_REAUTHENTICATE).effects
        assert effects.index(E.REFRESH) < effects.index(E.WAIT_BRIEFLY)


class Driver:
    """Keeps what the table is owed, and lets everything else come whenever it likes."""

    def __init__(self) -> None:
        self.state = S.DISCONNECTED
        self.started = self.stopped = False
        self.attempt = self.session = False
        self.timers: list[Input] = []

    def possible(self) -> list[Input]:
        if not self.started:
            return [I.START, I.STOP]
        answers = [I.OPENED, *LOST.values()] if self.attempt else []
        losses = [*LOST.values()] if self.session else []
        ending = [I.STOPPED] if self.state is S.CLOSING else []
        return [*answers, *losses, *ending, *sorted(self.timers, key=str), I.RETRY, I.STOP]

    def give(self, heard: Input) -> None:
        self.started = True
        if heard in self.timers:
            self.timers.remove(heard)
        if heard is I.OPENED:
            self.attempt, self.session = False, self.state not in ENDED
        elif heard in LOSSES:
            self.attempt = self.session = False
        self.state, effects = step(TABLE, self.state, heard)
        for effect in effects:
            match effect:
                case E.OPEN:
                    assert not self.attempt
                    assert not self.session
                    self.attempt = True
                case E.WAIT | E.WAIT_BRIEFLY:
                    self.timers.append(I.TIMER)
                case E.WATCH_ABSENCE:
                    self.timers.append(I.OVERDUE)
                case E.PROVE:
                    self.timers.append(I.PROVEN)
                case E.STOP_WAITING | E.REFRESH | E.RESET | E.CLOSE:
                    pass  # what was under way may be too late to stop


@given(st.lists(st.integers(0, 99), max_size=80))
def test_whatever_comes_late_the_link_stays_sound(choices: list[int]) -> None:
    """Never two attempts, never a wait without an end, and the state says what there is."""
    driver = Driver()
    for choice in choices:
        possible = driver.possible()
        driver.give(possible[choice % len(possible)])

        if driver.state in TRYING:
            assert driver.attempt
        if driver.state not in ENDED:
            assert driver.session == (driver.state is S.CONNECTED)
            assert driver.attempt == (driver.state in TRYING)
        if driver.state in WAITING:
            assert I.TIMER in driver.timers
