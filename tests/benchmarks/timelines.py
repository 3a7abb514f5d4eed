"""A timeline of 100,000 messages: what it holds, and what an insertion costs there."""

from __future__ import annotations

import gc
import json
import random
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from statistics import median
from typing import Final

from chatkit.core.fact import Fact
from chatkit.core.timeline import Timeline
from chatkit.model.envelope import Envelope
from chatkit.model.order import Ident, OrderKey
from chatkit.ports import Entry
from tests.benchmarks.corpus import CHANNEL, entries
from tests.benchmarks.measure import Figure, middle, paired

MODULE: Final = "tests.benchmarks.timelines"
SMALL, LARGE = 1_000, 100_000
MEGABYTES, SLOWER = 80.0, 3.0
INSERTS: Final = 25
"""Messages inserted a round: so few that a thousand stays about a thousand."""


def fact_of(entry: Entry) -> Fact:
    """Return an entry as a socket brings it: bytes, texts and times of its own."""
    stamp = entry.stamp
    data = bytes(bytearray(entry.data))
    serial = stamp.key.serial.encode().decode()
    envelope = Envelope.parse(data)
    return Fact(
        envelope,
        data,
        Ident(envelope.sender.user, envelope.id),
        OrderKey(stamp.key.epoch, serial),
        stamped=True,
        sent_at=stamp.at.replace(fold=0),
        attested="provider",
        origin=stamp.log_id or "",
    )


def new_timeline() -> Timeline:
    """Return an empty timeline that keeps all."""
    return Timeline(CHANNEL, "reader", origin="bench", rights=True, keep=2 * LARGE)


def memory(count: int) -> float:
    """Return the bytes that a timeline of so many messages holds, their envelopes' included."""
    written = entries(count)
    tracemalloc.start()
    timeline = new_timeline()
    for entry in written:
        timeline.apply(fact_of(entry))
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(timeline) == count
    return float(held)


def insertion(large: int, rounds: int) -> tuple[list[float], list[float]]:
    """Return, of each round, the median seconds of an insertion into a small and into a large timeline.

    What is inserted belongs at places spread over all of it, and comes in any order.
    """
    sides: list[tuple[Timeline, list[Fact], list[float]]] = []
    for count in (SMALL, large):
        facts = [fact_of(entry) for entry in entries(count + rounds * INSERTS)]
        late = facts[1 :: len(facts) // (rounds * INSERTS)][: rounds * INSERTS]
        keys = {fact.key for fact in late}
        timeline = new_timeline()
        for fact in facts:
            if fact.key not in keys:
                timeline.apply(fact)
        random.Random(3).shuffle(late)
        sides.append((timeline, late, []))
    gc.collect()
    for _ in range(rounds):
        for timeline, late, found in sides:
            took: list[float] = []
            for _ in range(INSERTS):
                fact = late.pop()
                began = time.perf_counter()
                timeline.apply(fact)
                took.append(time.perf_counter() - began)
            found.append(median(took))
    return sides[0][2], sides[1][2]


def run(*, quick: bool) -> list[Figure]:
    """Measure."""
    count, rounds = (LARGE // 10, 3) if quick else (LARGE, 9)
    held = json.loads(_apart("memory", count)) / count * LARGE / 1e6
    small, large = (
        [{"µs": seconds * 1e6} for seconds in side] for side in json.loads(_apart("insertion", count, rounds))
    )
    return [
        Figure(
            name=f"timeline: 100,000 messages{', reckoned from 10,000' if quick else ''}",
            unit="MB, beside the 80 allowed",
            chatkit=held,
            bare=MEGABYTES,
            ratio=held / MEGABYTES,
            limit=1.0,
            notes={"bytes a message": held * 1e6 / LARGE},
        ),
        Figure(
            name=f"timeline: insertion at {count:,}, at 1,000",
            unit="µs",
            chatkit=middle(large, "µs"),
            bare=middle(small, "µs"),
            ratio=paired(large, small, "µs"),
            limit=SLOWER,
            rounds=rounds,
        ),
    ]


def _apart(what: str, *numbers: int) -> str:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", MODULE, what, *map(str, numbers)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def main(what: str, *numbers: str) -> None:
    """Be that process."""
    measure: Callable[..., object] = memory if what == "memory" else insertion
    print(json.dumps(measure(*map(int, numbers))))


if __name__ == "__main__":
    main(*sys.argv[1:])
