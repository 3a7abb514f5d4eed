"""Clients in processes of their own, and the messages that a server writes to them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

PEERS: Final = Path(__file__).parent / "peers"
"""Programs on clients of others; each says what `peers/counting.py` says."""
CHUNK: Final = 640
"""Messages that a client has before it: together less than the sockets' buffers hold."""
PATIENCE: Final = 120.0
"""Seconds after which a client that says nothing counts as stuck."""
REST: Final = 0.02
"""Seconds in which a client may do what remains once it has said so: its handler has to end, or it counts as stuck."""

EVERY: Final = 0.02
"""Seconds between two messages, so that there is one as soon as a client hears."""

Command = Sequence[str | Path]


class Publishes(Protocol):
    """Has messages for a channel."""

    def publish(self, start: int, count: int) -> None:
        """Publish so many messages, in order; the server has written them to its clients when it returns."""


def own(module: str, *names: str) -> dict[str, Command]:
    """Return the commands that run the clients of a module of ours, by name."""
    return {name: [sys.executable, "-m", module, name] for name in names}


def told(command: Command) -> dict[str, float]:
    """Run a program to its end, and return what it says in JSON."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE)
    found: dict[str, float] = json.loads(done.stdout)
    return found


class Process:
    """A client in a process of its own; a context manager, ready when it begins.

    Args:
        command: Runs it.
    """

    def __init__(self, command: Command) -> None:
        self._running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def line(self) -> str:
        """Wait for what it says next."""
        assert self._running.stdout is not None
        late = threading.Timer(PATIENCE, self._running.kill)
        late.start()
        found = self._running.stdout.readline().strip()
        late.cancel()
        assert found, f"{self._running.args!r} ended, or said nothing for {PATIENCE:g} s"
        return found

    def hold(self, *, still: bool) -> None:
        """Stop it where it is, or let it go on."""
        os.kill(self._running.pid, signal.SIGSTOP if still else signal.SIGCONT)

    def __enter__(self) -> Self:
        while self.line() != "ready":
            pass  # attempts to connect
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.kill()
        self._running.wait()
        assert self._running.stdout is not None
        self._running.stdout.close()


def received(feed: Publishes, command: Command, count: int, chunk: int = CHUNK) -> dict[str, float]:
    """Return the processor time in µs that a client takes a message.

    It stands still while the server writes a chunk to it, so that it never waits for the server.
    """
    with Process(command) as client:
        for start in range(0, count, chunk):
            client.hold(still=True)
            feed.publish(start, chunk)
            client.hold(still=False)
            said = client.line()
            assert said == str(start + chunk), said
            time.sleep(REST)
        return {"µs": float(client.line())}


def first_message(client: Process, began: float, publish: Callable[[], None]) -> dict[str, float]:
    """Return the seconds from a moment to the first message that a client handles.

    And how many of them pass before the attempt to connect begins that succeeds; all of them, where the
    client does not tell its attempts.

    Args:
        client: Counts nothing, so that it tells moments.
        began: By `time.monotonic()`.
        publish: Says something; called again and again, on a thread of its own.
    """
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(EVERY):
            publish()

    publishing = threading.Thread(target=go_on, name="publishing")
    publishing.start()
    try:
        tried = began
        while True:
            what, _, moment = client.line().partition(" ")
            if what == "message":
                return {"s": float(moment) - began, "waited": max(0.0, tried - began)}
            if what == "connecting":
                tried = float(moment)
    finally:
        over.set()
        publishing.join()
