"""`Places`: what users are shown of the channels and threads of one client, one object of each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakValueDictionary

from chatkit.errors import StateError
from chatkit.presence import Presence
from chatkit.receipts import Receipts
from chatkit.timeline import Timeline
from chatkit.typists import Typing

if TYPE_CHECKING:
    from chatkit.engine.channel import ChannelEngine
    from chatkit.engine.outbox import OutboxEntry
    from chatkit.engine.receipts import Mode
    from chatkit.engine.thread import ThreadFeed
    from chatkit.refs import MessageRef
    from chatkit.shared import Shared

    Feed: TypeAlias = ChannelEngine | ThreadFeed


class Places:
    """Timelines are those of the user that opened the client; the rest is by user, too.

    Args:
        owner: The life of the client.
    """

    def __init__(self, owner: Shared) -> None:
        self._owner = owner
        self._timelines: dict[str, Timeline] = {}
        # Weak: threads come and go, and a backend speaks for very many users, each for a moment.
        self._threads: WeakValueDictionary[ThreadFeed, Timeline] = WeakValueDictionary()
        self._receipts: WeakValueDictionary[tuple[Feed, str], Receipts] = WeakValueDictionary()
        self._typings: WeakValueDictionary[tuple[Feed, str], Typing] = WeakValueDictionary()
        self._presences: WeakValueDictionary[tuple[ChannelEngine, str], Presence] = WeakValueDictionary()

    def timeline(self, name: str, keep: int, *, presence: bool) -> Timeline:
        """Return the timeline of a channel, with what is queued for it."""
        found = self._timelines.get(name)
        if found is None:
            engine = self._owner.engine
            engine.channel(name, keep, presence=presence)
            found = self._timelines[name] = Timeline(engine, engine.channels[name], self._owner)
            for entry in engine.outbox.of_channel(name):
                self.show(entry)
        return found

    def thread(self, feed: ThreadFeed) -> Timeline:
        """Return the timeline of a thread."""
        found = self._threads.get(feed)
        if found is None:
            found = self._threads[feed] = Timeline(self._owner.engine, feed, self._owner)
        return found

    def typing(self, feed: Feed, user: str) -> Typing:
        """Return who types in a channel or thread, as a user is to see it."""
        found = self._typings.get((feed, user))
        if found is None:
            self._typings[feed, user] = found = Typing(self._owner, feed, user)
        return found

    def presence(self, channel: ChannelEngine, user: str) -> Presence:
        """Return who is in a channel, for a user who may enter."""
        found = self._presences.get((channel, user))
        if found is None:
            self._presences[channel, user] = found = Presence(self._owner, channel, user)
        return found

    def receipts(self, feed: Feed, user: str, mode: Mode, get: Callable[[MessageRef], Any]) -> Receipts:
        """Return a user's receipts in a channel or thread.

        Raises:
            StateError: They were asked for with another mode.
        """
        found = self._receipts.get((feed, user))
        if found is None:
            self._receipts[feed, user] = found = Receipts(self._owner, feed, user, mode, get)
        elif found.mode != mode:
            raise StateError(
                "the user's receipts were asked for with other options before", channel=feed.name
            )
        return found

    def known_receipts(self, channel: str, user: str) -> Receipts | None:
        """Return a user's receipts in a channel, if they were asked for."""
        engine = self._owner.engine.channels.get(channel)
        return None if engine is None else self._receipts.get((engine, user))

    # -- told by the client -----------------------------------------------------------------------------

    def show(self, entry: OutboxEntry) -> None:
        """Bring the timelines up to date with an entry of the user that they show."""
        timeline = self._timelines.get(entry.row.channel)
        if timeline is not None and entry.row.ident.user == self._owner.setup.context.user:
            timeline.show(entry)
            self.changed(entry.row.channel)

    def changed(self, channel: str | None = None) -> None:
        """Tell readers of a channel's timeline, and of its threads'; of all without a name."""
        for timeline in self._drawn():
            if channel in {None, timeline.channel}:
                timeline.changed()

    def failed(self) -> None:
        """The connection failed for good: tell who waits for what others say."""
        for receipts in tuple(self._receipts.values()):
            receipts.changed()

    def close(self) -> None:
        """End what watches."""
        for timeline in self._drawn():
            timeline.close()
        for typing in tuple(self._typings.values()):
            typing.close()
        for receipts in tuple(self._receipts.values()):
            receipts.close()
        for presence in tuple(self._presences.values()):
            presence.close()

    def _drawn(self) -> tuple[Timeline, ...]:
        return (*self._timelines.values(), *self._threads.values())
