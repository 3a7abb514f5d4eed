"""The adapter of Pusher against soketi, a server that others wrote."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import ExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import pusher
import pytest
from websockets.sync.client import ClientConnection, connect

import chatkit
from chatkit import Discontinuity, MessageCreated
from chatkit.adapters.pusher import frames
from chatkit.errors import AuthenticationError
from chatkit.model.options import AuthRequest
from chatkit.testing.contract import AdapterContract, AdapterKit, Closing, Refusal
from chatkit.testing.emulators.faults import CallFault
from tests.adapters.lives import told
from tests.adapters.pusher.kit import CALLS, CLOSINGS, MASTER_KEY, NOT_A_MEMBER, OFF, REMOVED, ServerKit
from tests.adapters.pusher.stories import Stories
from tests.servers.soketi.meddler import Meddler
from tests.servers.soketi.server import Soketi

pytestmark = pytest.mark.servers
NUMBERS: Final = count(1)
PATIENCE: Final = 30.0
"""Seconds within which what must come has come, a restart of the server included."""


@pytest.fixture(scope="module")
def soketi(tmp_path_factory: pytest.TempPathFactory) -> Generator[Soketi]:
    """One for all cases of the contract."""
    with Soketi(tmp_path_factory.mktemp("soketi"), maxClientEventsPerSecond=1_000) as server:
        yield server


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Generator[Soketi]:
    """Another, which takes 10 client events a second, as the hosted service does."""
    with Soketi(tmp_path_factory.mktemp("strict")) as server:
        yield server


class SoketiKit(ServerKit):
    """A soketi that outlives tests: each has channels of its own.

    It cannot be made to close a connection or a channel, to forbid or refuse: the way to it does so in its
    name, in words that were seen of it or of the service.
    """

    def __init__(self, soketi: Soketi, **config: Any) -> None:
        super().__init__(**config)
        self._soketi = soketi
        self._test = next(NUMBERS)
        self._member: ClientConnection | None = None
        self._opened = ExitStack()

    def target(self) -> tuple[str, int]:
        return self._soketi.host, self._soketi.port

    def channel(self, name: str) -> str:
        return f"{name}-{self._test}"

    def lose_ack(self, user: str) -> None:
        self._relay(user).lose_answer(b"HTTP/1.1 200" if self._trusted else b"pusher:pong")

    def forbid(self, user: str) -> None:
        self.auths[user].welcome = False
        if self._trusted:  # whose signature is good
            self._meddler(user).answer_frame = _not_a_member

    def revoke(self, user: str, channel: str) -> None:
        name = self.name(channel)
        self._meddler(user).tell_server(frames.unsubscribe(name))
        self._meddler(user).tell_clients(_subscription_error(name, REMOVED))

    def closings(self) -> Sequence[Closing]:
        return tuple(CLOSINGS)

    def close(self, user: str, closing: Closing) -> None:
        self._meddler(user).close(CLOSINGS[closing], closing.name)

    def refusals(self) -> Sequence[Refusal]:
        return tuple(CALLS) if self._trusted else (OFF,)

    def refuse(self, user: str, refusal: Refusal | None) -> None:
        if self._trusted:
            self._meddler(user).call_answer = None if refusal is None else _answer(CALLS[refusal])
        else:
            self._meddler(user).answer_frame = None if refusal is None else _client_events_are_off

    def inject(self, channel: str, data: bytes) -> None:
        name, text = self.name(channel), data.decode("utf-8", "replace")
        if self._member is None:
            self._member = self._join(name)
        self._member.send(frames.client_event("client-chatkit", name, text))

    @asynccontextmanager
    async def server(self) -> AsyncGenerator[None]:
        with self._opened:
            yield

    def _way(self, host: str, port: int) -> Meddler:
        return Meddler(host, port)

    def _meddler(self, user: str) -> Meddler:
        relay = self._relay(user)
        assert isinstance(relay, Meddler)
        return relay

    def _join(self, name: str) -> ClientConnection:
        """Return a member without chatkit."""
        url = f"ws://{self._soketi.host}:{self._soketi.port}/app/app-key?protocol=7"
        socket = self._opened.enter_context(connect(url, proxy=None))
        socket_id = frames.as_object(frames.parse(socket.recv()).get("data"))["socket_id"]
        member = {"user_id": "eve"} if name.startswith("presence-") else None
        permit = self._official().authenticate(name, socket_id, member)
        socket.send(frames.subscribe(name, permit["auth"], permit.get("channel_data")))
        while "subscription_succeeded" not in str(socket.recv()):
            pass
        return socket


def _not_a_member(frame: str) -> str | None:
    """Answer a subscription."""
    event = frames.as_object(frame)
    if event["event"] != "pusher:subscribe":
        return None
    return _subscription_error(event["data"]["channel"], NOT_A_MEMBER)


def _client_events_are_off(frame: str) -> str | None:
    """Answer a client event, as a soketi does where they are."""
    if not frames.as_object(frame)["event"].startswith("client-"):
        return None
    error = {"code": 4301, "message": "The app does not have client messaging enabled."}
    return frames.dumps({"event": "pusher:error", "data": error})


def _subscription_error(name: str, error: dict[str, Any]) -> str:
    return frames.dumps({"event": "pusher:subscription_error", "channel": name, "data": error})


def _answer(fault: CallFault) -> bytes:
    """Return the answer of HTTP with which calls fail."""
    fields = {**fault.headers, "Content-Length": str(len(fault.body))}
    lines = [f"HTTP/1.1 {fault.status} Refused", *(f"{name}: {text}" for name, text in fields.items())]
    return "\r\n".join([*lines, "", fault.body]).encode()


class TestTrusted(AdapterContract):
    @pytest.fixture
    def kit(self, soketi: Soketi) -> AdapterKit:
        return SoketiKit(soketi)


class TestTrustedBesideALog(AdapterContract):
    @pytest.fixture
    def kit(self, soketi: Soketi) -> AdapterKit:
        return SoketiKit(soketi, log=True, channels="private")


class TestTrustedUnderLock(AdapterContract):
    @pytest.fixture
    def kit(self, soketi: Soketi) -> AdapterKit:
        return SoketiKit(soketi, channels="encrypted", cache=True)


class TestUntrusted(AdapterContract):
    @pytest.fixture
    def kit(self, soketi: Soketi) -> AdapterKit:
        return SoketiKit(soketi, trusted=False)


class TestStories(Stories):
    """Bad networks."""

    @pytest.fixture
    def server(self, strict: Soketi) -> tuple[str, int]:
        return strict.host, strict.port


# -- whole chats, and a server that dies under them


class Members:
    """Clients of a soketi, with the secret or without."""

    def __init__(self, soketi: Soketi) -> None:
        self._soketi = soketi
        self._official = pusher.Pusher(
            "1001", "app-key", "app-secret", ssl=False, encryption_master_key_base64=MASTER_KEY
        )

    def url(self, credential: str = "app-key:app-secret", app: str = "1001", more: str = "") -> str:
        return (
            f"pusher://{credential}@local/{app}?host={self._soketi.host}&port={self._soketi.port}&tls=0{more}"
        )

    def backend(self, user: str, **options: Any) -> chatkit.Chat:
        return chatkit.connect(self.url(), user=user, **{"store": ":memory:", **options})

    def member(self, user: str, **options: Any) -> chatkit.Chat:
        options = {"store": ":memory:", "auth": self._auth, **options}
        return chatkit.connect(self.url("app-key"), user=user, **options)

    async def _auth(self, request: AuthRequest) -> dict[str, Any]:
        name, member = request.params["channel_name"], {"user_id": request.user}
        found: dict[str, Any] = self._official.authenticate(
            name, request.params["socket_id"], member if name.startswith("presence-") else None
        )
        return found


async def until(done: Any, what: str) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE):
        while not done():
            await asyncio.sleep(0.02)
    assert done(), what


async def restart(soketi: Soketi) -> None:
    """Kill a server and start it again, where it was."""
    await asyncio.to_thread(soketi.stop, signal.SIGKILL)
    await asyncio.to_thread(soketi.start)


@pytest.fixture
def mortal(tmp_path: Path) -> Generator[Soketi]:
    """A soketi for one test, which may die; 10 client events a second, as the hosted service."""
    with Soketi(tmp_path / "soketi") as server:
        yield server


@pytest.mark.realtime
async def test_a_server_killed_under_load_loses_and_doubles_nothing(mortal: Soketi, tmp_path: Path) -> None:
    """5,000 messages by HTTP beside a log, the server killed and restarted in their midst (I1, I2, I4)."""
    clients, log, said = Members(mortal), f"sqlite:///{tmp_path}/log.db", [str(n) for n in range(5_000)]
    async with clients.backend("ada", log=log) as ada, clients.backend("bob", log=log) as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        # From a mark: a live stream alone would be told of a gap of more than 1,000 messages (D19).
        events = theirs.events(MessageCreated, Discontinuity, since=chatkit.START, buffer=6_000)
        await theirs.attach(timeout=PATIENCE)
        restarting: asyncio.Task[None] | None = None
        for number, text in enumerate(said):
            _ = await mine.send(text)
            if number == 2_000:
                restarting = asyncio.create_task(restart(mortal))
        assert restarting is not None
        await restarting

        assert (await ada.outbox.flush(timeout=4 * PATIENCE)).queued == 0
        assert await told(events, said[-1]) == (said, 0)


@pytest.mark.realtime
async def test_client_events_outlive_their_server(mortal: Soketi) -> None:
    """60 of them, the server killed and restarted: none is lost for good, none is shown twice (I1, I2)."""
    clients, said = Members(mortal), [str(n) for n in range(60)]
    async with clients.member("ada") as ada, clients.member("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        events = theirs.events(MessageCreated, Discontinuity)
        await theirs.attach(timeout=PATIENCE)
        deliveries = [await mine.send(text) for text in said]
        _ = await deliveries[5].wait("sent", timeout=PATIENCE)
        await restart(mortal)

        async with asyncio.timeout(60):
            assert (await ada.outbox.flush(timeout=60)).queued == 0
        assert {delivery.status for delivery in deliveries} == {"sent"}
        heard, gaps = await told(events, said[-1])
        assert len(set(heard)) == len(heard)
        missing = set(said) - set(heard)
        assert gaps or not missing, f"lost in silence: {missing}"


@pytest.mark.realtime
async def test_without_a_log_a_restart_is_announced(mortal: Soketi) -> None:
    """A `Discontinuity` before what follows (I6)."""
    clients = Members(mortal)
    async with clients.backend("ada") as ada, clients.backend("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        events = theirs.events(MessageCreated, Discontinuity)
        await theirs.attach(timeout=PATIENCE)
        _ = await mine.send("before")
        assert isinstance(await events.next(timeout=PATIENCE), MessageCreated)

        await restart(mortal)
        await bob.connection.wait("connected", timeout=PATIENCE)
        await theirs.attach(timeout=PATIENCE)
        _ = await mine.send("after")

        assert isinstance(await events.next(timeout=PATIENCE), Discontinuity)
        last = await events.next(timeout=PATIENCE)
        assert isinstance(last, MessageCreated)
        assert last.message.text == "after"


@pytest.mark.realtime
@pytest.mark.parametrize(
    ("credential", "app", "words"),
    [("app-key:wrong", "1001", "secret does not belong"), ("app-key:app-secret", "7", "no app")],
)
async def test_errors_are_known_although_their_status_is_200(
    soketi: Soketi, credential: str, app: str, words: str
) -> None:
    """The server tells the status in the body alone; what is queued waits (D12)."""
    url = Members(soketi).url(credential, app)
    async with chatkit.connect(url, user="ada", store=":memory:", drain=0) as ada:
        delivery = await ada.channel("support").send("kept")

        await until(lambda: ada.health().checks["outbox"]["paused"] is not None, "it says why it waits")
        assert words in str(ada.health().checks["outbox"]["paused"])
        assert delivery.status == "queued"


@pytest.mark.realtime
async def test_a_wrong_key_ends_the_connection(soketi: Soketi) -> None:
    """4001, and where to look."""
    url = Members(soketi).url("other-key:app-secret")
    async with chatkit.connect(url, user="ada", store=":memory:", drain=0) as ada:
        with pytest.raises(AuthenticationError) as refused:
            await ada.connection.wait("connected", timeout=PATIENCE)

        assert "Compare key and cluster" in (refused.value.hint or "")


@pytest.mark.realtime
async def test_client_events_that_are_off_are_told(tmp_path: Path) -> None:
    """By an error of soketi's own; what is queued waits."""
    with Soketi(tmp_path / "soketi", enableClientMessages=False) as server:
        async with Members(server).member("ada", drain=0) as ada:
            delivery = await ada.channel("support").send("kept")

            await until(lambda: ada.health().checks["outbox"]["paused"] is not None, "it says why it waits")
            assert "switched off" in str(ada.health().checks["outbox"]["paused"])
            assert delivery.status == "queued"
