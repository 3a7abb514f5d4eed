"""`AblySession`: one connection: frames in and out, in their order."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Self, TypeAlias

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from chatkit.adapters.ably import envelopes
from chatkit.adapters.ably.access import Access
from chatkit.adapters.ably.codes import closed, refusal, verdict
from chatkit.adapters.ably.members import LEAVE, Member
from chatkit.adapters.ably.memory import Memory
from chatkit.adapters.ably.names import name_of
from chatkit.adapters.ably.pace import BATCH, Emits
from chatkit.adapters.ably.places import Trail, moment, time_of
from chatkit.adapters.ably.protocol import (
    Answered,
    AskedForToken,
    Attached,
    Came,
    Closed,
    Closing,
    Connected,
    Detached,
    Ended,
    Meaning,
    Moved,
    Present,
    Protocol,
    Refused,
    Settled,
    Write,
)
from chatkit.adapters.ably.wire import Frame, as_frame, as_text, text_of
from chatkit.errors import (
    AuthenticationError,
    ChatkitError,
    MessageTooLarge,
    NotAllowed,
    Rejected,
    StateError,
    TransportError,
)
from chatkit.model.entry import Stamp
from chatkit.model.order import OrderKey
from chatkit.model.values import EMPTY
from chatkit.ports import adapter as port
from chatkit.ports.adapter import Alive, Attachment, Lost, Roster, SessionClosed, Signal
from chatkit.ports.context import Clock, Observer
from chatkit.ports.log import Log
from chatkit.ports.outgoing import Ack, Again, Batch, Outgoing

_ENTER: Final = 2
_BAD_FRAMES: Final = frozenset({1002, 1003, 1007, 1008, 1009})
"""Codes of the WebSocket protocol after which coming again at once would be no better."""

Waiter: TypeAlias = "asyncio.Future[Any]"


class AblySession(AsyncIterator[Signal]):
    """One live connection that dies once. Made by `AblyAdapter.open`.

    Args:
        socket: Connected and greeted.
        protocol: That heard the greeting.
        where: The server, without key or secret.
        namespace: Of its channels.
        user: As whom.
        access: Gives fresh tokens.
        log: The app's own.
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
        memory: Memory,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self.user: Final = user
        self._socket = socket
        self._protocol = protocol
        self._where = where
        self._namespace = namespace
        self._speaks_for_all = protocol.client_id == "*"
        self._access = access
        self._log = log
        self._memory = memory
        self._trails = memory.take_trails()
        self._clock = clock
        self._observer = observer
        self._channels: dict[str, str] = {}
        """By the name at Ably."""
        self._ready: deque[Signal] = deque()
        self._read = False
        self._end: Callable[[], SessionClosed] | None = None
        self._answers: dict[str, Waiter] = {}
        """Who waits for the answer about a channel, and what for."""
        self._beats: dict[str, Waiter] = {}
        self._beat = 0
        self._renewals: list[Waiter] = []
        self._emits = Emits()
        self._tasks: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------------ the port

    def signals(self) -> AsyncIterator[Signal]:
        """Return the signals, for one reader; ends by raising `SessionClosed`.

        Raises:
            StateError: Somebody reads them already.
        """
        if self._read:
            raise StateError("the signals of a session have one reader")
        self._read = True
        return self

    async def attach(self, channel: str, after: OrderKey | None, *, presence: bool) -> Attachment:
        """Start receiving; with all that lies behind `after`, if the service vouches for that.

        Raises:
            NotAllowed, AuthenticationError: Not with this credential.
            RateLimited: Too many channels on this connection.
            TransportError: No answer.
        """
        self._check()
        name, trail = name_of(channel, self._namespace), self._trails.get(channel)
        behind = (
            None
            if trail is None or self._log is not None
            else trail.back_to(after, given=self._memory.given(channel))
        )
        self._channels[name] = channel
        frame = self._protocol.attach(name, presence=presence, behind=behind)
        try:
            found: Attached = await self._ask(name, frame)
        except asyncio.CancelledError:
            await self._give_up(name)
            raise
        if self._log is not None:  # read once live has begun, so that nothing lies between
            head = (await self._log.heads([channel]))[channel]
            begin = OrderKey(head.epoch, head.head or "")
            return Attachment(channel, resumed=False, start=begin, may_publish=found.may_publish)
        resumed = found.resumed and behind is not None
        start = after if resumed and after is not None else self._trails[channel].start
        return Attachment(channel, resumed=resumed, start=start, may_publish=found.may_publish)

    async def detach(self, channel: str) -> None:
        """Stop receiving; when it returns no more signals of the channel follow."""
        self._check()
        name = name_of(channel, self._namespace)
        self._leave(channel)
        frame = self._protocol.detach(name)
        if frame is not None:
            await self._ask(name, frame)
        self._leave(channel)

    async def publish(self, batch: Batch, stamps: Sequence[Stamp | None], /) -> list[Ack]:
        """Make one attempt; one `Ack` an entry, in order.

        Raises:
            TransportError, SessionClosed: The outcome is unknown.
        """
        self._check()
        if len(batch.entries) > BATCH:
            long = Rejected(f"a batch holds at most {BATCH} entries", channel=batch.channel)
            return [Ack(entry.ident, "refused", error=long) for entry in batch.entries]
        problems = [self._problem(batch.channel, entry) for entry in batch.entries]
        good = [
            (entry, stamp)
            for entry, stamp, bad in zip(batch.entries, stamps, problems, strict=True)
            if bad is None
        ]
        acks = iter(await self._publish(batch, good) if good else [])
        return [next(acks) if bad is None else bad for bad in problems]

    async def emit(self, channel: str, data: bytes) -> None:
        """Send what is not kept, in its turn; dropped where too many wait."""
        self._check()
        wait = self._emits.turn(self._clock.monotonic())
        if wait is None:
            self._observer.point("ably.dropped", channel=channel)
            return
        if wait > 0:
            await asyncio.sleep(wait)
        message = envelopes.pack_passing(data, self.user if self._speaks_for_all else None)
        name, waiter = name_of(channel, self._namespace), self._waiter()
        waiter.add_done_callback(self._emitted)
        await self._write(self._protocol.publish(name, [message], waiter))

    async def enter(self, channel: str, member: port.Present) -> None:
        """Enter a member, or change what it says.

        Raises:
            NotAllowed: It is another user than the credential's, or there is no right to it.
            CapabilityError: The channel is full.
            TransportError: No answer.
        """
        data = dict(member.data)
        said: Frame = {"data": json.dumps(data, ensure_ascii=False), "encoding": "json"} if data else {}
        await self._present(channel, member.user, {"action": _ENTER, **said})

    async def leave(self, channel: str, member: port.Present) -> None:
        """Take a member out; nothing where it is not in. Raises as `enter`."""
        await self._present(channel, member.user, {"action": LEAVE})

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

    @property
    def ended(self) -> SessionClosed | None:
        """How it ended, if it has."""
        return None if self._end is None else self._end()

    def keep_fresh(self, now: Callable[[], float], lead: float) -> None:
        """Renew tokens before they end, from now on.

        Args:
            now: The service's clock, in seconds since 1970.
            lead: Seconds before the end, or half of what is left where that is less.
        """
        if self._access.renewable:
            self._spawn(self._keep_fresh(now, lead), "ably-tokens")

    # ------------------------------------------------------------------ reading

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Signal:
        while not self._ready:
            self._check()
            try:
                raw = await self._socket.recv()
            except ConnectionClosed as error:
                raise self._closed_by(error) from None
            await self._hear(raw)
        return self._ready.popleft()

    async def _hear(self, raw: str | bytes) -> None:
        """Take a frame; every one gives a signal."""
        for meaning in self._protocol.receive(raw):
            match meaning:
                case Came():
                    self._take(meaning)
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
        if not self._ready:
            self._ready.append(Alive(self._clock.monotonic()))

    def _take(self, came: Came) -> None:
        """Pass on messages, but ephemeral ones of this very connection."""
        channel = self._channels.get(came.name)
        if channel is None:
            return
        for item in came.items:
            if envelopes.is_passing(item) and item.get("connectionId") == self._protocol.connection_id:
                continue
            self._ready.append(envelopes.signal_of(channel, item, logged=self._log is not None))
        last = as_text(came.items[-1].get("serial")) if came.items else None
        trail = self._trails.get(channel)
        if trail is not None and last is not None and came.serial is not None:
            trail.step(last, came.serial)

    def _note(self, meaning: Meaning) -> None:
        """Tell who waits for an answer of the connection."""
        match meaning:
            case Settled():
                _resolve(meaning.what, meaning)
            case Answered(id=id):
                _resolve(self._beats.get(id))
            case Connected():
                renewals, self._renewals = self._renewals, []
                for waiter in renewals:
                    _resolve(waiter)
            case AskedForToken():
                self._spawn(self._renew(), "ably-token")
            case _:
                self._note_channel(meaning)

    def _note_channel(self, meaning: Meaning) -> None:
        """Tell who waits for an answer about a channel, or the reader."""
        match meaning:
            case Attached():
                self._attached(meaning)
            case Detached(name=name):
                _resolve(self._answers.get(name), meaning)
            case Refused(name=name, error=error):
                self._fail(name, refusal(error, self._channels.get(name)))
            case Ended(name=name, error=error):
                self._lose(name, refusal(error, self._channels.get(name)))
            case Present(name=name, members=members):
                if (channel := self._channels.get(name)) is not None:
                    self._ready.append(Roster(channel, tuple(map(_present, members))))
            case Moved(name=name, moves=moves):
                if (channel := self._channels.get(name)) is not None:
                    self._ready += [port.Moved(channel, change, _present(member)) for change, member in moves]
            case _:
                pass

    def _attached(self, found: Attached) -> None:
        channel = self._channels.get(found.name)
        if channel is None:
            return
        if not found.resumed or channel not in self._trails:
            trail = self._trails[channel] = Trail(found.serial)
            self._memory.broke(channel)
            self._memory.note(channel, trail.start.serial)  # no log may stand below where live begins
        if found.asked:
            _resolve(self._answers.get(found.name), found)
        elif not found.resumed:  # continuity was lost: the log is read
            start = self._trails[channel].start if self._log is None else None
            self._ready.append(Attachment(channel, resumed=False, start=start, may_publish=found.may_publish))

    def _lose(self, name: str, error: ChatkitError) -> None:
        channel = self._channels.pop(name, None)
        if channel is None:
            return
        _ = self._trails.pop(channel, None)
        again: Again = "now" if type(error) is TransportError else "later" if error.retryable else "never"
        if isinstance(error, AuthenticationError):
            again = "reauthenticate"
        self._ready.append(Lost(channel, error, again, None))

    # ------------------------------------------------------------------ speaking

    def _problem(self, channel: str, entry: Outgoing) -> Ack | None:
        """Return the answer to an entry that this connection cannot send."""
        error: ChatkitError | None = None
        if entry.ident.user != self.user and not self._speaks_for_all:
            error = NotAllowed("this client speaks for its own user only")
        elif envelopes.measure(entry.data, logged=self._log is not None) > envelopes.BYTES:
            error = MessageTooLarge("Ably takes 64 KiB a publish")
        if error is None:
            return None
        error.channel, error.message_id = channel, entry.ident.id
        return Ack(entry.ident, "refused", error=error)

    async def _publish(self, batch: Batch, pairs: list[tuple[Outgoing, Stamp | None]]) -> list[Ack]:
        name, waiter = name_of(batch.channel, self._namespace), self._waiter()
        entries = [entry for entry, _ in pairs]
        logged = [(entry.data, stamp) for entry, stamp in pairs if stamp is not None]
        messages = (
            [envelopes.pack_logged(data, stamp) for data, stamp in logged]
            if logged
            else envelopes.pack(batch, entries, named=self._speaks_for_all)
        )
        await self._write(self._protocol.publish(name, messages, waiter))
        settled: Settled[Waiter] = await waiter
        if settled.unknown:
            raise TransportError("Ably answered others, not this publish", channel=batch.channel)
        if settled.error is not None:
            found = verdict(settled.error, batch.channel)
            return [
                Ack(
                    entry.ident,
                    found.outcome,
                    error=found.error,
                    scope=found.scope,
                    again=found.again,
                    after=found.after,
                )
                for entry in entries
            ]
        if logged:
            return [Ack(entry.ident, "new", stamp and stamp.key) for entry, stamp in pairs]
        serials = [*settled.serials, *[None] * len(entries)][: len(entries)]
        return [
            self._ack(batch.channel, entry, serial) for entry, serial in zip(entries, serials, strict=True)
        ]

    def _ack(self, channel: str, entry: Outgoing, serial: str | None) -> Ack:
        if serial is None:
            self._observer.point("ably.no_serial", channel=channel)
            return Ack(entry.ident, "new")
        self._memory.note(channel, serial)
        at = time_of(serial)
        return Ack(entry.ident, "new", envelopes.place_of(serial), None if at is None else moment(at))

    async def _present(self, channel: str, user: str, item: Frame) -> None:
        self._check()
        if user != self.user and not self._speaks_for_all:
            raise NotAllowed("this client speaks for its own user only", channel=channel)
        name, waiter = name_of(channel, self._namespace), self._waiter()
        named = {"clientId": user} if self._speaks_for_all else {}
        await self._write(self._protocol.present(name, {**item, **named}, waiter))
        settled: Settled[Waiter] = await waiter
        if settled.unknown:
            raise TransportError("Ably answered others, not this member", channel=channel)
        if settled.error is not None:
            raise refusal(settled.error, channel)

    def _emitted(self, waiter: Waiter) -> None:
        """Take note of what became of an ephemeral message: nobody waits for it."""
        if waiter.cancelled() or waiter.exception() is not None:
            return
        settled: Settled[Waiter] = waiter.result()
        if settled.error is not None:
            self._observer.point("ably.emit_refused", code=settled.error.code)

    # ------------------------------------------------------------------ tokens

    async def _keep_fresh(self, now: Callable[[], float], lead: float) -> None:
        while True:
            ends = self._access.expires_at
            if ends is None:
                return
            left = ends.timestamp() - now()
            await asyncio.sleep(max(1.0, left - min(lead, left / 2)))
            if self._access.expires_at == ends:
                await self._renew()

    async def _renew(self) -> None:
        """Present a fresh token; where that fails the service ends the connection when the old one does."""
        try:
            await self.reauthenticate()
        except Exception as error:  # noqa: BLE001  # an app's token provider may raise anything
            self._observer.point("ably.not_renewed", error=type(error).__name__)

    def _spawn(self, work: Any, name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ------------------------------------------------------------------ inside

    async def _ask(self, name: str, frame: str | bytes) -> Any:
        """Ask about a channel; only the last who asks is answered."""
        self._fail(name, TransportError("something else was asked of the channel meanwhile"))
        waiter = self._answers[name] = self._waiter()
        try:
            await self._write(frame)
            return await waiter
        finally:
            if self._answers.get(name) is waiter:
                del self._answers[name]

    async def _give_up(self, name: str) -> None:
        """Take an attach back that nobody waits for any more."""
        _ = self._trails.pop(self._channels.pop(name, ""), None)
        frame = self._protocol.detach(name)
        if frame is not None and self._end is None:
            with suppress(SessionClosed):
                await self._write(frame)

    def _leave(self, channel: str) -> None:
        _ = self._channels.pop(name_of(channel, self._namespace), None)
        _ = self._trails.pop(channel, None)
        self._ready = deque(one for one in self._ready if getattr(one, "channel", None) != channel)

    def _fail(self, name: str, error: ChatkitError) -> None:
        waiter = self._answers.get(name)
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    async def _write(self, frame: str | bytes) -> None:
        """Write a frame. `SessionClosed`."""
        self._check()
        try:
            await self._socket.send(frame)
        except ConnectionClosed as error:
            raise self._closed_by(error) from None

    def _waiter(self) -> Waiter:
        return asyncio.get_running_loop().create_future()

    # ------------------------------------------------------------------ the end

    def _check(self) -> None:
        if self._end is not None:
            raise self._end()

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
        self._memory.keep(None if clean else self._protocol.resume, self._trails)
        waiting = [
            *self._answers.values(),
            *self._beats.values(),
            *self._renewals,
            *self._protocol.unsettled(),
        ]
        for waiter in waiting:
            if not waiter.done():
                waiter.set_exception(end())
                _ = waiter.exception()  # known to be seen: who waits may be busy with something else
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()


def _resolve(waiter: Waiter | None, found: object = None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(found)


def _present(member: Member) -> port.Present:
    """Return a member; what it says is nothing where that is no object."""
    text = text_of(member.item)
    try:
        data = as_frame(json.loads(text)) if text else None
    except (ValueError, RecursionError):
        data = None
    return port.Present(member.client_id, f"{member.connection_id}:{member.client_id}", data or EMPTY)
