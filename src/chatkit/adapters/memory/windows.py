"""What the hub remembers for a while: where clients were, and what it has just been sent."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from chatkit.ports.context import Clock
from chatkit.ports.outgoing import Ack, Batch

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

KEPT: Final = 10_000
"""Most things remembered; the oldest go first (I10)."""


class _Recent(Generic[K, V]):
    """Things and when they came, the oldest forgotten first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def put(self, key: K, item: V) -> None:
        self._kept.pop(key, None)
        self._kept[key] = (self._clock.monotonic(), item)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def get(self, key: K, window: float) -> V | None:
        found = self._kept.get(key)
        if found is None or self._clock.monotonic() - found[0] > window:
            return None
        return found[1]

    def pop(self, key: K, window: float) -> V | None:
        found = self.get(key, window)
        self._kept.pop(key, None)
        return found


class Places:
    """Which channels a client was attached to when its connection was lost, and when that was."""

    def __init__(self, clock: Clock) -> None:
        self._recent: _Recent[tuple[str, str], bool] = _Recent(clock)

    def left(self, client: str, channel: str, window: float) -> None:
        """Note that a client lost a channel; nothing is noted where it could never resume."""
        if window:
            self._recent.put((client, channel), True)

    def back(self, client: str, channel: str, window: float) -> bool:
        """Say whether it comes back within the window; it is asked once."""
        return self._recent.pop((client, channel), window) is not None


class Repeats:
    """Publishes of the last while: a repeat is answered as the first one was (D10)."""

    def __init__(self, clock: Clock) -> None:
        self._recent: _Recent[tuple[str, str], tuple[Ack, ...]] = _Recent(clock)

    def answer(self, batch: Batch, window: float) -> tuple[Ack, ...] | None:
        """Return the answer to an earlier copy of this publish, if it came within the window."""
        return self._recent.get(_key(batch), window) if window else None

    def keep(self, batch: Batch, acks: tuple[Ack, ...], window: float) -> None:
        """Note the answer to a publish."""
        if window:
            self._recent.put(_key(batch), acks)


def _key(batch: Batch) -> tuple[str, str]:
    """Return what a provider knows a publish by: a single one by its id, a group by its base (D10)."""
    return batch.channel, batch.entries[0].ident.id if len(batch.entries) == 1 else batch.batch_id
