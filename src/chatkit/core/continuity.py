"""The catch-up mark of a channel: up to where everything is applied (D17).

`complete` moves by a frame from an unforgeable path that names its predecessor, or to the head that a log
read returned. Where frames name none (Ably) it follows them some seconds behind, while the provider vouches
for continuity. Numbers are looked up, never waited for.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Final

from chatkit.model.order import OrderKey

MARGIN: Final = 30.0
"""Seconds within which a provider without predecessors may still bring a lower serial after a higher one."""
AHEAD: Final = 1_000
"""Most frames remembered above the mark; beyond it the log is read anyway."""


class Verdict(Enum):
    """What a numbered frame is."""

    KNOWN = "known"
    NEXT = "next"
    AHEAD = "ahead"


class Continuity:
    """The mark of one channel in one epoch.

    Args:
        complete: Where it stands, `None` before the first attach or read.
        contiguous: Frames name their predecessor.
    """

    def __init__(self, complete: OrderKey | None = None, *, contiguous: bool) -> None:
        self.complete = complete
        self.contiguous = contiguous
        self._ahead: dict[str, str] = {}
        self._recent: deque[tuple[float, OrderKey]] = deque()

    @property
    def open(self) -> bool:
        """Whether something was seen above the mark that does not follow it: there is a range to read."""
        return bool(self._ahead)

    def receive(self, key: OrderKey, prev: str | None, now: float) -> Verdict:
        """Take note of a frame from an unforgeable path.

        Args:
            key: Its place.
            prev: The serial before it; `None` where the path does not say.
            now: Monotonic seconds.
        """
        if self.complete is not None and key <= self.complete:
            return Verdict.KNOWN
        if not self.contiguous:
            self._recent.append((now, key))
            self.follow(now)
            return Verdict.NEXT
        if prev is None or self.complete is None:
            return Verdict.AHEAD
        if OrderKey(key.epoch, prev) <= self.complete:
            self._advance(key)
            return Verdict.NEXT
        if len(self._ahead) < AHEAD:
            self._ahead[prev] = key.serial
        return Verdict.AHEAD

    def follow(self, now: float) -> None:
        """Let the mark follow frames without predecessors, `MARGIN` seconds behind."""
        while self._recent and self._recent[0][0] <= now - MARGIN:
            key = self._recent.popleft()[1]
            if self.complete is None or key > self.complete:
                self.complete = key

    def read(self, head: OrderKey) -> None:
        """Take note that the log was read up to `head`."""
        self._recent.clear()
        if self.complete is None or head > self.complete:
            self._advance(head)
        self._ahead = {p: s for p, s in self._ahead.items() if s > head.serial}

    def broken(self) -> None:
        """Continuity can no longer be vouched for: the mark stays until the log was read."""
        self._recent.clear()
        self._ahead.clear()

    def reset(self) -> None:
        """Forget the mark: another log stands behind the channel (D18)."""
        self.broken()
        self.complete = None

    def _advance(self, key: OrderKey) -> None:
        serial = key.serial
        while serial in self._ahead:
            serial = self._ahead.pop(serial)
        self.complete = OrderKey(key.epoch, serial)
