"""`AblySession`: one connection: frames in and out, in their order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from chatkit.adapters.ably.access import Access
from chatkit.adapters.ably.changing import Changing
from chatkit.adapters.ably.codes import closed
from chatkit.adapters.ably.hearing import Hearing, resolve
from chatkit.adapters.ably.history import AblyHistory
from chatkit.adapters.ably.living import Living
from chatkit.adapters.ably.looking import Looking
from chatkit.adapters.ably.memory import Memory
from chatkit.adapters.ably.places import is_change
from chatkit.adapters.ably.protocol import (
    Annotated,
    Answered,
    AskedForToken,
    Attached,
    Came,
    Closed,
    Closing,
    Connected,
    Meaning,
    Protocol,
    Settled,
    Write,
)
from chatkit.adapters.ably.saying import Waiter
from chatkit.adapters.ably.speaking import Speaking
from chatkit.adapters.ably.surveying import Surveying
from chatkit.errors import TransportError
from chatkit.model.order import OrderKey
from chatkit.ports.adapter import Alive, Attachment, SessionClosed, Signal
from chatkit.ports.context import Clock, Observer
from chatkit.ports.log import Log
from chatkit.ports.outgoing import Again

_BAD_FRAMES: Final = frozenset({1002, 1003, 1007, 1008, 1009})
"""Codes of the WebSocket protocol after which coming again at once would be no better."""


class AblySession(Living["str | bytes"]):
    """One live connection that dies once. Made by `AblyAdapter.open`.

    Args:
        socket: Connected and greeted.
        protocol: That heard the greeting.
        where: The server, without key or secret.
        namespace: Of its channels.
        user: As whom.
        access: Gives fresh tokens.
        log: The app's own.
        history: Where messages are looked up.
        native: Edits, deletes and reactions are Ably's own.
        memory: What outlives it.
        clock: By which frames are timed.
        observer: Told of what is dropped.
    """

    def __init__(
        self,
        socket: ClientConnection,
        protocol: Protocol[Waiter],
        *,
        where: str,
        namespace: str,
        user: str,
        access: Access,
        log: Log | None,
        history: AblyHistory,
        native: bool,
        memory: Memory,
        clock: Clock,
        observer: Observer,
    ) -> None:
        super().__init__(access, observer)
        self.user: Final = user
        self.transport: Final = "websocket"
        self._socket = socket
        self._protocol = protocol
        self._where = where
        self._log = log
        self._memory = memory
        self._clock = clock
        logged = log is not None
        self._hearing = Hearing(protocol, memory, namespace=namespace, logged=logged, native=native)
        looking = Looking(self._hearing, history.pages, spawn=self._spawn, wake=self._wake, observer=observer)
        self._hearing.on_unknown = looking.look_up
        surveying = Surveying(
            self._hearing,
            history.listing,
            memory.recall.reacted,
            spawn=self._spawn,
            wake=self._wake,
            end=self._end_unvouched,
            observer=observer,
        )
        self._hearing.on_reactions, self._hearing.on_attached = surveying.ask, surveying.go_on
        self._speaking = Speaking(
            protocol,
            self._write,
            namespace=namespace,
            user=user,
            logged=logged,
            memory=memory,
            clock=clock,
            observer=observer,
            changing=Changing(history, memory, for_all=protocol.client_id == "*") if native else None,
        )
        self._beats: dict[str, Waiter] = {}
        self._beat = 0
        self._renewals: list[Waiter] = []

    # ------------------------------------------------------------------ the port

    async def attach(self, channel: str, after: OrderKey | None, *, presence: bool) -> Attachment:
        """Start receiving; with all that lies behind `after`, if the service vouches for that.

        Raises:
            NotAllowed, AuthenticationError: Not with this credential.
            RateLimited: Too many channels on this connection.
            TransportError: No answer.
        """
        self._check()
        behind = self._hearing.behind(channel, after)
        if after is not None and is_change(after):
            self._memory.note(channel, after.serial)  # an earlier life's: no page of messages has that place
        name, frame = self._hearing.attach(channel, presence=presence, behind=behind)
        try:
            found: Attached = await self._hearing.ask(name, frame, self._waiter(), self._write)
        except asyncio.CancelledError:
            await self._give_up(channel)
            raise
        if self._log is not None:  # read once live has begun, so that nothing lies between
            head = (await self._log.heads([channel]))[channel]
            begin = OrderKey(head.epoch, head.head or "")
            return Attachment(channel, resumed=False, start=begin, may_publish=found.may_publish)
        resumed = found.resumed and behind is not None
        trail = self._hearing.trails.get(channel)
        start = after if resumed or trail is None else trail.start
        return Attachment(channel, resumed=resumed, start=start, may_publish=found.may_publish)

    async def detach(self, channel: str) -> None:
        """Stop receiving; when it returns no more signals of the channel follow."""
        self._check()
        name, frame = self._hearing.detach(channel)
        if frame is not None:
            _ = await self._hearing.ask(name, frame, self._waiter(), self._write)

    async def probe(self) -> None:
        """Make the service answer a heartbeat."""
        self._check()
        self._beat += 1
        id = f"chatkit-{self._beat}"
        waiter = self._beats[id] = self._waiter()
        try:
            await self._write(self._protocol.heartbeat(id))
            await waiter
        finally:
            _ = self._beats.pop(id, None)

    async def reauthenticate(self) -> None:
        """Present a fresh token in band; with the key there is nothing to present.

        Raises:
            SessionClosed: It was refused.
        """
        self._check()
        if not self._access.renewable:
            return
        token = await self._access.token()
        self._check()
        waiter = self._waiter()
        self._renewals.append(waiter)
        await self._write(self._protocol.authenticate(token))
        await waiter

    async def aclose(self) -> None:
        """End it cleanly, so that nobody sees its members any more; idempotent."""
        if self._end is None:
            self._die(lambda: SessionClosed("this side closed the connection", again="never"), clean=True)
            with suppress(ConnectionClosed, TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._socket.send(self._protocol.close())
        await self._socket.close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # ------------------------------------------------------------------ what the adapter needs

    @property
    def connection_id(self) -> str:
        """What the service calls this connection."""
        return self._protocol.connection_id

    # ------------------------------------------------------------------ reading

    async def __anext__(self) -> Signal:
        while not self._hearing.ready:
            self._check()
            try:
                raw = await self._socket.recv()
            except ConnectionClosed as error:
                end = self._closed_by(error)
                if (
                    not self._hearing.ready
                ):  # else what was looked up meanwhile comes first: nobody tells it again
                    raise end from None
            else:
                await self._hear(raw)
        return self._hearing.ready.popleft()

    async def _hear(self, raw: str | bytes) -> None:
        """Take a frame; every one gives a signal."""
        for meaning in self._protocol.receive(raw):
            match meaning:
                case Came():
                    self._hearing.take(meaning)
                case Annotated():
                    self._hearing.annotated(meaning)
                case Write():
                    await self._write(meaning.frame)
                case Closing(error=error, fatal=fatal):
                    self._die(lambda e=error, f=fatal: closed(e, self._where, fatal=f))  # type: ignore[misc]
                    await self._socket.close()
                    return
                case Closed():
                    self._die(lambda: closed(None, self._where, fatal=False), clean=True)
                    return
                case _:
                    self._note(meaning)
        if not self._hearing.ready:
            self._hearing.ready.append(Alive(self._clock.monotonic()))

    def _note(self, meaning: Meaning) -> None:
        """Tell who waits for an answer of the connection."""
        match meaning:
            case Settled():
                resolve(meaning.what, meaning)
            case Answered(id=id):
                resolve(self._beats.get(id))
            case Connected():
                renewals, self._renewals = self._renewals, []
                for waiter in renewals:
                    resolve(waiter)
            case AskedForToken():
                _ = self._spawn(self._renew(), "ably-token")
            case _:
                self._hearing.note(meaning)

    # ------------------------------------------------------------------ inside

    async def _give_up(self, channel: str) -> None:
        """Take an attach back that nobody waits for any more."""
        _, frame = self._hearing.detach(channel)
        if frame is not None and self._end is None:
            with suppress(SessionClosed):
                await self._write(frame)

    async def _write(self, frame: str | bytes) -> None:
        """Write a frame. `SessionClosed`."""
        self._check()
        try:
            await self._socket.send(frame)
        except ConnectionClosed as error:
            raise self._closed_by(error) from None

    async def _wake(self) -> None:
        """Have the reader look at what is there: an answer comes. `SessionClosed`."""
        await self._write(self._protocol.heartbeat("chatkit-wake"))

    async def _end_unvouched(self) -> NoReturn:
        """End the connection, to go on from before what could not be found out. `SessionClosed`."""

        def end() -> SessionClosed:
            found = SessionClosed(f"{self._where} does not say what stands", again="now")
            found.__cause__ = TransportError("calls had no answer")
            return found

        self._die(end)
        await self._socket.close()
        raise end()

    def _waiter(self) -> Waiter:
        return asyncio.get_running_loop().create_future()

    # ------------------------------------------------------------------ the end

    def _closed_by(self, error: ConnectionClosed) -> SessionClosed:
        code = 1006 if error.rcvd is None else error.rcvd.code
        again: Again = "later" if code in _BAD_FRAMES else "now"

        def end() -> SessionClosed:
            found = SessionClosed(f"{self._where} ended the connection ({code})", again=again)
            found.__cause__ = TransportError("the connection was lost")
            return found

        self._die(end)
        assert self._end is not None  # noqa: S101  # just set, or before
        return self._end()

    def _die(self, end: Callable[[], SessionClosed], *, clean: bool = False) -> None:
        if self._end is not None:
            return
        self._end = end
        self._memory.keep(None if clean else self._protocol.resume, self._hearing.trails)
        waiting = [
            *self._hearing.waiting.values(),
            *self._beats.values(),
            *self._renewals,
            *self._protocol.unsettled(),
        ]
        for waiter in waiting:
            if not waiter.done():
                waiter.set_exception(end())
                _ = waiter.exception()  # known to be seen: who waits may be busy with something else
        self._end_tasks()
