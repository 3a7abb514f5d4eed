"""What a soak measures, and what it makes of it: flat is under 5 % between the first third and the last."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

MOST: Final = 1.05
"""What memory may become, of what it was."""
LEAST: Final = 4
"""Samples that a verdict takes."""
WARM_UP: Final = 0.2
"""The part of the samples in which caches fill; the first of all is never counted."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look, while nobody does anything."""

    seconds: float
    done: int
    """What was done up to here: sends, edits, reads ..."""
    rss: int
    """Bytes of memory that the process holds."""
    blocks: int
    """Blocks of memory that Python has given out: objects, and what hangs on them."""
    tasks: int
    threads: int
    files: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands besides memory."""

    tasks: frozenset[str]
    threads: frozenset[str]
    files: Counter[str]

    @classmethod
    def now(cls) -> Standing:
        """Look, from within a task of the loop."""
        me = asyncio.current_task()
        return cls(
            frozenset(task.get_name() for task in asyncio.all_tasks() if task is not me),
            frozenset(thread.name for thread in threading.enumerate()),
            Counter(open_files()),
        )

    def beyond(self, before: Standing) -> list[str]:
        """Name what stands here and did not stand before."""
        return [
            *(f"task {name}" for name in sorted(self.tasks - before.tasks)),
            *(f"thread {name}" for name in sorted(self.threads - before.threads)),
            *(f"file {name}" for name in sorted((self.files - before.files).elements())),
        ]


def open_files() -> list[str]:
    """Return what this process has open; nothing where the system does not tell."""
    listing = Path("/proc/self/fd")
    found: list[str] = []
    for descriptor in listing.iterdir() if listing.exists() else ():
        try:
            found.append(str(descriptor.readlink()))
        except OSError:  # the listing's own
            continue
    return found


def whereabouts(task: asyncio.Task[object]) -> str:
    """Return what a task waits in, from the outside in."""
    steps: list[str] = []
    inner: Any = task.get_coro()
    while inner is not None:
        code = getattr(inner, "cr_code", None) or getattr(inner, "gi_code", None)
        frame = getattr(inner, "cr_frame", None) or getattr(inner, "gi_frame", None)
        if code is not None:
            steps.append(f"{code.co_qualname}:{frame.f_lineno if frame else '?'}")
        inner = getattr(inner, "cr_await", None) or getattr(inner, "gi_yieldfrom", None)
    return f"{task.get_name()}: {' > '.join(steps)}"


def sample(seconds: float, done: int) -> Sample:
    """Collect what is garbage, and look."""
    gc.collect()
    return Sample(
        seconds,
        done,
        _resident(),
        sys.getallocatedblocks(),
        len(asyncio.all_tasks()),
        threading.active_count(),
        len(open_files()),
    )


def _resident() -> int:
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # the most so far: never looks better


def kinds() -> Counter[str]:
    """Count the objects that the collector knows, by type: what tells where a leak is."""
    return Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a series of samples says."""

    growth: dict[str, float]
    """By name: the last third beside the first after warming up; 1.0 is flat."""
    breaches: tuple[str, ...]


def judge(samples: Sequence[Sample]) -> Verdict:
    """Compare the first third after warming up with the last.

    Raises:
        ValueError: Fewer than `LEAST` samples tell nothing.
    """
    if len(samples) < LEAST:
        raise ValueError(f"a verdict takes {LEAST} samples")
    warm = samples[max(1, round(WARM_UP * len(samples))) :]
    third = max(1, len(warm) // 3)
    first, last = warm[:third], warm[-third:]
    growth: dict[str, float] = {}
    breaches: list[str] = []
    for name in ("rss", "blocks", "tasks", "threads", "files"):
        was, is_now = ([getattr(one, name) for one in part] for part in (first, last))
        # Counts go up and down with what is open; what leaks passes every earlier peak.
        before, after = median(was) if name in ("rss", "blocks") else max(was), median(is_now)
        growth[name] = after / before
        if growth[name] > MOST:
            breaches.append(f"{name}: {before:,.0f} became {after:,.0f}")
    return Verdict(growth, tuple(breaches))


def table(samples: Sequence[Sample]) -> str:
    """Return the samples as lines of text."""
    head = f"{'minute':>7} {'done':>9} {'RSS MB':>8} {'blocks':>10} {'tasks':>6} {'threads':>8} {'files':>6}"
    lines = [
        f"{one.seconds / 60:7.2f} {one.done:9,} {one.rss / 1e6:8.1f} {one.blocks:10,} {one.tasks:6}"
        f" {one.threads:8} {one.files:6}"
        for one in samples
    ]
    return "\n".join([head, *lines])
