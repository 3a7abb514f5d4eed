"""The entries of an outbox: found, moved from state to state, and recorded as what they became (D6, D7)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from itertools import takewhile
from typing import TYPE_CHECKING, Final, Literal
from weakref import WeakValueDictionary

from chatkit.core.delivery import TABLE, Effect, Input, State
from chatkit.core.table import step
from chatkit.engine.context import Context
from chatkit.engine.entry import OutboxEntry, state_of
from chatkit.errors import ChatkitError, DependencyFailed
from chatkit.model.directs import INVITE
from chatkit.model.ids import new_message_id
from chatkit.model.order import Ident
from chatkit.ports import Row

if TYPE_CHECKING:
    from datetime import datetime

    from chatkit.core.fact import Fact

KEPT: Final = frozenset({State.FAILED, State.EXPIRED})
"""States of dead letters: kept with their reason, to be sent again by hand."""
AGAIN: Final = 1.0
"""Seconds after which what the store could not record is handed to it again."""


class Entries:
    """All entries of one client. Each change of status goes through `move`, its record through `settle`.

    Args:
        context: The client's parts.
        on_change: Told each change of status: entry, whether it is late, the reason.
        on_sent: Given the fact that an acknowledgement proved, with the entry; `None` where it has no place.
    """

    def __init__(
        self,
        context: Context,
        *,
        on_change: Callable[[OutboxEntry, bool, str | None], None],
        on_sent: Callable[[OutboxEntry, Fact | None], None],
    ) -> None:
        self.context = context
        self._on_change = on_change
        self._on_sent = on_sent
        self._entries: dict[str, OutboxEntry] = {}
        self._unfinished: dict[OutboxEntry, None] = {}
        self._dependants: dict[str, dict[OutboxEntry, None]] = {}
        self._idents: dict[tuple[str, Ident], OutboxEntry] = {}
        self._known: WeakValueDictionary[str, OutboxEntry] = WeakValueDictionary()
        """One object for each row, as long as anybody holds it: those that were sent and forgotten too."""
        self._unsettled: dict[OutboxEntry, None] = {}
        self._settling_soon = False
        self._settling_again = False
        self.unrecorded: ChatkitError | None = None
        """Why the store could not record what entries became, when it last could not."""
        self._changed = asyncio.Event()
        self.size = 0
        """Bytes of the envelopes that still have a fate to meet."""
        self.invitations = 0
        """How many of those that have a fate to meet are the library's own: no user wished for them."""
        self.failed = 0
        """How many wishes are kept as dead letters."""
        self.totals: Counter[str] = Counter()
        """How many wishes were told to have ended in this process, by their first final status."""

    # -- looking ----------------------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        """How many entries still have a fate to meet, or one to be recorded."""
        return len(self._unfinished)

    @property
    def unfinished(self) -> tuple[OutboxEntry, ...]:
        """Those entries, in queue order."""
        return tuple(self._unfinished)

    @property
    def oldest(self) -> datetime | None:
        """When the first wish of them was queued."""
        return next((one.row.queued_at for one in self._unfinished if one.row.kind != INVITE), None)

    def get(self, entry_id: str) -> OutboxEntry | None:
        """Return an entry by its own id."""
        return self._entries.get(entry_id)

    def by_message(self, message_id: str) -> OutboxEntry | None:
        """Return the entry that creates a message, the newest where there are several."""
        created = [entry for entry in self._entries.values() if entry.row.kind == "create"]
        return next((entry for entry in reversed(created) if entry.row.ident.id == message_id), None)

    def for_ident(self, channel: str, ident: Ident) -> OutboxEntry | None:
        """Return the entry whose envelope has this identity."""
        return self._idents.get((channel, ident))

    def of_channel(self, channel: str) -> list[OutboxEntry]:
        """Return the entries of a channel, ended ones too, in queue order."""
        return [entry for entry in self._entries.values() if entry.row.channel == channel]

    def older_edits(self, entry_id: str, target: Ident) -> list[OutboxEntry]:
        """Return the same user's edits of a message that were queued before this one and never attempted."""
        newer = self._entries.get(entry_id)
        if newer not in self._unfinished:
            return []  # it has ended: what still waits came after it
        place = (newer.row.channel, newer.row.ident.user, "update")
        before = takewhile(lambda entry: entry is not newer, self._unfinished)
        alike = [
            entry for entry in before if (entry.row.channel, entry.row.ident.user, entry.row.kind) == place
        ]
        return [entry for entry in alike if entry.untried and entry.target == target]

    def adopt_row(self, row: Row) -> OutboxEntry:
        """Return the one entry of a stored row."""
        entry = self._known.get(row.entry_id)
        if entry is None:
            entry = self._known[row.entry_id] = OutboxEntry(row, state_of(row))
        return entry

    def new_id(self) -> str:
        """Return a fresh id."""
        return new_message_id(self.context.server_time.now_ms(), self.context.random)

    def told(self) -> None:
        """Wake whoever waits for a change."""
        self._changed.set()

    async def changed(self) -> None:
        """Wait for the next change of any entry."""
        self._changed.clear()
        await self._changed.wait()

    # -- changing ---------------------------------------------------------------------------------------

    def register(self, entry: OutboxEntry) -> None:
        """Take an entry in; one that was accepted has nothing left to do here."""
        if entry.state is State.SENT or entry.row.entry_id in self._entries:
            return
        self._list(entry)
        if entry.state.done:
            entry.ended_at = self.context.server_time.now()
        self._changed.set()

    def requeue(self, entry: OutboxEntry, given: Input) -> None:
        """Move a dead letter back to the living, at the end of the queue."""
        self._unlist(entry)
        self._list(entry)
        self.move(entry, given)

    def move(self, entry: OutboxEntry, given: Input, error: ChatkitError | None = None) -> None:
        """Put an entry into its next state, and tell; a final failure takes its dependants along (D7).

        What ends without being sent is told when that is recorded: till then a restart would send it (I1).
        """
        before, shown = entry.state, entry.shown
        state, effects = step(TABLE, before, given)
        done = state.done
        listed = self.get(entry.row.entry_id) is entry
        if listed:
            self._count(entry, -1)
        entry.state = state
        entry.held = shown if done and state is not State.SENT else None
        if given is not Input.ATTEMPT:  # while one is made, what the last one met is still what is known
            entry.error = error
        entry.row = entry.row._replace(
            status=entry.state.status,
            certain=Effect.UNCERTAIN not in effects,
            reason=_words(error) if done else None,
        )
        if listed:
            self._count(entry, 1)
        if given not in (Input.ATTEMPT, Input.SILENCE):  # these two the store knows
            self.unsettled(entry)
        if done and state is not before:
            self._end(entry)
        self._show(entry, shown, late=Effect.LATE in effects and shown.done)
        if done:
            for other in self.dependants(entry):
                if not self.fail_orphan(other):
                    self.unblock(other)
        self._changed.set()

    def dependants(self, entry: OutboxEntry) -> tuple[OutboxEntry, ...]:
        """Return the entries that refer to one, in queue order."""
        return tuple(self._dependants.get(entry.row.entry_id, ()))

    def unblock(self, entry: OutboxEntry) -> None:
        """Let an entry go on that waits for what it refers to."""

    def rewrite(self, entry: OutboxEntry, row: Row) -> None:
        """Give an unfinished entry another row."""
        self.size += len(row.data) - len(entry.row.data)
        entry.row = row

    def fail_orphan(self, entry: OutboxEntry) -> bool:
        """Fail an entry that waits while what it refers to has ended unsent (D7); returns whether it did."""
        target = self._entries.get(entry.row.depends_on or "")
        if target is None or entry.state not in (State.QUEUED, State.IN_DOUBT) or not target.state.done:
            return False
        error = DependencyFailed(
            f"the message it refers to ended {target.state.status}",
            channel=entry.row.channel,
            message_id=entry.row.ident.id,
        )
        self.move(entry, Input.DEPENDENCY, error)
        return True

    def tell_sent(self, entry: OutboxEntry, fact: Fact | None) -> None:
        """Hand on what an acknowledgement proved."""
        try:
            self._on_sent(entry, fact)
        except Exception as error:  # noqa: BLE001  # a defect of what listens is none of the lane's
            self.context.tasks.broke("on_sent", error)

    def forget(self, before: datetime) -> None:
        """Forget what ended before then (D14)."""
        for entry in tuple(self._entries.values()):
            if entry.ended_at is not None and entry.ended_at < before and entry.held is None:
                self._unlist(entry)

    # -- recording --------------------------------------------------------------------------------------

    def unsettled(self, entry: OutboxEntry) -> None:
        """Have the row written by the next `settle`."""
        self._unsettled[entry] = None

    def settle_soon(self) -> None:
        """Settle when the present step is done; one task for all that ends in it."""
        if not self._settling_soon:
            self._settling_soon = True
            self.context.tasks.spawn(self._settle_soon(), "settle")

    async def settle(self, *, required: bool = False) -> None:
        """Record what entries became, in one transaction; what an earlier call could not record too.

        It is tried again until the store takes note. What stays unrecorded is sent again after a crash, under
        the same id; so an end without being sent is told here.

        Raises:
            StoreError: The store could not, and the caller said that it is `required`.
        """
        pending, self._unsettled = self._unsettled, {}
        if not pending:
            return
        self.context.observer.point("outbox.settling", entries=len(pending))
        try:
            await self.context.store.settle([entry.row for entry in pending])
        except BaseException as error:
            self._unsettled = {**pending, **self._unsettled}
            if not isinstance(error, ChatkitError):
                raise
            self.unrecorded = error
            self.store_failed(error)
            self._settle_again()
            if required:
                raise
        else:
            self.unrecorded = None
            self.context.observer.point("outbox.settled", entries=len(pending))
            for entry in pending:
                self._recorded(entry)

    def store_failed(self, error: ChatkitError) -> None:
        """Count and tell that the store could not do something."""
        self.context.counters["store_errors"] += 1
        self.context.observer.point("store.failed", error=type(error).__name__)

    def _settle_again(self) -> None:
        if not self._settling_again and not self.context.tasks.closing:
            self._settling_again = True
            self.context.tasks.spawn(self._settle_later(), "settle-again")

    async def _settle_later(self) -> None:
        await asyncio.sleep(AGAIN)
        self._settling_again = False
        await self.settle()

    async def _settle_soon(self) -> None:
        self._settling_soon = False
        await self.settle()

    # -- inside -----------------------------------------------------------------------------------------

    def _end(self, entry: OutboxEntry) -> None:
        entry.ended_at = self.context.server_time.now()
        self.settle_soon()
        if entry.state is State.SENT:
            self._unlist(entry)

    def _recorded(self, entry: OutboxEntry) -> None:
        """Tell how an entry ended, now that it is on disk; not of one that has changed again meanwhile."""
        if entry.held is None or entry in self._unsettled:
            return
        listed, shown = self.get(entry.row.entry_id) is entry, entry.held
        if listed:
            self._count(entry, -1)
        entry.held = None
        if listed:
            self._count(entry, 1)
        self._show(entry, shown, late=False)
        self._changed.set()

    def _show(self, entry: OutboxEntry, before: State, *, late: bool) -> None:
        """Tell what users are shown from now on, if it is another status; `before` is what they were."""
        now = entry.shown
        if now.done and not before.done:
            self.totals[now.status] += entry.row.kind != INVITE
        if now.status != before.status:
            self._tell(entry, late=late, reason=_words(entry.error))

    def _count(self, entry: OutboxEntry, times: Literal[1, -1]) -> None:
        invites, open_ = entry.row.kind == INVITE, not entry.shown.done
        self.failed += times * (entry.shown in KEPT and not invites)
        self.invitations += times * (open_ and invites)
        if open_:
            self.size += times * len(entry.row.data)
            self._unfinished.setdefault(entry)  # one that is counted anew keeps its place
        else:
            self._unfinished.pop(entry, None)

    def _tell(self, entry: OutboxEntry, *, late: bool, reason: str | None) -> None:
        try:
            self._on_change(entry, late, reason)
        except Exception as error:  # noqa: BLE001  # likewise
            self.context.tasks.broke("on_change", error)

    def _list(self, entry: OutboxEntry) -> None:
        self._entries[entry.row.entry_id] = entry
        self._idents[entry.row.channel, entry.row.ident] = entry
        if entry.row.depends_on is not None:
            self._dependants.setdefault(entry.row.depends_on, {})[entry] = None
        self._count(entry, 1)

    def _unlist(self, entry: OutboxEntry) -> None:
        if self._entries.pop(entry.row.entry_id, None) is None:
            return
        self._count(entry, -1)
        self._unfinished.pop(entry, None)
        ident = entry.row.channel, entry.row.ident
        if self._idents.get(ident) is entry:  # two may have the same, made from one key (D14)
            del self._idents[ident]
        siblings = self._dependants.get(entry.row.depends_on or "", {})
        siblings.pop(entry, None)
        if not siblings:
            self._dependants.pop(entry.row.depends_on or "", None)


def _words(error: ChatkitError | None) -> str | None:
    return None if error is None else f"{type(error).__name__}: {error}"
