"""Forming the next batch of a lane: what one publish carries, numbered and frozen (D4, D5, D7, D8)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from chatkit.core.delivery import Input, State
from chatkit.engine.context import foreign
from chatkit.model.envelope import Envelope
from chatkit.model.ids import new_message_id
from chatkit.ports import LaneKey, LaneMark, Row

if TYPE_CHECKING:
    from chatkit.engine.context import Context
    from chatkit.engine.entry import OutboxEntry
    from chatkit.engine.outbox import Outbox


class Formed(NamedTuple):
    """The next batch, and what it takes to undo that."""

    entries: tuple[OutboxEntry, ...]
    before: tuple[Row, ...]
    """The rows as they were."""
    mark: LaneMark
    """How far the lane has come with it."""


def form(outbox: Outbox, key: LaneKey, mark: LaneMark, queue: deque[OutboxEntry]) -> Formed:
    """Take from a lane's queue what one publish carries; the entries come numbered and frozen.

    What has ended meanwhile falls out, and so does what cannot be sent any more: then it fails.
    """
    capabilities = outbox.context.adapter.capabilities
    batch_id = new_message_id(outbox.context.server_time.now_ms(), outbox.context.random)
    entries: list[OutboxEntry] = []
    before: list[Row] = []
    size, seq, pred = 0, mark.seq, mark.acked
    while queue and len(entries) < capabilities.batch:
        entry = queue[0]
        if not entry.unfinished or outbox.fail_orphan(entry) or outbox.expire_late(entry):
            queue.popleft()
            continue
        try:
            row = entry.row
            if not entry.frozen:
                numbers = (seq + 1, pred) if outbox.in_order else None
                row = _freeze(outbox.context, row, key, numbers, again=entry.state is State.IN_DOUBT)
            size += outbox.context.adapter.measure(key.channel, row.data)
        except Exception as error:  # noqa: BLE001  # a row or an adapter that breaks must not hold the lane (I11)
            queue.popleft()
            outbox.move(entry, Input.REFUSED, foreign(error))
            continue
        if entries and size > capabilities.frame_bytes:
            break
        queue.popleft()
        entries.append(entry)
        before.append(entry.row)
        outbox.rewrite(entry, row._replace(batch_id=batch_id))
        if row.seq is not None:
            seq, pred = max(seq, row.seq), row.seq
    return Formed(tuple(entries), tuple(before), LaneMark(seq, mark.acked))


def _freeze(context: Context, row: Row, key: LaneKey, numbers: tuple[int, int] | None, *, again: bool) -> Row:
    """Return a row that never changes again: its envelope with number and clock reading (D4, D5, D7).

    Args:
        context: The client's parts.
        row: A draft.
        key: Its lane.
        numbers: `seq` and `pred`; `None` where no order is kept, so that no fence asks for one (D8, D9).
        again: It is sent again by hand, and may be there: it keeps its clock reading, for where that orders
            those who have it and those who get it now must show it in one place (I5).
    """
    draft = Envelope.parse(row.data)
    seq, pred = numbers or (None, None)
    frozen = draft.model_copy(
        update={
            "sender": draft.sender.model_copy(update={"device": key.device}),
            "seq": seq,
            "pred": pred,
            "hlc": (draft.hlc if again else None) or context.hlc.tick(context.server_time.now_ms()),
            "epoch": 1 if context.adapter.capabilities.order == "clock" else None,
        }
    )
    return row._replace(
        seq=seq, device=key.device, data=frozen.encode(), first_attempt=context.server_time.now()
    )
