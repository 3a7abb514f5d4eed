"""`Poller`: hears channels by reading what is kept of them again and again, where nothing comes by itself.

It knows no provider: what it reads is given to it, a log (`log.entries`) or a provider's history alike.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from chatkit.errors import ChatkitError, TransportError
from chatkit.model.order import OrderKey, Place
from chatkit.ports.adapter import SessionClosed
from chatkit.ports.context import Clock

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

AT_ONCE: Final = 4
"""Channels that are looked into at once."""
RATE: Final = 20.0
"""Looks a second at most, in all channels together: with more channels each waits longer for its turn."""
FAILURES: Final = 3
"""Looks in a row without an answer after which there is no connection."""
RETRY: Final = 1.0
"""Seconds at most until a look is made again that had no answer."""
PATIENCE: Final = 90.0
"""Seconds between two answers after which nobody vouches any more for what came between them."""
KNOWN: Final = 10_000
"""Places of one channel that are remembered at most (I10)."""


class Item(NamedTuple, Generic[T_co]):
    """Something that stands in a channel."""

    key: OrderKey
    at: datetime
    """By the clock of who keeps it."""
    what: T_co


class Read(Protocol[T_co]):
    """Reads a channel."""

    async def __call__(self, channel: str, after: Place, /) -> Sequence[Item[T_co]]:
        """Return what stands after a place, ascending: all of it, or the oldest part.

        Raises:
            TransportError: No answer; it is tried again.
            ChatkitError: A refusal: the channel is not looked into any more.
        """
        ...


class Poller(Generic[T]):
    """Looks into channels in turn; each item is told once. On one loop.

    Args:
        read: Reads one channel.
        tell: Given each item that is new in a channel, ascending; may wait.
        alive: Told each answer.
        refused: Given a channel that cannot be read, and why.
        every: Seconds between two looks into a channel.
        margin: Seconds before the newest item that are read again: for where a lower place may be taken
            after a higher one. 0: never.
        clock: For the looks.
    """

    def __init__(
        self,
        read: Read[T],
        tell: Callable[[str, Item[T]], Awaitable[None]],
        alive: Callable[[], None],
        refused: Callable[[str, ChatkitError], None],
        *,
        every: float,
        margin: float,
        clock: Clock,
    ) -> None:
        self._read = read
        self._tell = tell
        self._alive = alive
        self._refused = refused
        self._every = every
        self._margin = timedelta(seconds=margin)
        self._clock = clock
        self._followed: dict[str, _Followed] = {}
        self._changed = asyncio.Event()
        self._failures = 0

    async def follow(self, channel: str, head: OrderKey, now: datetime) -> OrderKey:
        """Look into a channel from now on; returns the place after which all is told.

        Args:
            channel: Which.
            head: Where it stands.
            now: By the clock of who keeps it, as far as known: with a margin what stands before it is read,
                and told no more.

        Raises:
            ChatkitError: It cannot be read.
        """
        one = _Followed(head, now - self._margin, self._now())
        if self._margin:
            for item in await self._read(channel, one.since):
                one.note(item, self._margin)
        one.due = self._clock.monotonic() + self._every
        self._followed[channel] = one
        self._changed.set()
        return one.last

    def pace(self, every: float) -> None:
        """Look into each channel at this pace from now on: seconds between two looks."""
        if every == self._every:
            return
        self._every = every
        for one in self._followed.values():
            one.due = min(one.due, self._clock.monotonic() + every)
        self._changed.set()

    def leave(self, channel: str) -> None:
        """Look into a channel no longer."""
        _ = self._followed.pop(channel, None)

    def silent_for(self, channel: str) -> float | None:
        """Return the seconds since a channel was read, by the clock that counted more; `None`: it is not."""
        one = self._followed.get(channel)
        if one is None:
            return None
        return max(now - then for then, now in zip(one.answered, self._now(), strict=True))

    def prompt(self, channel: str) -> None:
        """Look into a channel at once: there may be something."""
        one = self._followed.get(channel)
        if one is not None:
            one.due = 0.0
            self._changed.set()

    async def look(self, channel: str) -> bool:
        """Look into a channel now; returns, when all is told, whether there was an answer.

        Raises:
            TransportError, SessionClosed: As `run`.
        """
        one = self._followed.get(channel)
        return one is None or await self._look(channel, one)

    def is_news(self, channel: str, item: Item[T]) -> bool:
        """Say whether something that came by another way was not told before; from now on it is known."""
        one = self._followed.get(channel)
        return one is not None and one.note(item, self._margin)

    async def run(self) -> None:
        """Look until cancelled.

        Raises:
            TransportError: There was no answer several times in a row.
            SessionClosed: There was none for so long that what came meanwhile may be gone.
        """
        while True:
            now = self._clock.monotonic()
            due = [(one.due, channel) for channel, one in self._followed.items() if one.due <= now]
            if due:  # whoever waits longest comes first, or slow answers would starve some
                looks = [self._look(channel, self._followed[channel]) for _, channel in sorted(due)[:AT_ONCE]]
                for found in await asyncio.gather(*looks, return_exceptions=True):
                    if isinstance(found, BaseException):
                        raise found
                continue
            self._changed.clear()
            next_due = min((one.due for one in self._followed.values()), default=None)
            try:
                async with asyncio.timeout(None if next_due is None else max(0.001, next_due - now)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    # -- inside

    async def _look(self, channel: str, one: _Followed) -> bool:
        """Look into a channel; returns whether there was an answer."""
        one.due = self._clock.monotonic() + max(self._every, len(self._followed) / RATE)
        try:
            items = await self._read(channel, one.since if self._margin else one.last)
        except TransportError:
            self._failures += 1
            if self._failures >= FAILURES:
                raise
            one.due = min(one.due, self._clock.monotonic() + RETRY)
            return False
        except ChatkitError as error:
            if self._followed.get(channel) is one:
                self.leave(channel)
                self._refused(channel, error)
            return True
        self._failures = 0
        before, one.answered = one.answered, self._now()
        if any(then + PATIENCE < now for then, now in zip(before, one.answered, strict=True)):
            raise SessionClosed("nothing could be read for too long", again="now")
        self._alive()
        for item in items:
            if self._followed.get(channel) is one and one.note(item, self._margin):
                await self._tell(channel, item)
        return True

    def _now(self) -> tuple[float, float]:
        """Return now by both clocks: one of them stands still while the machine sleeps."""
        return self._clock.monotonic(), self._clock.wall().timestamp()


class _Followed:
    """What is known of one channel.

    Args:
        head: Where it stands.
        since: From when on it is read.
        answered: When it was read last, by both clocks.
    """

    def __init__(self, head: OrderKey, since: datetime, answered: tuple[float, float]) -> None:
        self.last = head
        """The greatest place that is known."""
        self.since = since
        """With a margin: from when on the next look reads."""
        self.answered = answered
        self.due = 0.0
        self._known: OrderedDict[OrderKey, datetime] = OrderedDict()

    def note(self, item: Item[object], margin: timedelta) -> bool:
        """Take note of an item; returns whether it is new."""
        if not margin:
            new = item.key > self.last
        else:
            new = item.key not in self._known
            self._known[item.key] = item.at
            self.since = max(self.since, item.at - margin)
            while self._known and (len(self._known) > KNOWN or self._oldest < self.since - margin):
                _ = self._known.popitem(last=False)
        self.last = max(self.last, item.key)
        return new

    @property
    def _oldest(self) -> datetime:
        return next(iter(self._known.values()))
