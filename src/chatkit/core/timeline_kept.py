"""`Kept`: what a timeline keeps of a channel, and how it is read. `Timeline` folds facts and pages into it.

It keeps bytes and places, and builds a public `Message` when it is asked for one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from chatkit.core.fold import MessageFold, Voucher
from chatkit.core.held import Held
from chatkit.core.message import build
from chatkit.core.timeline_dirty import Dirty
from chatkit.core.timeline_replies import Replies
from chatkit.core.timeline_window import KEEP, MOST, Window
from chatkit.model.entry import Folded
from chatkit.model.envelope import Envelope
from chatkit.model.message import Attested, Message
from chatkit.model.order import Ident, OrderKey

_COUNTED: Final = ("duplicate", "conflict", "held", "stale", "refused")
_USERS: Final = 1_000
"""Names of users shared between messages, before that starts anew."""


class Kept:
    """The confirmed messages of one channel, as one user sees them.

    Args:
        channel: Its name.
        viewer: Whose messages are `own`.
        origin: Who numbers where a page does not say: the log's id, or the provider's realm.
        rights: A log checks rights: stamped changes of others' messages are believed (D2). Otherwise only
            authors edit, delete and restore.
        keep: Messages kept while nobody loads older ones.
        most: Messages that loading older ones may bring it to.
    """

    def __init__(
        self, channel: str, viewer: str, *, origin: str, rights: bool, keep: int = KEEP, most: int = MOST
    ) -> None:
        self.channel = channel
        self.viewer = viewer
        self.origin = origin
        self.window = Window(keep=keep, most=most)
        self.dirty = Dirty()
        """Messages that may look different since it was last asked."""
        self.rights = rights
        self._held = Held()
        self._replies = Replies()
        self._counts: Counter[str] = Counter()
        self._former: set[Ident] = set()
        self._lacking: set[Ident] = set()
        self._forgotten: OrderKey | None = None
        """The newest change of a message that left the window: a page from before it is older than what was
        shown."""
        self._vouchers: dict[Voucher, Voucher] = {}
        self._voucher_last: Voucher | None = None
        self._users: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.window)

    def __contains__(self, ident: Ident) -> bool:
        return self.window.find(ident) is not None

    def __iter__(self) -> Iterator[Message]:
        """Give the messages of the window, oldest first."""
        return map(self._build, self.window)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many facts were `duplicate`, `conflict`, `held`, `stale`, `refused`, and what was `evicted`.

        Evicted are held changes, reactions and replies that had to go to keep a bound.
        """
        evicted = self._counts["evicted"] + self._held.evicted + self._replies.evicted
        return {**{name: self._counts[name] for name in _COUNTED}, "evicted": evicted}

    @property
    def lacking(self) -> frozenset[Ident]:
        """Messages of the window whose changes were dropped: `provisional` until a page tells them (D22)."""
        return frozenset(self._lacking)

    @property
    def former(self) -> frozenset[Ident]:
        """Messages from before `reset` that nothing has told again so far (D18)."""
        return frozenset(self._former)

    def get(self, ident: Ident) -> Message | None:
        """Return a message of the window."""
        fold = self.window.find(ident)
        return self._build(fold) if fold else None

    def find(self, message_id: str) -> Message | None:
        """Return the message of an id: the viewer's own if there is one, else the first in order (D1)."""
        folds = self.window.named(message_id)
        found = min(folds, key=lambda fold: (fold.user != self.viewer, fold.place), default=None)
        return self._build(found) if found else None

    def folded(self, ident: Ident, written: datetime | None = None) -> Folded | None:
        """Return a message of the window as a log would tell it, for the store's copy.

        `written`: when its sender pressed send, where that is known; else its envelope is asked.
        """
        fold = self.window.find(ident)
        if fold is None:
            return None
        replies, last = self._replies.tally(fold) if self._replies or not fold.plain else (0, None)
        return fold.folded(replies=replies, last_reply=last, at=written)

    def replies(self, fold: MessageFold) -> int:
        """Return how many replies a message has."""
        return self._replies.tally(fold)[0]

    def _build(self, fold: MessageFold, envelope: Envelope | None = None) -> Message:
        replies = self.replies(fold) if self._replies or not fold.plain else 0
        return build(fold, channel=self.channel, viewer=self.viewer, replies=replies, envelope=envelope)

    def _current(self, ident: Ident) -> MessageFold | None:
        """Return a message of the window that the present log told."""
        return None if self._former and ident in self._former else self.window.find(ident)

    def _replaces(self, fold: MessageFold) -> bool:
        """Make room for a message; `True`: it was told by a log before this one."""
        former = self.window.find(fold.ident)
        if former is None:
            return False
        self.window.remove(former)
        self._former.discard(fold.ident)
        return True

    def _put_in(self, fold: MessageFold) -> None:
        users = self._users
        fold.user = users.setdefault(fold.user, fold.user)
        if len(users) > _USERS:
            users.clear()
        self.window.add(fold)
        if not self.dirty.all:
            self.dirty.add(fold.ident)

    def _trim(self) -> list[MessageFold]:
        """Bring the window to its bound, and return what fell out."""
        out = self.window.trim()
        for fold in out:
            self._left(fold)
        return out

    def _left(self, fold: MessageFold) -> None:
        """Take note that a message is not in the window, or not any more."""
        former = False
        if self._former or self._lacking or not self.dirty.all:
            ident = fold.ident
            self.dirty.add(ident)
            former = ident in self._former  # its places mean nothing beside those of the present log
            self._former.discard(ident)
            self._lacking.discard(ident)
        if not (fold.plain or former):
            self._forgotten = max(fold.changed, self._forgotten or fold.changed)

    def _doubt(self, fold: MessageFold, known: OrderKey | None, dropped: OrderKey | None) -> None:
        """Flag a message if changes were dropped that are newer than what is known of it (D22)."""
        if known is not None and dropped is not None and known < dropped:
            fold.flag("provisional", on=True)
            self._lacking.add(fold.ident)

    def _note_reply(self, envelope: Envelope, reply: Ident, key: OrderKey) -> None:
        root = envelope.root
        if root is not None:
            self._replies.note(root, reply, key)
            self.dirty.add(root)

    def _voucher(self, attested: Attested, origin: str, *, stamped: bool) -> Voucher:
        last = self._voucher_last
        if last is not None and last == (attested, origin, stamped):
            return last
        voucher = Voucher(attested, origin, stamped)
        self._voucher_last = self._vouchers.setdefault(voucher, voucher)
        return self._voucher_last
