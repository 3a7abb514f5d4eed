"""`MarkSender`: the marks of this client's users, to the log and the other members, seldom enough (D25)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from chatkit.core.receipts import PUBLIC
from chatkit.engine.marking import announcement
from chatkit.engine.reach import Reach
from chatkit.engine.receipts import ReceiptBook
from chatkit.errors import ChatkitError
from chatkit.model.registers import DELIVERED, READ

if TYPE_CHECKING:
    from chatkit.engine.parts import ChannelParts
    from chatkit.ports import Log

EVERY: Final = 2.0
"""Least seconds between two announcements of a user, two reads of the log, two writes to the store."""
KNOWN: Final = 20
"""Known users above whose number nothing is announced: the log is asked instead."""


class MarkSender:
    """Puts marks of one channel, or thread, into the log where it keeps registers, then announces them.

    One envelope of a user at a time: who has read has received. What is private is put and not said; that
    something changed shows from a mark that is said again.

    Args:
        parts: Of the channel.
        book: What is known.
        attached: Whether the channel is attached.
        reach: The way to the others.
    """

    def __init__(
        self,
        parts: ChannelParts,
        book: ReceiptBook,
        *,
        attached: Callable[[], bool],
        reach: Reach,
    ) -> None:
        self._context = parts.context
        self._channel = parts.name
        self._thread = parts.thread
        self._progress = parts.progress
        self._book = book
        self._attached = attached
        self._connected = reach.connected
        self._device = reach.device
        self._emit = reach.emit
        self._log: Log | None = parts.context.log if book.logged else None
        self._one_by_one = asyncio.Lock()
        """Held while marks go out, so that what is counted afterwards counts with them."""
        self._dirty: dict[str, set[str]] = {}
        """Marks that the log may not have, by user and name."""
        self._unsaid: dict[str, set[str]] = {}
        """Marks to be announced."""
        self._news: set[tuple[str, str]] = set()
        """Marks that readers are told of once they are out."""
        self._free: dict[str, float] = {}
        """When each user may be heard of again."""

    def advanced(self, user: str, names: Iterable[str]) -> None:
        """Marks of a user changed: the log, the others and readers are to know."""
        changed = set(names)
        self._news.update((user, name) for name in changed & set(PUBLIC))
        self.lacks(user, changed)

    def lacks(self, user: str, names: Iterable[str]) -> None:
        """The log may lack marks of a user."""
        self._dirty.setdefault(user, set()).update(names)

    def again(self, user: str) -> None:
        """Announce a user's marks again: nobody remembers them for those who did not hear."""
        names = {cell.name for cell in self._book.marks.of(user)} & set(PUBLIC)
        if names:
            self._unsaid.setdefault(user, set()).update(names)

    def due(self, now: float) -> float | None:
        """Return when the next mark may go out, or `None`."""
        return min((self._free.get(user, now) for user in self._waiting()), default=None)

    async def send(self) -> None:
        """Let out what may go out now.

        Raises:
            ChatkitError: There was no answer; it is to be tried again.
        """
        async with self._one_by_one:
            now = self._now()
            due = [user for user in self._waiting() if self._free.get(user, now) <= now]
            if self._log is not None:
                await self._put(self._log, due)
            else:
                for user in due:
                    names = self._dirty.pop(user, set()) & set(PUBLIC)
                    self._unsaid.setdefault(user, set()).update(names)
            for user in due:
                await self._announce(user)

    async def settle(self, user: str | None = None) -> None:
        """Put marks into the log now, a user's or all; they are announced in their time.

        Raises:
            ChatkitError: There was no answer; it is to be tried again.
        """
        if self._log is not None:
            async with self._one_by_one:
                await self._put(self._log, tuple(self._dirty) if user is None else (user,))

    async def flush(self) -> None:
        """Let out all before the client ends; what fails is in the store, for the next life."""
        try:
            if self._connected():
                await self.settle()
            while self._log is None and self._connected() and self._waiting():
                now = self._now()
                await asyncio.sleep(max(self._free.get(user, now) for user in self._waiting()) - now)
                await self.send()
        except Exception as error:  # noqa: BLE001  # whatever a log raises, the client ends
            self._context.observer.point("receipts.not_said", error=type(error).__name__)

    async def know_log(self, log: Log) -> None:
        """Learn whose numbers the log's are, where nothing has said so (D18)."""
        log_id = self._progress.log_id
        if log_id is None or not self._attached():
            log_id = (await self._context.read(lambda: log.heads([self._channel])))[self._channel].log_id
        self._book.settle(log_id)

    # -- inside -----------------------------------------------------------------------------------------

    def _waiting(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self._dirty, *self._unsaid)))

    async def _put(self, log: Log, users: Iterable[str]) -> None:
        """Put users' marks into the log; then they are to be announced."""
        taken = {user: self._dirty.pop(user) for user in users if user in self._dirty}
        if not taken:
            return
        try:
            await self.know_log(log)
            cells = [
                self._book.named(cell)
                for user, names in taken.items()
                for name in sorted(names)
                if (cell := self._book.marks.get(user, name)) is not None
            ]
            await self._context.read(lambda: log.put(cells))
            self._context.observer.point("receipts.put", channel=self._channel, marks=len(cells))
        except BaseException as error:
            if isinstance(error, ChatkitError) and not error.retryable:
                self._context.counters["refused_mark"] += 1
                return  # repeating does not help: they stay on this device
            for user, names in taken.items():
                self.lacks(user, names)
            raise
        for user, names in taken.items():
            self._unsaid.setdefault(user, set()).update(names)
            self._tell(user, names)

    async def _announce(self, user: str) -> None:
        """Announce one mark of a user; none in a crowd."""
        names = self._unsaid.pop(user, None)
        if not names:
            return
        mine = user == self._context.user
        if self._book.crowd > KNOWN or (self._log is None and not mine):
            # A session speaks for its own user: nobody would believe it of another. The log would be asked.
            self._tell(user, names)
            return
        later = self._received_later(user) and DELIVERED in names and names != {DELIVERED}
        name = DELIVERED if names == {DELIVERED} else READ
        shown = self._book.marks.get(user, name) if mine else None
        data = announcement(
            self._context,
            self._channel,
            name,
            shown,
            device=self._device(),
            log_id=self._book.log_id,
            thread=self._thread,
        )
        self._free[user] = self._now() + EVERY
        if not await self._emit(self._channel, data):
            self._unsaid.setdefault(user, set()).update(names)
            return
        self._context.observer.point("receipts.said", channel=self._channel)
        if later:
            self._unsaid.setdefault(user, set()).add(DELIVERED)
        self._tell(user, names - {DELIVERED} if later else names)

    def _received_later(self, user: str) -> bool:
        """Whether a user has received more than they have read."""
        read, received = self._book.marks.place(user), self._book.marks.place(user, DELIVERED)
        return read is not None and received is not None and received > read

    def _tell(self, user: str, names: Iterable[str]) -> None:
        for name in sorted(names):
            if (user, name) in self._news:
                self._news.discard((user, name))
                self._book.tell(user, name)

    def _now(self) -> float:
        return self._context.clock.monotonic()
