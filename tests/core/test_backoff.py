"""Waits grow, stay under their cap, and are spread over all of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatkit.core.backoff import BASE, BRIEF, CAP, brief, delay

failures = st.integers(0, 10**6)
chances = st.floats(0.0, 1.0)


@given(failures, chances)
def test_a_wait_stays_in_bounds(failures: int, chance: float) -> None:
    """Never negative, never above the cap, however long the provider has been away."""
    assert 0.0 <= delay(failures, chance) <= CAP


@given(failures, chances)
def test_a_brief_wait_stays_in_bounds(failures: int, chance: float) -> None:
    """Brief once; a provider that goes on asking to come back at once is treated as any other."""
    assert 0.0 <= brief(failures, chance) <= (BRIEF if failures == 0 else CAP)


@given(failures)
def test_the_whole_range_is_used(failures: int) -> None:
    """Full jitter: chance alone decides between nothing and the bound, so that a crowd spreads."""
    bound = delay(failures, 1.0)

    assert delay(failures, 0.0) == 0.0
    assert delay(failures, 0.25) == bound / 4


def test_the_bound_doubles_up_to_the_cap() -> None:
    """From half a second to half a minute in six failures."""
    bounds = [delay(failures, 1.0) for failures in range(8)]

    assert bounds == [BASE, 1.0, 2.0, 4.0, 8.0, 16.0, CAP, CAP]


def test_base_and_cap_can_be_given() -> None:
    """For what is retried at another pace."""
    assert [delay(failures, 1.0, base=2.0, cap=5.0) for failures in range(3)] == [2.0, 4.0, 5.0]


def test_a_second_brief_wait_is_an_ordinary_one() -> None:
    """From the first failure on it grows as any other."""
    assert brief(0, 1.0) == BRIEF
    assert brief(3, 0.5) == delay(3, 0.5)
