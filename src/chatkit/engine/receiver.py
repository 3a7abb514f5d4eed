"""The receive path of one channel: frames in, timeline and events out (D16-D22).

All of it runs in the channel's own task, in the order in which frames came. While that task reads the log,
frames wait in the inbox: it is the bounded buffer of a backfill (D19).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from chatkit.core.continuity import Continuity, Verdict
from chatkit.core.fact import Fact
from chatkit.core.hints import Hints
from chatkit.core.release import Release
from chatkit.engine.context import Context
from chatkit.engine.dispatcher import Dispatcher
from chatkit.engine.presenting import Presenter, event_of, visible
from chatkit.engine.reading import Passing, Refused, believe
from chatkit.errors import StoreError
from chatkit.model.cursor import Cursor, Spot, encode_cursor
from chatkit.model.events import CustomEvent, Discontinuity, Event, ForeignFrame, MessageCreated, MessageEvent
from chatkit.model.ids import new_message_id
from chatkit.model.message import Sender
from chatkit.model.order import Ident, OrderKey
from chatkit.ports import Foreign, Mark, Received, Shed

if TYPE_CHECKING:
    from chatkit.core.overlay import Overlay
    from chatkit.core.timeline import Timeline
    from chatkit.core.timeline_applied import Applied
    from chatkit.core.timeline_view import ViewFeed

INBOX: Final = 1_000
"""Most frames waiting; beyond it they are dropped and the log is read instead (D19)."""
KNOWN: Final = 10_000
"""Most ids remembered above the mark; and in all, where no log remembers them (D20)."""
FLUSH: Final = 0.5
"""Seconds between two writes of marks and messages to the store."""


class Proven(NamedTuple):
    """Our own envelope, as its acknowledgement proves it."""

    fact: Fact
    entry_id: str


Item: TypeAlias = Received | Foreign | Shed | Proven


class Pending(NamedTuple):
    """A fact folded and not yet handed to readers."""

    applied: Applied
    fact: Fact


class Receiver:
    """Folds what comes and tells it, once each.

    Args:
        context: The client's parts.
        channel: Its name.
        timeline: Where facts are folded.
        view: What readers of the timeline are shown.
        overlay: My pending wishes.
        dispatcher: Where events go.
        presenter: The app's middleware.
        keep: Messages kept in the store's copy.
        on_own: Told each own envelope that came back: ident and place.
        wake: Called when there is something to do.
    """

    def __init__(
        self,
        context: Context,
        channel: str,
        timeline: Timeline,
        view: ViewFeed,
        overlay: Overlay,
        dispatcher: Dispatcher,
        presenter: Presenter,
        *,
        keep: int,
        on_own: Callable[[Ident, OrderKey], None],
        wake: Callable[[], None],
    ) -> None:
        self._context = context
        self._channel = channel
        self.timeline = timeline
        self._view = view
        self._overlay = overlay
        self._keep = keep
        self._dispatcher = dispatcher
        self._presenter = presenter
        self._on_own = on_own
        self._wake = wake
        self._inbox: deque[Item] = deque()
        self.continuity = Continuity(contiguous=context.adapter.capabilities.contiguous)
        self.log_id: str | None = None
        self.holes: tuple[tuple[OrderKey, OrderKey], ...] = ()
        self.event_from: OrderKey | None = None
        """Facts at or below this place were there before anybody listened in this life."""
        self.read_due: float | None = None
        """When the log is to be read; `None`: no reason to."""
        self.overflowed = False
        self.heard = context.clock.monotonic()
        """When the last frame that followed without a hole came: what `staleness` is measured from (D16)."""
        self.told: OrderKey | None = None
        """The highest place handed to readers."""
        self._hints = Hints()
        self._release: Release[Pending] = Release()
        self._known: dict[Ident, None] = {}
        self._dirty: dict[Ident, None] = {}
        self._new_ids: list[Ident] = []
        self._flush_at = 0.0
        self._began = f"{context.server_time.now_ms() - 60_000:012x}"
        """Clock readings below this are from before this life (D20)."""

    # -- called by others, synchronously ----------------------------------------------------------------

    def push(self, item: Item) -> None:
        """Take a frame, or an acknowledgement of ours."""
        if len(self._inbox) >= INBOX and not isinstance(item, Proven):
            self.overflowed = True
            self._context.counters["inbox_overflow"] += 1
        else:
            self._inbox.append(item)
        self._wake()

    def prompt_read(self, delay: float) -> None:
        """Have the log read soon: something says that it holds what we lack."""
        if self._context.log is None:
            return
        due = self._context.clock.monotonic() + delay
        if self.read_due is None or due < self.read_due:
            self.read_due = due
            self._wake()

    def announce(
        self, reason: str, after: OrderKey | None, until: OrderKey | None, *, certain: bool = True
    ) -> None:
        """Tell readers that messages may be missing (I6)."""
        self._dispatcher.tell(
            Discontinuity(
                event_id=new_message_id(self._context.server_time.now_ms(), self._context.random),
                channel=self._channel,
                at=self._context.server_time.now(),
                reason=reason,
                after=self.cursor(after),
                until=self.cursor(until),
                certain=certain,
            )
        )
        self._hints.clear()

    def cursor(self, key: OrderKey | None) -> Cursor | None:
        """Return the cursor of a place in this channel, where there is a log to come back to."""
        if key is None or self._context.log is None:
            return None
        return encode_cursor(Spot(self.log_id or self._context.origin, self._channel, key))

    def wait(self) -> float | None:
        """Return the seconds until there is something to do, or `None`."""
        now = self._context.clock.monotonic()
        waits = [self._release.wait(now), self._hints.wait(now)]
        if self.read_due is not None:
            waits.append(max(0.0, self.read_due - now))
        if self._dirty or self._new_ids:
            waits.append(max(0.0, self._flush_at - now))
        return min((wait for wait in waits if wait is not None), default=None)

    # -- the channel's task -----------------------------------------------------------------------------

    async def turn(self) -> None:
        """Deal with all that is there."""
        while self._inbox:
            await self._take(self._inbox.popleft())
        await self.release()
        now = self._context.clock.monotonic()
        if self._hints.due(now):
            self.announce("missing_predecessor", None, None, certain=False)
        if (self._dirty or self._new_ids) and now >= self._flush_at:
            await self.flush()

    async def release(self) -> None:
        """Hand to readers, in order, what need not wait (D21)."""
        complete = self.continuity.complete if self.continuity.contiguous else None
        for pending, late in self._release.due(complete, self._context.clock.monotonic()):
            await self._tell(pending, late)

    async def flush(self) -> None:
        """Write marks, messages and ids to the store, together."""
        self._flush_at = self._context.clock.monotonic() + FLUSH
        complete = self.continuity.complete
        mark = None if complete is None else Mark(complete, self.log_id, self.holes)
        folded = [found for ident in self._dirty if (found := self.timeline.folded(ident)) is not None]
        ids = self._new_ids
        self._dirty, self._new_ids = {}, []
        try:
            await self._context.store.applied(self._channel, mark, folded, ids, keep=self._keep)
        except StoreError as error:
            self._context.counters["store_errors"] += 1
            self._context.observer.point("store.failed", error=type(error).__name__)
        else:
            self._context.observer.point("channel.flushed", channel=self._channel, messages=len(folded))

    def fold(self, fact: Fact, *, live: bool) -> None:
        """Fold a fact, and queue what readers are to be told of it; a known one changes nothing (I2)."""
        if fact.ident.user in self._context.users:
            self._on_own(fact.ident, fact.key)
        if fact.ident in self._known:
            self._context.counters["duplicate"] += 1
            return
        self._remember(fact.ident)
        if not fact.envelope.kind.startswith(("message.", "reaction.")):
            self._context.counters["unread_kind"] += 1
            return
        for applied in self.timeline.apply(fact):
            if applied.outcome in ("conflict", "refused", "held"):
                self._context.counters[applied.outcome] += 1
            target = applied.message
            if target is not None:
                self._dirty[target.ident] = None
            if visible(applied, applied.fact) and (self.event_from is None or fact.key > self.event_from):
                self._release.add(fact.key, Pending(applied, applied.fact), self._context.clock.monotonic())
        if live:
            self._context.observer.point("channel.received", channel=self._channel, kind=fact.envelope.kind)

    async def _take(self, item: Item) -> None:
        match item:
            case Proven():
                self.prove(item)
            case Shed():
                self.prompt_read(0.0)
                if self._context.log is None:
                    self.announce("shed", None, None)
            case Foreign(_, name, data, reason):
                self._foreign(name, data, reason)
            case Received():
                await self._receive(item)

    async def _receive(self, signal: Received) -> None:
        found = believe(self._context, signal)
        match found:
            case Refused(reason):
                if reason == "unstamped":
                    self.prompt_read(0.3)
                self._foreign(None, None, reason)
            case Passing():
                self._pass(found)
            case Fact():
                await self._receive_fact(found)

    async def _receive_fact(self, fact: Fact) -> None:
        now = self._context.clock.monotonic()
        if fact.stamped:
            verdict = self.continuity.receive(fact.key, fact.prev, now)
            if verdict is Verdict.KNOWN:
                self._context.counters["duplicate"] += 1
                if fact.ident.user in self._context.users:
                    self._on_own(fact.ident, fact.key)
                return
            if verdict is Verdict.NEXT:
                self.heard = now
            elif self.continuity.open:
                self.prompt_read(0.3 + 1.7 * self._context.random.random() ** 4)
        elif await self._seen_before(fact):
            self.timeline.apply(fact)
            self._context.counters["duplicate"] += 1
            return
        envelope = fact.envelope
        missing = self._hints.note(fact.user, envelope.sender.device, envelope.seq, envelope.pred, now)
        if missing and not self.continuity.contiguous:
            self.prompt_read(0.3)
        if self._context.log is not None:
            self._hints.clear()
        self.fold(fact, live=True)
        await self.release()

    def prove(self, item: Proven) -> None:
        """Fold our own envelope and drop the wish that stood for it, in one step (D23)."""
        fact, complete = item.fact, self.continuity.complete
        if fact.stamped and complete is not None and fact.key <= complete and fact.ident not in self._known:
            _ = self.timeline.apply(fact)  # what moved the mark had it, and told it
        else:
            self.fold(fact, live=False)
        self._overlay.confirm(item.entry_id)

    async def _seen_before(self, fact: Fact) -> bool:
        """Without a log, ask the store whether an envelope from before this life was shown already (D20)."""
        if fact.ident in self._known or fact.key.serial[:12] > self._began:
            return False
        return bool(await self._context.store.seen(self._channel, [fact.ident]))

    def forget(self) -> None:
        """Facts may come anew: another log stands behind the channel."""
        self._known.clear()

    def _remember(self, ident: Ident) -> None:
        self._known[ident] = None
        if len(self._known) > KNOWN:
            del self._known[next(iter(self._known))]
        if self._context.log is None:
            self._new_ids.append(ident)

    async def _tell(self, pending: Pending, late: bool) -> None:
        fact = pending.fact
        complete = self.continuity.complete
        at = fact.key if complete is None or not self.continuity.contiguous else min(fact.key, complete)
        if late and self.told is not None:
            at = self.told if complete is None else min(self.told, complete)
        event = event_of(pending.applied, self._context.user, at if self._context.log is not None else None)
        if event is None:
            return
        shown: Event | None = event
        if self._presenter.active:
            shown = await self._presenter.present(event)
            if isinstance(event, MessageEvent):
                replacement = shown.message if isinstance(shown, MessageEvent) else None
                if replacement is not event.message:
                    self._view.mask(event.message.ident, lambda _: replacement)
        if not late:
            self.told = fact.key
        if shown is None:
            return
        if late and isinstance(shown, MessageCreated):
            shown = replace(shown, late=True)
        self._dispatcher.tell_fact(shown, self._channel, fact.ident, fact.key)

    def _pass(self, passing: Passing) -> None:
        """Hand on an ephemeral envelope; registers and marks have no reader yet and are counted."""
        envelope = passing.envelope
        if not envelope.kind.startswith("x.") or envelope.body is None:
            self._context.counters["unread_kind"] += 1
            return
        data = envelope.body.get("data")
        self._dispatcher.tell(
            CustomEvent(
                event_id=envelope.id,
                channel=self._channel,
                at=self._context.server_time.now(),
                own=passing.user == self._context.user,
                name=envelope.kind[2:],
                data=data if isinstance(data, dict) else {},
                sender=Sender(user=passing.user, device=envelope.sender.device),
            )
        )

    def _foreign(self, name: str | None, data: object, reason: str) -> None:
        self._context.counters[f"foreign:{reason}"] += 1
        self._dispatcher.tell(
            ForeignFrame(
                event_id=new_message_id(self._context.server_time.now_ms(), self._context.random),
                channel=self._channel,
                at=self._context.server_time.now(),
                name=name,
                data=data,
                reason=reason,
            )
        )
