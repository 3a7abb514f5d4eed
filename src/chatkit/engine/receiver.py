"""The receive path of one channel: frames and acknowledgements, in the order in which they came (D16-D20).

All of it runs in the channel's own task. While a backfill reads the log, frames wait in the inbox: it is the
bounded buffer of D19.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from chatkit.core.continuity import Continuity, Verdict
from chatkit.core.fact import Fact
from chatkit.core.hints import Hints
from chatkit.engine.inbox import INBOX, Dropped, Inbox, Item, Left, Proven
from chatkit.engine.reading import Passing, Refused, believe
from chatkit.ports import Foreign, Received, Shed

if TYPE_CHECKING:
    from chatkit.engine.folding import Folder
    from chatkit.engine.keeping import Keeper
    from chatkit.engine.parts import ChannelParts
    from chatkit.engine.presence import PresenceFeed
    from chatkit.engine.telling import Teller
    from chatkit.engine.threads import Threads
    from chatkit.engine.typists import TypingFeed

PATIENCE: Final = 0.3
"""Seconds for which an open range may close by itself before the log is read (D17)."""
RUN: Final = 32
"""Most frames dealt with in one go."""
HINTS: Final = frozenset({"state.role", "state.pin"})
"""Kinds of envelopes that say: what the log has of these is different."""
CLAIMED: Final = 0.1
"""Most seconds by which the log is read after a claim check: what comes after it waits for it (D21, D29)."""
JITTER: Final = 1.7
"""Most seconds by which that read is put off, so that many clients do not ask at once."""


class Receiver:
    """Takes what comes in its turn, and says when the log is to be read.

    Args:
        parts: Of the channel.
        folder: Where facts go.
        teller: Told what there is to tell beside them.
        keeper: Writes to the store.
        typing: Told who types, and who has spoken.
        presence: Told what devices say of themselves.
        threads: Told what passes by in them.
        wake: Called when there is something to do.
    """

    def __init__(
        self,
        parts: ChannelParts,
        folder: Folder,
        teller: Teller,
        keeper: Keeper,
        *,
        typing: TypingFeed,
        presence: PresenceFeed,
        threads: Threads,
        wake: Callable[[], None],
    ) -> None:
        self._context = parts.context
        self._channel = parts.name
        self._overlay = parts.overlay
        self._progress = parts.progress
        self._folder = folder
        self._teller = teller
        self._keeper = keeper
        self._typing = typing
        self._presence = presence
        self._threads = threads
        self._roles = parts.roles
        self._wake = wake
        self.on_register: Callable[[Passing], None] = lambda _: None
        """Told each register that passes by (D25)."""
        self.on_hint: Callable[[], None] = lambda: None
        """Told that somebody says that the channel's own registers changed."""
        self.heard = parts.context.clock.monotonic()
        """When it was last seen that nothing is missing: what `staleness` is measured from (D16)."""
        self.unsure = False
        """An attach had no answer: what comes now may not follow what came before (I6)."""
        self._inbox = Inbox(parts.context)
        # What another log took than the one that is read here; of how many the read under way says more.
        self._elsewhere: list[Proven] = []
        self._asked = 0
        self._hints = Hints()
        self._read_due: float | None = None
        self._range_due: float | None = None

    @property
    def continuity(self) -> Continuity:
        """The catch-up mark."""
        return self._progress.continuity

    @property
    def log_id(self) -> str | None:
        """The log that the mark is of, as far as known."""
        return self._progress.log_id

    # -- called by others, synchronously ----------------------------------------------------------------

    def push(self, item: Item) -> None:
        """Take a frame, or an acknowledgement of ours."""
        self._inbox.push(item)
        self._wake()

    def drop(self) -> None:
        """Throw away the frames that wait: the log is to be read, which has them all (D19)."""
        self._inbox.drop()

    def leave(self) -> None:
        """Take note that nothing is received from now on: what follows waits for what is missed (D19)."""
        if self._context.log is not None:
            self._inbox.leave()
            self._wake()

    def back(self) -> None:
        """Take note that the channel is received again; what was missed is somebody else's to say."""
        self._inbox.back()

    def prompt_read(self, delay: float) -> None:
        """Have the log read soon: something says that it holds what we lack."""
        if self._context.log is not None:
            due = self._context.clock.monotonic() + delay
            self._read_due = due if self._read_due is None else min(due, self._read_due)
            self._wake()

    @property
    def read_due(self) -> float | None:
        """When the log is to be read; `None`: no reason to."""
        return min((due for due in (self._read_due, self._range_due) if due is not None), default=None)

    def reading(self) -> None:
        """Take note that the log is being read now."""
        self._read_due = self._range_due = None
        self._asked = len(self._elsewhere)

    def has_read(self) -> None:
        """Take note that the log was read: what it lacks of what another took was in one before it (D18)."""
        asked, self._elsewhere = self._elsewhere[: self._asked], self._elsewhere[self._asked :]
        for item in asked:
            if self._of_another(item.fact):
                self._folder.orphan(item.fact)
                self._overlay.confirm(item.entry_id)
            else:
                self.prove(item)

    def wait(self) -> float | None:
        """Return the seconds until `turn` has something to do, or `None`."""
        now = self._context.clock.monotonic()
        waits = (
            part.wait(now) for part in (self._teller, self._hints, self._keeper, self._typing, self._threads)
        )
        return min((wait for wait in waits if wait is not None), default=None)

    async def flush(self) -> None:
        """Write what is not yet in the store."""
        await self._keeper.flush()

    # -- the channel's task -----------------------------------------------------------------------------

    async def turn(self) -> None:
        """Deal with all that is there; frames wait while what was missed must come before them (D19)."""
        while self._inbox and not self._teller.holding:
            if isinstance(item := self._inbox.head, Received):
                await self._receive_run()
            else:
                self._inbox.take()
                await self._take(item)
        # Beside the mark of another log the place of what I sent says nothing: it waits until that is known.
        for item in () if self._progress.unproven else self._inbox.take_proven():
            await self._prove(item)
        await self._teller.release()
        now = self._context.clock.monotonic()
        if self._hints.due(now):
            self._hints.clear()
            self._teller.announce("missing_predecessor", certain=False)
        self._typing.look(now)
        self._threads.expire(now)
        if self._keeper.wait(now) == 0:
            await self.flush()

    def prove(self, item: Proven, *, quiet: bool = False) -> None:
        """Fold our own envelope and drop the wish that stood for it, in one step (D23)."""
        fact, complete = item.fact, self._progress.complete
        if fact.stamped and fact.origin != self._context.origin:
            self._progress.answered = self._progress.answered or fact.origin
        if fact.stamped and self.continuity.contiguous:
            # While it is only shown, the mark may not pass it: it is told when it is read.
            prev = None if self._teller.holding else fact.prev
            verdict = self.continuity.receive(fact.key, prev, self._context.clock.monotonic())
            if verdict is Verdict.NEXT:
                self.heard = self._context.clock.monotonic()
            elif verdict is Verdict.AHEAD and not quiet:
                self._prompt_range()
        passed = fact.stamped and complete is not None and fact.key <= complete
        if self._teller.holding and not passed:
            self._folder.show(fact)  # told in its turn, when what was missed is read
        else:
            # What moved the mark past it had it, and told it; unless live began with it.
            self._folder.fold(fact, quiet=quiet or (passed and not self._teller.beginning.expects(fact.key)))
        self._overlay.confirm(item.entry_id)

    async def _take(self, item: Foreign | Shed | Proven | Dropped | Left) -> None:
        match item:
            case Proven():
                await self._prove(item)
            case Left():
                self._teller.holding = self._progress.gap = True
            case Dropped():
                self._lost("overflow")
            case Shed():
                self._lost("shed")
            case _:
                self._teller.foreign(item.name, item.data, item.reason, item.id)

    def _lost(self, reason: str) -> None:
        """Frames are known to be lost: the log has them, and comes first; or readers are told (D19, D30)."""
        self._progress.lose()
        if self._context.log is not None:
            self._teller.holding = self._progress.gap = True
            self.prompt_read(0.0)
        else:
            self.gap_announced()
            self._teller.announce(reason)

    def gap_announced(self) -> None:
        """Take note that readers know that something is missing: predecessors say nothing new (D5)."""
        self._hints = Hints()
        self.unsure = False

    async def _prove(self, item: Proven) -> None:
        if self._of_another(item.fact):  # which of the two was there first the next read says
            if len(self._elsewhere) == INBOX:  # nobody reads: what the log has of it shows when somebody does
                self._context.counters["inbox_overflow"] += 1
                self._overlay.confirm(self._elsewhere.pop(0).entry_id)
                self._asked = max(0, self._asked - 1)
            self._elsewhere.append(item)
            self.prompt_read(0.0)
            return
        # Its echo may have been told in an earlier life already (D20).
        self.prove(item, quiet=bool(await self._folder.seen_before([item.fact])))
        await self._teller.release()

    async def _receive_run(self) -> None:
        """Deal with the frames at the head of the inbox: believe all, fold all, tell all.

        A step that is done over and over stays in the processor's caches: frame by frame, the same work takes
        about twice the time. Middleware sees each change of a message before the next is folded.
        """
        if self.unsure and self._context.log is None and self._teller.has_begun:
            self.gap_announced()
            self._teller.announce("reconnected", certain=False)
        run = self._inbox.take_run(1 if self._teller.filtered else RUN)
        believed: list[Fact | Passing | Refused] = []
        folded, now = 0, self._context.clock.monotonic()
        try:
            believed.extend(believe(self._context, signal) for signal in run)
            seen = await self._folder.seen_before(found for found in believed if isinstance(found, Fact))
            for found in believed:
                folded += 1
                if isinstance(found, Fact):
                    if not self._admit(found, now):
                        continue
                    if self._roles.judges and not await self._roles.admits(found):
                        await self._teller.release()
                        self._teller.foreign(found.envelope.kind, None, "not_owner")
                        continue
                    self._folder.fold(found, quiet=found.ident in seen)
                    self._typing.spoke(found.ident[0])
                else:
                    await self._teller.release()
                    self._receive_other(found)
        except BaseException:  # a defect of ours costs its own frame alone
            self._inbox.put_back(
                run[folded:] if folded else [*run[: len(believed)], *run[len(believed) + 1 :]]
            )
            raise
        self._context.observer.point("channel.received", channel=self._channel, frames=len(run))
        await self._teller.release()
        self._context.observer.point("channel.told", channel=self._channel)

    def _receive_other(self, found: Passing | Refused) -> None:
        if isinstance(found, Passing):
            self._pass(found)
            return
        if found.reason == "unstamped":
            self.prompt_read(PATIENCE)
        self._teller.foreign(None, None, found.reason)

    def _admit(self, fact: Fact, now: float) -> bool:
        """Take note of where a fact stands; `False`: it is a duplicate for certain."""
        continuity = self._progress.continuity
        if fact.stamped:
            if self._of_another(fact):
                self._context.counters["other_log"] += 1
                self.prompt_read(0.0)  # whose numbers mean nothing here: what it holds is read (D18)
                return False
            claimed = self._context.claims and fact.envelope.claim is not None
            verdict = continuity.receive(fact.key, None if claimed else fact.prev, now)
            if verdict is Verdict.KNOWN:
                self._context.counters["duplicate"] += 1
                self._folder.settle_own(fact)
                return False
            if claimed:  # the log has it whole; the mark waits below it until it is read
                self._context.counters["claim_check"] += 1
                self.prompt_read(CLAIMED * self._context.random.random())
                return False
            if verdict is Verdict.NEXT:
                self.heard = now
            else:
                self._prompt_range()
            if self._range_due is not None and not continuity.open:
                self._range_due = None  # closed by itself
        if not continuity.contiguous:
            self._note_predecessor(fact, now)
        return True

    def _of_another(self, fact: Fact) -> bool:
        """Say whether another log numbered a fact than the one that the mark is of (D18)."""
        log_id = self.log_id
        return fact.stamped and log_id is not None and fact.origin not in (log_id, self._context.origin)

    def _note_predecessor(self, fact: Fact, now: float) -> None:
        """Look for what the sender says that it sent before (D5)."""
        envelope = fact.envelope
        if self._hints.note(fact.user, envelope.sender.device, envelope.seq, envelope.pred, now):
            self.prompt_read(PATIENCE)
            if self._context.log is not None:
                self._hints.clear()

    def _prompt_range(self) -> None:
        if self._range_due is None:
            wait = PATIENCE + JITTER * self._context.random.random() ** 4
            self._range_due = self._context.clock.monotonic() + wait

    def _pass(self, passing: Passing) -> None:
        """Hand on an ephemeral envelope, or a register; kinds that nobody reads yet are counted."""
        kind = passing.envelope.kind
        if kind.startswith("x."):
            self._teller.custom(passing)
        elif kind.startswith("presence."):
            self._presence.hear(passing)
        elif kind != "typing" and passing.envelope.klass != "state":
            self._context.counters["unread_kind"] += 1
        elif passing.envelope.thread is not None:
            self._threads.hear(passing)
        elif kind == "typing":
            self._typing.hear(passing)
        elif kind in HINTS:
            self.on_hint()
        else:
            self.on_register(passing)
