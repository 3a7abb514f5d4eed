"""`seq` and `pred` as hints: a predecessor that was never seen may have been lost (D5)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

PATIENCE: Final = 5.0
"""Seconds to wait for a predecessor before its absence is worth a word."""
LANES: Final = 1_000
"""Most senders remembered in a channel; the one heard of longest ago is forgotten first."""
MISSING: Final = 1_000
"""Most predecessors waited for at a time; further ones add nothing to what those will tell."""


class Hints:
    """The newest number seen of each (user, device), and predecessors that are missing."""

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._missing: dict[tuple[str, str, int], float] = {}  # until when; the first one is due first

    def note(self, user: str, device: str, seq: int | None, pred: int | None, now: float) -> bool:
        """Take note of an envelope.

        Returns:
            Whether its predecessor was not seen although an earlier one of its lane was.
        """
        if seq is None:
            return False
        lane = (user, device)
        last = self._last.get(lane)
        self._last[lane] = seq if last is None else max(seq, last)
        self._last.move_to_end(lane)
        if len(self._last) > LANES:
            self._last.popitem(last=False)
        if self._missing:  # of most lanes nothing is
            self._missing.pop((*lane, seq), None)
        if last is None or not pred or pred <= last:
            return False
        if len(self._missing) < MISSING:
            self._missing.setdefault((*lane, pred), now + PATIENCE)
        return True

    def due(self, now: float) -> bool:
        """Say, once for each, whether a missing predecessor has been waited for long enough."""
        late = [missing for missing, until in self._missing.items() if until <= now]
        for missing in late:
            del self._missing[missing]
        return bool(late)

    def wait(self, now: float) -> float | None:
        """Return the seconds until `due` may say yes, or `None`."""
        until = next(iter(self._missing.values()), None)
        return None if until is None else max(0.0, until - now)

    def clear(self) -> None:
        """Forget what is missing: a gap was announced, or the log was read."""
        self._missing.clear()
