"""What a soak measures: what stands, by name, at a moment when nobody does anything."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sys
import threading
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from tests.soak.judge import Sample

PLACES: Final = 300
"""Lines of code that a sample names as holders of memory, the largest; all others are one."""
OTHERS: Final = "everywhere else"
_OWN: Final = (
    tracemalloc.Filter(inclusive=False, filename_pattern=__file__),
    tracemalloc.Filter(inclusive=False, filename_pattern=tracemalloc.__file__),
)
"""What the instrument itself holds is not part of what it measures."""


def sample(seconds: float, done: int) -> Sample:
    """Collect what is garbage, and look; memory by place is known where `tracemalloc` traces."""
    gc.collect()
    return Sample(
        seconds=seconds,
        done=done,
        rss={"the process": _resident()},
        memory=_places(),
        tasks=_counted(task.get_name() for task in asyncio.all_tasks()),
        threads=_counted(thread.name for thread in threading.enumerate()),
        files=_counted(open_files()),
    )


def _places() -> dict[str, int]:
    found = tracemalloc.take_snapshot().filter_traces(_OWN).statistics("lineno")
    named = {sys.intern(str(one.traceback)): one.size for one in found[:PLACES]}
    named[OTHERS] = sum(one.size for one in found[PLACES:])
    return named


def _counted(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        own = sys.intern(name)
        counts[own] = counts.get(own, 0) + 1
    return counts


def open_files() -> list[str]:
    """Return what this process has open; nothing where the system does not tell."""
    listing = Path("/proc/self/fd")
    found: list[str] = []
    for descriptor in listing.iterdir() if listing.exists() else ():
        try:
            target = str(descriptor.readlink())
        except OSError:  # the listing's own
            continue
        found.append(target.partition(":[")[0])  # sockets and pipes are numbered; their kind is what counts
    return found


def _resident() -> int:
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # the most so far: never looks better


def beyond(now: Sample, before: Sample) -> list[str]:
    """Name what stands now and did not stand before, besides memory."""
    return [
        f"{kind} {name}"
        for kind, here, there in (
            ("task", now.tasks, before.tasks),
            ("thread", now.threads, before.threads),
            ("file", now.files, before.files),
        )
        for name in sorted(_more(here, there).elements())
    ]


def _more(here: Mapping[str, int], there: Mapping[str, int]) -> Counter[str]:
    return Counter(here) - Counter(there)


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


def kinds() -> Counter[str]:
    """Count the objects that the collector knows, by type."""
    return Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())
