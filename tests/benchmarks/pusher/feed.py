"""Messages that go out over the HTTP API of Pusher."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Final

from tests.benchmarks.corpus import CHANNEL, outgoing
from tests.benchmarks.pusher.clients import SIGNER

NAME: Final = f"presence-{CHANNEL}"
BATCH: Final = 10
"""Events that the API takes at once."""


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
