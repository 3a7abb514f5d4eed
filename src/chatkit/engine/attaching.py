"""Keeping one channel attached while it is wanted, by the table in `core.attachment`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from chatkit.core import backoff
from chatkit.core.attachment import TABLE, Effect, Input, State
from chatkit.core.connection import PROOF
from chatkit.core.table import step
from chatkit.engine.context import Context, bounded, foreign
from chatkit.engine.syncing import HAIR
from chatkit.errors import (
    AuthenticationError,
    CapabilityError,
    ChatkitError,
    RateLimited,
    StateError,
)
from chatkit.ports import SessionClosed

if TYPE_CHECKING:
    from chatkit.engine.presence import PresenceFeed
    from chatkit.model.order import OrderKey
    from chatkit.ports import Again, Attachment, Session

ATTACH_TIMEOUT: Final = 20.0
"""Seconds for one attach; a refusal may take the provider more than five."""


class Attacher:
    """Attaches, waits, and attaches again.

    Args:
        context: The client's parts.
        name: The channel.
        session: Returns the live session that the channel belongs to, or `None`.
        gate: Held while attaching: a few at a time.
        after: Returns up to where everything is applied, which the provider may resume from.
        on_attached: Told each verdict on continuity.
        on_change: Told each change of state, with the state before.
        wake: Called when `work` has something to do.
        presence: Who is there, if anybody wants to know.
    """

    def __init__(
        self,
        context: Context,
        name: str,
        *,
        session: Callable[[], Session | None],
        gate: asyncio.Semaphore,
        after: Callable[[], OrderKey | None],
        on_attached: Callable[[Attachment], None],
        on_change: Callable[[State], None],
        wake: Callable[[], None],
        presence: PresenceFeed,
    ) -> None:
        self._context = context
        self._name = name
        self._session = session
        self._gate = gate
        self._after = after
        self._on_attached = on_attached
        self._on_change = on_change
        self._wake = wake
        self._presence = presence
        self.state = State.DETACHED
        self.error: ChatkitError | None = None
        """Why it is not attached."""
        self._asks = False
        self._again: Again = "later"
        self._least = 0.0
        self._retry_at: float | None = None
        self._failures = 0
        self._since, self._ever = 0.0, False
        self._refresh = self._refreshed = False
        self._detaching: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._ended = False

    @property
    def readable(self) -> bool:
        """Whether the channel is received; or was, and is waited for while the connection lives (D28)."""
        if self.state is State.SUSPENDED:
            return self._ever and self._session() is not None
        return self.state is State.ATTACHED

    # -- wishes -----------------------------------------------------------------------------------------

    def want(self) -> None:
        """Have the channel attached from now on."""
        if self.state in (State.DETACHED, State.FAILED):
            self._refresh = self._refreshed = False
            self._feed(Input.WANT)
            if self._session() is not None:
                self._feed(Input.CONNECTED)

    async def detach(self) -> None:
        """Have it attached no longer; returns once the provider knows, or cannot be told."""
        self._feed(Input.UNWANT)
        if self._detaching is not None:
            await asyncio.wait({self._detaching})

    async def wait_attached(self) -> None:
        """Wait until the channel is attached.

        Raises:
            ChatkitError: It was refused for good.
            StateError: The client was closed.
        """
        while self.state not in (State.ATTACHED, State.FAILED) and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        if self.state is not State.ATTACHED:
            refusal = self.error if self.state is State.FAILED else None
            raise refusal or StateError("the client was closed", channel=self._name)

    # -- told -------------------------------------------------------------------------------------------

    def connected(self) -> None:
        """The link is up."""
        self._feed(Input.CONNECTED)

    def disconnected(self, *, overdue: bool) -> None:
        """The link is down; `overdue`: for so long that continuity is no longer expected."""
        self._retry_at = None
        self._feed(Input.OVERDUE if overdue else Input.DISCONNECTED)

    def attached(self, found: Attachment) -> None:
        """The provider says that the channel is attached, asked or not."""
        self._since, self._ever = self._context.clock.monotonic(), True
        self._refreshed = False
        self._feed(Input.ATTACHED)
        if self.state is State.ATTACHED:
            self._context.observer.point("channel.attached", channel=self._name, resumed=found.resumed)
            self._on_attached(found)

    def lost(self, error: ChatkitError, again: Again, after: float | None) -> None:
        """The channel was refused, or closed by the provider."""
        if self.state not in (State.ATTACHING, State.ATTACHED):
            return
        if again == "reauthenticate" and self._refreshed:
            again = "never"  # a fresh credential was refused as well
        if self.state is State.ATTACHED and self._context.clock.monotonic() - self._since >= PROOF:
            self._failures = 0
        error.channel = self._name
        self.error = error
        self._again, self._least = again, after or 0.0
        if again == "reauthenticate":
            self._refresh = self._refreshed = True
        self._feed(Input.REFUSED if again == "never" else Input.LOST)

    def end(self) -> None:
        """The client is being closed."""
        self._ended = True
        self._changed.set()

    # -- the channel's task -----------------------------------------------------------------------------

    def wait(self, now: float) -> float | None:
        """Return the seconds until `work` has something to do by itself, or `None`."""
        return None if self._retry_at is None else max(0.0, self._retry_at - now)

    async def work(self) -> None:
        """Do what is due: end a wait, ask for the channel."""
        if self.wait(self._context.clock.monotonic() + HAIR) == 0:
            self._retry_at = None
            self._feed(Input.TIMER)
        if self._asks:
            self._asks = False
            await self._attach()

    async def _attach(self) -> None:
        session = self._session()
        if session is None or self.state is not State.ATTACHING:
            return
        if self._detaching is not None:
            await asyncio.wait({self._detaching})  # else it would undo what follows
        refresh, self._refresh = self._refresh, False
        async with self._gate:
            try:
                if refresh:
                    await bounded(session.reauthenticate, ATTACH_TIMEOUT)
                found = await self._ask(session)
            except SessionClosed:
                return  # the link hears of it too, and says when there is another
            except Exception as raised:  # noqa: BLE001  # whatever an adapter raises, the channel goes on trying
                if self._session() is session:
                    error = foreign(raised)
                    self.lost(error, *_verdict(error))
                return
        if self._session() is session:
            self.attached(found)

    async def _ask(self, session: Session) -> Attachment:
        """Ask for the channel, with who is there where that can be had."""
        self._presence.attaching()
        if self._presence.asks:
            try:
                return await bounded(
                    lambda: session.attach(self._name, self._after(), presence=True), ATTACH_TIMEOUT
                )
            except CapabilityError as error:
                self._presence.refuse(error)
        return await bounded(
            lambda: session.attach(self._name, self._after(), presence=False), ATTACH_TIMEOUT
        )

    async def _detach(self, session: Session) -> None:
        try:
            await bounded(lambda: session.detach(self._name), ATTACH_TIMEOUT)
        except Exception as error:  # noqa: BLE001  # it is not wanted either way
            self._context.observer.point("channel.detach_failed", error=type(foreign(error)).__name__)

    # -- the table --------------------------------------------------------------------------------------

    def _feed(self, given: Input) -> None:
        before = self.state
        self.state, effects = step(TABLE, self.state, given)
        if self.state is State.ATTACHED:
            self.error = None
        for effect in effects:
            self._perform(effect)
        self._wake()
        if self.state is not before:
            self._changed.set()
            self._on_change(before)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Effect.ATTACH:
                self._asks = True
            case Effect.WAIT:
                chance = self._context.random.random()
                soon = self._again in {"now", "reauthenticate"}
                wait = (
                    backoff.brief(self._failures, chance) if soon else backoff.delay(self._failures, chance)
                )
                self._failures += 1
                self._retry_at = self._context.clock.monotonic() + max(wait, self._least)
            case Effect.DETACH:
                session = self._session()
                if session is not None:
                    self._detaching = self._context.tasks.task(self._detach(session), f"detach:{self._name}")
            case _:
                pass  # to catch up: `on_attached` sees to it


def _verdict(error: ChatkitError) -> tuple[Again, float | None]:
    """Return what a refused attach asks for, and the least seconds to wait."""
    match error:
        case AuthenticationError():
            return "reauthenticate", None
        case RateLimited():
            return "later", error.retry_after
        case _:
            return ("later" if error.retryable else "never"), None
