"""What a client and those it speaks for as other users share: one engine, its life, and what it tells."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from chatkit.connection import Connection
from chatkit.core.connection import State
from chatkit.delivery import Delivery
from chatkit.engine.engine import Engine
from chatkit.engine.holding import Hold, held_by
from chatkit.engine.invitations import Invitations
from chatkit.engine.link import reason_of
from chatkit.engine.presenting import Presenter
from chatkit.engine.screening import Screen
from chatkit.errors import CapabilityError, StateError
from chatkit.given import target_of
from chatkit.inviting import Inviter
from chatkit.model.directs import INVITE
from chatkit.model.events import ChannelChanged, ConnectionChanged, DeliveryChanged
from chatkit.model.ids import new_message_id
from chatkit.model.views import CloseReport
from chatkit.outbox import Outbox, report
from chatkit.places import Places
from chatkit.ports import Middleware, Moderator
from chatkit.source import running_loop
from chatkit.timeline import message_of, read_message

if TYPE_CHECKING:
    from chatkit.engine.channel import ChannelEngine
    from chatkit.engine.context import Context
    from chatkit.engine.outbox import OutboxEntry
    from chatkit.engine.thread import ThreadFeed
    from chatkit.errors import ChatkitError
    from chatkit.model.capabilities import Capabilities, Feature
    from chatkit.model.events import HandlerError
    from chatkit.model.message import Message

    Feed: TypeAlias = ChannelEngine | ThreadFeed


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What `connect` found out, and the client keeps."""

    context: Context
    capabilities: Capabilities
    require: tuple[Feature, ...]
    rebind: bool
    pipelined: bool
    drain: float
    directs: bool
    on_error: Callable[[HandlerError], object]


class Shared:
    """The life of one engine, seen from the user's side.

    Args:
        setup: What `connect` found out.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.middleware: list[Middleware] = []
        self._moderators: list[Moderator] = []
        self.places = Places(self)
        self.connection = Connection(lambda: self.engine.link, self)
        self.outbox = Outbox(self)
        self.report: CloseReport | None = None
        self.closed = asyncio.Event()
        self._engine: Engine | None = None
        self._told: dict[str, tuple[object, object]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._closing: tuple[asyncio.Task[None], asyncio.Task[CloseReport]] | None = None

    @property
    def engine(self) -> Engine:
        """The machinery.

        Raises:
            StateError: The client was not opened.
        """
        if self._engine is None:
            raise StateError(
                "the client is not open", hint="Use `async with connect(...) as chat` or `await` it."
            )
        return self._engine

    def check_use(self) -> None:
        """Refuse a client that is not open here, or is closing.

        Raises:
            StateError: Not opened, closed, another loop or thread, or a forked child.
        """
        self.check_open()
        if self._closing is not None:
            raise _closed()
        self.engine.context.activity.touch()

    def check_open(self) -> None:
        """As `check_use`, but a client that is still closing will do.

        Raises:
            StateError: Not opened, closed, another loop or thread, or a forked child.
        """
        self.check_loop()
        if self.report is not None:
            raise _closed()

    def check_loop(self) -> None:
        """Refuse a client that was not opened here; a closed one will do.

        Raises:
            StateError: Not opened, another loop or thread, or a forked child.
        """
        if self._pid != os.getpid():
            raise StateError(
                "the client belongs to the parent process", hint="Open one of its own in each process."
            )
        if self._engine is None or self._loop is not running_loop():
            _ = self.engine
            raise StateError(
                "the client belongs to another event loop",
                hint="Use it on the loop that opened it, or `asyncio.run_coroutine_threadsafe`.",
            )

    def over(self) -> ChatkitError | None:
        """Return why nothing will be sent or heard any more: closed, or failed for good; `None`: it may."""
        return _closed() if self.report is not None else self._failure()

    def held_by(self, entry: OutboxEntry) -> Hold:
        """Return what holds an entry up that is not sent yet."""
        return held_by(self.engine.outbox, self.engine.link, entry)

    async def open(self) -> None:
        """Take the store and begin to connect; never waits for the network.

        Raises:
            StateError: It was opened before.
            CapabilityError: The set-up cannot keep what the app requires.
            StoreError: The store cannot be taken.
        """
        if self._engine is not None or self.report is not None:
            raise StateError("the client was opened before", hint="Call connect() again for another client.")
        setup = self.setup
        missing = [feature for feature in setup.require if setup.capabilities.support(feature) == "none"]
        if missing:
            raise CapabilityError(f"this set-up cannot keep what the app requires: {', '.join(missing)}")
        self._loop = running_loop()
        self._engine = Engine(
            setup.context,
            Presenter(self.middleware, setup.on_error, Screen(self._moderators, setup.context.user)),
            pipelined=setup.pipelined,
            on_delivery=self._delivery_changed,
            on_connection=self._connection_changed,
            on_channel=self._channel_changed,
        )
        self.inviter = Inviter(self._engine)
        try:
            await self._engine.open(rebind=setup.rebind)
            if setup.directs:
                _ = Invitations(self._engine)
        except BaseException:
            self._engine = None
            _ = await setup.context.tasks.aclose(1.0)
            await setup.context.store.aclose()
            if setup.context.opened is not None:
                await setup.context.opened.aclose()
            raise

    def use(self, middleware: Sequence[Middleware]) -> None:
        """Add middleware; what moderators among it hide is hidden at once."""
        self.middleware.extend(middleware)
        moderators = [one for one in middleware if isinstance(one, Moderator)]
        for one in moderators:
            one.follow(self._moderated)
        self._moderators.extend(moderators)
        if moderators:
            self._moderated()

    def _moderated(self) -> None:
        if self._engine is not None and self.report is None:
            self._engine.moderated()

    async def close(self, drain: float | None) -> CloseReport:
        """Send what can be sent, then end everything; idempotent. Cancelling cuts the wait short."""
        if self.report is not None:
            return self.report
        self.check_loop()
        if self._closing is None:
            self._closing = self._begin_close(self.setup.drain if drain is None else drain)
        draining, closing = self._closing
        try:
            return await asyncio.shield(closing)
        except asyncio.CancelledError:
            draining.cancel()
            await asyncio.wait({closing})
            raise

    def _begin_close(self, drain: float) -> tuple[asyncio.Task[None], asyncio.Task[CloseReport]]:
        """Return the task that waits for what is still to be sent, and the one that then ends everything."""
        start = asyncio.get_running_loop().create_task
        draining = start(self.engine.drain_for_close(drain), name="chatkit:drain")
        return draining, start(self._close(draining), name="chatkit:close")

    async def _close(self, draining: asyncio.Task[None]) -> CloseReport:
        engine = self.engine
        before = engine.outbox.totals.copy()
        await asyncio.wait({draining})
        found = report(engine, before)
        left = await engine.aclose()
        self.places.close()
        self.outbox.close()
        self.report = CloseReport(**found, clean=not left, left=left)
        for delivery in self._waiting():
            delivery.close()
        self.closed.set()
        return self.report

    def delivery(self, entry: OutboxEntry) -> Delivery:
        """Return what stands for an entry; the same object each time while the entry lives."""
        if entry.public is None:
            entry.public = Delivery(entry, self.engine.outbox, self)
        found: Delivery = entry.public
        return found

    def _waiting(self) -> list[Delivery]:
        """Return what somebody may wait for: the others have had their last word."""
        return [entry.public for entry in self.engine.outbox.unfinished if entry.public is not None]

    def message(self, entry: OutboxEntry) -> Message:
        """Return the message that an entry makes or changes, as it is shown.

        Raises:
            MessageNotFound: It changes a message that this client has not loaded.
        """
        return message_of(self.engine, entry)

    async def read(self, entry: OutboxEntry) -> Message:
        """Return the message that an entry changes, from the log.

        Raises:
            MessageNotFound: The log has no such message.
            CapabilityError: There is no log.
            TransportError: No answer; safe to repeat.
        """
        row = entry.row
        return await read_message(self.engine, row.channel, target_of(row), row.ident.user)

    # -- told by the engine -----------------------------------------------------------------------------

    def _connection_changed(self) -> None:
        engine = self.engine
        self.connection.changed()
        engine.dispatcher.tell(
            ConnectionChanged(
                event_id=self._new_id(), at=engine.context.clock.wall(), own=True, view=engine.link.view
            )
        )
        self.places.changed()
        for channel in engine.channels.values():
            channel.presence.changed()
        if engine.link.state is State.FAILED:
            engine.dispatcher.close(self._failure())
            for delivery in self._waiting():
                delivery.changed()
            self.places.failed()

    def _channel_changed(self, channel: ChannelEngine) -> None:
        self.places.changed(channel.name)
        channel.presence.changed()
        told = (channel.state, channel.error)
        if self._told.get(channel.name) == told:
            return
        self._told[channel.name] = told
        self.engine.dispatcher.tell(
            ChannelChanged(
                event_id=self._new_id(),
                channel=channel.name,
                at=self.engine.context.clock.wall(),
                state=channel.state.value,
                error=channel.error,
            )
        )

    def _delivery_changed(self, entry: OutboxEntry, late: bool, reason: str | None) -> None:  # noqa: FBT001  # a callback's shape
        self.places.show(entry)
        self.outbox.changed()
        if entry.row.kind == INVITE:  # nobody wished for it
            self.setup.context.counters["failed_invitation"] += entry.shown.status == "failed"
            return
        delivery = self.delivery(entry)
        delivery.changed()
        self.engine.dispatcher.tell(
            DeliveryChanged(
                event_id=self._new_id(),
                channel=entry.row.channel,
                at=self.engine.context.clock.wall(),
                own=True,
                delivery=delivery,
                status=delivery.status,
                certain=delivery.certain,
                late=late,
                reason=reason,
            )
        )

    def _failure(self) -> ChatkitError | None:
        """Return why the connection failed for good, if it did."""
        link = self.engine.link
        return reason_of(link) if link.state is State.FAILED else None

    def _new_id(self) -> str:
        context = self.engine.context
        return new_message_id(context.server_time.now_ms(), context.random)


def _closed() -> StateError:
    return StateError(
        "the client is closed", hint="Call connect() again; a store file still holds what was queued."
    )
