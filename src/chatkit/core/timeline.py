"""`Timeline`: an ordered, duplicate-free window of a channel, folded from facts and from a log's pages.

Confirmed state only: pending wishes are the overlay's (D23), what is drawn is made in `timeline_view`.

A creation outside of the window is told but not kept. Changes of what is not in the window wait, as those of
unseen messages do (D22); a page that brings the message has them in it, or they are folded in then. Repeats
are known for what is in the window; for all else the receiver's duplicate check stands before this (D20). It
also sees to it that an envelope came on this channel and is of kind `message.*` or `reaction.*`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from chatkit.core.fact import Fact
from chatkit.core.fold import MessageFold, Voucher
from chatkit.core.timeline_applied import Applied, Loaded, Outcome
from chatkit.core.timeline_bytes import reparse
from chatkit.core.timeline_changes import Change, Changes, Register, change_of
from chatkit.core.timeline_kept import Kept
from chatkit.errors import InvalidMessage
from chatkit.model.entry import Folded
from chatkit.model.message import Attested
from chatkit.model.order import Ident, OrderKey
from chatkit.model.values import packed

_VISIBLE: Final = frozenset({"updated", "deleted", "restored", "reacted", "unreacted"})
_NOTHING: Final = Changes()
_EARLIER: Final = 2**53
"""More than any epoch."""
_ERASING: Final[tuple[Register, ...]] = ("delete", "restore")


class Timeline(Kept):
    """The confirmed messages of one channel, as one user sees them; arguments as for `Kept`."""

    def apply(self, fact: Fact) -> tuple[Applied, ...]:
        """Fold in a fact. A creation comes first, then what had waited for it and shows."""
        applied = self._create(fact) if fact.envelope.kind == "message.create" else (self._change(fact),)
        self._counts[applied[0].outcome] += 1
        return applied

    def load(
        self,
        page: Sequence[Folded],
        *,
        as_of: OrderKey | None,
        provisional: bool = False,
        attested: Attested | None = None,
        has_older: bool | None = None,
        has_newer: bool | None = None,
        extend: bool = False,
    ) -> Loaded:
        """Merge messages as a log tells them, or the store's copy of that.

        Args:
            page: Messages, in any order.
            as_of: Every change up to here is in them; `None`: that cannot be said.
            provisional: Later changes may be missing (raw history).
            attested: Who vouches for their senders; `None`: the provider if a log checks rights, else nobody.
            has_older: Whether there are older messages than the window then holds; `None`: as before.
            has_newer: Likewise for newer ones.
            extend: Somebody reads further up: the window may grow for it.
        """
        told: list[MessageFold] = []
        fresh: list[MessageFold] = []
        applied: list[Applied] = []
        vouched = attested or ("provider" if self.rights else "none")
        for folded in page:
            try:
                envelope = reparse(folded.data)
                _ = folded.edit and reparse(folded.edit)
            except InvalidMessage:  # one bad row never costs the page
                self._counts["refused"] += 1
                continue
            self._note_reply(envelope, folded.ident, folded.stamp.key)
            log_id = folded.stamp.log_id
            voucher = self._voucher(vouched, log_id or self.origin, stamped=log_id is not None)
            fold = self._current(folded.ident)
            if fold is None:
                fold = MessageFold.told(folded, voucher, as_of=as_of, provisional=provisional)
                if not self._replaces(fold):
                    fresh.append(fold)
                applied += self._bring(fold, as_of)
            else:
                self._merge(fold, folded, voucher, as_of=as_of, provisional=provisional)
            told.append(fold)
        for fold in told:
            self._replies.settle(fold)
        if has_older is not None:
            self.window.has_older = has_older
        if has_newer is not None:
            self.window.has_newer = has_newer
        if extend:
            self.window.grow()
        self._trim()
        return Loaded(sum(fold is self.window.find(fold.ident) for fold in fresh), tuple(applied))

    def mark_orphaned(self, idents: Iterable[Ident] | None = None) -> int:
        """Flag messages from before `reset` that the log was read for and lacks: all, or those named (D18).

        They stay until they fall out of the window, or turn up after all. Returns how many.
        """
        gone = self._former if idents is None else self._former.intersection(idents)
        for fold in filter(None, map(self.window.find, gone)):
            fold.flag("orphaned", on=True)
            self.dirty.add(fold.ident)
        return len(gone)

    def reset(self, *, another: bool) -> None:
        """Have all messages told again: the log lost some of its entries, or is another one (D18).

        What is kept shows as it is until it is told again or flagged by `mark_orphaned`; changes of it wait.
        The numbers of `another` log mean nothing beside the old ones: old messages then stand before all new.
        """
        self._former.update(fold.ident for fold in self.window)
        if another:
            for fold in self.window:
                fold.epoch -= _EARLIER
        self._lacking.clear()
        self._held.clear()
        self._replies.clear()
        self._forgotten = None
        self.dirty.add_all()

    def orphan(self, fact: Fact) -> bool:
        """Put in a message, flagged, that a log took before the present one was in its place (D18).

        Returns whether it was put in. What changes a message is not; nor is what the log may hold beside the
        window, or what there is no room for, below all others.
        """
        window = self.window
        shows = not window.has_newer and window.covers(fact.key) and len(window) < window.bound
        if fact.envelope.kind != "message.create" or fact.ident in self or not shows:
            return False
        fold = MessageFold.created(fact, self._voucher(fact.attested, fact.origin, stamped=fact.stamped))
        fold.epoch -= _EARLIER
        fold.flag("orphaned", on=True)
        self._former.add(fact.ident)
        self._put_in(fold)
        return True

    def unload(self) -> None:
        """Empty the window, before a jump."""
        for fold in self.window.clear():
            self._left(fold)
        self.dirty.add_all()

    def adopt(self, folds: Iterable[MessageFold]) -> None:
        """Put in copies of messages as another timeline of the channel has them; what is known stays."""
        for fold in folds:
            if self._current(fold.ident) is None:
                self._put_in(fold.copy())
        _ = self._trim()

    def _create(self, fact: Fact) -> tuple[Applied, ...]:
        ident = fact.ident
        if fact.envelope.thread is not None:
            self._note_reply(fact.envelope, ident, fact.key)
        voucher = self._voucher(fact.attested, fact.origin, stamped=fact.stamped)
        known = self._current(ident)
        if known is not None:
            return (self._again(known, fact, voucher),)
        fold = MessageFold.created(fact, voucher)
        outcome: Outcome = "duplicate" if self._former and self._replaces(fold) else "created"
        if self._held.mark is not None:
            self._doubt(fold, fact.key, self._held.mark)
        waiting = self._held.release(ident) if self._held else None
        if waiting is None:  # as for most
            message = self._build(fold, fact.envelope)
            return (packed(Applied, (outcome, fact, message, None, self._keep(fold, fact.key))),)
        steps = waiting.steps()
        # What was erased is never shown, not even at the moment of its creation (D26).
        erasing = self._release(fold, [step for step in steps if step[0] in _ERASING], hide=True)
        message = self._build(fold, fact.envelope if fold.data is fact.data else None)
        fold.count(waiting.keys)
        later = self._release(fold, [step for step in steps if step[0] not in _ERASING])
        return Applied(outcome, fact, message, kept=self._keep(fold, fact.key)), *erasing, *later

    def _keep(self, fold: MessageFold, key: OrderKey) -> bool:
        """Put in a new message where it belongs into the window; returns whether it stayed."""
        if self.window.covers(key):
            self._put_in(fold)
            return not self.window.full or fold not in self._trim()
        self._left(fold)
        return False

    def _again(self, fold: MessageFold, fact: Fact, voucher: Voucher) -> Applied:
        """Fold in another copy of a creation (D1)."""
        outcome: Outcome = "conflict" if fold.conflicts(fact) else "duplicate"
        if fold.yields_to(fact):
            stays = fact.key == fold.key
            self.window.remove(fold)
            fold.yield_to(fact, voucher)
            if stays or self.window.covers(fact.key):
                self.window.add(fold)
            else:
                self._left(fold)
            self.dirty.add(fold.ident)
        elif fold.vouch(fact, voucher):
            self.dirty.add(fold.ident)
        message = self._build(fold) if outcome == "duplicate" else None
        return Applied(outcome, fact, message, kept=fold.ident in self)

    def _change(self, fact: Fact) -> Applied:
        read, ref = change_of(fact), fact.envelope.ref
        if read is None or ref is None:
            return Applied("refused", fact)
        register, change = read
        own = isinstance(register, tuple) or fact.user == ref.user
        if not own and not (self.rights and fact.stamped):  # D2
            return Applied("refused", fact)
        target = Ident(ref.user, ref.id)
        fold = self._current(target)
        if fold is None:
            return Applied("held" if self._held.hold(target, fact, register, change) else "duplicate", fact)
        return self._turn(fold, register, change, fact)

    def _turn(
        self, fold: MessageFold, register: Register, change: Change, fact: Fact, *, hide: bool = False
    ) -> Applied:
        """Fold in a change of a message. `hide`: not what the message was before."""
        previous = None if hide or isinstance(register, tuple) else self._build(fold)
        outcome = fold.change(register, change, self._counts)
        if outcome not in {"duplicate", "refused"}:
            self.dirty.add(fold.ident)
        if outcome in _VISIBLE:
            return Applied(outcome, fact, self._build(fold), previous)
        return Applied(outcome, fact, self._build(fold) if outcome == "duplicate" else None)

    def _release(
        self, fold: MessageFold, steps: Iterable[tuple[Register, Change]], *, hide: bool = False
    ) -> list[Applied]:
        """Fold in what waited for a message, and return what shows."""
        applied = [
            self._turn(fold, register, change._replace(held=None), change.held.parse(), hide=hide)
            for register, change in steps
            if change.held is not None
        ]
        return [one for one in applied if one.outcome in _VISIBLE]

    def _bring(self, fold: MessageFold, as_of: OrderKey | None) -> list[Applied]:
        """Put in a message that a log told, with what waited for it."""
        self._put_in(fold)
        self._doubt(fold, as_of, self._held.mark)
        self._doubt(fold, as_of, self._forgotten)
        waiting = self._held.release(fold.ident) or _NOTHING
        fold.count(waiting.keys)
        return self._release(fold, waiting.steps())

    def _merge(
        self,
        fold: MessageFold,
        folded: Folded,
        voucher: Voucher,
        *,
        as_of: OrderKey | None,
        provisional: bool,
    ) -> None:
        """Merge what a log tells into what is known."""
        self.window.remove(fold)
        merged = fold.merge(folded, voucher, as_of=as_of, provisional=provisional)
        self.window.add(fold)
        self.dirty.add(fold.ident)
        if merged and fold.ident in self._lacking:
            self._lacking.discard(fold.ident)
            self._doubt(fold, as_of, self._held.mark)
            self._doubt(fold, as_of, self._forgotten)
