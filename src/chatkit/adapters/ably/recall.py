"""`Recall`: what is remembered of messages: where they stand, what changed them lately, and reactions.

History shows a message in its newest version at the place of its first, so that a read from a place on does
not bring what changed older messages since. What came live of that is remembered here.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from chatkit.adapters.ably.reacted import Reacted
from chatkit.adapters.ably.said import Said
from chatkit.adapters.ably.whereabouts import Whereabouts
from chatkit.model.entry import Entry
from chatkit.model.order import OrderKey

CHANGED: Final = 10_000
"""Messages of which the newest version is remembered."""
BYTES: Final = 16_000_000
"""What these take together at most."""


class Recall:
    """Of one adapter (I10)."""

    def __init__(self) -> None:
        self.places: Final = Whereabouts()
        self.reacted: Final = Reacted()
        self.said: Final = Said()
        self._changes: OrderedDict[tuple[str, str], tuple[Entry, ...]] = OrderedDict()
        self._size = 0
        self._forgotten: OrderKey | None = None
        """The highest place of those that were forgotten, in whichever channel."""

    def change(self, channel: str, serial: str, changes: tuple[Entry, ...]) -> None:
        """Take note of a version of a message; an older one than is known counts for nothing."""
        known = self._changes.get((channel, serial))
        if known is not None and known[-1].stamp.key >= changes[-1].stamp.key:
            return
        self._size += _size(changes) - _size(known or ())
        self._changes[channel, serial] = changes
        self._changes.move_to_end((channel, serial))
        while len(self._changes) > CHANGED or self._size > BYTES:
            _, entries = self._changes.popitem(last=False)
            self._size -= _size(entries)
            self._forgotten = max(entries[-1].stamp.key, self._forgotten or entries[-1].stamp.key)

    def newest(self, channel: str, serial: str) -> tuple[Entry, ...]:
        """Return the newest version of a message that is known."""
        return self._changes.get((channel, serial), ())

    def since(self, channel: str, after: OrderKey) -> list[Entry]:
        """Return what changed messages after a place, of each the newest, and the reactions."""
        changes = [
            entry
            for (name, _), entries in self._changes.items()
            if name == channel
            for entry in entries
            if entry.stamp.key > after
        ]
        return changes + self.reacted.since(channel, after)

    def reaches(self, after: OrderKey) -> bool:
        """Say whether nothing that changed after a place was forgotten since."""
        return (self._forgotten is None or self._forgotten <= after) and self.reacted.reaches(after)

    def has_changes(self, channel: str) -> bool:
        """Say whether messages of a channel are known to have been changed, or may have been."""
        changed = self._forgotten is not None or any(name == channel for name, _ in self._changes)
        return changed or self.reacted.has_any(channel)


def _size(entries: tuple[Entry, ...]) -> int:
    return sum(len(entry.data) for entry in entries)
