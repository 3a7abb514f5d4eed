"""The channels of an app: who is subscribed, who is present, what is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from chatkit.testing.emulators.clock import EmulatorClock, Timer
from chatkit.testing.emulators.pusher import frames, names
from chatkit.testing.emulators.pusher.settings import PusherSettings
from chatkit.testing.emulators.pusher.webhooks import Webhooks

MANY: Final = 100
"""Connections of one channel above which counts are told at intervals."""


class Subscriber(Protocol):
    """A connection, as channels see it."""

    socket_id: str

    def send(self, frame: str) -> None:
        """Pass a frame on to the client."""
        ...


@dataclass(frozen=True)
class Member:
    """Who a subscription to a presence channel speaks for."""

    user_id: str
    user_info: Any = None

    def described(self) -> dict[str, Any]:
        """As others are told; without what is not there."""
        return {"user_id": self.user_id} | ({} if self.user_info is None else {"user_info": self.user_info})


@dataclass(frozen=True)
class Cached:
    """The last event of a cache channel."""

    frame: str
    data: str
    until: float


@dataclass
class Channel:
    """One channel, there while somebody is subscribed."""

    name: str
    subscribers: dict[Subscriber, Member | None] = field(default_factory=dict["Subscriber", "Member | None"])
    count_timer: Timer | None = None
    count_due: bool = False

    def users(self) -> dict[str, Any]:
        """Those present, in the order in which they came: id and what is known of them."""
        found: dict[str, Any] = {}
        for member in self.subscribers.values():
            if member is not None:
                found.setdefault(member.user_id, member.user_info)
        return found

    def send(self, frame: str, *, but: str | None = None) -> None:
        """To all who are subscribed but one connection."""
        for subscriber in list(self.subscribers):
            if subscriber.socket_id != but:
                subscriber.send(frame)


class Channels:
    """All channels of the app.

    Args:
        settings: Those that hold at the moment.
        clock: For what is kept, and for counts.
        webhooks: Tells the app's server.
    """

    def __init__(
        self, settings: Callable[[], PusherSettings], clock: EmulatorClock, webhooks: Webhooks
    ) -> None:
        self._webhooks = webhooks
        self._settings = settings
        self._clock = clock
        self._channels: dict[str, Channel] = {}
        self._cached: dict[str, Cached] = {}

    def get(self, name: str) -> Channel:
        """The channel of this name; an empty one if nobody is there."""
        return self._channels.get(name) or Channel(name)

    def __iter__(self) -> Iterator[Channel]:
        return iter(self._channels.values())

    # -- coming and going

    def join(self, name: str, subscriber: Subscriber, member: Member | None) -> None:
        """Subscribe, confirm it, tell the others of a user who is new, and what a cache channel kept."""
        channel = self._channels.setdefault(name, Channel(name))
        known = channel.users()
        channel.subscribers[subscriber] = member
        if len(channel.subscribers) == 1:
            self._webhooks.tell("channel_occupied", channel=name)
        data: dict[str, Any] = {}
        if member is not None:
            users = channel.users()
            data = {"presence": {"count": len(users), "ids": list(users), "hash": users}}
        subscriber.send(frames.system("pusher_internal:subscription_succeeded", data, channel=name))
        if member is not None and member.user_id not in known:
            added = frames.system("pusher_internal:member_added", member.described(), channel=name)
            channel.send(added, but=subscriber.socket_id)
            self._webhooks.tell("member_added", channel=name, user_id=member.user_id)
        if names.is_cache(name):
            kept = self.cached(name)
            subscriber.send(kept.frame if kept else frames.event("pusher:cache_miss", channel=name))
            if kept is None:
                self._webhooks.tell("cache_miss", channel=name)
        self._count(channel)

    def leave(self, name: str, subscriber: Subscriber) -> None:
        """End a subscription, and tell the others if it was the last of its user."""
        channel = self._channels.get(name)
        if channel is None or subscriber not in channel.subscribers:
            return
        member = channel.subscribers.pop(subscriber)
        if member is not None and member.user_id not in channel.users():
            gone = {"user_id": member.user_id}
            channel.send(frames.system("pusher_internal:member_removed", gone, channel=name))
            self._webhooks.tell("member_removed", channel=name, user_id=member.user_id)
        if not channel.subscribers:
            self._webhooks.tell("channel_vacated", channel=name)
            if channel.count_timer is not None:
                channel.count_timer.cancel()
            del self._channels[name]
            return
        self._count(channel)

    # -- events

    def publish(self, name: str, event: str, data: str, *, but: str | None = None) -> None:
        """An event from the app's server: to all subscribers but one, and kept by a cache channel."""
        frame = frames.event(event, data, channel=name)
        if names.is_cache(name):
            self._drop_stale()
            until = self._clock.monotonic() + self._settings().cache_ttl
            self._cached[name] = Cached(frame, data, until)
        self.get(name).send(frame, but=but)

    def cached(self, name: str) -> Cached | None:
        """What a cache channel keeps now."""
        kept = self._cached.get(name)
        return kept if kept is not None and kept.until > self._clock.monotonic() else None

    def remaining(self, kept: Cached) -> int:
        """For how many seconds it is kept still."""
        return max(0, round(kept.until - self._clock.monotonic()))

    # -- within

    def _drop_stale(self) -> None:
        self._cached = {name: kept for name in self._cached if (kept := self.cached(name)) is not None}

    def _count(self, channel: Channel) -> None:
        """Tell how many connections there are: at once, or in a large channel at intervals."""
        if not self._settings().subscription_counts or names.is_presence(channel.name):
            return
        if channel.count_timer is not None:
            channel.count_due = True
            return
        self._tell_count(channel)
        if len(channel.subscribers) > MANY:
            channel.count_timer = self._clock.call_later(
                self._settings().count_interval, lambda: self._count_again(channel)
            )

    def _count_again(self, channel: Channel) -> None:
        channel.count_timer = None
        if channel.count_due:
            channel.count_due = False
            self._count(channel)

    def _tell_count(self, channel: Channel) -> None:
        count = {"subscription_count": len(channel.subscribers)}
        channel.send(frames.system("pusher_internal:subscription_count", count, channel=channel.name))
        self._webhooks.tell("subscription_count", channel=channel.name, **count)
