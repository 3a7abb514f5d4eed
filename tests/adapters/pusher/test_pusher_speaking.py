"""What goes out, and in which order: beside a session that only keeps what is written."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest

from chatkit.adapters.pusher import PusherConfig
from chatkit.adapters.pusher.calls import Calls
from chatkit.adapters.pusher.pace import BURST
from chatkit.adapters.pusher.protocol import ClientEventRefused
from chatkit.adapters.pusher.publisher import HttpPublisher
from chatkit.adapters.pusher.session import PusherSession
from chatkit.adapters.pusher.speaking import BATCH, EMITS, SENDING, ByClientEvents
from chatkit.adapters.pusher.wire import Wire
from chatkit.errors import (
    AuthenticationError,
    CapabilityError,
    ChatkitError,
    ConfigError,
    NotAllowed,
    Rejected,
    TransportError,
)
from chatkit.ports.adapter import SessionClosed
from chatkit.ports.context import Unobserved
from chatkit.ports.outgoing import Batch
from chatkit.testing.clock import VirtualClock
from chatkit.testing.wishes import wish


class Session:
    """Keeps frames; `refusal` comes back before each answer to a ping."""

    def __init__(self, clock: VirtualClock) -> None:
        self.written: list[tuple[float, dict[str, Any]]] = []
        self.dropped: list[str] = []
        self.speaking: ByClientEvents | None = None
        self.refusal: ClientEventRefused | None = None
        self.error: ChatkitError | None = None
        self._clock = clock

    @property
    def texts(self) -> list[str]:
        return [json.loads(frame["data"])["body"]["text"] for _, frame in self.written]

    async def ready(self, channel: str) -> str:
        if self.error is not None:
            raise self.error
        return f"presence-{channel}"

    async def write(self, frame: str) -> None:
        self.written.append((self._clock.monotonic(), json.loads(frame)))

    async def barrier(self) -> None:
        if self.refusal is not None and self.speaking is not None:
            self.speaking.note(self.refusal)

    async def drop(self, name: str) -> None:
        self.dropped.append(name)


def made(clock: VirtualClock, **config: Any) -> tuple[ByClientEvents, Any]:
    """Return a way to speak, and the session that it speaks over."""
    wire = Wire(PusherConfig(credential="k", place="eu", **config), None, stamps=False)
    speaking, session = ByClientEvents(wire, "ada", clock, Unobserved()), Session(clock)
    session.speaking = speaking
    return speaking, cast("PusherSession", session)


def batch(*texts: str, channel: str = "support") -> Batch:
    """Return messages as one publish."""
    entries = [wish(n, body={"type": "text", "text": text}) for n, text in enumerate(texts, 1)]
    return Batch("batch", channel, tuple(entries))


async def test_what_passes_by_goes_behind_what_is_kept(clock: VirtualClock) -> None:
    """Ephemeral envelopes wait while a message does (D29)."""
    speaking, session = made(clock)
    first = await speaking.publish(session, batch(*(f"burst {n}" for n in range(BURST))))
    data = wish(99, body={"type": "text", "text": "typing"}).data
    emitting = asyncio.create_task(speaking.emit(session, "support", data))
    await asyncio.sleep(0)

    second = await speaking.publish(session, batch("kept 0", "kept 1", "kept 2"))
    await emitting

    assert [ack.outcome for ack in (*first, *second)] == ["new"] * (BURST + 3)
    assert session.texts[-1] == "typing"


async def test_too_many_that_pass_by_are_dropped(clock: VirtualClock) -> None:
    """20 wait at most (I10)."""
    speaking, session = made(clock)
    data = wish(1).data

    async with asyncio.TaskGroup() as tasks:
        for _ in range(100):
            tasks.create_task(speaking.emit(session, "support", data))

    assert EMITS <= len(session.written) <= EMITS + BURST


async def test_channels_for_sending_alone_are_bounded(clock: VirtualClock) -> None:
    """Of more than 50 the least used is left (I10)."""
    speaking, session = made(clock)
    for number in range(SENDING + 2):
        _ = await speaking.publish(session, batch("text", channel=f"room-{number}"))
        _ = await speaking.publish(session, batch("text", channel="room-0"))

    assert session.dropped == ["presence-room-1", "presence-room-2"]


async def test_a_client_without_the_secret_speaks_for_itself(clock: VirtualClock) -> None:
    """Others' messages are refused, and so is what is too much for one burst; nothing of it leaves (D2)."""
    speaking, session = made(clock)
    other = Batch("batch", "support", (wish(1, user="bob"),))
    long = batch(*(str(number) for number in range(BATCH + 1)))

    (refused,) = await speaking.publish(session, other)
    too_many = await speaking.publish(session, long)

    assert isinstance(refused.error, NotAllowed)
    assert {type(ack.error) for ack in too_many} == {Rejected}
    assert session.written == []


async def test_nothing_is_written_to_encrypted_channels(clock: VirtualClock) -> None:
    """By a member: it is refused, and what passes by raises."""
    speaking, session = made(clock, channels="encrypted")

    (ack,) = await speaking.publish(session, batch("open"))

    assert isinstance(ack.error, NotAllowed)
    with pytest.raises(CapabilityError):
        await speaking.emit(session, "support", b"{}")
    assert session.written == []


@pytest.mark.parametrize(
    ("refusal", "made_of_it"),
    [
        (ClientEventRefused(4301, "too fast"), TransportError),
        (ClientEventRefused(None, "The client is not a member of the specified channel."), TransportError),
        (ClientEventRefused(None, "To send client events, you must enable this feature"), NotAllowed),
        (ClientEventRefused(4301, "The app does not have client messaging enabled."), NotAllowed),
        (ClientEventRefused(None, "Client event rejected - something new"), Rejected),
    ],
)
async def test_a_refused_client_event_is_not_sent(
    clock: VirtualClock, refusal: ClientEventRefused, made_of_it: type[Exception]
) -> None:
    """In doubt where it is not said which; else told as what it is (D11)."""
    speaking, session = made(clock)
    session.refusal = refusal

    if made_of_it is TransportError:
        with pytest.raises(TransportError):
            _ = await speaking.publish(session, batch("one", "two"))
        return
    acks = await speaking.publish(session, batch("one", "two"))
    assert {type(ack.error) for ack in acks} == {made_of_it}


@pytest.mark.parametrize(
    ("error", "outcome", "scope", "again"),
    [
        (AuthenticationError("signed badly"), "unsent", "connection", "reauthenticate"),
        (NotAllowed("not a member"), "unsent", "entry", "reauthenticate"),
        (CapabilityError("full"), "unsent", "lane", "later"),
        (ConfigError("no auth="), "unsent", "connection", "later"),
        (TransportError("no answer"), "unsent", "lane", "later"),
        (Rejected("no such channel"), "refused", "entry", "never"),
    ],
)
async def test_who_is_not_let_in_sends_nothing(
    clock: VirtualClock, error: ChatkitError, outcome: str, scope: str, again: str
) -> None:
    """Each refusal reaches as far as its cause; that nothing was written is certain (D11, D12)."""
    speaking, session = made(clock)
    session.error = error

    (ack,) = await speaking.publish(session, batch("text"))

    assert (ack.outcome, ack.scope, ack.again, ack.error) == (outcome, scope, again, error)
    assert session.written == []


async def test_a_connection_that_ends_while_joining_is_gone(clock: VirtualClock) -> None:
    """It raises, for the next connection to go on (D10)."""
    speaking, session = made(clock)
    session.error = SessionClosed("gone", again="later")

    with pytest.raises(SessionClosed):
        _ = await speaking.publish(session, batch("text"))


async def test_a_batch_too_long_makes_no_call() -> None:
    """No part of it is quietly published."""
    wire = Wire(PusherConfig(credential="k", place="eu"), None, stamps=False)
    publisher = HttpPublisher(wire, cast("Calls", None))
    long = batch(*(str(number) for number in range(11)))

    acks = await publisher.publish(long, [None] * 11)

    assert {ack.outcome for ack in acks} == {"refused"}
