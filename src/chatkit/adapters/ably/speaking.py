"""`Speaking`: what goes out over a connection and is answered: publishes, ephemeral messages, members."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

from chatkit.adapters.ably import envelopes
from chatkit.adapters.ably.changing import Changing, explained
from chatkit.adapters.ably.codes import refusal, verdict
from chatkit.adapters.ably.members import LEAVE
from chatkit.adapters.ably.memory import Memory
from chatkit.adapters.ably.names import name_of
from chatkit.adapters.ably.pace import BATCH, Emits
from chatkit.adapters.ably.places import moment, time_of
from chatkit.adapters.ably.protocol import Settled
from chatkit.adapters.ably.reacting import Reacted
from chatkit.adapters.ably.saying import Sayer, Waiter
from chatkit.adapters.ably.wire import Frame
from chatkit.errors import ChatkitError, MessageTooLarge, NotAllowed, Rejected, TransportError
from chatkit.model.entry import Stamp
from chatkit.ports.adapter import Present
from chatkit.ports.context import Clock, Observer
from chatkit.ports.outgoing import Ack, Batch, Outgoing

F = TypeVar("F")

_ENTER: Final = 2


class Speaking(Generic[F]):
    """Of one connection.

    Args:
        protocol: Numbers what is said.
        write: Writes a frame, or makes a call; raises `SessionClosed`.
        namespace: Of the channels.
        user: As whom.
        logged: A log beside Ably numbers.
        memory: Told each place.
        clock: For the pace.
        observer: Told of what is dropped.
        changing: Makes edits, deletes and reactions Ably's own; `None`: they are messages like others.
    """

    def __init__(
        self,
        protocol: Sayer[F],
        write: Callable[[F], Awaitable[None]],
        *,
        namespace: str,
        user: str,
        logged: bool,
        memory: Memory,
        clock: Clock,
        observer: Observer,
        changing: Changing | None = None,
    ) -> None:
        self._protocol = protocol
        self._write = write
        self._namespace = namespace
        self._user = user
        self._for_all = protocol.client_id == "*"
        self._logged = logged
        self._memory = memory
        self._clock = clock
        self._observer = observer
        self._changing = changing
        self._emits = Emits()

    async def publish(self, batch: Batch, stamps: Sequence[Stamp | None]) -> list[Ack]:
        """Make one attempt; one `Ack` an entry, in order.

        Raises:
            TransportError, SessionClosed: The outcome is unknown.
        """
        if len(batch.entries) > BATCH:
            long = Rejected(f"a batch holds at most {BATCH} entries", channel=batch.channel)
            return [Ack(entry.ident, "refused", error=long) for entry in batch.entries]
        problems = [self._problem(batch.channel, entry) for entry in batch.entries]
        good = [
            (entry, stamp)
            for entry, stamp, bad in zip(batch.entries, stamps, problems, strict=True)
            if bad is None
        ]
        if self._changing is not None and len(good) == 1 and len(batch.entries) == 1:
            done = await self._change(self._changing, batch.channel, good[0][0])
            if done is not None:
                return [done]
        acks = iter(await self._publish(batch, good) if good else [])
        return [next(acks) if bad is None else bad for bad in problems]

    async def emit(self, channel: str, data: bytes) -> None:
        """Send what is not kept, in its turn; dropped where too many wait."""
        wait = self._emits.turn(self._clock.monotonic())
        if wait is None:
            self._observer.point("ably.dropped", channel=channel)
            return
        if wait > 0:
            await asyncio.sleep(wait)
        message = envelopes.pack_passing(data, self._user if self._for_all else None)
        waiter = asyncio.get_running_loop().create_future()
        waiter.add_done_callback(self._emitted)
        await self._write(self._protocol.publish(name_of(channel, self._namespace), [message], waiter))

    async def enter(self, channel: str, member: Present) -> None:
        """Enter a member, or change what it says.

        Raises:
            NotAllowed: It is another user than the credential's, or there is no right to it.
            CapabilityError: The channel is full.
            TransportError: No answer.
        """
        data = dict(member.data)
        said: Frame = {"data": json.dumps(data, ensure_ascii=False), "encoding": "json"} if data else {}
        await self._present(channel, member.user, {"action": _ENTER, **said})

    async def leave(self, channel: str, member: Present) -> None:
        """Take a member out; nothing where it is not in. Raises as `enter`."""
        await self._present(channel, member.user, {"action": LEAVE})

    # -- inside

    def _problem(self, channel: str, entry: Outgoing) -> Ack | None:
        """Return the answer to an entry that this connection cannot send."""
        error: ChatkitError | None = None
        if entry.ident.user != self._user and not self._for_all:
            error = NotAllowed("this client speaks for its own user only")
        elif envelopes.measure(entry.data, logged=self._logged) > envelopes.BYTES:
            error = MessageTooLarge("Ably takes 64 KiB a publish")
        if error is None:
            return None
        error.channel, error.message_id = channel, entry.ident.id
        return Ack(entry.ident, "refused", error=error)

    async def _publish(self, batch: Batch, pairs: list[tuple[Outgoing, Stamp | None]]) -> list[Ack]:
        entries = [entry for entry, _ in pairs]
        logged = [envelopes.pack_logged(entry.data, stamp) for entry, stamp in pairs if stamp is not None]
        messages = logged or envelopes.pack(batch, entries, named=self._for_all)
        settled = await self._answer(
            batch.channel, lambda name, waiter: self._protocol.publish(name, messages, waiter)
        )
        if settled.error is not None:
            found = verdict(settled.error, batch.channel)
            error, outcome, scope, again, after = found
            return [
                Ack(entry.ident, outcome, error=error, scope=scope, again=again, after=after)
                for entry in entries
            ]
        if logged:
            return [Ack(entry.ident, "new", stamp and stamp.key) for entry, stamp in pairs]
        serials = [*settled.serials, *[None] * len(entries)][: len(entries)]
        return [
            self._ack(batch.channel, entry, serial) for entry, serial in zip(entries, serials, strict=True)
        ]

    async def _change(self, changing: Changing, channel: str, entry: Outgoing) -> Ack | None:
        """Publish a change as Ably's own; `None`: it is none."""
        change = await changing.prepare(channel, entry)
        if change is None or isinstance(change, Ack):
            return change

        def frame(name: str, waiter: Waiter) -> F:
            if isinstance(change, Reacted):
                return self._protocol.annotate(name, change.frames, waiter)
            return self._protocol.publish(name, [change.frame], waiter)

        settled = await self._answer(channel, frame)
        if settled.error is None:
            return changing.done(channel, entry, change, settled.serials[0] if settled.serials else None)
        error, outcome, scope, again, after = verdict(settled.error, channel)
        error = explained(error, change.kind)
        error.message_id = entry.ident.id
        return Ack(entry.ident, outcome, error=error, scope=scope, again=again, after=after)

    def _ack(self, channel: str, entry: Outgoing, serial: str | None) -> Ack:
        if serial is None:
            self._observer.point("ably.no_serial", channel=channel)
            return Ack(entry.ident, "new")
        self._memory.note(channel, serial)
        if self._changing is not None:
            self._memory.recall.places.note(channel, entry.ident, serial)
        at = time_of(serial)
        return Ack(entry.ident, "new", envelopes.place_of(serial), None if at is None else moment(at))

    async def _present(self, channel: str, user: str, item: Frame) -> None:
        if user != self._user and not self._for_all:
            raise NotAllowed("this client speaks for its own user only", channel=channel)
        member = {**item, "clientId": user} if self._for_all else item
        settled = await self._answer(
            channel, lambda name, waiter: self._protocol.present(name, member, waiter)
        )
        if settled.error is not None:
            raise refusal(settled.error, channel)

    async def _answer(self, channel: str, frame: Callable[[str, Waiter], F]) -> Settled[Waiter]:
        """Say something that is numbered, and return what became of it."""
        waiter: Waiter = asyncio.get_running_loop().create_future()
        await self._write(frame(name_of(channel, self._namespace), waiter))
        settled: Settled[Waiter] = await waiter
        if settled.unknown:
            raise TransportError("Ably answered others, not this", channel=channel)
        return settled

    def _emitted(self, waiter: Waiter) -> None:
        """Take note of what became of an ephemeral message: nobody waits for it."""
        if waiter.cancelled() or waiter.exception() is not None:
            return
        settled: Settled[Waiter] = waiter.result()
        if settled.error is not None:
            self._observer.point("ably.emit_refused", code=settled.error.code)
