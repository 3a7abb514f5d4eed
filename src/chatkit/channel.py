"""`Channel`: a named stream of messages that members share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Self, get_args

from chatkit.conversation import Conversation
from chatkit.handlers import HandlerRunner
from chatkit.model.cursor import START
from chatkit.refs import Position, origin_of, place_of

if TYPE_CHECKING:
    from chatkit.client import Chat
    from chatkit.engine.subscription import Subscription
    from chatkit.errors import ChatkitError
    from chatkit.model.events import Event
    from chatkit.timeline import Timeline
    from chatkit.typists import Typing

ChannelState = Literal["detached", "attaching", "attached", "suspended", "failed"]
STATES = frozenset(get_args(ChannelState))


class Channel(Conversation):
    """One channel of a client; the same object for the same name.

    Made by `chat.channel(name)`, without I/O. Listening attaches it; sending does not.
    """

    def __init__(
        self, chat: Chat, name: str, kind: str, keep: int, *, timeline: Timeline, typing: Typing
    ) -> None:
        self._chat = chat
        self._name = self._place = name
        self._kind = kind
        self._keep = keep
        self._handlers: dict[Callable[..., object], list[HandlerRunner]] = {}
        self.timeline = timeline
        self.typing = typing

    @property
    def name(self) -> str:
        """The app's name of it."""
        return self._name

    @property
    def kind(self) -> str:
        """What kind of channel it is."""
        return self._kind

    @property
    def keep(self) -> int:
        """Messages that its timeline keeps."""
        return self._keep

    @property
    def state(self) -> ChannelState:
        """`detached`, `attaching`, `attached`, `suspended` or `failed`."""
        return self._channel_engine.state.value

    @property
    def error(self) -> ChatkitError | None:
        """Why it is not attached; `None` while it is."""
        return self._channel_engine.error

    async def attach(self, *, timeout: float | None = None) -> None:
        """Start receiving, and wait until it is so.

        Raises:
            NotAllowed: The provider refused it.
            WaitTimeout: Not within `timeout` seconds; the wish stays.
            ChatkitError: The connection failed for good, with its reason.
        """
        self._chat.check_use()
        self._channel_engine.want()
        attached = asyncio.ensure_future(self._channel_engine.wait_attached(timeout))
        broken = asyncio.ensure_future(self._chat.connection.wait("failed"))
        try:
            _ = await asyncio.wait({attached, broken}, return_when=asyncio.FIRST_COMPLETED)
            reason = self._chat.connection.reason
            if not attached.done() and reason is not None:
                raise reason
            await attached
        finally:
            attached.cancel()
            broken.cancel()

    async def detach(self) -> None:
        """Stop receiving."""
        self._chat.check_use()
        await self._channel_engine.detach()

    async def __aenter__(self) -> Self:
        self._chat.check_use()
        self._channel_engine.want()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.detach()

    def __repr__(self) -> str:
        return f"Channel({self._name!r})"

    @property
    def _runners(self) -> dict[Callable[..., object], list[HandlerRunner]]:
        return self._handlers

    def _translate(self, event: Event) -> Event:
        return self._chat.as_seen(event)

    def _subscribe(
        self, kinds: tuple[type[Event], ...], since: Position | None, buffer: int, overflow: str
    ) -> Subscription:
        self._chat.check_use()
        engine = self._chat.engine
        return engine.subscribe(
            kinds,
            self._channel_engine,
            viewer=self._chat.user.id,
            since=None if since is None else place_of(since, self._name, engine),
            from_start=since == START,
            origin=None if since is None else origin_of(since),
            buffer=buffer,
            overflow=overflow,
        )
