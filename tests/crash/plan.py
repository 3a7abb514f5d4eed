"""What one life is to do, and the trail that it leaves: both outlive it."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Literal, Self


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One life of one process.

    Args:
        life: `speak`: the story of `lives.py`; `orphan`: queue messages that cannot be sent, and wait to be
            killed; `founder`: fill the log, and read it; `survivor`: come back and bring all to an end.
        folder: Where store and log lie.
        store: Name of the store in it; `/` at the end: a directory.
        trail: Where to say what happened, in the folder.
        seed: Of all chance in this life.
        since: See `FastClock`.
        point: Where to die; empty: nowhere.
        nth: At which time that it is reached, from 1.
        disk: `plain`; `volatile`: what is not synced is lost with the process, as at a power cut; `torn`:
            likewise, but half of it may be there all the same, in part or whole.
        durability: Of the store.
        bugs: What to break on purpose.
        amount: How many messages an orphan queues, or a founder lets be said in `random`.
        small: Reads of the log are small, so that little is much.
        cursor: Where the survivor goes on reading; empty: from the start.
        done: The id of the last message that was told before that cursor.
        keyed: The wishes that the survivor repeats, as (channel, key, text).
    """

    life: Literal["speak", "orphan", "founder", "survivor"]
    folder: str
    store: str
    trail: str
    seed: int
    since: float
    point: str = ""
    nth: int = 1
    disk: Literal["plain", "volatile", "torn"] = "plain"
    durability: Literal["process", "power"] = "process"
    bugs: tuple[str, ...] = ()
    amount: int = 0
    small: bool = False
    cursor: str = ""
    done: str = ""
    keyed: tuple[tuple[str, str, str], ...] = ()

    @property
    def path(self) -> Path:
        return Path(self.folder)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        found = json.loads(text)
        keyed = tuple(tuple(wish) for wish in found.pop("keyed"))
        return cls(**{**found, "bugs": tuple(found["bugs"]), "keyed": keyed})


class Trail:
    """What a life says of itself: one JSON object a line, there as soon as `say` returns."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def say(self, what: str, **fields: Any) -> None:
        os.write(self._file, json.dumps({"what": what, **fields}).encode() + b"\n")


def told(path: Path) -> list[dict[str, Any]]:
    """What a life said; a last line that is torn was never said."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


class Killer:
    """An `Observer` that ends the process by SIGKILL at one point, and counts all others."""

    def __init__(self, point: str, nth: int) -> None:
        self._point = point
        self._left = nth
        self._lock = Lock()
        self.counts: dict[str, int] = {}

    def point(self, name: str, /, **fields: str | float | None) -> None:
        with self._lock:  # points come from the threads of store and log, too
            self.counts[name] = self.counts.get(name, 0) + 1
            if name == self._point:
                self._left -= 1
                if self._left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
