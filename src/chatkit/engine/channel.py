"""One channel of a client: attached while wanted, received, caught up; one task does it all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from chatkit.core.attachment import State
from chatkit.engine.attaching import Attacher
from chatkit.engine.beside import Beside
from chatkit.engine.context import Context
from chatkit.engine.folding import Folder
from chatkit.engine.inbox import Proven
from chatkit.engine.keeping import Keeper
from chatkit.engine.loading import Loader
from chatkit.engine.parts import parts_of
from chatkit.engine.receiver import Receiver
from chatkit.engine.syncing import Sync, doze
from chatkit.engine.telling import Teller
from chatkit.errors import ChatkitError
from chatkit.ports import Attachment, Foreign, Lost, Moved, Received, Roster, Shed

if TYPE_CHECKING:
    from chatkit.core.fact import Fact
    from chatkit.engine.dispatcher import Dispatcher
    from chatkit.engine.presenting import Presenter
    from chatkit.engine.progress import Hole
    from chatkit.engine.reach import Reach
    from chatkit.model.order import Ident, OrderKey, Place
    from chatkit.ports import Mark, Session

OfChannel: TypeAlias = Received | Foreign | Lost | Roster | Moved | Shed | Attachment
"""Signals that name a channel."""


class ChannelEngine:
    """State and task of one channel.

    Args:
        context: The client's parts.
        name: The app's name of the channel.
        keep: Messages kept in the timeline.
        dispatcher: Where events go.
        presenter: The app's middleware.
        session: Returns the live session that this channel belongs to, or `None`.
        gate: Held while attaching: a few at a time.
        on_change: Told each change of state.
        on_own: Told each own envelope that came back.
        reach: The way to the others.
        presence: The app wants to know who is there.
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
        reach: Reach,
        presence: bool,
    ) -> None:
        self._context = context
        self.name = name
        self.thread = None
        """A channel is none, and so has none above it."""
        self.above = None
        self._on_change = on_change
        self._wake = asyncio.Event()
        self._parts = parts = parts_of(context, name, keep=keep, dispatcher=dispatcher, presenter=presenter)
        self.timeline, self.overlay, self.view = parts.timeline, parts.overlay, parts.view
        self.on_view: Callable[[], None] = lambda: None
        """Called when the view may look different."""
        self.progress, self.roles = parts.progress, parts.roles
        keeper = Keeper(parts, keep=keep)
        self._beside = beside = Beside(
            self, parts, keep=keep, session=session, reach=reach, presence=presence, wake=self._wake.set
        )
        self.typing, self.threads, self.presence = beside.typing, beside.threads, beside.presence
        self.receipts, self.marks, self.registers = beside.receipts, beside.marks, beside.registers
        self.teller = Teller(parts)
        self._folder = Folder(parts, self.teller, keeper, threads=self.threads, on_own=partial(on_own, name))
        self.receiver = Receiver(
            parts,
            self._folder,
            self.teller,
            keeper,
            typing=self.typing,
            presence=self.presence,
            threads=self.threads,
            wake=self._wake.set,
        )
        self.receiver.on_register = beside.take_register
        self.receiver.on_hint = self.registers.take_in
        self._loader = Loader(parts, keeper, self.teller)
        self._sync = Sync(
            parts,
            self.receiver,
            self._folder,
            self._loader,
            self.teller,
            attached=lambda: self.attached,
            readable=lambda: self.readable,
            wake=self._wake,
            show=self._show,
        )
        self._attacher = Attacher(
            context,
            name,
            session=session,
            gate=gate,
            after=self.teller.resume_after,
            on_attached=self._attached,
            on_change=self._changed,
            wake=self._wake.set,
            presence=self.presence,
        )
        self.ever_attached = False
        self._running = False
        self._restored = asyncio.Event()

    @property
    def state(self) -> State:
        """Whether it is attached."""
        return self._attacher.state

    @property
    def attached(self) -> bool:
        """Whether it is received."""
        return self.state is State.ATTACHED

    @property
    def readable(self) -> bool:
        """Whether its log is read: it is received, or was and will be again (D28)."""
        return self._attacher.readable

    @property
    def holes(self) -> tuple[Hole, ...]:
        """Ranges of it that were skipped."""
        return self.progress.holes

    @property
    def error(self) -> ChatkitError | None:
        """Why it is not attached, or cannot be read."""
        return self._attacher.error or self._sync.error

    @property
    def caught_up(self) -> bool:
        """Whether the timeline shows all there is, as far as this client can know."""
        return self._sync.caught_up

    # -- wishes -----------------------------------------------------------------------------------------

    def want(self) -> None:
        """Have the channel attached from now on; returns at once."""
        self._attacher.want()
        self._start()

    async def detach(self) -> None:
        """Stop receiving."""
        await self._attacher.detach()

    async def wait_attached(self) -> None:
        """Wait until the channel is attached.

        Raises:
            ChatkitError: It was refused for good.
            StateError: The client was closed.
        """
        await self._attacher.wait_attached()

    def wake(self) -> None:
        """Have what the store holds shown; nothing is attached."""
        if not self._context.tasks.closing:
            self._start()

    async def restored(self) -> None:
        """Wait until what the store holds is shown."""
        self._start()
        await self._restored.wait()

    async def load_older(self, limit: int) -> int:
        """Load a page older than the oldest message loaded; returns how many came in.

        Raises:
            CapabilityError: There is no log.
            TransportError: No answer; safe to repeat.
        """
        await self._ready()
        count = await self._loader.older(limit)
        self._loaded()
        return count

    async def jump(self, place: Place | None) -> None:
        """Show the messages around a place; `None`: the newest.

        Raises:
            CapabilityError: There is no log.
            TransportError: No answer; safe to repeat.
        """
        await self._ready()
        await self._loader.jump(place)
        self._loaded()

    async def say_marks(self) -> None:
        """Let out what its users have read and wished, before the client ends."""
        await self._beside.say()

    async def flush(self) -> None:
        """Write what the store does not have."""
        await self.receiver.flush()
        await self._beside.save()

    # -- told by the client -----------------------------------------------------------------------------

    def connected(self) -> None:
        """The link is up."""
        self._attacher.connected()
        self._beside.connected()

    def disconnected(self, *, overdue: bool) -> None:
        """The link is down; `overdue`: for so long that continuity is no longer expected."""
        self._attacher.disconnected(overdue=overdue)

    def signal(self, signal: OfChannel) -> None:
        """A signal of this channel came."""
        if isinstance(signal, Received):
            self.receiver.push(signal)
            return
        match signal:
            case Lost(_, error, again, after):
                self._attacher.lost(error, again, after)
            case Attachment():
                self._attacher.attached(signal)
            case Foreign() | Shed():
                self.receiver.push(signal)
            case _:
                self.presence.signal(signal)

    def prove(self, item: Proven) -> None:
        """Fold what an acknowledgement proved: in its turn where anybody listens or filters, else at once."""
        if self._running or self._parts.presenter.active:
            self._start()
            self.receiver.push(item)
        else:
            self.receiver.prove(item, quiet=True)
            self._redrawn()

    def confirm(self, entry_id: str, ident: Ident, key: OrderKey | None) -> None:
        """A wish came true, perhaps nobody can say where: show it so until it is read, if it was not."""
        if self._folder.knows(ident):
            self.overlay.confirm(entry_id)
        else:
            self.overlay.sent(entry_id, key)
            self.overlay.reached(self.progress.proven)
        self._redrawn()

    def moderated(self) -> None:
        """Moderators answer otherwise now."""
        self.view.rest()
        self._beside.moderated()
        self.on_view()

    def read_whole(self, told: Callable[[Fact], None], mark: Mark | None) -> None:
        """Have every fact told that makes no message, from a mark on, or from the oldest in the log.

        To be called before the channel is wanted.
        """
        self.progress.whole = True
        self._folder.on_other = told
        if mark is not None:
            self.progress.continuity.read(mark.key, more=True)
            self.progress.log_id, self.progress.unproven = mark.log_id, True

    def began(self, key: OrderKey) -> None:
        """Somebody who listens sent something before live began: what follows it is wanted (D15)."""
        if not self.ever_attached:
            self.teller.beginning.sent(key)

    # -- the task ---------------------------------------------------------------------------------------

    def _start(self) -> None:
        if not self._running:
            self._running = True
            self._context.tasks.keep(self._run, f"channel:{self.name}")

    async def _ready(self) -> None:
        """Wait until what the store holds is loaded: pages are merged with it."""
        _ = self._context.need_log(self.name)
        await self.restored()

    def _loaded(self) -> None:
        """What a page brought may have to be told and written, too."""
        self._wake.set()
        self._redrawn()

    async def _run(self) -> None:
        try:
            if not self._restored.is_set():
                await self._loader.restore()
                await self._beside.restore()
                self._restored.set()
                self._context.observer.point("channel.restored", channel=self.name)
            while True:
                self._wake.clear()
                await self._attacher.work()
                ready = self.roles.ready
                if ready:
                    async with self._loader.folding:
                        if await self._sync.work():
                            self.overlay.reached(self.progress.proven)
                            self._on_change(self)
                            self._beside.caught_up()
                        await self.receiver.turn()
                now = self._context.clock.monotonic()
                self.progress.follow()
                self._show()
                waits = [self._attacher.wait(now)]
                waits += (self._sync.wait(now), self.receiver.wait()) if ready else ()
                await doze(self._wake, min((wait for wait in waits if wait is not None), default=None))
        except asyncio.CancelledError:
            self._attacher.end()
            raise

    def _redrawn(self) -> None:
        self.on_view()
        self.threads.redrawn()

    def _show(self) -> None:
        drawn = self.timeline.dirty or self.overlay.dirty or self.threads.dirty
        if drawn or self._parts.masks.touched:
            self._parts.masks.touched = False
            self._redrawn()
            self.marks.moved()

    # -- told by the attacher ---------------------------------------------------------------------------

    def _changed(self, before: State) -> None:
        if before is State.ATTACHED:
            self._sync.stop()
            self._beside.left(detached=self.state is State.DETACHED)
        if self.state is State.FAILED and self.error is not None:
            self._parts.dispatcher.refuse(self.name, self.error)
        self.receiver.unsure |= self.state is State.SUSPENDED
        self._on_change(self)
        self.marks.moved()

    def _attached(self, found: Attachment) -> None:
        """Begin where the provider says that live begins; what lies between is read (D15, D17)."""
        self.presence.attached()
        first, self.ever_attached = not self.ever_attached, True
        fresh = first and self.progress.complete is None and not self._loader.restored
        if first:
            base = self.teller.begin(found.start)
            if base is not None and self.progress.complete is None and not self.progress.whole:
                self.progress.continuity.read(base, more=True)
        if found.resumed and not first:
            self._sync.resume()
        elif self._context.log is not None:
            self._sync.begin(fresh=fresh)
        else:
            self._sync.caught_up = True
            if not fresh:
                self.receiver.gap_announced()
                self.teller.announce("reconnected")
        self._beside.began()
