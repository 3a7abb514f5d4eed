"""Soak chatkit: `python -m tests.soak [--minutes M] [--every SECONDS] [--seed S] [--out FILE]`.

Real time, SQLite stores and a SQLite log, a faulty network, clients that are cut off, closed, killed and opened
again. Prints a line at each rest and a verdict. Exit code 1 where memory, tasks, threads or files grew, where
anything is left after closing, or where a promise was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import platform
import sqlite3
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.soak.measure import LEAST, Sample, judge, table
from tests.soak.run import Plan, Result, soak


def main(arguments: list[str]) -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--every", type=float, default=30.0, help="seconds between two looks")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the result there too")
    asked = parser.parse_args(arguments)
    logging.getLogger("chatkit").setLevel(logging.ERROR)  # gaps are told as warnings, and there will be many

    def show(one: Sample) -> None:
        print(table([one]).splitlines()[-1], file=sys.stderr, flush=True)

    with TemporaryDirectory(prefix="chatkit-soak-") as folder:
        plan = Plan(60 * asked.minutes, asked.every, Path(folder), asked.seed)
        result = asyncio.run(soak(plan, show))
    text, passes = told(result)
    title = f"python -m tests.soak {' '.join(arguments)}".rstrip()
    text = f"$ {title}\n{_machine()}\n\n{text}"
    print(text)
    if asked.out is not None:
        asked.out.write_text(text + "\n", encoding="utf-8")
    return 0 if passes else 1


def told(result: Result) -> tuple[str, bool]:
    """Return the table and the verdict, and whether all is well."""
    if len(result.samples) < LEAST:
        return "\n".join(
            [table(result.samples), "", *(f"BROKEN  {one}" for one in result.broken), "BREACH"]
        ), False
    verdict = judge(result.samples)
    wrong = [*verdict.breaches, *(f"left behind: {one}" for one in result.left), *result.broken]
    lines = [table(result.samples), ""]
    lines.append(
        "growth  " + "  ".join(f"{name} {100 * (by - 1):+.1f} %" for name, by in verdict.growth.items())
    )
    lines.append("done    " + ", ".join(f"{count:,} {name}" for name, count in sorted(result.done.items())))
    if verdict.breaches:
        lines += ["", "objects that are more than after warming up, and how many there are:"]
        lines += [f"{more:+9,} {name} ({count:,})" for name, more, count in result.grown]
    lines += ["", *(f"BROKEN  {one}" for one in wrong)]
    lines.append(
        "BREACH" if wrong else "FLAT: nothing grew by 5 %, nothing is left, nothing was lost or doubled"
    )
    return "\n".join(lines), not wrong


def _machine() -> str:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"chatkit {version('chatkit-realtime')}, {python}, SQLite {sqlite3.sqlite_version}, {platform.system()}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
