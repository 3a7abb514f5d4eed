"""Supabase on the emulator: chatkit beside bare `websockets` and Supabase's own clients, in one run.

- Receiving: processor time of a process of its own. Every client hears a topic in which each real envelope is a
  broadcast of its own, in `broadcast` mode said over HTTP, in `database` mode announced by the database as it takes
  the message in, and parses what came.
- Draining: what was queued offline is appended to the log, a hundred a call and one a call.
- A cut: all connections are ended under a client.

The limits of the project are off. `quick` leaves out Supabase's own clients and the cut, and calls the emulator's
small equivalent in place of PostgREST.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from tests.benchmarks.beside import Target, came_back, drains, measured, spent
from tests.benchmarks.measure import Figure, interleave
from tests.benchmarks.processes import CHUNK, PEERS, Command, Process, first_message, own, received, told
from tests.benchmarks.supabase.server import FEEDS, Server, topic
from tests.official.environments import interpreter
from tests.official.node import NODE, installed
from tests.official.supabase.clients import HERE, PINS
from tests.official.supabase.served import postgrest

CHUNKS: Final = {"broadcast": CHUNK, "database": CHUNK // 2}
"""Messages that a client has before it, by mode; those of a database are appended one by one, which takes its time."""
LIMIT, BELOW = Target(2.5, held=5.0), Target(1.0)
"""Times the bare loop's processor time a received broadcast, and that of Supabase's client for Python."""
FASTER: Final = 10.0
"""Times as fast in batches as singly."""
BATCH: Final = 100
MODULE: Final = "tests.benchmarks.supabase"
PYTHON, JAVASCRIPT = "realtime (Python)", "realtime-js"

Hearing = Callable[[str, int], Command]
"""Makes the command of a client that hears, for a channel and so many messages."""


def run(*, quick: bool) -> list[Figure]:
    """Measure."""
    with tempfile.TemporaryDirectory() as folder, Server("" if quick else postgrest()) as server:
        bench = _Bench(server, Path(folder), others={} if quick else _others())
        found = [
            *bench.receiving("broadcast", 2 if quick else 12, 1 if quick else 7),
            *bench.receiving("database", 2 if quick else 12, 1 if quick else 5),
            bench.draining(200 if quick else 1_000, 1 if quick else 5),
        ]
        return found if quick else [*found, *(bench.cut(mode, 9) for mode in CHUNKS)]


class _Bench:
    """What all figures share.

    Args:
        server: Where all of it takes place.
        folder: For stores.
        others: The commands of Supabase's own clients.
    """

    def __init__(self, server: Server, folder: Path, others: Mapping[str, Command]) -> None:
        self._server = server
        self._folder = folder
        self._others = others
        self._numbers = count(1)

    def receiving(self, mode: str, chunks: int, rounds: int) -> list[Figure]:
        number = chunks * CHUNKS[mode]
        clients = self._hearing(mode, "bare", "chat", *(["session"] if self._others else []))

        def hear(client: Hearing) -> Mapping[str, float]:
            channel = self._channel()
            with closing(FEEDS[mode](self._server, number, channel)) as feed:
                return received(feed, client(channel, number), number, CHUNKS[mode])

        return spent(
            f"supabase, {mode}: frame to handler",
            "µs CPU a message",
            measured(rounds, {name: partial(hear, client) for name, client in clients.items()}),
            LIMIT,
            rounds=rounds,
            other=PYTHON,
            below=BELOW,
            notes={"messages": number},
        )

    def draining(self, number: int, rounds: int) -> Figure:
        def speed(batch: int) -> Mapping[str, float]:
            store = str(self._folder / f"{next(self._numbers)}.db")
            arguments = [str(self._server.port), self._server.key, str(number), store, str(batch)]
            return told([sys.executable, "-m", f"{MODULE}.sending", *arguments])

        batches, singly = interleave(rounds, lambda: speed(BATCH), lambda: speed(1))
        notes = {"messages": number}
        return drains("supabase", batches, singly, FASTER, rounds=rounds, notes=notes)

    def cut(self, mode: str, rounds: int) -> Figure:
        clients = self._hearing(mode, "bare", "back")

        def back(client: Hearing) -> Mapping[str, float]:
            channel, numbers = self._channel(), count()
            with (
                closing(FEEDS[mode](self._server, 1_000, channel)) as feed,
                Process(client(channel, 0)) as process,
            ):
                began = time.monotonic()
                self._server.cut()
                return first_message(process, began, lambda: feed.say(next(numbers), 1))

        found = measured(rounds, {name: partial(back, client) for name, client in clients.items()})
        return came_back(f"supabase, {mode}: cut connection to message", found, "bare", rounds=rounds)

    # -- inside

    def _channel(self) -> str:
        """One for each run: what was said in it before would be read from the log."""
        return f"run-{next(self._numbers)}"

    def _hearing(self, mode: str, *names: str) -> dict[str, Hearing]:
        """What makes the commands of clients that hear, by channel and messages."""
        port, key = self._server.port, self._server.key

        def ours(command: Command, channel: str, number: int) -> Command:
            return [*command, str(port), key, mode, channel, str(number), str(CHUNKS[mode])]

        def theirs(command: Command, channel: str, number: int) -> Command:
            where = topic(mode, channel)
            return [*command, f"http://127.0.0.1:{port}", key, mode, where, str(number), str(CHUNKS[mode])]

        made: dict[str, Hearing] = {
            name: partial(ours, command) for name, command in own(f"{MODULE}.clients", *names).items()
        }
        return made | {name: partial(theirs, command) for name, command in self._others.items()}


def _others() -> dict[str, Command]:
    """Supabase's own clients, by name; what they need is installed."""
    return {
        PYTHON: [interpreter(PINS), PEERS / "realtime_client.py"],
        JAVASCRIPT: [NODE, PEERS / "realtime_js.mjs", installed(HERE / "javascript")],
    }
