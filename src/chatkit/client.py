"""`Chat`: one user's client; opens the store, connects, and ends cleanly."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self

from chatkit.channel import Channel
from chatkit.connection import Connection
from chatkit.core.connection import State
from chatkit.delivery import Delivery
from chatkit.engine.engine import Engine
from chatkit.engine.presenting import Presenter
from chatkit.errors import CapabilityError, ChatkitError, ConfigError, StateError
from chatkit.handlers import HandlerRunner
from chatkit.model.events import (
    ChannelChanged,
    ConnectionChanged,
    DeliveryChanged,
    Event,
    MessageEvent,
    MessageUpdated,
)
from chatkit.model.ids import new_message_id
from chatkit.model.message import User
from chatkit.model.names import check_channel, check_user
from chatkit.model.order import Ident
from chatkit.model.views import CloseReport, Health
from chatkit.outbox import Outbox, report
from chatkit.source import Source, running_loop
from chatkit.timeline import Timeline, message_of
from chatkit.wishes import Wish, draft

if TYPE_CHECKING:
    from chatkit.engine.channel import ChannelEngine
    from chatkit.engine.context import Context
    from chatkit.engine.outbox import OutboxEntry
    from chatkit.engine.subscription import Subscription
    from chatkit.model.capabilities import Capabilities, Feature
    from chatkit.model.events import HandlerError
    from chatkit.model.options import Draft
    from chatkit.ports import Middleware
    from chatkit.refs import Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What `connect` found out, and the client keeps."""

    context: Context
    capabilities: Capabilities
    require: tuple[Feature, ...]
    rebind: bool
    pipelined: bool
    drain: float
    on_error: Callable[[HandlerError], object]


class Shared:
    """What a client and those it speaks for as other users have in common."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.middleware: list[Middleware] = []
        self.engine: Engine | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.pid = os.getpid()
        self.closing: asyncio.Task[CloseReport] | None = None
        self.report: CloseReport | None = None
        self.closed = asyncio.Event()
        self.timelines: dict[str, Timeline] = {}


class Chat(Source):
    """Made by `chatkit.connect`. `async with` or `await` opens it; entering never waits for the network.

    Belongs to the loop and process that opened it. `chat.as_user(id)` gives another sender over the same
    socket, store and outbox.
    """

    def __init__(self, setup: Setup, user: User, shared: Shared | None = None) -> None:
        self._shared = shared or Shared(setup)
        self._setup = setup
        self._user = user
        self._channels: dict[str, Channel] = {}
        self._handlers: dict[Callable[..., object], HandlerRunner] = {}
        self._connection = Connection(lambda: self.engine.link)
        self._outbox = Outbox(lambda: self.engine, self._public)

    # -- looking ----------------------------------------------------------------------------------------

    @property
    def user(self) -> User:
        """Who sends."""
        return self._user

    @property
    def connection(self) -> Connection:
        """The link to the provider."""
        return self._connection

    @property
    def outbox(self) -> Outbox:
        """What is accepted and not yet delivered."""
        return self._outbox

    @property
    def channels(self) -> Mapping[str, Channel]:
        """The channels asked for so far, by name."""
        return MappingProxyType(self._channels)

    @property
    def capabilities(self) -> Capabilities:
        """What this set-up can do."""
        return self._setup.capabilities

    @property
    def report(self) -> CloseReport | None:
        """What closing left; `None` while open."""
        return self._shared.report

    @property
    def engine(self) -> Engine:
        """The machinery; for the library itself.

        Raises:
            StateError: The client was not opened.
        """
        if self._shared.engine is None:
            raise StateError("the client is not open", hint="Use `async with connect(...) as chat` or `await` it.")
        return self._shared.engine

    def health(self) -> Health:
        """Say how the client fares: connection, lanes, store, channels, counters."""
        engine = self.engine
        link, outbox = engine.link, engine.outbox
        paused, counters = engine.publishing.paused, engine.context.counters
        failed = sorted(name for name, channel in engine.channels.items() if channel.error is not None)
        down = link.state in (State.FAILED, State.CLOSED) or self._shared.report is not None
        degraded = link.state is not State.CONNECTED or paused or failed or engine.context.defects
        checks = {
            "connection": {"state": link.state.public, "reason": _words(link.reason)},
            "outbox": {"depth": outbox.depth, "size": outbox.size, "failed": outbox.failed, "paused": _words(paused)},
            "store": {"durable": engine.context.store.durable, "errors": counters["store_errors"]},
            "channels": {"attached": sum(c.caught_up for c in engine.channels.values()), "failing": failed},
            "counters": dict(sorted(counters.items())),
            "defects": list(engine.context.defects),
        }
        return Health(status="down" if down else "degraded" if degraded else "ok", checks=checks)

    # -- opening and closing ----------------------------------------------------------------------------

    def __await__(self) -> Generator[Any, Any, Self]:
        return self._open().__await__()

    async def __aenter__(self) -> Self:
        return await self._open()

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def _open(self) -> Self:
        shared = self._shared
        if shared.engine is not None or shared.report is not None:
            raise StateError("the client was opened before", hint="Call connect() again for another client.")
        missing = [f for f in self._setup.require if not self._has(f)]
        if missing:
            raise CapabilityError(f"this set-up cannot keep what the app requires: {', '.join(missing)}")
        engine = Engine(
            self._setup.context,
            Presenter(shared.middleware, self._setup.on_error),
            pipelined=self._setup.pipelined,
            on_delivery=self._delivery_changed,
            on_connection=self._connection_changed,
            on_channel=self._channel_changed,
        )
        shared.loop, shared.engine = running_loop(), engine
        try:
            entries = await engine.open(rebind=self._setup.rebind)
        except BaseException:
            shared.engine = None
            await self._setup.context.tasks.aclose(1.0)
            await self._setup.context.store.aclose()
            raise
        for entry in entries:
            self._show(entry)
        return self

    async def aclose(self, *, drain: float | None = None) -> CloseReport:
        """Send what can be sent, then end everything; idempotent.

        Args:
            drain: Seconds to wait for the outbox; `None`: as given to `connect`. A second Ctrl-C, or
                cancelling, cuts the wait short.

        Returns:
            What was sent, what is still queued and why, and the names of what did not end in time.
        """
        shared = self._shared
        if shared.report is not None:
            return shared.report
        self.check_use(closing=True)
        if shared.closing is None:
            wait = self._setup.drain if drain is None else drain
            shared.closing = asyncio.get_running_loop().create_task(self._close(wait), name="chatkit:close")
        try:
            return await asyncio.shield(shared.closing)
        except asyncio.CancelledError:
            self.engine.cut_drain()
            await shared.closing
            raise

    async def _close(self, drain: float) -> CloseReport:
        shared, engine = self._shared, self.engine
        before = engine.outbox.totals.copy()
        await engine.drain_for_close(drain)
        found = report(engine, before)
        left = await engine.aclose()
        for timeline in shared.timelines.values():
            timeline.close()
        self._outbox.close()
        shared.report = CloseReport(**found, clean=not left, left=left)
        shared.closed.set()
        return shared.report

    async def wait_closed(self) -> None:
        """Wait until the client is closed: keeps a program of handlers alive.

        Raises:
            ChatkitError: The connection failed for good; the reason itself.
        """
        self.check_use()
        closed = asyncio.ensure_future(self._shared.closed.wait())
        failed = asyncio.ensure_future(self._connection.wait("closed"))
        try:
            await asyncio.wait({closed, failed}, return_when=asyncio.FIRST_COMPLETED)
            if failed.done() and not failed.cancelled():
                failed.result()
        finally:
            closed.cancel()
            failed.cancel()

    def check_use(self, *, closing: bool = False) -> None:
        """Refuse a client that is not open here.

        Raises:
            StateError: Not opened, closed, another loop or thread, or a forked child.
        """
        shared = self._shared
        if shared.engine is None:
            raise StateError("the client is not open", hint="Use `async with connect(...) as chat` or `await` it.")
        if shared.pid != os.getpid():
            raise StateError("the client belongs to the parent process", hint="Open one of its own in each process.")
        if shared.loop is not running_loop():
            raise StateError(
                "the client belongs to another event loop",
                hint="Use it on the loop that opened it, or `asyncio.run_coroutine_threadsafe`.",
            )
        if not closing and (shared.report is not None or shared.closing is not None):
            raise StateError("the client is closed", hint="Call connect() again; what was queued is in the store.")

    # -- parts ------------------------------------------------------------------------------------------

    def channel(
        self,
        name: str,
        *,
        kind: Literal["group"] = "group",
        keep: int = 1000,
    ) -> Channel:
        """Return a channel; no I/O, the same object for the same name.

        Args:
            name: 1 to 64 characters, not starting ``dm.`` or ``u.``.
            kind: What kind of channel it is.
            keep: Messages that its timeline keeps, 1 to 1,000,000.

        Raises:
            InvalidMessage: The name cannot be a channel's.
            StateError: It was asked for with other options.
        """
        self.check_use()
        name = check_channel(name)
        if kind != "group" or not 1 <= keep <= 1_000_000:
            raise ConfigError("channel() takes kind='group' and keep from 1 to 1,000,000", channel=name)
        found = self._channels.get(name)
        if found is None:
            self.engine.channel(name, keep)
            timeline = self._shared.timelines.get(name)
            if timeline is None:
                timeline = self._shared.timelines[name] = Timeline(self.engine, name)
                for entry in self.engine.outbox.of_channel(name):
                    self._show(entry)
            found = self._channels[name] = Channel(self, name, kind, keep, timeline)
        elif found.keep != keep:
            raise StateError("the channel was asked for with other options before", channel=name)
        return found

    def as_user(self, user: str | User) -> Chat:
        """Return a client that sends as another user, over the same socket, store and outbox.

        Raises:
            CapabilityError: The credential may speak for one user only.
        """
        self.check_use()
        if not self._setup.context.adapter.trusted:
            raise CapabilityError("this credential may speak for one user only", hint="Use a backend's credential.")
        other = as_user_value(user)
        self._setup.context.users.add(other.id)
        chat = Chat(self._setup, other, self._shared)
        chat._connection, chat._outbox = self._connection, self._outbox
        return chat

    def use(self, *middleware: Middleware) -> None:
        """Add middleware: in this order for what goes out, in reverse for what comes in."""
        for one in middleware:
            if not hasattr(one, "outgoing") or not hasattr(one, "incoming"):
                raise ConfigError(f"{type(one).__name__} is no middleware: it lacks outgoing() or incoming()")
        self._shared.middleware.extend(middleware)

    # -- for the parts ----------------------------------------------------------------------------------

    async def outgoing(self, given: Draft) -> Draft:
        """Run middleware over a draft."""
        for middleware in self._shared.middleware:
            given = await middleware.outgoing(given)
        return given

    async def queue(self, wish: Wish) -> Delivery:
        """Keep a wish and show it; a cancelled caller's is withdrawn if it was never attempted (D14)."""
        row = draft(wish, self.engine)
        adding = asyncio.ensure_future(self.engine.outbox.add(row))
        try:
            entry = await asyncio.shield(adding)
        except asyncio.CancelledError:
            self.engine.context.tasks.spawn(self._withdraw(adding), "withdraw")
            raise
        self._show(entry)
        return self._public(entry)

    async def replace_older_edits(self, delivery: Delivery, target: Ident) -> None:
        """Discard edits of the same message that were never attempted: the newer one replaces them."""
        for entry in self.engine.outbox.edits_of(delivery.channel, target, self._user.id):
            if entry.row.entry_id != delivery.id:
                await self.engine.outbox.discard(entry)

    def as_seen(self, event: Event) -> Event:
        """Return an event as this user sees it: `own` is about who listens."""
        mine = self._user.id
        if isinstance(event, MessageEvent):
            message = event.message
            if message.own != (message.sender.user == mine):
                event = replace(event, message=replace(message, own=message.sender.user == mine))
        if isinstance(event, MessageUpdated) and event.previous is not None:
            before = event.previous
            event = replace(event, previous=replace(before, own=before.sender.user == mine))
        return event

    # -- as a source ------------------------------------------------------------------------------------

    def _engine_now(self) -> Engine:
        return self.engine

    @property
    def _runners(self) -> dict[Callable[..., object], HandlerRunner]:
        return self._handlers

    def _translate(self, event: Event) -> Event:
        return self.as_seen(event)

    def _subscribe(
        self, kinds: tuple[type[Event], ...], since: Position | None, buffer: int, overflow: str
    ) -> Subscription:
        self.check_use()
        if since is not None:
            raise ConfigError("since= is a place in one channel", hint="Use `chat.channel(name).events(since=...)`.")
        return self.engine.subscribe(
            kinds, None, viewer=self._user.id, since=None, from_start=False, buffer=buffer, overflow=overflow
        )

    # -- told by the engine -----------------------------------------------------------------------------

    def _connection_changed(self) -> None:
        engine = self.engine
        self._connection.changed()
        view = engine.link.view
        engine.dispatcher.tell(
            ConnectionChanged(event_id=self._new_id(), at=engine.context.clock.wall(), own=True, view=view)
        )
        for timeline in self._shared.timelines.values():
            timeline.changed()
        if engine.link.state is State.FAILED:
            engine.dispatcher.close(engine.link.reason)

    def _channel_changed(self, channel: ChannelEngine) -> None:
        engine = self.engine
        timeline = self._shared.timelines.get(channel.name)
        if timeline is not None:
            timeline.changed()
        engine.dispatcher.tell(
            ChannelChanged(
                event_id=self._new_id(),
                channel=channel.name,
                at=engine.context.clock.wall(),
                state=channel.state.value,
                error=channel.error,
            )
        )

    def _delivery_changed(self, entry: OutboxEntry, late: bool, reason: str | None) -> None:  # noqa: FBT001  # a callback's shape
        self._show(entry)
        self._outbox.changed()
        delivery = self._public(entry)
        delivery.changed()
        self.engine.dispatcher.tell(
            DeliveryChanged(
                event_id=self._new_id(),
                channel=entry.row.channel,
                at=self.engine.context.clock.wall(),
                own=True,
                delivery=delivery,
                status=delivery.status,
                late=late,
                reason=reason,
            )
        )

    def _show(self, entry: OutboxEntry) -> None:
        """Bring the timeline up to date with an entry of this user."""
        timeline = self._shared.timelines.get(entry.row.channel)
        if timeline is not None and entry.row.ident.user == self._setup.context.user:
            timeline.show(entry)

    def _public(self, entry: OutboxEntry) -> Delivery:
        if entry.public is None:
            entry.public = Delivery(entry, self.engine.outbox, lambda: message_of(self.engine, entry))
        found: Delivery = entry.public
        return found

    async def _withdraw(self, adding: asyncio.Future[OutboxEntry]) -> None:
        try:
            entry = await adding
        except ChatkitError:
            return
        self._show(entry)
        await self.engine.outbox.discard(entry)

    def _has(self, feature: Feature) -> bool:
        return self._setup.capabilities.support(feature) != "none"

    def _new_id(self) -> str:
        context = self.engine.context
        return new_message_id(context.server_time.now_ms(), context.random)


def as_user_value(user: str | User) -> User:
    """Return a user with a checked id.

    Raises:
        InvalidMessage: The id is empty, too long, or holds what cannot be sent.
    """
    found = user if isinstance(user, User) else User(id=user)
    return replace(found, id=check_user(found.id))


def _words(error: ChatkitError | None) -> str | None:
    return None if error is None else f"{type(error).__name__}: {error}"

