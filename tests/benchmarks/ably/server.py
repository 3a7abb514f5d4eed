"""The emulator in a process of its own, without rates: `python -m tests.benchmarks.ably.server`."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from base64 import b64encode
from http.client import HTTPConnection
from types import TracebackType
from typing import Final, Self

from chatkit.testing.emulators.ably import AblyEmulator, Settings
from chatkit.testing.emulators.serving import serve
from tests.benchmarks.corpus import outgoing

CREDENTIAL: Final = "app.key:secret"
CALL: Final = 64
"""Publishes in one call of the batch API, each of one message."""
SAID: Final = {"Content-Type": "application/json"}


class Server:
    """The emulator; a context manager."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.benchmarks.ably.server"]
        self._running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._running.stdout is not None
        self.port = int(self._running.stdout.readline().rpartition(":")[2])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.terminate()
        self._running.wait()
        assert self._running.stdout is not None
        self._running.stdout.close()

    def cut(self) -> None:
        """End all transports without a goodbye; their connections can be resumed."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("POST", "/_emulator/ably/abort", "{}", SAID)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        assert answer["struck"] > 0, answer


class Feed:
    """Publishes real messages by the batch API, each as a publish of its own.

    Args:
        port: Of the server.
        count: How many messages there are.
        name: The channel at Ably.
    """

    def __init__(self, port: int, count: int, name: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=20)
        self._headers = {**SAID, "Authorization": f"Basic {b64encode(CREDENTIAL.encode()).decode()}"}
        self._publishes = [
            json.dumps(
                {
                    "channels": name,
                    "messages": {
                        "name": "chatkit",
                        "data": one.data.decode(),
                        "clientId": one.ident.user,
                    },
                }
            )
            for one in outgoing(count)
        ]

    def publish(self, start: int, count: int) -> None:
        """Publish so many messages, in order; the server has written them to its clients when it returns."""
        for at in range(start, start + count, CALL):
            body = f"[{','.join(self._publishes[at : min(at + CALL, start + count)])}]"
            self._connection.request("POST", "/messages", body.encode(), self._headers)
            response = self._connection.getresponse()
            answer = response.read()
            assert response.status == 201, answer


if __name__ == "__main__":
    asyncio.run(serve(AblyEmulator(Settings(keys=(CREDENTIAL,), connection_rate=0, channel_rate=0))))
