"""The engine: puts link, outbox, channels and readers of one client together, and ends them together."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from chatkit.core.connection import State
from chatkit.core.hlc import HybridClock
from chatkit.engine.channel import ChannelEngine
from chatkit.engine.context import Context, bounded
from chatkit.engine.dispatcher import Dispatcher
from chatkit.engine.inbox import Proven
from chatkit.engine.link import Link, unreachable
from chatkit.engine.outbox import Outbox, OutboxEntry
from chatkit.engine.polling import Polling
from chatkit.engine.presenting import Presenter
from chatkit.engine.publishing import Publishing
from chatkit.engine.reach import Reach
from chatkit.engine.replays import Replays
from chatkit.engine.subscription import Subscription
from chatkit.errors import ChatkitError, TransportError
from chatkit.model.events import Event
from chatkit.model.order import Place
from chatkit.ports import Alive, SessionClosed

if TYPE_CHECKING:
    from chatkit.core.fact import Fact
    from chatkit.engine.roles import Roles
    from chatkit.engine.thread import ThreadFeed
    from chatkit.ports import Session, Signal

ATTACHES: Final = 10
"""Channels attached at once after a reconnect; the others wait their turn, busy ones first."""
PIPELINE: Final = 8
"""Publishes in flight per lane with `order="pipelined"`."""
ADOPT: Final = 30.0
"""Seconds between two looks for files of dead processes in a store directory (D27)."""
CLOSING: Final = 3.0
"""Seconds that closing gives tasks, sessions, log and store to end, each."""


class Engine:
    """One client's machinery.

    Args:
        context: Its parts.
        presenter: The app's middleware.
        pipelined: Several publishes in flight per lane, without order (D8).
        on_delivery: Told each change of an entry: entry, late, reason.
        on_connection: Told each change of the link.
        on_channel: Told each change of a channel.
    """

    def __init__(
        self,
        context: Context,
        presenter: Presenter,
        *,
        pipelined: bool,
        on_delivery: Callable[[OutboxEntry, bool, str | None], None],
        on_connection: Callable[[], None],
        on_channel: Callable[[ChannelEngine], None],
    ) -> None:
        self.context = context
        self.presenter = presenter
        presenter.judges = self._judges
        self.dispatcher = Dispatcher(presenter.screen, context.guards, context.user)
        self._on_delivery = on_delivery
        self._on_connection = on_connection
        self._on_channel = on_channel
        self._opened = False
        self._ended = False
        self.channels: dict[str, ChannelEngine] = {}
        self._gate = asyncio.Semaphore(ATTACHES)
        self.secret = b""
        """Key of the store for ids made from a caller's key (D14)."""
        self.links: list[Link] = []
        self._link_of: dict[str, Link] = {}
        self.link = self._new_link()
        """The first link: publishing goes over it, and its state is the client's."""
        self.publishing = Publishing(context, lambda: self.session)
        self._polling = Polling(context, self.channels)
        self.outbox = Outbox(
            context,
            self.publishing,
            window=PIPELINE if pipelined else 1,
            on_change=self._delivery_changed,
            on_sent=self._sent,
            reauthenticate=self._reauthenticate,
            origin_of=self._origin_of,
        )

    @property
    def session(self) -> Session | None:
        """The live session that publishing goes over."""
        return self.link.live

    async def open(self, *, rebind: bool) -> list[OutboxEntry]:
        """Take the store, take up what it holds, and begin to connect; never waits for the network.

        Raises:
            StoreError, StateError: The store cannot be taken.
        """
        context = self.context
        header = await context.store.open(context.user, context.adapter.realm, rebind=rebind)
        context.hlc = HybridClock(header.hlc)
        entries = await self.outbox.load(header.device)
        context.observer.point("outbox.loaded", entries=len(entries))
        entries += await self.outbox.adopt()
        self.secret = header.secret
        self.outbox.start()
        self._polling.start()
        context.tasks.keep(self._adopt, "adopt")
        self._opened = True
        for link in self.links:
            link.start()
        context.observer.point("client.opened", entries=len(entries))
        return entries

    def channel(self, name: str, keep: int, *, presence: bool = False) -> ChannelEngine:
        """Return a channel's engine, made on first use; `presence`: with who is there."""
        channel = self.channels.get(name)
        if channel is None:
            link = self._link_of[name] = self._link_with_room()
            channel = self.channels[name] = ChannelEngine(
                self.context,
                name,
                keep=keep,
                dispatcher=self.dispatcher,
                presenter=self.presenter,
                session=lambda: link.live,
                gate=self._gate,
                on_change=self._on_channel,
                on_own=self.outbox.seen,
                reach=Reach(lambda: link.live is not None, lambda: self.outbox.device, self.emit),
                presence=presence,
            )
        return channel

    def subscribe(
        self,
        kinds: tuple[type[Event], ...],
        channel: ChannelEngine | None,
        *,
        viewer: str,
        since: Place | None,
        from_start: bool,
        buffer: int,
        overflow: Any,
        origin: str | None = None,
        thread: ThreadFeed | None = None,
        belongs: Callable[[Event], bool] | None = None,
    ) -> Subscription:
        """Register a reader; it hears from now on, or from a place in the log on.

        `origin`: who numbered that place, as far as whoever named it can say. `thread`: the thread of the
        channel that it hears alone. `belongs`: says which events of the channel it hears.
        """
        name = None if channel is None else channel.name
        reader = Subscription(
            kinds,
            name,
            buffer=buffer,
            overflow=overflow,
            thread=None if thread is None else thread.thread,
            belongs=belongs,
        )
        reader.viewer = viewer
        replays = Replays(self.context, self.channels, self.presenter, reader, viewer)
        if channel is not None:
            if since is not None or from_start:
                self.context.need_log(channel.name)
                replays.start(channel.name, since, origin)
            channel.want()
        for heard in self.channels.values() if channel is None else (channel,):
            heard.teller.register(reader)
        if thread is not None:
            thread.holders.add(reader)
            thread.want()
        self.dispatcher.add(reader)
        for heard in self.channels.values() if channel is None else (channel,):
            heard.registers.listened()
        return reader

    def moderated(self) -> None:
        """Moderators answer otherwise now: what is shown, told and counted is to follow."""
        for channel in self.channels.values():
            channel.moderated()

    async def aclose(self) -> tuple[str, ...]:
        """End everything, in order, each within its time; returns the names of what stayed (I12)."""
        self.context.observer.point("client.closing", depth=self.outbox.depth)
        self.dispatcher.close()
        left = list(await self.context.tasks.aclose(CLOSING))
        self.context.observer.point("client.stopped", left=len(left))
        endings = (
            ("channels", self._flush),
            ("outbox", self.outbox.settle),
            *(("session", link.aclose) for link in self.links),
            ("adapter", self.context.adapter.aclose),
            ("store", self.context.store.aclose),
            *(("log", log.aclose) for log in (self.context.opened,) if log is not None),
        )
        for name, end in endings:
            try:
                await bounded(end, CLOSING)
                self.context.observer.point("client.ended", part=name)
            except Exception as error:  # noqa: BLE001  # what follows must end all the same (I12)
                self.context.observer.point("client.end_failed", part=name, error=type(error).__name__)
                left.append(name)
        left += await self.context.tasks.aclose(CLOSING)
        self._ended = True
        self.outbox.told()
        self.context.observer.point("client.closed", left=len(left))
        return tuple(left)

    async def _flush(self) -> None:
        for channel in self.channels.values():
            await channel.flush()

    async def emit(self, channel: str, data: bytes) -> bool:
        """Write an ephemeral envelope; `False`: there is no connection, or it died."""
        link = self._link_of.get(channel, self.link)
        session = link.live
        if session is None:
            return False
        try:
            await bounded(lambda: session.emit(channel, data), CLOSING)
        except TransportError:
            return False
        except SessionClosed as error:
            link.lost(session, error)
            return False
        return True

    async def drain_for_close(self, timeout: float) -> None:
        """Wait for sends that are being kept, then for the outbox; may be cancelled."""
        self.context.observer.point("client.draining", depth=self.outbox.depth)
        await self.outbox.acceptor.taken(CLOSING)
        if timeout > 0:
            await asyncio.gather(self.drain(timeout), self._say_marks(timeout))

    async def _say_marks(self, timeout: float) -> None:
        """Let out what users have read; what fails is in the store, for the next life."""
        channels = tuple(self.channels.values())
        with suppress(TransportError):
            await bounded(lambda: asyncio.gather(*(one.say_marks() for one in channels)), timeout)

    async def drain(self, timeout: float | None) -> bool:
        """Wait until nothing is queued or to be announced; `False`: time was over, or the client closed."""
        outbox = self.outbox
        try:
            async with asyncio.timeout(timeout):
                while (outbox.depth or outbox.announcer.depth) and not self._ended:
                    await outbox.changed()
        except TimeoutError:
            return False
        return not outbox.depth

    def why_queued(self) -> ChatkitError | None:
        """Return why something is still queued: a pause, or the link's reason."""
        if self.publishing.paused is not None:
            return self.publishing.paused
        if self.session is None:
            return unreachable(self.link.reason)
        return None

    # -- told by the parts ------------------------------------------------------------------------------

    def _new_link(self) -> Link:
        """Make a link; each tells the channels that are received over it how it fares."""
        link = Link(
            self.context,
            on_signal=self._signal,
            on_change=lambda: self._link_changed(link),
            on_wake=self._woke,
        )
        self.links.append(link)
        if self._opened:
            link.start()
        return link

    def _link_with_room(self) -> Link:
        """Return the link for a new channel: a further one where a connection takes no more of them."""
        most = self.context.adapter.capabilities.channels_per_connection
        counts = Counter(map(id, self._link_of.values()))
        room = (link for link in self.links if most is None or counts[id(link)] < most)
        return next(room, None) or self._new_link()

    def _signal(self, signal: Signal) -> None:
        if isinstance(signal, Alive):
            return
        channel = self.channels.get(signal.channel or "")
        if channel is None:
            self.context.counters["stray_signal"] += 1
        else:
            channel.signal(signal)

    def _link_changed(self, link: Link) -> None:
        state = link.state
        mine = (channel for channel in self.channels.values() if self._link_of[channel.name] is link)
        channels = sorted(mine, key=lambda channel: -channel.receiver.heard)
        for channel in channels:
            if state is State.CONNECTED:
                channel.connected()
            elif state not in (State.CONNECTING, State.SUSPENDED_CONNECTING):
                channel.disconnected(overdue=state is State.SUSPENDED)
        if link is self.link:
            self.publishing.changed()
            if state is State.CONNECTED:
                self.outbox.wake()
            self._on_connection()

    def _woke(self) -> None:
        """The machine slept: what was vouched for is in question (D32)."""
        for channel in self.channels.values():
            channel.receiver.continuity.broken()
            channel.receiver.prompt_read(0.0)
            channel.presence.renew()

    def _delivery_changed(self, entry: OutboxEntry, late: bool, reason: str | None) -> None:  # noqa: FBT001  # a callback's shape
        self._on_delivery(entry, late, reason)

    def _sent(self, entry: OutboxEntry, fact: Fact | None) -> None:
        """An acknowledgement proved one of our envelopes: fold it as if it had come back."""
        channel = self.channels.get(entry.row.channel)
        if channel is None:
            return
        if fact is None:
            channel.confirm(entry.row.entry_id, entry.row.ident, entry.row.stamp)
            return
        if fact.stamped and self.dispatcher.readers(channel.name):
            channel.began(fact.key)
        channel.prove(Proven(fact, entry.row.entry_id))

    async def _reauthenticate(self) -> None:
        session = self.session
        if session is None:
            raise unreachable(self.link.reason)  # nothing was refreshed: no entry may fail for it (D12)
        await bounded(session.reauthenticate, CLOSING)

    def _judges(self, channel: str) -> Roles | None:
        known = self.channels.get(channel)
        return known.roles if known is not None and known.roles.judges else None

    def _origin_of(self, channel: str) -> str:
        # First what the log said of itself with its answer: it may have been put in another's place since it
        # was read, and who takes its answer for the old one's finds the message orphaned later (D18).
        appended = self.publishing.log_ids.get(channel)
        known = self.channels.get(channel)
        log_id = known.receiver.log_id if known is not None else None
        return appended or log_id or self.context.origin

    async def _adopt(self) -> None:
        while True:
            await asyncio.sleep(ADOPT)
            for entry in await self.outbox.adopt():
                self._on_delivery(entry, False, None)
