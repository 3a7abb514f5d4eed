"""What a benchmark tells: figures taken beside a bare thing, in interleaved rounds, as medians."""

from __future__ import annotations

import json
import platform
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

SLACK: Final = 1.3
"""How far beyond its target a ratio may be before the run fails: other work on the machine costs that much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One comparison. `ratio` has a target where `limit` is set: at most, or with `least` at least, that."""

    name: str
    unit: str
    chatkit: float
    bare: float
    ratio: float
    limit: float | None = None
    least: bool = False
    held: float | None = None
    """Where the target is not reached yet: what the run is held to meanwhile, so that it gets no worse."""
    rounds: int = 1
    notes: Mapping[str, float] = field(default_factory=dict[str, float])
    """Further figures, by what they measure."""

    @property
    def met(self) -> bool:
        """Whether the target is met as it stands."""
        return self._within(self.limit, 1.0)

    @property
    def passes(self) -> bool:
        """Whether the target, or what the run is held to meanwhile, is met, the machine's noise allowed for."""
        return self._within(self.limit if self.held is None else self.held, SLACK)

    def _within(self, limit: float | None, slack: float) -> bool:
        if limit is None:
            return True
        return self.ratio >= limit / slack if self.least else self.ratio <= limit * slack

    @property
    def target(self) -> str:
        """The target in words."""
        if self.limit is None:
            return "-"
        return f"{'at least' if self.least else 'at most'} {self.limit:g}"

    @property
    def verdict(self) -> str:
        """What became of the target, in a word."""
        if self.limit is None:
            return "stated"
        if self.met:
            return "met"
        if not self.passes:
            return "MISSED"
        return "within slack" if self.held is None else f"NOT REACHED, held at {self.held:g}"


def interleave(rounds: int, *sides: Callable[[], Mapping[str, float]]) -> list[list[Mapping[str, float]]]:
    """Run each side once a round, in turn, and return what each gave; the order turns from round to round."""
    found: list[list[Mapping[str, float]]] = [[] for _ in sides]
    for number in range(rounds):
        for step in range(len(sides)):
            at = (number + step) % len(sides)
            found[at].append(sides[at]())
    return found


def middle(samples: Sequence[Mapping[str, float]], name: str) -> float:
    """Return the median of one figure."""
    return median(sample[name] for sample in samples)


def paired(ours: Sequence[Mapping[str, float]], bare: Sequence[Mapping[str, float]], name: str) -> float:
    """Return the median of the ratios of each round: what slows one round slows both its sides."""
    return median(a[name] / b[name] for a, b in zip(ours, bare, strict=True))


def compared(
    name: str,
    unit: str,
    ours: Sequence[Mapping[str, float]],
    theirs: Sequence[Mapping[str, float]],
    what: str,
    limit: float | None,
    held: float | None,
    rounds: int,
    notes: Mapping[str, float] | None = None,
) -> Figure:
    """Return one figure of both sides: medians, and the median of the ratios of each round."""
    return Figure(
        name=name,
        unit=unit,
        chatkit=middle(ours, what),
        bare=middle(theirs, what),
        ratio=paired(ours, theirs, what),
        limit=limit,
        held=held,
        rounds=rounds,
        notes=notes or {},
    )


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as text."""
    rows = [("benchmark", "unit", "chatkit", "bare", "ratio", "target", "")]
    for one in figures:
        values = (f"{one.chatkit:,.4g}", f"{one.bare:,.4g}", f"{one.ratio:.2f}")
        rows.append((one.name, one.unit, *values, one.target, one.verdict))
        rows += [(f"  {name}", "", f"{value:,.4g}", "", "", "", "") for name, value in one.notes.items()]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if 2 <= at <= 4 else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def report(figures: Sequence[Figure], *, quick: bool) -> dict[str, Any]:
    """Return the figures with what they were taken on, ready for JSON."""
    return {
        "quick": quick,
        "slack": SLACK,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "sqlite": sqlite3.sqlite_version,
        "figures": [{**asdict(one), "verdict": one.verdict} for one in figures],
    }


def write(path: Path, figures: Sequence[Figure], *, quick: bool) -> None:
    """Write the report to a file."""
    path.write_text(json.dumps(report(figures, quick=quick), indent=2) + "\n", encoding="utf-8")
