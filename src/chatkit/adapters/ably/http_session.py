"""`HttpSession`: one connection without a socket: it speaks by calls, and listens to streams or history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, Self

from chatkit.adapters.ably.access import keep_fresh, renewed
from chatkit.adapters.ably.changing import Changing
from chatkit.adapters.ably.codes import is_token_error
from chatkit.adapters.ably.line import Line
from chatkit.adapters.ably.listening import Listening, Shared
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
    StateError,
    TransportError,
)
from chatkit.model.entry import Stamp
from chatkit.model.order import OrderKey
from chatkit.ports.adapter import Attachment, Present, Roster, SessionClosed, Signal
from chatkit.ports.outgoing import Ack, Again, Batch


class HttpSession(AsyncIterator[Signal]):
    """One live connection that dies once. Made by `AblyAdapter.open`.

    Args:
        way: By what it hears.
        shared: With others.
    """

    def __init__(self, way: Way, shared: Shared) -> None:
        parts, config = shared.parts, shared.config
        self.user: Final = parts.user
        self.transport: Final = way
        self._shared = shared
        self._rest = shared.rest
        self._access = shared.access
        self._log = parts.log
        self._read = False
        self._end: Callable[[], SessionClosed] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
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

    def signals(self) -> AsyncIterator[Signal]:
        """What is heard; one reader. Ends by raising `SessionClosed`."""
        if self._read:
            raise StateError("the signals of a session have one reader")
        self._read = True
        return self

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

    async def publish(self, batch: Batch, stamps: Sequence[Stamp | None], /) -> list[Ack]:
        """Make one attempt; one `Ack` an entry, in order.

        Raises:
            TransportError, SessionClosed: The outcome is unknown.
        """
        self._check()
        return await self._speaking.publish(batch, stamps)

    async def emit(self, channel: str, data: bytes) -> None:
        """Send what is not kept, in its turn; dropped where too many wait."""
        self._check()
        await self._speaking.emit(channel, data)

    async def enter(self, channel: str, member: Present) -> None:
        """Decline: `CapabilityError`."""
        self._check()
        await self._speaking.enter(channel, member)

    async def leave(self, channel: str, member: Present) -> None:
        """Decline: `CapabilityError`."""
        self._check()
        await self._speaking.leave(channel, member)

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

    @property
    def ended(self) -> SessionClosed | None:
        """How it ended, if it has."""
        return None if self._end is None else self._end()

    def keep_fresh(self, lead: float) -> None:
        """Renew tokens so many seconds before they end, from now on."""
        if self._access.renewable:
            _ = self._spawn(keep_fresh(self._access, self._shared.now, lead, self._renew), "ably-tokens")

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
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()
        self._line.wake()

    # ------------------------------------------------------------------ signals

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Signal:
        while (signal := self._line.next()) is None:
            self._check()
            await self._line.more()
        return signal

    async def _show(self, channel: str, roster: Roster) -> None:
        source = self._listening.channels.get(channel)
        if source is not None:
            await self._line.put(source, roster)

    def _check(self) -> None:
        if self._end is not None:
            raise self._end()

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

    async def _renew(self) -> None:
        await renewed(self.reauthenticate, self._shared.parts.observer)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended_task)
        return task

    def _ended_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:  # an app's token provider may raise anything
            self._fail(error)
