"""Running a test's coroutine outside this project's own plumbing."""

from __future__ import annotations

import asyncio
import gc

import pytest

from chatkit.testing import running
from chatkit.testing.clock import VirtualClock
from chatkit.testing.running import run_test


class Collector:
    """Stands for the garbage collector of a process; `frozen` things are out of its collections."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, frozen: int) -> None:
        self.frozen = frozen
        self.counted = 0
        self.during: list[int] = []
        monkeypatch.setattr(running, "_seen_frozen", False)
        monkeypatch.setattr(gc, "get_freeze_count", self._count)
        monkeypatch.setattr(gc, "freeze", self._freeze)
        monkeypatch.setattr(gc, "unfreeze", self._unfreeze)

    def run(self) -> None:
        async def test() -> None:
            await asyncio.sleep(1)
            self.during.append(self.frozen)

        run_test(test(), clock=VirtualClock())

    def _count(self) -> int:
        self.counted += 1
        return self.frozen

    def _freeze(self) -> None:
        self.frozen += 10

    def _unfreeze(self) -> None:
        self.frozen = 0


def test_what_was_there_before_is_out_of_a_tests_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is frozen while the test runs and not for ever: the process does with its garbage as it did."""
    collector = Collector(monkeypatch, frozen=0)
    collector.run()
    collector.run()
    assert collector.during == [10, 10]
    assert collector.frozen == 0


def test_what_others_keep_out_of_collections_stays_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that freezes what its tests share is left alone, and asked once: counting takes its time."""
    collector = Collector(monkeypatch, frozen=5)
    collector.run()
    collector.run()
    assert collector.during == [5, 5]
    assert collector.counted == 1
