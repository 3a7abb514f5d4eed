"""`HttpPublisher`: publishing with the secret: no session, and no order between two calls (D8, D29)."""

from __future__ import annotations

from collections.abc import Sequence

from chatkit.adapters.pusher.calls import BATCH, Calls, Event, Verdict
from chatkit.adapters.pusher.payload import EVENT
from chatkit.adapters.pusher.wire import Wire, too_many
from chatkit.model.entry import Stamp
from chatkit.ports.outgoing import Ack, Again, Batch, Outgoing


class HttpPublisher:
    """Publishes over the HTTP API.

    Args:
        wire: Names and packs.
        calls: The API.
    """

    def __init__(self, wire: Wire, calls: Calls) -> None:
        self._wire = wire
        self._calls = calls

    async def publish(self, batch: Batch, stamps: Sequence[Stamp | None], /) -> list[Ack]:
        """Make one attempt; one `Ack` an entry, in order.

        Raises:
            TransportError: The outcome is unknown.
        """
        if len(batch.entries) > BATCH:
            return too_many(batch.channel, batch.entries, BATCH)
        problems = [self._wire.problem(batch.channel, entry) for entry in batch.entries]
        good = [
            (entry, stamp)
            for entry, stamp, problem in zip(batch.entries, stamps, problems, strict=True)
            if problem is None
        ]
        if good:
            name = self._wire.name(batch.channel)
            events = [Event(name, EVENT, self._wire.pack(name, entry.data, stamp)) for entry, stamp in good]
            verdict = await self._calls.publish(events)
            acks = iter([_ack(entry, stamp, verdict) for entry, stamp in good])
        else:
            acks = iter(())
        return [next(acks) if problem is None else problem for problem in problems]


def _ack(entry: Outgoing, stamp: Stamp | None, verdict: Verdict) -> Ack:
    if verdict.error is None:
        return Ack(entry.ident, "new", None if stamp is None else stamp.key)
    again: Again = "never" if verdict.scope == "entry" else "later"
    return Ack(
        entry.ident,
        verdict.outcome,
        error=verdict.error,
        scope=verdict.scope,
        again=again,
        after=verdict.after,
    )
