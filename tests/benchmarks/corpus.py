"""Real messages as they travel: the conversations of `tests/data` as envelopes, numbered by a log."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

from chatkit.core.hlc import HybridClock
from chatkit.logs.core import LogCore
from chatkit.model.envelope import Envelope
from chatkit.model.ids import new_device, new_message_id
from chatkit.model.order import Ident, OrderKey
from chatkit.model.values import format_time
from chatkit.ports import Entry, Outgoing, Stamp

CHANNEL: Final = "ubuntu"
BEGAN: Final = datetime(2026, 1, 1, tzinfo=UTC)
_FILE: Final = Path(__file__).parents[1] / "data" / "ubuntu-irc.jsonl.gz"


class SlowClock:
    """A clock of the past that a message moves by 10 ms."""

    def __init__(self) -> None:
        self._now = BEGAN

    def monotonic(self) -> float:
        """Seconds since the first message."""
        return (self._now - BEGAN).total_seconds()

    def wall(self) -> datetime:
        """The time of the next message."""
        self._now += timedelta(milliseconds=10)
        return self._now


def new_log() -> LogCore:
    """Return an empty log; all that are made so have one and the same id."""
    return LogCore(SlowClock(), random.Random(1), keep=1_000_000)


def spoken() -> Iterator[tuple[str, str]]:
    """Give user and text of all that was said, in order."""
    with gzip.open(_FILE, "rt", encoding="utf-8") as lines:
        for line in lines:
            found: dict[str, Any] = json.loads(line)
            if found["kind"] in {"message", "action"} and found["text"].strip():
                yield found["user"], found["text"]


def outgoing(count: int, channel: str = CHANNEL) -> Iterator[Outgoing]:
    """Give so many envelopes as clients send them: one device a user, lanes numbered, clocks read."""
    chance = random.Random(2)
    clock = HybridClock()
    devices: dict[str, str] = {}
    last: dict[str, int] = {}
    for number, (user, text) in enumerate(islice(cycle(spoken()), count)):
        now = BEGAN + timedelta(milliseconds=10 * number)
        now_ms = int(now.timestamp() * 1000)
        device = devices.setdefault(user, new_device(chance))
        seq = last[user] = last.get(user, 0) + 1
        id = new_message_id(now_ms, chance)
        fields = {
            "v": 1,
            "min": 1,
            "id": id,
            "kind": "message.create",
            "channel": channel,
            "sender": {"user": user, "device": device},
            "seq": seq,
            "pred": seq - 1,
            "hlc": clock.tick(now_ms),
            "at": format_time(now),
            "body": {"type": "text", "text": text},
        }
        yield Outgoing(Ident(user, id), device, seq, _packed(fields), None)


def _packed(fields: dict[str, Any]) -> bytes:
    """Return what `Envelope.encode` would write, without its checks: 100,000 take long enough."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def entries(count: int) -> list[Entry]:
    """Return so many log entries: envelopes with the stamps that `new_log` would give them."""
    log_id = new_log().log_id
    found: list[Entry] = []
    prev = ""
    for number, one in enumerate(outgoing(count), 1):
        serial = f"{number:020}"
        at = BEGAN + timedelta(milliseconds=10 * number)
        stamp = Stamp(OrderKey(1, serial), prev, log_id, one.ident.user, at)
        found.append(Entry(one.data, stamp))
        prev = serial
    assert Envelope.parse(found[-1].data).encode() == found[-1].data
    return found
