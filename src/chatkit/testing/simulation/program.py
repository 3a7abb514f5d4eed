"""The program: runs seeds, tells what broke, exits with 1 if anything did."""

from __future__ import annotations

import argparse
import gc
import json
import logging
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from chatkit.testing.simulation import PROFILES, STEPS, Outcome, simulate

_logger = logging.getLogger("chatkit")

SHOWN = 5
"""Breaches told of one seed."""
GARBAGE = 10_000
"""Objects made from one search for garbage to the next."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; returns the exit code."""
    given = _parser().parse_args(arguments)
    level = _logger.level
    _logger.setLevel(logging.CRITICAL)  # what goes wrong here is meant to
    try:
        return _run(given)
    finally:
        _logger.setLevel(level)


def _run(given: argparse.Namespace) -> int:
    if given.replay is not None:
        outcome = simulate(given.replay, steps=given.steps, profile=given.profile, tell=True)
        print("\n".join(outcome.story))
        _tell([outcome], time.perf_counter(), as_json=given.json)
        return bool(outcome.breaches)
    began = time.perf_counter()
    seeds = range(given.start, given.start + given.seeds)
    broken = _tell(_outcomes(seeds, given), began, as_json=given.json)
    return bool(broken)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chatkit.testing.simulation", description=__doc__)
    parser.add_argument("--seeds", type=_positive, default=100, help="how many to run (100)")
    parser.add_argument("--start", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--steps", type=_positive, default=STEPS, help=f"of each story ({STEPS})")
    parser.add_argument("--profile", choices=sorted(PROFILES), help="the kind of world; else the seed says")
    parser.add_argument("--replay", type=int, metavar="SEED", help="run one seed and tell its story")
    parser.add_argument("--jobs", type=_positive, default=os.cpu_count() or 1, help="processes (one a core)")
    parser.add_argument("--json", action="store_true", help="one JSON object a seed, then the sum")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("is at least 1")
    return number


def _outcomes(seeds: Sequence[int], given: argparse.Namespace) -> Iterator[Outcome]:
    run = partial(simulate, steps=given.steps, profile=given.profile)
    if given.jobs == 1 or len(seeds) == 1:
        yield from map(run, seeds)
        return
    jobs = min(given.jobs, len(seeds))
    with multiprocessing.get_context("spawn").Pool(jobs, initializer=_prepare) as pool:
        yield from pool.imap_unordered(run, seeds, chunksize=1)


def _prepare() -> None:
    """Make a process ready for many seeds."""
    _logger.setLevel(logging.CRITICAL)
    gc.freeze()  # modules are no garbage: not to be searched again and again
    gc.set_threshold(GARBAGE)


def _tell(outcomes: Iterable[Outcome], began: float, *, as_json: bool) -> int:
    """Print what came out; returns how many seeds broke a promise."""
    totals: Counter[str] = Counter()
    invariants: Counter[str] = Counter()
    for outcome in outcomes:
        totals.update(seeds=1, records=outcome.records, accepted=outcome.accepted)
        totals["broken"] += bool(outcome.breaches)
        invariants.update(breach.invariant for breach in outcome.breaches)
        if as_json:
            print(json.dumps(_plain(outcome)))
        elif outcome.breaches:
            print(f"seed {outcome.seed} ({outcome.profile}): {len(outcome.breaches)} breaches")
            for breach in outcome.breaches[:SHOWN]:
                print(f"  {breach}")
        sys.stdout.flush()
    seconds = time.perf_counter() - began
    if as_json:
        print(json.dumps({**totals, "invariants": dict(invariants), "seconds": round(seconds, 1)}))
    else:
        print(
            f"{totals['seeds']:,} seeds, {totals['accepted']:,} envelopes accepted, "
            f"{totals['records']:,} records checked, {totals['broken']} seeds broken; {seconds:.0f} s"
        )
    return totals["broken"]


def _plain(outcome: Outcome) -> dict[str, Any]:
    return {
        "seed": outcome.seed,
        "profile": outcome.profile,
        "steps": outcome.steps,
        "digest": outcome.digest,
        "accepted": outcome.accepted,
        "records": outcome.records,
        "breaches": [breach._asdict() for breach in outcome.breaches],
    }
