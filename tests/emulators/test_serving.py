"""What all emulators share: one port, faults, a clock, a control endpoint, a clean end."""

from __future__ import annotations

import asyncio
import json
import socket
from functools import partial
from typing import Any

import aiohttp
import pytest

from chatkit.testing.emulators import control, sockets
from chatkit.testing.emulators.clock import EmulatorClock
from chatkit.testing.emulators.faults import MOST, CallFault, Faults, FrameFault
from chatkit.testing.emulators.pusher import PusherEmulator, PusherSettings
from tests.emulators.wire import Wires, serving

pytestmark = pytest.mark.realtime


# -- a beginning and an end


async def test_it_serves_within_its_context() -> None:
    """On a port that was free, told afterwards; then nobody listens there."""
    async with serving() as wires:
        url = wires.emulator.url
        wire = await wires.connect()
        await wire.nothing_more()

    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(url)


async def test_a_taken_port_is_an_error() -> None:
    """And leaves nothing."""
    async with serving() as wires:
        second = PusherEmulator(port=wires.emulator.port)
        with pytest.raises(OSError, match="in use"):
            await second.start()


async def test_its_end_sends_clients_away() -> None:
    """With the provider's own code; a connection that lets nothing through is cut."""
    emulator = PusherEmulator()
    async with aiohttp.ClientSession() as session:
        async with emulator:
            wires = Wires(emulator, session)
            wire, deaf = await wires.connect(), await wires.connect()
            emulator.sockets[deaf.socket_id].stall()
            ends = asyncio.gather(wire.end(), deaf.end())

        assert [code for code, _ in await ends] == [4200, 1006]
        await wires.close()
    await emulator.aclose()  # again: nothing to do


@pytest.mark.parametrize("turns", range(6))
async def test_who_comes_at_its_end_is_cut_off(turns: int) -> None:
    """However far the loop has come with them: each of their connections ends with the emulator."""
    emulator = PusherEmulator()
    await emulator.start()
    came = [socket.create_connection((emulator.host, emulator.port)) for _ in range(20)]
    for _ in range(turns):
        await asyncio.sleep(0)

    await emulator.aclose()

    for connection in came:
        connection.settimeout(0)
        try:
            ended = connection.recv(1) == b""
        except ConnectionResetError:
            ended = True
        connection.close()
        assert ended


async def test_its_address_is_told_for_both_kinds() -> None:
    """Version 6 in brackets."""
    assert PusherEmulator(host="::1", port=80).url == "http://[::1]:80"


# -- frames


async def test_a_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """When too much waits for it (I10)."""
    monkeypatch.setattr(sockets, "MOST_WAITING", 20)
    async with serving() as wires:
        wire = await wires.connect()
        socket = wires.emulator.sockets[wire.socket_id]
        socket.stall()

        for _ in range(30):
            socket.send("x")

        assert not socket.open


async def test_what_is_sent_during_a_stall_comes_late() -> None:
    """In both directions, as over a network that recovers."""
    async with serving() as wires:
        wire = await wires.connect()
        socket = wires.emulator.sockets[wire.socket_id]

        socket.stall()
        await wire.say("pusher:ping", {})
        socket.send('{"event":"first"}')
        with pytest.raises(TimeoutError):
            await wire.socket.receive(timeout=0.02)
        socket.resume()

        assert [(await wire.hear())["event"] for _ in range(2)] == ["first", "pusher:pong"]


async def test_pings_of_the_protocol_are_answered_or_not() -> None:
    """A deaf connection still hears everything else."""
    async with serving() as wires:
        wire = await wires.connect(autoping=False)
        await wire.socket.ping(b"there?")
        pong = await wire.socket.receive(timeout=5)
        assert (pong.type, pong.data) == (aiohttp.WSMsgType.PONG, b"there?")

        assert await wires.control("POST", f"/sockets/{wire.socket_id}/deafen") == (200, {"sockets": 1})
        await wire.socket.ping(b"there?")
        await wire.socket.pong(b"unasked")

        await wire.nothing_more()


@pytest.mark.parametrize("fault", ["drop", "duplicate", "delay", "replace", "abort", "stall", "close"])
async def test_each_fault_strikes_a_frame(fault: Any) -> None:
    """The frame with this label, once."""
    async with serving() as wires:
        wire = await wires.connect()
        socket = wires.emulator.sockets[wire.socket_id]
        wires.emulator.faults.add(
            FrameFault(does=fault, only="b", seconds=60, text='{"event":"c"}', code=4100, reason="full")
        )

        socket.send('{"event":"a"}')
        socket.send('{"event":"b"}')
        assert (await wire.hear())["event"] == "a"
        if fault == "abort":
            assert (await wire.end())[0] == 1006
            return
        if fault == "close":
            assert await wire.end() == (4100, "full")
            return
        if fault == "stall":
            socket.resume()
        if fault == "delay":
            wires.emulator.clock.advance(60)
        socket.send('{"event":"d"}')

        heard = [(await wire.hear())["event"]]
        while heard[-1] != "d":
            heard.append((await wire.hear())["event"])
        came = {"duplicate": ["b", "b", "d"], "delay": ["b", "d"], "replace": ["c", "d"]}
        assert heard == came.get(fault, ["d"])


async def test_a_frame_of_a_client_may_be_lost() -> None:
    """On its way in, by a condition of one's own."""
    async with serving() as wires:
        wire = await wires.connect()
        fault = wires.emulator.faults.add(
            FrameFault(does="drop", way="in", when=lambda frame: "lost" in str(frame))
        )

        await wire.say("pusher:subscribe", {"channel": "lost"})
        await wire.say("pusher:subscribe", {"channel": "found"})

        assert (await wire.hear())["channel"] == "found"
        assert fault.times == 0
        assert not wires.emulator.faults


async def test_a_cut_ends_what_waits() -> None:
    """Also a frame that is held back, in either direction."""
    async with serving() as wires:
        for way in ("in", "out"):
            wire = await wires.connect()
            wires.emulator.faults.add(FrameFault(does="delay", way=way, only="pusher:ping", seconds=1e6))
            wires.emulator.faults.add(FrameFault(does="delay", only="pusher:pong", seconds=1e6))
            await wire.say("pusher:ping", {})
            await asyncio.sleep(0.01)

            wires.emulator.sockets[wire.socket_id].abort()

            assert (await wire.end())[0] == 1006
            wires.emulator.faults.clear()


def test_faults_are_bounded() -> None:
    """What nobody uses up is an error at some point (I10)."""
    faults = Faults()
    for _ in range(MOST):
        faults.add(FrameFault(does="drop"))

    with pytest.raises(ValueError, match="clear"):
        faults.add(CallFault(does="reset"))


# -- calls


async def test_a_call_may_fail_before_or_after_its_effect() -> None:
    """With any status, text and headers; the others pass."""
    async with serving() as wires:
        wire = await wires.connect()
        await wire.join("room")
        for moment in ("before", "after"):
            wires.emulator.faults.add(
                CallFault(
                    does="fail", moment=moment, path="/events", status=429, headers={"Retry-After": "3"}
                )
            )

        assert [(await wires.publish("room", str(n)))[0] for n in range(3)] == [429, 200, 200]
        wires.emulator.faults.clear()
        assert [(await wire.hear())["data"] for _ in range(2)] == ["1", "2"]


def test_a_call_is_known_by_what_it_shows() -> None:
    """Its method, its path, and the credentials that it comes with, which no fault repeats (I16)."""
    faults = Faults()
    fault = faults.add(CallFault(does="reset", method="GET", path="/time", authorization="Bearer abc"))

    assert faults.call("GET", "/time", "") == []
    assert faults.call("GET", "/channels", "Bearer abc") == []
    assert faults.call("POST", "/time", "Bearer abc") == []
    assert "abc" not in repr(fault)
    assert faults.call("GET", "/time", "Bearer abcd") == [fault]


async def test_a_call_may_be_cut_or_late() -> None:
    """Without an answer, or after a while of the emulator's time."""
    async with serving() as wires:
        wires.emulator.faults.add(CallFault(does="reset", method="POST"))
        with pytest.raises(aiohttp.ClientConnectionError):
            await wires.publish("room", "x")

        wires.emulator.faults.add(CallFault(does="delay", seconds=60, skip=1))
        assert (await wires.publish("room", "x"))[0] == 200
        late = asyncio.create_task(wires.publish("room", "x"))
        await asyncio.sleep(0.02)
        assert not late.done()
        wires.emulator.clock.advance(60)

        assert (await late)[0] == 200


# -- time


async def test_time_moves_when_told_to() -> None:
    """What falls due is called in order, the rest is not; a cancelled timer never."""
    clock, called = EmulatorClock(unix=lambda: 1000.0), list[int]()
    timers = [clock.call_later(10 * n, partial(called.append, n)) for n in (3, 1, 2, 5)]
    timers[0].cancel()

    clock.advance(25)
    await asyncio.sleep(0.005)

    assert called == [1, 2]
    assert clock.unix() == 1025
    clock.set_skew(-600)
    assert clock.unix() == 425
    clock.stop()
    clock.advance(100)
    await asyncio.sleep(0.005)
    assert called == [1, 2]


async def test_time_may_move_at_every_turn() -> None:
    """What has fallen due is called all the same, in order."""
    clock, called = EmulatorClock(), list[int]()
    for seconds in (3, 1, 2):
        clock.call_later(seconds, partial(called.append, seconds))

    for _ in range(10):
        clock.advance(1)
        await asyncio.sleep(0)

    assert called == [1, 2, 3]


async def test_time_passes_by_itself_too() -> None:
    """A sleep ends when its time has come."""
    clock = EmulatorClock()
    before = clock.monotonic()

    await clock.sleep(0.01)

    assert clock.monotonic() - before >= 0.01


# -- the control endpoint


async def test_the_control_endpoint_tells_what_there_is() -> None:
    """Settings, time, connections and waiting faults, as JSON."""
    async with serving() as wires:
        wire = await wires.connect()
        await wire.join("room")
        await wires.control("POST", "/faults/frame", {"does": "drop", "only": "said"})

        status, told = await wires.control("GET", "")

        assert status == 200
        assert told["name"] == "pusher"
        assert told["settings"]["app_id"] == "1001"
        assert told["sockets"] == {wire.socket_id: {"stalled": False, "channels": ["room"], "user": None}}
        assert [fault["does"] for fault in told["faults"]] == ["drop"]
        assert await wires.control("DELETE", "/faults") == (200, {})
        assert not wires.emulator.faults


async def test_the_control_endpoint_does_what_python_does() -> None:
    """Faults, settings, time, and an end to connections."""
    async with serving() as wires:
        wire = await wires.connect()
        then = wires.emulator.clock.unix()

        assert (await wires.control("PATCH", "/settings", {"members": 3}))[0] == 200
        assert (await wires.control("POST", "/clock", {"advance": 50.0, "skew": 7.0}))[0] == 200
        assert (await wires.control("POST", "/faults/call", {"does": "fail", "status": 502}))[0] == 200
        assert (await wires.publish("room", "x"))[0] == 502
        for deed in ("stall", "resume"):
            assert await wires.control("POST", f"/sockets/*/{deed}") == (200, {"sockets": 1})
        closing = {"code": 4202, "reason": "idle"}
        assert await wires.control("POST", f"/sockets/{wire.socket_id}/close", closing) == (
            200,
            {"sockets": 1},
        )

        assert wires.emulator.settings.members == 3
        assert 57 <= wires.emulator.clock.unix() - then < 60
        assert await wire.end() == (4202, "idle")
        other = await wires.connect()
        await wires.control("POST", "/sockets/*/abort")
        assert (await other.end())[0] == 1006


@pytest.mark.parametrize(
    ("method", "path", "body", "told"),
    [
        ("PATCH", "/settings", {"members": "many"}, "members: Input should be a valid integer"),
        ("PATCH", "/settings", {"nothing": 1}, "nothing: Unexpected keyword argument"),
        ("POST", "/faults/frame", {"does": "explode"}, "does: Input should be 'drop'"),
        ("POST", "/faults/call", {}, "does: Field required"),
    ],
    ids=str,
)
async def test_what_the_control_endpoint_does_not_know_is_an_error(
    method: str, path: str, body: Any, told: str
) -> None:
    """It says which field is wrong, and nothing has changed."""
    async with serving() as wires:
        status, answer = await wires.control(method, path, body)

        assert status == 400
        assert answer["error"].startswith(told)
        assert wires.emulator.settings == PusherSettings()


async def test_too_many_faults_are_told_there_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an error with what to do."""
    async with serving() as wires:
        for _ in range(MOST):
            wires.emulator.faults.add(CallFault(does="reset", path="/none"))

        status, told = await wires.control("POST", "/faults/frame", {"does": "drop"})

        assert (status, told) == (400, {"error": "more than 1000 faults wait: clear() them first"})


async def test_a_web_page_cannot_use_the_control_endpoint() -> None:
    """It could send only what a browser does not ask about first."""
    async with serving() as wires:
        status, _ = await wires.control(
            "POST",
            "/clock",
            json=None,
            data=json.dumps({"advance": 1e6}),
            headers={"Content-Type": "text/plain"},
        )

        assert status == 415


async def test_other_machines_cannot_use_the_control_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the emulator may listen for them."""
    is_here = control._is_here
    monkeypatch.setattr(control, "_is_here", lambda remote: is_here("10.0.0.7"))
    async with serving() as wires:
        assert (await wires.control("GET", ""))[0] == 403


@pytest.mark.parametrize(
    ("address", "here"), [("127.0.0.1", True), ("::1", True), ("fe80::1%eth0", False), (None, False)]
)
def test_this_machine_is_known_by_its_address(address: str | None, *, here: bool) -> None:
    """Of either kind; whoever has none is a stranger."""
    assert control._is_here(address) is here
