"""Who types is forgotten by the receiver's own clock, and no flood of names fills the memory (I10, D25)."""

from __future__ import annotations

from chatkit.core.typists import MOST, Typists


def test_whoever_is_not_heard_any_more_is_forgotten() -> None:
    """Each in their own time; hearing them again puts it off."""
    typists = Typists()
    assert (typists.note("ada", 6.0), typists.note("bob", 7.0), typists.note("ada", 9.0)) == (
        True,
        True,
        False,
    )

    assert typists.wait(5.0) == 2.0
    assert not typists.expire(6.5)
    assert typists.expire(7.0)
    assert typists.users == {"ada"}
    assert typists.wait(9.5) == 0.0
    assert typists.expire(9.5)
    assert typists.users == frozenset()
    assert typists.wait(9.5) is None
    assert not typists


def test_whoever_says_so_is_forgotten_at_once() -> None:
    """Twice is no news."""
    typists = Typists()
    typists.note("ada", 6.0)

    assert (typists.drop("ada"), typists.drop("ada"), typists.clear()) == (True, False, False)
    typists.note("ada", 6.0)
    assert (typists.clear(), typists.users) == (True, frozenset())


def test_of_too_many_those_go_that_would_be_forgotten_first() -> None:
    """A flood of invented names keeps nobody out for longer than its own words last."""
    typists = Typists()
    typists.note("ada", 1_000.0)
    for number in range(3 * MOST):
        typists.note(f"user-{number}", float(number))

    assert len(typists.users) == MOST
    assert {"ada", f"user-{3 * MOST - 1}"} <= typists.users
