"""`Telling`: what stands in a channel as signals, each with its place, for who hears without a socket."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, TypeAlias

from chatkit.adapters.ably import envelopes
from chatkit.adapters.ably.annotations import SUMMARY, summary_of
from chatkit.adapters.ably.history import AblyHistory
from chatkit.adapters.ably.memory import Memory
from chatkit.adapters.ably.places import key_of, moment, time_of
from chatkit.adapters.ably.versions import Version, received, version_of
from chatkit.adapters.ably.wire import Frame, as_int, as_text
from chatkit.errors import ChatkitError, NotAllowed, Rejected
from chatkit.model.envelope import Envelope
from chatkit.ports.adapter import Signal
from chatkit.ports.context import Observer
from chatkit.transport import Item

LOOKS: Final = 1_000
"""Messages of which it is remembered when they were asked about (I10)."""

Told: TypeAlias = tuple[Signal, ...]
"""What one thing that stands in a channel is told as."""


class Telling:
    """Of one session.

    Args:
        history: Where what does not say all is looked up.
        memory: Told of changes.
        observer: Told of what cannot be found out.
        logged: A log beside Ably numbers.
    """

    def __init__(self, history: AblyHistory, memory: Memory, observer: Observer, *, logged: bool) -> None:
        self._history = history
        self._memory = memory
        self._observer = observer
        self._logged = logged
        self._looks: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._look = 0

    async def told(
        self, channel: str, message: Frame, *, whole: bool, doubted: bool = False
    ) -> list[Item[Told]]:
        """Return what a message tells, each with its place; nothing where it has none.

        Args:
            channel: Its channel.
            message: Of history, or of a stream.
            whole: Of one that was changed also what it was made as, which stands where it was made.
            doubted: Its reactions are listed, though what is known of them is what stands.
        """
        summed = not self._logged and message.get("action") == SUMMARY and summary_of(message) is not None
        told = [] if summed else await self._changes(channel, message, whole=whole)
        if self._logged:
            return told
        return told + await self._reactions(channel, message, summed=summed, doubted=doubted)

    def doubted(self, channel: str, messages: Sequence[Frame], most: int) -> frozenset[str]:
        """Return the serials of messages whose reactions may be others than those known, which stand.

        At most so many, those first that were not asked about for longest: others come with the next look.
        """
        recall = self._memory.recall
        found = list[str]()
        for message in messages:
            serial = as_text(message.get("serial"))
            if serial is not None and recall.reacted.is_doubted(
                channel,
                serial,
                summary_of(message),
                recall.said.of(channel, recall.places.ident_of(channel, serial)),
            ):
                found.append(serial)
        chosen = sorted(found, key=lambda serial: self._looks.get((channel, serial), 0))[:most]
        self._look += 1
        for serial in chosen:
            self._looks[channel, serial] = self._look
            self._looks.move_to_end((channel, serial))
        while len(self._looks) > LOOKS:
            _ = self._looks.popitem(last=False)
        return frozenset(chosen)

    # -- inside

    async def _changes(self, channel: str, message: Frame, *, whole: bool) -> list[Item[Told]]:
        version = None if self._logged else version_of(message)
        if version is None:
            item = _item(message)
            if item is None:
                return []
            if not self._logged and (entry := envelopes.entry_of(message)) is not None:
                self._memory.recall.said.note(channel, entry)
            return [item._replace(what=(envelopes.signal_of(channel, message, logged=self._logged),))]
        at = moment(time_of(version.number) or 0)
        now = await self._creation(channel, version)
        if now is None:
            return [Item(version.key, at, (envelopes.signal_of(channel, message),))]
        changes = version.changes(now)
        self._memory.recall.change(channel, version.serial, changes)
        self._memory.note(channel, version.key.serial)
        told = Item[Told](version.key, at, tuple(received(channel, entry) for entry in changes))
        made = version.as_entry(now)
        return [Item(made.stamp.key, made.stamp.at, (received(channel, made),)), told] if whole else [told]

    async def _reactions(
        self, channel: str, message: Frame, *, summed: bool, doubted: bool
    ) -> list[Item[Told]]:
        """Return the reactions to a message; to one that only tells what stands those that were not told.

        Where the service lists less than it said, the next look asks again.
        """
        serial, summary = as_text(message.get("serial")), summary_of(message)
        reacted = self._memory.recall.reacted
        if serial is None:
            return []
        since = self._memory.heard_since(channel)
        if summed or doubted or not reacted.is_whole(channel, serial, summary, since):
            try:
                _ = await self._history.listing.ask(channel, serial)
            except (NotAllowed, Rejected) as error:
                self._observer.point("ably.reactions_unread", channel=channel, error=type(error).__name__)
        entries = reacted.untold(channel, serial) if summed else reacted.of(channel, serial)
        for entry in entries:
            self._memory.note(channel, entry.stamp.key.serial)
        return [Item(one.stamp.key, one.stamp.at, (received(channel, one),)) for one in entries]

    async def _creation(self, channel: str, version: Version) -> Envelope | None:
        try:
            return await self._history.pages.creation(channel, version)
        except ChatkitError as error:
            self._observer.point("ably.version_unknown", channel=channel, error=type(error).__name__)
            return None


def _item(message: Frame) -> Item[Told] | None:
    """Return the place of a message; `None`: it has none."""
    serial = as_text(message.get("serial"))
    if serial is None:
        return None
    at = time_of(serial)
    return Item(key_of(serial), moment(as_int(message.get("timestamp")) or 0 if at is None else at), ())
