"""`Held`: the changes of messages that have not been seen, within a bound (D22).

For each message only the winning change of each register waits, and the places of the others for its version.
Who may change what is checked before: by the log, or by the engine's rule that authors change their own; so
winners of different senders need not be kept apart. A sender's share in one message is bounded as it is in a
message that was seen (`MAX_OF_USER`), the messages and their bytes by the two limits here. The message that
has waited longest goes first, and is counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from chatkit.core.fact import Fact
from chatkit.core.timeline_changes import Change, Changes, Register, Unparsed
from chatkit.model.order import Ident, OrderKey

MAX_TARGETS: Final = 10_000
"""Messages waited for in one channel."""
MAX_SIZE: Final = 16_000_000
"""Bytes, roughly, of all that is held for one channel."""


class Held:
    """What waits for the messages of one channel."""

    __slots__ = ("_max_size", "_max_targets", "_size", "_waiting", "evicted", "mark")

    def __init__(self, *, targets: int = MAX_TARGETS, size: int = MAX_SIZE) -> None:
        self._max_targets = targets
        self._max_size = size
        self._size = 0
        self._waiting: dict[Ident, Changes] = {}
        self.evicted = 0
        """Changes dropped to keep the bounds."""
        self.mark: OrderKey | None = None
        """Place of the newest of these. A change from a clock too far ahead moves it not: one forged far-off
        reading would put every message in doubt (D4)."""

    def __len__(self) -> int:
        """Return how many messages are waited for."""
        return len(self._waiting)

    def hold(self, target: Ident, fact: Fact, register: Register, change: Change) -> bool:
        """Keep a change until its message turns up; `False`: it is known, or beaten."""
        waiting = self._waiting.setdefault(target, Changes())
        size = waiting.size
        added = waiting.add(register, change._replace(held=Unparsed.of(fact)))
        self._size += waiting.size - size
        self._lose(added.dropped)
        while len(self._waiting) > self._max_targets or self._size > self._max_size:
            oldest = self._waiting.pop(next(iter(self._waiting)))
            self._size -= oldest.size
            self._lose(change for front in oldest.fronts.values() for change in front)
        return added.news

    def release(self, target: Ident) -> Changes | None:
        """Hand over what waits for a message; `None`: nothing does."""
        waiting = self._waiting.pop(target, None)
        if waiting is not None:
            self._size -= waiting.size
        return waiting

    def clear(self) -> None:
        """Forget what waits, and what was dropped: places mean something else now (D18)."""
        self._waiting.clear()
        self._size = 0
        self.mark = None

    def _lose(self, changes: Iterable[Change]) -> None:
        for change in changes:
            self.evicted += 1
            assert change.held is not None  # noqa: S101  # here all are
            if not change.held.suspect:
                self.mark = change.key if self.mark is None else max(self.mark, change.key)
