"""A process that begets others: each life is a process of its own, without starting Python for each.

It has one thread and holds nothing: a fork of it is like a fresh process that has imported chatkit.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Coroutine
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Final, Self

from tests.crash import fasttime
from tests.crash.plan import Plan

ALIVE: Final = "alive"
ROOT: Final = Path(__file__).parents[2]
LONGEST: Final = 100
"""Seconds after which a life that hangs is ended, by a signal of its own."""


class Nursery:
    """Starts lives, and says how they ended; from several threads, too."""

    def __enter__(self) -> Self:
        self._lock = Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from tests.crash.nursery import serve; serve()"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def start(self, plan: Plan) -> int:
        """Begin a life; returns its process id."""
        return int(self._ask("start", plan.to_json()))

    def end(self, pid: int) -> int:
        """Wait for a life to end; returns its exit code, that of a signal negative."""
        while (code := self._ask("end", pid)) == ALIVE:
            time.sleep(0.05)
        return int(code)

    def run(self, plan: Plan) -> int:
        """Let a life come to its end; returns its exit code."""
        return self.end(self.start(plan))

    def _ask(self, *words: Any) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(words) + "\n")
            self._process.stdin.flush()
            return self._process.stdout.readline().strip()


def serve() -> None:
    """Beget lives until nobody asks for more."""
    from tests.crash import lives  # noqa: F401  # imported once, for all of them

    for line in sys.stdin:
        word, given = json.loads(line)
        if word == "start":
            pid = os.fork()
            if pid == 0:
                _live(Plan.from_json(given))
            answer = str(pid)
        else:
            ended, status = os.waitpid(given, os.WNOHANG)
            answer = str(os.waitstatus_to_exitcode(status)) if ended else ALIVE
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _live(plan: Plan) -> None:
    from tests.crash.lives import live

    async def to_the_end(life: Coroutine[Any, Any, None]) -> None:
        try:
            await life
        except BaseException:  # noqa: BLE001  # whoever fails ends here: what it left running is not waited for
            _die()

    signal.alarm(LONGEST)
    try:
        clock, life = live(plan)
        fasttime.run(to_the_end(life), clock)
    except BaseException:  # noqa: BLE001  # likewise
        _die()
    os._exit(0)


def _die() -> None:
    traceback.print_exc()
    sys.stderr.flush()
    os._exit(1)
