"""Runs many inputs and counts what became of them."""

from __future__ import annotations

import itertools
import logging
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from chatkit.adapters.memory.config import Like
from chatkit.testing.clock import VirtualClock, run
from chatkit.testing.fuzz.check import check
from chatkit.testing.fuzz.files import FILES, file_targets
from chatkit.testing.fuzz.log_files import LOG_FILES, log_file_targets
from chatkit.testing.fuzz.mutate import Input, inputs
from chatkit.testing.fuzz.samples import ENVELOPES
from chatkit.testing.fuzz.siege import LIKES, ROUND, Siege
from chatkit.testing.fuzz.supabase import SUPABASE
from chatkit.testing.fuzz.targets import PARSERS, Target

LIFE: Final = 4_000
"""Inputs that one client under siege is given."""
LARGEST_FRAME: Final = 1_200_000
"""Bytes of the largest frame: a little more than is ever looked at."""
READERS: Final[tuple[Target, ...]] = (*PARSERS, *SUPABASE)
"""All that reads without a client."""
_CLIENT: Final = "client on "
_MEASURED: Final = 10
"""Of the rounds of a siege the memory of each so many is measured."""


@dataclass(slots=True)
class Tally:
    """What became of the inputs of one target."""

    name: str
    inputs: int = 0
    size: int = 0
    """Bytes in all."""
    kinds: Counter[str] = field(default_factory=Counter[str])
    """By what was done to a sample."""
    outcomes: Counter[str] = field(default_factory=Counter[str])
    """By what became of it: `read`, or an error; in a siege by the way it took."""
    slowest: float = 0.0
    """Seconds of CPU time."""
    memory: int = 0
    """Most bytes that reading one took."""
    breaches: list[tuple[int, str, str]] = field(default_factory=list[tuple[int, str, str]])
    """Number and kind of the input, and what should not have happened."""

    def count(self, given: Input) -> None:
        """Count an input."""
        self.inputs += 1
        self.size += len(given.data)
        self.kinds[given.kind] += 1


def fuzz(target: Target, *, seed: int, count: int, start: int = 0) -> Tally:
    """Give a reader many hostile inputs.

    Args:
        target: The reader.
        seed: Of the inputs; the same seed gives the same ones.
        count: How many.
        start: Number of the first.
    """
    tally = Tally(target.name)
    for given in inputs(target.samples, seed=seed, count=count, start=start, largest=target.largest):
        tally.count(given)
        outcome = check(target, given)
        tally.outcomes[outcome.name] += 1
        tally.slowest = max(tally.slowest, outcome.seconds)
        tally.memory = max(tally.memory, outcome.memory)
        if outcome.breach is not None:
            tally.breaches.append((given.number, given.kind, outcome.breach))
    return tally


def besiege(like: Like, *, seed: int, count: int, start: int = 0) -> Tally:
    """Throw many hostile inputs at clients on a provider; see `Siege`."""
    tally = Tally(f"{_CLIENT}{like}")
    given = inputs(ENVELOPES, seed=seed, count=count, start=start, largest=LARGEST_FRAME)
    for life in _parts(given, LIFE):
        clock = VirtualClock()
        run(_live(like, clock, life, tally, seed), clock=clock)
    return tally


async def _live(like: Like, clock: VirtualClock, life: list[Input], tally: Tally, seed: int) -> None:
    async with Siege(like, clock, seed=seed) as siege:
        for number, thrown in enumerate(_parts(iter(life), ROUND)):
            for one in thrown:
                tally.count(one)
            ended = await siege.round(thrown, measured=number % _MEASURED == 0)
            tally.outcomes += ended.ways
            tally.slowest = max(tally.slowest, ended.seconds)
            tally.memory = max(tally.memory, ended.memory)
            if ended.breach is not None:
                tally.breaches.append((thrown[0].number, "round", ended.breach))
                return
        tally.outcomes["counted as foreign"] += siege.foreign


def _parts(given: Iterator[Input], size: int) -> Iterator[list[Input]]:
    while part := list(itertools.islice(given, size)):
        yield part


def shares(count: int) -> dict[str, int]:
    """Return how many inputs of `count` each target is given, by name."""
    parts = {
        **{target.name: 0.72 / len(READERS) for target in READERS},
        **dict.fromkeys((*FILES, *LOG_FILES), 0.005),
        **{f"{_CLIENT}{like}": 0.26 / len(LIKES) for like in LIKES},
    }
    return {name: max(1, round(part * count)) for name, part in parts.items()}


def run_named(name: str, *, seed: int, count: int, start: int = 0) -> Tally:
    """Run a target of `shares`."""
    if name.startswith(_CLIENT):
        like: Like = next(like for like in LIKES if name == f"{_CLIENT}{like}")
        return besiege(like, seed=seed, count=count, start=start)
    readers = (
        *READERS,
        *(file_targets() if name in FILES else ()),
        *(log_file_targets() if name in LOG_FILES else ()),
    )
    targets = {target.name: target for target in readers}
    return fuzz(targets[name], seed=seed, count=count, start=start)


def run_quietly(name: str, count: int, *, seed: int, start: int) -> Tally:
    """Run a target of `shares`, for the program: in a process of its own or not."""
    logging.getLogger("chatkit").setLevel(logging.CRITICAL)  # gaps and damage are told, in great number
    tally = run_named(name, seed=seed, count=count, start=start)
    sys.stderr.write(f"{name}: {tally.inputs:,} inputs, {len(tally.breaches)} breaches\n")
    return tally
