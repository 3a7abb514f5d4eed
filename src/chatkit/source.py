"""`Source`: facts, in a chat, a channel or a thread. Confirmed only, once each, own ones too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from chatkit.errors import ConfigError, StateError
from chatkit.handlers import HandlerRunner, check_handler, check_kinds, name_of
from chatkit.stream import Stream, within

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from chatkit.engine.engine import Engine
    from chatkit.engine.subscription import Subscription
    from chatkit.model.events import Event
    from chatkit.refs import Position

    A = TypeVar("A", bound=Event)
    B = TypeVar("B", bound=Event)
    C = TypeVar("C", bound=Event)
    Overflow = Literal["raise", "gap"]


class EventPuller:
    """Takes events from a subscription, as the user who listens sees them."""

    def __init__(self, engine: Engine, reader: Subscription, translate: Callable[[Event], Event]) -> None:
        self._engine = engine
        self._reader = reader
        self._translate = translate

    @property
    def gaps(self) -> int:
        """Discontinuities passed."""
        return self._reader.gaps

    async def get(self) -> Event:
        """Wait for the next event."""
        return self._translate(await self._reader.get())

    def close(self) -> None:
        """Take no more."""
        self._engine.dispatcher.remove(self._reader)
        self._reader.close()


class Source:
    """What `Chat` and `Channel` share."""

    _place: str | None = None
    """The channel that it is, for messages of errors."""

    def _engine_now(self) -> Engine:
        raise NotImplementedError  # pragma: no cover - each source has its own

    def _subscribe(
        self, kinds: tuple[type[Event], ...], since: Position | None, buffer: int, overflow: str
    ) -> Subscription:
        raise NotImplementedError  # pragma: no cover - each source has its own

    def _translate(self, event: Event) -> Event:
        raise NotImplementedError  # pragma: no cover - each source has its own

    @property
    def _runners(self) -> dict[Callable[..., object], list[HandlerRunner]]:
        raise NotImplementedError  # pragma: no cover - each source has its own

    @overload
    def events(
        self, /, *, since: Position | None = None, buffer: int = 1000, overflow: Overflow = "raise"
    ) -> Stream[Event]: ...
    @overload
    def events(
        self,
        a: type[A],
        /,
        *,
        since: Position | None = None,
        buffer: int = 1000,
        overflow: Overflow = "raise",
    ) -> Stream[A]: ...
    @overload
    def events(
        self,
        a: type[A],
        b: type[B],
        /,
        *,
        since: Position | None = None,
        buffer: int = 1000,
        overflow: Overflow = "raise",
    ) -> Stream[A | B]: ...
    @overload
    def events(
        self,
        a: type[A],
        b: type[B],
        c: type[C],
        /,
        *,
        since: Position | None = None,
        buffer: int = 1000,
        overflow: Overflow = "raise",
    ) -> Stream[A | B | C]: ...
    def events(
        self, *kinds: Any, since: Position | None = None, buffer: int = 1000, overflow: Overflow = "raise"
    ) -> Stream[Any]:
        """Listen from now on, or from a place in the log and then live, with no hole and no double between.

        Args:
            kinds: Event types wanted; none: all but `ForeignFrame`.
            since: A cursor, message, delivery or time; needs a log. `chatkit.START` is the oldest kept.
            buffer: Most events waiting, 1 to 1,000,000.
            overflow: `"raise"` ends a stream whose reader fell behind with `EventOverflow`; `"gap"` drops
                events and puts a `Discontinuity` in their place.

        Raises:
            CapabilityError: `since` without a log.
            CursorInvalid: The cursor is of another channel or provider.
        """
        if overflow not in ("raise", "gap"):
            raise ConfigError(f"overflow is 'raise' or 'gap', not {overflow!r}")
        reader = self._subscribe(check_kinds(kinds), since, buffer, overflow)
        return Stream(EventPuller(self._engine_now(), reader, self._translate))

    @overload
    def on(
        self, a: type[A], /, *, concurrency: int = 1, buffer: int = 1000
    ) -> Callable[[Callable[[A], Awaitable[None]]], Callable[[A], Awaitable[None]]]: ...
    @overload
    def on(
        self, a: type[A], b: type[B], /, *, concurrency: int = 1, buffer: int = 1000
    ) -> Callable[[Callable[[A | B], Awaitable[None]]], Callable[[A | B], Awaitable[None]]]: ...
    def on(self, *kinds: Any, concurrency: int = 1, buffer: int = 1000) -> Any:
        """Have a coroutine function called with each event of these types, in order.

        What it raises goes to `connect(on_error=)`. One that falls behind its buffer gets a `Discontinuity`
        and then, where there is a log, what it missed.

        Args:
            kinds: Event types, at least one.
            concurrency: Events handled at once, at least 1.
            buffer: Most events waiting.

        Raises:
            ConfigError: What is decorated is no coroutine function of one event.
        """
        wanted = check_kinds(kinds)
        if not wanted or concurrency < 1:
            raise ConfigError("on() takes at least one event type and a concurrency of at least 1")

        def register(handler: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
            check_handler(handler)
            reader = self._subscribe(wanted, None, buffer, "reread")
            runner = HandlerRunner(
                self._engine_now(), reader, handler, concurrency=concurrency, translate=self._translate
            )
            self._runners.setdefault(handler, []).append(runner)
            return handler

        return register

    def off(self, handler: Callable[..., object]) -> None:
        """Call a handler no more, however often it was registered here; what it is handling goes on.

        Raises:
            StateError: It is not registered here.
        """
        runners = self._runners.pop(handler, None)
        if runners is None:
            raise StateError(
                f"handler {name_of(handler)} is not registered here",
                hint="Call off() on the chat or channel whose on() took it, once.",
            )
        for runner in runners:
            runner.stop()

    async def wait_for(
        self,
        kind: type[A],
        /,
        *,
        where: Callable[[A], bool] | None = None,
        since: Position | None = None,
        timeout: float | None = None,
    ) -> A:
        """Wait for the first event of a type for which `where` holds.

        Raises:
            WaitTimeout: There was none in `timeout` seconds.
        """
        stream = self.events(kind, since=since)

        async def find() -> A:
            async for event in stream:
                if where is None or where(event):
                    return event
            raise StateError("the client was closed", hint="Call connect() again for another client.")

        try:
            return await within(timeout, find, f"no {kind.__name__} came", channel=self._place)
        finally:
            await stream.aclose()


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop.

    Raises:
        StateError: There is none.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise StateError(
            "no event loop is running here",
            hint="Call this from a coroutine, on the loop that opened the client.",
        ) from None
