"""From the restart of a server to the first message that a client handles again."""

from __future__ import annotations

import signal
import threading
import time
from typing import Final

from tests.benchmarks.pusher.feed import BATCH, Command, Feed, Process
from tests.servers.soketi.server import Soketi

EVERY: Final = 0.02
"""Seconds between two messages, so that there is one as soon as a client hears."""


def back(server: Soketi, command: Command, name: str) -> dict[str, float]:
    """Return the seconds from the moment the server accepts connections to the first message handled.

    And how many of them pass before the attempt to connect begins that succeeds; all of them, where the
    client does not tell its attempts.

    Args:
        server: Is killed, and started on its port again.
        command: Runs the client.
        name: The channel that it hears.
    """
    with Process(command) as client:
        server.stop(signal.SIGKILL)
        server.start()
        began = time.monotonic()
        over = threading.Event()
        publishing = threading.Thread(target=_publish, args=(server.port, name, over), name="publishing")
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


def _publish(port: int, name: str, over: threading.Event) -> None:
    feed = Feed(port, BATCH, name)
    while not over.wait(EVERY):
        feed.publish(0, BATCH)
