"""When a channel's log is read, and whether live facts wait for it (D17, D19, I6)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

from chatkit.core import backoff
from chatkit.engine.catchup import AGAIN, CatchUp
from chatkit.engine.context import READ_TIMEOUT, bounded, foreign
from chatkit.errors import ChatkitError, TransportError

if TYPE_CHECKING:
    from chatkit.engine.folding import Folder
    from chatkit.engine.loading import Loader
    from chatkit.engine.parts import ChannelParts
    from chatkit.engine.receiver import Receiver
    from chatkit.engine.telling import Teller

T = TypeVar("T")

PATIENT: Final = 2
"""Failed reads for which live facts wait after a reconnect; then readers are told that there is a gap."""
SILENT: Final = 8.0
"""Seconds for which they wait for one read: to lose two where a network swallows all takes too long (I6)."""
HAIR: Final = 0.001
"""Seconds by which a timer may go off early."""


async def doze(wake: asyncio.Event, seconds: float | None) -> None:
    """Sleep until woken, or so long; never so briefly that a clock would not move."""
    try:
        async with asyncio.timeout(None if seconds is None else max(HAIR, seconds)):
            await wake.wait()
    except TimeoutError:
        return


class Sync:
    """Has the log read in the channel's task.

    Args:
        parts: Of the channel.
        receiver: What comes live.
        folder: Where entries go.
        loader: Where pages go.
        teller: Told what readers miss.
        attached: Whether the channel is attached.
        readable: Whether it is read: attached or not.
        wake: Set when there is something to do.
        show: Called after something was folded.
    """

    def __init__(
        self,
        parts: ChannelParts,
        receiver: Receiver,
        folder: Folder,
        loader: Loader,
        teller: Teller,
        *,
        attached: Callable[[], bool],
        readable: Callable[[], bool],
        wake: asyncio.Event,
        show: Callable[[], None],
    ) -> None:
        self._context = parts.context
        self._name = parts.name
        self._progress = parts.progress
        self._receiver = receiver
        self._teller = teller
        self._attached = attached
        self._readable = readable
        self._wake = wake
        self._show = show
        self._catch_up = CatchUp(parts, folder, receiver, loader, teller, ask=self._ask)
        self.caught_up = False
        """Whether the timeline shows all there is, as far as this client can know."""
        self.error: ChatkitError | None = None
        """Why the log cannot be read, where repeating does not help."""
        self._gap_told = False
        self._failures = 0
        self._not_before = float("-inf")

    def begin(self, *, fresh: bool) -> None:
        """Live begins anew: read what lies between, before anything that follows.

        Args:
            fresh: The channel was never seen here, so that nothing was missed.
        """
        self._receiver.back()
        self._progress.lose()
        self._catch_up.doubtful = not fresh
        self._receiver.prompt_read(0.0)
        self._teller.holding, self._progress.gap = True, not fresh
        self._failures, self._gap_told = 0, False
        self.caught_up = False

    def resume(self) -> None:
        """The provider vouches that nothing was missed since the mark."""
        self._receiver.back()
        self._receiver.reading()
        self._progress.continuity.resumed()
        self._teller.holding = self._progress.gap = False
        self.caught_up = True

    def stop(self) -> None:
        """Live ended: what follows stands behind what is missed from now on, and waits for it."""
        self.caught_up = False
        self._progress.lose()
        if self._teller.holding:
            self._receiver.drop()  # what waits was not told, and will be read
        self._receiver.leave()

    def wait(self, now: float) -> float | None:
        """Return the seconds until `work` has something to do, or `None`."""
        due = self._due()
        return None if due is None else max(0.0, due - now)

    async def work(self) -> bool:
        """Read the log if that is due; returns whether it was."""
        due, now = self._due(), self._context.clock.monotonic()
        if due is None or due > now + HAIR:
            return False
        self._not_before = now + AGAIN
        try:
            await self._receiver.turn()  # what acknowledgements prove already comes first
            caught_up = await self._catch_up.run()
        except ChatkitError as error:
            self._context.observer.point(
                "channel.read_failed", channel=self._name, error=type(error).__name__
            )
            self.error = None if error.retryable else error
            wait = backoff.delay(self._failures, self._context.random.random())
            self._not_before = self._context.clock.monotonic() + max(wait, AGAIN)
            self._receiver.prompt_read(0.0)
            caught_up = False
        if caught_up:
            self._progress.unproven = False
            self._failures, self.error = 0, None
            # Where nothing is received more may have come since, and stands before what I send meanwhile.
            self.caught_up = self._attached()
            self._teller.holding = self._progress.gap = not self.caught_up
            self._gap_told = False
            self._receiver.has_read()
        elif self._attached():
            self._failures += 1
            if self._failures >= PATIENT:
                self._give_way()
        return True

    def _due(self) -> float | None:
        """Return when the log is to be read, not too often (D17); `None`: not now."""
        due = self._receiver.read_due
        return max(due, self._not_before) if due is not None and self._readable() else None

    def _give_way(self) -> None:
        """Without an answer let live facts through, behind a word that something may be missing (I6)."""
        self._teller.holding = self._progress.unproven = False
        if not self._gap_told and (self._progress.gap or self._progress.continuity.open):
            self._gap_told = True
            self._teller.announce("unread", self._progress.complete, certain=False)

    def _unanswered(self) -> None:
        if self._attached():
            self._give_way()
            self._wake.set()

    async def _ask(self, call: Callable[[], Awaitable[T]], /, *, hold: bool = False) -> T:
        """Read the log once; live facts go on meanwhile as far as they may."""
        reading = asyncio.ensure_future(bounded(call, READ_TIMEOUT))
        reading.add_done_callback(lambda _: self._wake.set())
        silent = asyncio.get_running_loop().call_later(SILENT, self._unanswered)
        try:
            while not reading.done():
                self._wake.clear()
                if not self._readable():
                    raise TransportError("the channel was lost while its log was read", channel=self._name)
                if not hold:
                    await self._receiver.turn()
                    self._show()
                await doze(self._wake, None if hold else self._receiver.wait())
            return reading.result()
        except Exception as raised:  # noqa: BLE001  # whatever a log raises, the channel goes on trying
            error = foreign(raised)
            raise error from error.__cause__
        finally:
            silent.cancel()
            if not reading.cancel() and not reading.cancelled():
                _ = reading.exception()  # taken note of
