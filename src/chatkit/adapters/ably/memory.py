"""`Memory`: what outlives a connection, so that the next one can go on with it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from chatkit.adapters.ably.places import Trail
from chatkit.adapters.ably.protocol import Resume
from chatkit.adapters.ably.recall import Recall
from chatkit.model.order import OrderKey

CHANNELS: Final = 10_000
"""Channels that are remembered at most (I10)."""
SHORTLY: Final = 80.0
"""Seconds after which what came since a channel was heard is kept by every account, with room for a read."""


class Parted(NamedTuple):
    """A channel that was heard without a gap until a while ago."""

    serial: str
    """Since where."""
    at: float
    """Until when, in seconds since 1970."""


class Memory:
    """Of one adapter.

    Args:
        now: The service's clock, in seconds since 1970.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.recall: Final = Recall()
        self._now = now
        self._parted: OrderedDict[str, Parted] = OrderedDict()
        self._resumes: list[Resume] = []
        self._trails: OrderedDict[str, Trail] = OrderedDict()
        self._given: OrderedDict[str, str] = OrderedDict()
        self._broken: OrderedDict[str, None] = OrderedDict()
        self._unbroken: dict[str, str] = {}

    def keep(self, resume: Resume | None, trails: dict[str, Trail]) -> None:
        """Take what a connection leaves."""
        if resume is not None:
            self._resumes = [*self._resumes[-1:], resume]
        self.ended(*trails)
        for channel, trail in trails.items():
            self._trails[channel] = trail
            self._trails.move_to_end(channel)
        while len(self._trails) > CHANNELS:
            _ = self._trails.popitem(last=False)

    def take_resume(self) -> Resume | None:
        """Return what the connection that ended is gone on with, once.

        Where several ended nobody can say which had whose channels: a member that was entered on another one
        than it leaves on would stay. So each of them begins anew, and channels go on all the same.
        """
        ended, self._resumes = self._resumes, []
        return ended[0] if len(ended) == 1 else None

    def take_trail(self, channel: str) -> Trail | None:
        """Return from where a channel can be gone on with, once."""
        return self._trails.pop(channel, None)

    def note(self, channel: str, serial: str) -> None:
        """Take note of a place that was told by an acknowledgement or a read."""
        self._given[channel] = max(serial, self._given.get(channel, ""))
        self._given.move_to_end(channel)
        if len(self._given) > CHANNELS:
            _ = self._given.popitem(last=False)

    def broke(self, channel: str) -> None:
        """Take note that nobody vouches for what came before now."""
        self._broken[channel] = None
        if len(self._broken) > CHANNELS:
            _ = self._broken.popitem(last=False)

    def is_broken(self, channel: str) -> bool:
        """Say whether that was so, and no read has mended it."""
        return channel in self._broken

    def mended(self, channel: str) -> None:
        """Take note of such a read."""
        _ = self._broken.pop(channel, None)

    def unbroken(self, channel: str, serial: str) -> None:
        """Take note that all since a place came, or comes, live; what came shortly before is read."""
        before = self._parted.pop(channel, None)
        if before is not None and abs(self._now() - before.at) < SHORTLY:
            serial = min(serial, before.serial)
        self._unbroken[channel] = serial

    def parted(self, channel: str, age: float | None) -> None:
        """Take note that a channel is not heard any more; `age`: since how many seconds not all of it was."""
        serial = self._unbroken.pop(channel, None)
        if serial is not None and age is not None:
            self._parted[channel] = Parted(serial, self._now() - age)
            if len(self._parted) > CHANNELS:
                _ = self._parted.popitem(last=False)

    def ended(self, *channels: str) -> None:
        """Take note that these are not heard any more."""
        for channel in channels:
            _ = self._unbroken.pop(channel, None)

    def came_since(self, channel: str, place: OrderKey) -> bool:
        """Say whether all after a place came live, whatever history still holds."""
        begin = self._unbroken.get(channel)
        return begin is not None and begin <= place.serial

    def heard_since(self, channel: str) -> str | None:
        """Return from which place on all comes live; `None`: the channel is not heard."""
        return self._unbroken.get(channel)

    def given(self, channel: str) -> str:
        """Return the greatest of them; "" where there is none."""
        return self._given.get(channel, "")
