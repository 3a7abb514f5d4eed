"""What the engine's parts share: one value, made once by the client."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from chatkit.core import backoff
from chatkit.core.hlc import HybridClock
from chatkit.engine.activity import Activity
from chatkit.engine.guarding import Guard
from chatkit.engine.servertime import ServerTime
from chatkit.engine.tasks import Tasks
from chatkit.errors import CapabilityError, ChatkitError, RateLimited, TransportError

if TYPE_CHECKING:
    from chatkit.model.options import OutboxLimits
    from chatkit.model.registers import Role
    from chatkit.ports import Adapter, Clock, Log, Messages, Observer, RandomSource, Store

T = TypeVar("T")

READS: Final = 4
"""Attempts at one plain read; the outbox has rules of its own."""
READ_TIMEOUT: Final = 10.0
"""Seconds for one attempt at a read."""


@dataclass(slots=True)
class Context:
    """The parts of one client and what they share."""

    user: str
    adapter: Adapter
    store: Store
    clock: Clock
    random: RandomSource
    observer: Observer
    limits: OutboxLimits
    staleness: float
    opened: Log | None = None
    """A log that was opened for this client alone, and is closed with it."""
    roles: Callable[[str, str], Awaitable[Role | None]] | None = None
    """The app's word on who is what in a channel, where no log says so: channel, user (D2)."""
    server_time: ServerTime = field(init=False)
    hlc: HybridClock = field(init=False)
    activity: Activity = field(init=False)
    tasks: Tasks = field(init=False)
    users: set[str] = field(default_factory=set[str])
    """Everyone this client speaks for."""
    guards: dict[str, Guard] = field(default_factory=dict[str, Guard])
    """By channel, where not everybody has a say."""
    counters: Counter[str] = field(default_factory=Counter[str])
    """What was seen and not shown, by name: duplicates, conflicts, foreign frames ... for `health()`."""
    defects: Counter[str] = field(default_factory=Counter[str])
    """What of ours broke, by the name of the task, and how often."""

    def __post_init__(self) -> None:
        self.users.add(self.user)
        self.server_time = ServerTime(self.clock)
        self.hlc = HybridClock()
        self.activity = Activity(self.clock)
        self.tasks = Tasks(lambda name, _: self.defects.update((name,)))

    @property
    def log(self) -> Log | None:
        """The channel memory, if there is one."""
        return self.adapter.log

    @property
    def fenced(self) -> bool:
        """Whether a log looks each id up first: a repeat is a duplicate, a refusal certain (D9)."""
        return self.adapter.log is not None and "fence" in self.adapter.log.capabilities

    @property
    def claims(self) -> bool:
        """Whether a frame may stand for an entry that is too large for it: the log has that whole (D29)."""
        return self.adapter.capabilities.announce == "after"

    @property
    def origin(self) -> str:
        """Who numbers where no log says so: the provider's realm."""
        return self.adapter.realm

    def admits(self, channel: str, user: str) -> bool:
        """Say whether a user has a say in a channel of this client."""
        guard = self.guards.get(channel)
        return guard is None or guard.admits(user)

    def admitted(self, channel: str, page: Messages) -> Messages:
        """Return a page without messages of those who have no say there: raw history checks nobody."""
        if channel not in self.guards:
            return page
        return page._replace(items=tuple(one for one in page.items if self.admits(channel, one.ident.user)))

    def need_log(self, channel: str) -> Log:
        """Return the log.

        Raises:
            CapabilityError: There is none.
        """
        if self.adapter.log is None:
            raise CapabilityError(
                "this provider keeps no history", channel=channel, hint="Give connect() a log with `log=`."
            )
        return self.adapter.log

    async def read(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a plain read, again after errors that repeating can help, a pause asked for kept.

        One that asks for longer than anybody waits for a read is told at once.

        Raises:
            TransportError: No answer after the last attempt; safe to repeat.
            ChatkitError: It was refused.
        """
        try:
            return await _ask(call)
        except ChatkitError as error:  # only now make what repeats it: most reads succeed at once
            failed: ChatkitError | None = error
        pause = 0.0

        async def once() -> T:
            nonlocal pause, failed
            try:
                if failed is None:
                    return await _ask(call)
                raise failed
            except ChatkitError as error:
                failed = None
                pause = (error.retry_after or 0.0) if isinstance(error, RateLimited) else 0.0
                raise

        def worth(error: BaseException) -> bool:
            return isinstance(error, ChatkitError) and error.retryable and pause <= backoff.CAP

        def wait(state: RetryCallState) -> float:
            return max(pause, backoff.delay(state.attempt_number - 1, self.random.random()))

        reading = AsyncRetrying(
            sleep=asyncio.sleep,
            wait=wait,
            stop=stop_after_attempt(READS),
            retry=retry_if_exception(worth),
            reraise=True,
        )
        return await reading(once)


async def _ask(call: Callable[[], Awaitable[T]]) -> T:
    try:
        return await bounded(call, READ_TIMEOUT)
    except Exception as error:  # noqa: BLE001  # only errors of ours reach a user
        ours = foreign(error)
        raise ours from ours.__cause__


async def bounded(call: Callable[[], Awaitable[T]], timeout: float) -> T:
    """Await a call of a provider, log or store for at most `timeout` seconds.

    Raises:
        TransportError: It gave no answer in time.
    """
    try:
        async with asyncio.timeout(timeout):
            return await call()
    except TimeoutError as error:
        if isinstance(error, ChatkitError):
            raise
        raise TransportError(f"no answer within {timeout:g} s") from None


def foreign(error: Exception) -> ChatkitError:
    """Return ours for an exception that an adapter let through: its class named, its text kept out (I16)."""
    if isinstance(error, ChatkitError):
        return error
    ours = TransportError(f"the adapter raised {type(error).__name__}")
    ours.__cause__ = error
    return ours
