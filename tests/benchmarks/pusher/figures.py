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
from typing import Final

from tests.benchmarks.beside import Target, came_back, drains, measured, spent
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
    found = measured(
        rounds,
        {
            name: partial(received, feed, [*command, str(server.port), NAME, str(count), str(CHUNK)], count)
            for name, command in commands.items()
        },
    )
    return spent(
        "pusher: frame to handler",
        "µs CPU a message",
        found,
        Target(LIMIT, HELD),
        rounds=rounds,
        other="pysher",
        below=Target(1.0),
        notes={"messages": count},
    )


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
    return drains("pusher", batches, singly, FASTER, rounds=rounds, notes={"messages": count})


def _restart(server: Soketi, rounds: int) -> Figure:
    # pysher signs nothing when it comes back: it is given a public channel.
    commands = own(f"{MODULE}.clients", "back") | _others()
    sides: dict[str, Callable[[], Mapping[str, float]]] = {}
    for name, command in commands.items():
        channel = PUBLIC if name == "pysher" else NAME
        line = [*command, str(server.port), channel, "0", str(CHUNK)]
        sides[name] = partial(back, server, line, channel)
    found = measured(rounds, sides)
    return came_back("pusher: restart to message, pusher-js", found, "pusher-js", rounds=rounds)


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
