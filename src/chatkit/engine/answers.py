"""What the answers to one attempt make of its entries, and what they ask of the lane (D9, D10, D12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chatkit.core.delivery import Input
from chatkit.engine import reading
from chatkit.errors import ChatkitError, GaveUp, ProviderError

if TYPE_CHECKING:
    from chatkit.engine.entry import OutboxEntry
    from chatkit.engine.outbox import Outbox
    from chatkit.ports import Ack, Batch, Outgoing

REFUSALS: Final = 20
"""Definite server errors on one entry, while others pass, after which it is given up (D12)."""
REFUSED_FOR: Final = 3_600.0
"""Seconds of such errors after which it is given up."""


@dataclass(slots=True)
class Outcome:
    """What one answered attempt asks of its lane."""

    passed: bool = False
    """Something was accepted."""
    again: list[OutboxEntry] = field(default_factory=list["OutboxEntry"])
    """Entries to be sent again, in order."""
    split: bool = False
    """Each of them on its own: the answer was about entries, not about the batch as such (D10)."""
    overtaken: bool = False
    """Somebody else has used the numbers of this lane (D27)."""
    stale: list[OutboxEntry] = field(default_factory=list["OutboxEntry"])
    """Entries that a fresh credential may help."""
    pause: ChatkitError | None = None
    """Why the whole connection is refused."""
    incurable: bool = False
    """It was refused with a fresh credential too, or for another reason."""
    lane_pause: bool = False
    """The lane is refused: frozen, or in slow mode."""
    patient: bool = False
    """It is of no use to come again at once."""
    after: float | None = None
    """The longest wait asked for, in seconds."""


def take_answers(
    outbox: Outbox, batch: Batch, entries: Sequence[OutboxEntry], acks: Sequence[Ack]
) -> Outcome:
    """Move each entry to where its answer leads; one that ended meanwhile hears only that it was accepted."""
    outcome = Outcome()
    vague = len(acks) > 1 and not outbox.context.fenced and all(_refused_for_good(ack) for ack in acks)
    outcome.split = vague or not all(_wide(ack) for ack in acks)
    for out, entry, ack in zip(batch.entries, entries, acks, strict=True):
        match ack.outcome:
            case "new" | "duplicate" | "conflict":
                outcome.passed = True
                _accept(outbox, batch.channel, out, entry, ack)
            case _ if entry.state.done:
                continue
            case "too_late":
                outbox.move(entry, Input.TOO_LATE)
            case "superseded":
                outbox.move(entry, Input.ABSENT)
                outcome.overtaken = True
            case _:
                _refuse(outbox, outcome, entry, ack, vague=vague)
    return outcome


def _accept(outbox: Outbox, channel: str, out: Outgoing, entry: OutboxEntry, ack: Ack) -> None:
    context = outbox.context
    origin = outbox.origin_of(channel)
    fact = None
    if ack.outcome == "conflict":
        context.counters["conflict"] += 1  # the first one stands: our bytes are not what the channel has (D1)
    elif ack.key is not None or context.adapter.capabilities.order == "clock":
        # It counts here as much as for others (D2, I5).
        attested = reading.vouched(context, context.adapter.capabilities.attested)
        fact = reading.own(out, ack, attested, origin)
        entry.attested = fact.attested
    key = ack.key if fact is None else fact.key
    entry.row = entry.row._replace(stamp=key or entry.row.stamp, announced=not outbox.publishing.announces)
    entry.sent_at, entry.origin = ack.sent_at, origin
    if ack.outcome == "new" and ack.sent_at is not None and not context.server_time.confirmed:
        context.server_time.confirm(ack.sent_at)  # a contact like any other (D13)
    outbox.move(entry, Input.ACKED)
    outbox.tell_sent(entry, fact)


def _refuse(outbox: Outbox, outcome: Outcome, entry: OutboxEntry, ack: Ack, *, vague: bool) -> None:
    error = ack.error or ProviderError("the provider did not take it and did not say why")
    why = None if vague or ack.scope != "entry" else _why_it_ends(outbox, entry, ack, error)
    if why is not None:
        certain = outbox.context.fenced and _refused_for_good(ack)
        outbox.move(entry, Input.REFUSED_ABSENT if certain else Input.REFUSED, why)
        return
    outbox.move(entry, Input.UNSENT, error)
    if outbox.fail_orphan(entry):
        return
    outcome.again.append(entry)
    curable = ack.again == "reauthenticate" and not entry.refreshed
    if curable:
        outcome.stale.append(entry)
    if ack.scope == "connection":
        outcome.pause = error
        outcome.incurable |= not curable
    outcome.lane_pause |= ack.scope == "lane"
    outcome.patient |= not vague and ack.again in ("later", "never")
    if ack.after is not None:
        outcome.after = max(outcome.after or 0.0, ack.after)
    if ack.again != "reauthenticate":
        entry.refreshed = False


def _why_it_ends(outbox: Outbox, entry: OutboxEntry, ack: Ack, error: ChatkitError) -> ChatkitError | None:
    """Return why an entry fails after a refusal of its own, or `None`: it is tried again (D12)."""
    if _refused_for_good(ack) or (ack.again == "reauthenticate" and entry.refreshed):
        return error
    if ack.again in ("now", "reauthenticate"):
        return None
    now = outbox.context.clock.monotonic()
    if not entry.refusals:
        entry.refused_since, entry.sent_before = now, outbox.totals["sent"]
    entry.refusals += 1
    others_pass = outbox.totals["sent"] > entry.sent_before  # else the provider may be failing altogether
    if (entry.refusals < REFUSALS or not others_pass) and now - entry.refused_since < REFUSED_FOR:
        return None
    gave_up = GaveUp("the provider answered with errors for this message alone")
    gave_up.__cause__ = error
    return gave_up


def _refused_for_good(ack: Ack) -> bool:
    return ack.outcome == "refused" and ack.scope == "entry" and ack.again == "never"


def _wide(ack: Ack) -> bool:
    """Whether an answer is about the batch as such: it goes out again as it was."""
    return ack.outcome in ("refused", "unsent") and (ack.scope != "entry" or ack.again == "reauthenticate")
