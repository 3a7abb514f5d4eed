"""Run the benchmarks: `python -m tests.benchmarks [--quick] [--json FILE] [NAME ...]`.

Exit code 1 where a ratio is beyond its target and the slack that `measure.SLACK` grants.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final, Protocol

from tests.benchmarks import importing, logs, receive, sending, timelines
from tests.benchmarks.ably import figures as ably
from tests.benchmarks.measure import Figure, table, write
from tests.benchmarks.pusher import figures as pusher
from tests.benchmarks.supabase import figures as supabase


class Benchmark(Protocol):
    """Measures, and returns what it found."""

    def __call__(self, *, quick: bool) -> list[Figure]:
        """`quick`: for every change; otherwise as many rounds as a figure to be published needs."""
        ...


BENCHMARKS: Final[dict[str, Benchmark]] = {
    "receive": receive.run,
    "send": sending.run,
    "import": importing.run,
    "timeline": timelines.run,
    "log": logs.run,
    "pusher": pusher.run,
    "ably": ably.run,
    "supabase": supabase.run,
}


def main(arguments: list[str]) -> int:
    """Run what was asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="which; none: all")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller amounts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    asked = parser.parse_args(arguments)
    figures: list[Figure] = []
    for name in asked.names or BENCHMARKS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        figures += BENCHMARKS[name](quick=asked.quick)
    print(table(figures))
    if asked.json is not None:
        write(asked.json, figures, quick=asked.quick)
    return 0 if all(one.passes for one in figures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
