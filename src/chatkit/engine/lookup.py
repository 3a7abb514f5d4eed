"""Retrying past the provider's memory: what is in doubt is looked up first (D10)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from chatkit.core.delivery import Input, State
from chatkit.errors import CapabilityError

if TYPE_CHECKING:
    from chatkit.engine.entry import OutboxEntry
    from chatkit.engine.outbox import Outbox

MARGIN: Final = 20.0
"""Seconds before the end of a provider's duplicate window from which on an id is looked up first."""


async def worth_sending(outbox: Outbox, channel: str, entries: Sequence[OutboxEntry]) -> bool:
    """Say whether a batch that was written before must go out again.

    What is in doubt is looked up, unless a fence or the provider's own memory makes a repeat harmless. Where
    nobody can say, the same bytes go out again and the entry may be a duplicate.

    Raises:
        ChatkitError: The log gave no answer.
    """
    context = outbox.context
    doubtful = [entry for entry in entries if entry.state is State.IN_DOUBT]
    if doubtful and not context.fenced:
        now = context.server_time.now()
        first = min(entry.row.first_attempt or now for entry in doubtful)
        window = context.adapter.capabilities.duplicate_window - MARGIN
        known_batch = all(entry.row.batch_id is not None for entry in doubtful)
        if not (known_batch and 0 <= (now - first).total_seconds() < window):
            absent = await look_up(outbox, channel, doubtful, first)
            for entry in doubtful:
                if entry.unfinished and absent:
                    outbox.move(entry, Input.ABSENT)
                entry.maybe_duplicate |= entry.unfinished and not absent
    return any(entry.unfinished for entry in entries)


async def look_up(outbox: Outbox, channel: str, entries: Sequence[OutboxEntry], since: datetime) -> bool:
    """Confirm those entries that the log has; return whether the others are certainly absent.

    Args:
        outbox: Where they lie.
        channel: Theirs.
        entries: Those in question.
        since: When the first of them was written: the log must reach back to there.

    Raises:
        ChatkitError: The log gave no answer.
    """
    log = outbox.context.log
    if log is None:
        return False
    idents = [entry.row.ident for entry in entries if entry.state is not State.SENT]
    try:
        found = await outbox.context.read(lambda: log.find(channel, idents))
    except CapabilityError:
        return False
    for entry in entries:
        key = found.items.get(entry.row.ident)
        if key is not None:
            outbox.seen(channel, entry.row.ident, key)
            outbox.tell_sent(entry, None)  # no entry of the log was read: a timeline may not have the message
    return found.reaches is not None and found.reaches <= since
