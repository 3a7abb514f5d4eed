"""A real process is killed at every labelled point; the next one on its file keeps what it promised."""

from __future__ import annotations

from typing import Final

import pytest

from chatkit.testing.crash_points import CRASH_POINTS
from tests.crash.stage import Stage

APP: Final = ("app.in_hand", "app.effect", "app.saved")
"""Points of the app that the story is about: an event is taken, its effect is done, its cursor is saved."""
POINTS: Final = (*(point.name for point in CRASH_POINTS), *APP)
SEEDS: Final = range(2, 22)


def seed_of(point: str) -> int:
    """Half of the points die with a file of their own, half in a directory."""
    return 1 + POINTS.index(point) % 2


@pytest.mark.long
@pytest.mark.parametrize("point", POINTS)
def test_a_death_at_any_point_breaks_no_promise(stage: Stage, point: str) -> None:
    """I1 to I4, I6 to I9, I12, I17 and D27 hold over both lives; a point that is not reached fails."""
    assert stage.die(point, seed_of(point)) == []


@pytest.mark.nightly
@pytest.mark.parametrize("point", POINTS)
def test_a_death_at_any_time_breaks_no_promise(stage: Stage, point: str) -> None:
    """Likewise with twenty seeds: other moments, other chance."""
    assert stage.die_often(point, SEEDS, lambda _: {}) == {}
