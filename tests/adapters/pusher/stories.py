"""Stories of bad networks, in real time, over any server that speaks Pusher's protocol."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pusher
import pytest

import chatkit
from chatkit import Discontinuity, MessageCreated
from chatkit.adapters.pusher import adapter
from chatkit.model.options import AuthRequest
from tests.adapters.lives import PATIENCE, life, told
from tests.adapters.relay import Relay

V = TypeVar("V")


class Place:
    """A server, and ways to it that can be cut.

    Args:
        host: Of the server.
        port: Likewise.
        folder: For logs and stores.
    """

    def __init__(self, host: str, port: int, folder: Path) -> None:
        self._host = host
        self._port = port
        self.folder = folder
        self.ways: dict[str, Relay] = {}
        self._official = pusher.Pusher("1001", "app-key", "app-secret", ssl=False)

    def way(self, user: str) -> Relay:
        """Return the way of a user."""
        if user not in self.ways:
            self.ways[user] = Relay(self._host, self._port)
        return self.ways[user]

    def url(self, user: str, credential: str) -> str:
        return f"pusher://{credential}@local/1001?host=127.0.0.1&port={self.way(user).port}&tls=0"

    def chat(self, how: str, user: str, **options: Any) -> chatkit.Chat:
        """Return a client: `log` beside a log, `plain` with the secret alone, `member` without it."""
        options = {"store": ":memory:", **options}
        if how == "member":
            return chatkit.connect(self.url(user, "app-key"), user=user, auth=self._auth, **options)
        if how == "log":
            options["log"] = self.log
        return chatkit.connect(self.url(user, "app-key:app-secret"), user=user, **options)

    @property
    def log(self) -> str:
        return f"sqlite:///{self.folder}/log.db"

    async def _auth(self, request: AuthRequest) -> dict[str, Any]:
        found: dict[str, Any] = self._official.authenticate(
            request.params["channel_name"], request.params["socket_id"], {"user_id": request.user}
        )
        return found


@asynccontextmanager
async def place(host: str, port: int, folder: Path) -> AsyncGenerator[Place]:
    """A place; its ways are closed at the end."""
    found = Place(host, port, folder)
    try:
        yield found
    finally:
        for way in found.ways.values():
            await way.aclose()


class Talk(NamedTuple):
    """Two who talk, and what the second is told."""

    on: Place
    ada: chatkit.Chat
    bob: chatkit.Chat
    mine: chatkit.Channel
    theirs: chatkit.Channel
    events: chatkit.Stream[chatkit.Event]


@asynccontextmanager
async def talk(server: tuple[str, int], folder: Path, how: str) -> AsyncGenerator[Talk]:
    """Ada speaks, Bob listens, each on a way of their own."""
    async with place(*server, folder) as on, on.chat(how, "ada") as ada, on.chat(how, "bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        events = theirs.events(MessageCreated, Discontinuity)
        await theirs.attach(timeout=PATIENCE)
        yield Talk(on, ada, bob, mine, theirs, events)


async def once(stream: chatkit.Stream[V], so: Callable[[V], bool]) -> V:
    """Return the first value of what is watched that is so."""
    async with stream, asyncio.timeout(PATIENCE):
        async for value in stream:
            if so(value):
                return value
    raise AssertionError("it ended before it was so")


def _twelve_sent(view: chatkit.TimelineView) -> bool:
    return [message.status for message in view.messages] == ["sent"] * 12


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notice silence after a second, and give up calls after as long."""
    declared = adapter.capabilities
    monkeypatch.setattr(
        adapter, "capabilities", lambda kind, **how: replace(declared(kind, **how), liveness=1.0)
    )
    monkeypatch.setattr("chatkit.adapters.pusher.calls.TIMEOUT", 1.0)
    monkeypatch.setattr("chatkit.engine.publishing.ACK_TIMEOUT", 2.0)


class Stories:
    """Inherited where there is a server: the fixture `server` says where."""

    @pytest.mark.realtime
    @pytest.mark.parametrize("how", ["log", "plain", "member"])
    async def test_a_tunnel_loses_and_doubles_nothing(
        self, server: tuple[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        """Cut, half-open and healed while somebody sends: all is heard, in order, once (I1, I2, I4)."""
        quick(monkeypatch)
        async with talk(server, tmp_path, how) as on:
            way, said = on.on.way("ada"), [f"message {number}" for number in range(24)]
            for number, text in enumerate(said):
                _ = await on.mine.send(text)
                if number % 16 == 3:
                    way.cut(half_open=True)
                    await asyncio.wait_for(way.struck(), PATIENCE)
                    way.heal()
                elif number % 8 == 3:
                    way.cut()
                    await asyncio.wait_for(way.struck(), PATIENCE)
                    way.heal()
                    await on.ada.connection.wait("connected", timeout=PATIENCE)

            heard, _ = await told(on.events, said[-1])

            assert sorted(heard) == sorted(said)
            if how == "log":
                assert heard == said
            assert (await on.ada.outbox.flush(timeout=PATIENCE)).queued == 0

    @pytest.mark.realtime
    @pytest.mark.parametrize("how", ["log", "plain"])
    async def test_who_was_in_a_tunnel_reads_or_is_told(
        self, server: tuple[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        """With a log nothing is missing; without one a gap comes before what follows (I6)."""
        quick(monkeypatch)
        missed = [f"missed {number}" for number in range(5)]
        async with talk(server, tmp_path, how) as on:
            _ = await (await on.mine.send("before")).wait("sent", timeout=PATIENCE)
            assert (await told(on.events, "before"))[1] == 0

            on.on.way("bob").cut(half_open=True)
            for text in missed:
                _ = await (await on.mine.send(text)).wait("sent", timeout=PATIENCE)
            _ = await once(on.bob.connection.watch(), lambda view: view.state != "connected")
            on.on.way("bob").heal()
            await on.bob.connection.wait("connected", timeout=PATIENCE)
            await on.theirs.attach(timeout=PATIENCE)
            _ = await on.mine.send("after")

            heard = await told(on.events, "after")

            assert heard == (([*missed, "after"], 0) if how == "log" else (["after"], 1))

    @pytest.mark.realtime
    @pytest.mark.parametrize("how", ["log", "plain", "member"])
    async def test_lost_answers_show_nothing_twice(
        self, server: tuple[str, int], tmp_path: Path, how: str
    ) -> None:
        """What was carried out and not answered goes out again, under the same id (D6, D10, I2)."""
        async with talk(server, tmp_path, how) as on:
            words = b"pusher:pong" if how == "member" else b"HTTP/1.1 200"
            said = [f"message {number}" for number in range(4)]
            for text in said:
                on.on.way("ada").lose_answer(words)
                _ = await (await on.mine.send(text)).wait("sent", timeout=PATIENCE)
            assert (await on.ada.outbox.flush(timeout=PATIENCE)).queued == 0  # all is announced, too
            _ = await on.mine.send("last")

            assert await told(on.events, "last") == ([*said, "last"], 0)

    @pytest.mark.realtime
    @pytest.mark.parametrize("how", ["log", "plain", "member"])
    async def test_devices_of_a_user_speak_side_by_side(
        self, server: tuple[str, int], tmp_path: Path, how: str
    ) -> None:
        """Each in its own order, all shown on each (I4, I5)."""
        async with (
            place(*server, tmp_path) as on,
            on.chat(how, "ada") as phone,
            on.chat(how, "ada") as desk,
        ):
            channels = [phone.channel("support"), desk.channel("support")]
            for channel in channels:
                _ = channel.timeline
                await channel.attach(timeout=PATIENCE)
            for number in range(6):
                for name, channel in zip(("phone", "desk"), channels, strict=True):
                    _ = await channel.send(f"{name} {number}")
            for chat in (phone, desk):
                assert (await chat.outbox.flush(timeout=PATIENCE)).queued == 0

            # Drawn a moment later: what is shown as being sent stands behind all others, on its own device.
            one, two = [
                [m.text for m in (await once(c.timeline.watch(), _twelve_sent)).messages] for c in channels
            ]

            assert one == two
            for name in ("phone", "desk"):
                assert [text for text in one if text.startswith(name)] == [f"{name} {n}" for n in range(6)]

    @pytest.mark.realtime
    @pytest.mark.parametrize("how", ["log", "plain"])
    async def test_a_client_killed_in_mid_drain_sends_the_rest(
        self, server: tuple[str, int], tmp_path: Path, how: str
    ) -> None:
        """SIGKILL, then another life on the same store: each message is heard once (I1, I2, I3)."""
        async with place(*server, tmp_path) as on, on.chat(how, "bob") as bob:
            theirs = bob.channel("support")
            events = theirs.events(MessageCreated)
            await theirs.attach(timeout=PATIENCE)
            arguments = [on.url("ada", "app-key:app-secret"), str(tmp_path / "ada.db"), "60"]
            if how == "log":
                arguments.append(on.log)

            assert await life(*arguments, until=40) == -signal.SIGKILL
            assert await life(*arguments) == 0

            heard, _ = await told(events, "message 59")
            assert heard == [f"message {number}" for number in range(60)]
