"""`MemorySession`: one connection to the hub, over a link that may fail."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from chatkit.adapters.memory.hub import Hub
from chatkit.adapters.memory.inbox import Inbox
from chatkit.adapters.memory.network import Call, Link
from chatkit.adapters.memory.peer import Caller
from chatkit.adapters.memory.publishing import Act, Publishing
from chatkit.adapters.memory.rosters import HALF_OPEN
from chatkit.adapters.memory.wire import Exchange, Stream, call_on
from chatkit.errors import CapabilityError, ChatkitError, RateLimited, StateError, TransportError
from chatkit.model.entry import Entry, Stamp
from chatkit.model.order import OrderKey
from chatkit.ports.adapter import Alive, Attachment, Present, Received, SessionClosed, Shed, Signal
from chatkit.ports.context import Clock
from chatkit.ports.log import Log
from chatkit.ports.outgoing import Ack, Again, Batch

T = TypeVar("T")

ROOM: Final = 1_000
"""Most frames that wait for the reader of one session."""


class MemorySession:
    """One live connection that dies once. Made by `MemoryAdapter.open`; lives on the loop that opened it.

    Args:
        hub: Where it leads.
        link: How it gets there.
        caller: As whom.
        publishing: How it publishes.
        log: The app's own.
        client: Of which adapter, for resuming.
        clock: By which frames are timed.
    """

    def __init__(
        self,
        hub: Hub,
        link: Link,
        caller: Caller,
        publishing: Publishing,
        *,
        log: Log | None,
        client: str,
        clock: Clock,
    ) -> None:
        self.caller = caller
        self.client = client
        self.link_name = link.name
        self.loop = asyncio.get_running_loop()
        self._hub = hub
        self._link = link
        self._clock = clock
        self._publishing = publishing
        self._log = log
        self._up = Stream(self.loop)
        self._down = Stream(self.loop)
        self._inbox = Inbox(self._note_taken)
        self._read = False
        self._pending: dict[Exchange[Any], None] = {}
        self._stalled = False
        self._end: Callable[[], SessionClosed] | None = None
        # Frames handed over and taken away: each number is written by one side only.
        self._handed = 0
        self._taken = 0
        self._shedding: set[str] = set()
        self._crossing: deque[tuple[Signal, int | None]] = deque()
        self._attached: dict[str, int] = {}
        self._attaches = 0
        link.join(self)
        hub.join(self)

    # ------------------------------------------------------------------ the port

    @property
    def user(self) -> str | None:
        """The identity that the hub knows it by."""
        return self.caller.user

    def signals(self) -> AsyncIterator[Signal]:
        """Return the signals, for one reader; ends by raising `SessionClosed`.

        Raises:
            StateError: Somebody reads them already.
        """
        if self._read:
            raise StateError("the signals of a session have one reader")
        self._read = True
        return self._inbox

    async def publish(self, batch: Batch, stamps: Sequence[Stamp | None], /) -> tuple[Ack, ...]:
        """Make one attempt; one `Ack` an entry, in order.

        Raises:
            CapabilityError: This provider is published to by its log, or over HTTP.
            TransportError, SessionClosed: The outcome is unknown.
        """
        profile = self.caller.profile
        if profile.capabilities.announce == "transactional" or profile.over_http:
            raise CapabilityError("this provider does not publish over its session")
        self._check()

        def ask(act: Act) -> Awaitable[tuple[Ack, ...]]:
            return self._ask(act, call="publish")

        return await self._publishing.attempt(batch, stamps, ask)

    async def attach(self, channel: str, after: OrderKey | None, *, presence: bool) -> Attachment:
        """Start receiving a channel; what a resumed one missed comes first.

        Raises:
            CapabilityError: `presence`, and there is none, or no room in it.
            ProviderError: Refused, or too many channels on this connection.
        """

        def act() -> tuple[Attachment, tuple[Entry, ...]]:
            self._link.check("attach")
            if self._end is not None or self._stalled:
                raise TransportError("the connection was gone before it could attach")
            with self._hub.lock:
                found = self._hub.attach(self, channel, after, presence=presence)
                self._attaches += 1
                self._attached[channel] = self._attaches
                return found

        def landed(found: tuple[Attachment, tuple[Entry, ...]] | ChatkitError) -> None:
            if isinstance(found, tuple):
                for entry in found[1]:
                    frame = Received(
                        channel,
                        entry.data,
                        entry.stamp.user,
                        self.caller.profile.capabilities.attested,
                        entry.stamp,
                        unforgeable=True,
                    )
                    self._inbox.put(self._shown(frame), counted=True)

        found, _ = await self._ask(act, landed=landed)
        log = self._log
        if log is None:
            return found
        head = (await log.heads([channel]))[channel]  # read once live has begun, so nothing lies between
        return found._replace(start=OrderKey(head.epoch, head.head or ""))

    async def detach(self, channel: str) -> None:
        """Stop receiving; when it returns no more signals of the channel follow."""

        def landed(found: ChatkitError | None) -> None:  # noqa: ARG001  # whatever it says, nobody listens any more
            self._attached.pop(channel, None)
            self._inbox.purge(channel)

        await self._ask(lambda: self._hub.detach(self, channel), landed=landed)

    async def emit(self, channel: str, data: bytes) -> None:
        """Send an ephemeral envelope to the other sessions of a channel; no answer."""
        await asyncio.sleep(0)
        self._check()
        lost = self._stalled or self._link.stumbles(self.loop.time()) or self._link.drops()
        if not lost:
            self._up.send(self._link.delay(), lambda: self._hub.emit(self, channel, data))

    async def enter(self, channel: str, member: Present) -> None:
        """Enter a member, or change what it says; `client` is the hub's to give.

        Raises:
            CapabilityError: There is no presence, it carries no data, or the channel is full.
            NotAllowed: It is another user than the credential's.
            RateLimited: Too many calls.
        """
        await self._ask(lambda: self._hub.enter(self, channel, member))

    async def leave(self, channel: str, member: Present) -> None:
        """Take a member out; nothing where it is not in. Raises as `enter`."""
        await self._ask(lambda: self._hub.leave(self, channel, member))

    async def probe(self) -> None:
        """Make the hub answer."""
        await self._ask(lambda: None)

    async def reauthenticate(self) -> None:
        """Do what needs no doing: the hub knows its clients, and nothing expires."""
        await self._ask(lambda: None)

    async def aclose(self) -> None:
        """End it; idempotent. The hub forgets the session, and where it was after the resume window."""
        self._die("this side closed the connection", "never", clean=True)

    @property
    def closed(self) -> bool:
        """Whether it is over."""
        return self._end is not None

    # ------------------------------------------------------------------ what the hub calls, under its lock

    @property
    def room(self) -> int:
        """How many more frames it takes."""
        return ROOM - (self._handed - self._taken)

    def hand(self, signal: Signal) -> bool:
        """Take a frame, on whichever thread. False: it is gone.

        A reader too slow for its frames loses the connection, or hears that frames were shed (I10).
        """
        if self.room > 0:
            return self._cross(signal)
        if not self.caller.profile.sheds or not isinstance(signal, Received):
            error = RateLimited(f"the reader is more than {ROOM} frames behind")
            self.shut("the hub closed the connection", "later", None, error)
            return False
        if signal.channel in self._shedding:
            return True
        self._shedding.add(signal.channel)
        return self._cross(Shed(signal.channel, "the reader is too slow"))

    def replay(self, count: int) -> None:
        """Count frames that come with an attachment."""
        self._handed += count

    def shut(
        self, reason: str, again: Again, after: float | None = None, cause: ChatkitError | None = None
    ) -> None:
        """End it, on whichever thread."""
        if not call_on(self.loop, self._die, reason, again, after, cause):
            self._hub.drop(self)

    # ------------------------------------------------------------------ what the network calls, on its loop

    def broken(self, *, half_open: bool) -> None:
        """Note that the link was cut. Half-open: nobody hears of it, and nothing comes any more."""
        if half_open:
            self._stalled = True
            self._down.close()
            self._hub.drop(self, lingers=max(HALF_OPEN, self.caller.profile.lingers))
        else:
            self._die("the connection broke", "now", None, TransportError("the network was cut"))

    # ------------------------------------------------------------------ inside

    async def _ask(
        self,
        act: Callable[[], T],
        *,
        call: Call | None = None,
        landed: Callable[[T | ChatkitError], None] | None = None,
    ) -> T:
        """Send a question in order, and return its answer; an answer proves life."""

        def land(found: T | ChatkitError) -> None:
            self._inbox.put(Alive(self._clock.monotonic()))
            if landed is not None:
                landed(found)

        await asyncio.sleep(0)  # a caller that never waits would starve its loop
        self._check()
        exchange = Exchange(self._link, self._up, self._down, act, call=call, landed=land)
        self._pending[exchange] = None
        try:
            if not self._stalled:
                exchange.send()
            return await exchange.wait()
        finally:
            del self._pending[exchange]

    def _check(self) -> None:
        if self._end is not None:
            raise self._end()

    def _cross(self, signal: Signal) -> bool:
        """Bring a signal to this loop, behind those that other threads are still bringing."""
        self._handed += 1
        attach = self._attached.get(signal.channel) if isinstance(signal, Received) else None
        self._crossing.append((signal, attach))
        return call_on(self.loop, self._cross_over)

    def _cross_over(self) -> None:
        while self._crossing:
            self._arrive(*self._crossing.popleft())

    def _arrive(self, signal: Signal, attach: int | None) -> None:
        """Let a frame travel from the hub to here."""
        if self._end is not None or self._stalled or self._link.stumbles(self.loop.time()):
            return
        if not isinstance(signal, Received):
            self._down.send(self._link.delay(), lambda: self._inbox.put(signal, counted=True))
            return
        if self._link.drops():
            self._taken += 1
            if self.caller.profile.sheds:
                self._down.send(
                    self._link.delay(), lambda: self._inbox.put(Shed(signal.channel, "frames were dropped"))
                )
            return
        delay = self._link.delay()
        again = self._link.replays()
        self._down.send(delay, lambda: self._land(signal, attach, counted=True), late=self._link.holds_up())
        if again is not None:
            self._down.send(delay, lambda: self._land(signal, attach, counted=False), late=again)

    def _land(self, frame: Received, attach: int | None, *, counted: bool) -> None:
        if attach == self._attached.get(frame.channel):
            self._inbox.put(self._shown(frame), counted=counted)
        else:  # meant for an earlier attachment
            self._taken += counted

    def _shown(self, frame: Received) -> Received:
        """Return a frame as this provider shows it."""
        if frame.stamp is None or self.caller.own_log:
            return frame
        return frame._replace(stamp=self.caller.profile.shown(frame.stamp))

    def _note_taken(self, signal: Signal) -> None:
        self._taken += 1
        if isinstance(signal, Shed):
            self._shedding.discard(signal.channel)

    def _die(
        self,
        reason: str,
        again: Again,
        after: float | None = None,
        cause: ChatkitError | None = None,
        *,
        clean: bool = False,
    ) -> None:
        if self._end is not None:
            return

        def end() -> SessionClosed:
            error = SessionClosed(reason, again=again, after=after)
            error.__cause__ = cause
            return error

        self._end = end
        self._down.close()
        self._link.quit(self)
        self._hub.drop(self, lingers=0.0 if clean else self.caller.profile.lingers)
        for exchange in tuple(self._pending):
            exchange.fail(end())
        self._inbox.close(end)
