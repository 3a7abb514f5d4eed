"""Faults on demand in Ably's protocol: from Python, and over the control endpoint."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from chatkit.testing.emulators.ably import AblyEmulator, Aim, ErrorInfo, Fault
from chatkit.testing.emulators.ably.faults import Faults, Who
from chatkit.testing.emulators.ably.wire import Action, Flag, Format
from tests.emulators.ably.raw import KEY, Raw, emulated, gone, struck

pytestmark = pytest.mark.realtime


async def test_a_frame_is_lost_doubled_or_replaced() -> None:
    """In either direction, once, after those that it skips."""
    async with emulated() as ably, Raw(ably) as client:
        await client.attach("c")
        ably.add_fault(Fault(does="drop", way="out", action="ACK", skip=1))
        await client.publish("c", {"data": "a"})
        await client.send(Action.MESSAGE, channel="c", messages=[{"data": "b"}])
        assert (await client.publish("c", {"data": "c"}))["msgSerial"] == 2
        ably.add_fault(Fault(does="duplicate", way="out", action="ACK"))
        await client.publish("c", {"data": "d"})
        assert (await client.answer())["msgSerial"] == 3
        ably.add_fault(Fault(does="replace", way="out", action="ACK", frame={"action": 0, "id": "x"}))
        await client.send(Action.MESSAGE, channel="c", messages=[{"data": "e"}])
        assert (await client.until(Action.HEARTBEAT))["id"] == "x"
        ably.add_fault(Fault(does="drop", action="MESSAGE"))
        await client.send(Action.MESSAGE, channel="c", messages=[{"data": "lost"}])
        ably.add_fault(Fault(does="duplicate", action="MESSAGE"))
        await client.publish("c", {"data": "f"})
        assert [item["data"] for item in ably.app.channel("c").store.latest()] == list("abcdef")
        assert ably.protocol_faults == []


async def test_a_publish_is_nacked_or_taken_late() -> None:
    """The error is the one that was asked for, or 50000; what comes behind a frame that is late is late too."""
    async with emulated() as ably, Raw(ably) as client:
        ably.add_fault(Fault(does="nack", action="MESSAGE", error=ErrorInfo(code=42911)))
        assert (await client.publish("c", {}))["error"]["statusCode"] == 429
        ably.add_fault(Fault(does="nack", action="MESSAGE"))
        assert (await client.publish("c", {}))["error"]["code"] == 50000
        ably.add_fault(Fault(does="delay", action="MESSAGE", seconds=5.0))
        await client.send(Action.MESSAGE, channel="c", messages=[{}])
        await client.send(Action.HEARTBEAT, id="x")
        await struck(ably)
        assert len(ably.app.channel("c").store) == 0
        ably.clock.advance(6)
        assert (await client.next())["msgSerial"] == 2
        assert (await client.next())["id"] == "x"
        ably.add_fault(Fault(does="delay", action="HEARTBEAT", seconds=10.0))
        await client.send(Action.HEARTBEAT, id="never")
        await struck(ably)
        ably.deeds.abort(Aim())
        assert await client.ends()
        await gone(ably)


async def test_a_delay_holds_what_is_behind_it() -> None:
    """Frames leave in the order in which they were made; a close lets them go."""
    async with emulated() as ably, Raw(ably) as client:
        ably.add_fault(Fault(does="delay", way="out", action="ACK", seconds=5.0))
        await client.send(Action.MESSAGE, channel="c", messages=[{}])
        await client.send(Action.HEARTBEAT, id="x")
        await struck(ably)
        ably.clock.advance(6)
        assert (await client.next())["action"] == Action.ACK
        assert (await client.until(Action.HEARTBEAT))["id"] == "x"
        ably.add_fault(Fault(does="delay", way="out", action="ACK", seconds=5.0))
        await client.send(Action.MESSAGE, channel="c", messages=[{}])
        await client.send(Action.CLOSE)
        assert (await client.next())["action"] == Action.ACK
        assert (await client.until(Action.CLOSED))["action"] == Action.CLOSED


async def test_a_transport_is_cut_at_a_frame_or_after_it() -> None:
    """The frame is lost; or it was done, and its answer got out or did not."""
    async with emulated() as ably:
        async with Raw(ably) as client:
            ably.add_fault(Fault(does="abort", action="MESSAGE"))
            await client.send(Action.MESSAGE, channel="c", messages=[{}])
            assert await client.ends()
        assert len(ably.app.channel("c").store) == 0
        async with Raw(ably) as client:
            ably.add_fault(Fault(does="abort", action="MESSAGE", after=True))
            await client.send(Action.MESSAGE, channel="c", messages=[{}])
            assert await client.ends()
        assert len(ably.app.channel("c").store) == 1
        async with Raw(ably) as client:
            ably.add_fault(Fault(does="abort", way="out", action="ACK", after=True))
            assert (await client.publish("c", {}))["action"] == Action.ACK
            assert await client.ends()


async def test_an_opening_is_refused_or_left_unanswered() -> None:
    """ERROR, DISCONNECTED with and without an error, or nothing."""
    async with emulated() as ably:
        ably.add_fault(Fault(does="error", action="CONNECT", query={"tag": "x"}, error=ErrorInfo(code=40005)))
        async with Raw(ably, tag="y") as other:
            assert other.greeting["action"] == Action.CONNECTED
        async with Raw(ably, tag="x") as client:
            assert client.greeting["error"]["code"] == 40005
        ably.add_fault(Fault(does="disconnect", action="CONNECT"))
        async with Raw(ably) as client:
            assert client.greeting == {"action": Action.DISCONNECTED}
        ably.add_fault(Fault(does="disconnect", action="CONNECT", error=ErrorInfo(code=80003, status=503)))
        async with Raw(ably) as client:
            assert client.greeting["error"]["statusCode"] == 503
        for fault in (Fault(does="drop", action="CONNECT"), Fault(does="stall", action="CONNECT")):
            ably.add_fault(fault)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1), Raw(ably):
                    pass


async def test_a_resume_is_refused_on_demand() -> None:
    """A new connection with 80018, or the error that was asked for."""
    async with emulated() as ably:
        for error, code in ((None, 80018), (ErrorInfo(code=80008), 80008)):
            async with Raw(ably) as first:
                pass
            ably.add_fault(Fault(does="refuse", action="CONNECT", connection=first.id, error=error))
            async with Raw(ably, resume=first.key) as second:
                assert second.id != first.id
                assert second.greeting["error"]["code"] == code


async def test_an_attach_is_refused_on_demand() -> None:
    """ERROR of the channel; anywhere else ERROR is of the connection."""
    async with emulated() as ably, Raw(ably, Format.MSGPACK) as client:
        ably.add_fault(Fault(does="error", action="ATTACH", channel="c", error=ErrorInfo(code=90001)))
        assert (await client.attach("c"))["error"]["code"] == 90001
        assert (await client.attach("c"))["action"] == Action.ATTACHED
        ably.add_fault(Fault(does="error", action="HEARTBEAT", error=ErrorInfo(code=80000)))
        await client.send(Action.HEARTBEAT)
        assert (await client.next())["error"]["code"] == 80000


async def test_deeds_are_done_at_once() -> None:
    """Each says how many it struck; an aim says whom."""
    async with emulated() as ably, Raw(ably, clientId="ann") as ann, Raw(ably, clientId="bob") as bob:
        await ann.attach("c")
        await ann.send(Action.PRESENCE, channel="c", presence=[{"action": 2}])
        await ann.answer()
        deeds = ably.deeds
        assert deeds.attached(Aim(channel="c", error=ErrorInfo(code=90003))) == 1
        again = await ann.until(Action.ATTACHED)
        assert not Flag(again["flags"]) & Flag.RESUMED
        assert again["error"]["code"] == 90003
        assert deeds.reauth(Aim(client="ann")) == 1
        await ann.until(Action.AUTH)
        assert deeds.detach(Aim(channel="none")) == 0
        assert deeds.detach(Aim(connection=ann.id)) == 1
        assert "error" not in await ann.until(Action.DETACHED)
        await ann.attach("c")
        assert deeds.fail_channel(Aim(channel="c")) == 1
        assert (await ann.until(Action.ERROR))["error"]["code"] == 90000
        assert len(ably.app.channel("c").presence) == 0
        assert deeds.disconnect(Aim(client="ann", error=ErrorInfo(code=80003))) == 1
        assert (await ann.until(Action.DISCONNECTED))["error"]["code"] == 80003
        assert deeds.fail(Aim(client="bob")) == 1
        assert (await bob.until(Action.ERROR))["error"]["code"] == 50000
        assert deeds.abort(Aim(client="bob")) == 0


async def test_event_streams_end_on_demand() -> None:
    """Those of a client id or channel, with an error event or without."""
    async with emulated() as ably, aiohttp.ClientSession() as session:
        key = ably.app.authority.by_key(KEY)
        ends = [
            (Aim(client="ann", error=ErrorInfo(code=40160)), "event: error"),
            (Aim(channel="a"), ""),
            (Aim(client="bob", channel="b"), None),
        ]
        for aim, said in ends:
            token = ably.app.authority.issue("app.key", {"clientId": "ann"}, key)["token"]
            query = {"v": "1.2", "channels": "a", "accessToken": token}
            async with session.get(f"{ably.url}/sse", params=query) as answer:
                assert ably.deeds.named["end-streams"](aim) == (said is not None)
                if said is not None:
                    assert (await answer.text()).startswith(said)
                    assert ably.app.streams == set()


async def test_websockets_may_be_blocked() -> None:
    """As by a proxy: it answers 403 in place of the upgrade; calls are answered as ever."""
    async with emulated(websockets=False) as ably, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(ably.url, params={"v": "6", "key": KEY})
        assert refused.value.status == 403
        async with session.get(f"{ably.url}/time") as answer:
            assert answer.status == 200

        ably.change(websockets=True)

        async with Raw(ably) as client:
            assert client.greeting["action"] == Action.CONNECTED


async def test_a_node_goes_and_a_state_is_forgotten() -> None:
    """No resume succeeds; members of a moved node leave; a stalled transport says nothing."""
    async with emulated() as ably:
        async with Raw(ably) as moved:
            assert ably.deeds.move(Aim(connection=moved.id)) == 1
            assert (await moved.next())["action"] == Action.DISCONNECTED
        async with Raw(ably, resume=moved.key) as other:
            assert other.greeting["error"]["code"] == 80023
            assert ably.deeds.forget(Aim(connection=other.id)) == 1
            assert ably.deeds.expire(Aim(connection=other.id)) == 0
        async with Raw(ably, resume=other.key) as third:
            assert third.id != other.id
            assert ably.deeds.expire(Aim(connection=third.id)) == 1
            assert (await third.next())["error"]["code"] == 40142
        assert ably.deeds.forget(Aim(connection=third.id)) == 1
        async with Raw(ably) as fourth:
            assert ably.deeds.stall(Aim()) == 1
            await fourth.send(Action.HEARTBEAT)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await fourth.next()
            assert ably.deeds.abort(Aim()) == 1


async def test_members_of_a_forgotten_connection_leave_all_the_same() -> None:
    """As after any drop, though nothing can resume it."""
    async with emulated() as ably, Raw(ably) as watcher:
        await watcher.attach("c")
        async with Raw(ably, clientId="ann") as ann:
            await ann.attach("c")
            await ann.send(Action.PRESENCE, channel="c", presence=[{"action": 2}])
            await ann.answer()
            await watcher.until(Action.PRESENCE)
            assert ably.deeds.forget(Aim(client="ann")) == 1
        await gone(ably, left=1)
        ably.clock.advance(16)
        assert (await watcher.until(Action.PRESENCE))["presence"][0]["action"] == 3


async def test_lost_continuity_leaves_history() -> None:
    """The channel cannot be resumed from before; what is remembered stays."""
    async with emulated() as ably, Raw(ably) as client:
        attached = await client.attach("c")
        await client.publish("c", {"data": "kept"})
        assert ably.deeds.lose_continuity(Aim(channel="c")) == 1
        again = await client.attach("c", channelSerial=attached["channelSerial"])
        assert again["error"]["code"] == 90003
        assert len(ably.app.channel("c").store) == 1


async def test_the_control_endpoint_takes_faults_and_deeds() -> None:
    """What is unknown, malformed or of a wrong type is refused and changes nothing."""
    async with emulated() as ably, Raw(ably, clientId="ann") as client, aiohttp.ClientSession() as session:
        url = f"{ably.url}/_emulator"

        async def post(path: str, body: object) -> tuple[int, dict[str, object]]:
            async with session.post(url + path, json=body) as answer:
                return answer.status, await answer.json()

        assert await post("/ably/fault", {"does": "nack", "action": "MESSAGE", "channel": "c"}) == (200, {})
        assert (await client.publish("c", {}))["action"] == Action.NACK
        await post("/ably/fault", {"does": "drop"})
        assert (await session.delete(f"{url}/ably/faults")).status == 200
        assert ably.protocol_faults == []
        assert (await post("/ably/fault", {"does": "explode"}))[0] == 400
        changed = {"rules": {"ns": ["persisted"]}, "keys": ["app.key:other"], "idle_seconds": 20.0}
        assert (await session.patch(f"{url}/settings", json=changed)).status == 200
        assert ably.app.settings.rule("ns:c").persisted
        assert (await session.patch(f"{url}/settings", json={"keys": ["x"]})).status == 400
        assert (await post("/ably/disconnect", {"who": "ann"}))[0] == 400
        assert (await post("/ably/_live", {}))[0] == 400
        async with session.get(url) as answer:
            (shown,) = (await answer.json())["sockets"].values()
        assert (shown["client"], shown["connection"]) == ("ann", client.id)
        assert "key" not in shown["query"]
        assert await post("/ably/disconnect", {"client": "ann"}) == (200, {"struck": 1})
        assert (await client.until(Action.DISCONNECTED))["action"] == Action.DISCONNECTED


def test_faults_that_wait_are_bounded() -> None:
    """The thousandth and first is refused."""
    faults, who = Faults(), Who(connection_id="c", client_id="", query={})
    for _ in range(1000):
        faults.add(Fault(does="drop", client="nobody"))
    with pytest.raises(ValueError, match="clear"):
        faults.add(Fault(does="drop"))
    assert faults.strike("in", "ACK", "", who) is None
    faults.clear()
    assert not faults


def test_frames_are_labelled_by_their_action() -> None:
    """For the faults that every emulator has."""
    ably = AblyEmulator()
    assert ably.label('{"action":1}') == "ACK"
    assert ably.label(b"\x80") == "HEARTBEAT"
    assert [ably.label(frame) for frame in ("[]", '{"action":99}', "x")] == ["unknown"] * 3


def test_the_command_serves_until_it_is_told_to_end() -> None:
    """One line when it serves; code 0 on SIGTERM; a malformed key or rule is code 2."""
    chatkit = [sys.executable, "-c", "from chatkit.cli import main; main()", "dev", "ably"]
    served = subprocess.Popen(
        [*chatkit, "--key", "app.key:secret", "--rule", "ns:mutableMessages", "--rule", "ns:persisted"],
        stdout=subprocess.PIPE,
        encoding="utf-8",
        cwd=Path(__file__).parents[3],
    )
    assert served.stdout is not None
    assert served.stdout.readline().startswith("ready ably http://127.0.0.1:")
    served.send_signal(signal.SIGTERM)
    assert served.wait(10) == 0
    served.stdout.close()


def test_the_command_refuses_what_it_cannot_read() -> None:
    """With code 2 and a word on what is wrong."""
    from typer.testing import CliRunner

    from chatkit.cli.app import app

    for wrong in (["--key", "secret"], ["--rule", "ns:unknown"]):
        ran = CliRunner().invoke(app, ["dev", "ably", *wrong])
        assert ran.exit_code == 2
