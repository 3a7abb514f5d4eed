"""The catch-up mark of a channel: up to where everything is applied (D17).

`complete` moves by a frame from an unforgeable path that names its predecessor, or to the head that a log
read returned. Where frames name none (Ably) it follows them some seconds behind, while the provider vouches
for continuity. Numbers are looked up, never waited for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from enum import Enum
from math import ceil
from typing import Final

from chatkit.model.order import OrderKey

MARGIN: Final = 30.0
"""Seconds within which a provider without predecessors may still bring a lower serial after a higher one."""
AHEAD: Final = 1_000
"""Most frames remembered one by one above the mark; of those beyond it only the highest."""


class Verdict(Enum):
    """What a numbered frame is."""

    KNOWN = "known"
    """At or below what is applied for certain: a duplicate."""
    NEXT = "next"
    """To be applied, and no hole below it shows; its id tells a duplicate."""
    AHEAD = "ahead"
    """To be applied, and something below it may be missing."""


class Continuity:
    """The mark of one channel.

    Args:
        complete: Where it stands, `None` before the first attach or read.
        contiguous: Frames name their predecessor.
    """

    def __init__(self, complete: OrderKey | None = None, *, contiguous: bool) -> None:
        self.complete = complete
        self.contiguous = contiguous
        # Frames above the mark as (predecessor, place), ascending; and the highest that cannot be linked.
        self._ahead: list[tuple[OrderKey, OrderKey]] = []
        self._loose: OrderKey | None = None
        # Without predecessors: what the mark follows as (second, highest place), what is known for certain,
        # and whether the provider vouches for continuity.
        self._recent: deque[tuple[int, OrderKey]] = deque()
        self._read: OrderKey | None = None
        self._settled: OrderKey | None = None
        self._vouched = complete is not None

    @property
    def open(self) -> bool:
        """Whether something was seen above the mark that does not follow it: there is a range to read."""
        return bool(self._ahead) or self._loose is not None

    @property
    def seen(self) -> OrderKey | None:
        """The highest place that was seen: a log that stands below it is stale, or was restored."""
        recent = self._recent[-1][1] if self._recent else None
        ahead = max((key for _, key in self._ahead), default=None)
        return max(
            (key for key in (self.complete, ahead, self._loose, recent) if key is not None), default=None
        )

    def receive(self, key: OrderKey, prev: str | None, now: float) -> Verdict:
        """Take note of a frame from an unforgeable path.

        Args:
            key: Its place.
            prev: The serial before it, `""` for the first; `None` where the path does not say.
            now: Monotonic seconds.
        """
        if not self.contiguous:
            self.follow(now)
            if self._settled is not None and key <= self._settled:
                return Verdict.KNOWN
            if self._vouched:
                self._note(key, now)
            return Verdict.NEXT
        if self.complete is not None and key <= self.complete:
            return Verdict.KNOWN
        if prev is not None and self.complete is not None and (key.epoch, prev) <= self.complete:
            self._advance(key)
            return Verdict.NEXT
        before = None if prev is None else OrderKey(key.epoch, prev)
        if before is not None and len(self._ahead) < AHEAD:
            index = bisect_left(self._ahead, (before, key))
            if self._ahead[index : index + 1] != [(before, key)]:
                self._ahead.insert(index, (before, key))
        elif self._loose is None or key > self._loose:
            self._loose = key
        return Verdict.AHEAD

    def follow(self, now: float) -> None:
        """Let the mark follow frames without predecessors, `MARGIN` seconds behind."""
        if self._read is not None:  # at the latest now: a lower serial may come until a margin after the read
            self._note(self._read, now)
            self._read = None
        while self._recent and self._recent[0][0] <= now - MARGIN:
            key = self._recent.popleft()[1]
            self._settled = key if self._settled is None else max(key, self._settled)
            self.complete = key if self.complete is None else max(key, self.complete)

    def read(self, head: OrderKey, *, more: bool = False) -> None:
        """Take note that the log was read up to `head`, since the last loss if there was one.

        Args:
            head: The last place read; `OrderKey(epoch, "")` of a log that holds nothing.
            more: The log holds further entries: live frames do not join on yet.
        """
        if not self.contiguous:
            self._vouched = self._vouched or not more
            self._read = head
        if self.complete is None or head > self.complete:
            self._advance(head)

    def broken(self) -> None:
        """The connection or frames were lost: the mark stays until the log was read, or a session resumed."""
        self._recent.clear()
        self._read = None
        self._vouched = False

    def resumed(self) -> None:
        """The provider vouches that nothing was missed since the mark (`Attachment.resumed`)."""
        self._vouched = True

    def reset(self) -> None:
        """Forget the mark: another log stands behind the channel (D18)."""
        self.broken()
        self.complete = self._settled = self._loose = None
        self._ahead.clear()

    def _advance(self, key: OrderKey) -> None:
        """Move the mark to `key`, and on over what is remembered to follow."""
        while self._ahead and self._ahead[0][0] <= key:
            key = max(key, self._ahead.pop(0)[1])
        self.complete = key
        if self._loose is not None and self._loose <= key:
            self._loose = None

    def _note(self, key: OrderKey, now: float) -> None:
        """Remember the highest place of each second, so that a margin holds a few dozen of them."""
        second = ceil(now)
        if self._recent and self._recent[-1][0] == second:
            key = max(key, self._recent.pop()[1])
        self._recent.append((second, key))
