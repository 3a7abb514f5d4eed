"""Hands events to the readers that asked for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from chatkit.engine.guarding import Guard, is_for
from chatkit.engine.subscription import PASSING, Subscription
from chatkit.engine.system import logger
from chatkit.engine.track import Told
from chatkit.errors import ChatkitError
from chatkit.model.events import ChannelChanged, DeliveryChanged, Discontinuity, Event
from chatkit.model.values import EMPTY

if TYPE_CHECKING:
    from chatkit.engine.screening import Screen
    from chatkit.model.cursor import Cursor
    from chatkit.model.order import Ident, OrderKey


class Dispatcher:
    """All readers of one client, by channel.

    Args:
        screen: What moderators let be told.
        guards: Channels that are not for every user of this client.
        owner: The user that the client was opened for.
    """

    def __init__(self, screen: Screen, guards: Mapping[str, Guard] = EMPTY, owner: str = "") -> None:
        self._screen = screen
        self._guards = guards
        self._owner = owner
        self._readers: dict[str | None, dict[Subscription, None]] = {}
        self._heard: dict[str, tuple[Subscription, ...]] = {}
        """Who hears a channel that is for every user, as far as it was asked."""
        self.on_add: Callable[[], None] = lambda: None
        """Called when another reader hears."""

    def add(self, reader: Subscription) -> None:
        """Begin to hand events to a reader."""
        self._readers.setdefault(reader.channel, {})[reader] = None
        self._heard.clear()
        self.on_add()

    def remove(self, reader: Subscription) -> None:
        """Stop; idempotent."""
        readers = self._readers.get(reader.channel, {})
        readers.pop(reader, None)
        self._heard.clear()
        if not readers:
            self._readers.pop(reader.channel, None)

    def readers(self, channel: str | None) -> tuple[Subscription, ...]:
        """Return who hears a channel: its own readers and those of all channels that it is for."""
        everywhere = self._readers.get(None, ())
        if channel is None:
            return tuple(everywhere)
        guard = self._guards.get(channel)
        if guard is not None:
            own = self._readers.get(channel, ())
            return (*own, *(reader for reader in everywhere if reader.viewer in guard.ears))
        heard = self._heard.get(channel)
        if heard is None:  # asked with each message, and seldom another
            heard = self._heard[channel] = (*self._readers.get(channel, ()), *everywhere)
        return heard

    def hears(self, channel: str, kind: type[Event]) -> bool:
        """Whether some reader of a channel asked for this type of event."""
        return any(reader.hears(kind) for reader in self.readers(channel))

    def tell(self, event: Event, *, thread: Ident | None = None) -> None:
        """Hand on an event that is no entry of a log.

        `thread`: where it passes by; it is handed to readers of that thread alone.
        """
        shown = self._screen.event(event)
        if shown is None:
            return
        taken, passing = False, isinstance(event, PASSING)
        for reader in self._concerned(event):
            if not passing or reader.thread == thread:
                taken = reader.offer(shown) or taken
        if isinstance(event, Discontinuity) and not taken:
            _warn(event)

    def _concerned(self, event: Event) -> tuple[Subscription, ...]:
        """Return who is told; what becomes of wishes and channels concerns the owner of the client too."""
        name = event.channel
        if name is None or not isinstance(event, (ChannelChanged, DeliveryChanged)):
            return self.readers(name)
        everywhere = (
            reader
            for reader in self.readers(None)
            if reader.viewer == self._owner or is_for(self._guards, name, reader.viewer)
        )
        return (*self._readers.get(name, ()), *everywhere)

    def tell_gap(self, gap: Discontinuity, channel: str, until: OrderKey | None) -> None:
        """Announce a gap that the log can fill; readers that came from the log read it there."""
        taken = False
        for reader in self.readers(channel):
            taken = reader.offer_gap(gap, channel, until) or taken
        if not taken:
            _warn(gap)

    def tell_fact(self, channel: str, told: Told) -> None:
        """Hand on a durable fact to readers that do not have it from the log; a hidden one has its place."""
        if self._screen.moderators and told.event is not None and self._screen.active:
            told = told._replace(event=self._screen.event(told.event))
        for reader in self.readers(channel):
            reader.offer_fact(channel, told)

    def begin(self, channel: str, place: OrderKey | None, cursor: Cursor | None) -> None:
        """Facts of a channel are told from here on."""
        for reader in self.readers(channel):
            reader.track(channel).begin(place, cursor)

    def forget(self, channel: str, place: OrderKey, cursor: Cursor | None) -> None:
        """Places in a channel mean something else now, and facts are told from here on (D18)."""
        for reader in self.readers(channel):
            reader.forget(channel, place, cursor)

    def refuse(self, channel: str, error: ChatkitError) -> None:
        """End the streams of a channel that was refused for good; handlers stay for a later attach."""
        for reader in tuple(self._readers.get(channel, ())):
            if reader.overflow != "reread":
                reader.close(error)

    def close(self, error: BaseException | None = None) -> None:
        """End every stream."""
        for readers in list(self._readers.values()):
            for reader in list(readers):
                reader.close(error)
        self._readers.clear()
        self._heard.clear()


def _warn(gap: Discontinuity) -> None:
    """A gap that nobody hears of shows in the log at least."""
    logger.warning(
        "channel %s: messages may be missing (%s); events(Discontinuity) tells it to the program",
        gap.channel,
        gap.reason,
    )
