"""Bugs planted on the way out: D6 to D15, D27."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from chatkit.core import delivery
from chatkit.core.table import Step
from chatkit.engine import answers, lane
from chatkit.engine.accepting import Acceptor
from chatkit.engine.entry import OutboxEntry
from chatkit.engine.lane import Lane
from chatkit.engine.outbox import Outbox
from chatkit.errors import ChatkitError
from chatkit.logs.fence import Fence
from chatkit.model.envelope import Envelope
from chatkit.model.order import Ident
from tests.testing.planting import bug, wrap
from tests.testing.worlds import Patch, hasty

S, I, E = delivery.State, delivery.Input, delivery.Effect


@bug("D6, D14", "I3", seed=4, steps=40)
def promised_before_commit(patch: Patch) -> None:
    """A send returns when its wish was handed to the store, not when the store has it."""

    async def keep(_real: Any, acceptor: Any, *kept: Any) -> Any:
        context = acceptor._context

        async def later() -> None:
            await asyncio.sleep(1)
            with suppress(ChatkitError):
                await context.store.add(kept)

        context.tasks.spawn(later(), "add")
        return kept

    wrap(patch, Acceptor, "_keep", keep)


@bug("D6", "I3", seed=12, steps=20)
def pending_forgotten_on_restart(patch: Patch) -> None:
    """What was not finished when the process died is not read again."""

    async def load(_real: Any, outbox: Any, device: str) -> Any:
        outbox.lanes.device = device
        return []

    wrap(patch, Outbox, "load", load)


@bug("D7", "I2", seed=1, steps=20)
def fresh_id_on_retry(patch: Patch) -> None:
    """What had no answer goes out again under another id."""

    def silence(real: Any, one: Any, entries: Any, error: Any) -> Any:
        for entry in entries:
            if entry.unfinished:
                said = Envelope.parse(entry.row.data).model_copy(update={"id": one._outbox.new_id()})
                ident = Ident(entry.row.ident.user, said.id)
                entry.row = entry.row._replace(ident=ident, data=said.encode())
        return real(one, entries, error)

    wrap(patch, Lane, "_silence", silence)


@bug("D4, D7", "I5", seed=5, steps=100, profile="pusher")
def stamped_anew_on_retry(patch: Patch) -> None:
    """Each attempt reads the hybrid clock: its copies stand in different places."""

    def silence(real: Any, one: Any, entries: Any, error: Any) -> Any:
        clock, now = one._context.hlc, one._context.server_time.now_ms()
        for entry in entries:
            if entry.unfinished:
                said = Envelope.parse(entry.row.data).model_copy(update={"hlc": clock.tick(now)})
                entry.row = entry.row._replace(data=said.encode())
        return real(one, entries, error)

    wrap(patch, Lane, "_silence", silence)


@bug("D7", "I1", seed=1, steps=80)
def attempted_entry_withdrawn(patch: Patch) -> None:
    """`discard()` takes back what may have arrived."""
    patch.setattr(OutboxEntry, "untried", property(lambda entry: entry.unfinished))
    for state in (S.SENDING, S.IN_DOUBT):
        patch.setitem(delivery.TABLE, (state, I.DISCARD), Step(S.DISCARDED, (E.CERTAIN,)))
    for given in (I.ACKED, I.SILENCE, I.UNSENT, I.ABSENT, I.REFUSED):
        patch.setitem(delivery.TABLE, (S.DISCARDED, given), Step(S.DISCARDED))


@bug("D8", "I4", seed=0, steps=20)
def lane_order_lost(patch: Patch) -> None:
    """What waits goes out last first."""

    def form(real: Any, outbox: Any, key: Any, mark: Any, queue: Any) -> Any:
        queue.reverse()
        return real(outbox, key, mark, queue)

    wrap(patch, lane, "form", form)


@bug("D8", "I4", seed=8, steps=40, profile="memory")
def two_publishes_in_flight(patch: Patch) -> None:
    """A lane does not wait for the answer to one publish before it makes the next."""
    patch.setattr(Outbox, "in_order", property(lambda _: True))

    def init(real: Any, outbox: Any, *given: Any, **named: Any) -> None:
        real(outbox, *given, **{**named, "window": 3})

    wrap(patch, Outbox, "__init__", init)


@bug("D9", "I4", seed=0, steps=40, profile="copied-store")
def lanes_not_fenced(patch: Patch) -> None:
    """The log takes what its lane has passed: a copy of a store, or a late request, writes between."""

    def answer(real: Any, fence: Any, entry: Any, *rest: Any) -> Any:
        fence._lanes.pop((entry.ident.user, entry.device), None)
        return real(fence, entry, *rest)

    wrap(patch, Fence, "answer", answer)


@bug("D11", "I1", seed=2, steps=20)
def silence_taken_for_sent(patch: Patch) -> None:
    """Written is sent: no answer is a good answer."""
    for state in (S.SENDING, S.IN_DOUBT):
        patch.setitem(delivery.TABLE, (state, I.SILENCE), Step(S.SENT, (E.CERTAIN,)))


@bug("D12", "I1", seed=0, steps=40)
def refusal_of_the_connection_drops_entries(patch: Patch) -> None:
    """What was refused for the connection's sake is dropped, and nobody is told."""

    def refuse(real: Any, outbox: Any, outcome: Any, entry: Any, ack: Any, *, vague: bool) -> None:
        before = len(outcome.again)
        real(outbox, outcome, entry, ack, vague=vague)
        if ack.scope == "connection":
            del outcome.again[before:]

    wrap(patch, answers, "_refuse", refuse)


@bug("D13", "I1", seed=20, steps=150, world=hasty)
def deadline_ends_doubt(patch: Patch) -> None:
    """An entry that may have arrived is certainly expired at its deadline."""
    patch.setitem(delivery.TABLE, (S.IN_DOUBT, I.DEADLINE), Step(S.EXPIRED, (E.CERTAIN,)))


@bug("D27", "I1", seed=0, steps=40, profile="copied-store")
def superseded_taken_for_sent(patch: Patch) -> None:
    """What the log has passed in its lane counts as a duplicate: the lane of a copied store goes on."""

    def answer(real: Any, fence: Any, entry: Any, *rest: Any) -> Any:
        found = real(fence, entry, *rest)
        return found._replace(outcome="duplicate") if found and found.outcome == "superseded" else found

    wrap(patch, Fence, "answer", answer)
