"""The delivery's table: every wish ends, and what is called certain is."""

from __future__ import annotations

from typing import NamedTuple, get_args

import pytest

from chatkit.core.delivery import TABLE, Effect, Input, State
from chatkit.core.table import Illegal, step
from chatkit.model.message import Status
from tests.core.tables import causes, reachable

S, I, E = State, Input, Effect

LEGAL: dict[State, set[Input]] = {
    S.QUEUED: {I.ATTEMPT, I.SEEN, I.DEADLINE, I.DEPENDENCY, I.DISCARD, I.REFUSED},
    S.SENDING: {I.ACKED, I.SEEN, I.REFUSED, I.REFUSED_ABSENT, I.TOO_LATE, I.UNSENT, I.ABSENT, I.SILENCE},
    S.IN_DOUBT: set(I) - {I.DISCARD, I.RETRY, I.RETRY_IN_DOUBT},
    S.SENT: set(I) - {I.ATTEMPT, I.DEADLINE, I.DEPENDENCY, I.DISCARD, I.ABANDON},
    S.FAILED: {I.SEEN, I.ACKED, I.RETRY, I.RETRY_IN_DOUBT},
    S.EXPIRED: {I.SEEN, I.ACKED, I.RETRY, I.RETRY_IN_DOUBT},
    S.DISCARDED: {I.SEEN, I.RETRY},
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


ENDINGS = {
    S.SENT: {I.ACKED, I.SEEN},
    S.FAILED: {I.REFUSED, I.REFUSED_ABSENT, I.DEPENDENCY, I.ABANDON},
    S.EXPIRED: {I.DEADLINE, I.TOO_LATE},
    S.DISCARDED: {I.DISCARD},
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_each_ending_has_its_causes(ending: State) -> None:
    """Whatever state they find (D6, D7, D12, D13)."""
    leads_to = {
        after
        for (state, heard), (after, _) in TABLE.items()
        if heard in ENDINGS[ending] and state is not S.SENT
    }

    assert causes(TABLE, ending) == ENDINGS[ending]
    assert leads_to == {ending}


def test_only_an_attempt_is_sending() -> None:
    """And what was proved absent waits for its turn again (D6, D7)."""
    assert causes(TABLE, S.SENDING) == {I.ATTEMPT}
    assert causes(TABLE, S.QUEUED) == {I.UNSENT, I.ABSENT, I.RETRY}
    assert causes(TABLE, S.IN_DOUBT) == {I.SILENCE, I.RETRY_IN_DOUBT}


@pytest.mark.parametrize("state", [state for state in S if state is not S.SENT])
def test_what_was_seen_is_certain(state: State) -> None:
    """Nothing proves more (D6)."""
    assert E.CERTAIN in step(TABLE, state, I.SEEN).effects


class World(NamedTuple):
    """One entry, a provider that may accept and not say so, a driver that keeps what the table is owed."""

    state: State = S.QUEUED
    certain: bool = True
    arrived: bool = False
    doubt: bool = False
    """An attempt was never answered, and nothing has shown since whether it arrived."""
    attempted: bool = False
    flying: bool = False

    def possible(self) -> set[tuple[Input, bool]]:
        """What may be heard next, and whether the message has arrived then."""
        found: set[Input] = {I.SEEN} if self.arrived else set()
        if self.flying:
            found |= {I.SILENCE, I.REFUSED, I.UNSENT}
            found |= set() if self.arrived else {I.REFUSED_ABSENT, I.TOO_LATE, I.ABSENT}
        elif self.state is S.QUEUED:
            found |= {I.ATTEMPT, I.DEADLINE, I.DEPENDENCY, I.REFUSED} | (
                set() if self.attempted else {I.DISCARD}
            )
        elif self.state is S.IN_DOUBT:
            found |= {I.ATTEMPT, I.ABANDON} | (set() if self.arrived else {I.ABSENT})
        elif self.state in {S.FAILED, S.EXPIRED}:
            found |= set() if self.certain else {I.RETRY_IN_DOUBT}
            found |= set() if self.arrived else {I.RETRY}
        elif self.state is S.DISCARDED:
            found |= {I.RETRY}
        if self.state is S.IN_DOUBT:
            found |= {I.DEADLINE, I.DEPENDENCY}
        accepting = {(I.ACKED, True), (I.SILENCE, True)} if self.flying else set()
        return accepting | {(heard, self.arrived) for heard in found}

    def after(self, heard: Input, *, arrived: bool) -> World:
        landed = self.flying and heard not in {I.SEEN, I.DEADLINE, I.DEPENDENCY}
        flying = heard is I.ATTEMPT or (self.flying and not landed)
        doubt = heard is I.SILENCE or (
            self.doubt and heard not in {I.ACKED, I.SEEN, I.ABSENT, I.REFUSED_ABSENT, I.TOO_LATE, I.RETRY}
        )
        if landed and self.state in {S.FAILED, S.EXPIRED} and heard is not I.ACKED:
            return self._replace(arrived=arrived, flying=flying)  # dropped, as the table is owed
        state, effects = step(TABLE, self.state, heard)
        certain = E.CERTAIN in effects if effects else self.certain
        return World(state, certain, arrived, doubt, self.attempted or heard is I.ATTEMPT, flying)


def every_world() -> set[World]:
    found, new = set[World](), {World()}
    while new:
        found |= new
        new = {
            world.after(heard, arrived=arrived) for world in new for heard, arrived in world.possible()
        } - found
    return found


def test_certain_means_known() -> None:
    """A certain end is what happened; what is in doubt says so, and nothing else does (I1)."""
    for world in every_world():
        if world.state is S.SENT:
            assert world.arrived
            assert world.certain
        elif world.state.done:
            assert world.certain == (not world.doubt), world
            assert not (world.certain and world.arrived), world
        else:
            assert (world.state is S.IN_DOUBT) == world.doubt, world
            assert not (world.arrived and not world.doubt and not world.flying), world
