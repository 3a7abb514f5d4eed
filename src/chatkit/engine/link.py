"""The link: keeps one session to the provider alive, by the table in `core.connection`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final, assert_never

from chatkit.core import backoff
from chatkit.core.connection import LOST, PROOF, SUSPEND_AFTER, TABLE, Effect, Input, State
from chatkit.core.table import step
from chatkit.engine.context import Context, bounded, foreign
from chatkit.engine.liveness import LOOK, Liveness
from chatkit.errors import (
    AuthenticationError,
    CapabilityError,
    ChatkitError,
    ConfigError,
    NotAllowed,
    RateLimited,
    TransportError,
)
from chatkit.model.views import ConnectionView
from chatkit.ports import Carried, SessionClosed

if TYPE_CHECKING:
    from chatkit.ports import Again, Session, Signal

OPEN_TIMEOUT: Final = 15.0
"""Seconds for one attempt to open a session."""
CLOSE_TIMEOUT: Final = 2.0
"""Seconds for a session to end cleanly before it is dropped."""
TURN: Final = 32
"""Signals read before others get a turn: what was read is dealt with while it is at hand."""
TIME_TIMEOUT: Final = 5.0
"""Seconds for the provider to say what time it is."""


class Link:
    """Opens, reads, judges and reopens.

    Args:
        context: The client's parts.
        on_signal: Given each signal of the live session, in order.
        on_change: Called after each change of state.
        on_wake: Called when the machine slept.
    """

    def __init__(
        self,
        context: Context,
        *,
        on_signal: Callable[[Signal], None],
        on_change: Callable[[], None],
        on_wake: Callable[[], None],
    ) -> None:
        self._context = context
        self._on_signal = on_signal
        self._on_change = on_change
        self._on_wake = on_wake
        self.state = State.DISCONNECTED
        self.session: Session | None = None
        self.reason: ChatkitError | None = None
        self._since: datetime = context.clock.wall()
        self._failures = 0
        self._retry_at: float | None = None
        self._after = 0.0
        self._reauthenticated = False
        self._timer: asyncio.TimerHandle | None = None
        self._absence: asyncio.TimerHandle | None = None
        self._proof: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def view(self) -> ConnectionView:
        """The present value, as users see it; `attempt` counts failures since a connection proved itself."""
        now = self._context.clock.monotonic()
        return ConnectionView(
            state=self.state.public,
            reason=self.reason,
            since=self._since,
            attempt=self._failures,
            retry_in=None if self._retry_at is None else max(0.0, self._retry_at - now),
            transport=self._transport,
        )

    @property
    def _transport(self) -> str | None:
        session: object = self.session
        if session is None:
            return None
        if isinstance(session, Carried):
            return session.transport
        return self._context.adapter.realm.partition(":")[0]

    @property
    def live(self) -> Session | None:
        """The session, once it is connected."""
        return self.session if self.state is State.CONNECTED else None

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._feed(Input.START)

    def retry_now(self) -> None:
        """End a backoff, or try again after a failure."""
        self._failures = 0
        self._reauthenticated = False
        self._feed(Input.RETRY)

    def lost(self, session: Session, error: ChatkitError) -> None:
        """Take note that a session died; only the first word on each counts."""
        if self.session is session:
            self.session = None
            self._drop(session)
            self._count_loss(error)

    async def aclose(self) -> None:
        """End the session cleanly and stop trying; idempotent."""
        if self.state in (State.CLOSING, State.CLOSED):
            return
        self._feed(Input.STOP)
        session, self.session = self.session, None
        if session is not None:
            await self._end(session)
        self._feed(Input.STOPPED)

    # -- the table --------------------------------------------------------------------------------------

    def _feed(self, given: Input) -> None:
        before = self.state.public
        self.state, effects = step(TABLE, self.state, given)
        if self.state.public != before:
            self._since = self._context.clock.wall()
            self._context.observer.point(f"connection.{self.state.public}", attempt=self._failures)
        for effect in effects:
            self._perform(effect)
        if self.state.public != before:
            self._on_change()

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Effect.OPEN:
                self._tasks = [self._context.tasks.task(self._open(), "open")]
            case Effect.WAIT:
                self._wait(backoff.delay(self._failures - 1, self._context.random.random()))
            case Effect.WAIT_BRIEFLY:
                self._wait(backoff.brief(self._failures - 1, self._context.random.random()))
            case Effect.STOP_WAITING:
                self._cancel_timer()
            case Effect.REFRESH:
                self._reauthenticated = True  # the adapter, which was refused, fetches a fresh credential
            case Effect.WATCH_ABSENCE:
                _cancel(self._absence)
                after = max(SUSPEND_AFTER, self._context.adapter.capabilities.resume_window)
                self._absence = asyncio.get_running_loop().call_later(after, self._feed, Input.OVERDUE)
            case Effect.PROVE:
                _cancel(self._absence)
                self._proof = asyncio.get_running_loop().call_later(PROOF, self._feed, Input.PROVEN)
            case Effect.RESET:
                self._failures = 0
            case Effect.CLOSE:
                self._cancel_timer()
                _cancel(self._absence)
                _cancel(self._proof)
                for task in self._tasks:
                    task.cancel()
            case _:
                assert_never(effect)

    def _count_loss(self, error: ChatkitError) -> None:
        _cancel(self._proof)
        self.reason = error
        again, self._after = _verdict(error)
        if again == "reauthenticate" and self._reauthenticated:
            again = "never"  # a fresh credential was refused as well
        self._failures += 1
        self._feed(LOST[again])

    # -- one session ------------------------------------------------------------------------------------

    async def _open(self) -> None:
        try:
            session = await bounded(self._context.adapter.open, OPEN_TIMEOUT)
        except Exception as error:  # noqa: BLE001  # whatever an adapter raises, the link goes on trying
            self._count_loss(foreign(error))
            return
        if self.state in (State.CLOSING, State.CLOSED):
            await self._end(session)  # it was not to be stopped in time: it must not stay (I12)
            return
        self.session = session  # known from here on, so that closing ends it
        await self._ask_time()  # before the first clock reading goes out (D4)
        self.reason, self._reauthenticated = None, False
        alive = Liveness(self._context, session, on_wake=self._on_wake)
        self._tasks = [
            self._context.tasks.task(self._read(session, alive), "read"),
            self._context.tasks.task(self._watch(session, alive), "liveness"),
            self._context.tasks.task(self._watch_time(), "time"),
        ]
        self._feed(Input.OPENED)

    async def _read(self, session: Session, alive: Liveness) -> None:
        try:
            count = 0
            async for signal in session.signals():
                alive.heard()
                count += 1
                if count % TURN == 0:
                    await asyncio.sleep(0)
                try:
                    self._on_signal(signal)
                except Exception as error:  # noqa: BLE001  # a defect of ours in one frame, not of the session
                    self._context.tasks.broke("signal", error)
            ended: ChatkitError = SessionClosed("the provider ended the connection", again="now")
        except Exception as raised:  # noqa: BLE001  # a reader that dies silently is what this library is against
            ended = foreign(raised)
        self.lost(session, ended)

    async def _watch(self, session: Session, alive: Liveness) -> None:
        self.lost(session, await alive.death())

    async def _watch_time(self) -> None:
        """Ask for the time until it is confirmed, and again after a sleep (D13)."""
        while True:
            await asyncio.sleep(LOOK)
            if not self._context.server_time.confirmed:
                await self._ask_time()

    async def _ask_time(self) -> None:
        try:
            self._context.server_time.confirm(await bounded(self._context.adapter.server_time, TIME_TIMEOUT))
        except Exception as error:  # noqa: BLE001  # the session lives; only the offset is unknown
            self._context.observer.point("connection.no_server_time", error=type(error).__name__)

    def _drop(self, session: Session) -> None:
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()
        self._tasks = []
        self._context.tasks.spawn(self._end(session), "end-session")

    async def _end(self, session: Session) -> None:
        try:
            await bounded(session.aclose, CLOSE_TIMEOUT)
        except Exception as error:  # noqa: BLE001  # it is dead to us either way
            self._context.observer.point("session.end_failed", error=type(error).__name__)

    # -- timers -----------------------------------------------------------------------------------------

    def _wait(self, seconds: float) -> None:
        seconds = max(seconds, self._after)
        self._retry_at = self._context.clock.monotonic() + seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, self._waited)

    def _waited(self) -> None:
        self._retry_at = None
        self._feed(Input.TIMER)

    def _cancel_timer(self) -> None:
        self._retry_at = None
        _cancel(self._timer)


def _cancel(handle: asyncio.TimerHandle | None) -> None:
    if handle is not None:
        handle.cancel()


def _verdict(error: ChatkitError) -> tuple[Again, float]:
    """Return what a loss asks for, and the least seconds to wait."""
    match error:
        case SessionClosed():
            return error.again, error.after or 0.0
        case RateLimited():
            return "later", error.retry_after or 0.0
        case AuthenticationError():
            return "reauthenticate", 0.0
        case NotAllowed() | ConfigError() | CapabilityError():
            return "never", 0.0  # only misuse and refusals for good: anything else may pass
        case _:
            return "later", 0.0


def unreachable(reason: ChatkitError | None) -> ChatkitError:
    """Return why nothing can be sent now: the link's reason, or that there is no connection yet."""
    return reason or TransportError("there is no connection yet")


def reason_of(link: Link) -> ChatkitError | None:
    """Return why a link is down: behind the end of a session, what ended it."""
    reason = link.reason
    cause = reason.__cause__ if isinstance(reason, SessionClosed) else None
    return cause if isinstance(cause, ChatkitError) else reason
