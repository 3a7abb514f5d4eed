"""Soak chatkit: `python -m tests.soak [--minutes M] [--rounds N] [--acts N] [--seed S] [--out FILE]`.

Real time, SQLite stores and a SQLite log, a faulty network, clients that are cut off, closed, killed and opened
again, in rounds of as many things done each. Prints a line at each rest and a verdict. Exit code 1 where memory,
tasks, threads or files grew, where anything is left after closing, or where a promise was broken; 2 where there
were too few rounds to judge.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import logging
import platform
import sqlite3
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.soak.judge import LEAST, Sample, TooShort, judge, row, table
from tests.soak.run import ACTS, Plan, Result, soak

BREACH: Final = "BREACH"
FLAT: Final = "FLAT: nothing grew by 5 %, nothing is left, nothing was lost or doubled"


def main(arguments: list[str]) -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="begin further rounds for so long (10)")
    parser.add_argument("--rounds", type=int, default=LEAST, help=f"at the least; a verdict takes {LEAST}")
    parser.add_argument("--acts", type=int, default=ACTS, help=f"things done in a round ({ACTS})")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the result there too")
    asked = parser.parse_args(arguments)
    logging.getLogger("chatkit").setLevel(logging.ERROR)  # gaps are told as warnings, and there will be many

    numbers = itertools.count(1)

    def show(one: Sample) -> None:
        print(row(next(numbers), one), file=sys.stderr, flush=True)

    with TemporaryDirectory(prefix="chatkit-soak-") as folder:
        plan = Plan(Path(folder), asked.rounds, asked.minutes, asked.acts, asked.seed)
        result = asyncio.run(soak(plan, show))
    text, code = told(result)
    title = f"python -m tests.soak {' '.join(arguments)}".rstrip()
    text = f"$ {title}\n{_machine()}\n\n{text}"
    print(text)
    if asked.out is not None:
        asked.out.write_text(text + "\n", encoding="utf-8")
    return code


def told(result: Result) -> tuple[str, int]:
    """Return the table and the verdict, and the exit code."""
    wrong = [*(f"left behind: {one}" for one in result.left), *result.broken]
    lines = [table(result.samples), ""]
    try:
        verdict = judge(result.samples)
    except TooShort as error:
        end, code = (BREACH, 1) if wrong else ("NO VERDICT", 2)
        return "\n".join([*lines, *(f"BROKEN  {one}" for one in wrong), str(error), end]), code
    wrong = [*verdict.breaches, *wrong]
    growth = "  ".join(f"{name} {100 * (by - 1):+.1f} %" for name, by in verdict.growth.items())
    done = ", ".join(f"{count:,} {name}" for name, count in sorted(result.done.items()))
    lines += [f"growth  {growth}", f"done    {done}", "", *(f"BROKEN  {one}" for one in wrong)]
    return "\n".join([*lines, BREACH if wrong else FLAT]), int(bool(wrong))


def _machine() -> str:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"chatkit {version('chatkit-realtime')}, {python}, SQLite {sqlite3.sqlite_version}, {platform.system()}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
