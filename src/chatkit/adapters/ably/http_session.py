"""`HttpSession`: one connection without a socket: it speaks by calls, and listens to streams or history."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from chatkit.adapters.ably.changing import Changing
from chatkit.adapters.ably.codes import is_token_error
from chatkit.adapters.ably.listening import Listening, Shared
from chatkit.adapters.ably.living import Living
from chatkit.adapters.ably.names import name_of
from chatkit.adapters.ably.posting import Post, Posts
from chatkit.adapters.ably.rosters import Rosters
from chatkit.adapters.ably.speaking import Speaking
from chatkit.adapters.ably.ways import Way
from chatkit.adapters.ably.wire import ErrorInfo
from chatkit.errors import (
    AuthenticationError,
    CapabilityError,
    ChatkitError,
    RateLimited,
    TransportError,
)
from chatkit.model.order import OrderKey
from chatkit.ports.adapter import Attachment, Roster, SessionClosed, Signal
from chatkit.ports.outgoing import Again
from chatkit.transport import Line


class HttpSession(Living[Post]):
    """One live connection that dies once. Made by `AblyAdapter.open`.

    Args:
        way: By what it hears.
        shared: With others.
    """

    def __init__(self, way: Way, shared: Shared) -> None:
        parts, config = shared.parts, shared.config
        super().__init__(shared.access, parts.observer)
        self.user: Final = parts.user
        self.transport: Final = way
        self._shared = shared
        self._rest = shared.rest
        self._log = parts.log
        self._posts = Posts(
            shared.rest,
            shared.access,
            user=parts.user,
            trusted=shared.trusted,
            word=f"{parts.random.getrandbits(64):016x}-",
        )
        self._speaking = Speaking[Post](
            self._posts,
            self._posts.send,
            namespace=config.namespace,
            user=parts.user,
            logged=parts.log is not None,
            memory=shared.memory,
            clock=parts.clock,
            observer=parts.observer,
            changing=Changing(shared.history, shared.memory, for_all=shared.trusted)
            if config.native_edits
            else None,
        )
        self._line = Line()
        self._listening = Listening(
            way, shared, self._line, is_mine=self._posts.is_mine, spawn=self._spawn, end=self._fail
        )
        self._rosters = Rosters(shared.rest, shared.access, self._show, parts.observer)
        _ = self._spawn(self._rosters.run(), "ably-rosters")

    async def attach(self, channel: str, after: OrderKey | None, *, presence: bool) -> Attachment:
        """Start receiving. Nobody vouches for what lies behind `after`: history is read.

        Raises:
            NotAllowed, AuthenticationError: Not with this credential.
            RateLimited: Too many channels.
            CapabilityError: Who is there cannot be told.
            TransportError: No answer.
        """
        del after
        self._check()
        if presence and not self._shared.ways.open:
            raise CapabilityError("nobody is seen without a WebSocket", channel=channel)
        start = await self._listening.attach(channel)
        if self._log is not None:
            state = (await self._log.heads([channel]))[channel]  # now that live has begun
            start = OrderKey(state.epoch, state.head or "")
        self._check()
        if presence:
            self._rosters.follow(channel, name_of(channel, self._shared.config.namespace))
        return Attachment(channel, resumed=False, start=start, may_publish=None)

    async def detach(self, channel: str) -> None:
        """Stop receiving; when it returns no more signals of the channel follow."""
        self._check()
        self._rosters.leave(channel)
        self._listening.forget(channel)

    async def probe(self) -> None:
        """Make the service answer a call; that a stream is dead is noticed by its silence."""
        self._check()
        _ = await self._rest.time()
        self._listening.alive()

    async def reauthenticate(self) -> None:
        """Fetch a fresh token: calls use it from now on, and streams when they are opened again."""
        self._check()
        if self._access.renewable:
            _ = await self._access.token()

    async def aclose(self) -> None:
        """End it; idempotent."""
        self.end(SessionClosed("this side closed the connection", again="never"))
        if self._tasks:
            await asyncio.wait(self._tasks)

    # ------------------------------------------------------------------ what the adapter needs

    def watch(self, better: Callable[[], Awaitable[None]]) -> None:
        """End, to come again, once there is a better way, which is waited for from now on."""

        async def wait() -> None:
            await better()
            self.end(SessionClosed("there is a better way to the service", again="now"))

        _ = self._spawn(wait(), "ably-upgrade")

    def end(self, error: SessionClosed) -> None:
        """End it so, unless it has ended."""
        if self._end is not None:
            return

        def ended() -> SessionClosed:
            found = SessionClosed(str(error), again=error.again, after=error.after)
            found.__cause__ = error.__cause__
            return found

        self._end = ended
        self._listening.close(ended)
        self._end_tasks()
        self._line.wake()

    # ------------------------------------------------------------------ signals

    async def __anext__(self) -> Signal:
        while (signal := self._line.next()) is None:
            self._check()
            await self._line.more()
        return signal

    async def _show(self, channel: str, roster: Roster) -> None:
        source = self._listening.channels.get(channel)
        if source is not None:
            await self._line.put(source, roster)

    # ------------------------------------------------------------------ inside

    def _fail(self, error: BaseException) -> None:
        """End it, for an error that is the whole connection's."""
        again: Again = "later"
        after: float | None = None
        match error:
            case SessionClosed():
                self.end(error)
                return
            case TransportError():
                again = "now"
            case RateLimited(retry_after=after):
                pass
            case AuthenticationError(code=code):
                again = "reauthenticate" if is_token_error(ErrorInfo(int(code or 0), 401)) else "never"
            case _:
                pass
        why = error.args[0] if isinstance(error, ChatkitError) else type(error).__name__
        found = SessionClosed(f"{self._shared.where}: {why}", again=again, after=after)
        found.__cause__ = error
        self.end(found)

    def _ended_task(self, task: asyncio.Task[None]) -> None:
        super()._ended_task(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:  # an app's token provider may raise anything
            self._fail(error)
