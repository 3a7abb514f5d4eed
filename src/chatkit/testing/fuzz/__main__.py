"""Fuzz chatkit: `python -m chatkit.testing.fuzz [--inputs N] [--seed S] [--only NAME] [--start NUMBER]`.

The same seed gives the same inputs. Exit code 1 where anything but an error of chatkit came out, a secret was
shown, or an input took more time or memory than its size allows. Each such input is named, and run again by
`--only NAME --seed S --start NUMBER --inputs 1` (of a client: `--inputs 40`).
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import resource
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path

from chatkit.testing.fuzz.run import Tally, run_quietly, shares


def main(arguments: list[str]) -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m chatkit.testing.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=2_000, metavar="N", help="how many, shared out")
    parser.add_argument("--seed", type=int, default=1, metavar="S")
    parser.add_argument("--only", metavar="NAME", help="give all inputs to this target")
    parser.add_argument("--start", type=int, default=0, metavar="NUMBER", help="of the first input")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the result there too")
    asked = parser.parse_args(arguments)
    plan = shares(asked.inputs)
    if asked.only is not None:
        if asked.only not in plan:
            parser.error(f"--only is one of: {', '.join(plan)}")
        plan = {asked.only: asked.inputs}
    work = partial(run_quietly, seed=asked.seed, start=asked.start)
    if asked.jobs > 1:
        with ProcessPoolExecutor(asked.jobs, multiprocessing.get_context("spawn")) as pool:
            tallies = list(pool.map(work, plan, plan.values()))
    else:
        tallies = list(map(work, plan, plan.values()))
    command = f"$ python -m chatkit.testing.fuzz {' '.join(arguments)}".rstrip()
    text = f"{command}\n{told(tallies)}\n{_machine()}\n"
    sys.stdout.write(text)
    if asked.out is not None:
        asked.out.write_text(text, encoding="utf-8")
    return 1 if any(tally.breaches for tally in tallies) else 0


def told(tallies: list[Tally]) -> str:
    """Return the result as text."""
    lines = [f"{'target':<20} {'inputs':>8} {'MB':>8} {'slowest':>9} {'memory':>10}  outcomes"]
    for tally in tallies:
        outcomes = ", ".join(f"{name} {count:,}" for name, count in tally.outcomes.most_common())
        lines.append(
            f"{tally.name:<20} {tally.inputs:8,} {tally.size / 1e6:8,.1f} {tally.slowest:7.3f} s"
            f" {tally.memory / 1e6:7,.1f} MB  {outcomes}"
        )
    kinds = sum((tally.kinds for tally in tallies), Counter[str]())
    lines += ["", "kinds: " + ", ".join(f"{kind} {count:,}" for kind, count in sorted(kinds.items())), ""]
    for tally in tallies:
        lines += [f"BREACH {tally.name} {number} ({kind}): {what}" for number, kind, what in tally.breaches]
    breaches = sum(len(tally.breaches) for tally in tallies)
    lines.append(f"{kinds.total():,} inputs, {breaches} breaches")
    return "\n".join(lines)


def _machine() -> str:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(one.ru_utime + one.ru_stime for one in used)
    peak = max(one.ru_maxrss for one in used) / 1e3
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return (
        f"{seconds:,.0f} s of CPU time, {peak:,.0f} MB at the most,"
        f" chatkit {version('chatkit-realtime')}, {python}, {platform.system()}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
