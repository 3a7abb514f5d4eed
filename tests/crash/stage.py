"""Where the lives take place: what was there before them, and what is there after."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

from chatkit.logs import restored
from chatkit.testing.clock import VirtualClock, run
from chatkit.testing.crash_points import CRASH_POINTS
from tests.crash.checks import Case, told_and_in_hand, truth, violations
from tests.crash.lives import LOG
from tests.crash.nursery import Nursery
from tests.crash.plan import Plan, told

ADOPTION: Final = {point.name for point in CRASH_POINTS if point.part == "adoption"}
"""Points of which some are reached in a directory alone."""
AT_ONCE: Final = 4
"""Cases that take place at the same time, where there are many."""
OLD: Final = 56
"""Messages of the past in a channel: more than it shows when it is opened."""
FIRST, SECOND, DRY = "first", "second", "dry"
ORPHANS: Final = {"orphan-1": 4, "orphan-2": 3, "orphan-3": 0}
"""Processes that died with a file in the directory, and how much they left queued."""


class Stage:
    """A folder as many processes left it, of which each case gets a copy.

    It holds `ada.db`, left cleanly; `copy.db`, which is what that was before it went on; `outbox/`, with the
    files of three processes that were killed; `log.db`, and `old.db`, which is what that was before.

    Args:
        folder: Empty.
        nursery: Where lives come from.
    """

    def __init__(self, folder: Path, nursery: Nursery) -> None:
        self._folder = folder
        self._nursery = nursery
        self._since = time.time()
        self._cases = itertools.count(1)
        self._template = folder / "template"
        self._template.mkdir()
        self._found("founder-1", OLD)
        _copy(self._template, LOG, "old.db")
        _copy(self._template, "ada.db", "copy.db")
        self._found("founder-2", 3)
        self._leave_orphans()
        self.counts = cache(self._counts)

    def _common(self, folder: Path, seed: int) -> dict[str, Any]:
        return {"folder": str(folder), "seed": seed, "since": self._since}

    def _found(self, trail: str, amount: int) -> None:
        common = self._common(self._template, amount)
        self._live(Plan(life="founder", trail=trail, store="ada.db", amount=amount, **common))

    def _live(self, plan: Plan) -> None:
        assert self._nursery.run(plan) == 0, f"{plan.trail} failed"

    def _leave_orphans(self) -> None:
        alive: list[int] = []
        for seed, (trail, amount) in enumerate(ORPHANS.items()):
            common = self._common(self._template, seed)
            plan = Plan(life="orphan", trail=trail, store="outbox/", amount=amount, **common)
            alive.append(self._nursery.start(plan))
            while not any(one["what"] == "ready" for one in told(self._template / trail)):
                time.sleep(0.01)
        for pid in alive:
            os.kill(pid, signal.SIGKILL)
            assert self._nursery.end(pid) == -signal.SIGKILL

    # -- cases

    def die(self, point: str, seed: int, *, later: tuple[str, ...] = (), **options: Any) -> list[str]:
        """Let a process die at a point, and another one follow it; returns all that is not as promised.

        Args:
            point: Where.
            seed: Decides at which time that the point is reached, and all chance.
            later: What to break in the second life.
            options: Of the plan of the first life.

        Raises:
            AssertionError: The point was not reached, or a life failed otherwise.
        """
        chosen = scene(point, seed) | options
        chance = Random(f"{point}/{seed}")
        reached = self.counts(chosen["store"], chosen.get("small", False), chosen.get("restored", False))
        most = reached.get(point, 0)
        assert most, f"{point} is not on the way: the story does not reach it"
        # Threads are real: how often a point is reached differs a little from life to life.
        nth = chance.randint(1, max(1, most // 2))
        folder = self._copied(f"{point}-{seed}", restored_log=chosen.pop("restored", False))
        plan = Plan(life="speak", trail=FIRST, point=point, nth=nth, **chosen, **self._common(folder, seed))
        code = self._nursery.run(plan)
        assert code == -signal.SIGKILL, (
            f"{point} was not reached {nth} times, but {most} in another life: {code}"
        )
        return self._follow(plan, point, later)

    def die_often(
        self, point: str, seeds: Iterable[int], options: Callable[[int], dict[str, Any]]
    ) -> dict[int, list[str]]:
        """Let many processes die at a point, several at once; returns what was wrong, by seed.

        Args:
            point: Where.
            seeds: One for each.
            options: Gives those of `die` for a seed.
        """

        def attempt(seed: int) -> list[str]:
            try:
                return self.die(point, seed, **options(seed))
            except AssertionError as error:
                return [str(error)]

        with ThreadPoolExecutor(AT_ONCE) as pool:  # lives wait, most of the time
            tried = {seed: pool.submit(attempt, seed) for seed in seeds}
        return {seed: found for seed, one in tried.items() if (found := one.result())}

    def _follow(self, plan: Plan, point: str, later: tuple[str, ...] = ()) -> list[str]:
        folder = plan.path
        first, between = told(folder / FIRST), truth(folder)
        cursors = [one["cursor"] for one in first if one["what"] == "saved"]
        done, _ = told_and_in_hand(first)
        keyed = [one for one in first if one["what"] == "wished" and one["key"]]
        after = Plan(
            life="survivor",
            trail=SECOND,
            store=plan.store,
            cursor=cursors[-1] if cursors else "",
            done=done[-1]["id"] if done else "",
            keyed=tuple((one["channel"], one["key"], one["text"]) for one in keyed),
            bugs=later,
            **self._common(folder, plan.seed + 1_000),
        )
        self._live(after)
        case = Case(
            folder=folder,
            store=plan.store,
            point=point,
            first=first,
            second=told(folder / SECOND),
            orphans=[told(folder / trail) for trail in ORPHANS] if plan.store.endswith("/") else [],
            between=between,
            after=truth(folder),
        )
        found = violations(case)
        if not found:
            shutil.rmtree(folder)
        return found

    def _counts(self, store: str, small: bool, restored_log: bool) -> dict[str, int]:
        """Let a life go on to its end; returns how often it reached each point."""
        folder = self._copied(f"{DRY}-{store.strip('/')}", restored_log=restored_log)
        plan = Plan(life="speak", trail=FIRST, store=store, small=small, **self._common(folder, 0))
        self._live(plan)
        counts: dict[str, int] = told(folder / FIRST)[-1]["counts"]
        found = self._follow(plan, "")
        assert not found, f"without any death: {found}"
        return counts

    def _copied(self, name: str, *, restored_log: bool) -> Path:
        folder = self._folder / f"{next(self._cases)}-{name}"
        shutil.copytree(self._template, folder)
        if restored_log:
            _copy(folder, "old.db", LOG)
            run(restored(f"sqlite:///{folder}/{LOG}", clock=VirtualClock(), random=Random(name)))
        return folder


def scene(point: str, seed: int) -> dict[str, Any]:
    """What a life that is to die at a point begins with."""
    match point:
        case "outbox.renewed":
            return {"store": "copy.db"}
        case "channel.reread":
            return {"store": "ada.db", "restored": True}
        case "channel.skipped":
            return {"store": "ada.db", "small": True}
        case _:
            return {"store": "outbox/" if seed % 2 or point in ADOPTION else "ada.db"}


def _copy(folder: Path, source: str, target: str) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{folder}/{target}{suffix}").unlink(missing_ok=True)
        if Path(f"{folder}/{source}{suffix}").exists():
            shutil.copy(f"{folder}/{source}{suffix}", f"{folder}/{target}{suffix}")
