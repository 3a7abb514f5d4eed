"""The app's middleware: what readers and views get of an event, never what is folded (D21)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from chatkit.engine.system import logger
from chatkit.errors import StateError
from chatkit.model.events import Event, HandlerError, MessageCreated, MessageEvent
from chatkit.model.message import Message

if TYPE_CHECKING:
    from chatkit.core.timeline_view import Mask, ViewFeed
    from chatkit.engine.roles import Roles
    from chatkit.engine.screening import Screen
    from chatkit.engine.tasks import Tasks
    from chatkit.model.order import Ident
    from chatkit.ports import Middleware

MIDDLEWARE_TIMEOUT: Final = 5.0
"""Seconds that one middleware may take over one event; the event then goes on as it was."""


class Presenter:
    """Runs middleware, newest first, and tells what it raised.

    Args:
        middleware: The app's, in order of registration; may grow.
        on_error: Told what a middleware raised.
        screen: What those of them say that are moderators.
    """

    def __init__(
        self,
        middleware: Sequence[Middleware],
        on_error: Callable[[HandlerError], object],
        screen: Screen,
    ) -> None:
        self._middleware = middleware
        self._on_error = on_error
        self.judges: Callable[[str], Roles | None] = lambda _: None
        """Returns who decides whose messages are believed in a channel, where not everybody's are."""
        self.screen = screen

    @property
    def active(self) -> bool:
        """Whether there is any middleware."""
        return bool(self._middleware)

    async def present(self, event: Event) -> Event | None:
        """Return the event as readers get it, or `None` where a middleware hides it.

        One that raises, hangs, cancels itself or returns no event is reported and passed over: a filter that
        breaks must not lose messages (I13).
        """
        for middleware in reversed(tuple(self._middleware)):
            try:
                async with asyncio.timeout(MIDDLEWARE_TIMEOUT):
                    shown = _checked(await middleware.incoming(event))
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise  # the client is closing
                self._failed(event, middleware, error)
            except Exception as error:  # noqa: BLE001  # the app's code may raise anything
                self._failed(event, middleware, error)
            else:
                if shown is None:
                    return None
                event = shown
        return event

    async def show(self, message: Message, event_id: str) -> Message | None:
        """Return a message that came with a page as readers get it, or `None` where it is hidden."""
        shown = await self.filter(message, event_id)
        return None if shown is None else self.screen.message(shown)

    async def filter(self, message: Message, event_id: str) -> Message | None:
        """Return what middleware makes of a message; views ask moderators themselves, each time they draw."""
        roles = self.judges(message.channel)
        if roles is not None and not await roles.admits_author(message.sender.user):
            return None
        if not self._middleware:
            return message
        at = message.sent_at or message.at
        created = MessageCreated(
            event_id=event_id, channel=message.channel, at=at, own=message.own, message=message
        )
        return message_in(await self.present(created))

    def report(self, error: HandlerError) -> None:
        """Tell what a handler or middleware raised."""
        try:
            self._on_error(error)
        except Exception:  # noqa: BLE001  # the app's last resort broke too
            logger.exception("on_error raised")

    def _failed(self, event: Event, middleware: Middleware, error: BaseException) -> None:
        self.report(HandlerError(event=event, handler=type(middleware).__qualname__, error=error))


class Masks:
    """What the views of one channel show in place of messages that middleware changed or hid.

    Args:
        view: The channel's own; others may come and go.
        presenter: The app's middleware.
        tasks: Where what is loaded is shown to it.
    """

    def __init__(self, view: ViewFeed, presenter: Presenter, tasks: Tasks) -> None:
        self._view = view
        self._others: WeakSet[ViewFeed] = WeakSet()
        self._presenter = presenter
        self._tasks = tasks
        self._turns: dict[Ident, int] = {}
        self._last = 0
        self.touched = False
        """Whether the view may look different since the owner last took note."""

    def show_in(self, view: ViewFeed) -> None:
        """Show in another view the same, as long as that is held."""
        view.mask_as(self._view)
        self._others.add(view)

    def freeze(self, ident: Ident, shown: Message | None) -> None:
        """Go on showing a message as it was until middleware has seen what became of it."""
        self._last += 1
        self._turns[ident] = self._last
        self._set(ident, lambda _: shown)

    def turn(self, ident: Ident) -> int | None:
        """Return which version of a message middleware has yet to see; `None`: it has seen all."""
        return self._turns.get(ident)

    def settle(self, ident: Ident, before: Message, shown: Message | None, turn: int | None) -> None:
        """Show what middleware made of a message, unless it has a newer version of it yet to see.

        Args:
            ident: The message.
            before: What middleware was given.
            shown: What it gave back; `None`: it hides the message.
            turn: Which version that was.
        """
        if self._turns.get(ident) == turn:
            self._turns.pop(ident, None)
            self._set(ident, _mask(before, shown))

    async def page(self, messages: Iterable[Message]) -> None:
        """Have middleware see messages that were loaded; they are hidden until it has.

        A caller that gives up waiting leaves none of them hidden for ever.
        """
        if not self._presenter.active:
            return
        loaded = tuple(messages)
        for message in loaded:
            self.freeze(message.ident, None)
        showing = [self._show(message, self.turn(message.ident)) for message in loaded]
        await asyncio.wait({self._tasks.task(_all(showing), "present")})

    def review(self, message: Message, before: Message | None) -> None:
        """Have middleware see a change that readers are not told of; till then it shows as before."""
        if self._presenter.active:
            self.freeze(message.ident, before)
            self._tasks.spawn(self._show(message, self.turn(message.ident)), "present")

    async def _show(self, message: Message, turn: int | None) -> None:
        shown = await self._presenter.filter(message, message.message_id)
        self.settle(message.ident, message, shown, turn)

    def _set(self, ident: Ident, mask: Mask | None) -> None:
        self.touched = True
        self._view.mask(ident, mask)
        for view in self._others:
            view.mask(ident, mask)


async def _all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    await asyncio.gather(*works)


def message_in(event: Event | None) -> Message | None:
    """Return the message of an event, if it is there and holds one."""
    return event.message if isinstance(event, MessageEvent) else None


def log_handler_error(error: HandlerError) -> None:
    """The default `on_error`: a line in the log with the traceback; no body (I16)."""
    logger.error(
        "handler %s raised on %s %s",
        error.handler,
        type(error.event).__name__,
        error.event.event_id,
        exc_info=None if isinstance(error.error, StateError) else error.error,
    )


def _checked(shown: object) -> Event | None:
    if shown is None or isinstance(shown, Event):
        return shown
    raise StateError(f"incoming() must return an event or None, not {type(shown).__name__}")


def _mask(before: Message, shown: Message | None) -> Mask | None:
    """Return what to show: nothing, or the message as it then is with what middleware changed.

    What changed since, reactions say, shows; so does a field that has another value by now than middleware
    saw: my own pending edit.
    """
    if shown is before:
        return None
    if shown is None:
        return lambda _: None
    names = (field.name for field in fields(Message))
    changed = {
        name: (getattr(before, name), getattr(shown, name))
        for name in names
        if getattr(before, name) != getattr(shown, name)
    }

    def mask(now: Message) -> Message:
        fitting: dict[str, Any] = {
            name: new for name, (old, new) in changed.items() if getattr(now, name) == old
        }
        return replace(now, **fitting)

    return mask
