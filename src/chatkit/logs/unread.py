"""Counting in memory what a user has not read (D25)."""

from __future__ import annotations

from chatkit.logs.channel import ChannelLog
from chatkit.logs.record import index_after, index_from
from chatkit.model.order import OrderKey
from chatkit.model.views import Unread


def unread(kept: ChannelLog, user: str, read: OrderKey | None, again: OrderKey | None) -> Unread:
    """Count the messages of a channel above one place, and from another one on.

    Args:
        kept: The channel.
        user: Who reads.
        read: Up to where all was read; `None`: nothing was.
        again: From where on all is unread again; `None`: nothing is.
    """
    messages = kept.projection.all
    start = 0 if read is None else index_after(messages.stamps, read)
    if again is not None:
        start = min(start, index_from(messages.stamps, again))
    found = [
        (ident.id, face.calls(user))
        for ident in messages.idents[start:]
        if (face := kept.projection.face(ident)).unread_by(user)
    ]
    floor = kept.record.floor
    # What was trimmed had been read, and was not marked since.
    known = read is not None and floor is not None and floor.key <= read
    whole = known and floor is not None and (again is None or floor.key < again)
    return Unread(
        messages=len(found),
        mentions=sum(calls for _, calls in found),
        exact=floor is None or whole,
        first=found[0][0] if found else None,
    )
