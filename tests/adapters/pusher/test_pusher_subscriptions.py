"""The table of one subscription: whole, and never two at a time."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatkit.adapters.pusher.subscriptions import TABLE, Effect, Input, State, Subscription


@pytest.mark.parametrize(("state", "given"), list(itertools.product(State, Input)))
def test_every_pair_is_tabled(state: State, given: Input) -> None:
    """Whatever comes in whichever state leads somewhere."""
    assert TABLE[state, given].state in State


@settings(max_examples=50)
@given(st.lists(st.sampled_from(Input), max_size=40))
def test_one_is_asked_for_at_a_time(inputs: list[Input]) -> None:
    """A subscription is sent only when the last one was answered, or ended and settled."""
    subscription, open_at_server = Subscription("private-x"), False
    for each in inputs:
        for effect in subscription.feed(each):
            if effect is Effect.SEND_SUBSCRIBE:
                assert not open_at_server
                open_at_server = True
            if effect in (Effect.REFUSE, Effect.LOSE, Effect.SEND_UNSUBSCRIBE):
                open_at_server = False
        if each is Input.REFUSED:
            open_at_server = False


@settings(max_examples=50)
@given(st.lists(st.sampled_from(Input), max_size=40))
def test_what_is_not_wanted_ends(inputs: list[Input]) -> None:
    """After an end and an answer nothing is live, and the server was told."""
    subscription = Subscription("private-x")
    for each in inputs:
        _ = subscription.feed(each)

    _ = subscription.feed(Input.UNSUBSCRIBE)
    _ = subscription.feed(Input.CONFIRMED)

    assert subscription.state in (State.ABSENT, State.DOUBT)


def test_a_late_confirmation_is_not_taken_for_the_next() -> None:
    """After an answer that never came, it is asked again only once a ping is answered."""
    subscription = Subscription("private-x")
    assert subscription.feed(Input.SUBSCRIBE) == (Effect.SEND_SUBSCRIBE,)
    assert subscription.feed(Input.OVERDUE) == (Effect.SEND_UNSUBSCRIBE,)

    assert subscription.feed(Input.SUBSCRIBE) == ()
    assert subscription.feed(Input.CONFIRMED) == ()
    assert subscription.feed(Input.SETTLED) == ()

    assert subscription.feed(Input.SUBSCRIBE) == (Effect.SEND_SUBSCRIBE,)
