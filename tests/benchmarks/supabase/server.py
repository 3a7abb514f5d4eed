"""A project on the emulator in a process of its own, without rates: `python -m tests.benchmarks.supabase.server`.

With the path of PostgREST as its argument that serves `/rest/v1`, else the emulator's small equivalent does.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from http.client import HTTPConnection
from types import TracebackType
from typing import Any, Final, Protocol, Self

import psycopg
from websockets.sync.client import connect

from chatkit.logs.postgres import migrate_supabase
from chatkit.model.names import wire_name
from chatkit.testing.emulators.serving import serve
from chatkit.testing.emulators.supabase import SupabaseEmulator, SupabaseSettings
from tests.benchmarks.corpus import outgoing

MANY: Final = 100_000_000
SAID: Final = {"Content-Type": "application/json"}
CALL: Final = 64
"""Broadcasts in one call, appends in one transaction."""
JOIN: Final = "1"


class Server:
    """The emulator on a PostgreSQL of its own, with chatkit's schema; a context manager.

    Args:
        postgrest: Path of PostgREST; "": the small equivalent.
    """

    def __init__(self, postgrest: str = "") -> None:
        self._command = [sys.executable, "-m", "tests.benchmarks.supabase.server", postgrest]

    def __enter__(self) -> Self:
        self._running = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        try:
            told = self._told()
            self.port = int(told["ready"].rpartition(":")[2])
            self.key, self.database = told["service_role"], told["database"]
            migrate_supabase(self.database)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _told(self) -> dict[str, str]:
        """Return what it says of itself once it serves."""
        assert self._running.stdout is not None
        told: dict[str, str] = {}
        while "database" not in told:
            line = self._running.stdout.readline()
            assert line, "the server ended before it served"
            what, _, value = line.strip().partition(" ")
            told[what] = value
        return told

    def _end(self) -> None:
        self._running.terminate()
        self._running.wait()
        assert self._running.stdout is not None
        self._running.stdout.close()

    def cut(self) -> None:
        """End all connections without a goodbye."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("POST", "/_emulator/supabase/abort", "{}", SAID)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        assert answer["struck"] > 0, answer


def topic(mode: str, channel: str) -> str:
    """Return where the messages of a channel are heard, as the client libraries call it."""
    return f"{'chatkit' if mode == 'database' else 'chatkit-live'}:{wire_name(channel)}"


def join(mode: str, channel: str) -> str:
    """Return the frame that joins it."""
    database = mode == "database"
    config: dict[str, Any] = {"private": database, "broadcast": {"replication_ready": database}}
    return json.dumps([JOIN, JOIN, f"realtime:{topic(mode, channel)}", "phx_join", {"config": config}])


def address(port: int, key: str) -> str:
    """Return where a socket connects."""
    return f"ws://127.0.0.1:{port}/realtime/v1/websocket?apikey={key}&vsn=2.0.0"


class Broadcasts:
    """Publishes real messages by HTTP, each as a broadcast of its own.

    Args:
        server: Where.
        count: How many messages there are.
        channel: Where they belong.
    """

    def __init__(self, server: Server, count: int, channel: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
        self._headers = {**SAID, "apikey": server.key}
        where = topic("broadcast", channel)
        self._messages = [
            json.dumps({"topic": where, "event": "chatkit", "payload": {"data": one.data.decode()}})
            for one in outgoing(count, channel)
        ]

    def publish(self, start: int, count: int) -> None:
        """Publish so many messages, in order; the server has them on their way when it returns."""
        for at in range(start, start + count, CALL):
            said = ",".join(self._messages[at : min(at + CALL, start + count)])
            body = f'{{"messages":[{said}]}}'.encode()
            self._connection.request("POST", "/realtime/v1/api/broadcast", body, self._headers)
            response = self._connection.getresponse()
            answer = response.read()
            assert response.status == 202, answer

    say = publish

    def close(self) -> None:
        """Let go of what it is connected to."""
        self._connection.close()


class Appends:
    """Appends real messages to the log, each of which is announced by a broadcast of its own.

    Args:
        server: Where.
        count: How many messages there are.
        channel: Where they belong.
    """

    def __init__(self, server: Server, count: int, channel: str) -> None:
        self._channel = channel
        self._rows = [
            json.dumps(
                [
                    {
                        "user": one.ident.user,
                        "id": one.ident.id,
                        "device": one.device,
                        "seq": one.seq,
                        "not_after": None,
                        "data": one.data.decode(),
                    }
                ]
            )
            for one in outgoing(count, channel)
        ]
        self._database = psycopg.connect(server.database)
        self._witness = connect(address(server.port, server.key), compression=None, proxy=None)
        self._witness.send(join("database", channel))
        while b"Replication connection established" not in self._heard():
            pass

    def say(self, start: int, count: int) -> None:
        """Append so many messages, in order; who listens is told soon."""
        for at in range(start, start + count, CALL):
            with self._database.transaction():
                for row in self._rows[at : min(at + CALL, start + count)]:
                    self._database.execute("SELECT chatkit.append(%s, %s::json)", (self._channel, row))

    def publish(self, start: int, count: int) -> None:
        """Append so many messages, in order; who listens has been written to when it returns."""
        self.say(start, count)
        told = 0
        while told < count:
            told += b"entries" in self._heard()

    def close(self) -> None:
        """Let go of what it is connected to."""
        self._witness.close()
        self._database.close()

    def _heard(self) -> bytes:
        frame = self._witness.recv(timeout=20)
        return frame.encode() if isinstance(frame, str) else frame


class Feed(Protocol):
    """Has messages for a channel."""

    def publish(self, start: int, count: int) -> None:
        """Publish so many messages, in order; the server has written them to its clients when it returns."""

    def say(self, start: int, count: int) -> None:
        """Publish them, and wait for nobody who hears them."""

    def close(self) -> None:
        """Let go of what it is connected to."""


FEEDS: Final[dict[str, Callable[[Server, int, str], Feed]]] = {"broadcast": Broadcasts, "database": Appends}
"""By mode."""


if __name__ == "__main__":
    settings = SupabaseSettings(
        connections=MANY,
        events_per_second=MANY,
        joins_per_second=MANY,
        presence_events_per_second=MANY,
        replication_start=0.0,
        replication_poll=0.01,
    )
    asyncio.run(serve(SupabaseEmulator(settings, postgrest=sys.argv[1] or None)))
