"""Handlers get facts in order, after a short wait for what is missing below them (D21)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatkit.core.release import PATIENCE, Release, Released
from chatkit.model.order import OrderKey


def key(number: int) -> OrderKey:
    return OrderKey(1, f"{number:03d}")


def taken(release: Release[int], complete: int | None, now: float) -> list[Released[int]]:
    return list(release.due(None if complete is None else key(complete), now))


def test_what_lies_below_the_mark_goes_at_once() -> None:
    """Nothing can be missing below it; what stands above waits (D21)."""
    release = Release[int]()
    for number in (3, 1, 5, 2):
        release.add(key(number), number, 0.0)

    assert taken(release, 3, 0.0) == [(1, False), (2, False), (3, False)]
    assert taken(release, 3, 0.1) == []


def test_nothing_waits_where_nobody_can_say() -> None:
    """Without predecessors a hole cannot be seen, so no fact waits for one."""
    release = Release[int]()
    release.add(key(9), 9, 0.0)

    assert taken(release, None, 0.0) == [(9, False)]


def test_a_hole_is_waited_for_and_no_longer() -> None:
    """300 ms after it came a fact goes, whatever is missing below it (D21)."""
    release = Release[int]()
    release.add(key(5), 5, 10.0)
    until = 10.0 + PATIENCE

    assert taken(release, 3, until - 0.001) == []
    assert taken(release, 3, until) == [(5, False)]


def test_each_fact_has_its_own_patience() -> None:
    """One that has waited long enough does not take along what came just now, above it (D21)."""
    release = Release[int]()
    release.add(key(5), 5, 0.0)
    release.add(key(9), 9, 0.25)

    assert taken(release, 3, PATIENCE) == [(5, False)]
    assert taken(release, 3, 0.25 + PATIENCE) == [(9, False)]


def test_a_fact_that_must_go_takes_along_what_stands_below_it() -> None:
    """Order comes before the wait of the one that came later."""
    release = Release[int]()
    release.add(key(9), 9, 0.0)
    release.add(key(5), 5, 0.25)

    assert taken(release, 3, PATIENCE) == [(5, False), (9, False)]


def test_what_waits_can_be_revised() -> None:
    """Its order and patience stay."""
    release = Release[int]()
    for number in (3, 1, 2):
        release.add(key(number), number, 0.0)

    release.revise(lambda place, number: number * 10 if place > key(1) else number)

    assert taken(release, 3, 0.0) == [(1, False), (20, False), (30, False)]


def test_what_comes_below_the_delivered_mark_is_late() -> None:
    """It is given all the same, and the mark stays (D21)."""
    release = Release[int]()
    release.add(key(5), 5, 0.0)
    taken(release, 5, 0.0)
    release.add(key(4), 4, 0.0)
    release.add(key(3), 3, 0.0)
    release.add(key(6), 6, 0.0)

    assert taken(release, 6, 0.0) == [(3, True), (4, True), (6, False)]


def test_facts_of_one_place_keep_their_order() -> None:
    """A second one there is not late, and items are never compared."""
    release = Release[object]()
    first, second = object(), object()
    release.add(key(1), first, 0.0)
    release.add(key(1), second, 0.0)

    assert release.due(key(1), 0.0) == [Released(first, late=False), Released(second, late=False)]


def test_the_wait_ends_with_the_oldest_patience() -> None:
    """And is over at once when that has passed."""
    release = Release[int]()
    assert release.wait(0.0) is None

    release.add(key(9), 9, 1.0)
    release.add(key(5), 5, 2.0)

    assert release.wait(1.0) == 1.0 + PATIENCE - 1.0
    assert release.wait(9.0) == 0.0


@given(
    st.lists(st.tuples(st.integers(0, 30), st.floats(0.0, 1.0), st.integers(0, 31)), max_size=40),
)
def test_everything_goes_once_and_in_order(steps: list[tuple[int, float, int]]) -> None:
    """By its own patience at the latest; whatever is not marked late ascends (D21)."""
    release = Release[tuple[int, float]]()
    now, complete, told = 0.0, 0, -1
    waiting: list[tuple[int, float]] = []
    for number, pause, mark in steps:
        now, complete = now + pause, max(complete, mark)
        waiting.append((number, now))
        release.add(key(number), (number, now), now)

        for item, late in release.due(key(complete), now):
            waiting.remove(item)
            assert late == (item[0] < told)
            told = max(told, item[0])

        assert all(since + PATIENCE > now and place > complete for place, since in waiting)
        ends = [since + PATIENCE for _, since in waiting]
        assert release.wait(now) == (min(ends) - now if ends else None)


@given(st.floats(0.0, 1e9))
def test_waiting_as_told_ends_the_wait(now: float) -> None:
    """On a clock that moves exactly by the wait, whatever is lost in rounding."""
    release = Release[int]()
    release.add(key(9), 9, now)

    for _ in range(3):
        wait = release.wait(now)
        assert wait is not None
        now += wait
        if release.due(key(0), now):
            return
        assert release.wait(now) != 0.0
    raise AssertionError("still waiting")
