"""One channel of a client: attached while wanted, received, caught up; one task does it all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from chatkit.core import backoff
from chatkit.core.attachment import TABLE, Effect, Input, State
from chatkit.core.table import step
from chatkit.core.overlay import Overlay
from chatkit.core.timeline import Timeline
from chatkit.core.timeline_view import ViewFeed
from chatkit.engine.catchup import AGAIN, CatchUp
from chatkit.engine.context import Context, bounded, foreign
from chatkit.engine.dispatcher import Dispatcher
from chatkit.engine.presenting import Presenter
from chatkit.engine.receiver import Item, Proven, Receiver
from chatkit.errors import ChatkitError, StoreError, WaitTimeout
from chatkit.model.order import Ident, OrderKey, Place
from chatkit.ports import Attachment, Lost, SessionClosed

if TYPE_CHECKING:
    from chatkit.ports import Session, Signal

ATTACH_TIMEOUT: Final = 20.0
"""Seconds for one attach; a refusal may take the provider more than five."""
PAGE: Final = 50
"""Messages that a jump shows."""


class ChannelEngine:
    """State and task of one channel.

    Args:
        context: The client's parts.
        name: The app's name of the channel.
        keep: Messages kept in the timeline.
        session: Returns the live session that this channel belongs to, or `None`.
        gate: Held while attaching: a few at a time.
        on_change: Told each change of state.
        on_own: Told each own envelope that came back.
    """

    def __init__(
        self,
        context: Context,
        name: str,
        *,
        keep: int,
        dispatcher: Dispatcher,
        presenter: Presenter,
        session: Callable[[], Session | None],
        gate: asyncio.Semaphore,
        on_change: Callable[[ChannelEngine], None],
        on_own: Callable[[str, Ident, OrderKey], None],
    ) -> None:
        self._context = context
        self.name = name
        self._session = session
        self._gate = gate
        self._on_change = on_change
        rights = context.log is not None and "fence" in context.log.capabilities
        self.timeline = Timeline(name, context.user, origin=context.origin, rights=rights, keep=keep)
        self.overlay = Overlay(context.user)
        self.view = ViewFeed(self.timeline, self.overlay)
        self.on_view: Callable[[], None] = lambda: None
        """Called when the view may look different."""
        self._keep = keep
        self._wake = asyncio.Event()
        self.receiver = Receiver(
            context,
            name,
            self.timeline,
            self.view,
            self.overlay,
            dispatcher,
            presenter,
            keep=keep,
            on_own=lambda ident, key: on_own(name, ident, key),
            wake=self._wake.set,
        )
        self._catch_up = CatchUp(context, name, self.receiver)
        self._dispatcher = dispatcher
        self.state = State.DETACHED
        self.error: ChatkitError | None = None
        self.caught_up = False
        """Whether the timeline shows all there is, as far as this client can know."""
        self._attached_to: Session | None = None
        self._try_attach = False
        self.ever_attached = False
        self._failures = 0
        self._last_read = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._running = False
        self._restored = False
        self._changed = asyncio.Event()
        self._began_at: OrderKey | None = None

    # -- wishes -----------------------------------------------------------------------------------------

    def want(self) -> None:
        """Have the channel attached from now on; returns at once."""
        if self.state in (State.DETACHED, State.FAILED):
            self._feed(Input.WANT)
            if self._session() is not None:
                self._feed(Input.CONNECTED)
        if not self._running:
            self._running = True
            self._context.tasks.keep(self._run, f"channel:{self.name}")

    async def detach(self) -> None:
        """Stop receiving."""
        session = self._attached_to
        self._feed(Input.UNWANT)
        self._attached_to = None
        if session is not None:
            try:
                await bounded(lambda: session.detach(self.name), ATTACH_TIMEOUT)
            except ChatkitError as error:
                self._context.observer.point("channel.detach_failed", error=type(error).__name__)

    async def wait_attached(self, timeout: float | None) -> None:
        """Wait until the channel is attached.

        Raises:
            ChatkitError: It was refused for good.
            WaitTimeout: Not yet; the wish stays.
        """
        try:
            async with asyncio.timeout(timeout):
                while self.state is not State.ATTACHED:
                    if self.state is State.FAILED and self.error is not None:
                        raise self.error
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError as error:
            if isinstance(error, ChatkitError):
                raise
            raise WaitTimeout("the channel is not attached yet", channel=self.name) from None

    # -- told by the client -----------------------------------------------------------------------------

    def connected(self) -> None:
        """The link is up."""
        self._feed(Input.CONNECTED)

    def disconnected(self, *, overdue: bool) -> None:
        """The link is down; `overdue`: for so long that continuity is no longer expected."""
        self._attached_to = None
        self.caught_up = False
        self._cancel_timer()
        self._feed(Input.OVERDUE if overdue else Input.DISCONNECTED)

    def signal(self, signal: Signal) -> None:
        """A signal of this channel came."""
        match signal:
            case Lost(_, error, again, after):
                self._attached_to = None
                self._refused(error, again, after)
            case Attachment():
                self._attached(signal, asked=False)
            case _:
                self.push(signal)  # type: ignore[arg-type]  # the client hands on only what a receiver takes

    def push(self, item: Item) -> None:
        """Hand something to the receiver."""
        self.receiver.push(item)

    def prove(self, item: Proven) -> None:
        """Fold what an acknowledgement proved: in its turn where the channel is received, else at once."""
        if self._running:
            self.receiver.push(item)
        else:
            self.receiver.prove(item)
            self.on_view()

    def confirm(self, entry_id: str) -> None:
        """A wish came true and nobody can say where: show it so until its frame comes."""
        self.overlay.status(entry_id, "sent")
        self.on_view()

    async def load_older(self, limit: int) -> int:
        """Load a page older than the oldest message loaded; returns how many came in."""
        log = self._context.need_log(self.name)
        oldest = next(iter(self.timeline.window), None)
        before = None if oldest is None else oldest.key
        page = await self._context.read(lambda: log.messages(self.name, before=before, limit=limit))
        loaded = self.timeline.load(
            page.items, as_of=page.as_of, provisional=page.provisional, has_older=page.before is not None, extend=True
        )
        self._fill_holes(page.items[0].stamp.key if page.items and page.before else OrderKey(0, ""))
        self.on_view()
        return loaded.messages

    async def jump(self, place: Place | None) -> None:
        """Show the messages around a place; `None`: the newest."""
        log = self._context.need_log(self.name)
        page = await self._context.read(lambda: log.messages(self.name, around=place, limit=PAGE))
        self.timeline.unload()
        _ = self.timeline.load(
            page.items,
            as_of=page.as_of,
            provisional=page.provisional,
            has_older=page.before is not None,
            has_newer=page.after is not None,
        )
        self.on_view()

    def _fill_holes(self, down_to: OrderKey) -> None:
        """Take note that messages were loaded from the window down to a place."""
        holes = self.receiver.holes
        self.receiver.holes = tuple(
            (below, min(above, down_to)) for below, above in holes if below < min(above, down_to)
        )

    def began(self, key: OrderKey) -> None:
        """Somebody who listens sent something before live began: what follows it is wanted (D15)."""
        if not self.ever_attached and (self._began_at is None or key < self._began_at):
            self._began_at = key

    # -- the task ---------------------------------------------------------------------------------------

    async def _run(self) -> None:
        if not self._restored:
            await self._restore()
        while True:
            self._wake.clear()
            if self._try_attach:
                self._try_attach = False
                await self._attach()
            await self.receiver.turn()
            await self._read_if_due()
            self.on_view()
            self.receiver.continuity.follow(self._context.clock.monotonic())
            if self._wake.is_set():
                continue
            try:
                async with asyncio.timeout(self.receiver.wait()):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _restore(self) -> None:
        """Show what the store holds, before any network (the offline start)."""
        self._restored = True
        try:
            mark = (await self._context.store.marks()).get(self.name)
            folded = await self._context.store.cached(self.name, before=None, limit=self._keep)
        except StoreError as error:
            self._context.counters["store_errors"] += 1
            self._context.observer.point("store.failed", error=type(error).__name__)
            return
        if folded:
            _ = self.timeline.load(folded, as_of=None if mark is None else mark.key, has_older=True)
            self.on_view()
        if mark is not None and self._context.log is not None:
            self.receiver.continuity.read(mark.key, more=True)
            self.receiver.log_id = mark.log_id
            self.receiver.holes = mark.holes

    async def _attach(self) -> None:
        session = self._session()
        if session is None:
            return
        async with self._gate:
            after = self.receiver.continuity.complete
            try:
                found = await bounded(lambda: session.attach(self.name, after, presence=False), ATTACH_TIMEOUT)
            except SessionClosed:
                return
            except Exception as raised:  # noqa: BLE001  # whatever an adapter raises, the channel goes on trying
                error = foreign(raised)
                self._refused(error, "later" if error.retryable else "never", getattr(error, "retry_after", None))
                return
        if self._session() is session and self.state is State.ATTACHING:
            self._attached_to = session
            self._attached(found, asked=True)

    def _attached(self, found: Attachment, *, asked: bool) -> None:
        """Begin where the provider says live begins; what lies between is read (D15, D17)."""
        first = not self.ever_attached
        self.ever_attached = True
        self._failures = 0
        receiver = self.receiver
        if self._context.log is None:
            if not first and not found.resumed:
                receiver.announce("reconnected", None, None)
            self.caught_up = True
        else:
            if found.resumed and not first:
                receiver.continuity.resumed()
            else:
                receiver.continuity.broken()
                receiver.prompt_read(0.0)
            if first:
                self._begin(found.start)
        self._context.observer.point("channel.attached", channel=self.name, asked=asked, resumed=found.resumed)
        self._feed(Input.ATTACHED)

    def _begin(self, start: OrderKey | None) -> None:
        """Say from where on facts are news to those who listen already (D15)."""
        base = start
        if self._began_at is not None and (base is None or self._began_at < base):
            base = self._began_at
        lowest = base
        readers = self._dispatcher.readers(self.name)
        for reader in readers:
            if reader.given is not None and (lowest is None or reader.given < lowest):
                lowest = reader.given
        for reader in readers:
            if reader.given is None and base is not None and lowest != base:
                reader.after[self.name] = base
        self.receiver.event_from = lowest
        if lowest is not None and self.receiver.continuity.complete is None:
            self.receiver.continuity.read(lowest, more=True)

    async def _read_if_due(self) -> None:
        receiver = self.receiver
        now = self._context.clock.monotonic()
        due = receiver.read_due
        if receiver.overflowed and self._context.log is None:
            receiver.overflowed = False
            receiver.announce("overflow", None, None)
        if due is None or due > now:
            return
        again = self._last_read + AGAIN  # one sum for both: two that round apart would spin until the clock moves
        if now < again and self._catch_up.opened and self.caught_up:
            receiver.read_due = again
            return
        self._last_read = now
        try:
            await self._catch_up.run()
        except ChatkitError as error:
            self._context.observer.point("channel.read_failed", channel=self.name, error=type(error).__name__)
            receiver.read_due = self._context.clock.monotonic() + backoff.delay(
                self._failures, self._context.random.random()
            )
            self._failures += 1
            if not error.retryable:
                self.error = error
        else:
            self._failures = 0
            if self.state is State.ATTACHED:
                self.caught_up = True
            self._on_change(self)

    # -- the table --------------------------------------------------------------------------------------

    def _feed(self, given: Input) -> None:
        before = self.state
        self.state, effects = step(TABLE, self.state, given)
        if self.state is State.ATTACHED:
            self.error = None
        for effect in effects:
            match effect:
                case Effect.ATTACH:
                    self._try_attach = True
                case Effect.WAIT:
                    wait = backoff.delay(self._failures, self._context.random.random())
                    self._failures += 1
                    self._timer = asyncio.get_running_loop().call_later(wait, self._waited)
                case Effect.DETACH | Effect.CATCH_UP:
                    pass  # detach() ends the session's part; _attached() has asked for the read
        self._wake.set()
        if self.state is not before:
            self._changed.set()
            self._on_change(self)

    def _waited(self) -> None:
        if self.state is State.SUSPENDED:
            self._feed(Input.TIMER)

    def _refused(self, error: ChatkitError, again: str, after: float | None) -> None:
        error.channel = self.name
        self.error = error
        if self.state not in (State.ATTACHING, State.ATTACHED):
            return
        if again == "never":
            self._feed(Input.REFUSED)
            return
        self._feed(Input.LOST)
        if after is not None:
            self._cancel_timer()
            self._timer = asyncio.get_running_loop().call_later(after, self._waited)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
