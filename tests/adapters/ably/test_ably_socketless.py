"""What stands around a session without a socket: event streams, the line of what was heard, publishes as calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from chatkit.adapters.ably.access import KeyAccess
from chatkit.adapters.ably.config import AblyConfig
from chatkit.adapters.ably.hosts import Hosts
from chatkit.adapters.ably.posting import MINE, Posts
from chatkit.adapters.ably.rest import Rest
from chatkit.adapters.ably.streams import opened
from chatkit.adapters.ably.wire import ErrorInfo, Frame
from chatkit.errors import AuthenticationError, CapabilityError, ChatkitError, NotAllowed, TransportError
from chatkit.ports.adapter import Alive, Received, Signal
from chatkit.testing.clock import VirtualClock, settle
from chatkit.testing.parts import parts
from chatkit.transport import Line, Source
from chatkit.transport import line as lines

EVENTS = {"Content-Type": "text/event-stream"}


class Pieces(httpx.AsyncByteStream):
    """An answer that comes in pieces, and ends in an error if one is given."""

    def __init__(self, *pieces: bytes, error: Exception | None = None) -> None:
        self._pieces = pieces
        self._error = error
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        if self._error is not None:
            raise self._error

    async def aclose(self) -> None:
        self.closed = True


def event(data: object, *, kind: str = "message") -> bytes:
    return f"id: e1\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()


class Stream:
    """One stream as a server answers it."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.requests: list[httpx.Request] = []
        self.heard = 0
        self.messages: list[Frame] = []
        self._answer = answer

    async def read(self) -> None:
        def handle(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            return self._answer(request)

        async with (
            httpx.AsyncClient(transport=httpx.MockTransport(handle)) as client,
            opened(client, "https://host", "ns:a", "Bearer abc", self._hear) as messages,
        ):
            async for message in messages:
                self.messages.append(message)

    def _hear(self) -> None:
        self.heard += 1


async def test_a_stream_gives_messages_and_signs_of_life() -> None:
    """Comments are signs of life, too; what is no message is passed over."""
    pieces = Pieces(
        b":keepalive\n\n",
        event({"id": "1"})[:20],
        event({"id": "1"})[20:],
        b"event: heartbeat\n\n",
        b"event: message\ndata: {broken\n\n",
        event(["no", "object"]),
        event({"id": "2"}),
    )
    stream = Stream(lambda _: httpx.Response(200, headers=EVENTS, stream=pieces))

    await stream.read()

    assert [message["id"] for message in stream.messages] == ["1", "2"]
    assert stream.heard == 7
    assert pieces.closed
    (request,) = stream.requests
    assert (request.url.path, dict(request.url.params)) == ("/sse", {"v": "1.2", "channels": "ns:a"})
    assert request.headers["Authorization"] == "Bearer abc"


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ({"code": 40142, "statusCode": 401}, AuthenticationError),
        ({"code": 40160, "statusCode": 401}, NotAllowed),
        ({"code": 50000, "statusCode": 500}, TransportError),
    ],
)
async def test_an_error_ends_a_stream(told: dict[str, int], kind: type[ChatkitError]) -> None:
    """As an event, or in place of the stream."""
    during = Stream(
        lambda _: httpx.Response(
            200, headers=EVENTS, stream=Pieces(event({"id": "1"}), event(told, kind="error"))
        )
    )
    with pytest.raises(kind):
        await during.read()
    assert len(during.messages) == 1
    with pytest.raises(kind):
        await Stream(lambda _: httpx.Response(told["statusCode"], json={"error": told})).read()


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, html="<html>Log in</html>"),
        httpx.Response(403, text="no streams here"),
        httpx.Response(502, json=[]),
        httpx.Response(200, headers=EVENTS, stream=Pieces(error=httpx.ReadTimeout("silent"))),
        httpx.Response(200, headers=EVENTS, stream=Pieces(error=httpx.RemoteProtocolError("cut"))),
    ],
)
async def test_what_is_no_stream_is_none(answer: httpx.Response) -> None:
    """Be it a proxy's page, silence or a cut: it is tried again."""
    with pytest.raises(TransportError):
        await Stream(lambda _: answer).read()


async def test_without_a_way_there_is_no_stream() -> None:
    """No name, no route, no answer."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    with pytest.raises(TransportError, match="ConnectError"):
        await Stream(fail).read()


# -- the line


def received(channel: str = "a") -> Signal:
    return Received(channel, b"{}", None, "none", None, unforgeable=False)


async def test_what_was_left_is_passed_over() -> None:
    """What waits of a channel that is not heard any more; the rest comes in its order."""
    line, kept, left = Line(), Source(), Source()
    assert line.empty
    await line.put(kept, received("a"))
    await line.put(left, received("b"))
    line.push(Alive(1.0))
    left.left = True
    assert [line.next(), line.next(), line.next()] == [received("a"), Alive(1.0), None]


async def test_the_line_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever brings more waits for room, in turn (I10)."""
    monkeypatch.setattr(lines, "WAITING", 2)
    line, source = Line(), Source()
    tasks = [asyncio.create_task(line.put(source, received(str(number)))) for number in range(5)]
    await settle()
    assert [task.done() for task in tasks] == [True, True, False, False, False]
    found = []
    for _ in range(5):
        found.append(line.next())
        await settle()
    assert found == [received(str(number)) for number in range(5)]
    assert all(task.done() for task in tasks)


async def test_the_reader_waits_for_more() -> None:
    """Or until it is told to look."""
    line = Line()
    for wake in (line.wake, lambda: line.push(Alive(1.0))):
        waiting = asyncio.create_task(line.more())
        await settle()
        assert not waiting.done()
        wake()
        await waiting


# -- publishes as calls


class Service:
    """Answers calls."""

    def __init__(self, clock: VirtualClock, *answers: httpx.Response) -> None:
        self.requests: list[httpx.Request] = []
        self._answers = list(answers)
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self._handle))
        hosts = Hosts(AblyConfig(credential="app.key", host="localhost"), clock, parts("ada", clock).random)
        self.rest = Rest("http", hosts, self.client)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answers.pop(0)

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests]

    def posts(self, *, trusted: bool = False) -> Posts:
        return Posts(self.rest, KeyAccess("app.key", "s"), user="ada", trusted=trusted, word="w-")


def accepted(*serials: str | None) -> httpx.Response:
    return httpx.Response(201, json={"channel": "a", "messageId": "m", "serials": serials})


async def published(posts: Posts, *messages: Frame) -> Any:
    waiter = asyncio.get_running_loop().create_future()
    await posts.send(posts.publish("a", list(messages), waiter))
    return waiter.result()


async def test_a_publish_is_one_call(clock: VirtualClock) -> None:
    """With all of its messages, under their ids; each names the member whose it is (D8, D10)."""
    service = Service(clock, accepted("1", None), accepted("3"))
    settled = await published(service.posts(), {"id": "b:0", "data": "x"}, {"id": "b:1", "data": "y"})
    assert (settled.serials, settled.error, settled.unknown) == (["1", None], None, False)
    assert service.bodies == [
        [{"clientId": "ada", "id": "b:0", "data": "x"}, {"clientId": "ada", "id": "b:1", "data": "y"}]
    ]

    _ = await published(service.posts(trusted=True), {"id": "c:0", "clientId": "bob"})
    assert service.bodies[1] == [{"id": "c:0", "clientId": "bob"}]
    await service.client.aclose()


async def test_a_refused_publish_says_so(clock: VirtualClock) -> None:
    """And one that nobody of the service's answered has an unknown outcome (D11)."""
    refused = httpx.Response(401, json={"error": {"code": 40160, "statusCode": 401}})
    unknown = [
        httpx.Response(500, json={"error": {"code": 50000, "statusCode": 500}}),
        httpx.Response(200, html="<html>Log in</html>"),
        httpx.Response(200, json=[]),
        httpx.Response(302, headers={"Location": "/login"}),
        httpx.Response(403, html="<html>Blocked</html>"),
        httpx.Response(404, json={"error": {"message": "no such route"}}),
        httpx.Response(400, json=[]),
    ]
    service = Service(clock, refused, httpx.Response(429, text="slower"), *unknown)
    posts = service.posts()
    assert (await published(posts, {"data": "x"})).error == ErrorInfo(40160, 401)
    assert (await published(posts, {"data": "x"})).error == ErrorInfo(0, 429)
    for _ in unknown:
        with pytest.raises(TransportError):
            await published(posts, {"data": "x"})
    await service.client.aclose()


async def test_ones_own_ephemeral_messages_are_known(clock: VirtualClock) -> None:
    """By ids that nobody else makes, as the service gives them back; as many as may be under way (I10)."""
    service = Service(clock, *[accepted("1")] * 3)
    posts = service.posts()
    passing: Frame = {"data": "x", "extras": {"ephemeral": True}}
    for _ in range(2):
        _ = await published(posts, passing)
    (first,), (second,) = service.bodies
    assert first["id"] != second["id"]
    assert posts.is_mine({"id": first["id"]})
    assert posts.is_mine({"id": f"{second['id']}:0"})
    assert not posts.is_mine({"id": "other"})
    assert not posts.is_mine({})
    for _ in range(MINE):
        _ = posts.publish("a", [passing], asyncio.get_running_loop().create_future())
    assert not posts.is_mine({"id": first["id"]})
    await service.client.aclose()


async def test_nobody_waits_any_more(clock: VirtualClock) -> None:
    """An answer that comes too late for whoever asked is no error; and no call enters a member."""
    service = Service(clock, accepted("1"))
    posts = service.posts()
    waiter = asyncio.get_running_loop().create_future()
    waiter.cancel()
    await posts.send(posts.publish("a", [{"data": "x"}], waiter))
    with pytest.raises(CapabilityError):
        posts.present("a", {}, waiter)
    await service.client.aclose()
