"""The attachment's table: a channel that is wanted is attached again, or says why not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.core.attachment import TABLE, Effect, Input, State
from chatkit.core.table import step
from tests.core.tables import causes, reachable

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


@pytest.mark.parametrize("state", S)
def test_no_state_is_a_dead_end(state: State) -> None:
    """From each a channel can be attached and can be given up."""
    assert reachable(TABLE, state) == set(S)


def test_a_refused_or_unwanted_channel_stays_so() -> None:
    """Only a wish begins again: not a reconnect, not a late answer."""
    assert reachable(TABLE, S.FAILED, without=frozenset({I.WANT, I.UNWANT})) == {S.FAILED}
    assert reachable(TABLE, S.DETACHED, without=frozenset({I.WANT})) == {S.DETACHED}


@pytest.mark.parametrize("state", [S.DETACHED, S.FAILED])
def test_an_attach_that_succeeds_too_late_is_undone(state: State) -> None:
    """What nobody wants is not received."""
    assert step(TABLE, state, I.ATTACHED) == (state, (E.DETACH,))


@pytest.mark.parametrize("state", [S.ATTACHING, S.ATTACHED, S.SUSPENDED])
def test_each_attach_brings_a_verdict_on_continuity(state: State) -> None:
    """Also one that nobody asked for, and one that had been given up (D17)."""
    assert step(TABLE, state, I.ATTACHED) == (S.ATTACHED, (E.CATCH_UP,))


@pytest.mark.parametrize("state", [S.ATTACHING, S.ATTACHED, S.SUSPENDED])
def test_a_lost_channel_is_tried_again_after_a_wait(state: State) -> None:
    """The connection lives, so no reconnect will come to help."""
    assert step(TABLE, state, I.LOST) == (S.SUSPENDED, (E.WAIT,))


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
