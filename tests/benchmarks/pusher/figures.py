"""Pusher Channels on soketi: chatkit beside bare `websockets` and other clients, in one run.

- Receiving: processor time of a process of its own. Every client hears the same presence channel, in which a
  publisher says real envelopes over HTTP, and parses what came.
- Sending: from a send to where it is handled, one at a time; and a queue of an earlier life going out.
- A restart: soketi is killed and started again under a client.

`quick` leaves out other clients, the session alone and the restart, which take their packages and their time.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from tests.benchmarks.measure import Figure, compared, interleave, middle, paired
from tests.benchmarks.processes import CHUNK, PEERS, Command, own, received, told
from tests.benchmarks.pusher.feed import NAME, Feed
from tests.benchmarks.pusher.restarting import back
from tests.official.environments import interpreter
from tests.official.node import NODE, ROOT, installed
from tests.servers.soketi.server import Soketi

LIMIT, HELD = 2.5, 5.0
"""Times the bare loop's processor time: the target, and what is reached so far."""
SLOWER, HELD_SLOWER = 1.5, 1.8
"""Times the bare way from a send to a handler: the same two."""
FASTER: Final = 4.0
"""Times as fast in batches as singly."""
MODULE: Final = "tests.benchmarks.pusher"
PUBLIC: Final = NAME.removeprefix("presence-")


def run(*, quick: bool) -> list[Figure]:
    """Measure."""
    with tempfile.TemporaryDirectory() as folder, Soketi(Path(folder) / "soketi") as server:
        found = [
            *_receiving(server, 3 if quick else 25, 2 if quick else 7, with_others=not quick),
            _latency(server, 100 if quick else 500, 1 if quick else 7),
            _draining(server, Path(folder), 200 if quick else 1_000, 1 if quick else 5),
        ]
        return found if quick else [*found, _restart(server, 7)]


def _receiving(server: Soketi, chunks: int, rounds: int, *, with_others: bool) -> list[Figure]:
    count = chunks * CHUNK
    feed = Feed(server.port, count)
    commands = own(f"{MODULE}.clients", "bare", "chat")
    if with_others:
        commands |= own(f"{MODULE}.clients", "session") | _others()
    sides = [
        partial(received, feed, [*command, str(server.port), NAME, str(count), str(CHUNK)], count)
        for command in commands.values()
    ]
    found = dict(zip(commands, interleave(rounds, *sides), strict=True))
    chat, plain = found["chat"], found["bare"]
    notes: dict[str, float] = {"messages": count}
    if with_others:
        notes["session alone, µs"] = middle(found["session"], "µs")
        notes["session alone beside bare"] = paired(found["session"], plain, "µs")
    others = [name for name in found if name not in {"bare", "session", "chat"}]
    notes |= {f"{name}, µs": middle(found[name], "µs") for name in others}
    notes |= {f"beside {name}": paired(chat, found[name], "µs") for name in others}
    figures = [
        compared(
            "pusher: frame to handler", "µs CPU a message", chat, plain, "µs", LIMIT, HELD, rounds, notes
        )
    ]
    if with_others:
        theirs = found["pysher"]
        figures.append(
            compared(
                "pusher: the same beside pysher", "µs CPU a message", chat, theirs, "µs", 1.0, None, rounds
            )
        )
    return figures


def _latency(server: Soketi, count: int, rounds: int) -> Figure:
    chat, plain = interleave(
        rounds,
        lambda: _sending("chat", str(server.port), str(count)),
        lambda: _sending("bare", str(server.port), str(count)),
    )
    notes = {
        "p99, ms": middle(chat, "p99"),
        "bare p99, ms": middle(plain, "p99"),
        "p99 beside bare": paired(chat, plain, "p99"),
    }
    return compared(
        "pusher: send to handler", "ms at the median", chat, plain, "p50", SLOWER, HELD_SLOWER, rounds, notes
    )


def _draining(server: Soketi, folder: Path, count: int, rounds: int) -> Figure:
    number = 0

    def speed(batch: int) -> Mapping[str, float]:
        nonlocal number
        number += 1
        store = str(folder / f"{number}.db")
        spent = _sending("drain", str(server.port), str(count), store, str(batch))
        return {"/s": count / spent["s"]}

    batches, singly = interleave(rounds, lambda: speed(10), lambda: speed(1))
    return Figure(
        name="pusher: draining in batches beside singly",
        unit="queued messages a second",
        chatkit=middle(batches, "/s"),
        bare=middle(singly, "/s"),
        ratio=paired(batches, singly, "/s"),
        limit=FASTER,
        least=True,
        rounds=rounds,
        notes={"messages": count},
    )


def _restart(server: Soketi, rounds: int) -> Figure:
    # pysher signs nothing when it comes back: it is given a public channel.
    commands = own(f"{MODULE}.clients", "back") | _others()
    sides: list[Callable[[], Mapping[str, float]]] = []
    for name, command in commands.items():
        channel = PUBLIC if name == "pysher" else NAME
        line = [*command, str(server.port), channel, "0", str(CHUNK)]
        sides.append(partial(back, server, line, channel))
    found = dict(zip(commands, interleave(rounds, *sides), strict=True))
    ours = found["back"]
    notes = {
        "s until the attempt began": middle(ours, "waited"),
        "share of that": median(one["waited"] / one["s"] for one in ours),
        "slowest, s": max(one["s"] for one in ours),
    }
    notes |= {f"{name}, s": middle(found[name], "s") for name in found if name != "back"}
    notes |= {f"{name}, slowest, s": max(one["s"] for one in found[name]) for name in found if name != "back"}
    js = found["pusher-js"]
    return compared("pusher: restart to message, pusher-js", "s", ours, js, "s", None, None, rounds, notes)


def _others() -> dict[str, Command]:
    """Other clients, by name; what they need is installed."""
    python, javascript = interpreter("bench-pusher"), installed(ROOT / "tests" / "official" / "pusher")
    return {
        "pysher": [python, PEERS / "pysher_client.py"],
        "asyncpusher": [python, PEERS / "asyncpusher_client.py"],
        "pusher-js": [NODE, PEERS / "pusher_js.mjs", javascript],
    }


def _sending(*arguments: str) -> dict[str, float]:
    return told([sys.executable, "-m", f"{MODULE}.sending", *arguments])
