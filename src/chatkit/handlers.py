"""Handlers: each runs apart from the reader and from the others, and is named when it misbehaves (I13)."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from chatkit.errors import ChatkitError, ConfigError, StateError
from chatkit.model.events import Event, HandlerError

if TYPE_CHECKING:
    from chatkit.engine.engine import Engine
    from chatkit.engine.subscription import Subscription
    from chatkit.ports import Clock

BLOCKED: Final = 0.25
"""Seconds that a handler may keep the loop to itself before it is named."""

H = TypeVar("H", bound=Callable[[Any], Awaitable[None]])


def check_handler(handler: Callable[..., object]) -> None:
    """Refuse what cannot be a handler, at once rather than at the first event.

    Raises:
        ConfigError: It is no coroutine function, or cannot be called with one event.
    """
    name = name_of(handler)
    hint = f"Write `async def {name.rpartition('.')[2].strip('<>')}(event): ...`."
    call = getattr(handler, "__call__", None)  # noqa: B004  # a callable object's own method
    if isinstance(handler, type) or not any(map(inspect.iscoroutinefunction, (handler, call))):
        raise ConfigError(f"handler {name} is no coroutine function", hint=hint)
    try:
        inspect.signature(handler).bind(object())
    except TypeError:
        raise ConfigError(f"handler {name} must take one event", hint=hint) from None


def check_kinds(kinds: tuple[Any, ...]) -> tuple[type[Event], ...]:
    """Refuse what is no event type.

    Raises:
        ConfigError: One is not.
    """
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, Event)):
            raise ConfigError(
                f"{kind!r} is no event type", hint="Name event classes, such as chatkit.MessageCreated."
            )
    return kinds


def name_of(handler: Callable[..., object]) -> str:
    """Return what to call a handler in a message."""
    while isinstance(handler, partial):
        handler = handler.func
    return str(getattr(handler, "__qualname__", type(handler).__qualname__))


class HandlerRunner:
    """Runs one handler over its own queue.

    Args:
        engine: The client's machinery.
        reader: Its subscription.
        handler: The app's coroutine function.
        concurrency: Events handled at once, at least 1.
        translate: Adapts an event to the user who listens.
    """

    def __init__(
        self,
        engine: Engine,
        reader: Subscription,
        handler: Callable[[Any], Awaitable[None]],
        *,
        concurrency: int,
        translate: Callable[[Event], Event],
    ) -> None:
        self._engine = engine
        self._reader = reader
        self._handler = handler
        self._translate = translate
        self._slots = asyncio.Semaphore(concurrency)
        self._serial = concurrency == 1
        self._stopped = False
        engine.context.tasks.spawn(self._run(), f"handler:{name_of(handler)}")

    def stop(self) -> None:
        """Call the handler no more, for what is queued neither; what is being handled goes on."""
        self._stopped = True
        self._engine.dispatcher.remove(self._reader)
        self._reader.close()

    async def _run(self) -> None:
        while True:
            try:
                waiting = self._reader.take()
                event = self._translate(await self._reader.get() if waiting is None else waiting)
            except (StopAsyncIteration, ChatkitError):
                return
            except asyncio.CancelledError:
                self._survive()
                continue
            if self._stopped:
                return
            if self._serial:
                await self._handle(event)
            else:
                await self._slots.acquire()
                task = self._engine.context.tasks.task(
                    self._handle(event), f"handler:{name_of(self._handler)}"
                )
                task.add_done_callback(lambda _: self._slots.release())

    async def _handle(self, event: Event) -> None:
        watched = _Watched(self._handler(event), self._engine.context.clock)
        try:
            if not watched.ends_at_once():
                await watched
        except asyncio.CancelledError as error:
            self._survive()
            self._report(event, error)
        except Exception as error:  # noqa: BLE001  # the app's code may raise anything
            self._report(event, error)
        if watched.longest > BLOCKED:
            blocked = StateError(
                f"handler {name_of(self._handler)} blocked the event loop for {watched.longest:.2f} s",
                hint="Await instead, or use asyncio.to_thread for blocking work.",
                channel=event.channel,
            )
            self._report(event, blocked)

    def _survive(self) -> None:
        """Go on though cancelled: the app, which sees this task as its handler's, may cancel that alone.

        Raises:
            CancelledError: The client is closing, or the program ends without having closed it.
        """
        if self._engine.context.tasks.closing or _is_ending():
            raise  # noqa: PLE0704  # called where it is handled
        task = asyncio.current_task()
        while task is not None and task.uncancel():
            pass

    def _report(self, event: Event, error: BaseException) -> None:
        self._engine.presenter.report(HandlerError(event=event, handler=name_of(self._handler), error=error))


def _is_ending() -> bool:
    """Whether all tasks of the loop are cancelled: so `asyncio.run` ends, and waits for each of them."""
    return all(task.cancelling() for task in asyncio.all_tasks())


class _Watched:
    """Awaits a coroutine and measures the longest stretch in which it gave nobody else a turn."""

    __slots__ = ("_now", "_steps", "_waits_for", "longest")

    def __init__(self, work: Awaitable[None], clock: Clock) -> None:
        self._steps = work.__await__()
        self._now = clock.monotonic
        self._waits_for: Any = None
        self.longest = 0.0

    def ends_at_once(self) -> bool:
        """Let it begin; returns whether it has ended, as most have. Otherwise it is to be awaited."""
        return self._ends(next, self._steps)

    def __await__(self) -> Generator[Any, Any, None]:
        while True:
            try:
                given, step = (yield self._waits_for), self._steps.send
            except BaseException as error:  # noqa: BLE001  # handed to the coroutine, which decides
                given, step = error, self._steps.throw
            if self._ends(step, given):
                return

    def _ends(self, step: Callable[[Any], Any], given: Any) -> bool:
        """Take one step, and the time that it takes."""
        began = self._now()
        try:
            self._waits_for = step(given)
        except StopIteration:
            return True
        finally:
            self.longest = max(self.longest, self._now() - began)
        return False
