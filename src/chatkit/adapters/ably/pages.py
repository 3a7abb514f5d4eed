"""`Pages`: answers of the service about what it keeps, message by message.

Source: the Ably sheet, sections 10 and 11.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Final, NamedTuple

from chatkit.adapters.ably.access import Access
from chatkit.adapters.ably.annotations import Annotation, Register, annotation_of, summary_of
from chatkit.adapters.ably.envelopes import entry_of
from chatkit.adapters.ably.memory import Memory
from chatkit.adapters.ably.names import name_of
from chatkit.adapters.ably.places import key_of, moment, time_of
from chatkit.adapters.ably.rest import Rest
from chatkit.adapters.ably.versions import Version, first_of, number_of, version_of
from chatkit.adapters.ably.wire import Frame, as_frame, as_int, as_text
from chatkit.model.entry import Entry
from chatkit.model.envelope import Envelope
from chatkit.model.order import OrderKey

PAGES: Final = 20
"""Answers of the service that one call of ours reads at most."""
FIRSTS: Final = 100
"""Messages whose first version is asked for in one read at most: others that need it are left out."""
ANSWERS: Final = 5
"""Of them so many are read about the annotations of one message, 1,000 each."""
VERSIONS: Final = "50"
"""Versions of a message in one answer."""


class Kept(NamedTuple):
    """A message of history."""

    entry: Entry
    """What it carries."""
    changes: tuple[Entry, ...]
    """What its newest version changed, if it is not its first."""
    at_once: bool
    """It came with the first answer: all that was changed before that is in."""
    stands: frozenset[Register] | None
    """The reactions that stand, being annotations; `None`: there never were any."""
    reactions: tuple[Entry, ...] = ()
    """The last of each of these (`Listing`)."""

    @property
    def later(self) -> tuple[Entry, ...]:
        """All that came after what it carries."""
        return (*self.changes, *self.reactions)


class CutShort(Exception):  # no error: passed on within the adapter
    """A read ended where it has to, and more lies beyond a place."""

    def __init__(self, serial: str) -> None:
        super().__init__()
        self.serial = serial

    @property
    def place(self) -> OrderKey:
        """The place."""
        return key_of(self.serial)

    @property
    def at(self) -> datetime:
        """When what stands there was said."""
        return moment(time_of(self.serial) or 0)


class Pages:
    """What is kept of channels. Each call: `TransportError` where there is no answer.

    Args:
        rest: The calls.
        access: With which credentials.
        memory: What is known of versions beside.
        namespace: Of the channels.
    """

    def __init__(self, rest: Rest, access: Access, memory: Memory, namespace: str) -> None:
        self._rest = rest
        self._access = access
        self._recall = memory.recall
        self._namespace = namespace

    async def read(self, channel: str, params: Mapping[str, str]) -> AsyncIterator[tuple[str, Kept | None]]:
        """Read history: the serial of each message, and what it is; `None`: none of ours.

        Raises:
            CutShort: More lies beyond the last one; what others say in a channel has no end.
        """
        serial = ""
        page = await self._rest.history(name_of(channel, self._namespace), self._access, params)
        asked = 0
        for number in range(PAGES):
            for item in page.items:
                version = version_of(item)
                if version is None:
                    entry = entry_of(item)
                    if entry is not None:
                        self._recall.said.note(channel, entry)
                    kept = None if entry is None else Kept(entry, (), number == 0, summary_of(item))
                else:
                    now = version.creation(channel)
                    if now is None and asked < FIRSTS:
                        asked += 1
                        now = await self.creation(channel, version)
                    kept = None if now is None else self._kept(channel, version, now, number == 0, item)
                serial = as_text(item.get("serial")) or serial
                yield serial, kept
            if page.next is None:
                return
            if number + 1 < PAGES:
                page = await self._rest.page(page.next, self._access)
        raise CutShort(serial)

    async def creation(self, channel: str, version: Version) -> Envelope | None:
        """Return the creation of a message with the body that another client gave it; `None`: not ours."""
        now = version.creation(channel)
        if now is not None:
            return now
        first = await self.first(channel, version.serial)
        return None if first is None else version.creation_from(first)

    async def first(self, channel: str, serial: str) -> Envelope | None:
        """Return what a message was at first; `None`: none of ours."""
        name = name_of(channel, self._namespace)
        page = await self._rest.versions(name, serial, self._access, {"direction": "forwards", "limit": "1"})
        return first_of(page.items[0], channel) if page.items else None

    async def versions(self, channel: str, serial: str, *, since: int) -> list[Frame]:
        """Return versions of a message, newest first: the newest, and all that were made since a time.

        Args:
            channel: The channel.
            serial: Of the message.
            since: In milliseconds since 1970.
        """
        name = name_of(channel, self._namespace)
        page = await self._rest.versions(
            name, serial, self._access, {"direction": "backwards", "limit": VERSIONS}
        )
        found = list(page.items)
        for _ in range(PAGES - 1):
            # In whichever order they come: an answer that ends with what is older has what is newer.
            ends = page.items and number_of(page.items[0]) >= number_of(page.items[-1])
            if page.next is None or (ends and _made_at(page.items[-1]) < since):
                break
            page = await self._rest.page(page.next, self._access)
            found += page.items
        return sorted(found, key=number_of, reverse=True)

    async def annotations(self, channel: str, serial: str) -> list[Annotation]:
        """Return the annotations of a message that are reactions."""
        page = await self._rest.annotations(name_of(channel, self._namespace), serial, self._access)
        found = list(page.items)
        for _ in range(ANSWERS - 1):
            if page.next is None:
                break
            page = await self._rest.page(page.next, self._access)
            found += page.items
        told = [annotation_of({**item, "messageSerial": serial}) for item in found]
        return [annotation for annotation in told if annotation is not None]

    def _kept(self, channel: str, version: Version, now: Envelope, at_once: bool, item: Frame) -> Kept:  # noqa: FBT001
        changes = version.changes(now)
        self._recall.change(channel, version.serial, changes)
        # History may lag behind what came live: a newer version that is known counts (I7).
        newest = self._recall.newest(channel, version.serial) or changes
        return Kept(version.as_entry(now), newest, at_once, summary_of(item))


def _made_at(item: Frame) -> int:
    told = as_frame(item.get("version")) or {}
    return as_int(told.get("timestamp")) or as_int(item.get("timestamp")) or 0
