"""Official pusher-js clients, in a Node of their own that is told what to do and tells what happens."""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.official.node import NODE, installed

HERE: Final = Path(__file__).parent
Seen = dict[str, Any]


class Clients:
    """The Node process; `open` makes a client in it."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._answers: dict[int, Seen] = {}
        self._seen: dict[str, list[Seen]] = {}
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            [NODE, HERE / "driver.mjs", installed(HERE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        self._reader = threading.Thread(target=self._read, name="pusher-js", daemon=True)
        self._reader.start()

    def open(self, key: str, options: dict[str, Any], *, patience: float) -> Client:
        """Make a client, which connects."""
        client = Client(self, f"client-{next(self._numbers)}", patience)
        client.do("open", key, options)
        return client

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        assert self._process.wait(10) == 0
        self._reader.join(10)
        self._process.stdout.close()

    def ask(self, name: str, deed: str, *args: Any) -> Any:
        """Let a client do something; what it returned."""
        number = next(self._numbers)
        line = json.dumps({"id": number, "client": name, "do": deed, "with": args})
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        with self._news:
            assert self._news.wait_for(lambda: number in self._answers, 10), f"no answer to {line}"
            answer = self._answers.pop(number)
        assert "failed" not in answer, answer
        return answer["result"]

    def seen(self, name: str) -> list[Seen]:
        """All that a client has seen so far, oldest first."""
        with self._news:
            return list(self._seen.get(name, []))

    def wait(self, name: str, done: Callable[[list[Seen]], bool], seconds: float) -> bool:
        """Whether a client saw it in time."""
        with self._news:
            return self._news.wait_for(lambda: done(self._seen.get(name, [])), seconds)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            with self._news:
                if "id" in told:
                    self._answers[told["id"]] = told
                else:
                    self._seen.setdefault(told.pop("client", ""), []).append(told)
                self._news.notify_all()


class Client:
    """One pusher-js client, as a test handles it.

    Args:
        clients: The process it lives in.
        name: There.
        patience: Seconds to wait for what is to be seen.
    """

    def __init__(self, clients: Clients, name: str, patience: float) -> None:
        self._clients = clients
        self._name = name
        self._patience = patience

    def do(self, deed: str, *args: Any) -> Any:
        """One of the deeds of driver.mjs."""
        return self._clients.ask(self._name, deed, *args)

    @property
    def seen(self) -> list[Seen]:
        """All so far."""
        return self._clients.seen(self._name)

    def sees(self, count: int = 1, /, **wanted: Any) -> list[Seen]:
        """Wait until it has seen so many such things; all such things."""
        return self.sees_where(
            lambda each: all(each.get(key) == value for key, value in wanted.items()), count, str(wanted)
        )

    def sees_where(self, such: Callable[[Seen], bool], count: int, what: str) -> list[Seen]:
        """Likewise, with a condition."""

        def enough(seen: list[Seen]) -> bool:
            return sum(such(each) for each in seen) >= count

        found = self._clients.wait(self._name, enough, self._patience)
        assert found, f"not seen {count} times: {what} in {self.seen[-12:]}"
        return [each for each in self.seen if such(each)]

    def connected(self) -> Client:
        """Wait until it is."""
        self.sees(saw="state", current="connected")
        return self

    def subscribe(self, channel: str) -> Client:
        """Subscribe and wait for the confirmation."""
        before = len([each for each in self.seen if each.get("saw") == "subscribed"])
        self.do("subscribe", channel)
        self.sees(before + 1, saw="subscribed")
        return self

    def events(self, channel: str, count: int) -> list[Any]:
        """Wait until so many events of the app have come in a channel; the data of all of them."""

        def such(each: Seen) -> bool:
            is_event = each["saw"] == "event" and each["channel"] == channel
            return is_event and not each["event"].startswith("pusher")

        return [each["data"] for each in self.sees_where(such, count, f"events in {channel}")]

    def refused(self) -> Client:
        """Wait until the server refuses something, in whichever way."""
        told = {"pusher:error", "pusher:subscription_error"}
        self.sees_where(lambda each: each["saw"] == "message" and each["event"] in told, 1, "refusal")
        return self

    def subscribed(self, channel: str) -> bool:
        """Whether a subscription to it was ever confirmed, by whomever it was asked for."""
        confirmed = "pusher_internal:subscription_succeeded"
        return any(each.get("event") == confirmed and each.get("channel") == channel for each in self.seen)

    def messages(self, event: str, count: int = 1) -> list[Any]:
        """Wait until so many frames with this event have come; all of them, decoded as the client does."""
        return self.sees(count, saw="message", event=event)

    def errors(self, count: int = 1) -> list[Any]:
        """Wait for so many errors of the connection; all of them."""
        return [each["error"] for each in self.sees(count, saw="error")]
