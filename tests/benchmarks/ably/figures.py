"""Ably on the emulator: chatkit beside bare `websockets` and Ably's own clients, in one run.

- Receiving: processor time of a process of its own. Every client hears a channel in which a publisher says real
  envelopes, each a publish of its own, and parses what came.
- Publishing: processor time likewise, one message at a time, each acknowledged; and what was queued offline going
  out, ten a publish, one a publish, and with `order="pipelined"`.
- A cut: all transports are killed under a client.

The rates that Ably sets are off, at the emulator and in the adapter. `quick` leaves out Ably's own clients and the
cut, which take their packages and their time.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from tests.benchmarks.ably.server import Feed, Server
from tests.benchmarks.beside import Found, Target, came_back, drains, measured, spent
from tests.benchmarks.corpus import CHANNEL, outgoing
from tests.benchmarks.measure import Figure, interleave, middle, paired
from tests.benchmarks.peers.counting import Spending
from tests.benchmarks.processes import CHUNK, PEERS, Command, Process, first_message, own, received, told
from tests.official.ably.clients import PINS
from tests.official.environments import interpreter
from tests.official.node import NODE, ROOT, installed

LIMIT, BELOW = 2.5, 1.0
"""Times the bare loop's processor time, and that of Ably's client for Python: the targets, of a message that is
received and of one that is published.
"""
HELD_RECEIVED, HELD_PUBLISHED = (5.5, 1.5), (7.0, 4.0)
"""What is reached so far of the two."""
FASTER: Final = 4.0
"""Times as fast in batches as singly."""
MODULE: Final = "tests.benchmarks.ably"
PYTHON, JAVASCRIPT = "ably (Python)", "ably (npm)"

Hearing = Callable[[str, int], Command]
"""Makes the command of a client that hears, for a namespace and so many messages."""


def run(*, quick: bool) -> list[Figure]:
    """Measure."""
    with tempfile.TemporaryDirectory() as folder, Server() as server:
        bench = _Bench(server, Path(folder), others={} if quick else _others())
        found = [
            *bench.receiving(3 if quick else 25, 1 if quick else 7),
            *bench.publishing(100 if quick else 1_000, 1 if quick else 7),
            bench.draining(500 if quick else 1_000, 1 if quick else 5),
        ]
        return found if quick else [*found, bench.cut(9)]


class _Bench:
    """What all figures share.

    Args:
        server: Where all of it takes place.
        folder: For stores, and for what others send.
        others: The commands of Ably's own clients.
    """

    def __init__(self, server: Server, folder: Path, others: Mapping[str, Command]) -> None:
        self._server = server
        self._port = str(server.port)
        self._folder = folder
        self._others = others
        self._numbers = count(1)

    def receiving(self, chunks: int, rounds: int) -> list[Figure]:
        number = chunks * CHUNK
        clients = self._hearing("bare", "chat", *(["session"] if self._others else []))

        def hear(client: Hearing) -> Mapping[str, float]:
            namespace = self._namespace()
            return received(
                Feed(self._server.port, number, f"{namespace}:{CHANNEL}"), client(namespace, number), number
            )

        found = measured(rounds, {name: partial(hear, client) for name, client in clients.items()})
        notes: dict[str, float] = {"messages": number}
        return _figures("received", "frame to handler", found, HELD_RECEIVED, rounds, notes)

    def publishing(self, number: int, rounds: int) -> list[Figure]:
        said = self._folder / "said.json"
        texts = [one.data.decode() for one in outgoing(Spending.WARM + number)]
        said.write_text(json.dumps(texts), encoding="utf-8")
        commands: dict[str, Command] = {
            name: [*command, self._port, str(number)]
            for name, command in own(f"{MODULE}.sending", "bare", "chat").items()
        }
        for name, command in self._others.items():
            commands[name] = [*command, "send", self._port, CHANNEL, said]
        found = measured(rounds, {name: partial(told, command) for name, command in commands.items()})
        self._at_once = {
            f"all at once, {name}, /s": middle(each, "/s") for name, each in found.items() if name != "chat"
        }
        batched = [{"µs": one["batched, µs"]} for one in found["chat"]]
        notes = {
            "in batches, µs": middle(batched, "µs"),
            "in batches beside bare": paired(batched, found["bare"], "µs"),
            "messages": number,
        }
        return _figures("published", "send to ACK", found, HELD_PUBLISHED, rounds, notes)

    def draining(self, number: int, rounds: int) -> Figure:
        def speed(batch: int, order: str) -> Mapping[str, float]:
            store = str(self._folder / f"{next(self._numbers)}.db")
            arguments = ["drain", self._port, str(number), store, str(batch), order]
            return told([sys.executable, "-m", f"{MODULE}.sending", *arguments])

        batches, singly, pipelined = interleave(
            rounds,
            lambda: speed(10, "strict"),
            lambda: speed(1, "strict"),
            lambda: speed(10, "pipelined"),
        )
        notes = {
            'order="pipelined", /s': middle(pipelined, "/s"),
            "pipelined beside singly": paired(pipelined, singly, "/s"),
            **self._at_once,
            "messages": number,
        }
        return drains("ably", batches, singly, FASTER, rounds=rounds, notes=notes)

    def cut(self, rounds: int) -> Figure:
        clients = self._hearing("bare", "back")

        def back(client: Hearing) -> Mapping[str, float]:
            namespace = self._namespace()
            feed = Feed(self._server.port, 1_000, f"{namespace}:{CHANNEL}")
            numbers = count()
            with Process(client(namespace, 0)) as process:
                began = time.monotonic()
                self._server.cut()
                return first_message(process, began, lambda: feed.publish(next(numbers), 1))

        found = measured(rounds, {name: partial(back, client) for name, client in clients.items()})
        return came_back("ably: killed transport to message", found, "bare", rounds=rounds)

    # -- inside

    def _namespace(self) -> str:
        """One for each run: a client that is new knows what it was told in a channel, too, out of history."""
        return f"run{next(self._numbers)}"

    def _hearing(self, *names: str) -> dict[str, Hearing]:
        """What makes the commands of clients that hear, by namespace and messages."""

        def ours(command: Command, namespace: str, number: int) -> Command:
            return [*command, self._port, namespace, str(number), str(CHUNK)]

        def theirs(command: Command, namespace: str, number: int) -> Command:
            return [*command, "hear", self._port, f"{namespace}:{CHANNEL}", str(number), str(CHUNK)]

        made: dict[str, Hearing] = {
            name: partial(ours, command) for name, command in own(f"{MODULE}.clients", *names).items()
        }
        return made | {name: partial(theirs, command) for name, command in self._others.items()}


def _figures(
    what: str, way: str, found: Found, held: tuple[float, float], rounds: int, notes: dict[str, float]
) -> list[Figure]:
    """One beside the bare loop, and one beside Ably's client for Python where that ran."""
    return spent(
        f"ably: {way}",
        f"µs CPU a {what} message",
        found,
        Target(LIMIT, held[0]),
        rounds=rounds,
        other=PYTHON,
        below=Target(BELOW, held[1]),
        notes=notes,
    )


def _others() -> dict[str, Command]:
    """Ably's own clients, by name; what they need is installed."""
    javascript = installed(ROOT / "tests" / "official" / "ably" / "javascript")
    return {
        PYTHON: [interpreter(PINS), PEERS / "ably_client.py"],
        JAVASCRIPT: [NODE, PEERS / "ably_js.mjs", javascript],
    }
