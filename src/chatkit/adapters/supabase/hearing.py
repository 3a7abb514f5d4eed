"""`Hearing`: from what the protocol says to signals: whose channel, who said it, what it proves (D2, D17)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from chatkit.adapters.supabase.attached import Attached
from chatkit.adapters.supabase.payload import ENTRIES, EVENT, Announced, announced, unpack
from chatkit.adapters.supabase.protocol import Meaning, Moved, Present, Ready, Strange, Told
from chatkit.model.values import packed
from chatkit.ports.adapter import Alive, Foreign, Received, Roster, Shed, Signal
from chatkit.ports.context import Clock
from chatkit.ports.log import LogState
from chatkit.transport import Line


class Hearing:
    """What one connection hears.

    Args:
        clock: Times signs of life.
        large: Given an entry that was too large to be broadcast, and what is announced behind it.
    """

    def __init__(self, clock: Clock, large: Callable[[Attached, list[Announced]], None]) -> None:
        self.line: Final = Line()
        self.channels: Final[dict[str, Attached]] = {}
        self._clock = clock
        self._large = large
        self._topics: dict[str, Attached] = {}

    def begin(self, one: Attached) -> None:
        """Pass on what comes of a channel."""
        self.channels[one.channel] = one
        self._topics.update(dict.fromkeys(one.topics, one))

    def end(self, one: Attached) -> None:
        """Pass nothing on any more; what waits stays."""
        if self.channels.get(one.channel) is one:
            del self.channels[one.channel]
            for topic in one.topics:
                _ = self._topics.pop(topic, None)

    def of(self, topic: str) -> Attached | None:
        """Return the channel that a topic belongs to."""
        return self._topics.get(topic)

    async def put(self, one: Attached, signal: Signal) -> None:
        """Hand a signal on, as soon as there is room."""
        await self.line.put(one, signal)

    async def look(self, one: Attached, reason: str) -> None:
        """Have the log looked into: it may hold what was not announced."""
        await self.put(one, Shed(one.channel, reason))

    def alive(self) -> None:
        """Hand on the sign of life that every frame is, where it means nothing else."""
        if self.line.empty:
            self.line.push(Alive(self._clock.monotonic()))

    async def take(self, meaning: Meaning) -> None:
        """Make signals of it."""
        match meaning:
            case Told():
                await self.told(meaning)
            case Present(topic=topic) | Moved(topic=topic):
                one = self._topics.get(topic)
                if one is not None and one.presence:
                    await self._present(one, meaning)
            case Ready(topic):
                one = self._topics.get(topic)
                if one is not None:
                    one.ready.set()
                    if one.gone_on:  # what was committed until now may not have been broadcast
                        await self.look(one, "replication")
            case Strange(topic, event, payload, reason):
                one = self._topics.get(topic or "")
                if one is not None:  # a member can cause it, at any pace: it waits for room as all does
                    await self.put(one, Foreign(one.channel, event, payload, reason))
                elif not self.line.full:
                    self.line.push(Foreign(None, event, payload, reason))
            case _:
                pass

    async def told(self, told: Told) -> None:
        """Make signals of a broadcast, as most of what comes is."""
        one = self._topics.get(told.topic)
        if one is None:
            return
        if told.topic == one.log:
            await self._announced(one, told)
            return
        envelopes = unpack(told.payload) if told.event == EVENT else None
        if envelopes is None:
            await self.put(one, Foreign(one.channel, told.event, told.payload, "other_event", told.id))
            return
        for data in envelopes:  # what a member said: the service tells nobody who that was
            signal = packed(Received, (one.channel, data, None, "none", None, False))
            if not self.line.offer(one, signal):
                await self.put(one, signal)

    def roster(self, one: Attached) -> Roster:
        """Return who is there."""
        return Roster(one.channel, one.members.all())

    async def _present(self, one: Attached, meaning: Present | Moved) -> None:
        if isinstance(meaning, Present):
            one.members.replace(meaning.state)
            await self.put(one, self.roster(one))
            return
        for move in one.members.move(one.channel, meaning.joins, meaning.leaves):
            await self.put(one, move)

    async def _announced(self, one: Attached, told: Told) -> None:
        entries = announced(told.payload, one.channel) if told.event == ENTRIES else None
        if entries is None:
            await self.look(one, "unread")
            return
        if one.early is not None:
            one.early.extend(entries)
        else:
            await self._tell(one, entries)

    async def begin_after(self, one: Attached, state: LogState) -> None:
        """Live begins where the log stands: what stands behind it is handed on, now and from now on.

        The service announces a while after the commit, so what comes may stand before it.
        """
        one.start = state
        early, one.early = one.early, None
        await self._tell(one, [] if early is None else list(early))

    async def _tell(self, one: Attached, entries: list[Announced]) -> None:
        news = [entry for entry in entries if one.is_news(entry.stamp)]
        for index, entry in enumerate(news):
            if entry.data is None or one.waiting is not None:
                self._large(one, news[index:])
                return
            signal = received(one.channel, entry, entry.data)
            if not self.line.offer(one, signal):
                await self.put(one, signal)


def received(channel: str, entry: Announced, data: bytes) -> Received:
    """Return an entry of a log as a signal: nobody but who keeps the log writes to its topic."""
    stamp = entry.stamp
    return packed(Received, (channel, data, stamp.user, entry.attested, stamp, True))
