"""The emulated application: its channels, its connections, and what time does to them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from chatkit.testing.emulators.ably.auth import Access, Authority
from chatkit.testing.emulators.ably.channel import Channel, Entry
from chatkit.testing.emulators.ably.connection import Connection
from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.faults import Faults
from chatkit.testing.emulators.ably.occupancy import Occupancy
from chatkit.testing.emulators.ably.publishing import Origin, Publisher
from chatkit.testing.emulators.ably.serials import Serials
from chatkit.testing.emulators.ably.settings import Settings
from chatkit.testing.emulators.ably.stats import Stats
from chatkit.testing.emulators.ably.wire import Action, PresenceAction, Wire
from chatkit.testing.emulators.clock import EmulatorClock
from chatkit.testing.emulators.pace import Bucket

if TYPE_CHECKING:
    from chatkit.testing.emulators.ably.sse import Stream

SWEEP: Final = 30.0
"""Seconds between two looks for what is too old."""


class Application:
    """All state behind the sockets and the REST interface.

    Args:
        settings: How it behaves at first.
        clock: Its time.
    """

    def __init__(self, settings: Settings, clock: EmulatorClock) -> None:
        self.settings = settings
        self.clock = clock
        self.authority = Authority(settings, self.now)
        self.publisher = Publisher(lambda: self.settings, self.now)
        self.faults = Faults()
        self.stats = Stats(self.now)
        self.occupancy = Occupancy(clock)
        self.channels: dict[str, Channel] = {}
        self.connections: dict[str, Connection] = {}
        self.streams: set[Stream] = set()
        self.site = secrets.token_hex(3)
        self._rates: dict[str, Bucket] = {}
        self._series = 0
        self._left = 0

    def now(self) -> int:
        """Milliseconds since 1970."""
        return int(self.clock.unix() * 1000)

    def use(self, settings: Settings) -> None:
        """Behave so from now on."""
        self.settings = settings
        self.authority.use(settings)
        for channel in self.channels.values():
            channel.rule = settings.rule(channel.name)

    # ------------------------------------------------------------------------------------ channels

    def channel(self, name: str) -> Channel:
        """The channel of that name, made if need be, without what is too old.

        Raises:
            AblyError: 40114, there are too many.
        """
        channel = self.channels.get(name)
        if channel is None:
            if len(self.channels) >= self.settings.channels:
                self.sweep()
            if len(self.channels) >= self.settings.channels:
                raise AblyError(40114)
            self._series += 1
            channel = self.channels[name] = Channel(
                name,
                rule=self.settings.rule(name),
                settings=self.settings,
                serials=Serials(self.now, f"{self.site}{self._series:x}"),
                now=self.now,
            )
        channel.touched = self.now()
        self._tidy(channel)
        return channel

    def _tidy(self, channel: Channel) -> None:
        now, settings = self.now(), self.settings
        continuity = now - int(settings.window_seconds * 1000)
        history = now - int(
            (settings.persisted_seconds if channel.rule.persisted else settings.window_seconds) * 1000
        )
        channel.forget(continuity, history)
        channel.forget_ids(now - int(settings.idempotent_seconds * 1000))

    def sweep(self) -> None:
        """Let go of what is too old and of channels of which nothing is left."""
        for channel in list(self.channels.values()):
            self._tidy(channel)
            if channel.idle(self.now() - int(self.settings.window_seconds * 1000)):
                del self.channels[channel.name]
                self._rates.pop(channel.name, None)

    def keep_tidy(self) -> None:
        """Sweep, now and from time to time."""
        self.sweep()
        self.clock.call_later(SWEEP, self.keep_tidy)

    # ---------------------------------------------------------------------------------- publishing

    def publish(self, channel: Channel, messages: list[Wire], origin: Origin) -> list[str]:
        """Publish within the rates.

        Raises:
            AblyError: 42911 or 42913, and as `Publisher.publish`.
        """
        connection = self.connections.get(origin.connection_id or "")
        if connection and not connection.bucket.take(len(messages), self.settings.connection_rate):
            raise AblyError(42911)
        rate = self._rates.setdefault(channel.name, Bucket(self.clock.monotonic))
        if not rate.take(len(messages), self.settings.channel_rate):
            raise AblyError(42913)
        serials = self.publisher.publish(channel, messages, origin)
        self.stats.count("messages.inbound.all.all.count", len(messages))
        return serials

    # ------------------------------------------------------------------------------------ presence

    def present(self, channel: Channel, item: Wire) -> None:
        """Let a member enter, update or leave, and tell the others.

        Raises:
            AblyError: 91003.
        """
        told = channel.presence.apply(item)
        if told is None:
            return
        channel.presence_history.append({**told, "serial": channel.serials.next()})
        channel.add(
            Entry(
                serial=channel.serials.head,
                at=item["timestamp"],
                action=Action.PRESENCE,
                items=[told],
                connection_id=item["connectionId"],
            )
        )
        self.occupancy.changed(channel)

    def leave(self, connection: Connection, channel: Channel) -> None:
        """Let the members of a connection leave a channel, on nobody's word but the emulator's."""
        connection.present_on.discard(channel.name)
        for member in channel.presence.of_connection(connection.id):
            self._left += 1
            self.present(
                channel,
                {
                    "action": int(PresenceAction.LEAVE),
                    "clientId": member["clientId"],
                    "connectionId": connection.id,
                    "id": f"{self.site}-left:{self._left}:0",
                    "timestamp": self.now(),
                },
            )

    def leave_all(self, connection: Connection) -> None:
        """Likewise on all channels."""
        for name in list(connection.present_on):
            if name in self.channels:
                self.leave(connection, self.channels[name])
        connection.present_on.clear()

    # --------------------------------------------------------------------------------- connections

    def connect(self, access: Access, client_id: str | None) -> Connection:
        """A new connection.

        Raises:
            AblyError: 40111, there are too many.
        """
        self.demand_room()
        connection = Connection(access, client_id, Bucket(self.clock.monotonic))
        self.connections[connection.id] = connection
        return connection

    def demand_room(self) -> None:
        """Refuse one connection or event stream more than there may be.

        Raises:
            AblyError: 40111.
        """
        if len(self.connections) + len(self.streams) >= self.settings.connections:
            raise AblyError(40111)

    def resumable(self, key: str, client_id: str | None) -> Connection:
        """The connection that a key resumes.

        Raises:
            AblyError: 80018, no connection has that key; 80023, it is gone; 40102, it is another client's.
        """
        connection = self.connections.get(key.partition("!")[0])
        if connection is None:
            raise AblyError(80018 if "!" not in key else 80023)
        if not connection.fits(key):
            raise AblyError(80018)
        if client_id is not None and connection.client_id != client_id:
            raise AblyError(40102, "the connection is another client's")
        return connection

    def drop(self, connection: Connection) -> None:
        """Its transport is gone: keep its state, and its members, for a while."""
        connection.session = None
        connection.cancel_timers()
        if connection.id in self.connections:
            connection.timers = [
                self.clock.call_later(connection.present_seconds, lambda: self.leave_all(connection)),
                self.clock.call_later(self.settings.state_seconds, lambda: self.forget(connection)),
            ]
        elif connection.present_on:  # forgotten while it was live: its members go as after any drop
            connection.timers = [
                self.clock.call_later(connection.present_seconds, lambda: self.leave_all(connection))
            ]

    def forget(self, connection: Connection) -> None:
        """Destroy its state: nothing resumes it, its members leave now."""
        self.connections.pop(connection.id, None)
        connection.cancel_timers()
        self.leave_all(connection)

    def find_connections(self, connection: str | None, client: str | None = None) -> Iterator[Connection]:
        """Those of that id and client; `None` is any."""
        for each in list(self.connections.values()):
            if connection in {None, each.id} and client in {None, each.client_id}:
                yield each

    def revoke_now(self) -> None:
        """End the connections whose tokens are revoked by now."""
        for connection in list(self.connections.values()):
            if connection.session is not None and self.authority.revoked(connection.access):
                connection.session.disconnect(AblyError(40141, status=401))
        for stream in list(self.streams):
            if self.authority.revoked(stream.access):
                stream.close()
