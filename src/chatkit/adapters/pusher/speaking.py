"""How a connection says what it has to say: by HTTP with the secret, else by client events (D11, D29)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

from chatkit.adapters.pusher import frames
from chatkit.adapters.pusher.calls import Calls, Event
from chatkit.adapters.pusher.pace import RATE, Bucket
from chatkit.adapters.pusher.payload import CLIENT_EVENT, EVENT
from chatkit.adapters.pusher.protocol import ClientEventRefused, Meaning
from chatkit.adapters.pusher.refusals import OFF_FOR, burst_acks
from chatkit.adapters.pusher.wire import Wire, refused, too_many
from chatkit.errors import (
    AuthenticationError,
    CapabilityError,
    ChatkitError,
    ConfigError,
    NotAllowed,
    TransportError,
)
from chatkit.ports.adapter import SessionClosed
from chatkit.ports.context import Clock, Observer
from chatkit.ports.outgoing import Ack, Batch, Outgoing

if TYPE_CHECKING:
    from chatkit.adapters.pusher.session import PusherSession

BATCH: Final = 6
"""Client events of one burst, behind which a ping goes: one second's worth."""
SENDING: Final = 50
"""Channels subscribed to for sending alone; of more the least used are left (I10)."""
EMITS: Final = 20
"""Ephemeral envelopes that wait for their turn; more are dropped."""


class Speaking(Protocol):
    """What a session does with what goes out."""

    trusted: bool

    async def publish(self, session: PusherSession, batch: Batch) -> Sequence[Ack]:
        """Make one attempt."""
        ...

    async def emit(self, session: PusherSession, channel: str, data: bytes) -> None:
        """Send what is not kept."""
        ...

    def note(self, meaning: Meaning) -> None:
        """Hear what the server says of it."""
        ...


class ByHttp:
    """With the secret: nothing goes over the connection.

    Args:
        wire: Names and packs.
        calls: The API.
    """

    trusted = True

    def __init__(self, wire: Wire, calls: Calls) -> None:
        self._wire = wire
        self._calls = calls

    async def publish(self, session: PusherSession, batch: Batch) -> Sequence[Ack]:
        """Decline: one lane has one path (D29)."""
        del session
        raise CapabilityError("with the secret publishing goes over HTTP", channel=batch.channel)

    async def emit(self, session: PusherSession, channel: str, data: bytes) -> None:
        """Publish to the others.

        Raises:
            ProviderError, MessageTooLarge: It was refused for good.
            TransportError: No answer, or none that is about it.
        """
        name = self._wire.name(channel)
        event = Event(name, EVENT, self._wire.pack(name, data))
        verdict = await self._calls.publish([event], but=session.socket_id)
        if verdict.error is not None and verdict.scope == "entry":
            verdict.error.channel = channel
            raise verdict.error
        if verdict.error is not None:
            raise TransportError("the HTTP API refuses calls", channel=channel) from verdict.error

    def note(self, meaning: Meaning) -> None:
        """Hear nothing: there are no client events of ours."""


class ByClientEvents:
    """Without the secret.

    Args:
        wire: Names and measures.
        user: The only one it speaks for.
        clock: For the pace.
        observer: Told of what is dropped.
    """

    trusted = False

    def __init__(self, wire: Wire, user: str, clock: Clock, observer: Observer) -> None:
        self._wire = wire
        self._user = user
        self._clock = clock
        self._observer = observer
        self._bucket = Bucket(clock.monotonic())
        self._lasting = self._passing = 0
        """How many wait for their turn."""
        self._bursts: dict[int, list[ClientEventRefused]] = {}
        self._burst = 0
        self._sending: OrderedDict[str, None] = OrderedDict()

    async def publish(self, session: PusherSession, batch: Batch) -> Sequence[Ack]:
        """Send a burst, and wait for the answer to the ping behind it."""
        if len(batch.entries) > BATCH:
            return too_many(batch.channel, batch.entries, BATCH)
        problems = [self._problem(batch.channel, entry) for entry in batch.entries]
        good = [entry for entry, problem in zip(batch.entries, problems, strict=True) if problem is None]
        acks = iter(await self._send(session, batch.channel, good) if good else [])
        return [next(acks) if problem is None else problem for problem in problems]

    async def emit(self, session: PusherSession, channel: str, data: bytes) -> None:
        """Send one client event when nothing that is kept waits; dropped where too many wait."""
        if self._wire.locked:
            raise CapabilityError("encrypted channels take no client events", channel=channel)
        if self._passing >= EMITS:
            self._observer.point("pusher.dropped", channel=channel)
            return
        name = await self._ready(session, channel)
        self._passing += 1
        try:
            await self._in_turn(lasting=False)
        finally:
            self._passing -= 1
        await session.write(frames.client_event(CLIENT_EVENT, name, self._wire.pack(name, data)))

    def note(self, meaning: Meaning) -> None:
        """Hear that a client event was thrown away: it may be any of those under way."""
        if isinstance(meaning, ClientEventRefused):
            self._observer.point("pusher.client_event_refused", code=meaning.code)
            for refusals in self._bursts.values():
                refusals.append(meaning)

    async def _send(self, session: PusherSession, channel: str, entries: list[Outgoing]) -> list[Ack]:
        try:
            name = await self._ready(session, channel)
        except SessionClosed:
            raise
        except ChatkitError as error:
            return [_not_in(entry, error) for entry in entries]
        self._burst += 1
        number = self._burst
        refusals = self._bursts[number] = []
        try:
            for entry in entries:
                await self._in_turn(lasting=True)
                await session.write(
                    frames.client_event(CLIENT_EVENT, name, self._wire.pack(name, entry.data))
                )
            await session.barrier()
        finally:
            del self._bursts[number]
        return burst_acks(channel, entries, refusals) if refusals else [Ack(e.ident, "new") for e in entries]

    async def _in_turn(self, *, lasting: bool) -> None:
        """Wait until an event may go; those that are kept go before those that pass by."""
        self._lasting += lasting
        try:
            while True:
                spare = 0 if lasting else 1 + self._lasting
                now = self._clock.monotonic()
                wait = self._bucket.wait(now, spare=spare)
                if wait <= 0:
                    self._bucket.take(now)
                    return
                await asyncio.sleep(min(wait, 1 / RATE) + 0.001)
        finally:
            self._lasting -= lasting

    async def _ready(self, session: PusherSession, channel: str) -> str:
        name = await session.ready(channel)
        self._sending[name] = None
        self._sending.move_to_end(name)
        if len(self._sending) > SENDING:
            oldest, _ = self._sending.popitem(last=False)
            await session.drop(oldest)
        return name

    def _problem(self, channel: str, entry: Outgoing) -> Ack | None:
        where = {"channel": channel, "message_id": entry.ident.id}
        if entry.ident.user != self._user:
            return refused(entry, NotAllowed("this client speaks for its own user only", **where))
        if self._wire.locked:
            hint = "Publish to encrypted channels with the app's secret."
            return refused(entry, NotAllowed("encrypted channels take no client events", hint=hint, **where))
        return self._wire.problem(channel, entry)


def _not_in(entry: Outgoing, error: ChatkitError) -> Ack:
    """Answer an entry whose channel this user is not in: nothing was written (D12)."""
    match error:
        case AuthenticationError():
            return Ack(entry.ident, "unsent", error=error, scope="connection", again="reauthenticate")
        case NotAllowed():
            return Ack(entry.ident, "unsent", error=error, again="reauthenticate")
        case CapabilityError():  # the channel is full
            return Ack(entry.ident, "unsent", error=error, scope="lane", again="later", after=OFF_FOR)
        case TransportError():  # no way to the endpoint that signs, or no answer to the subscription
            return Ack(entry.ident, "unsent", error=error, scope="lane", again="later")
        case ConfigError():
            return Ack(entry.ident, "unsent", error=error, scope="connection", again="later", after=OFF_FOR)
        case _:
            return refused(entry, error)
