"""From the restart of a server to the first message that a client handles again."""

from __future__ import annotations

import signal
import time

from tests.benchmarks.processes import Command, Process, first_message
from tests.benchmarks.pusher.feed import BATCH, Feed
from tests.servers.soketi.server import Soketi


def back(server: Soketi, command: Command, name: str) -> dict[str, float]:
    """Return what `first_message` does, from the moment the server accepts connections.

    Args:
        server: Is killed, and started on its port again.
        command: Runs the client.
        name: The channel that it hears.
    """
    with Process(command) as client:
        server.stop(signal.SIGKILL)
        server.start()
        began = time.monotonic()
        feed = Feed(server.port, BATCH, name)
        return first_message(client, began, lambda: feed.publish(0, BATCH))
