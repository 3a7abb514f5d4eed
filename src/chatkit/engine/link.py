"""The link: keeps one session to the provider alive, by the table in `core.connection`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final

from chatkit.core import backoff
from chatkit.core.connection import LOST, PROOF, SUSPEND_AFTER, TABLE, Effect, Input, State
from chatkit.core.table import step
from chatkit.engine.context import Context, bounded, foreign
from chatkit.errors import ChatkitError, TransportError
from chatkit.model.views import ConnectionView
from chatkit.ports import SessionClosed

if TYPE_CHECKING:
    from chatkit.ports import Session, Signal

OPEN_TIMEOUT: Final = 15.0
"""Seconds for one attempt to open a session."""
CLOSE_TIMEOUT: Final = 2.0
"""Seconds for a session to end cleanly before it is dropped."""
LOOK: Final = 5.0
"""Most seconds between two looks at the clocks, so that a machine that slept is noticed soon (D32)."""


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
        self._after: float | None = None
        self._reauthenticated = False
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._absence: asyncio.TimerHandle | None = None
        self._proof: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def view(self) -> ConnectionView:
        """The present value, as users see it."""
        now = self._context.clock.monotonic()
        return ConnectionView(
            state=self.state.public,
            reason=self.reason,
            since=self._since,
            attempt=self._failures,
            retry_in=None if self._retry_at is None else max(0.0, self._retry_at - now),
            transport=self._context.adapter.realm.partition(":")[0] if self.session else None,
        )

    @property
    def live(self) -> Session | None:
        """The session, once it is connected."""
        return self.session if self.state is State.CONNECTED else None

    @property
    def quiet(self) -> float:
        """Seconds since the last frame of the live session."""
        return self._context.clock.monotonic() - self._heard

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
                self._retry_at = None
                self._tasks = [self._context.tasks.task(self._open(), "open")]
            case Effect.WAIT:
                wait = backoff.delay(self._failures, self._context.random.random())
                self._wait(max(wait, self._after or 0.0))
            case Effect.WAIT_BRIEFLY:
                wait = backoff.brief(self._failures, self._context.random.random())
                self._wait(max(wait, self._after or 0.0))
            case Effect.STOP_WAITING:
                self._cancel_timer()
            case Effect.REFRESH:
                self._reauthenticated = True
            case Effect.WATCH_ABSENCE:
                after = max(SUSPEND_AFTER, self._context.adapter.capabilities.resume_window)
                self._absence = asyncio.get_running_loop().call_later(after, self._overdue)
            case Effect.PROVE:
                self._cancel(self._absence)
                self._proof = asyncio.get_running_loop().call_later(PROOF, self._feed, Input.PROVEN)
            case Effect.RESET:
                self._failures = 0
            case Effect.CLOSE:
                self._cancel_timer()
                self._cancel(self._absence)
                self._cancel(self._proof)
                self._cancel_tasks()

    async def _open(self) -> None:
        adapter, server_time = self._context.adapter, self._context.server_time
        try:
            session = await bounded(adapter.open, OPEN_TIMEOUT)
        except Exception as error:  # noqa: BLE001  # whatever an adapter raises, the link goes on trying
            self._count_loss(foreign(error))
            return
        self.session = session  # known from here on, so that closing ends it
        try:
            server_time.confirm(await bounded(adapter.server_time, OPEN_TIMEOUT))
        except Exception as error:  # noqa: BLE001  # the session lives; only the offset is unknown
            self._context.observer.point("connection.no_server_time", error=type(error).__name__)
        self._heard = self._context.clock.monotonic()
        self.reason, self._reauthenticated = None, False
        self._tasks = [
            self._context.tasks.task(self._read(session), "read"),
            self._context.tasks.task(self._watch(session), "liveness"),
        ]
        self._feed(Input.OPENED)

    async def _read(self, session: Session) -> None:
        try:
            async for signal in session.signals():
                self._heard = self._context.clock.monotonic()
                self._on_signal(signal)
            error: ChatkitError = SessionClosed("the provider ended the connection", again="now")
        except Exception as raised:  # noqa: BLE001  # a reader that dies silently is what this library is against
            error = foreign(raised)
        self.lost(session, error)

    async def _watch(self, session: Session) -> None:
        """Judge liveness by received frames; probe after half the time allowed, give up at the end of it (I11)."""
        liveness = self._context.adapter.capabilities.liveness
        while True:
            await asyncio.sleep(max(0.01, min(LOOK, liveness / 2 - self.quiet)))
            slept = self._context.server_time.slept()
            if slept:
                self._context.observer.point("connection.woke")
                self._on_wake()
            if not slept and self.quiet < liveness / 2:
                continue
            try:
                await bounded(session.probe, liveness / 2)
            except Exception as error:  # noqa: BLE001  # any failure to answer is a dead socket
                closed = SessionClosed("the connection gave no sign of life", again="now")
                closed.__cause__ = foreign(error)
                self.lost(session, closed)
                return
            self._heard = self._context.clock.monotonic()
            if slept:
                self._context.server_time.confirm(await bounded(self._context.adapter.server_time, OPEN_TIMEOUT))

    def _count_loss(self, error: ChatkitError) -> None:
        self._cancel(self._proof)
        self.reason = error
        again = error.again if isinstance(error, SessionClosed) else "later" if error.retryable else "never"
        if again == "reauthenticate" and self._reauthenticated:
            again = "never"  # a fresh credential was refused as well
        self._after = error.after if isinstance(error, SessionClosed) else None
        self._feed(LOST[again])
        self._failures += 1

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

    def _wait(self, seconds: float) -> None:
        self._retry_at = self._context.clock.monotonic() + seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, self._waited)

    def _waited(self) -> None:
        self._retry_at = None
        self._feed(Input.TIMER)

    def _overdue(self) -> None:
        if self.state in (State.DISCONNECTED, State.CONNECTING):
            self._feed(Input.OVERDUE)

    def _cancel_timer(self) -> None:
        self._retry_at = None
        self._cancel(self._timer)

    def _cancel_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    @staticmethod
    def _cancel(handle: asyncio.TimerHandle | None) -> None:
        if handle is not None:
            handle.cancel()


def unreachable(reason: ChatkitError | None) -> ChatkitError:
    """Return why nothing can be sent now: the link's reason, or that there is no connection yet."""
    return reason or TransportError("there is no connection yet")
