"""How rule machines are run: a few examples with every change, more now and then, very many each night."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from hypothesis.strategies import SearchStrategy

from chatkit.testing.clock import VirtualClock, VirtualLoop, run

T = TypeVar("T")


class Machine(RuleBasedStateMachine):
    """A machine with a clock, and a loop on which its rules wait for what is asynchronous."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        self.loop = self.new_loop()

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop: on virtual time, unless a machine works with what has a time of its own."""
        return VirtualLoop(self.clock)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry something out."""
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        """End the loop; what a machine opened it closes before."""
        left = asyncio.all_tasks(self.loop)
        self.loop.close()
        assert not left, f"tasks left running: {sorted(task.get_name() for task in left)}"


def examples(quick: int, long: int, nightly: int) -> pytest.MarkDecorator:
    """Give a test its `examples`: with every change, in the long session, each night."""
    return pytest.mark.parametrize(
        "examples",
        [
            pytest.param(quick, id="quick"),
            pytest.param(long, id="long", marks=pytest.mark.long),
            pytest.param(nightly, id="nightly", marks=pytest.mark.nightly),
        ],
    )


def drive(machine: type[RuleBasedStateMachine], examples: int, *, steps: int = 30) -> None:
    """Run a machine.

    Few examples are the same in every run. Thousands are others each night: a failure prints its steps, and
    `--hypothesis-seed` repeats a run.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hypothesis.internal.conjecture.engine.MAX_SHRINKING_SECONDS", PATIENCE)
        run_state_machine_as_test(machine, settings=_settings(examples, steps, fixed=examples < MANY))


MANY: Final = 1_000
"""Examples from which on a run is not the same each time."""
PATIENCE: Final = 40
"""Seconds in which a failure is made shorter: a test that takes two minutes is ended without a word."""


def vary(
    story: Callable[..., Coroutine[Any, Any, None]], examples: int, **drawn: SearchStrategy[Any]
) -> None:
    """Run a story over examples of what it takes, each on a virtual loop of its own."""

    def once(**given_: Any) -> None:
        run(story(**given_))

    _settings(examples, 1, fixed=examples < MANY)(given(**drawn)(once))()


def found_after(machine: type[RuleBasedStateMachine], most: int, *, steps: int = 30) -> int:
    """Run a machine over code that a test has broken; returns the number of the example that fails.

    Raises:
        Failed: None of so many does: the machine would not see such a defect.
    """
    count = 0

    class Counted(machine):  # type: ignore[valid-type, misc]  # the machine is given
        def __init__(self) -> None:
            nonlocal count
            count += 1
            super().__init__()

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Counted, settings=_settings(most, steps, fixed=True, shrink=False))
    return count - 1  # the one that fails is run again to be told of


def _settings(examples: int, steps: int, *, fixed: bool, shrink: bool = True) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=fixed,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
        verbosity=Verbosity.normal if shrink else Verbosity.quiet,
        report_multiple_bugs=False,
    )
