"""Reading what was missed: from the mark forward, or down from the head where that is too far (D17-D19)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeVar

from chatkit.engine.progress import LAG, head_of
from chatkit.engine.reading import Refused, from_log
from chatkit.engine.steadiness import Steadiness
from chatkit.model.order import OrderKey

if TYPE_CHECKING:
    from chatkit.core.fold import MessageFold
    from chatkit.engine.folding import Folder
    from chatkit.engine.loading import Loader
    from chatkit.engine.parts import ChannelParts
    from chatkit.engine.receiver import Receiver
    from chatkit.engine.telling import Teller
    from chatkit.ports import Entries, Found, Log, LogState, Messages

T = TypeVar("T")

PAGE: Final = 500
"""Entries in one read."""
CAP: Final = 1_000
"""Messages that a backfill reads; what is older stays a recorded hole (D19)."""
FIRST: Final = 50
"""Messages that a channel shows when it is opened for the first time."""
AGAIN: Final = 1.0
"""Least seconds between two reads of one channel's open ranges (D17)."""


class Ask(Protocol):
    """Makes one read of the log."""

    def __call__(self, call: Callable[[], Awaitable[T]], /, *, hold: bool = False) -> Awaitable[T]:
        """Return the answer; with `hold` nothing is folded meanwhile.

        Raises:
            ChatkitError: There was none, or the channel is not attached any more.
        """
        ...


class CatchUp:
    """Brings one channel up to its log.

    Args:
        parts: Of the channel.
        folder: Where entries go.
        receiver: Told that the log is being read.
        loader: Where pages go.
        teller: Told what readers miss.
        ask: Makes one read.
    """

    def __init__(
        self,
        parts: ChannelParts,
        folder: Folder,
        receiver: Receiver,
        loader: Loader,
        teller: Teller,
        *,
        ask: Ask,
    ) -> None:
        self._context = parts.context
        self._channel = parts.name
        self._timeline = parts.timeline
        self._progress = parts.progress
        self._overlay = parts.overlay
        self._roles = parts.roles
        self._folder = folder
        self._receiver = receiver
        self._loader = loader
        self._teller = teller
        self._ask = ask
        self._opened = False
        """Whether the newest messages were loaded in this life."""
        self.doubtful = False
        """Nobody looked for a while: the log may have been restored meanwhile, and have grown since."""
        self._lagging_since: float | None = None
        self._fruitless = 0
        self._steady = Steadiness()
        self._anew = False
        """The run that is under way began anew."""

    async def run(self) -> bool:
        """Read up to the head; then nothing is missing but recorded holes.

        Returns:
            `False`: the log stands behind what it had shown; it is to be asked again.

        Raises:
            ChatkitError: The log gave no answer, or refused; the mark stands where it stood.
        """
        log = self._context.need_log(self._channel)
        self._context.observer.point("channel.reading", channel=self._channel)
        self._receiver.reading()
        if not self._opened and not await self._open(log):
            return False
        self._anew = False
        doubted = self.doubtful and not await self._holds_what_was_applied(log)
        if doubted and not await self._begin_anew(log, self._progress.log_id, another=True):
            return False
        self.doubtful = False
        mark = self._progress.complete
        messages = 0
        while True:
            got = await self._ask(partial(log.entries, self._channel, after=mark, limit=PAGE))
            verdict = self._judge(got.state)
            if verdict == "lagging":
                return False
            if verdict != "fits":
                if not await self._begin_anew(log, got.state.log_id, another=verdict == "another"):
                    return False
                mark, messages = self._progress.complete, 0
                continue
            messages += await self._fold(got)
            end = got.items[-1].stamp.key if got.items else head_of(got.state)
            more = got.more and (mark is None or end > mark)  # a log that does not go on has no more for us
            self._progress.continuity.read(end, more=more)
            await self._teller.release()
            self._context.observer.point("channel.read", channel=self._channel, entries=len(got.items))
            mark = end
            if not more:
                break
            if messages >= CAP:
                if await self._jump(log):
                    break
                messages = 0
        self._read_again_if_open()
        self._context.observer.point("channel.caught_up", channel=self._channel)
        return True

    async def _fold(self, got: Entries) -> int:
        """Fold what was read; returns how many messages it makes."""
        messages = 0
        for entry in got.items:
            fact = from_log(self._context, self._channel, entry)
            if isinstance(fact, Refused):
                self._context.counters[f"refused_entry:{fact.reason}"] += 1
                continue
            if not await self._roles.admits(fact):
                self._teller.foreign(fact.envelope.kind, None, "not_owner")
                continue
            self._folder.fold(fact)
            messages += fact.envelope.kind == "message.create"
        return messages

    def _read_again_if_open(self) -> None:
        """Ask again, ever less often, where the log has not yet what frames have shown: a replica lags."""
        if self._progress.continuity.open:
            self._fruitless += 1
            wait = AGAIN * 2.0 ** min(self._fruitless, 10)
            self._receiver.prompt_read(min(wait, self._context.staleness))
        else:
            self._fruitless = 0
            self._receiver.heard = self._context.clock.monotonic()

    async def _open(self, log: Log) -> bool:
        """Show the newest messages at once; on to what the store kept the entries that follow join.

        Returns:
            `False`: the page is older than what was shown, so that it would take that away.
        """
        if not self._loader.restored:
            page = await self._ask(partial(log.messages, self._channel, limit=FIRST), hold=True)
            if self._progress.behind(page.state) and self._wait_for_replica():
                return False
            if self._progress.is_of(page.state.log_id):  # else what is shown stays and is read anew (D18)
                self._progress.log_id = page.state.log_id
                _ = await self._loader.put(page, replace=True)
                self._folder.skipped()
                if self._progress.complete is None and not self._progress.whole:
                    self._progress.continuity.read(head_of(page.state))
        self._opened = True
        return True

    async def _holds_what_was_applied(self, log: Log) -> bool:
        """Say whether the newest message up to the mark is where it was.

        A log that was restored and has grown past the mark since has another one there (D18).
        """
        complete, log_id = self._progress.complete, self._progress.log_id
        if complete is None or log_id is None or "fence" not in log.capabilities:
            return True
        for fold in reversed(self._timeline.window):
            if fold.key <= complete and fold.voucher.origin == log_id and "orphaned" not in fold.flags:
                break
        else:
            return True
        found = await self._ask(partial(log.find, self._channel, [fold.ident]))
        if found.state.log_id != log_id:
            return True  # what is read next says so
        known = found.items.get(fold.ident)
        return known == fold.key or (known is None and not _reaches(found, fold))

    def _judge(self, state: LogState) -> Literal["fits", "lagging", "restored", "another"]:
        """Say whether the log still is what the mark is of (D18)."""
        progress = self._progress
        complete = progress.complete
        if not progress.is_of(state.log_id):
            return "another"
        progress.log_id = state.log_id
        if complete is not None and head_of(state) < complete:
            return "lagging" if self._wait_for_replica() else "restored"
        self._lagging_since = None
        self._steady.fits()
        floor = progress.floor = None if state.floor is None else OrderKey(state.epoch, state.floor)
        if complete is not None and floor is not None and complete < floor:
            self._teller.announce("retention", complete, floor)
            progress.continuity.read(floor, more=True)
        return "fits"

    def _wait_for_replica(self) -> bool:
        """Whether to ask again a log that stands behind: a replica may; to begin anew would be wrong."""
        now = self._context.clock.monotonic()
        if self._lagging_since is None:
            self._lagging_since = now
        if now - self._lagging_since >= LAG:
            return False
        self._receiver.prompt_read(AGAIN)
        return True

    async def _begin_anew(self, log: Log, log_id: str | None, *, another: bool) -> bool:
        """Begin anew on a log that says that it was restored or replaced, once in a run (D18).

        Returns:
            `False`: it answers as now this log, now that one. It is asked again, ever less often.
        """
        sure = not self._anew and self._steady.says(log_id, self._context.clock.monotonic())
        if sure and await self._reread(log, log_id, another=another):
            self._anew = True
            return True
        self._progress.gap = True
        wait = self._steady.wavers(self._context.clock.monotonic())
        self._receiver.prompt_read(min(wait, self._context.staleness))
        self._context.counters["log_wavers"] += 1
        return False

    async def _reread(self, log: Log, log_id: str | None, *, another: bool) -> bool:
        """Begin anew on a log that was restored or replaced; what it lacks stays, flagged (D18).

        Returns:
            `False`: what was read is not of the log that said so; nothing was done.
        """
        if self._progress.whole:
            self._lagging_since = self._progress.log_id = None
            self._progress.continuity.reset()
            return True
        pages: list[Messages] = []
        loaded = 0
        before: OrderKey | None = None
        while not pages or (before is not None and loaded < self._timeline.window.bound):
            page = await self._ask(partial(log.messages, self._channel, before=before, limit=CAP), hold=True)
            if page.state.log_id != log_id:
                return False
            if pages and not page.items:
                break  # a log that promises older ones and gives none
            pages.append(page)
            loaded += len(page.items)
            before = page.before
        head = pages[0].state
        begin = self._before_own(pages) or head_of(head)
        self._lagging_since = None
        await self._teller.finish()
        self._teller.announce("log_reset")
        self._folder.forget()
        self._receiver.gap_announced()
        self._progress.continuity.reset()
        self._progress.log_id, self._progress.holes = head.log_id, ()
        self._teller.restart(begin)
        if self._timeline.window.has_newer:
            self._timeline.unload()
        self._timeline.reset(another=another)
        for page in pages:
            items = tuple(folded for folded in page.items if folded.stamp.key <= begin)
            _ = await self._loader.put(page._replace(items=items, after=None))
        _ = self._timeline.mark_orphaned()
        self._progress.continuity.read(begin, more=begin != head_of(head))
        self._context.observer.point("channel.reread", channel=self._channel)
        return True

    def _before_own(self, pages: Sequence[Messages]) -> OrderKey | None:
        """Return the place before the first message of mine that is not confirmed yet; `None`: there is none.

        It was sent in this life, so whoever listens is to be told of it and of all that follows (D15).
        """
        places = [
            OrderKey(folded.stamp.key.epoch, folded.stamp.prev)
            for page in pages
            for folded in page.items
            if folded.stamp.prev is not None and any(wish.creates for wish in self._overlay.of(folded.ident))
        ]
        return min(places, default=None)

    async def _jump(self, log: Log) -> bool:
        """Too much was missed: show the newest messages and record the range between as a hole (D19).

        Returns:
            `False`: the newest messages join on to what was read, so that there is no hole.
        """
        page = await self._ask(partial(log.messages, self._channel, limit=CAP), hold=True)
        below = self._progress.complete
        oldest = page.items[0].stamp.key if page.items else None
        if page.before is None or below is None or oldest is None or oldest <= below:
            return False
        if not self._progress.is_of(page.state.log_id):  # of another log it says nothing of this one
            return False
        if self._progress.behind(page.state):  # it would take away what was shown
            return False
        head, shown = head_of(page.state), page
        elsewhere = tuple(self._timeline.window) if self._timeline.window.has_newer else ()
        if elsewhere:  # somebody looks at another stretch, in which changes were skipped as well
            middle, limit = elsewhere[len(elsewhere) // 2].key, min(len(elsewhere), CAP)
            again = partial(log.messages, self._channel, around=middle, limit=limit)
            shown = await self._ask(again, hold=True)
        self._teller.gap("backfill", below, head)
        self._progress.add_hole(below, oldest)
        self._progress.continuity.read(head)
        _ = await self._loader.put(shown, replace=True)
        self._folder.skipped()
        self._context.observer.point("channel.skipped", channel=self._channel)
        return True


def _reaches(found: Found, fold: MessageFold) -> bool:
    """Say whether a log remembers everything from a message's time on (D10)."""
    return found.reaches is not None and fold.sent_at is not None and found.reaches <= fold.sent_at
