"""What every client in a process of its own says of itself, one line each; needs nothing but Python.

`ready` when it is subscribed. Then, told to count messages: how many it has had after each chunk, and at the
end the processor time a message since the first chunk, in µs. Told to count none: the moment of each message,
and of each attempt to connect.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable


class Counting:
    """Counts messages.

    Args:
        count: How many to expect; 0: tell the moment of each, without end.
        chunk: After how many to say so. The first chunk warms up what is to be warm.
    """

    def __init__(self, count: int, chunk: int) -> None:
        self.count = count
        self.seen = 0
        self._chunk = chunk
        self._began = 0.0
        self.on_end: Callable[[], None] = lambda: None
        """Called with the last message."""

    def one(self) -> None:
        """A message was handled."""
        self.seen += 1
        if not self.count:
            self.moment("message")
        elif self.seen % self._chunk == 0:
            if self.seen == self._chunk:
                self._began = time.process_time()
            say(str(self.seen))
            if self.seen == self.count:
                spent = time.process_time() - self._began
                say(str(spent / (self.count - self._chunk) * 1e6))
                self.on_end()

    def moment(self, what: str) -> None:
        """Something happened now; all processes of a machine share this clock."""
        if not self.count:
            say(f"{what} {time.monotonic()}")


def say(line: str) -> None:
    """Write a line, at once and from any thread."""
    os.write(1, f"{line}\n".encode())


class Spending:
    """Counts processor time a message of those that are sent one after the other.

    Args:
        count: How many count; before them some warm up what is to be warm.
    """

    WARM = 20

    def __init__(self, count: int) -> None:
        self.all = self.WARM + count
        self._count = count
        self._seen = 0
        self._began = 0.0

    def next(self) -> None:
        """The next one begins."""
        if self._seen == self.WARM:
            self._began = time.process_time()
        self._seen += 1

    def told(self) -> dict[str, float]:
        """What each took, in µs."""
        return {"µs": (time.process_time() - self._began) / self._count * 1e6}
