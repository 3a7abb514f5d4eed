"""From a folded fact to the event that readers get, through the app's middleware (D17, D21)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from chatkit.engine.system import logger
from chatkit.errors import StateError
from chatkit.model.cursor import Spot, encode_cursor
from chatkit.model.events import (
    Event,
    HandlerError,
    MessageCreated,
    MessageDeleted,
    MessageEvent,
    MessageUpdated,
    ReactionChanged,
)

if TYPE_CHECKING:
    from chatkit.core.fact import Fact
    from chatkit.core.timeline_applied import Applied
    from chatkit.model.message import Message
    from chatkit.model.order import OrderKey
    from chatkit.ports import Middleware

MIDDLEWARE_TIMEOUT: Final = 5.0
"""Seconds that one middleware may take over one event; the event then goes on as it was."""


def event_of(applied: Applied, viewer: str, cursor_at: OrderKey | None) -> Event | None:
    """Return the event that a fact gives, or `None` where it has no visible effect.

    Args:
        applied: What the fold made of it.
        viewer: The user of this client.
        cursor_at: The place to come back to after this event; `None` where there is no log to come back to.
    """
    fact, message = applied.fact, applied.message
    kind = fact.envelope.kind
    base: dict[str, Any] = {
        "event_id": fact.envelope.id,
        "channel": fact.envelope.channel,
        "at": fact.sent_at or fact.envelope.at,
        "own": fact.user == viewer,
        "cursor": None if cursor_at is None else encode_cursor(Spot(fact.origin, fact.envelope.channel, cursor_at)),
    }
    if kind.startswith("reaction."):
        if fact.envelope.ref is None or fact.envelope.emoji is None:
            return None
        return ReactionChanged(
            message_id=fact.envelope.ref.id,
            user=fact.user,
            emoji=fact.envelope.emoji,
            added=kind == "reaction.add",
            **base,
        )
    if message is None:
        return None
    match kind:
        case "message.create":
            return MessageCreated(message=message, **base)
        case "message.update" | "message.restore":
            return MessageUpdated(message=message, previous=applied.previous, **base)
        case "message.delete":
            return MessageDeleted(message=message, **base)
        case _:
            return None


def visible(applied: Applied, fact: Fact) -> bool:
    """Whether a fact that the channel had not shown before has an effect to tell.

    A page read from the log may hold it already: then the fold calls it a duplicate, and readers still have
    to be told once. A change that lost against a newer one is not told (I7).
    """
    if applied.outcome in ("created", "updated", "deleted", "restored", "reacted", "unreacted"):
        return True
    if applied.outcome != "duplicate" or applied.message is None:
        return False
    return fact.envelope.kind != "message.create" or applied.message.key == fact.key


class Presenter:
    """Runs middleware, newest first, and tells what it raised.

    Args:
        middleware: The app's, in order of registration; may grow.
        on_error: Told what a middleware raised.
    """

    def __init__(self, middleware: Sequence[Middleware], on_error: Callable[[HandlerError], object]) -> None:
        self._middleware = middleware
        self._on_error = on_error

    @property
    def active(self) -> bool:
        """Whether there is any middleware."""
        return bool(self._middleware)

    async def present(self, event: Event) -> Event | None:
        """Return the event as readers get it, or `None` where a middleware hides it.

        One that raises or hangs is reported and passed over: a filter that breaks must not lose messages.
        """
        for middleware in reversed(self._middleware):
            try:
                async with asyncio.timeout(MIDDLEWARE_TIMEOUT):
                    shown = await middleware.incoming(event)
            except Exception as error:  # noqa: BLE001  # the app's code may raise anything (I13)
                self.report(HandlerError(event=event, handler=type(middleware).__qualname__, error=error))
                continue
            if shown is None:
                return None
            event = shown
        return event

    async def show(self, message: Message, event_id: str) -> Message | None:
        """Return a message that came with a page as readers get it, or `None` where it is hidden."""
        if not self._middleware:
            return message
        at = message.sent_at or message.at
        created = MessageCreated(event_id=event_id, channel=message.channel, at=at, own=message.own, message=message)
        shown = await self.present(created)
        return shown.message if isinstance(shown, MessageEvent) else None

    def report(self, error: HandlerError) -> None:
        """Tell what a handler or middleware raised."""
        try:
            self._on_error(error)
        except Exception:  # the app's last resort broke too
            logger.exception("on_error raised")


def log_handler_error(error: HandlerError) -> None:
    """The default `on_error`: a line in the log with the traceback; no body (I16)."""
    logger.error(
        "handler %s raised on %s %s",
        error.handler,
        type(error.event).__name__,
        error.event.event_id,
        exc_info=None if isinstance(error.error, StateError) else error.error,
    )
