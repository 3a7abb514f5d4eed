"""`Replies`: how many replies the messages of a channel have (D24)."""

from __future__ import annotations

from typing import Final

from chatkit.core.fold import MessageFold
from chatkit.model.order import Ident, OrderKey

MAX_ROOTS: Final = 10_000
"""Threads whose replies are counted; the one that began to be counted first is forgotten first."""
MAX_REPLIES: Final = 1_000
"""Replies of one thread known one by one; older ones are known by their number."""
MAX_KNOWN: Final = 50_000
"""Replies of one channel known one by one."""


class _Thread:
    __slots__ = ("counted", "known", "older")

    def __init__(self) -> None:
        self.known: dict[Ident, OrderKey] = {}
        self.older = 0
        self.counted: OrderKey | None = None
        """Up to here they are `older` in number."""


class Replies:
    """Distinct replies seen, for each root, whether or not the root was.

    A deleted reply still counts, as its tombstone still shows. What a log counted of a root is in its fold;
    replies seen add to that where they are newer.
    """

    def __init__(self) -> None:
        self._threads: dict[Ident, _Thread] = {}
        self._known = 0
        self.evicted = 0
        """Replies no longer counted, to keep the bounds."""

    def __len__(self) -> int:
        """Return how many threads are counted."""
        return len(self._threads)

    def note(self, root: Ident, reply: Ident, key: OrderKey) -> None:
        """Count a reply; again and again is once, at its lowest place."""
        thread = self._threads.setdefault(root, _Thread())
        known = thread.known.get(reply)
        if known is None and thread.counted is not None and key <= thread.counted:
            return
        thread.known[reply] = key if known is None else min(known, key)
        if known is not None:
            return
        self._known += 1
        if len(thread.known) > MAX_REPLIES:
            oldest = min(thread.known, key=lambda reply: (thread.known[reply], reply))
            thread.counted = thread.known.pop(oldest)
            thread.older += 1
            self._known -= 1
        while len(self._threads) > MAX_ROOTS or self._known > MAX_KNOWN:
            self.evicted += self._drop(next(iter(self._threads)))

    def tally(self, root: MessageFold) -> tuple[int, OrderKey | None]:
        """Return how many replies a message has, and the place of the newest."""
        thread = self._threads.get(root.ident)
        if thread is None:
            return root.replies, root.last_reply
        newer = [key for key in thread.known.values() if root.as_of is None or key > root.as_of]
        count = root.replies + len(newer)
        if thread.counted is not None and (root.as_of is None or thread.counted > root.as_of):
            # Some of the older ones may be in the log's number too: there are at least as many as were seen.
            count = max(count, thread.older + len(thread.known))
        return count, max((*newer, *((root.last_reply,) if root.last_reply else ())), default=None)

    def settle(self, root: MessageFold) -> None:
        """Forget the replies that a log's word on their root contains."""
        thread = self._threads.get(root.ident)
        if thread is None or root.as_of is None:
            return
        gone = [reply for reply, key in thread.known.items() if key <= root.as_of]
        for reply in gone:
            del thread.known[reply]
        self._known -= len(gone)
        if thread.counted is not None and thread.counted <= root.as_of:
            thread.older, thread.counted = 0, None
        if not thread.known and thread.counted is None:
            del self._threads[root.ident]

    def clear(self) -> None:
        """Forget all."""
        self._threads.clear()
        self._known = 0

    def _drop(self, root: Ident) -> int:
        thread = self._threads.pop(root)
        self._known -= len(thread.known)
        return thread.older + len(thread.known)
