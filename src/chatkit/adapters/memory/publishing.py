"""How one client publishes: the hub numbers, or it announces what a log of the app's own has numbered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from chatkit.adapters.memory.answers import inadmissible, merged, refuse_all
from chatkit.adapters.memory.hub import Hub
from chatkit.adapters.memory.network import Link
from chatkit.adapters.memory.peer import Caller
from chatkit.adapters.memory.wire import request
from chatkit.model.entry import Entry, Stamp
from chatkit.ports.outgoing import Ack, Batch

Act: TypeAlias = Callable[[], "tuple[Ack, ...]"]
Ask: TypeAlias = Callable[[Act], "Awaitable[tuple[Ack, ...]]"]
"""A way to the hub: lets it do something and returns its answer."""


class Publishing:
    """Makes one attempt at a batch, over whichever way to the hub.

    Args:
        hub: Where it goes.
        link: Over which network.
        caller: As whom.
    """

    def __init__(self, hub: Hub, link: Link, caller: Caller) -> None:
        self._hub = hub
        self._link = link
        self._caller = caller

    async def attempt(self, batch: Batch, stamps: Sequence[Stamp | None], ask: Ask) -> tuple[Ack, ...]:
        """Publish; one `Ack` an entry, in order."""

        def act() -> tuple[Ack, ...]:
            refusal = self._link.refusal("publish")
            if refusal is not None:
                return refuse_all(batch.entries, refusal)
            if self._caller.own_log:
                return self._announce(batch, stamps)
            return self._hub.publish(self._caller, batch)

        return await ask(act)

    def _announce(self, batch: Batch, stamps: Sequence[Stamp | None]) -> tuple[Ack, ...]:
        slow = self._hub.too_fast(self._caller, batch)
        if slow is not None:
            return slow
        bad = inadmissible(self._caller, batch.channel, batch.entries)
        good = [
            (entry, stamp)
            for i, (entry, stamp) in enumerate(zip(batch.entries, stamps, strict=True))
            if i not in bad
        ]
        kept = [Entry(entry.data, stamp) for entry, stamp in good if stamp is not None]
        self._hub.announce(self._caller, batch.channel, kept)
        acks = [Ack(entry.ident, "new", None if stamp is None else stamp.key) for entry, stamp in good]
        return merged(acks, bad)


class HttpPublisher:
    """Publishing over HTTP with the app's secret: no session, and no order between two requests."""

    def __init__(self, publishing: Publishing, link: Link) -> None:
        self._publishing = publishing
        self._link = link

    async def publish(self, batch: Batch, stamps: Sequence[Stamp | None], /) -> tuple[Ack, ...]:
        """Make one attempt; one `Ack` an entry, in order.

        Raises:
            TransportError: The outcome is unknown.
        """

        def ask(act: Act) -> Awaitable[tuple[Ack, ...]]:
            return request(self._link, act, call="publish")

        return await self._publishing.attempt(batch, stamps, ask)
