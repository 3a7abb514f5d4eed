"""A timeline shows what the facts say that reached it, whatever happens to it (I2, I5, I7, I8, D22, D23)."""

from __future__ import annotations

from tests.rules.driving import drive, examples
from tests.rules.timeline_machine import TimelineMachine


@examples(5, 80, 5_000)
def test_a_timeline_shows_what_is_known(examples: int) -> None:
    """Facts in any order and again, pages, jumps, what falls out, wishes: folded from nothing it is the same."""
    drive(TimelineMachine, examples, steps=40)
