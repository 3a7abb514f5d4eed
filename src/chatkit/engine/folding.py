"""Facts into the timeline, once each (D1, D20, D23)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from chatkit.core.timeline_changes import target_of
from chatkit.model.order import Ident, OrderKey

if TYPE_CHECKING:
    from chatkit.core.fact import Fact
    from chatkit.core.timeline_applied import Applied
    from chatkit.engine.keeping import Keeper
    from chatkit.engine.parts import ChannelParts
    from chatkit.engine.telling import Teller
    from chatkit.engine.threads import Threads

KNOWN: Final = 10_000
"""Most ids remembered of what was folded last (D20)."""


class Folder:
    """Folds facts of one channel, from wherever they come.

    Args:
        parts: Of the channel.
        teller: Told what there is to tell.
        keeper: Told what is to be written to the store.
        threads: What else facts are folded into.
        on_own: Told each own envelope that came back: ident and place.
    """

    def __init__(
        self,
        parts: ChannelParts,
        teller: Teller,
        keeper: Keeper,
        *,
        threads: Threads,
        on_own: Callable[[Ident, OrderKey], None],
    ) -> None:
        self._parts = parts
        self._teller = teller
        self._keeper = keeper
        self._threads = threads
        self._on_own = on_own
        self.on_other: Callable[[Fact], None] = self._unread
        """Told each fact of a kind that makes no message and changes none."""
        self._counters = parts.context.counters
        self._users = parts.context.users
        self.logged = parts.context.log is not None
        """A log knows what was there before; else the store is asked (D20)."""
        # Not a dict: to find the first of one costs more with each that was taken out before it.
        self._known: OrderedDict[Ident, None] = OrderedDict()

    def fold(self, fact: Fact, *, quiet: bool = False) -> None:
        """Fold a fact, and queue what readers are to be told of it; a known one is told no second time (I2).

        Args:
            fact: What came.
            quiet: Readers are not told of it, now or later.
        """
        envelope, ident = fact.envelope, fact.ident
        if fact.user in self._users:
            self.settle_own(fact)
        known = self._remember(ident)
        if not envelope.kind.startswith(("message.", "reaction.")):
            self.on_other(fact)
            return
        if known and envelope.kind != "message.create":
            self._counters["duplicate"] += 1
            return
        before = self._teller.before(target_of(envelope, fact.user)) if self._teller.filtered else None
        # Of two creations the lower one stands, so that a known one is folded too (D1, D10).
        for applied in self._parts.timeline.apply(fact):
            self._note(applied)
            if not known:
                self._teller.take(applied, fact, before, wanted=not quiet)
        if self._threads.feeds:
            self._threads.fold(fact)

    def show(self, fact: Fact) -> None:
        """Show a fact that will come again, to be told then; a change of what is not loaded waits, too."""
        target = target_of(fact.envelope, fact.user)
        if fact.envelope.kind != "message.create" and target not in self._parts.timeline:
            return
        before = self._teller.before(target)
        for applied in self._parts.timeline.apply(fact):
            self._note(applied)
            self._teller.freeze(applied, before)
        self._threads.fold(fact)

    def orphan(self, fact: Fact) -> None:
        """Show a message that a log took before this one, which lacks it; readers were told so (D18)."""
        if self._parts.timeline.orphan(fact):
            self._keeper.touch(fact.ident)

    def settle_own(self, fact: Fact) -> None:
        """Take note that an own envelope came back: it is there, whatever we thought (D6, D23)."""
        if fact.user in self._parts.context.users:
            self._on_own(fact.ident, fact.key)
        overlay = self._parts.overlay
        if fact.user == overlay.user:
            for wish in overlay.of(target_of(fact.envelope, fact.user)):
                if wish.id == fact.envelope.id:
                    overlay.confirm(wish.entry_id)

    def knows(self, ident: Ident) -> bool:
        """Whether an envelope was folded lately."""
        return ident in self._known

    async def seen_before(self, facts: Iterable[Fact]) -> frozenset[Ident]:
        """Without a log, return which were shown before, in whichever life; the store is asked once (D20)."""
        if self.logged:
            return frozenset()
        idents = [fact.ident for fact in facts]
        unknown = [ident for ident in idents if ident not in self._known]
        seen = await self._keeper.seen(unknown) if unknown else frozenset[Ident]()
        return seen.union(ident for ident in idents if ident in self._known)

    def skipped(self) -> None:
        """Take note that a range was shown and not folded."""
        self._threads.skipped()

    def forget(self) -> None:
        """Facts may come anew: another log stands behind the channel (D18)."""
        self._known.clear()
        self._threads.skipped()

    def _unread(self, _: Fact) -> None:
        self._counters["unread_kind"] += 1

    def _note(self, applied: Applied) -> None:
        if applied.outcome in {"duplicate", "conflict", "refused", "held"}:
            self._counters[applied.outcome] += 1
        fact = applied.fact
        if applied.outcome == "created":
            self._keeper.touch(fact.ident, fact.envelope.at)
        else:
            self._keeper.touch(applied.target)
        thread = fact.envelope.thread
        if thread is not None:
            self._keeper.touch(Ident(thread.user, thread.id))  # its replies are counted there

    def _remember(self, ident: Ident) -> bool:
        """Note that an envelope was folded; returns whether it was before."""
        if ident in self._known:
            return True
        self._known[ident] = None
        if len(self._known) > KNOWN:
            self._known.popitem(last=False)
        if not self.logged:
            self._keeper.remember(ident)
        return False
