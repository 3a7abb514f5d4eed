"""`import chatkit` beside `import asyncio`, each in a fresh interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

from tests.benchmarks.measure import Figure, interleave, middle, paired

LIMIT: Final = 1.3
_CODE: Final = """
import time
began = time.perf_counter()
import {0}
print(time.perf_counter() - began)
"""


def seconds(module: str) -> float:
    """Return what one import takes in a new process; compiled files and page cache are warm after the first."""
    plain = {name: text for name, text in os.environ.items() if not name.startswith(("COV", "PYTHON"))}
    done = subprocess.run(
        [sys.executable, "-c", _CODE.format(module)], env=plain, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def run(*, quick: bool) -> list[Figure]:
    """Measure."""
    rounds = 5 if quick else 51
    seconds("chatkit"), seconds("asyncio")
    ours, bare = interleave(
        rounds, lambda: {"ms": seconds("chatkit") * 1e3}, lambda: {"ms": seconds("asyncio") * 1e3}
    )
    return [
        Figure(
            name="import: chatkit beside asyncio",
            unit="ms",
            chatkit=middle(ours, "ms"),
            bare=middle(bare, "ms"),
            ratio=paired(ours, bare, "ms"),
            limit=LIMIT,
            rounds=rounds,
        )
    ]
