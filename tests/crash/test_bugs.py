"""The matrix is tested itself: with a promise broken on purpose it turns red, and names the rule."""

from __future__ import annotations

import pytest

from tests.crash.stage import Stage

FIRST = [
    ("promise_before_commit", "outbox.taken", 6, "I3"),
    ("mark_without_messages", "channel.flushed", 2, "I8"),
]
SECOND = [
    ("fresh_id_on_retry", "outbox.answered", 1, "I2"),
    ("adopted_and_forgotten", "store.adopted", 1, "I3"),
]


@pytest.mark.long
@pytest.mark.parametrize(("bug", "point", "seed", "rule"), FIRST, ids=[bug for bug, *_ in FIRST])
def test_a_bug_of_the_life_that_dies_is_found(
    stage: Stage, bug: str, point: str, seed: int, rule: str
) -> None:
    """It shows at the point that it is about, as a violation of the rule that it breaks."""
    found = stage.die(point, seed, bugs=(bug,))

    assert any(violation.startswith(rule) for violation in found), found


@pytest.mark.long
@pytest.mark.parametrize(("bug", "point", "seed", "rule"), SECOND, ids=[bug for bug, *_ in SECOND])
def test_a_bug_of_the_life_that_follows_is_found(
    stage: Stage, bug: str, point: str, seed: int, rule: str
) -> None:
    """Likewise what is done wrong with what was left."""
    found = stage.die(point, seed, later=(bug,))

    assert any(violation.startswith(rule) for violation in found), found


@pytest.mark.long
def test_a_point_that_is_not_reached_fails(stage: Stage) -> None:
    """A label that the story does not come by is no green row."""
    with pytest.raises(AssertionError, match="the story does not reach it"):
        stage.die("outbox.nowhere", 1)
