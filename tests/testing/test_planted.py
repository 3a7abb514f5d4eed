"""The checker is tested by planted bugs: with each its seed breaks the promise, without it the same seed keeps it."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.testing.planted import BUGS
from tests.testing.planting import MOST, Bug, Plant, table

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = Path(__file__).parents[2] / "docs" / "planted-bugs.md"
AT_ONCE: Final = 20
"""Steps up to which a bug is replayed in each run of the tests; those of longer stories are for `nox -s long`."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What goes wrong here is meant to."""
    logger = logging.getLogger("chatkit")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


@cache
def unbroken(seed: int, steps: int, profile: str | None, world: Plant | None) -> tuple[str, ...]:
    """Return what the checker says of a seed where no bug is planted."""
    bare = Bug(
        name="none",
        what="",
        rule="",
        invariants=(),
        seed=seed,
        steps=steps,
        profile=profile,
        plant=lambda _: None,
        world=world,
    )
    return tuple(map(str, bare.simulate(planted=False).breaches))


@pytest.mark.realtime
@pytest.mark.parametrize(
    "name",
    [pytest.param(one.name, marks=() if one.steps <= AT_ONCE else pytest.mark.long) for one in BUGS.values()],
)
def test_a_planted_bug_is_found_and_its_seed_is_clean_without_it(name: str) -> None:
    """Each bug is reported under the invariant that it breaks, and nothing is reported of the library as it is."""
    bug = BUGS[name]
    outcome = bug.simulate(planted=True)
    assert bug.found(outcome), f"{bug.invariants} not reported: {outcome.breaches}"
    assert unbroken(bug.seed, bug.steps, bug.profile, bug.world) == ()


def test_the_catalogue_breaks_each_part_of_the_rules() -> None:
    """There are 25 bugs and more, each found within 200 seeds, and every invariant from I1 to I14 is broken by one."""
    assert len(BUGS) >= 25
    assert all(bug.what and bug.seed < MOST and 0 < bug.steps <= MOST for bug in BUGS.values())
    broken = {invariant for bug in BUGS.values() for invariant in bug.invariants}
    assert broken == {f"I{number}" for number in range(1, 15)}


def test_the_page_lists_every_bug() -> None:
    """`docs/planted-bugs.md` holds the table that the catalogue gives."""
    assert table() in PAGE.read_text(encoding="utf-8"), f"put this into the page:\n{table()}"
