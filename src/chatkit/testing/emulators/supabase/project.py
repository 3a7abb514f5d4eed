"""The emulated project: its topics, its rates, and who listens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chatkit.testing.emulators.clock import EmulatorClock
from chatkit.testing.emulators.supabase.authorization import Authorization
from chatkit.testing.emulators.supabase.committed import Committed
from chatkit.testing.emulators.supabase.database import Database
from chatkit.testing.emulators.supabase.faults import Faults
from chatkit.testing.emulators.supabase.plain import Object, external_size
from chatkit.testing.emulators.supabase.presence import PresenceSet
from chatkit.testing.emulators.supabase.rates import Rate
from chatkit.testing.emulators.supabase.settings import SupabaseSettings
from chatkit.testing.emulators.supabase.tokens import Authority
from chatkit.testing.emulators.supabase.wire import Broadcast, UserBroadcast

if TYPE_CHECKING:
    from chatkit.testing.emulators.supabase.channel import Channel
    from chatkit.testing.emulators.supabase.session import Session

PADDING: Final = 500
"""Bytes that a payload may have beside its limit."""
DAY: Final = 86_400.0

Place = tuple[bool, str]
"""Whether a topic is private, and its name: the same name private and public never meet."""


@dataclass
class Topic:
    """Who listens at a place, and who is present there."""

    channels: dict[Channel, None] = field(default_factory=dict["Channel", None])
    presence: PresenceSet = field(default_factory=PresenceSet)


class Project:
    """All state behind the sockets and the calls.

    Args:
        settings: As they are now.
        clock: Its time.
        database: Its PostgreSQL.
    """

    def __init__(
        self, settings: Callable[[], SupabaseSettings], clock: EmulatorClock, database: Database
    ) -> None:
        self._settings = settings
        self.clock = clock
        self.database = database
        self.authority = Authority(settings, clock.unix)
        self.authorization = Authorization(database)
        self.committed = Committed(self)
        self.faults = Faults()
        self.sessions: dict[str, Session] = {}
        """Those of connections, by their ids."""
        self._topics: dict[Place, Topic] = {}

    def begin(self) -> None:
        """Count from now on, and keep the days."""
        now = self.clock.monotonic
        self.events = Rate(now, lambda: self.settings.events_per_second)
        self.joins = Rate(now, lambda: self.settings.joins_per_second)
        self.presence_events = Rate(now, lambda: self.settings.presence_events_per_second)

    @property
    def settings(self) -> SupabaseSettings:
        """How it behaves."""
        return self._settings()

    @property
    def connected(self) -> int:
        """Connections that have a channel, or had."""
        return sum(session.counted for session in self.sessions.values())

    def fits(self, payload: object) -> bool:
        """Whether a payload is not too large."""
        return external_size(payload) <= self.settings.payload_kb * 1000 + PADDING

    # -- topics

    def topic(self, place: Place) -> Topic:
        """What is at a place."""
        return self._topics.setdefault(place, Topic())

    def listen(self, channel: Channel) -> None:
        """Let a channel hear what is said at its place."""
        self.topic(channel.place).channels[channel] = None

    def ignore(self, channel: Channel) -> None:
        """Let it hear nothing more, and be present no longer."""
        topic = self._topics.get(channel.place)
        if topic is None or channel not in topic.channels:
            return
        del topic.channels[channel]
        self._tell(topic, topic.presence.untrack(channel))
        if not topic.channels:
            del self._topics[channel.place]

    def publish(self, place: Place, broadcast: Broadcast, *, but: Channel | None = None) -> None:
        """Say it to all who listen at a place."""
        self.events.count()
        topic = self._topics.get(place)
        for channel in list(topic.channels) if topic is not None else ():
            if channel is not but:
                channel.deliver(broadcast)

    def commit(self, place: Place, broadcast: UserBroadcast) -> None:
        """Say what a transaction committed, unless there is too much, or too much of it."""
        text = broadcast.payload
        if self.fits(text) and not self.events.exceeded:
            self.publish(place, broadcast)

    # -- presence

    def track(self, channel: Channel, key: str, payload: Object) -> None:
        """Let a channel be present, and tell."""
        topic = self.topic(channel.place)
        self._tell(topic, topic.presence.track(channel, key, payload))

    def untrack(self, channel: Channel) -> None:
        """Let it be so no longer, and tell."""
        topic = self.topic(channel.place)
        self._tell(topic, topic.presence.untrack(channel))

    def _tell(self, topic: Topic, diff: Object | None) -> None:
        """Tell a diff on the next turn of the loop: behind the answer to what made it."""
        if diff is not None:
            asyncio.get_running_loop().call_soon(self._tell_now, topic, diff)

    def _tell_now(self, topic: Topic, diff: Object) -> None:
        told = [channel for channel in topic.channels if channel.may_see_presence]
        for channel in told:
            channel.send("presence_diff", diff, own=False)
        self.presence_events.count(len(told))
