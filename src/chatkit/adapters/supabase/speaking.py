"""Saying something: over the connection that receives the channel, else by HTTP.

Source: the Supabase sheet, sections 7 and 10.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from chatkit.adapters.supabase import payload
from chatkit.adapters.supabase.calls import Broadcasts
from chatkit.adapters.supabase.codes import Verdict, too_large
from chatkit.adapters.supabase.names import Kind, topic_of
from chatkit.adapters.supabase.wire import Object
from chatkit.errors import CapabilityError, ChatkitError, NotAllowed, Rejected, TransportError
from chatkit.model.entry import Stamp
from chatkit.ports.outgoing import Ack, Batch, Outgoing

if TYPE_CHECKING:
    from chatkit.adapters.supabase.session import SupabaseSession

BATCH: Final = 100
"""Entries in one broadcast."""
ACK: Final = 8.0
"""Seconds for the service to acknowledge a broadcast: less than the engine waits, so that it is told why."""
_NO_ACK: Final = (
    "It is sent again. Where that is so each time, a policy of realtime.messages lets this user hear the "
    "channel and not speak there: the service then says nothing at all."
)


class Publisher:
    """Publishes where the project's database does not.

    Args:
        sessions: Returns those that live.
        broadcasts: Calls by HTTP.
        private: Whether topics are private.
        logged: A log numbers: what it took in is announced.
        user: The only one it speaks for; `None`: for anybody.
        largest: Bytes that a broadcast holds.
    """

    def __init__(
        self,
        sessions: Callable[[], Iterable[SupabaseSession]],
        broadcasts: Broadcasts,
        *,
        private: bool,
        logged: bool,
        user: str | None,
        largest: int,
    ) -> None:
        self._sessions = sessions
        self._broadcasts = broadcasts
        self._private = private
        self._logged = logged
        self._kind: Kind = "log" if logged else "live"
        self._user = user
        self._largest = largest

    async def publish(self, batch: Batch, stamps: Sequence[Stamp | None], /) -> list[Ack]:
        """Make one attempt; one `Ack` an entry, in order.

        Raises:
            TransportError, SessionClosed: The outcome is unknown.
        """
        if len(batch.entries) > BATCH:
            error = Rejected(f"a batch holds at most {BATCH} entries", channel=batch.channel)
            return [Ack(entry.ident, "refused", error=error) for entry in batch.entries]
        problems = [self._problem(batch.channel, entry) for entry in batch.entries]
        good = [
            (entry, stamp)
            for entry, stamp, problem in zip(batch.entries, stamps, problems, strict=True)
            if problem is None
        ]
        acks = iter(await self._send(batch.channel, good) if good else [])
        return [next(acks) if problem is None else problem for problem in problems]

    async def _send(self, channel: str, good: Sequence[tuple[Outgoing, Stamp | None]]) -> list[Ack]:
        entries, stamps = [entry for entry, _ in good], [stamp for _, stamp in good]
        event = payload.ENTRIES if self._logged else payload.EVENT
        told = (
            payload.announcement(channel, entries, stamps)
            if self._logged
            else payload.pack([entry.data for entry in entries])
        )
        verdict = await self._say(channel, event, told)
        if verdict is not None:
            return [verdict.ack(entry.ident) for entry in entries]
        return [Ack(entry.ident, "new", None if stamp is None else stamp.key) for entry, stamp in good]

    async def _say(self, channel: str, event: str, told: Object) -> Verdict | None:
        """Broadcast once, and learn that the service took it (D11); `None`: it did."""
        topic = topic_of(channel, self._kind)
        for session in self._sessions():
            if session.is_joined(topic):
                return await _say_on(session, topic, channel, event, told)
        return await self._broadcasts.say(channel, topic, event, told, private=self._private)

    def _problem(self, channel: str, entry: Outgoing) -> Ack | None:
        """Return the answer to an entry that cannot be broadcast."""
        if self._user is not None and entry.ident.user != self._user:
            where = {"channel": channel, "message_id": entry.ident.id}
            return _refuse(entry, NotAllowed("this client speaks for its own user only", **where))
        if measure(entry.data, logged=self._logged) > self._largest:
            error = too_large(channel)
            error.message_id = entry.ident.id
            return _refuse(entry, error)
        return None


def measure(data: bytes, *, logged: bool) -> int:
    """Return the bytes that an envelope takes in a broadcast, with its stamp where a log numbers."""
    return payload.measure(data) + (payload.STAMP_BYTES if logged else 0)


async def _say_on(
    session: SupabaseSession, topic: str, channel: str, event: str, told: Object
) -> Verdict | None:
    try:
        async with asyncio.timeout(ACK):
            answer = await session.ask(
                topic, "broadcast", {"type": "broadcast", "event": event, "payload": told}
            )
    except TimeoutError:
        raise TransportError(
            f"no acknowledgement of a broadcast within {ACK:g} s", channel=channel, hint=_NO_ACK
        ) from None
    if answer.ok:
        return None
    if answer.response == "payload_size_exceeded":
        return Verdict(too_large(channel), "refused", "entry", "never")
    gone = CapabilityError("the channel was left meanwhile", channel=channel)
    return Verdict(gone, "unsent", "lane", "now")


def _refuse(entry: Outgoing, error: ChatkitError) -> Ack:
    return Ack(entry.ident, "refused", error=error)
