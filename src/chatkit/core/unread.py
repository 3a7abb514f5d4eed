"""What a user has not read, counted from the messages that are loaded (D25).

The rules are those of `Log.unread`: counted are messages of others that are not deleted and stand in the
channel itself, above the read mark or from the place on that was marked unread.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from chatkit.core.timeline_bytes import reparse
from chatkit.model.names import EVERYONE
from chatkit.model.order import Ident, OrderKey

if TYPE_CHECKING:
    from chatkit.core.fold import MessageFold

MOST: Final = 10_000
"""Messages of which it is kept what counting asks."""


class Tally(NamedTuple):
    """What was counted."""

    messages: int = 0
    mentions: int = 0
    first: MessageFold | None = None
    """The oldest of them."""
    reached: bool = False
    """A message was met that is read: nothing unread lies below what is loaded."""


class Faces:
    """What counting asks of messages, kept while they are as they were; of their texts nothing is (D26)."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[Ident, int, int], tuple[bool, tuple[str, ...]]] = OrderedDict()

    def of(self, fold: MessageFold) -> tuple[bool, tuple[str, ...]]:
        """Return whether a message stands in the channel itself, and whom it mentions as it is now."""
        state = fold.ident, hash(fold.data), hash(fold.edit)
        found = self._known.get(state)
        if found is None:
            created = reparse(fold.data)
            shown = created if fold.edit is None else reparse(fold.edit)
            stands = created.thread is None or created.also
            found = self._known[state] = stands, tuple(shown.mentions or created.mentions)
            if len(self._known) > MOST:
                self._known.popitem(last=False)
        return found


def tally(
    newest_first: Iterable[MessageFold],
    user: str,
    faces: Faces,
    *,
    start: OrderKey | None,
    again: bool,
    counts: Callable[[str, bool], bool] | None = None,
    thread: bool = False,
) -> Tally:
    """Count what is unread of loaded messages.

    Args:
        newest_first: The messages, descending.
        user: Who reads.
        faces: Of the channel.
        start: Up to where all is read; `None`: nothing is.
        again: The message at `start` is unread itself.
        counts: Asked of each author, and whether `user` is mentioned by name, if their message counts.
        thread: They are those of one thread, of which all count.
    """
    messages = mentions = 0
    first: MessageFold | None = None
    for fold in newest_first:
        if start is not None and (fold.key < start or (fold.key == start and not again)):
            return Tally(messages, mentions, first, reached=True)
        if fold.deleted or fold.user == user or "orphaned" in fold.flags:
            continue
        stands, named = faces.of(fold)
        if (stands or thread) and (counts is None or counts(fold.user, user in named)):
            messages += 1
            mentions += user in named or EVERYONE in named
            first = fold
    return Tally(messages, mentions, first)
