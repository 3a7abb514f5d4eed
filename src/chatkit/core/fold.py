"""`MessageFold`: the state of one message, folded from its creation and its changes (D1, D22, D24, D26).

The same facts give the same state, in whatever order they come and however often (I5):

- Of two creations of one identity the more strongly attested stands, then the one with the lower order key;
  where a log told the creation, that one stands.
- Each register takes the newest change by order key that is attested no more weakly than the creation (D2); a
  backend's word is enough for any: whoever holds the secret could have the provider vouch for it.
- A delete erases every older text for good, the creation's too (D26). What a later restore brings back is the
  message and what was written into it after the delete, on every client and in the log alike: a client that
  had kept the text would show what nobody else sees and its writer took back.
- What a log folded as of a place includes all changes up to it: such changes do nothing any more, and newer
  ones stay when the log's word is merged in.

Changes are told apart by their order key. A copy of a change under another number is a change of its own;
logs and the receiver's duplicate check see to it that there is none (D9, D20).

A message that was only created is its bytes and its place; what few messages have lies in a part of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from copy import copy
from datetime import datetime
from functools import cache
from typing import Final, Literal, NamedTuple, TypeAlias

from chatkit.core.fact import Fact
from chatkit.core.timeline_bytes import erased, preference, reparse, written
from chatkit.core.timeline_changes import Change, Changes, Register
from chatkit.core.timeline_more import More
from chatkit.model.entry import Folded, Stamp
from chatkit.model.message import STRENGTH, Attested, Flag
from chatkit.model.order import Ident, OrderKey
from chatkit.model.values import EMPTY, packed

Effect: TypeAlias = Literal[
    "updated", "deleted", "restored", "reacted", "unreacted", "duplicate", "stale", "refused"
]
"""What a change did. `duplicate`: it was in already. `stale`: it counts, but nothing looks different (I7)."""


class Voucher(NamedTuple):
    """Who stands behind a creation; one value serves many messages."""

    attested: Attested
    origin: str
    """Who numbered it: the log's id, or the provider's realm."""
    stamped: bool


class MessageFold:
    """One message. Its place moves down if an older copy of its creation turns up; its identity stays."""

    __slots__ = ("_more", "as_of", "data", "epoch", "flags", "id", "sent_at", "serial", "user", "voucher")

    def __init__(
        self, ident: Ident, key: OrderKey, data: bytes, sent_at: datetime | None, voucher: Voucher
    ) -> None:
        self.user, self.id = ident
        self.epoch, self.serial = key
        self.data = data
        """The envelope that created it; without its body once that is erased."""
        self.sent_at = sent_at
        self.voucher = voucher
        self.as_of: OrderKey | None = None
        """Every change up to here is in, by a log's word."""
        self.flags: frozenset[Flag] = _NO_FLAGS
        self._more: More | None = None

    @classmethod
    def created(cls, fact: Fact, voucher: Voucher) -> MessageFold:
        """Return a message as its creation tells it."""
        fold = cls(fact.ident, fact.key, fact.data, fact.sent_at, voucher)
        if fact.suspect:
            fold.flag("clock_suspect", on=True)
        return fold

    @classmethod
    def told(
        cls, folded: Folded, voucher: Voucher, *, as_of: OrderKey | None, provisional: bool
    ) -> MessageFold:
        """Return a message as a log, or the store's copy of one, tells it; see `merge`."""
        fold = cls(folded.ident, folded.stamp.key, folded.data, None, voucher)
        fold._take(folded, as_of or folded.changed)
        fold.flag("provisional", on=provisional or as_of is None)
        return fold

    def copy(self) -> MessageFold:
        """Return one that is as this one is, and changes by itself."""
        twin = copy(self)
        twin._more = self._more and self._more.copy()  # noqa: SLF001  # one of its own kind
        return twin

    @property
    def ident(self) -> Ident:
        """What names it within its channel (D1)."""
        return packed(Ident, (self.user, self.id))

    @property
    def key(self) -> OrderKey:
        """Its place (D3)."""
        return packed(OrderKey, (self.epoch, self.serial))

    @property
    def place(self) -> tuple[int, str, str, str]:
        """What sorts it: its key, and what sets apart two that hold the same one."""
        return self.epoch, self.serial, self.user, self.id

    @property
    def strength(self) -> int:
        """How strongly its sender is vouched for (D2)."""
        return STRENGTH[self.voucher.attested]

    @property
    def bar(self) -> int:
        """How strongly a change of it must be attested (D2): a backend's word is enough for any."""
        return min(self.strength, STRENGTH["backend"])

    @property
    def deleted(self) -> bool:
        """The newest of delete and restore is delete (I7)."""
        return self._more is not None and self._more.deleted

    @property
    def plain(self) -> bool:
        """Nothing but its creation is known of it."""
        return self._more is None

    @property
    def edit(self) -> bytes | None:
        """The envelope of the edit that shows, or would if the message were not deleted."""
        return self._more.edit if self._more else None

    @property
    def version(self) -> int:
        """1 and one for each edit, delete and restore: as told by a log, and newer ones seen."""
        return self._more.version if self._more else 1

    @property
    def changed(self) -> OrderKey:
        """Place of its newest change, the creation included."""
        return max(self.key, (self._more and self._more.changed) or self.key)

    @property
    def replies(self) -> int:
        """Replies in its thread that a log counted."""
        return self._more.replies if self._more else 0

    @property
    def last_reply(self) -> OrderKey | None:
        """Place of the newest of these."""
        return self._more.last_reply if self._more else None

    def reactions(self) -> dict[str, frozenset[str]]:
        """Return the users who gave each emoji, emojis sorted."""
        return self._more.reactions() if self._more else {}

    def folded(self, *, replies: int, last_reply: OrderKey | None, at: datetime | None = None) -> Folded:
        """Return it as a log would tell it; the serial before it is not kept.

        An edit that is newer than the delete is told of a deleted message too: a restore brings it back (I8).

        Args:
            replies: All replies known, those that a log counted included.
            last_reply: Place of the newest of them.
            at: When its sender pressed send, where that is known; else the envelope is asked.
        """
        at = self.sent_at or at or written(self.data)
        log_id = self.voucher.origin if self.voucher.stamped else None
        stamp = packed(Stamp, (self.key, None, log_id, self.user, at))
        more = self._more
        reactions = (
            EMPTY if more is None else {name: tuple(sorted(of)) for name, of in more.reactions().items()}
        )
        return packed(
            Folded,
            (
                self.ident,
                self.data,
                stamp,
                self.edit,
                self.version,
                stamp.key if more is None else self.changed,
                self.deleted,
                replies,
                last_reply,
                reactions,
            ),
        )

    def flag(self, flag: Flag, *, on: bool) -> None:
        """Set a flag or take it away."""
        self.flags = _with_flag(self.flags, flag, on)

    def change(self, register: Register, change: Change, counts: Counter[str]) -> Effect:
        """Fold in one change of it; `counts["evicted"]` rises by the reactions that had to go for it."""
        if self.as_of is not None and change.key <= self.as_of:
            return "duplicate"
        if change.strength < self.bar:
            return "refused"
        more = self._more = self._more or More(Changes(), None)
        if isinstance(register, tuple):
            return _react(more, register, change, counts)
        before = self._face()
        if not more.changes.add(register, change).news:
            return "duplicate"
        self._erase()
        after = self._face()
        if before == after:
            return "stale"
        if before[0] == after[0]:
            return "updated"
        return "deleted" if self.deleted else "restored"

    def count(self, keys: Mapping[OrderKey, int]) -> None:
        """Count edits, deletes and restores of it, given as place and strength."""
        for key, strength in keys.items():
            if strength >= self.bar and (self.as_of is None or key > self.as_of):
                self._more = self._more or More(Changes(), None)
                self._more.changes.count(key, strength)

    def yields_to(self, fact: Fact) -> bool:
        """Say whether another copy of its creation takes its place."""
        if self.as_of is not None:
            return False
        mine, theirs = (-self.strength, self.key), (-STRENGTH[fact.attested], fact.key)
        if mine != theirs:
            return theirs < mine
        if fact.revised:
            return False
        # The same copy with the text that a delete took from ours is no other one. Nearly all are the same.
        if self.data == fact.data or self.data == erased(fact.data):  # the second takes its time
            return False
        return preference(fact.data) < preference(self.data)

    def yield_to(self, fact: Fact, voucher: Voucher) -> None:
        """Take another copy of its creation for the true one."""
        self.epoch, self.serial = fact.key
        self.data, self.sent_at, self.voucher = fact.data, fact.sent_at, voucher
        self.flag("clock_suspect", on=fact.suspect)
        if self._more is not None:
            self._more.changes.keep(after=None, strength=self.bar)
            self._erase()

    def vouch(self, fact: Fact, voucher: Voucher) -> bool:
        """Take note that the creation a log told is attested more strongly than the log said."""
        if self.as_of is None or fact.key != self.key or STRENGTH[voucher.attested] <= self.strength:
            return False
        self.voucher = voucher
        if self._more is not None:
            self._more.changes.keep(after=None, strength=self.bar)
        return True

    def conflicts(self, fact: Fact) -> bool:
        """Say whether a copy of its creation has another body (D1)."""
        if fact.data == self.data or fact.revised:
            return False
        mine, theirs = reparse(self.data), fact.envelope
        if mine.body is None or theirs.body is None or mine.claim or theirs.claim:
            return False  # erased, or still in the log: nothing to compare
        return mine.body != theirs.body

    def merge(self, folded: Folded, voucher: Voucher, *, as_of: OrderKey | None, provisional: bool) -> bool:
        """Take a log's word for everything up to a place; what is newer and known here stays.

        `as_of=None`: it cannot say up to where it folded (raw history), and only a message that is
        provisional itself takes its word. `provisional`: changes may be missing all the same.

        Returns:
            `False`: what is known here is newer.
        """
        if as_of is None and "provisional" not in self.flags:
            return False
        until = as_of or folded.changed
        if self.as_of is not None and until < self.as_of:
            return False
        if STRENGTH[voucher.attested] >= self.strength:
            self.voucher = voucher
        self._take(folded, until)
        self.flag("provisional", on=provisional or as_of is None)
        self.flag("clock_suspect", on=False)  # the log ordered it
        return True

    def _take(self, folded: Folded, until: OrderKey) -> None:
        self.epoch, self.serial = folded.stamp.key
        self.sent_at = folded.stamp.at if folded.stamp.log_id else None
        self.data = erased(folded.data) if folded.deleted else folded.data
        self.as_of = until
        changes = self._more.changes if self._more else Changes()
        changes.keep(after=until, strength=self.bar)
        self._more = None
        told = (
            folded.changed > self.key or folded.replies or folded.deleted or folded.edit or folded.reactions
        )
        if not told and changes.last is None:
            return
        self._more = More(changes, folded)
        self._erase()

    def _face(self) -> tuple[bool, bytes | None, bytes]:
        deleted = self.deleted
        return deleted, None if deleted else self.edit, self.data

    def _erase(self) -> None:
        """Let go of what a delete erased (D26)."""
        if self._more is not None and self._more.erased():
            self.data = erased(self.data)


_NO_FLAGS: Final[frozenset[Flag]] = frozenset()


@cache
def _with_flag(flags: frozenset[Flag], flag: Flag, on: bool) -> frozenset[Flag]:  # noqa: FBT001  # one value serves many messages
    own: frozenset[Flag] = frozenset((flag,))
    return flags | own if on else flags - own


def _react(more: More, register: tuple[str, str], change: Change, counts: Counter[str]) -> Effect:
    before = more.reacted(register)
    added = more.changes.add(register, change)
    if not added.news:
        known = any(known.key == change.key for known in more.changes.fronts[register])
        return "duplicate" if known else "stale"
    counts["evicted"] += len(added.dropped)
    after = more.reacted(register)
    if before == after:
        return "stale"
    return "reacted" if after else "unreacted"
