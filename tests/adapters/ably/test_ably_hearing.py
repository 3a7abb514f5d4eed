"""Continuity and proof, piece by piece: what a channel that broke tells, and what an answer proves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from chatkit.adapters.ably.adapter import LEAD, AblyAdapter
from chatkit.adapters.ably.config import AblyConfig
from chatkit.adapters.ably.hearing import Hearing
from chatkit.adapters.ably.living import Living
from chatkit.adapters.ably.memory import Memory
from chatkit.adapters.ably.places import behind
from chatkit.adapters.ably.protocol import Attached, Protocol, Resume, Settled
from chatkit.adapters.ably.saying import Waiter
from chatkit.adapters.ably.speaking import Speaking
from chatkit.adapters.ably.wire import Frame
from chatkit.model.order import Ident, OrderKey
from chatkit.ports.adapter import Attachment, SessionClosed, Signal
from chatkit.ports.context import Unobserved
from chatkit.ports.outgoing import Batch, Outgoing
from chatkit.testing.clock import VirtualClock
from chatkit.testing.parts import parts

# -- continuity


def hearing(memory: Memory) -> Hearing:
    """Return what hears the channel `support`."""
    found = Hearing(Protocol[Waiter]("json"), memory, namespace="", logged=False, native=False)
    _ = found.attach("support", presence=False, behind=None)
    return found


def attached(serial: str, *, resumed: bool, asked: bool = False) -> Attached:
    return Attached("support", serial, resumed, may_publish=True, asked=asked)


def test_continuity_that_ends_while_a_channel_is_heard_is_told() -> None:
    """The reader hears of it, and the next read begins before the mark; of what goes on nothing is told (I6)."""
    memory = Memory(lambda: 0.0)
    heard = hearing(memory)
    heard.note(attached("01700000000000-000@a", resumed=False, asked=True))
    assert list(heard.ready) == []
    assert memory.is_broken("support")

    memory.mended("support")
    heard.note(attached("01700000000500-000@a", resumed=True))
    assert (list(heard.ready), memory.is_broken("support")) == ([], False)

    heard.note(attached("01700000001000-000@a", resumed=False))
    start = behind("01700000001000-000@a")
    assert list(heard.ready) == [Attachment("support", resumed=False, start=start, may_publish=True)]
    assert memory.is_broken("support")


def test_a_connection_is_gone_on_with_where_one_ended() -> None:
    """Once; of two nobody can say which had whose channels."""
    memory = Memory(lambda: 0.0)
    one, two = Resume("k1", "c1", 3), Resume("k2", "c2", 0)
    memory.keep(one, {})
    assert [memory.take_resume(), memory.take_resume()] == [one, None]
    memory.keep(one, {})
    memory.keep(two, {})
    assert [memory.take_resume(), memory.take_resume()] == [None, None]


# -- what an answer proves


class Answering:
    """A service that answers each call with the same serials."""

    def __init__(self, *serials: str | None) -> None:
        self.client_id = "*"
        self.said: list[Frame] = []
        self._serials = list(serials)

    def publish(self, name: str, messages: list[Frame], what: Waiter) -> Frame:
        del name
        what.set_result(Settled(what, self._serials, None, unknown=False))
        return {"messages": messages}

    annotate = publish

    def present(self, name: str, member: Frame, what: Waiter) -> Frame:
        return self.publish(name, [member], what)

    async def write(self, frame: Frame) -> None:
        self.said.append(frame)


class Points(Unobserved):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.labels: list[str] = []

    def point(self, label: str, /, **fields: Any) -> None:
        del fields
        self.labels.append(label)


def speaking(service: Answering, clock: VirtualClock, points: Points) -> Speaking[Frame]:
    return Speaking(
        service,
        service.write,
        namespace="",
        user="ada",
        logged=False,
        memory=Memory(lambda: 0.0),
        clock=clock,
        observer=points,
    )


async def test_an_answer_without_a_serial_is_sent_without_a_place(clock: VirtualClock) -> None:
    """And counted (D30)."""
    points = Points()
    entry = Outgoing(Ident("ada", "m1"), "device01", 1, b"{}", None)
    batch = Batch("support", "base", (entry, entry))

    acks = await speaking(Answering("01700000000000-000@a:000", None), clock, points).publish(
        batch, [None, None]
    )

    assert [(ack.outcome, ack.key) for ack in acks] == [
        ("new", OrderKey(1, "01700000000000-000@a:000")),
        ("new", None),
    ]
    assert points.labels == ["ably.no_serial"]


async def test_ephemeral_messages_wait_for_their_turn(clock: VirtualClock) -> None:
    """Four go at once, then eight a second, so that what is kept is not refused for their sake."""
    service = Answering("s")
    speaker = speaking(service, clock, Points())
    begin, at = clock.monotonic(), list[float]()
    for _ in range(12):
        await speaker.emit("support", b"{}")
        at.append(clock.monotonic() - begin)
    assert at[3] == 0.0
    assert at[11] == pytest.approx(1.0)
    assert len(service.said) == 12


# -- tokens


class Ending:
    """A credential that ends at a time, and is another one once it was renewed."""

    renewable = True

    def __init__(self, expires_at: datetime) -> None:
        self.expires_at: datetime | None = expires_at

    async def query(self) -> dict[str, str]:
        return {}

    async def header(self) -> str:
        return ""

    async def token(self) -> str:
        return ""

    def refused(self) -> None: ...


class Lived(Living[Frame]):
    """A session that only notes when it presents a token."""

    def __init__(self, access: Ending, clock: VirtualClock) -> None:
        super().__init__(access, Points())
        self.renewed: list[float] = []
        self._ending, self._clock = access, clock

    async def reauthenticate(self) -> None:
        self.renewed.append(self._clock.monotonic())
        self._ending.expires_at = None

    async def __anext__(self) -> Signal:
        raise SessionClosed("it ended", again="never")


async def test_a_token_is_renewed_before_it_ends(clock: VirtualClock) -> None:
    """A minute before, by the service's clock (D32)."""
    now: Callable[[], float] = lambda: clock.wall().timestamp()  # noqa: E731  # the service's clock
    session = Lived(Ending(datetime.fromtimestamp(now() + 3_600, UTC)), clock)
    begin = clock.monotonic()

    session.keep_fresh(now, LEAD)
    await asyncio.sleep(3_500)
    assert session.renewed == []
    await asyncio.sleep(100)
    assert session.renewed == [pytest.approx(begin + 3_540)]


# -- errors


@pytest.mark.realtime
async def test_no_error_of_a_connection_holds_the_secret(clock: VirtualClock) -> None:
    """Nor the key that stands in the socket's address (I16)."""
    config = AblyConfig(
        credential="app.key", secret="hush", host="127.0.0.1", port=1, tls=False, transport="websocket"
    )
    adapter = AblyAdapter(config, parts("ada", clock))
    with pytest.raises(SessionClosed) as caught:
        _ = await adapter.open()
    told: BaseException | None = caught.value
    while told is not None:
        assert "hush" not in f"{told!r} {told}"
        told = told.__cause__ or (None if told.__suppress_context__ else told.__context__)
    await adapter.aclose()


@pytest.mark.realtime
async def test_a_server_without_tls_is_said_to_be_one(clock: VirtualClock) -> None:
    """The error says what to write for a server of one's own."""

    def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = AblyConfig(
        credential="app.key", secret="hush", host="127.0.0.1", port=port, transport="websocket"
    )
    adapter = AblyAdapter(config, parts("ada", clock))
    with pytest.raises(SessionClosed) as caught:
        _ = await adapter.open()
    assert "tls=0" in caught.value.hint
    await adapter.aclose()
    server.close()
    await server.wait_closed()
