"""Reading what was missed: from the mark forward, or down from the head where that is too far (D17-D19)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chatkit.engine.context import Context
from chatkit.engine.reading import from_log
from chatkit.engine.receiver import Receiver
from chatkit.model.order import OrderKey

if TYPE_CHECKING:
    from chatkit.ports import Log, LogState

PAGE: Final = 500
"""Entries in one read."""
CAP: Final = 1_000
"""Messages that a backfill reads; what is older stays a recorded hole (D19)."""
FIRST: Final = 50
"""Messages that a channel shows when it is opened for the first time."""
AGAIN: Final = 1.0
"""Least seconds between two reads of one channel's open ranges (D17)."""


class CatchUp:
    """Brings one channel up to its log.

    Args:
        context: The client's parts.
        channel: Its name.
        receiver: Where facts go.
    """

    def __init__(self, context: Context, channel: str, receiver: Receiver) -> None:
        self._context = context
        self._channel = channel
        self._receiver = receiver
        self.opened = False
        """Whether the newest page was read in this life."""

    async def run(self) -> None:
        """Read up to the head; returns with nothing missing but recorded holes.

        Raises:
            TransportError: The log gave no answer; the mark stands where it stood.
        """
        log = self._context.need_log(self._channel)
        receiver = self._receiver
        receiver.read_due = None
        mark = receiver.continuity.complete
        if not self.opened:
            await self._open(log, mark)
            mark = receiver.continuity.complete
        messages = 0
        while True:
            got = await self._context.read(lambda: log.entries(self._channel, after=mark, limit=PAGE))
            if self._changed(got.state):
                await self._reread(log)
                return
            for entry in got.items:
                fact = from_log(self._context, self._channel, entry)
                if fact is not None:
                    receiver.fold(fact, live=False)
                    messages += fact.envelope.kind == "message.create"
            if got.items:
                mark = got.items[-1].stamp.key
            elif got.state.head is not None:
                mark = max(mark or OrderKey(0, ""), OrderKey(got.state.epoch, got.state.head))
            if mark is not None:
                receiver.continuity.read(mark)
            await receiver.release()
            if not got.more:
                break
            if messages >= CAP:
                await self._jump(log)
                return
        receiver.heard = self._context.clock.monotonic()
        if receiver.overflowed:
            receiver.overflowed = False
            receiver.prompt_read(0.0)

    async def _open(self, log: Log, mark: OrderKey | None) -> None:
        """Show the newest messages at once; where a mark is stored they join on to what is cached."""
        if mark is None or not len(self._receiver.timeline):
            page = await self._context.read(lambda: log.messages(self._channel, limit=FIRST))
            self._receiver.log_id = page.state.log_id
            self._receiver.timeline.load(
                page.items, as_of=page.as_of, provisional=page.provisional, has_older=page.before is not None
            )
            if mark is None and page.state.head is not None:
                self._receiver.continuity.read(OrderKey(page.state.epoch, page.state.head))
        self.opened = True

    def _changed(self, state: LogState) -> bool:
        """Whether the log is another one than the mark is of, or lost what we had (D18)."""
        receiver = self._receiver
        complete = receiver.continuity.complete
        known, receiver.log_id = receiver.log_id, state.log_id
        if complete is None:
            return False
        if known is not None and known != state.log_id:
            receiver.announce("log_reset", None, None)
            return True
        if state.head is None or OrderKey(state.epoch, state.head) < complete:
            receiver.announce("log_reset", None, None)
            return True
        if state.floor is not None and complete < OrderKey(state.epoch, state.floor):
            receiver.announce("retention", complete, OrderKey(state.epoch, state.floor))
            receiver.continuity.read(OrderKey(state.epoch, state.floor))
        return False

    async def _reread(self, log: Log) -> None:
        """Begin anew on a log that was restored or replaced; what it lacks stays, flagged (D18)."""
        receiver = self._receiver
        receiver.continuity.reset()
        receiver.event_from = None
        receiver.timeline.orphan()
        receiver.holes = ()
        receiver.forget()
        page = await self._load_newest(log)
        if page is not None:
            receiver.continuity.read(page)

    async def _jump(self, log: Log) -> None:
        """Too much was missed: show the newest messages and record the range between as a hole (D19)."""
        receiver = self._receiver
        below = receiver.continuity.complete
        receiver.timeline.clear()
        head = await self._load_newest(log)
        above = receiver.timeline.oldest
        if below is not None and above is not None and above > below:
            receiver.holes = (*receiver.holes, (below, above))
            receiver.announce("backfill", below, above)
        if head is not None:
            receiver.continuity.read(head)

    async def _load_newest(self, log: Log) -> OrderKey | None:
        page = await self._context.read(lambda: log.messages(self._channel, limit=CAP))
        self._receiver.timeline.load(
            page.items, as_of=page.as_of, provisional=page.provisional, has_older=page.before is not None
        )
        return None if page.state.head is None else OrderKey(page.state.epoch, page.state.head)

