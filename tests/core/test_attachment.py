"""The attachment's table: a channel that is wanted is attached again, or says why not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.core.attachment import TABLE, Effect, Input, State
from chatkit.core.table import step
from tests.core.tables import asking, causes, leaving, reachable

S, I, E = State, Input, Effect


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("heard", I)
def test_every_pair_is_tabled(state: State, heard: Input) -> None:
    """Wishes, the link, the provider and timers speak independently: any may come in any state."""
    assert step(TABLE, state, heard).state in S


CAUSES = {
    S.DETACHED: {I.UNWANT},
    S.ATTACHING: {I.WANT, I.CONNECTED, I.DISCONNECTED, I.TIMER},
    S.ATTACHED: {I.ATTACHED},
    S.SUSPENDED: {I.OVERDUE, I.LOST},
    S.FAILED: {I.REFUSED},
}


@pytest.mark.parametrize("state", CAUSES)
def test_each_state_has_its_causes(state: State) -> None:
    """Attached is what the provider calls attached, failed what it refused for good."""
    assert causes(TABLE, state) == CAUSES[state]


LEFT_BY = {
    S.DETACHED: {I.WANT},
    S.ATTACHING: {I.UNWANT, I.OVERDUE, I.ATTACHED, I.LOST, I.REFUSED},
    S.ATTACHED: {I.UNWANT, I.DISCONNECTED, I.OVERDUE, I.LOST, I.REFUSED},
    S.SUSPENDED: {I.UNWANT, I.CONNECTED, I.ATTACHED, I.REFUSED, I.TIMER},
    S.FAILED: {I.WANT, I.UNWANT},
}


@pytest.mark.parametrize("state", LEFT_BY)
def test_each_state_lasts_until_something_ends_it(state: State) -> None:
    """A wish repeated, a wait over, a word of the link that says nothing new end none."""
    assert leaving(TABLE, {state}) == LEFT_BY[state]


@pytest.mark.parametrize("state", S)
def test_no_state_is_a_dead_end(state: State) -> None:
    """From each a channel can be attached and can be given up."""
    assert reachable(TABLE, state) == set(S)


def test_a_refused_or_unwanted_channel_stays_so() -> None:
    """Only a wish begins again: not a reconnect, not a late answer."""
    assert reachable(TABLE, S.FAILED, without=frozenset({I.WANT, I.UNWANT})) == {S.FAILED}
    assert reachable(TABLE, S.DETACHED, without=frozenset({I.WANT})) == {S.DETACHED}


WANTED = {S.ATTACHING, S.ATTACHED, S.SUSPENDED}


def test_a_wish_is_heard_in_every_state() -> None:
    """Wanted, it is tried; unwanted, it is given up."""
    for state in S:
        assert step(TABLE, state, I.WANT).state in WANTED
        assert step(TABLE, state, I.UNWANT).state is S.DETACHED


@pytest.mark.parametrize("state", sorted(WANTED, key=str))
def test_a_refusal_ends_the_attempts(state: State) -> None:
    """Also one that comes after a loss of the same channel was told."""
    assert step(TABLE, state, I.REFUSED) == (S.FAILED, ())


def test_an_attach_is_asked_for_where_there_is_a_connection() -> None:
    """When it comes up, and when the wait of a lost channel is over; not by a wish, which knows of none."""
    assert asking(TABLE, E.ATTACH) == {
        (S.ATTACHING, I.CONNECTED),
        (S.SUSPENDED, I.CONNECTED),
        (S.SUSPENDED, I.TIMER),
    }


def test_what_nobody_wants_is_not_received() -> None:
    """An attach that succeeds too late is undone."""
    assert asking(TABLE, E.DETACH) == {
        (S.DETACHED, I.ATTACHED),
        (S.FAILED, I.ATTACHED),
        *((state, I.UNWANT) for state in WANTED),
    }


def test_each_attach_brings_a_verdict_on_continuity() -> None:
    """Also one that nobody asked for, and one that had been given up (D17)."""
    assert asking(TABLE, E.CATCH_UP) == {(state, I.ATTACHED) for state in WANTED}


def test_a_lost_channel_is_tried_again_after_a_wait() -> None:
    """The connection lives, so no reconnect will come to help."""
    assert asking(TABLE, E.WAIT) == {(state, I.LOST) for state in WANTED}


def test_a_wanted_channel_survives_the_link() -> None:
    """It waits through an outage of any length and is asked for again."""
    state = S.ATTACHED
    for heard in (I.DISCONNECTED, I.OVERDUE, I.DISCONNECTED):
        state = step(TABLE, state, heard).state

    assert step(TABLE, state, I.CONNECTED) == (S.ATTACHING, (E.ATTACH,))


class Driver:
    """Keeps what the table is owed; answers come late, twice, or from nowhere."""

    def __init__(self) -> None:
        self.state = S.DETACHED
        self.linked = False
        self.asked = 0
        self.waits = 0

    def possible(self) -> list[Input]:
        link = [I.DISCONNECTED] if self.linked else [I.CONNECTED, I.OVERDUE, I.DISCONNECTED]
        timers = [I.TIMER] if self.waits else []
        return [I.WANT, I.UNWANT, *link, *timers, I.ATTACHED, I.LOST, I.REFUSED]

    def give(self, heard: Input) -> None:
        before = self.state
        if heard in {I.CONNECTED, I.DISCONNECTED, I.OVERDUE}:
            self.linked = heard is I.CONNECTED
            self.asked = 0
        elif heard in {I.ATTACHED, I.LOST, I.REFUSED} and self.asked:
            self.asked -= 1
        elif heard is I.TIMER:
            self.waits -= 1
        self.state, effects = step(TABLE, self.state, heard)
        for effect in effects:
            if effect is E.ATTACH and self.linked:
                self.asked += 1
            elif effect is E.WAIT:
                self.waits += 1
        if heard is I.WANT and self.state is not before and self.linked:
            self.give(I.CONNECTED)


@given(st.lists(st.integers(0, 99), max_size=80))
def test_a_wanted_channel_is_never_forgotten(choices: list[int]) -> None:
    """While the link is up it is attached, refused, being asked for, or about to be."""
    driver = Driver()
    for choice in choices:
        possible = driver.possible()
        driver.give(possible[choice % len(possible)])

        if driver.linked and driver.state is S.ATTACHING:
            assert driver.asked
        if driver.linked and driver.state is S.SUSPENDED:
            assert driver.waits
