"""Pages of raw history: messages with what the entries between them change (D24)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Final

from chatkit.core.fold import MessageFold, Voucher
from chatkit.core.timeline_changes import change_of
from chatkit.model.entry import Folded, Stamp
from chatkit.model.order import Ident

if TYPE_CHECKING:
    from chatkit.core.fact import Fact
    from chatkit.model.envelope import Envelope

CREATE: Final = "message.create"


def fold_page(
    entries: Iterable[tuple[Fact, Stamp]], chosen: Collection[Ident], voucher: Voucher
) -> tuple[Folded, ...]:
    """Return messages with the changes of these entries folded in.

    Args:
        entries: Oldest first, from the first of the messages on.
        chosen: The messages; what is not among them is left out.
        voucher: Who vouches for the entries.
    """
    shown: dict[Ident, Stamp] = {}
    folds: dict[Ident, MessageFold] = {}
    for fact, stamp in entries:
        envelope = fact.envelope
        if envelope.kind == CREATE and fact.ident in chosen and fact.ident not in folds:
            folds[fact.ident] = MessageFold.created(fact, voucher)
            shown[fact.ident] = stamp
        change = change_of(fact)
        target = folds.get(Ident(envelope.ref.user, envelope.ref.id)) if envelope.ref else None
        if change is not None and target is not None and _by_right(envelope, target):
            target.change(*change, Counter())
    return tuple(
        fold.folded(replies=0, last_reply=None)._replace(stamp=shown[ident]) for ident, fold in folds.items()
    )


def _by_right(envelope: Envelope, target: MessageFold) -> bool:
    """Say whether a change that nobody checked may be made: authorship is all that can be known (D2)."""
    return envelope.kind.startswith("reaction.") or envelope.sender.user == target.user
