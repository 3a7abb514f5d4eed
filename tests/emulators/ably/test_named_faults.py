"""Each fault that the emulator promises, from Python and over the control endpoint, as a client sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from chatkit.testing.emulators.ably import AblyEmulator, Aim, ErrorInfo, Fault
from chatkit.testing.emulators.ably.wire import Action, Flag
from chatkit.testing.emulators.faults import CallFault
from tests.emulators.ably.raw import KEY, Raw, basic, call, emulated, struck

pytestmark = pytest.mark.realtime


class Python:
    """Faults as a test in Python makes them."""

    def __init__(self, ably: AblyEmulator) -> None:
        self.ably = ably

    async def fault(self, **fields: Any) -> None:
        error = fields.pop("error", None)
        self.ably.add_fault(Fault(error=ErrorInfo(**error) if error else None, **fields))

    async def deed(self, name: str, **aim: Any) -> None:
        error = aim.pop("error", None)
        deed = getattr(self.ably.deeds, name)
        assert deed(Aim(error=ErrorInfo(**error) if error else None, **aim)) == 1

    async def call_fault(self, **fields: Any) -> None:
        self.ably.faults.add(CallFault(**fields))


class Control(Python):
    """The same by HTTP, as any other program makes them."""

    def __init__(self, ably: AblyEmulator, session: aiohttp.ClientSession) -> None:
        super().__init__(ably)
        self._session = session

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        async with self._session.post(f"{self.ably.url}/_emulator{path}", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def fault(self, **fields: Any) -> None:
        await self._post("/ably/fault", fields)

    async def deed(self, name: str, **aim: Any) -> None:
        assert (await self._post(f"/ably/{name.replace('_', '-')}", aim))["struck"] == 1

    async def call_fault(self, **fields: Any) -> None:
        await self._post("/faults/call", fields)


@asynccontextmanager
async def faulty(way: str) -> AsyncGenerator[Python]:
    async with emulated() as ably, aiohttp.ClientSession() as session:
        yield Python(ably) if way == "python" else Control(ably, session)


both_ways = pytest.mark.parametrize("way", ["python", "control"])


async def whole_life(ably: AblyEmulator) -> None:
    """Every step of the protocol, once in either direction."""
    async with Raw(ably, clientId="ann") as ann, Raw(ably, clientId="bob") as bob:
        await bob.attach("c")
        await bob.send(Action.PRESENCE, channel="c", presence=[{"action": 2}])
        await bob.answer()
        await ann.attach("c")
        await ann.until(Action.SYNC)
        await ann.send(Action.MESSAGE, channel="c", messages=[{"data": "x"}])
        await ann.until(Action.MESSAGE)
        await ann.send(Action.PRESENCE, channel="c", presence=[{"action": 2}])
        await ann.until(Action.PRESENCE)
        await ann.send(Action.HEARTBEAT, id="x")
        await ann.until(Action.HEARTBEAT)
        await ann.send(Action.DETACH, channel="c")
        await ann.until(Action.DETACHED)
        await ann.send(Action.CLOSE)
        await ann.until(Action.CLOSED)


STEPS = [
    *(("in", step) for step in ("CONNECT", "ATTACH", "MESSAGE", "PRESENCE", "HEARTBEAT", "DETACH", "CLOSE")),
    *(("out", step) for step in ("CONNECTED", "ATTACHED", "SYNC", "ACK", "MESSAGE", "PRESENCE", "HEARTBEAT")),
    *(("out", step) for step in ("DETACHED", "CLOSED")),
]


@both_ways
async def test_the_transport_is_killed_at_any_step(way: str) -> None:
    """At each frame that a client sends or is sent from its opening to its end; without the fault it gets there."""
    async with faulty(way) as faults:
        await whole_life(faults.ably)
        for direction, step in STEPS:
            await faults.fault(does="abort", way=direction, action=step, client="ann")
            with pytest.raises((ConnectionError, aiohttp.ClientError)):
                await whole_life(faults.ably)
            assert faults.ably.protocol_faults == [], step


@both_ways
async def test_a_connection_is_half_open(way: str) -> None:
    """At a frame, or at once: nothing comes and nothing ends; the connection can be resumed elsewhere."""
    async with faulty(way) as faults, Raw(faults.ably) as client:
        await faults.fault(does="stall", action="HEARTBEAT")
        await client.send(Action.HEARTBEAT, id="x")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.next()
        async with Raw(faults.ably, resume=client.key) as again:
            assert again.id == client.id
            await faults.deed("stall", connection=again.id)
            await again.send(Action.HEARTBEAT, id="x")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await again.next()
            for socket in list(faults.ably.sockets.values()):
                socket.abort()


@both_ways
async def test_acks_are_delayed_dropped_and_doubled(way: str) -> None:
    """The publish took place each time; a lost ACK never comes."""
    async with faulty(way) as faults, Raw(faults.ably) as client:
        await faults.fault(does="delay", way="out", action="ACK", seconds=2.0)
        await client.send(Action.MESSAGE, channel="c", messages=[{}])
        await struck(faults.ably)
        faults.ably.clock.advance(3)
        assert (await client.next())["msgSerial"] == 0
        await faults.fault(does="drop", way="out", action="ACK", times=2)
        for _ in range(2):
            await client.send(Action.MESSAGE, channel="c", messages=[{}])
            await client.send(Action.HEARTBEAT, id="x")
            assert (await client.next())["id"] == "x"
        await faults.fault(does="duplicate", way="out", action="ACK")
        assert (await client.publish("c", {}))["msgSerial"] == 3
        assert (await client.next())["msgSerial"] == 3
        assert len(faults.ably.app.channel("c").store) == 4


@both_ways
async def test_a_publish_is_refused(way: str) -> None:
    """NACK with the error asked for, as too high a rate: 42911; nothing was published."""
    async with faulty(way) as faults, Raw(faults.ably) as client:
        await faults.fault(does="nack", action="MESSAGE", channel="c", error={"code": 42911})
        nack = await client.publish("c", {})
        assert nack["action"] == Action.NACK
        error = nack["error"]
        assert (error["code"], error["statusCode"]) == (42911, 429)
        assert error["message"] == "per-connection publish rate exceeded"
        assert (await client.publish("c", {}))["action"] == Action.ACK


@both_ways
async def test_disconnected_comes_with_and_without_an_error(way: str) -> None:
    """Then the socket closes, and the connection can be resumed."""
    async with faulty(way) as faults:
        for error in (None, {"code": 80003, "status": 503, "message": "gone"}):
            async with Raw(faults.ably) as client:
                given = {"error": error} if error else {}
                await faults.deed("disconnect", connection=client.id, **given)
                told = await client.next()
                assert told["action"] == Action.DISCONNECTED
                assert ("error" in told) == (error is not None)
                assert await client.ends()
            async with Raw(faults.ably, resume=client.key) as again:
                assert again.id == client.id


@both_ways
async def test_the_connection_fails(way: str) -> None:
    """ERROR at a frame or at once; nothing is left to be resumed."""
    async with faulty(way) as faults:
        async with Raw(faults.ably) as client:
            await faults.fault(does="error", action="HEARTBEAT", error={"code": 80000})
            await client.send(Action.HEARTBEAT)
            assert (await client.next())["error"]["code"] == 80000
        async with Raw(faults.ably, resume=client.key) as other:
            assert other.id != client.id
            await faults.deed("fail", connection=other.id, error={"code": 50002})
            assert (await other.until(Action.ERROR))["error"]["statusCode"] == 500
            assert await other.ends()


@both_ways
async def test_a_resume_is_refused(way: str) -> None:
    """A new connection id, with the error; channels tell the truth about themselves."""
    async with faulty(way) as faults:
        async with Raw(faults.ably) as first:
            serial = (await first.attach("c"))["channelSerial"]
        await faults.fault(does="refuse", action="CONNECT", connection=first.id, error={"code": 80018})
        async with Raw(faults.ably, resume=first.key) as second:
            assert second.id != first.id
            assert second.greeting["error"]["code"] == 80018
            assert Flag.RESUMED in Flag((await second.attach("c", channelSerial=serial))["flags"])


@both_ways
async def test_the_node_moves(way: str) -> None:
    """DISCONNECTED, then a new connection id; members leave, channels keep continuity."""
    async with faulty(way) as faults, Raw(faults.ably) as watcher:
        await watcher.attach("c")
        async with Raw(faults.ably, clientId="ann") as ann:
            serial = (await ann.attach("c"))["channelSerial"]
            await ann.send(Action.PRESENCE, channel="c", presence=[{"action": 2}])
            await ann.answer()
            await watcher.until(Action.PRESENCE)
            await faults.deed("move", client="ann")
            assert (await ann.until(Action.DISCONNECTED)) == {"action": Action.DISCONNECTED}
            assert (await watcher.until(Action.PRESENCE))["presence"][0]["action"] == 3
        async with Raw(faults.ably, resume=ann.key, clientId="ann") as again:
            assert again.id != ann.id
            assert again.greeting["error"]["code"] == 80023
            assert Flag.RESUMED in Flag((await again.attach("c", channelSerial=serial))["flags"])


@both_ways
async def test_a_token_expires(way: str) -> None:
    """DISCONNECTED with 40142; that token is refused everywhere, another one resumes the connection."""
    async with faulty(way) as faults:
        authority = faults.ably.app.authority
        old, new = (authority.issue("app.key", {}, authority.by_key(KEY))["token"] for _ in range(2))
        async with Raw(faults.ably, accessToken=old) as client:
            await faults.deed("expire", connection=client.id)
            assert (await client.next())["error"]["code"] == 40142
        async with Raw(faults.ably, accessToken=old, resume=client.key) as refused:
            assert refused.greeting["error"]["code"] == 40142
        headers = {"Authorization": f"Bearer {old}"}
        status, body, _ = await call(faults.ably, "GET", "/channels/c/messages", key=None, headers=headers)
        assert (status, body["error"]["code"]) == (401, 40142)
        async with Raw(faults.ably, accessToken=new, resume=client.key) as again:
            assert again.id == client.id


@both_ways
async def test_a_call_fails_with_5xx_and_history_is_unavailable(way: str) -> None:
    """Once before it had its effect, once after; only calls of the path that was named."""
    path = "/channels/c/messages"
    async with faulty(way) as faults, aiohttp.ClientSession() as session:

        async def status(method: str) -> int:
            body = {"data": "x"} if method == "POST" else None
            async with session.request(method, faults.ably.url + path, json=body, headers=basic()) as answer:
                return answer.status

        await faults.call_fault(does="fail", path=path, method="POST", status=500)
        assert [await status("POST"), await status("POST")] == [500, 201]
        await faults.call_fault(does="fail", moment="after", path=path, method="POST", status=504)
        assert await status("POST") == 504
        assert len(faults.ably.app.channel("c").store) == 2
        await faults.call_fault(does="fail", path=path, method="GET", status=503, times=2)
        assert [await status("GET") for _ in range(3)] == [503, 503, 200]
        await faults.call_fault(does="reset", moment="after", path=path, method="POST")
        with pytest.raises(aiohttp.ClientError):
            await status("POST")
        assert len(faults.ably.app.channel("c").store) == 3


NEVER: list[tuple[dict[str, Any], str]] = [
    ({"does": "drop", "action": "MESSAGES"}, "MESSAGE, "),
    (
        {"does": "nack", "action": "ATTACH"},
        "nack answers a frame on the way in: action is one of MESSAGE, PRE",
    ),
    ({"does": "nack", "action": "MESSAGE", "way": "out"}, "way in"),
    ({"does": "refuse"}, "CONNECT"),
    ({"does": "replace", "frame": {"action": 0}}, "way out"),
    ({"does": "replace", "way": "out"}, "frame"),
    ({"does": "abort", "action": "CONNECT", "way": "out"}, "way in"),
    ({"does": "delay", "action": "CONNECT"}, "nor delayed"),
    ({"does": "drop", "times": 0}, "times"),
    ({"does": "drop", "skip": -1}, "skip"),
    ({"does": "delay", "seconds": -1.0}, "seconds"),
    ({"does": "drop", "chanel": "c"}, "chanel"),
]


async def test_a_fault_that_could_never_strike_is_refused() -> None:
    """With 400 and a word on what it takes; so is a deed that there is not."""
    async with emulated() as ably, aiohttp.ClientSession() as session:
        url = f"{ably.url}/_emulator"
        for fault, word in NEVER:
            async with session.post(f"{url}/ably/fault", json=fault) as answer:
                assert answer.status == 400
                error = (await answer.json())["error"]
                assert word in error
                assert "Value error" not in error
        async with session.post(f"{url}/ably/explode", json={}) as answer:
            assert (await answer.json())["error"].startswith(
                "no deed 'explode': one of abort, attached, detach"
            )
        for clock in ({"advance": -1.0}, {"advance": 1e300}, {"skew": 1e300}):
            async with session.post(f"{url}/clock", json=clock) as answer:
                assert answer.status == 400
        assert ably.protocol_faults == []
