"""Reading what was missed: from the mark forward, or down from the head where that is too far (D17-D19)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

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
            changed = self._changed(got.state)
            if changed != "no":
                await self._reread(log, another=changed == "another")
                return
            for entry in got.items:
                fact = from_log(self._context, self._channel, entry)
                if fact is not None:
                    receiver.fold(fact, live=False)
                    messages += fact.envelope.kind == "message.create"
            mark = got.items[-1].stamp.key if got.items else _head(got.state)
            receiver.continuity.read(mark, more=got.more)
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
            if mark is None:
                self._receiver.continuity.read(_head(page.state))
        self.opened = True

    def _changed(self, state: LogState) -> Literal["no", "another", "restored"]:
        """Whether the log is another one than the mark is of, or lost what we had (D18)."""
        receiver = self._receiver
        complete = receiver.continuity.complete
        known, receiver.log_id = receiver.log_id, state.log_id
        if complete is None:
            return "no"
        if known is not None and known != state.log_id:
            receiver.announce("log_reset", None, None)
            return "another"
        if _head(state) < complete:
            receiver.announce("log_reset", None, None)
            return "restored"
        if state.floor is not None and complete < OrderKey(state.epoch, state.floor):
            receiver.announce("retention", complete, OrderKey(state.epoch, state.floor))
            receiver.continuity.read(OrderKey(state.epoch, state.floor), more=True)
        return "no"

    async def _reread(self, log: Log, *, another: bool) -> None:
        """Begin anew on a log that was restored or replaced; what it lacks stays, flagged (D18)."""
        receiver = self._receiver
        receiver.continuity.reset()
        receiver.event_from = None
        receiver.timeline.reset(another=another)
        receiver.holes = ()
        receiver.forget()
        receiver.continuity.read(await self._load_newest(log))
        _ = receiver.timeline.mark_orphaned()

    async def _jump(self, log: Log) -> None:
        """Too much was missed: show the newest messages and record the range between as a hole (D19)."""
        receiver = self._receiver
        below = receiver.continuity.complete
        receiver.timeline.unload()
        head = await self._load_newest(log)
        oldest = next(iter(receiver.timeline.window), None)
        if below is not None and oldest is not None and oldest.key > below:
            receiver.holes = (*receiver.holes, (below, oldest.key))
            receiver.announce("backfill", below, oldest.key)
        receiver.continuity.read(head)

    async def _load_newest(self, log: Log) -> OrderKey:
        page = await self._context.read(lambda: log.messages(self._channel, limit=CAP))
        self._receiver.timeline.load(
            page.items, as_of=page.as_of, provisional=page.provisional, has_older=page.before is not None
        )
        return _head(page.state)


def _head(state: LogState) -> OrderKey:
    """Return the place of the newest entry; of an empty log the place before the first."""
    return OrderKey(state.epoch, state.head or "")

