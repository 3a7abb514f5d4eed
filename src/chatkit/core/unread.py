"""What a user has not read, counted from the messages that are loaded (D25).

The rules are those of `Log.unread`: counted are messages of others that are not deleted and stand in the
channel itself, above the read mark or from the place on that was marked unread.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from chatkit.core.timeline_bytes import reparse
from chatkit.model.names import EVERYONE
from chatkit.model.order import OrderKey

if TYPE_CHECKING:
    from chatkit.core.fold import MessageFold


class Tally(NamedTuple):
    """What was counted."""

    messages: int = 0
    mentions: int = 0
    first: MessageFold | None = None
    """The oldest of them."""
    reached: bool = False
    """A message was met that is read: nothing unread lies below what is loaded."""


def tally(newest_first: Iterable[MessageFold], user: str, *, start: OrderKey | None, again: bool) -> Tally:
    """Count what is unread of loaded messages.

    Args:
        newest_first: The messages, descending.
        user: Who reads.
        start: Up to where all is read; `None`: nothing is.
        again: The message at `start` is unread itself.
    """
    messages = mentions = 0
    first: MessageFold | None = None
    for fold in newest_first:
        if start is not None and (fold.key < start or (fold.key == start and not again)):
            return Tally(messages, mentions, first, reached=True)
        if fold.deleted or fold.user == user or "orphaned" in fold.flags:
            continue
        stands, named = _face(fold.data, fold.edit)
        if stands:
            messages += 1
            mentions += user in named or EVERYONE in named
            first = fold
    return Tally(messages, mentions, first)


@lru_cache(4_096)
def _face(data: bytes, edit: bytes | None) -> tuple[bool, tuple[str, ...]]:
    """Return whether a message stands in the channel itself, and whom it mentions as it is now."""
    created = reparse(data)
    shown = created if edit is None else reparse(edit)
    return created.thread is None or created.also, tuple(shown.mentions or created.mentions)
