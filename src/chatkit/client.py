"""`Chat`: one user's client."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self, get_args

from chatkit.channel import Channel
from chatkit.drafting import drafted
from chatkit.engine.guarding import Guard
from chatkit.engine.invitations import opened
from chatkit.engine.roles import ChannelKind
from chatkit.errors import CapabilityError, ConfigError, StateError, StoreError
from chatkit.given import checked_owners
from chatkit.handlers import HandlerRunner
from chatkit.health import health_of
from chatkit.model.events import (
    Event,
)
from chatkit.model.message import User
from chatkit.model.names import check_channel, check_user, direct
from chatkit.receipts import MODES, count_all
from chatkit.searching import search
from chatkit.seeing import seen_by
from chatkit.shared import Setup, Shared
from chatkit.source import Source
from chatkit.wishes import Wish

if TYPE_CHECKING:
    from chatkit.connection import Connection
    from chatkit.delivery import Delivery
    from chatkit.engine.engine import Engine
    from chatkit.engine.receipts import Mode
    from chatkit.engine.subscription import Subscription
    from chatkit.model.capabilities import Capabilities
    from chatkit.model.cursor import Cursor
    from chatkit.model.message import Message
    from chatkit.model.options import Draft
    from chatkit.model.order import Ident
    from chatkit.model.views import CloseReport, Health, Page, Unread
    from chatkit.outbox import Outbox
    from chatkit.ports import Middleware
    from chatkit.refs import Position

LARGEST_KEEP = 1_000_000
KINDS: Final[tuple[ChannelKind, ...]] = get_args(ChannelKind)


class Chat(Source):
    """Made by `chatkit.connect`. `async with` or `await` opens it; entering never waits for the network.

    Belongs to the loop and process that opened it.
    """

    def __init__(self, setup: Setup, user: User, shared: Shared | None = None) -> None:
        self._setup = setup
        self._user = user
        self._shared = shared or Shared(setup)
        self._channels: dict[str, Channel] = {}
        self._handlers: dict[Callable[..., object], list[HandlerRunner]] = {}

    @property
    def user(self) -> User:
        """Who sends."""
        return self._user

    @property
    def connection(self) -> Connection:
        """The link to the provider."""
        return self._shared.connection

    @property
    def outbox(self) -> Outbox:
        """What is accepted and not yet delivered."""
        return self._shared.outbox

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

    def health(self) -> Health:
        """Say how the client fares: connection, outbox, store, channels, counters."""
        return health_of(self.engine, closed=self._shared.report is not None)

    def __repr__(self) -> str:
        return f"Chat(user={self._user.id!r}, provider={self._setup.context.adapter.realm!r})"

    # -- opening and closing ----------------------------------------------------------------------------

    def __await__(self) -> Generator[Any, Any, Self]:
        return self._open().__await__()

    async def __aenter__(self) -> Self:
        return await self._open()

    async def __aexit__(self, *exc: object) -> None:
        _ = await self.aclose()

    async def _open(self) -> Self:
        await self._shared.open()
        return self

    async def aclose(self, *, drain: float | None = None) -> CloseReport:
        """Send what can be sent, then end everything; idempotent.

        Args:
            drain: Seconds to wait for the outbox; `None`: as given to `connect`. A second Ctrl-C, or
                cancelling, cuts the wait short.

        Returns:
            What was sent, what is still queued and why, and the names of what did not end in time.
        """
        return await self._shared.close(drain)

    async def search(self, text: str, /, *, limit: int = 50, after: Cursor | None = None) -> Page[Message]:
        """Find the messages of all channels that hold all words of a text, newest first.

        Args:
            text: The words.
            limit: Messages wanted, 1 to 1,000.
            after: `next` of an earlier page: older ones.

        Raises:
            CapabilityError: Neither provider nor store can search.
            ConfigError: More than 2,000 words or 64 KiB of text, or a limit that cannot be.
            CursorInvalid: `after` is not of a search.
        """
        self._shared.check_use()
        return await search(
            self.engine,
            text,
            viewer=self._user.id,
            channel=None,
            sender=None,
            since=None,
            until=None,
            limit=limit,
            after=after,
        )

    async def wait_closed(self) -> None:
        """Wait until the client is closed: keeps a program of handlers alive.

        Raises:
            ChatkitError: The connection failed for good; the reason itself.
        """
        self._shared.check_use()
        closed = asyncio.ensure_future(self._shared.closed.wait())
        failed = asyncio.ensure_future(self.connection.wait("closed"))
        try:
            _ = await asyncio.wait({closed, failed}, return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                failed.result()
        finally:
            closed.cancel()
            failed.cancel()

    # -- parts ------------------------------------------------------------------------------------------

    def channel(
        self,
        name: str,
        *,
        kind: ChannelKind = "group",
        owners: Iterable[str] = (),
        presence: bool = True,
        receipts: Mode = "read",
        keep: int = 1000,
    ) -> Channel:
        """Return a channel; no I/O, the same object for the same name.

        Args:
            name: 1 to 64 characters, not starting ``dm.`` or ``u.``.
            kind: `"group"`: whoever hears it speaks in it; `"broadcast"`: owners alone make messages, others
                react; `"topic"`: each message has a `topic`.
            owners: User ids of who owns it, at most 1,000: what counts until somebody has a role in its log.
            presence: Whether it tells who is there, where the provider can.
            receipts: What others are told of this user: `"read"`, up to where they have read;
                `"read+delivered"`, also what has arrived; `"off"`, nothing: what is read stays on this
                device, and nobody else's marks are shown.
            keep: Messages that its timeline keeps, 1 to 1,000,000.

        Raises:
            InvalidMessage: The name cannot be a channel's.
            StateError: It was asked for with other options.
        """
        self._shared.check_use()
        name = check_channel(name)
        if kind not in KINDS or not 1 <= keep <= LARGEST_KEEP:
            raise ConfigError(
                f"channel() takes a kind of {', '.join(KINDS)} and keep from 1 to {LARGEST_KEEP:,}",
                channel=name,
            )
        named = checked_owners(owners, name)
        if receipts not in MODES:
            raise ConfigError(
                f"receipts is one of {', '.join(sorted(MODES))}, not {receipts!r}", channel=name
            )
        found, known = self._channels.get(name), self.engine.channels.get(name)
        if known is not None and known.presence.wanted != presence:
            raise StateError("the channel was asked for with other options before", channel=name)
        if found is None:
            self.engine.channel(name, keep, presence=presence).roles.open(kind, named)
            found = self._open_channel(name, kind, keep, receipts, presence=presence)
        elif found.keep != keep or found.receipts.mode != receipts:
            raise StateError("the channel was asked for with other options before", channel=name)
        else:
            self.engine.channels[name].roles.open(kind, named)
        return found

    def direct(self, user: str | User) -> Channel:
        """Return the channel between this user and another; no I/O, the same from either side.

        Only the two are heard in it. With oneself it is a channel of notes, shared by one's devices.

        Args:
            user: The other one.

        Raises:
            InvalidMessage: The id cannot be a user's.
        """
        self._shared.check_use()
        other = checked_user(user).id
        name = direct(self._user.id, other)
        found = self._channels.get(name)
        if found is None:
            both = frozenset({self._user.id, other})
            self.engine.context.guards[name] = Guard(both, ears=both)
            found = self._open_channel(name, "direct", 1000, "read", presence=True)
        return found

    async def directs(self) -> tuple[str, ...]:
        """Return who has opened a direct channel with this user, as far as the store knows, sorted.

        What `DirectOpened` has told in this life and in earlier ones, to go on with after a restart.

        Raises:
            StoreError: The store could not say.
        """
        self._shared.check_use()
        return await opened(self.engine.context, self._user.id)

    async def unread(self) -> Mapping[str, Unread]:
        """Count what this user has not read, in each channel asked for so far.

        What this client cannot say for certain the log counts, if it can be asked; else `exact=False`: at
        least so many, as far as this client knows.
        """
        self._shared.check_use()
        receipts = {name: channel.receipts for name, channel in self._channels.items()}
        return await count_all(self.engine, self._user.id, receipts)

    def as_user(self, user: str | User) -> Chat:
        """Return a client that sends as another user, over the same socket, store and outbox.

        Timelines stay those of the user that opened the client; closing either closes both.

        Raises:
            CapabilityError: The credential may speak for one user only.
        """
        self._shared.check_use()
        if not self._setup.context.adapter.trusted:
            raise CapabilityError(
                "this credential may speak for one user only", hint="Use a backend's credential."
            )
        other = checked_user(user)
        self._setup.context.users.add(other.id)
        return Chat(self._setup, other, self._shared)

    def use(self, *middleware: Middleware) -> None:
        """Add middleware: in this order for what goes out, in reverse for what comes in.

        What is shown already stays as it is, but for what a moderator hides (`chatkit.moderation`).
        """
        for one in middleware:
            verbs = (getattr(one, "outgoing", None), getattr(one, "incoming", None))
            if isinstance(one, type) or not all(map(inspect.iscoroutinefunction, verbs)):
                name = one.__name__ if isinstance(one, type) else type(one).__name__
                raise ConfigError(
                    f"{name} is no middleware",
                    hint="Give an object with `async def outgoing(self, draft)` and `incoming(self, event)`.",
                )
        self._shared.use(middleware)

    # -- for channels -----------------------------------------------------------------------------------

    @property
    def engine(self) -> Engine:
        """The machinery; for the library itself."""
        return self._shared.engine

    @property
    def owner(self) -> Shared:
        """The life of the client; for the library itself."""
        return self._shared

    def check_use(self) -> None:
        """Refuse a client that is not open here."""
        self._shared.check_use()

    def outgoing(self, given: Draft) -> AbstractAsyncContextManager[Draft]:
        """Run middleware over a draft of this user, for the length of queueing it."""
        middleware = self._shared.middleware
        if not middleware:  # as for most
            return nullcontext(given)
        return drafted(middleware, replace(given, user=self._user.id))

    async def queue(self, wish: Wish, *, about: Message | None = None) -> Delivery:
        """Keep a wish and show it; a cancelled caller's is withdrawn if it was never attempted (D14).

        Args:
            wish: What is wanted.
            about: The message that it changes, where the caller has it.
        """
        entry = await self._shared.inviter.accept(wish)
        self._shared.places.show(entry)
        self.outbox.changed()
        delivery = self._shared.delivery(entry)
        delivery.changes(about)
        return delivery

    async def replace_older_edits(self, delivery: Delivery, target: Ident) -> None:
        """Discard edits of the same message that were never attempted: the newer one replaces them."""
        for older in self.engine.outbox.older_edits(delivery.id, target):
            with suppress(StoreError):  # at worst a later life sends it too, before the newer one
                _ = await self.engine.outbox.discard(older)

    def _open_channel(self, name: str, kind: str, keep: int, receipts: Mode, *, presence: bool) -> Channel:
        found = Channel(
            self, self._shared.places, name, kind=kind, keep=keep, presence=presence, receipts=receipts
        )
        self._channels[name] = found
        return found

    def as_seen(self, event: Event) -> Event:
        """Return an event as this user sees it."""
        mine = self._user.id
        return event if mine == self._setup.context.user else seen_by(mine, event)

    # -- as a source ------------------------------------------------------------------------------------

    def _engine_now(self) -> Engine:
        return self.engine

    @property
    def _runners(self) -> dict[Callable[..., object], list[HandlerRunner]]:
        return self._handlers

    def _translate(self, event: Event) -> Event:
        return self.as_seen(event)

    def _subscribe(
        self, kinds: tuple[type[Event], ...], since: Position | None, buffer: int, overflow: str
    ) -> Subscription:
        self._shared.check_use()
        if since is not None:
            raise ConfigError(
                "since= is a place in one channel", hint="Use `chat.channel(name).events(since=...)`."
            )
        return self.engine.subscribe(
            kinds, None, viewer=self._user.id, since=None, from_start=False, buffer=buffer, overflow=overflow
        )


def checked_user(user: str | User) -> User:
    """Return a user with a checked id.

    Raises:
        InvalidMessage: The id is empty, too long, or holds what cannot be sent.
    """
    found = user if isinstance(user, User) else User(id=user)
    return replace(found, id=check_user(found.id))
