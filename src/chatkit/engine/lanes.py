"""All lanes of a client: how far each has come, and which device goes on for which (D5, D8, D27)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from chatkit.engine.lane import Lane
from chatkit.model.ids import new_device
from chatkit.ports import LaneKey, LaneMark

if TYPE_CHECKING:
    from chatkit.engine.entry import OutboxEntry
    from chatkit.engine.outbox import Outbox


class Lanes:
    """Puts entries into their lanes. A lane lives while it has something to do; its numbers stay.

    Args:
        outbox: Its owner.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._lanes: dict[LaneKey, Lane] = {}
        self._marks: dict[LaneKey, LaneMark] = {}
        self._successors: dict[str, str] = {}
        self._leaving: dict[LaneKey, Lane] = {}
        """Lanes that will go on as another device, by the key they will have."""
        self._renewing = asyncio.Lock()
        self.device = ""
        """The device of new wishes."""

    def learn(self, marks: Mapping[LaneKey, LaneMark]) -> None:
        """Take note of how far lanes have come, as the store has it; what is known here is newer."""
        self._marks = {**marks, **self._marks}

    def put(self, entry: OutboxEntry) -> None:
        """Put an entry into its lane."""
        device = entry.row.device
        if not entry.frozen and (current := self.current(device)) != device:
            entry.row = entry.row._replace(device=current)
        key = _key(entry)
        lane = self._leaving.get(key) or self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(self._outbox, key, self._marks.get(key, LaneMark(0, 0)))
        lane.append(entry)

    def lane_of(self, entry: OutboxEntry) -> LaneKey:
        """Return the lane in which an entry is, or will be."""
        key = _key(entry)
        return key if entry.frozen else key._replace(device=self.current(key.device))

    def take_out(self, entry: OutboxEntry) -> None:
        """Remove an entry that ended where it stands; it comes again at the end (D7)."""
        for lane in self._of(entry):
            lane.take_out(entry)

    def release(self, entry: OutboxEntry) -> None:
        """An entry ended without an answer to its own lane."""
        for lane in self._of(entry):
            lane.release()

    def wake(self) -> None:
        """The publish path came back: lanes need not sit out their backoff."""
        for lane in self._lanes.values():
            lane.wake()

    def drop(self, lane: Lane) -> None:
        """Forget a lane that has nothing to do."""
        self._marks[lane.key] = lane.mark
        del self._lanes[lane.key]
        if lane.successor is not None:
            self._leaving.pop(lane.key._replace(device=lane.successor), None)

    def current(self, device: str) -> str:
        """Return the device that goes on for one."""
        while device in self._successors:
            device = self._successors[device]
        return device

    async def renew(self, old: str) -> None:
        """Go on as another device: a copy of this store lives elsewhere and uses our numbers (D9, D27).

        Raises:
            StoreError: The store could not take note; nothing has changed.
        """
        async with self._renewing:
            if old in self._successors:
                return  # another lane met the copy first
            new = new_device(self._outbox.context.random)
            await self._outbox.context.store.renew_device(old, new)
            self._outbox.context.counters["device_renewed"] += 1
            self._outbox.context.observer.point("outbox.renewed", device=new)
            self._successors[old] = new
            if self.device == old:
                self.device = new
            for key, lane in self._lanes.items():
                if key.device == old:
                    lane.successor = new
                    self._leaving[key._replace(device=new)] = lane

    def hand_over(self, lane: Lane, device: str) -> None:
        """Put what waits in a lane into that of its device's successor, in order, numbered anew."""
        self._leaving.pop(lane.key._replace(device=device), None)
        for entry in lane.empty():
            entry.thaw(device=device)
            self._outbox.unsettled(entry)
            self.put(entry)
        self._outbox.settle_soon()

    def _of(self, entry: OutboxEntry) -> list[Lane]:
        key = _key(entry)
        return [lane for lane in (self._leaving.get(key), self._lanes.get(key)) if lane is not None]


def _key(entry: OutboxEntry) -> LaneKey:
    return LaneKey(entry.row.channel, entry.row.ident.user, entry.row.device)
