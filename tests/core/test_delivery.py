"""The delivery's table: every wish ends, and what is called certain is."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.core.delivery import TABLE, Effect, Input, State
from chatkit.core.table import Illegal, step
from chatkit.model.message import Status
from tests.core.tables import reachable

S, I, E = State, Input, Effect

LEGAL: dict[State, set[Input]] = {
    S.QUEUED: {I.ATTEMPT, I.SEEN, I.DEADLINE, I.DEPENDENCY, I.DISCARD, I.REFUSED},
    S.SENDING: {I.ACKED, I.SEEN, I.REFUSED, I.REFUSED_ABSENT, I.TOO_LATE, I.UNSENT, I.ABSENT, I.SILENCE},
    S.IN_DOUBT: set(I) - {I.DISCARD, I.RETRY, I.RETRY_IN_DOUBT},
    S.SENT: set(I) - {I.ATTEMPT, I.DEADLINE, I.DEPENDENCY, I.DISCARD, I.ABANDON},
    S.FAILED: {I.SEEN, I.ACKED, I.RETRY, I.RETRY_IN_DOUBT},
    S.EXPIRED: {I.SEEN, I.ACKED, I.RETRY, I.RETRY_IN_DOUBT},
    S.DISCARDED: {I.SEEN},
}


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("heard", I)
def test_a_pair_is_tabled_or_refused(state: State, heard: Input) -> None:
    """A driver can meet exactly the tabled pairs; any other is a defect and says so (D6)."""
    if heard in LEGAL[state]:
        assert step(TABLE, state, heard) is TABLE[state, heard]
    else:
        with pytest.raises(Illegal, match=str(heard)):
            step(TABLE, state, heard)


def test_every_state_can_be_reached() -> None:
    """None stands in the table for show."""
    assert reachable(TABLE, S.QUEUED) == set(S)


@pytest.mark.parametrize("state", S)
def test_no_state_is_a_dead_end(state: State) -> None:
    """An echo or a log row turns any status into `sent` (D6)."""
    assert step(TABLE, state, I.SEEN).state is S.SENT


@pytest.mark.parametrize("state", [state for state in S if not state.done])
def test_whatever_is_unfinished_ends_by_its_deadline(state: State) -> None:
    """At once, or as soon as the attempt under way has its answer or is called silent (I11)."""
    if state is S.SENDING:
        ends = {step(TABLE, state, heard).state for heard in LEGAL[S.SENDING]}
        assert all(end.done or (end, I.DEADLINE) in TABLE for end in ends)
    else:
        assert step(TABLE, state, I.DEADLINE).state is S.EXPIRED


def test_sent_is_for_ever() -> None:
    """Nothing takes it back (I1)."""
    assert reachable(TABLE, S.SENT) == {S.SENT}


def test_users_see_six_statuses() -> None:
    """A doubt shows as `sending`."""
    assert {state.status for state in S} == set(get_args(Status))
    assert S.IN_DOUBT.status == S.SENDING.status == "sending"


def test_final_statuses_are_four() -> None:
    """And only those are final (I1)."""
    assert {state for state in S if state.done} == {S.SENT, S.FAILED, S.EXPIRED, S.DISCARDED}


def test_each_ending_says_whether_it_is_certain() -> None:
    """A final status carries `certain`, once (D6)."""
    for (state, _), (after, effects) in TABLE.items():
        known = [effect for effect in effects if effect is not E.LATE]
        assert len(known) == (after.done and after is not state)


def test_a_second_final_status_is_late() -> None:
    """`DeliveryChanged(late=True)` tells of it (D6)."""
    for (state, _), (after, effects) in TABLE.items():
        assert (E.LATE in effects) == (state.done and after.done and after is not state)


def test_a_refusal_says_nothing_of_an_attempt_without_answer() -> None:
    """Without a log that looks ids up, the first attempt may have arrived (D6, D9)."""
    assert step(TABLE, S.IN_DOUBT, I.REFUSED) == (S.FAILED, (E.UNCERTAIN,))
    assert step(TABLE, S.IN_DOUBT, I.REFUSED_ABSENT) == (S.FAILED, (E.CERTAIN,))
    assert step(TABLE, S.IN_DOUBT, I.UNSENT).state is S.IN_DOUBT


def test_a_doubt_outlives_a_failure() -> None:
    """A manual retry of what could not be looked up is in doubt from its beginning (D7)."""
    for state in (S.FAILED, S.EXPIRED):
        assert step(TABLE, state, I.RETRY_IN_DOUBT).state is S.IN_DOUBT


def test_only_never_attempted_entries_are_withdrawn() -> None:
    """None that is on its way or may have arrived (D7)."""
    assert {state for (state, heard) in TABLE if heard is I.DISCARD} == {S.QUEUED}


class World:
    """One entry, a provider that may accept and not say so, a driver that keeps what the table is owed."""

    def __init__(self) -> None:
        self.state = S.QUEUED
        self.effects: tuple[Effect, ...] = ()
        self.certain = True
        self.arrived = False
        self.attempts = 0
        self.flying = False

    def possible(self) -> list[Input | str]:
        found: list[Input | str] = [I.SEEN] if self.arrived else []
        looked_up: list[Input | str] = [I.SEEN] if self.arrived else [I.ABSENT]
        if self.flying:
            fenced = [] if self.arrived else [I.REFUSED_ABSENT, I.TOO_LATE, I.ABSENT]
            found += ["accepted", "accepted unheard", I.SILENCE, I.REFUSED, I.UNSENT, *fenced]
        elif self.state is S.QUEUED:
            found += [I.ATTEMPT, I.DEADLINE, I.DEPENDENCY, I.REFUSED, *([] if self.attempts else [I.DISCARD])]
        elif self.state is S.IN_DOUBT:
            found += [I.ATTEMPT, I.DEADLINE, I.DEPENDENCY, I.ABANDON, *looked_up]
        elif self.state in {S.FAILED, S.EXPIRED}:
            found += [I.RETRY] if self.certain or not self.arrived else []
            found += [] if self.certain else [I.RETRY_IN_DOUBT]
        if self.flying and self.state is S.IN_DOUBT:
            found += [I.DEADLINE, I.DEPENDENCY]
        return found

    def do(self, what: Input | str) -> None:
        if isinstance(what, str):
            self.arrived = True
            what = I.ACKED if what == "accepted" else I.SILENCE
        if what is I.ATTEMPT:
            self.attempts += 1
        answered = self.flying and what not in {I.SEEN, I.DEADLINE, I.DEPENDENCY}
        self.flying = what is I.ATTEMPT or (self.flying and not answered)
        if answered and self.state in {S.FAILED, S.EXPIRED} and what is not I.ACKED:
            return  # dropped, as the table is owed
        self.state, self.effects = step(TABLE, self.state, what)
        if self.effects:
            self.certain = E.CERTAIN in self.effects


@given(st.lists(st.integers(0, 99), max_size=60))
def test_certain_is_true(choices: list[int]) -> None:
    """A certain end is what happened: `sent` arrived, any other did not (I1)."""
    world = World()
    for choice in choices:
        possible = world.possible()
        if not possible:
            break
        world.do(possible[choice % len(possible)])

        if world.state is S.SENT:
            assert world.arrived
        if world.state is S.QUEUED:
            assert not world.arrived
        if world.state.done and world.certain:
            assert world.arrived == (world.state is S.SENT)
