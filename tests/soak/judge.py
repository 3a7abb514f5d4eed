"""What a soak makes of a series of samples: flat is under 5 % between the first third and the last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal, TypeAlias, get_args

MOST: Final = 1.05
"""What anything may become, of what it was."""
LEAST: Final = 12
"""Samples that a verdict takes: two to warm up, and three or more in each third, so that one odd one is no
verdict."""
WARM_UP: Final = 0.2
"""The part of the samples in which caches fill."""
NAMED: Final = 3
"""Names that a breach tells, those that grew most."""

Series: TypeAlias = Literal["rss", "memory", "tasks", "threads", "files"]


class TooShort(ValueError):
    """Too few samples: neither flat nor not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look: things by name, and how much there is of each."""

    seconds: float
    done: int
    """What was done up to here: sends, edits, reads ..."""
    rss: Mapping[str, int]
    """Bytes of memory that the process holds."""
    memory: Mapping[str, int]
    """Bytes that Python holds since the soak began, by the line of code that asked for them."""
    tasks: Mapping[str, int]
    threads: Mapping[str, int]
    files: Mapping[str, int]

    def total(self, series: Series) -> int:
        """Return how much there is in all."""
        return sum(self.of(series).values())

    def of(self, series: Series) -> Mapping[str, int]:
        """Return one of the series, by name."""
        found: Mapping[str, int] = getattr(self, series)
        return found


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a series of samples says."""

    growth: dict[Series, float]
    """The last third beside the first after warming up; 1.0 is flat."""
    breaches: tuple[str, ...]
    """What grew, by how much, and the names of what there is more of."""


def judge(samples: Sequence[Sample]) -> Verdict:
    """Compare the first third after warming up with the last.

    Raises:
        TooShort: Fewer than `LEAST` samples say nothing.
    """
    if len(samples) < LEAST:
        raise TooShort(f"too short to judge: {len(samples)} rounds, a verdict takes {LEAST}")
    warm = samples[round(WARM_UP * len(samples)) :]
    third = len(warm) // 3
    first, last = warm[:third], warm[-third:]
    growth: dict[Series, float] = {}
    breaches: list[str] = []
    for series in get_args(Series):
        was, now = ([one.total(series) for one in part] for part in (first, last))
        # Counts go up and down with what is open; what leaks passes every earlier peak.
        before = median(was) if series in ("rss", "memory") else max(was)
        after = median(now)
        growth[series] = after / before if before else 1.0 + after
        if growth[series] > MOST:
            breaches.append(f"{series}: {before:,.0f} became {after:,.0f}: {_grown(series, first, last)}")
    return Verdict(growth, tuple(breaches))


def _grown(series: Series, first: Sequence[Sample], last: Sequence[Sample]) -> str:
    """Name what grew most, by how much."""
    names = {name for part in (first, last) for one in part for name in one.of(series)}
    by = {
        name: median(one.of(series).get(name, 0) for one in last)
        - median(one.of(series).get(name, 0) for one in first)
        for name in names
    }
    most = sorted(by, key=lambda name: (-by[name], name))[:NAMED]
    return ", ".join(f"{name} {by[name]:+,.0f}" for name in most if by[name] > 0)


def table(samples: Sequence[Sample]) -> str:
    """Return the samples as lines of text."""
    head = f"{'round':>5} {'minute':>7} {'done':>9} {'RSS MB':>8} {'Python MB':>10} {'tasks':>6} {'threads':>8} {'files':>6}"
    lines = [row(number, one) for number, one in enumerate(samples, 1)]
    return "\n".join([head, *lines])


def row(number: int, one: Sample) -> str:
    """Return one sample as a line of text."""
    return (
        f"{number:5} {one.seconds / 60:7.2f} {one.done:9,} {one.total('rss') / 1e6:8.1f}"
        f" {one.total('memory') / 1e6:10.2f} {one.total('tasks'):6} {one.total('threads'):8} {one.total('files'):6}"
    )
