"""Chats where WebSockets do not pass: event streams, polling, and the way back to a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

import chatkit
from chatkit import CapabilityError, Discontinuity, MessageCreated
from chatkit.adapters.ably import listening, streams, ways
from chatkit.adapters.ably.ways import AGAIN, ATTEMPTS, FIRST, LAST, Ways, upgrade_waits
from chatkit.testing.clock import VirtualClock
from chatkit.testing.contract.adapter.stage import stage
from chatkit.testing.emulators.ably import Aim, ErrorInfo, Fault, sse, wire
from chatkit.testing.emulators.faults import CallFault
from tests.adapters.ably.app import PATIENCE, App, texts, until
from tests.adapters.ably.calls_kit import CallsKit

# -- which way


def test_what_the_app_wants_is_tried_alone(clock: VirtualClock) -> None:
    """Whatever fails; only `auto` leaves it open."""
    for wanted in ("websocket", "sse", "poll"):
        found = Ways(wanted, clock)
        assert not found.open
        found.no_socket(answered=True)
        found.no_streams()
        assert found.choose() == wanted
    assert Ways("auto", clock).open


def test_sockets_are_given_up_after_some_attempts(clock: VirtualClock) -> None:
    """In a row; at once where something answers that speaks no WebSocket; a greeting clears them."""
    found = Ways("auto", clock)
    for _ in range(ATTEMPTS - 1):
        found.no_socket(answered=False)
    found.socket()
    for _ in range(ATTEMPTS):
        assert found.choose() == "websocket"
        found.no_socket(answered=False)
    assert found.choose() == "sse"

    found.socket()
    found.no_socket(answered=True)
    assert found.choose() == "sse"


def test_streams_are_tried_again_after_a_while(clock: VirtualClock) -> None:
    """Polling is the last resort, and not for ever."""
    found = Ways("auto", clock)
    found.no_socket(answered=True)
    found.no_streams()
    assert found.choose() == "poll"
    clock.advance(AGAIN - 1)
    assert found.choose() == "poll"
    clock.advance(1)
    assert found.choose() == "sse"


def test_a_socket_is_tried_again_ever_less_often() -> None:
    """Doubled each time, with jitter, up to a bound."""
    waits = upgrade_waits(Random(1))
    found = [next(waits) for _ in range(8)]
    assert FIRST * 0.75 <= found[0] <= FIRST * 1.25
    for number, wait in enumerate(found):
        assert 0.75 <= wait / min(LAST, FIRST * 2**number) <= 1.25


# -- stories


class Blocked(App):
    """An app whose network has no way for WebSockets, and whose clients try one again soon."""

    def __init__(self, config: str = "", **settings: Any) -> None:
        way = "" if "transport=" in config else "&transport=auto"
        super().__init__(f"&poll=0.1{config}{way}", **{"websockets": False, **settings})

    def block(self) -> None:
        """Let no socket through from now on, and end those that stand."""
        self.emulator.change(websockets=False)
        self.cut()

    def no_streams(self, **how: Any) -> CallFault:
        """Let no event stream through, and end those that stand."""
        fault = CallFault(does="fail", path="/sse", status=503, times=100_000, **how)
        _ = self.emulator.faults.add(fault)
        _ = self.emulator.deeds.end_streams(Aim())
        return fault


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets are tried again after moments."""
    monkeypatch.setattr(ways, "FIRST", 0.1)
    monkeypatch.setattr(ways, "LAST", 0.2)


async def carried(*chats: chatkit.Chat, by: str) -> None:
    """Wait until clients are connected by something."""
    for chat in chats:
        await until(lambda chat=chat: chat.connection.transport == by, f"{chat.user.id} uses {by}")  # type: ignore[misc]


def _attempts(chat: chatkit.Chat) -> int:
    """Return how often a client has tried in vain to connect."""
    return chat.connection._view().attempt


class Hearing:
    """Whatever a channel tells, in order."""

    def __init__(self, channel: chatkit.Channel) -> None:
        self.texts: list[str] = []
        self.gaps = 0
        self._stream = channel.events(MessageCreated, Discontinuity)
        self._task = asyncio.create_task(self._hear())

    async def _hear(self) -> None:
        async for event in self._stream:
            if isinstance(event, Discontinuity):
                self.gaps += 1
            else:
                self.texts.append(event.message.text)

    def of(self, user: str) -> list[str]:
        """Return what one user said."""
        return [text for text in self.texts if text.startswith(user)]


async def converse(
    mine: chatkit.Channel, theirs: chatkit.Channel, count: int, between: dict[int, Callable[[], Any]]
) -> None:
    """Let both say so much, and things happen between; then both have heard all, each once, in order."""
    heard = [Hearing(mine), Hearing(theirs)]
    for channel in (mine, theirs):
        await channel.attach(timeout=PATIENCE)
    for number in range(count):
        _ = await mine.send(f"ada {number}")
        _ = await theirs.send(f"bob {number}")
        if number in between:
            between[number]()
        await asyncio.sleep(0.04)
    for hearing in heard:
        await until(lambda hearing=hearing: len(hearing.texts) >= 2 * count, "all is heard")  # type: ignore[misc]
    await asyncio.sleep(0.3)
    for hearing in heard:
        for user in ("ada", "bob"):
            assert hearing.of(user) == [f"{user} {number}" for number in range(count)]
        assert len(hearing.texts) == 2 * count
        assert hearing.gaps == 0
    for channel in (mine, theirs):
        kept = list(channel.timeline.view.messages)
        assert len(kept) == 2 * count


class TestStories:
    """The real loop, over the emulator."""

    pytestmark = pytest.mark.realtime

    @pytest.mark.long
    @pytest.mark.parametrize("way", ["sse", "poll"])
    async def test_without_websockets_all_is_heard(self, soon: None, way: str) -> None:
        """50 messages both ways: none lost, doubled or shuffled; nor on the way back to a socket (I1 to I6)."""
        del soon
        async with Blocked() as app, app.backend("ada") as ada, app.member("bob") as bob:
            if way == "poll":
                _ = app.no_streams()
            mine, theirs = ada.channel("support"), bob.channel("support")
            await mine.attach(timeout=PATIENCE)
            await theirs.attach(timeout=PATIENCE)
            await carried(ada, bob, by=way)
            assert {ada.connection.state, bob.connection.state} == {"connected"}

            await converse(mine, theirs, 50, {25: lambda: app.emulator.change(websockets=True)})

            await carried(ada, bob, by="websocket")
            await until(lambda: len(app.emulator.sockets) == 2, "each has one socket")
            _ = await (await mine.send("by socket")).wait("sent", timeout=PATIENCE)
            await until(lambda: texts(theirs)[-1:] == ["by socket"], "it goes on")

    @pytest.mark.long
    async def test_a_network_that_loses_its_websockets(self, soon: None) -> None:
        """In the middle of everything, and finds them again: nothing is lost, nothing announced (I2, I6)."""
        del soon
        async with Blocked(websockets=True) as app, app.member("ada") as ada, app.member("bob") as bob:
            mine, theirs = ada.channel("support"), bob.channel("support")
            await mine.attach(timeout=PATIENCE)
            await theirs.attach(timeout=PATIENCE)
            await carried(ada, bob, by="websocket")

            await converse(
                mine, theirs, 40, {10: app.block, 25: lambda: app.emulator.change(websockets=True)}
            )

            await carried(ada, bob, by="websocket")

    @pytest.mark.long
    @pytest.mark.parametrize("way", ["sse", "poll"])
    async def test_a_silent_channel_changes_its_way_unnoticed(self, soon: None, way: str) -> None:
        """Though history no longer holds what was said last: it was heard (I6)."""
        del soon
        async with Blocked() as app, app.member("ada") as ada, app.member("bob") as bob:
            if way == "poll":
                _ = app.no_streams()
            mine, theirs = ada.channel("support"), bob.channel("support")
            heard = Hearing(theirs)
            await mine.attach(timeout=PATIENCE)
            await theirs.attach(timeout=PATIENCE)
            await carried(ada, bob, by=way)
            _ = await (await mine.send("before")).wait("sent", timeout=PATIENCE)
            await until(lambda: heard.texts == ["before"], "it is heard")
            app.emulator.clock.advance(125)
            for chat in (ada, bob):  # time passes for them, too
                _ = await chat._shared.engine.context.adapter.server_time()
            await asyncio.sleep(0.3)

            app.emulator.change(websockets=True)
            await carried(ada, bob, by="websocket")
            await theirs.attach(timeout=PATIENCE)
            _ = await (await mine.send("after")).wait("sent", timeout=PATIENCE)

            await until(lambda: heard.texts == ["before", "after"], "it is heard")
            assert heard.gaps == 0

    @pytest.mark.long
    async def test_sockets_that_end_before_the_greeting_are_given_up(self) -> None:
        """After three in a row, while calls are answered."""
        async with Blocked(websockets=True) as app, app.member("ada") as ada:
            app.emulator.add_fault(Fault(does="abort", action="CONNECT", times=1_000))
            await carried(ada, by="sse")
            _ = await (await ada.channel("support").send("hello")).wait("sent", timeout=PATIENCE)

    async def test_what_the_app_wants_is_used(self) -> None:
        """`transport=` in the URL; a socket alone where it says so, though none passes."""
        async with Blocked("&transport=sse") as app, app.member("ada") as ada:
            await carried(ada, by="sse")
        async with Blocked("&transport=poll") as app, app.member("ada") as ada:
            await carried(ada, by="poll")
            assert ada.capabilities.support("presence") == "none"
        async with Blocked("&transport=websocket") as app, app.member("ada") as ada:
            await until(lambda: _attempts(ada) > ATTEMPTS, "it tries")
            assert ada.connection.transport is None

    @pytest.mark.long
    async def test_where_nothing_is_answered_nothing_is_given_up(self) -> None:
        """A machine that is offline learns nothing about sockets: it comes back by one."""
        async with Blocked(websockets=True) as app:
            down = app.emulator.faults.add(CallFault(does="reset", times=100_000))
            app.emulator.change(websockets=False)
            async with app.member("ada") as ada:
                await until(lambda: down.times < 100_000 - 3, "it tries")
                assert ada.connection.transport is None
                app.emulator.change(websockets=True)
                app.emulator.faults.clear()
                await carried(ada, by="websocket")

    @pytest.mark.long
    async def test_a_publish_without_an_answer_happens_once(self) -> None:
        """It goes out again under its ids, and nothing of its lane before it (D8, D10)."""
        async with Blocked() as app, app.member("ada") as ada, app.member("bob") as bob:
            mine, theirs = ada.channel("support"), bob.channel("support")
            heard = Hearing(theirs)
            await theirs.attach(timeout=PATIENCE)
            mishaps = [
                CallFault(does="reset", method="POST"),
                CallFault(does="reset", moment="after", method="POST"),
                CallFault(does="fail", moment="after", method="POST", status=503),
                CallFault(does="fail", method="POST", status=200, body="<html>Log in</html>"),
            ]
            said = [f"message {number}" for number in range(2 * len(mishaps))]
            for text, mishap in zip(said, mishaps * 2, strict=True):
                app.emulator.faults.add(replace(mishap))
                _ = await (await mine.send(text)).wait("sent", timeout=PATIENCE)

            await until(lambda: len(heard.texts) >= len(said), "all is heard")
            await asyncio.sleep(0.3)
            assert heard.texts == said
            assert len(list(app.emulator.app.channels["support"].store.latest())) == len(said)

    async def test_one_publish_of_a_lane_is_under_way(self) -> None:
        """What queues meanwhile is the next one, of several messages (D8)."""
        async with Blocked("&transport=sse") as app, app.member("ada") as ada:
            channel = ada.channel("support")
            await carried(ada, by="sse")
            slow = CallFault(does="delay", method="POST", seconds=0.2, times=1_000)
            app.emulator.faults.add(slow)
            deliveries = [await channel.send(f"message {number}") for number in range(12)]
            for delivery in deliveries:
                _ = await delivery.wait("sent", timeout=PATIENCE)

            kept = list(app.emulator.app.channels["support"].store.latest())
            assert [json.loads(each["data"])["body"]["text"] for each in kept] == [
                f"message {number}" for number in range(12)
            ]
            assert 1_000 - slow.times <= 3

    async def test_who_types_is_seen_by_streams(self) -> None:
        """Ephemeral messages come by them, one's own do not come back (D25)."""
        async with Blocked() as app, app.member("ada") as ada, app.member("bob") as bob:
            mine, theirs = ada.channel("support"), bob.channel("support")
            _ = mine.timeline, theirs.timeline
            await mine.attach(timeout=PATIENCE)
            await theirs.attach(timeout=PATIENCE)
            await mine.typing.keystroke()
            await until(lambda: "ada" in theirs.typing.users, "it is seen")
            assert "ada" not in mine.typing.users

    async def test_members_are_seen_and_nobody_enters(self, soon: None) -> None:
        """Without a socket others are read; this client's wish waits for one (D32)."""
        del soon
        async with Blocked(websockets=True) as app, app.backend("ada") as ada:
            mine = ada.channel("support")
            await mine.presence.enter(status="away")
            await until(lambda: "ada" in mine.presence.members, "she is there")
            app.emulator.change(websockets=False)  # those that stand go on
            async with app.member("bob") as bob:
                theirs = bob.channel("support")
                _ = theirs.presence
                await theirs.attach(timeout=PATIENCE)
                await carried(bob, by="sse")
                await until(lambda: "ada" in theirs.presence.members, "he sees her")
                assert theirs.presence.members["ada"].status == "away"
                await theirs.presence.enter()
                await until(lambda: theirs.presence.error is not None, "he is not let in")
                with pytest.raises(CapabilityError):
                    await theirs.presence.enter()

                app.emulator.change(websockets=True)

                await until(lambda: "bob" in mine.presence.members, "he is there as soon as he can")

    @pytest.mark.long
    @pytest.mark.parametrize("transport", ["sse", "poll"])
    async def test_a_token_is_renewed(self, transport: str) -> None:
        """Before it ends; streams that end with it are opened again, and nothing is missed (D32)."""
        async with Blocked(f"&transport={transport}") as app:
            app.lifetime = 2.0
            async with app.member("ada") as ada, app.member("bob") as bob:
                mine, theirs = ada.channel("support"), bob.channel("support")
                heard = Hearing(theirs)
                await theirs.attach(timeout=PATIENCE)
                said = [f"message {number}" for number in range(40)]
                for text in said:
                    _ = await mine.send(text)
                    await asyncio.sleep(0.1)
                await until(lambda: len(heard.texts) >= len(said), "all is heard")
                assert heard.texts == said
                assert heard.gaps == 0
                assert len(app.asked) >= 6

    async def test_a_token_that_is_refused_is_fetched_anew(self) -> None:
        """Once, by a new connection; history tells what came between."""
        async with Blocked() as app, app.member("ada") as ada, app.member("bob") as bob:
            mine, theirs = ada.channel("support"), bob.channel("support")
            heard = Hearing(theirs)
            await theirs.attach(timeout=PATIENCE)
            asked = len(app.asked)
            for stream in list(app.emulator.app.streams):
                app.emulator.app.authority.end(stream.access)
            _ = app.emulator.deeds.end_streams(Aim())
            _ = await (await mine.send("between")).wait("sent", timeout=PATIENCE)

            await until(lambda: heard.texts == ["between"], "it is heard")
            assert len(app.asked) - asked in {1, 2}
            assert heard.gaps == 0

    @pytest.mark.long
    async def test_a_stream_that_brings_nothing_is_made_up_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A proxy that holds it back: it is looked into history as often; silence ends it for good."""
        monkeypatch.setattr(streams, "TIMEOUT", httpx.Timeout(8.0, read=0.5))
        monkeypatch.setattr(sse.Stream, "_put", lambda *_: None)
        async with Blocked() as app, app.member("ada") as ada, app.member("bob") as bob:
            mine, theirs = ada.channel("support"), bob.channel("support")
            heard = Hearing(theirs)
            await theirs.attach(timeout=PATIENCE)
            said = [f"message {number}" for number in range(20)]
            for text in said:
                _ = await mine.send(text)
                await asyncio.sleep(0.1)
            await until(lambda: len(heard.texts) >= len(said), "all is heard")
            assert heard.texts == said
            assert heard.gaps == 0
            await carried(bob, by="poll")

    @pytest.mark.long
    async def test_an_event_without_a_place_prompts_a_look(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the service sends less than a whole message, history has the rest."""
        whole = wire.render

        def less(item: Any, form: Any) -> dict[str, Any]:
            shown = dict(whole(item, form))
            _ = shown.pop("serial", None)
            return shown

        monkeypatch.setattr(sse, "render", less)
        async with Blocked() as app, app.member("ada") as ada, app.member("bob") as bob:
            mine, theirs = ada.channel("support"), bob.channel("support")
            await converse(mine, theirs, 10, {})
            await carried(ada, bob, by="sse")

    @pytest.mark.long
    async def test_what_a_stream_swallows_is_found_by_looks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Beside a stream that lives, twice a minute; here more often (I2)."""
        assert listening.BESIDE <= 30
        put = sse.Stream._put

        def swallow(stream: sse.Stream, event: str) -> None:
            if "swallowed" not in event:
                put(stream, event)

        monkeypatch.setattr(sse.Stream, "_put", swallow)
        monkeypatch.setattr(listening, "BESIDE", 0.5)
        async with Blocked("&transport=sse") as app, app.member("ada") as ada, app.member("bob") as bob:
            mine, theirs = ada.channel("support"), bob.channel("support")
            hearing = Hearing(theirs)
            for channel in (mine, theirs):
                await channel.attach(timeout=PATIENCE)
            for text in ("first", "swallowed", "last"):
                _ = await (await mine.send(text)).wait("sent", timeout=PATIENCE)

            await until(lambda: sorted(hearing.texts) == ["first", "last", "swallowed"], "all is told, once")
            assert texts(theirs) == ["first", "swallowed", "last"]
            assert hearing.gaps == 0

    @pytest.mark.long
    async def test_streams_that_end_lose_nothing(self) -> None:
        """Without a word, by an error, again and again: what came between two of them is read, in order (I1, I4)."""
        async with Blocked("&transport=sse") as app, app.member("ada") as ada, app.member("bob") as bob:
            mine, theirs = ada.channel("support"), bob.channel("support")
            ends = [Aim(), Aim(error=ErrorInfo(code=50000)), Aim(error=ErrorInfo(code=40111))]

            def end(number: int) -> Callable[[], Any]:
                return lambda: app.emulator.deeds.end_streams(ends[number % len(ends)])

            await converse(mine, theirs, 40, {number: end(number) for number in range(3, 36, 4)})

    @pytest.mark.long
    async def test_streams_are_tried_again(self, soon: None, monkeypatch: pytest.MonkeyPatch) -> None:
        """A client that polls does not do so for ever, where streams pass again."""
        del soon
        monkeypatch.setattr(ways, "AGAIN", 1.5)
        async with Blocked() as app, app.member("ada") as ada, app.member("bob") as bob:
            _ = app.no_streams()
            mine, theirs = ada.channel("support"), bob.channel("support")
            for channel in (mine, theirs):
                await channel.attach(timeout=PATIENCE)
            await carried(ada, bob, by="poll")

            await converse(mine, theirs, 30, {10: app.emulator.faults.clear})

            await carried(ada, bob, by="sse")

    @pytest.mark.long
    @pytest.mark.parametrize("way", ["sse", "poll"])
    async def test_beside_a_log(self, tmp_path: Path, way: str) -> None:
        """It numbers, Ably announces by whatever passes; who has none hears it from Ably (D9, D16)."""
        log = f"sqlite:///{tmp_path}/log.db"
        async with (
            Blocked() as app,
            app.backend("ada", log=log) as ada,
            app.backend("bob", log=log) as bob,
            app.member("eve") as eve,
        ):
            if way == "poll":
                _ = app.no_streams()
            channels = [chat.channel("support") for chat in (ada, bob, eve)]
            for channel in channels:
                _ = channel.timeline
                await channel.attach(timeout=PATIENCE)
            await carried(ada, bob, eve, by=way)
            said = [f"message {number}" for number in range(12)]
            for number, text in enumerate(said):
                _ = await channels[number % 2].send(text)
                await asyncio.sleep(0.03)
            for channel in channels:
                await until(lambda channel=channel: len(texts(channel)) >= len(said), "all is shown")  # type: ignore[misc]
            assert texts(channels[0]) == texts(channels[1])
            assert [sorted(texts(channel)) for channel in channels] == [sorted(said)] * 3

    @pytest.mark.long
    async def test_what_history_no_longer_holds_is_told(self) -> None:
        """Away for longer than it reaches: a `Discontinuity`, then what follows (I6)."""
        async with Blocked() as app, app.member("ada") as ada, app.member("bob") as bob:
            mine, theirs = ada.channel("support"), bob.channel("support")
            events = theirs.events(MessageCreated, Discontinuity)
            await theirs.attach(timeout=PATIENCE)
            await mine.attach(timeout=PATIENCE)
            _ = await (await mine.send("before")).wait("sent", timeout=PATIENCE)
            first = await events.next(timeout=PATIENCE)
            assert isinstance(first, MessageCreated)

            def away() -> None:
                app.emulator.clock.advance(125)

            down = [
                CallFault(does="reset", path=path, times=100_000) for path in ("/sse", "/time", "/messages")
            ]
            for fault in down:
                app.emulator.faults.add(fault)
            _ = app.emulator.deeds.end_streams(Aim())
            await until(lambda: bob.connection.state != "connected", "he is away")
            await until(lambda: ada.connection.state != "connected", "she, too")
            away()
            app.emulator.faults.clear()
            await until(lambda: ada.connection.state == "connected" == bob.connection.state, "both are back")
            await theirs.attach(timeout=PATIENCE)
            _ = await (await mine.send("after")).wait("sent", timeout=PATIENCE)

            assert isinstance(await events.next(timeout=PATIENCE), Discontinuity)
            last = await events.next(timeout=PATIENCE)
            assert isinstance(last, MessageCreated)
            assert last.message.text == "after"

    @pytest.mark.long
    def test_a_look_beside_a_stream_doubles_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whichever of them brings a message first: the session tells it once (I2)."""
        monkeypatch.setattr(listening, "BESIDE", 0.02)
        kit = CallsKit("sse")

        async def story() -> None:
            async with stage(kit) as on:
                ada, bob = await on.join("ada"), await on.join("bob", on.channel)
                said = [f"message {number}" for number in range(20)]
                for text in said:
                    await ada.say(text)
                await bob.hears(*said)

        kit.run(story())
