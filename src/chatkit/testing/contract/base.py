"""What the three contracts share: a descriptor, and tests that run themselves."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, TypeAlias

from chatkit.testing.clock import VirtualClock
from chatkit.testing.running import run_test

Test: TypeAlias = Callable[..., Coroutine[Any, Any, None]]


@dataclass
class Kit:
    """The descriptor of what is put to the test: one for each test, made by the fixture `kit`."""

    _: KW_ONLY
    loop_clock: VirtualClock | None = None
    """The clock that drives the loop of a test; `None`: a plain loop in real time, for sockets and threads."""

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run the coroutine of a test; what it leaves (tasks, unseen exceptions) fails it."""
        run_test(main, clock=self.loop_clock)


class Contract:
    """A part of a contract: `async def` tests that take the fixture `kit`.

    pytest collects them as plain functions, each of which runs its coroutine by `Kit.run`: no plugin is asked
    for, and none that is active gets in the way.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    """What the tests of this class alone are about; see `declined`."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name, test in tuple(vars(cls).items()):
            if name.startswith("test_") and inspect.iscoroutinefunction(test):
                own = getattr(test, "needs", frozenset[str]())
                setattr(cls, name, _plain(test, own | vars(cls).get("needs", frozenset())))

    async def declined(self, kit: Any, needs: frozenset[str]) -> bool:  # noqa: ARG002  # a suite's own decides
        """Where something needed is lacking, assert that it is declined as declared, and say True."""
        return False


def needing(*what: str) -> Callable[[Test], Test]:
    """Mark a test that is about more than its class needs."""

    def mark(test: Test) -> Test:
        vars(test)["needs"] = frozenset(what)
        return test

    return mark


def _plain(test: Test, needs: frozenset[str]) -> Callable[..., None]:
    @functools.wraps(test)  # pytest reads parameters and marks through it
    def run(self: Contract, *, kit: Kit, **given: Any) -> None:
        async def main() -> None:
            if not (needs and await self.declined(kit, needs)):
                await test(self, kit=kit, **given)

        kit.run(main())

    return run
