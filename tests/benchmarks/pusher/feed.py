"""Messages from a server to a client in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.benchmarks.corpus import CHANNEL, outgoing
from tests.benchmarks.pusher.clients import SIGNER

NAME: Final = f"presence-{CHANNEL}"
BATCH: Final = 10
"""Events that the API takes at once."""
CHUNK: Final = 640
"""Messages that a client has before it: together less than the sockets' buffers hold."""
PATIENCE: Final = 120.0
"""Seconds after which a client that says nothing counts as stuck."""
REST: Final = 0.02
"""Seconds in which a client may do what remains once it has said so: its handler has to end, or it counts as stuck."""

Command = Sequence[str | Path]


class Feed:
    """Publishes real messages over the HTTP API; all calls are signed beforehand, which soketi lets pass.

    Args:
        port: Of the server.
        count: How many messages there are, a multiple of `BATCH`.
        name: The channel.
    """

    def __init__(self, port: int, count: int, name: str = NAME) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=20)
        said = [one.data.decode() for one in outgoing(count)]
        events = [{"name": "chatkit", "channel": name, "data": text} for text in said]
        self._calls = [
            SIGNER.call("batch_events", {"batch": events[at : at + BATCH]}) for at in range(0, count, BATCH)
        ]

    def publish(self, start: int, count: int) -> None:
        """Publish so many messages, in order; the server has written them to its clients when it returns."""
        for call in self._calls[start // BATCH : (start + count) // BATCH]:
            self._connection.request("POST", call.path, call.body, dict(call.headers))
            answer = self._connection.getresponse().read()
            assert json.loads(answer).get("ok"), answer


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


def received(feed: Feed, command: Command, count: int) -> dict[str, float]:
    """Return the processor time in µs that a client takes a message.

    It stands still while the server writes a chunk to it, so that it never waits for the server.
    """
    with Process(command) as client:
        for start in range(0, count, CHUNK):
            client.hold(still=True)
            feed.publish(start, CHUNK)
            client.hold(still=False)
            said = client.line()
            assert said == str(start + CHUNK), said
            time.sleep(REST)
        return {"µs": float(client.line())}
