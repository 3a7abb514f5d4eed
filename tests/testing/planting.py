"""How bugs are planted in the library, and how the simulation is asked whether it finds them.

`python -m tests.testing.planting` replays every bug with its seed; `--search NAME` looks for a seed that finds
one, few steps first (without a name: for all that their seeds miss); `--table` prints the table of the docs.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import pytest

from chatkit.testing.simulation import Outcome, simulate

Plant: TypeAlias = Callable[[pytest.MonkeyPatch], None]

MOST: Final = 200
"""Seeds within which a bug is to be found."""
LENGTHS: Final = ((40, 10), (80, 30), (200, MOST))
"""In which a seed is looked for: steps of the story, and seeds tried with so many."""


@dataclass(frozen=True, kw_only=True)
class Bug:
    """One rule, broken at one place."""

    name: str
    what: str
    """What the library does wrong."""
    rule: str
    """The rules of delivery that it breaks."""
    invariants: tuple[str, ...]
    """What must be reported."""
    seed: int
    """That finds it."""
    steps: int
    profile: str | None
    """The kind of world; `None`: the seed says."""
    plant: Plant
    world: Plant | None
    """What the world is like beside, with the bug and without."""

    def simulate(self, *, planted: bool, seed: int | None = None, steps: int | None = None) -> Outcome:
        """Run a seed, with the bug or without it."""
        with pytest.MonkeyPatch.context() as patch:
            if self.world is not None:
                self.world(patch)
            if planted:
                self.plant(patch)
            return simulate(
                self.seed if seed is None else seed, steps=steps or self.steps, profile=self.profile
            )

    def found(self, outcome: Outcome) -> bool:
        """Whether all that must be reported was."""
        return {breach.invariant for breach in outcome.breaches}.issuperset(self.invariants)


BUGS: Final[dict[str, Bug]] = {}
"""All of them, by name."""


def bug(
    rule: str,
    *invariants: str,
    seed: int,
    steps: int,
    profile: str | None = None,
    world: Plant | None = None,
) -> Callable[[Plant], Plant]:
    """Enter a function that plants a bug, under its name; its docstring says what goes wrong."""

    def enter(plant: Plant) -> Plant:
        name = plant.__name__
        assert name not in BUGS, f"two bugs are called {name}"
        BUGS[name] = Bug(
            name=name,
            what=" ".join((plant.__doc__ or "").split()),
            rule=rule,
            invariants=invariants,
            seed=seed,
            steps=steps,
            profile=profile,
            plant=plant,
            world=world,
        )
        return plant

    return enter


def wrap(patch: pytest.MonkeyPatch, owner: Any, name: str, around: Callable[..., Any]) -> None:
    """Put a function in place of another, which it is given as its first argument."""
    real = getattr(owner, name)

    def instead(*given: Any, **named: Any) -> Any:
        return around(real, *given, **named)

    patch.setattr(owner, name, instead)


def search(wanted: Bug) -> tuple[int, int] | None:
    """Return a seed below `MOST` that finds a bug and is clean without it, and its steps."""
    for steps, seeds in LENGTHS:
        for seed in range(seeds):
            if wanted.found(wanted.simulate(planted=True, seed=seed, steps=steps)) and not (
                wanted.simulate(planted=False, seed=seed, steps=steps).breaches
            ):
                return seed, steps
    return None


def table() -> str:
    """Return the bugs as a Markdown table, by the first rule that they break."""
    rows = [("bug", "rule", "invariant", "seed"), ("---", "---", "---", "---")]
    for one in sorted(BUGS.values(), key=lambda one: (one.rule[0], int(one.rule.partition(",")[0][1:]))):
        kind = "" if one.profile is None else f", `{one.profile}`"
        bug_, seed = f"`{one.name}`: {one.what}", f"{one.seed} ({one.steps} steps{kind})"
        rows.append((bug_, one.rule, ", ".join(one.invariants), seed))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay bugs or look for their seeds; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.testing.planting", description=__doc__)
    parser.add_argument("names", nargs="*", help="of bugs; else all")
    parser.add_argument("--table", action="store_true", help="print the table of the docs")
    parser.add_argument("--search", action="store_true", help="look for seeds")
    given = parser.parse_args(arguments)
    logging.getLogger("chatkit").setLevel(logging.CRITICAL)  # what goes wrong here is meant to
    if given.table:
        sys.stdout.write(table())
        return 0
    missed = 0
    for name in given.names or sorted(BUGS):
        one, began = BUGS[name], time.process_time()
        if given.search:
            if not given.names and one.found(one.simulate(planted=True)):
                continue
            place = search(one)
            missed += place is None
            word = "not found" if place is None else f"seed={place[0]}, steps={place[1]}"
        else:
            outcome = one.simulate(planted=True)
            missed += not one.found(outcome)
            first = outcome.breaches[0] if outcome.breaches else "nothing"
            word = f"{'found' if one.found(outcome) else 'MISSED'}: {first}"
        sys.stdout.write(f"{name}: {word} ({time.process_time() - began:.1f} s)\n")
        sys.stdout.flush()
    return bool(missed)


if __name__ == "__main__":
    from tests.testing import planted, planting

    assert planted.BUGS is planting.BUGS
    sys.exit(planting.main())
