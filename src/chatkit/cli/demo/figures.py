"""Figures drawn from the record: latency and throughput, as measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import NamedTuple

from chatkit.cli.demo.record import Said, Visit


class Figures(NamedTuple):
    """Seconds from a call of `send()` to a handler in another client, and messages a second."""

    p50: float | None
    p99: float | None
    throughput: float | None
    """Lines that somebody else was given, over the time from the first `send()` to the last handler."""


def measure(said: Mapping[str, Said], visits: Mapping[str, Sequence[Visit]]) -> Figures:
    """Return the figures; `None` where nothing was heard. Only the first hearing of each listener counts."""
    waits: list[float] = []
    lines: set[str] = set()
    last = 0.0
    for listener, turns in visits.items():
        known: set[str] = set()
        for event in (event for visit in turns for event in visit.heard):
            one = said.get(event.line)
            if one is None or one.user == listener or event.line in known:
                continue
            known.add(event.line)
            waits.append(event.at - one.at)
            last = max(last, event.at)
        lines |= known
    if not waits:
        return Figures(None, None, None)
    first = min(one.at for one in said.values())
    waits.sort()
    return Figures(percentile(waits, 50), percentile(waits, 99), len(lines) / max(last - first, 1e-9))


def percentile(ascending: Sequence[float], percent: int) -> float:
    """Return the value that `percent` of 100 do not exceed (nearest rank)."""
    return ascending[max(0, ceil(len(ascending) * percent / 100) - 1)]
