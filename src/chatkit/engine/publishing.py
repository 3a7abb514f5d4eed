"""The publish path: one attempt at one batch, paced, and the pauses a provider asks for (D11, D12, D15)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

from chatkit.engine.context import Context, bounded
from chatkit.errors import (
    AuthenticationError,
    ChatkitError,
    ConfigError,
    NotAllowed,
    RateLimited,
    Rejected,
    TransportError,
)
from chatkit.ports import Ack

if TYPE_CHECKING:
    from chatkit.model.entry import Stamp
    from chatkit.ports import Batch, Outgoing, Session

ACK_TIMEOUT: Final = 10.0
"""Seconds without an answer after which a publish is in doubt."""
PAUSE: Final = 30.0
"""Seconds that lanes pause after a refusal of the whole connection that named no time."""
REFUSALS: Final = (AuthenticationError, NotAllowed, RateLimited, Rejected, ConfigError)
"""What a log raises that took nothing."""
HAIR: Final = 0.001
"""Seconds by which a timer may go off early."""


class Publishing:
    """Where lanes publish.

    Args:
        context: The client's parts.
        session: Returns the live session, or `None`.
    """

    def __init__(self, context: Context, session: Callable[[], Session | None]) -> None:
        self._context = context
        self._session = session
        self._changed = asyncio.Event()
        self._turns = asyncio.Lock()
        self._free_at = 0.0
        self._reason: ChatkitError | None = None
        self.log_ids: dict[str, str] = {}
        """The log that each channel was appended to last."""
        self._resume_at = 0.0

    @property
    def paused(self) -> ChatkitError | None:
        """Why all lanes pause: credentials, quota, a disabled app. Nothing fails meanwhile (D12)."""
        return self._reason if self._context.clock.monotonic() < self._resume_at - HAIR else None

    @property
    def appends(self) -> bool:
        """Whether publishing is appending to the log."""
        return self._context.adapter.capabilities.announce != "stream"

    @property
    def announces(self) -> bool:
        """Whether what the log took in is still to be announced (D16)."""
        return self._context.adapter.capabilities.announce == "after"

    @property
    def needs_session(self) -> bool:
        """Whether publishing goes over the live session rather than by HTTP or into a log."""
        return self._context.adapter.publisher is None and not self.appends

    @property
    def open(self) -> bool:
        """Whether an attempt may be made now."""
        return self.paused is None and (not self.needs_session or self._session() is not None)

    async def ready(self) -> None:
        """Wait until an attempt may be made: for the publish path only, never for an attach (D15)."""
        while not self.open:
            self._changed.clear()
            paused = self.paused is not None
            wait = self._resume_at - self._context.clock.monotonic() if paused else None
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def way_to_announce(self) -> None:
        """Wait until an announcement may be made, and charge it."""
        while self._context.adapter.publisher is None and self._session() is None:
            self._changed.clear()
            await self._changed.wait()
        await self._provider_turn()

    async def turn(self) -> None:
        """Wait until the rate allows a publish, first come, first served; then `charge` it.

        What is appended first takes its turn when it is announced.
        """
        if not self.announces:
            await self._provider_turn()

    async def _provider_turn(self) -> None:
        async with self._turns:
            wait = self._free_at - self._context.clock.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)

    def charge(self, entries: int) -> None:
        """Count a publish about to be made against the rate; to be called at once when the turn has come."""
        if not self.announces:
            self._charge(entries)

    def _charge(self, entries: int) -> None:
        rate = self._context.adapter.capabilities.publish_rate
        if rate is not None:
            self._free_at = max(self._context.clock.monotonic(), self._free_at) + entries / rate

    def changed(self) -> None:
        """The session came or went."""
        self._changed.set()

    def pause(self, reason: ChatkitError, after: float | None) -> None:
        """Let all lanes pause for `after` seconds; they go on by themselves. The longest pause counts."""
        self._context.observer.point("publishing.paused", error=type(reason).__name__)
        until = self._context.clock.monotonic() + (PAUSE if after is None else after)
        self._reason, self._resume_at = reason, max(self._resume_at, until)

    async def publish(self, batch: Batch) -> Sequence[Ack] | None:
        """Make one attempt; `None`: nothing was written, since the session had gone.

        Raises:
            ChatkitError: The outcome is unknown.
        """
        if self.appends:
            log = self._context.need_log(batch.channel)
            try:
                appended = await bounded(lambda: log.append(batch.channel, batch.entries), ACK_TIMEOUT)
            except REFUSALS as refusal:
                return [refused(out, refusal) for out in batch.entries]
            self._context.server_time.confirm(appended.state.now)
            self.log_ids[batch.channel] = appended.state.log_id
            return _one_each(batch, appended.acks)
        return await self._publish(batch, (None,) * len(batch.entries))

    async def announce(self, batch: Batch, stamps: Sequence[Stamp]) -> Sequence[Ack]:
        """Tell receivers what the log took in: one attempt.

        Raises:
            ChatkitError: The outcome is unknown, or the session had gone.
        """
        self._charge(len(batch.entries))
        acks = await self._publish(batch, stamps)
        if acks is None:
            raise TransportError("the connection was lost before it could announce", channel=batch.channel)
        return acks

    async def _publish(self, batch: Batch, stamps: Sequence[Stamp | None]) -> Sequence[Ack] | None:
        publisher = self._context.adapter.publisher or self._session()
        if publisher is None:
            return None
        return _one_each(batch, await bounded(lambda: publisher.publish(batch, stamps), ACK_TIMEOUT))


def refused(out: Outgoing, error: ChatkitError) -> Ack:
    """Answer for a log that refused the call itself, and so took nothing (D12)."""
    match error:
        case RateLimited() | ConfigError():
            after = error.retry_after if isinstance(error, RateLimited) else None
            return Ack(out.ident, "unsent", error=error, scope="connection", again="later", after=after)
        case Rejected():
            return Ack(out.ident, "refused", error=error)
        case AuthenticationError():
            return Ack(out.ident, "unsent", error=error, scope="connection", again="reauthenticate")
        case _:  # of who is no member once more, with a fresh credential
            return Ack(out.ident, "refused", error=error, again="reauthenticate")


def _one_each(batch: Batch, acks: Sequence[Ack]) -> Sequence[Ack]:
    """Return answers that are one for each entry, in order.

    Raises:
        TransportError: They are not, so that the outcome is unknown.
    """
    if [ack.ident for ack in acks] != [out.ident for out in batch.entries]:
        raise TransportError("the adapter's answers are not one for each entry, in order")
    return acks


class Refresh:
    """Fetches a fresh credential, once for all who were refused with the old one (D32).

    Args:
        context: The client's parts.
        reauthenticate: Fetches one and presents it; raises where it could not.
    """

    def __init__(self, context: Context, reauthenticate: Callable[[], Awaitable[None]]) -> None:
        self._context = context
        self._reauthenticate = reauthenticate
        self._one = asyncio.Lock()
        self._at = float("-inf")

    async def since(self, moment: float) -> bool:
        """Say whether there is a credential newer than the one used at `moment`; where not, fetch one.

        Args:
            moment: When the attempt that was refused began, by the monotonic clock.
        """
        async with self._one:
            if self._at >= moment:
                return True
            try:
                await self._reauthenticate()
            except Exception as error:  # noqa: BLE001  # an app's token provider may raise anything
                self._context.observer.point("credential.not_refreshed", error=type(error).__name__)
                return False
            self._at = self._context.clock.monotonic()
            return True
