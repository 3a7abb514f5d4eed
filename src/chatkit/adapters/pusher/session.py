"""`PusherSession`: one connection: frames in and out, in their order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from chatkit.adapters.pusher import frames
from chatkit.adapters.pusher.closing import closed
from chatkit.adapters.pusher.hearing import Hearing
from chatkit.adapters.pusher.joining import Joining
from chatkit.adapters.pusher.permits import Permits
from chatkit.adapters.pusher.protocol import Answered, Closing, Meaning, Protocol, Refused, Subscribed, Write
from chatkit.adapters.pusher.speaking import Speaking
from chatkit.adapters.pusher.wire import Wire
from chatkit.errors import CapabilityError, RateLimited
from chatkit.model.entry import Stamp
from chatkit.model.order import OrderKey
from chatkit.ports.adapter import Attachment, Present, SessionClosed, Signal
from chatkit.ports.log import Log
from chatkit.ports.outgoing import Ack, Batch
from chatkit.transport import OneLife

SPEAK: Final = 60.0
"""Most seconds for which a connection that hears something writes nothing: some servers count that alone."""
PONG: Final = 10.0
"""Seconds within which a ping is answered."""
FULL: Final = 30.0
"""Seconds until a full channel is tried again."""


class PusherSession(OneLife):
    """One live connection that dies once. Made by `PusherAdapter.open`.

    Args:
        socket: Connected and greeted.
        protocol: That heard the greeting.
        where: The server, without key or secret.
        wire: Names and packs.
        permits: Let it into channels.
        hearing: Makes signals of what is said.
        speaking: Makes frames, or calls, of what is to be said.
        log: The app's own.
        user: As whom, where this side vouches for it.
    """

    def __init__(
        self,
        socket: ClientConnection,
        protocol: Protocol,
        *,
        where: str,
        wire: Wire,
        permits: Permits,
        hearing: Hearing,
        speaking: Speaking,
        log: Log | None,
        user: str | None,
    ) -> None:
        super().__init__()
        self.user: Final = user
        self.transport: Final = "websocket"
        self._socket = socket
        self._protocol = protocol
        self._where = where
        self._wire = wire
        self._permits = permits
        self._hearing = hearing
        self._speaking = speaking
        self._log = log
        self._ready: deque[Signal] = deque()
        self._written = asyncio.get_running_loop().time()
        self._pings: deque[tuple[asyncio.Future[None], float]] = deque()
        """Who waits for the answer to a ping, in order, and when it was sent."""
        self._joining = Joining(
            protocol,
            permits,
            write=self.write,
            barrier=self.barrier,
            check=self._check,
            unlock=hearing.unlock,
            trusted=speaking.trusted,
        )

    # ------------------------------------------------------------------ the port

    async def attach(self, channel: str, after: OrderKey | None, *, presence: bool) -> Attachment:  # noqa: ARG002  # there is no resuming by a place
        """Start receiving; `resumed` where a cache channel proves that nothing was missed.

        Raises:
            CapabilityError: `presence`, and the channel has as many members as it takes.
            RateLimited: The same without `presence`: there is no room at the moment.
            NotAllowed, AuthenticationError: Not this user.
            TransportError: No answer.
        """
        self._check()
        name, roster = self._wire.name(channel), self._wire.roster(channel)
        self._hearing.attach(channel, name, roster if presence else None)
        try:
            if presence:
                await self._enter(roster, channel)
            elif roster != name:
                await self._joining.leave(roster)
            if not presence or roster != name:
                await self._joining.join(name, channel)
            if self._log is None:
                resumed = await self._proven(name)
                return Attachment(channel, resumed=resumed, start=None, may_publish=None)
            # Read once live has begun, so that nothing lies between.
            head = (await self._log.heads([channel]))[channel]
            start = OrderKey(head.epoch, head.head or "")
            return Attachment(channel, resumed=False, start=start, may_publish=None)
        except CapabilityError as full:
            await self._leave(channel, name, roster)
            if presence:
                raise
            raise RateLimited(full.args[0], retry_after=FULL, channel=channel, hint=full.hint) from None
        except BaseException:  # given up as well
            await self._leave(channel, name, roster)
            raise

    async def detach(self, channel: str) -> None:
        """Stop receiving; when it returns no more signals of the channel follow."""
        self._check()
        await self._leave(channel, self._wire.name(channel), self._wire.roster(channel))

    async def publish(self, batch: Batch, stamps: Sequence[Stamp | None], /) -> Sequence[Ack]:
        """Send client events, and learn from the answer to a ping that they arrived (D11).

        Raises:
            CapabilityError: With the secret publishing goes over HTTP.
            TransportError, SessionClosed: The outcome is unknown.
        """
        del stamps
        return await self._speaking.publish(self, batch)

    async def emit(self, channel: str, data: bytes) -> None:
        """Send what is not kept; it yields to what is. Raises as `attach` and `publish`."""
        self._check()
        await self._speaking.emit(self, channel, data)

    async def enter(self, channel: str, member: Present) -> None:
        """Decline: whoever receives a channel is in."""
        del member
        raise CapabilityError("at Pusher whoever receives a channel is present in it", channel=channel)

    async def leave(self, channel: str, member: Present) -> None:
        """Decline."""
        await self.enter(channel, member)

    async def probe(self) -> None:
        """Make the server answer a ping."""
        self._check()
        await self.barrier()

    async def reauthenticate(self) -> None:
        """Ask for a fresh credential with the next channel: each has a signature of its own."""
        self._check()
        self._permits.refresh()

    async def aclose(self) -> None:
        """End it cleanly; idempotent."""
        self._die(lambda: SessionClosed("this side closed the connection", again="never"))
        await self._socket.close()

    # ------------------------------------------------------------------ what speaking needs

    @property
    def socket_id(self) -> str:
        """What the server calls this connection."""
        return self._protocol.socket_id

    async def barrier(self) -> None:
        """Return when the server has dealt with all that was written before.

        Answers name no ping, so one that is left out would shift all that follow: the connection ends.
        """
        now = asyncio.get_running_loop().time()
        if self._pings and now - self._pings[0][1] > PONG:
            self._die(lambda: SessionClosed("the server leaves pings without an answer", again="now"))
            await self._socket.close()
        await (await self._ping())

    async def _ping(self) -> asyncio.Future[None]:
        """Send a ping; returns what its answer resolves."""
        self._check()
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._pings.append((waiter, loop.time()))
        await self.write(frames.PING)
        return waiter

    async def write(self, frame: str) -> None:
        """Write a frame.

        Raises:
            SessionClosed: There is no connection any more.
        """
        self._check()
        self._written = asyncio.get_running_loop().time()
        try:
            await self._socket.send(frame)
        except ConnectionClosed as error:
            raise self._closed_by(error) from None

    async def ready(self, channel: str) -> str:
        """Subscribe for sending, if that is not so yet; returns the name at Pusher."""
        self._check()
        name = self._wire.name(channel)
        await self._joining.join(name, channel)
        return name

    async def drop(self, name: str) -> None:
        """End a subscription that was for sending, unless its channel is received."""
        if not self._hearing.hears(name):
            await self._joining.leave(name)

    # ------------------------------------------------------------------ reading

    async def __anext__(self) -> Signal:
        while not self._ready:
            self._check()
            try:
                frame = await self._socket.recv()
            except ConnectionClosed as error:
                raise self._closed_by(error) from None
            await self._hear(frame)
            if asyncio.get_running_loop().time() - self._written > SPEAK:
                _ = await self._ping()
        return self._ready.popleft()

    async def _hear(self, frame: str | bytes) -> None:
        """Take a frame; every one gives a signal."""
        for meaning in self._protocol.receive(frame):
            match meaning:
                case Write():
                    await self.write(meaning.frame)
                case Closing():
                    code = meaning.code
                    self._die(lambda: closed(code, self._where))  # noqa: B023  # called once the loop has ended here
                    await self._socket.close()
                    return
                case _:
                    self._note(meaning)
                    await self._hearing.take(meaning, self._ready)
        if not self._ready:
            self._ready.append(self._hearing.alive())

    def _note(self, meaning: Meaning) -> None:
        """Tell who waits."""
        match meaning:
            case Subscribed():
                self._joining.answered(meaning.name, None)
            case Refused():
                self._joining.answered(meaning.name, meaning)
            case Answered() if self._pings:
                waiter, _ = self._pings.popleft()
                if not waiter.done():
                    waiter.set_result(None)
            case _:
                self._speaking.note(meaning)

    # ------------------------------------------------------------------ inside

    async def _enter(self, roster: str, channel: str) -> None:
        """Subscribe to the channel that says who is there; the set is told with the confirmation."""
        if not await self._joining.join(roster, channel):
            self._hearing.show_again(roster)  # it was subscribed to already: told with the answer to a ping
            await self.barrier()

    async def _proven(self, name: str) -> bool:
        """Say whether the event that a cache channel kept is the last one that was heard."""
        if not self._wire.cache:
            return False
        await self.barrier()  # what it kept comes right behind the confirmation
        return self._hearing.proven(name)

    async def _leave(self, channel: str, *names: str) -> None:
        self._hearing.detach(channel, self._ready)
        for name in dict.fromkeys(names):
            await self._joining.leave(name)

    # ------------------------------------------------------------------ the end

    def _closed_by(self, error: ConnectionClosed) -> SessionClosed:
        code = 1006 if error.rcvd is None else error.rcvd.code
        self._die(lambda: closed(code, self._where))
        assert self._end is not None  # noqa: S101  # just set, or before
        return self._end()

    def _die(self, end: Callable[[], SessionClosed]) -> None:
        if self._end is not None:
            return
        self._end = end
        waiting: list[asyncio.Future[Any]] = [*(ping for ping, _ in self._pings), *self._joining.waiting]
        for waiter in waiting:
            if not waiter.done():
                waiter.set_exception(end())
                _ = waiter.exception()  # known to be seen: who waits may be busy with something else
        self._pings.clear()
