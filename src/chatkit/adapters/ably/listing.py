"""`Listing`: reactions that are annotations, asked for where what is known is not what stands.

Source: the Ably sheet, section 11; decision 27.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from chatkit.adapters.ably.annotations import reactions_of
from chatkit.adapters.ably.memory import Memory
from chatkit.adapters.ably.pages import CutShort, Kept, Pages
from chatkit.core.raw_page import CREATE
from chatkit.errors import InvalidMessage, NotAllowed, Rejected
from chatkit.model.envelope import Envelope
from chatkit.model.order import Ident
from chatkit.ports.context import Observer

LISTED: Final = 100
"""Messages that are asked about in one read at most: it ends before the next that needs it."""
AT_ONCE: Final = 8
"""Messages that are asked about at once."""


class Listing:
    """Of one adapter. Each call: `TransportError` where there is no answer.

    Args:
        pages: Of them annotations are asked for, and of which message a serial is.
        memory: What is known of reactions.
        observer: Told where the credential may not read annotations.
    """

    def __init__(self, pages: Pages, memory: Memory, observer: Observer) -> None:
        self._pages = pages
        self._memory = memory
        self._recall = memory.recall
        self._observer = observer

    async def ask(self, channel: str, serial: str) -> bool:
        """Find out about a message; `False`: it is none of ours.

        Raises:
            NotAllowed: The credential may not read annotations.
            ChatkitError: The service has no such message.
        """
        target = self._recall.places.ident_of(channel, serial)
        if target is None:
            first = await self._pages.first(channel, serial)
            if first is None or first.kind != CREATE:
                return False
            target = Ident(first.sender.user, first.id)
            self._recall.places.note(channel, target, serial)
        await self._ask(channel, serial, target)
        return True

    async def read(
        self, channel: str, reads: AsyncIterator[tuple[str, Kept | None]]
    ) -> AsyncIterator[tuple[str, Kept | None]]:
        """Pass on what is read of history, with the reactions of each message.

        Raises:
            CutShort: More lies beyond the last one.
        """
        last, left, allowed = "", LISTED, True
        async for ahead in _some(reads):
            wanted = {
                serial: ident for serial, kept in ahead if (ident := self._missing(channel, serial, kept))
            }
            asked = list(wanted.items())[:left] if allowed else []
            allowed = all(await asyncio.gather(*(self._try(channel, *each) for each in asked))) and allowed
            left -= len(asked)
            for serial, kept in ahead:
                if allowed and serial in wanted and serial not in dict(asked):
                    raise CutShort(last)
                last = serial
                known = () if kept is None else self._recall.reacted.of(channel, serial)
                yield serial, kept._replace(reactions=known) if kept is not None and known else kept

    # -- inside

    def _missing(self, channel: str, serial: str, kept: Kept | None) -> Ident | None:
        """Return of which message what is known does not say what stands; `None`: it does."""
        since = self._memory.heard_since(channel)
        if kept is None or self._recall.reacted.is_whole(channel, serial, kept.stands, since):
            return None
        try:
            envelope = Envelope.parse(kept.entry.data)
        except InvalidMessage:
            return None
        return Ident(kept.entry.stamp.user, envelope.id) if envelope.kind == CREATE else None

    async def _try(self, channel: str, serial: str, target: Ident) -> bool:
        """Ask about a message; `False`: the credential may not."""
        try:
            await self._ask(channel, serial, target)
        except NotAllowed:
            self._observer.point("ably.no_annotations", channel=channel)
            return False
        except Rejected:  # it is gone meanwhile
            return True
        return True

    async def _ask(self, channel: str, serial: str, target: Ident) -> None:
        heard_since = self._memory.heard_since(channel)
        told = reactions_of(channel, target, await self._pages.annotations(channel, serial))
        self._recall.reacted.note(channel, serial, told)
        self._recall.reacted.listed(channel, serial, heard_since)


async def _some(
    reads: AsyncIterator[tuple[str, Kept | None]],
) -> AsyncIterator[list[tuple[str, Kept | None]]]:
    """Pass on what is read, some at once."""
    ahead = list[tuple[str, Kept | None]]()
    try:
        async for each in reads:
            ahead.append(each)
            if len(ahead) == AT_ONCE:
                yield ahead
                ahead = []
    except CutShort:
        if ahead:
            yield ahead
        raise
    if ahead:
        yield ahead
