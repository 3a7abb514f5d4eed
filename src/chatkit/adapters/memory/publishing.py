"""How one client publishes: to the hub, or into a log that the app brought, announced by the hub."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from chatkit.adapters.memory.answers import admitted, inadmissible, merged, refuse_all
from chatkit.adapters.memory.hub import Hub
from chatkit.adapters.memory.network import Link
from chatkit.adapters.memory.peer import Caller
from chatkit.adapters.memory.wire import request
from chatkit.model.entry import Entry, Stamp
from chatkit.ports.log import Appended, Log
from chatkit.ports.outgoing import Ack, Batch, Outgoing

Act: TypeAlias = Callable[[], "tuple[Ack, ...]"]
Ask: TypeAlias = Callable[[Act], "Awaitable[tuple[Ack, ...]]"]
"""A way to the hub: lets it do something and returns its answer."""


class Publishing:
    """Makes one attempt at a batch, over whichever way to the hub.

    Args:
        hub: Where it goes.
        link: Over which network.
        caller: As whom.
        log: The app's own; `None`: the hub numbers as its profile does.
    """

    def __init__(self, hub: Hub, link: Link, caller: Caller, log: Log | None) -> None:
        self._hub = hub
        self._link = link
        self._caller = caller
        self.log = log

    async def attempt(self, batch: Batch, ask: Ask) -> tuple[Ack, ...]:
        """Publish; one `Ack` an entry, in order.

        With a log of the app's own an attempt is two steps. What the first one kept is announced by the next
        attempt where the second one failed, as a duplicate of itself.
        """
        if self.log is None:
            return await ask(lambda: self._publish(batch))
        bad = inadmissible(self._caller, batch.channel, batch.entries)
        good = admitted(batch.entries, bad)
        appended = await self.log.append(batch.channel, good)
        kept = _kept(good, appended)
        acks = merged(appended.acks, bad)
        return await ask(lambda: self._announce(batch, kept, acks))

    def _publish(self, batch: Batch) -> tuple[Ack, ...]:
        refusal = self._link.refusal("publish")
        return (
            self._hub.publish(self._caller, batch) if refusal is None else refuse_all(batch.entries, refusal)
        )

    def _announce(self, batch: Batch, kept: Sequence[Entry], acks: tuple[Ack, ...]) -> tuple[Ack, ...]:
        self._hub.announce(self._caller, batch.channel, kept)
        return acks


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
        del stamps  # the hub, or the log, numbers

        def ask(act: Act) -> Awaitable[tuple[Ack, ...]]:
            return request(self._link, act, call="publish")

        return await self._publishing.attempt(batch, ask)


def _kept(entries: Sequence[Outgoing], appended: Appended) -> list[Entry]:
    """Return what the log keeps of a batch, now or from an earlier attempt, with the places it told.

    A predecessor is known only within one append: of the first entry nobody can say it, and readers look.
    """
    found: list[Entry] = []
    prev: str | None = None
    for entry, ack in zip(entries, appended.acks, strict=True):
        if ack.key is None or ack.outcome not in {"new", "duplicate"}:
            continue
        at = ack.sent_at or appended.state.now
        new = ack.outcome == "new"
        stamp = Stamp(ack.key, prev if new else None, appended.state.log_id, entry.ident.user, at)
        found.append(Entry(entry.data, stamp))
        prev = ack.key.serial if new else prev
    return found
