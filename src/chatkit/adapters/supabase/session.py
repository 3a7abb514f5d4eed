"""`SupabaseSession`: one connection: frames in and out, in their order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, NamedTuple

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from chatkit.adapters.supabase import payload
from chatkit.adapters.supabase.access import Access
from chatkit.adapters.supabase.attached import Attached
from chatkit.adapters.supabase.attaching import Attaching
from chatkit.adapters.supabase.calls import Broadcasts
from chatkit.adapters.supabase.codes import Closing, channel_closed, closed, dead, too_large
from chatkit.adapters.supabase.entering import Entering
from chatkit.adapters.supabase.hearing import Hearing
from chatkit.adapters.supabase.joining import Joining
from chatkit.adapters.supabase.names import topic_of
from chatkit.adapters.supabase.pace import Turns
from chatkit.adapters.supabase.payload import Announced
from chatkit.adapters.supabase.protocol import Answered, Ended, Joined, Meaning, Protocol, Refused, Told
from chatkit.adapters.supabase.reading import Reading
from chatkit.adapters.supabase.wire import Object
from chatkit.errors import CapabilityError, ChatkitError, StateError, TransportError
from chatkit.model.entry import Stamp
from chatkit.model.order import OrderKey
from chatkit.ports.adapter import Attachment, Lost, Parts, Present, SessionClosed, Signal
from chatkit.ports.log import Log
from chatkit.ports.outgoing import Ack, Batch
from chatkit.transport import OneLife, keep_fresh

BEAT: Final = 25.0
"""Seconds between two heartbeats; the service ends a connection that says nothing for sixty."""
ECHO: Final = 10.0
"""Seconds for the answer to one."""
LEAD: Final = 60.0
"""Seconds before a token ends in which it is renewed (D32)."""
EMITS: Final = 8.0
"""Ephemeral messages a second in the long run."""
BURST: Final = 4
"""How many of them may go at once."""
PATIENCE: Final = 5.0
"""Seconds for which one waits for its turn at most."""


class Shared(NamedTuple):
    """What the sessions of an adapter share."""

    parts: Parts
    where: str
    """The project, without its key."""
    access: Access
    broadcasts: Broadcasts
    log: Log | None
    announced: bool
    """The database announces what it commits."""
    private: bool
    user: str | None
    """The only one it speaks for; `None`: for anybody."""
    largest: int
    """Bytes that a broadcast holds."""
    now: Callable[[], float]
    """The service's clock, in seconds since 1970."""


class SupabaseSession(OneLife):
    """One live connection that dies once. Made by `SupabaseAdapter.open`.

    Args:
        socket: Connected.
        shared: With other sessions.
    """

    def __init__(self, socket: ClientConnection, shared: Shared) -> None:
        super().__init__()
        parts = shared.parts
        # Tokens prove who it is, as no key does.
        self.user: Final = parts.user if shared.announced and shared.access.renewable else None
        self.transport: Final = "websocket"
        self._socket = socket
        self._shared = shared
        self._clock = parts.clock
        self._protocol = Protocol()
        self._asked: dict[str, tuple[str, asyncio.Future[Answered]]] = {}
        """Who waits for an answer, by its ref, and of which topic; of heartbeats the empty one."""
        self._emits = Turns(EMITS, BURST)
        self._tasks: set[asyncio.Task[None]] = set()
        self._hearing = Hearing(parts.clock, self._large)
        self._joining = Joining(
            self._protocol,
            shared.access,
            parts.clock,
            parts.random,
            write=self._write,
            end=self._fail,
        )
        self._entering = Entering(shared.user, shared.largest, parts.clock, self.ask)
        self._attaching = Attaching(
            self._hearing,
            self._joining,
            self._entering,
            log=shared.log,
            announced=shared.announced,
            private=shared.private,
            random=parts.random,
            observer=parts.observer,
            spawn=self._spawn,
            end=self._fail,
        )
        self._reading = (
            None if shared.log is None else Reading(shared.log, spawn=self._spawn, put=self._hearing.put)
        )
        _ = self._spawn(self._hear_all(), "supabase-reader")
        _ = self._spawn(self._beat(), "supabase-heartbeat")
        if shared.access.renewable:
            _ = self._spawn(keep_fresh(shared.access, shared.now, LEAD, self._renew), "supabase-tokens")

    # ------------------------------------------------------------------ the port

    async def attach(self, channel: str, after: OrderKey | None, *, presence: bool) -> Attachment:
        """Start receiving. Nobody vouches for what lies behind `after`: the log is read, if there is one.

        Raises:
            NotAllowed, AuthenticationError, ConfigError: Not with this credential, or not so.
            RateLimited: No room, on this connection or in the project.
            TransportError: No answer.
        """
        del after
        self._check()
        found = await self._attaching.attach(channel, presence=presence)
        self._check()
        return found

    async def detach(self, channel: str) -> None:
        """Stop receiving; when it returns no more signals of the channel follow."""
        self._check()
        await self._attaching.detach(channel)

    async def publish(self, batch: Batch, stamps: Sequence[Stamp | None], /) -> Sequence[Ack]:
        """Decline: the adapter publishes, or the log is appended to."""
        del stamps
        self._check()
        raise CapabilityError("publishing goes by the adapter or into the log", channel=batch.channel)

    async def emit(self, channel: str, data: bytes) -> None:
        """Send what is not kept, in its turn; dropped where too many wait.

        Raises:
            MessageTooLarge: It does not fit a broadcast.
            TransportError: There was no way to send it.
        """
        self._check()
        if payload.measure(data) > self._shared.largest:
            raise too_large(channel)
        wait = self._emits.turn(self._clock.monotonic(), patience=PATIENCE)
        if wait is None:
            self._shared.parts.observer.point("supabase.dropped", channel=channel)
            return
        if wait > 0:
            await asyncio.sleep(wait)
        self._check()
        topic, told = topic_of(channel, "live"), payload.pack([data])
        if self._protocol.is_joined(topic):
            said = {"type": "broadcast", "event": payload.EVENT, "payload": told}
            await self._write(self._protocol.say(topic, "broadcast", said))
            return
        private = self._shared.private
        verdict = await self._shared.broadcasts.say(channel, topic, payload.EVENT, told, private=private)
        if verdict is not None:
            raise TransportError("the service refuses broadcasts by HTTP", channel=channel) from verdict.error

    async def enter(self, channel: str, member: Present) -> None:
        """Enter a member, or change what it says. Raises as `Entering.enter`; `StateError`: not attached."""
        await self._entering.enter(self._attached(channel), member)

    async def leave(self, channel: str, member: Present) -> None:
        """Take a member out; nothing where it is not in. Raises as `enter`."""
        await self._entering.leave(self._attached(channel), member)

    async def probe(self) -> None:
        """Make the service answer a heartbeat."""
        self._check()
        _ = await self._await(*self._protocol.heartbeat(), topic="")

    async def reauthenticate(self) -> None:
        """Present a fresh token to every channel; with a key alone there is nothing to present.

        The service answers nothing: what it does not take it says by closing channels.
        """
        self._check()
        token = await self._shared.access.renew()
        self._check()
        if token is not None:
            for topic in self._protocol.joined:
                await self._write(self._protocol.say(topic, "access_token", {"access_token": token}))

    async def aclose(self) -> None:
        """End it cleanly; idempotent."""
        self._die(lambda: SessionClosed("this side closed the connection", again="never"))
        await self._socket.close()
        tasks = self._tasks - {asyncio.current_task()}
        if tasks:
            await asyncio.wait(tasks)

    # ------------------------------------------------------------------ what the adapter needs

    def is_joined(self, topic: str) -> bool:
        """Say whether something can be said on a topic, and is heard there."""
        return self._end is None and self._protocol.is_joined(topic)

    async def ask(self, topic: str, event: str, told: Object) -> Answered:
        """Send a message and return its answer.

        Raises:
            TransportError: The topic was closed meanwhile.
            SessionClosed: The connection was.
        """
        self._check()
        return await self._await(*self._protocol.push(topic, event, told), topic=topic)

    # ------------------------------------------------------------------ reading

    async def __anext__(self) -> Signal:
        line = self._hearing.line
        while (signal := line.next()) is None:
            self._check()
            await line.more()
        return signal

    async def _hear_all(self) -> None:
        """Take frames, each of which gives a signal, until the connection ends."""
        try:
            while True:
                for meaning in self._protocol.receive(await self._socket.recv()):
                    if isinstance(meaning, Told):  # as most
                        await self._hearing.told(meaning)
                    else:
                        await self._hear(meaning)
                self._hearing.alive()
        except ConnectionClosed as error:
            _ = self._closed_by(error)
        except SessionClosed:
            return  # it ended for what it heard

    async def _hear(self, meaning: Meaning) -> None:
        match meaning:
            case Joined(topic):
                self._joining.answered(topic, None)
            case Refused(topic):
                self._joining.answered(topic, meaning)
            case Answered(ref=ref):
                _, waiter = self._asked.get(ref, ("", None))
                if waiter is not None and not waiter.done():
                    waiter.set_result(meaning)
            case Ended():
                await self._lost(meaning)
            case _:
                await self._hearing.take(meaning)

    async def _lost(self, ended: Ended) -> None:
        """A topic was closed under a living connection."""
        for topic, waiter in self._asked.values():
            if topic == ended.topic and not waiter.done():
                waiter.set_exception(TransportError("the channel was closed before the answer came"))
        one = self._hearing.of(ended.topic)
        if one is None:
            return
        random = self._shared.parts.random
        why = channel_closed(ended.reason, one.channel, random, crashed=ended.crashed)
        if why.whole:
            self._fail(why)
        elif await self._attaching.lost(one, ended.topic, why):
            self._hearing.line.push(Lost(one.channel, why.error, why.again, why.after))

    def _large(self, one: Attached, entries: list[Announced]) -> None:
        assert self._reading is not None  # noqa: S101  # a log announced it
        self._reading.take(one, entries)

    # ------------------------------------------------------------------ heartbeats and tokens

    async def _beat(self) -> None:
        """Send heartbeats, and end a connection that leaves one without an answer."""
        while True:
            await asyncio.sleep(BEAT)
            ref, frame = self._protocol.heartbeat()
            beat = self._spawn(self._await_echo(ref, frame), "supabase-echo")
            sent = self._clock.monotonic()
            while not beat.done():
                await asyncio.wait({beat}, timeout=1.0)
                # Neither while the service deals with a join, nor while nobody reads, can it be heard.
                if self._joining.busy or self._hearing.line.full:
                    sent = self._clock.monotonic()
                elif not beat.done() and self._clock.monotonic() - sent > ECHO:
                    error = TransportError("the service left a heartbeat without an answer")
                    return self._fail(Closing(error, "now", whole=True))

    async def _await_echo(self, ref: str, frame: str) -> None:
        try:
            _ = await self._await(ref, frame, topic="")
        except ChatkitError:
            return  # it ended

    async def _renew(self) -> None:
        """Present a fresh token; where that fails the service closes the channels when the old one ends."""
        try:
            await self.reauthenticate()
        except Exception as error:  # noqa: BLE001  # an app's token provider may raise anything
            self._shared.parts.observer.point("supabase.not_renewed", error=type(error).__name__)

    # ------------------------------------------------------------------ inside

    def _attached(self, channel: str) -> Attached:
        self._check()
        one = self._hearing.channels.get(channel)
        if one is None:
            raise StateError("the channel is not attached", channel=channel)
        if not one.presence:
            raise CapabilityError("the channel is attached without presence", channel=channel)
        return one

    async def _await(self, ref: str, frame: str, *, topic: str) -> Answered:
        waiter: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._asked[ref] = topic, waiter
        try:
            await self._write(frame)
            return await waiter
        finally:
            del self._asked[ref]
            self._protocol.forget(ref)

    async def _write(self, frame: str) -> None:
        """Write a frame. `SessionClosed`."""
        self._check()
        try:
            await self._socket.send(frame)
        except ConnectionClosed as error:
            raise self._closed_by(error) from None

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        if self._end is not None:
            work.close()
            raise self._end()
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # ------------------------------------------------------------------ the end

    def _fail(self, why: Closing) -> None:
        """End it, for an error that is the whole connection's."""
        self._die(lambda: dead(why, self._shared.where))
        self._socket.transport.abort()

    def _closed_by(self, error: ConnectionClosed) -> SessionClosed:
        code = 1006 if error.rcvd is None else error.rcvd.code
        found = closed(code, self._shared.where, self._shared.parts.random)
        self._die(lambda: _again(found))
        assert self._end is not None  # noqa: S101  # just set, or before
        return self._end()

    def _die(self, end: Callable[[], SessionClosed]) -> None:
        if self._end is not None:
            return
        self._end = end
        waiting: list[asyncio.Future[Any]] = [
            *(waiter for _, waiter in self._asked.values()),
            *self._joining.waiting,
        ]
        for waiter in waiting:
            if not waiter.done():
                waiter.set_exception(end())
                _ = waiter.exception()  # known to be seen: who waits may be busy with something else
        for one in self._hearing.channels.values():
            one.ready.set()
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()
        self._hearing.line.wake()


def _again(error: SessionClosed) -> SessionClosed:
    """Return the same end for one more who asks: an exception is raised once."""
    found = SessionClosed(error.args[0], again=error.again, after=error.after, hint=error.hint)
    found.__cause__ = error.__cause__
    return found
