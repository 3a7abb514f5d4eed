"""`RegisterSync`: the registers of a channel itself, from its log and to it (D25)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from chatkit.core import backoff
from chatkit.engine.context import READ_TIMEOUT, bounded, foreign
from chatkit.engine.emitting import passing_envelope
from chatkit.engine.reach import Reach
from chatkit.engine.receipt_sending import EVERY
from chatkit.engine.register_wishes import Wish
from chatkit.engine.registers import NAMES, RegisterBook
from chatkit.engine.syncing import doze
from chatkit.errors import CapabilityError, ChatkitError
from chatkit.model.events import PinChanged, RoleChanged
from chatkit.model.registers import KIND, ROLE, Register

if TYPE_CHECKING:
    from chatkit.engine.parts import ChannelParts
    from chatkit.ports import Log

BATCH: Final = 100
"""Wishes in one call of the log."""
_RANK: Final = {ROLE: 0, KIND: 1}
"""Who may say what follows from roles, so that these come first."""
_NEVER: Final = float("inf")


class RegisterSync:
    """Keeps a book of registers true, in a task of its own that begins with the first need of it.

    Others are told no more than that something is different: nobody has to be believed, and what the log says
    it says to all. It is read when live begins, when somebody asks or says so, and every `staleness` while
    somebody listens for changes.

    Args:
        parts: Of the channel.
        attached: Whether the channel is attached.
        reach: The way to the others.
        on_known: Called when it is known what the log has.
    """

    def __init__(
        self,
        parts: ChannelParts,
        *,
        attached: Callable[[], bool],
        reach: Reach,
        on_known: Callable[[], None],
    ) -> None:
        self._context = parts.context
        self._channel = parts.name
        self._progress = parts.progress
        self._dispatcher = parts.dispatcher
        self.book: Final = RegisterBook(parts)
        """What is known."""
        self._attached = attached
        self._connected = reach.connected
        self._device = reach.device
        self._emit = reach.emit
        self._log: Log | None = parts.context.log if self.book.logged else None
        self._one_by_one = asyncio.Lock()
        """Held while the log is asked, so that of many who want to know one asks."""
        self._wake = asyncio.Event()
        self._running = False
        self._restored = asyncio.Event()
        self._taken = False
        """The log was read in this life: what comes now is news."""
        self._unsaid: set[str] = set()
        """Kinds to be announced."""
        self._refresh_due = _NEVER
        self._refreshed = self._said = self._saved = self._not_before = -_NEVER
        self._failures = 0
        self._on_known = on_known
        parts.roles.serve(self.book, self)

    # -- what others of this client want ----------------------------------------------------------------

    def need(self) -> None:
        """Somebody wants to know, or to be told."""
        if self._log is not None and not self._running and not self._context.tasks.closing:
            self._running = True
            self._look()
            self._context.tasks.keep(self._run, f"registers:{self._channel}")

    async def restored(self) -> Log:
        """Wait until what the store holds is taken up; returns the log that keeps the rest.

        Raises:
            CapabilityError: Nobody keeps registers here.
        """
        if self._log is None:
            raise CapabilityError(
                "nothing here keeps roles and pins",
                channel=self._channel,
                hint="Give connect() a log with `log=`, or decide about roles with `roles=`.",
            )
        self.need()
        await self._restored.wait()
        return self._log

    async def ask(self, age: float | None, *, patience: float) -> bool:
        """Have the log asked, if it was not for a while; returns whether it is known what it has.

        Args:
            age: Seconds for which an answer holds; `None`: as long as live frames would say more.
            patience: Most seconds to wait for an answer.
        """
        log = await self.restored()
        if self._is_stale(age):
            try:
                await bounded(lambda: self._ask(log, age), patience)
            except ChatkitError as error:
                self._context.observer.point("registers.failed", error=type(error).__name__)
        return self.book.known

    async def wish(self, registers: Sequence[Register]) -> list[Wish]:
        """Take note of changes; safe on return.

        Raises:
            CapabilityError: Nobody keeps registers here.
            OutboxFull: Too many wait for the log.
            StoreError: The store could not keep them; nothing changed.
        """
        _ = await self.restored()
        wishes = await self.book.wish(registers)
        self._wake.set()
        return wishes

    async def flush(self) -> None:
        """Put into the log what waits, before the client ends; what fails is in the store."""
        try:
            if self._log is not None and self.book.wishes and self._connected():
                await self._send(self._log)
            if self._unsaid and self._connected():
                await self._say()
        except Exception as error:  # noqa: BLE001  # whatever a log raises, the client ends
            self._context.observer.point("registers.not_said", error=type(error).__name__)

    async def save(self) -> None:
        """Write what the store does not have; what it cannot write is written with the next."""
        await self.book.save()

    # -- told by the channel ----------------------------------------------------------------------------

    def began(self) -> None:
        """Live begins: what was missed is read."""
        if self._running or self._heard():
            self.need()
            self._look()

    def connected(self) -> None:
        """There is a connection again: what waits for one goes out."""
        if self._running:
            self._wake.set()

    def listened(self) -> None:
        """Somebody listens: if to this, what there is now is read, so that what comes is news."""
        if not self._running and self._heard():
            self.need()

    def take_in(self) -> None:
        """Somebody said that the log has something else now: whoever it was, the log says what."""
        if self._running or self._heard():
            self.need()
            self._look(age=EVERY)

    # -- the task ---------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            await self.book.restore()
        finally:  # nobody waits for a client that ended meanwhile
            self._restored.set()
        self._on_known()
        while True:
            self._wake.clear()
            try:
                await self._work()
                self._failures = 0
            except Exception as raised:  # noqa: BLE001  # whatever a log raises, wishes go on
                error = foreign(raised)
                self._context.observer.point("registers.failed", error=type(error).__name__)
                for wish in self.book.wishes.values():
                    wish.met = error
                pause = backoff.delay(self._failures, self._context.random.random())
                self._not_before = self._now() + max(EVERY, pause)
                self._failures += 1
            await doze(self._wake, self._wait())

    async def _work(self) -> None:
        if self._now() >= self._saved + EVERY:
            self._saved = self._now()
            await self.book.save()
        if not self._connected() or self._now() < self._not_before or self._log is None:
            return
        if self._refresh_at() <= self._now():
            async with self._one_by_one:
                await self._refresh(self._log)
        if self.book.wishes:
            await self._send(self._log)
        if self._unsaid and self._now() >= self._said + EVERY:
            await self._say()

    def _wait(self) -> float | None:
        """Return the seconds until there is something to do, or `None`."""
        now = self._now()
        due = self._saved + EVERY if self.book.dirty else _NEVER
        if self._connected():
            later = min(
                self._refresh_at(),
                now if self.book.wishes else _NEVER,
                self._said + EVERY if self._unsaid else _NEVER,
                now + self._context.staleness,  # who listens by then?
            )
            due = min(due, max(later, self._not_before))
        return None if due == _NEVER else max(0.0, due - now)

    def _refresh_at(self) -> float:
        heard = self._attached() and self._heard()
        return min(self._refresh_due, self._refreshed + self._context.staleness if heard else _NEVER)

    async def _ask(self, log: Log, age: float | None) -> None:
        async with self._one_by_one:
            if self._is_stale(age):
                await self._refresh(log)

    async def _refresh(self, log: Log) -> None:
        """Take over what the log has.

        Raises:
            ChatkitError: It gave no answer; whoever asks knows whether to ask again.
        """
        book = self.book
        self._refresh_due, self._refreshed = _NEVER, self._now()
        try:
            log_id = self._progress.log_id
            if log_id is None or not self._attached():
                heads = await bounded(lambda: log.heads([self._channel]), READ_TIMEOUT)
                log_id = heads[self._channel].log_id
            cells = await bounded(lambda: log.registers(self._channel, NAMES), READ_TIMEOUT)
        except BaseException as error:
            self._refresh_due, self._refreshed = self._now(), -_NEVER
            if isinstance(error, Exception):
                raise foreign(error) from None
            raise
        book.settle(log_id)
        book.replace(cells, tell=self._taken)
        self._taken = True
        self._on_known()
        self._wake.set()

    async def _send(self, log: Log) -> None:
        """Put wishes into the log; what it holds afterwards says what became of them.

        Raises:
            ChatkitError: There was no answer; it is to be tried again.
        """
        async with self._one_by_one:
            await self._refresh(log)
            waiting = sorted(self.book.wishes.values(), key=lambda wish: _RANK.get(wish.cell[0], 2))
            put = await self._put(log, self.book.plan(waiting[:BATCH]))
            if put:
                self._unsaid |= {"state.pin" if wish.pin else "state.role" for wish in put}
                await self._refresh(log)
                self.book.judge(put)
                await self.book.save()  # a wish that came true must not be repeated in the next life

    async def _put(self, log: Log, planned: dict[Wish, list[Register]]) -> list[Wish]:
        """Put what was planned into the log, all at once, or where that is refused one by one."""
        cells = [cell for registers in planned.values() for cell in registers]
        try:
            if cells:
                await self._context.read(lambda: log.put(cells))
                self._context.observer.point("registers.put", channel=self._channel, cells=len(cells))
            return list(planned)
        except ChatkitError as error:
            if error.retryable:
                raise
            if len(planned) == 1:
                self.book.end(next(iter(planned)), "failed", error)
                return []
        return [
            done for wish, registers in planned.items() for done in await self._put(log, {wish: registers})
        ]

    async def _say(self) -> None:
        """Tell those who are attached that the log has something else now."""
        self._said = self._now()
        unsaid, self._unsaid = self._unsaid, set()
        for kind in sorted(unsaid):
            data = passing_envelope(
                self._context,
                self._channel,
                kind,
                {"type": "changed"},
                user=self._context.user,
                device=self._device(),
            )
            if not await self._emit(self._channel, data):
                self._unsaid.add(kind)

    # -- inside -----------------------------------------------------------------------------------------

    def _look(self, *, age: float = 0.0) -> None:
        """Have the log read as soon as it was not for so long."""
        self._refresh_due = min(self._refresh_due, max(self._now(), self._refreshed + age))
        self._wake.set()

    def _is_stale(self, age: float | None) -> bool:
        if age is None:
            age = self._context.staleness if self._attached() else EVERY
        return not self.book.known or self._now() >= self._refreshed + age

    def _heard(self) -> bool:
        """Whether somebody asked for the events of changes by their type."""
        kinds: Iterable[type] = (
            kind for reader in self._dispatcher.readers(self._channel) for kind in reader.kinds
        )
        return self._log is not None and any(kind in (RoleChanged, PinChanged) for kind in kinds)

    def _now(self) -> float:
        return self._context.clock.monotonic()
