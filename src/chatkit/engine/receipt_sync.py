"""`ReceiptSync`: the receipts of one channel, or thread, from log and members, and to them (D25)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from chatkit.core import backoff
from chatkit.core.receipts import PUBLIC
from chatkit.engine.context import foreign
from chatkit.engine.marking import KINDS, announced
from chatkit.engine.reach import Reach
from chatkit.engine.receipt_sending import EVERY, KNOWN, MarkSender
from chatkit.engine.receipts import NAMES, Listener, Mode, ReceiptBook
from chatkit.engine.syncing import doze
from chatkit.model.events import ReceiptAdvanced
from chatkit.model.registers import DELIVERED, Register, thread_suffix

if TYPE_CHECKING:
    from chatkit.engine.parts import ChannelParts
    from chatkit.engine.reading import Passing
    from chatkit.model.order import OrderKey
    from chatkit.ports import Log

_NEVER: Final = float("inf")


class ReceiptSync:
    """Keeps a book of receipts true, in a task of its own that begins with the first need of it.

    What is announced may get lost, so that the log is read when live begins, when somebody asks, and every
    `staleness` while somebody watches. Without a log that keeps registers a device announces its user's marks
    whenever live begins, and when another device of the user is heard to be behind.

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
        self._dispatcher = parts.dispatcher
        self._book = book
        self._attached = attached
        self._connected = reach.connected
        self._device = reach.device
        self._sender = MarkSender(parts, book, attached=attached, reach=reach)
        self._log: Log | None = parts.context.log if book.logged else None
        self._wake = asyncio.Event()
        self._running = self._retired = False
        self._lacking: dict[str, None] = {}
        """Users whose messages the log is to count."""
        self._refresh_due = _NEVER
        self._everyone = False
        """Somebody asks for the marks of all, however many they are."""
        self._taken = False
        """The log's marks were read in this life: what comes now is news."""
        self._refreshed = self._asked = self._saved = self._not_before = -_NEVER
        self._failures = 0
        book.lacking = self._lacks

    # -- this client's users ----------------------------------------------------------------------------

    def join(self, user: str, mode: Mode, listener: Listener) -> None:
        """A user of this client has receipts here from now on."""
        self._book.modes[user] = mode
        self._book.listeners[user] = listener
        self.joined(user)

    def joined(self, user: str) -> None:
        """Where the store held marks of a user, see to it that the log and others have them, too."""
        if self._book.modes[user] == "off" or not self._book.marks.of(user):
            return
        if self._log is not None:
            self._look_now()  # and what the log lacks of them is put there
        elif self._attached():
            self._say_again(user)

    async def read(self, user: str, key: OrderKey, id: str) -> None:
        """Take note that a user has read up to a message; safe on return.

        Raises:
            StoreError: The store could not keep it; nothing changed.
        """
        await self._keep(user, self._book.read(user, key, id))

    async def unread_from(self, user: str, key: OrderKey) -> None:
        """Take note that a user counts all from a message on as unread again; safe on return.

        Raises:
            StoreError: The store could not keep it; nothing changed.
        """
        await self._keep(user, [self._book.unread_from(user, key)])

    def look(self, *, everyone: bool = False) -> None:
        """Somebody wants to know: the log is asked, if it was not for a while.

        Args:
            everyone: They ask for the marks of others.
        """
        stale = not self._book.synced or (everyone and self._book.crowd > KNOWN)
        if self._now() >= self._refreshed + (EVERY if stale else self._context.staleness):
            self._look_now(everyone=everyone)

    async def countable(self, user: str) -> int | None:
        """Let the log know what a user has read, so that it can count what is not.

        Returns:
            The book's turn, for `ReceiptBook.answered`; `None`: no log can count that can be asked now.

        Raises:
            ChatkitError: There was no answer.
        """
        if self._log is None or not self._connected() or self._book.modes.get(user, "off") == "off":
            return None
        if self._thread is not None:
            return None  # logs count the messages of channels
        await self._sender.settle(user)
        return self._book.turn

    async def first_unread(self, user: str) -> OrderKey | None:
        """Return the place of the oldest message that a user has not read; `None`: all is read.

        Raises:
            ChatkitError: It is not loaded, and the log gave no answer.
        """
        loaded, log = self._book.first_loaded(user), self._log
        turn = None if loaded.whole else await self.countable(user)
        if turn is None or log is None:
            return loaded.key
        counted = (await self._context.read(lambda: log.unread(user, [self._channel])))[self._channel]
        self._book.answered(user, turn, counted)
        first = counted.first
        if first is None:
            return None
        named = await self._context.read(lambda: log.get(self._channel, [first]))
        places = (folded.stamp.key for folded in named.items if folded.ident.user != user)
        return min(places, default=loaded.key)

    async def flush(self) -> None:
        """Let out what waits, before the client ends."""
        await self._sender.flush()

    # -- told by the channel ----------------------------------------------------------------------------

    def began(self) -> None:
        """Live begins: what was missed is read, or said again where nobody remembers it."""
        self._book.synced = False
        for user in self._book.modes if self._log is None else ():
            self._say_again(user)
        self._look_now()
        self.connected()
        self.moved()

    def connected(self) -> None:
        """There is a connection again: what waits for one goes out."""
        if self._running:
            self._wake.set()

    def moved(self) -> None:
        """The timeline, or what is known of its place, may be different."""
        book = self._book
        book.settle(self._progress.log_id)
        for user, mode in book.modes.items():
            if mode == "read+delivered" and (mark := book.received(user)) is not None:
                _ = book.take(mark, tell=False)
                self._advanced(user, (DELIVERED,))
        book.changed()

    def take_in(self, passing: Passing) -> None:
        """Believe a register that came by, as far as its sender is vouched for; others' kinds are counted."""
        context, book = self._context, self._book
        if passing.envelope.kind not in KINDS:
            context.counters["unread_kind"] += 1
            return
        if not self._shown():
            return
        found = announced(passing, self._channel)
        if found is None:
            context.counters["refused_mark"] += 1
        elif found.register is None or found.log_id != book.log_id:
            if self._log is None:
                context.counters["unattested_mark"] += 1
            self._look_now(age=EVERY)
        elif book.take(found.register, tell=True):
            self._start()
        elif passing.user in book.modes and passing.envelope.sender.device != self._device():
            self._heard_self(found.register)

    async def save(self) -> None:
        """Write what the store does not have; what it cannot write is written with the next."""
        book = self._book
        unsaved, book.unsaved = book.unsaved, {}
        if not unsaved:
            return
        self._saved = self._now()
        try:
            await self._context.store.put(list(unsaved.values()))
            self._context.observer.point("receipts.saved", channel=self._channel, marks=len(unsaved))
        except BaseException as error:  # a cancelled write may not have happened either
            book.unsaved = unsaved | book.unsaved
            if not isinstance(error, Exception):
                raise
            self._context.counters["store_errors"] += 1
            self._context.observer.point("store.failed", error=type(error).__name__)

    # -- the task ---------------------------------------------------------------------------------------

    def _start(self) -> None:
        """There may be something to do."""
        if not self._running and not self._context.tasks.closing:
            self._running = True
            self._context.tasks.keep(self._run, f"receipts:{self._channel}")
            self._retired = False
        self._wake.set()

    def retire(self) -> bool:
        """Nobody needs it any more: end its task; `False`: something is to be kept or said first."""
        if self._book.unsaved or self._sender.due(self._now()) is not None:
            return False
        self._retired = True
        self._wake.set()
        return True

    async def _run(self) -> None:
        while not self._retired:
            self._wake.clear()
            try:
                await self._work()
                self._failures = 0
            except Exception as raised:  # noqa: BLE001  # whatever a log raises, marks go on
                error = foreign(raised)
                self._context.observer.point("receipts.failed", error=type(error).__name__)
                pause = backoff.delay(self._failures, self._context.random.random())
                self._not_before = self._now() + max(EVERY, pause)
                self._failures += 1
            await doze(self._wake, self._wait())
        self._running = False

    async def _work(self) -> None:
        now = self._now()
        if now >= self._saved + EVERY:
            await self.save()
        if not self._connected() or now < self._not_before:
            return
        if self._log is not None and self._refresh_at() <= now:
            await self._refresh(self._log)
        await self._sender.send()
        if self._lacking and now >= self._asked + EVERY:
            lacking, self._lacking = self._lacking, {}
            self._asked = now
            for user in lacking:
                await self._count(user)

    def _wait(self) -> float | None:
        """Return the seconds until there is something to do, or `None`."""
        now = self._now()
        due = self._saved + EVERY if self._book.unsaved else _NEVER
        if self._connected():
            sends = self._sender.due(now)
            later = min(
                _NEVER if sends is None else sends,
                self._refresh_at(),
                _NEVER if self._log is None else now + self._context.staleness,  # who watches by then?
                self._asked + EVERY if self._lacking else _NEVER,
            )
            due = min(due, max(later, self._not_before))
        return None if due == _NEVER else max(0.0, due - now)

    def _refresh_at(self) -> float:
        """Return when the log is to be read; never, while nobody wants to know."""
        watched = self._log is not None and self._attached() and (self._book.watched or self._heard())
        return min(self._refresh_due, self._refreshed + self._context.staleness if watched else _NEVER)

    async def _refresh(self, log: Log) -> None:
        """Take over what the log has, and note what it lacks of our own."""
        book, attached = self._book, self._attached()
        everyone = self._everyone or book.marks.users <= KNOWN or self._heard()
        mine = tuple(user for user, mode in book.modes.items() if mode != "off")
        self._refresh_due, self._everyone, self._refreshed = _NEVER, False, self._now()
        try:
            await self._sender.know_log(log)
            cells = await self._read(log, NAMES, mine)
            others = await self._read(log, PUBLIC) if everyone else ()
        except BaseException:
            self._refresh_due, self._everyone = self._now(), everyone
            raise
        for cell in (*cells, *others):
            if cell.key is not None and self._context.admits(self._channel, cell.user):
                _ = book.take(cell, tell=self._taken)
        self._taken = True
        told = {(cell.user, cell.name): cell for cell in cells}
        for user in mine:
            lacks = [cell.name for cell in book.marks.of(user) if told.get((user, cell.name)) != cell]
            if lacks:
                self._sender.lacks(user, lacks)
        if not book.synced and attached and self._attached():
            book.synced = True
            book.changed()

    async def _read(
        self, log: Log, names: Sequence[str], users: Sequence[str] | None = None
    ) -> tuple[Register, ...]:
        wanted = tuple(name + thread_suffix(self._thread) for name in names)
        cells = await self._context.read(lambda: log.registers(self._channel, wanted, users=users))
        return tuple(mark for cell in cells if (mark := self._book.unnamed(cell)) is not None)

    async def _count(self, user: str) -> None:
        turn, log = await self.countable(user), self._log
        if turn is not None and log is not None:
            found = await self._context.read(lambda: log.unread(user, [self._channel]))
            self._book.answered(user, turn, found[self._channel])

    # -- inside -----------------------------------------------------------------------------------------

    async def _keep(self, user: str, registers: Sequence[Register]) -> None:
        if registers:
            self._advanced(user, await self._book.keep(registers))

    def _advanced(self, user: str, names: Iterable[str]) -> None:
        if self._book.modes[user] != "off":
            self._sender.advanced(user, names)
        self._start()

    def _heard_self(self, heard: Register) -> None:
        """Another device says what is known here: it may be behind, or have changed what is private."""
        mine = self._book.marks.get(heard.user, heard.name)
        if self._log is None and mine is not None and mine.key != heard.key:
            self._say_again(heard.user)
        self._look_now(age=EVERY)

    def _say_again(self, user: str) -> None:
        if self._book.modes[user] != "off":
            self._sender.again(user)
            self._start()

    def _lacks(self, user: str) -> None:
        shown = self._log is not None and self._thread is None and self._book.modes.get(user, "off") != "off"
        if shown and not self._book.asked(user):
            self._lacking[user] = None
            self._start()

    def _look_now(self, *, everyone: bool = False, age: float = 0.0) -> None:
        """Have the log read as soon as it was not for so long."""
        if self._log is not None and self._shown():
            self._everyone = self._everyone or everyone
            self._refresh_due = min(self._refresh_due, max(self._now(), self._refreshed + age))
            self._start()

    def _shown(self) -> bool:
        """Whether receipts are on for anybody here."""
        return any(mode != "off" for mode in self._book.modes.values())

    def _heard(self) -> bool:
        """Whether somebody asked for the events of marks by their type."""
        readers = self._dispatcher.readers(self._channel)
        return any(ReceiptAdvanced in reader.kinds and reader.thread == self._thread for reader in readers)

    def _now(self) -> float:
        return self._context.clock.monotonic()
