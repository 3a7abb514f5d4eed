"""Background tasks: owned, named, ended; a defect in one stops no other."""

from __future__ import annotations

import asyncio
import gc
import logging
import warnings
from typing import TYPE_CHECKING

from chatkit.engine.tasks import RESTART, Tasks
from chatkit.testing.clock import settle

if TYPE_CHECKING:
    import pytest

    from chatkit.testing.clock import VirtualClock


def owner() -> tuple[Tasks, list[str]]:
    """Return tasks and the names of what broke."""
    broken: list[str] = []
    return Tasks(lambda name, error: broken.append(f"{name}: {error}")), broken


async def test_a_task_runs_under_its_name() -> None:
    """A traceback or a debugger shows whose it is (I12)."""
    tasks, broken = owner()
    names: list[str] = []

    async def work() -> None:
        task = asyncio.current_task()
        names.append("" if task is None else task.get_name())

    tasks.spawn(work(), "lane:room")
    await settle()

    assert (names, broken) == (["chatkit:lane:room"], [])


async def test_a_defect_is_told_and_logged_and_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """What one task raises reaches neither its siblings nor the event loop (I13)."""
    tasks, broken = owner()
    done: list[int] = []

    async def break_down() -> None:
        raise ValueError("oops")

    async def work() -> None:
        await asyncio.sleep(1)
        done.append(1)

    tasks.spawn(break_down(), "bad")
    tasks.spawn(work(), "good")
    await asyncio.sleep(2)

    assert (broken, done) == (["bad: oops"], [1])
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "bad broke" in record.getMessage()


async def test_a_kept_loop_is_run_again_after_a_defect(clock: VirtualClock) -> None:
    """It goes on after a pause, so that nothing stands still unnoticed, and ends when its work does (I11)."""
    tasks, broken = owner()
    runs: list[float] = []

    async def work() -> None:
        runs.append(clock.monotonic())
        if len(runs) < 3:
            raise RuntimeError("again")

    tasks.keep(work, "loop")
    await asyncio.sleep(10 * RESTART)

    assert runs == [0.0, RESTART, 2 * RESTART]
    assert broken == ["loop: again"] * 2
    assert await tasks.aclose(1.0) == ()


async def test_closing_ends_what_runs() -> None:
    """Tasks are cancelled and waited for: none outlives its owner (I12)."""
    tasks, broken = owner()
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(1_000)
        finally:
            ended.append("done")

    tasks.spawn(work(), "long")
    tasks.keep(work, "kept")
    await settle()

    assert await tasks.aclose(1.0) == ()
    assert (ended, broken) == (["done", "done"], [])


async def test_what_does_not_end_is_named(clock: VirtualClock) -> None:
    """Closing returns by its deadline all the same, and names what stayed (I12)."""
    tasks, _ = owner()

    async def stubborn() -> None:
        try:
            await asyncio.sleep(1_000)
        except asyncio.CancelledError:
            await asyncio.sleep(5)

    tasks.spawn(stubborn(), "stubborn")
    await settle()

    assert await tasks.aclose(2.0) == ("chatkit:stubborn",)
    assert clock.monotonic() == 2.0
    await asyncio.sleep(5)


async def test_a_task_may_close_its_owner() -> None:
    """A handler that closes the client does not wait for itself (I12)."""
    tasks, broken = owner()
    left: list[tuple[str, ...]] = []

    async def close() -> None:
        left.append(await tasks.aclose(1.0))

    tasks.spawn(close(), "closer")
    await settle()

    assert (left, broken) == ([()], [])


async def test_closing_before_the_first_step_leaves_no_coroutine_behind() -> None:
    """What was only just begun is closed without Python's complaint that nobody awaited it (I12)."""
    tasks, _ = owner()

    async def work() -> None:
        raise AssertionError("it must not run")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tasks.spawn(work(), "new")
        assert await tasks.aclose(1.0) == ()
        gc.collect()
