"""What goes wrong on demand, from Python and over the control endpoint."""

from __future__ import annotations

import asyncio
from email.utils import parsedate_to_datetime

import pytest
from pydantic import ValidationError

from chatkit.testing.emulators.faults import CallFault, FrameFault
from chatkit.testing.emulators.supabase import Aim, Fault
from tests.emulators.supabase.raw import ACK, serving

pytestmark = pytest.mark.realtime


async def test_an_ack_is_lost_and_the_message_is_not(database: str) -> None:
    """Or the message, and then there is no ack; the fault is used up."""
    async with serving(database) as raws:
        writer, reader = await raws.open(), await raws.open()
        await writer.join("room", ACK)
        await reader.join("room")
        raws.emulator.add_fault(Fault(does="drop", event="broadcast", moment="after", topic="room", skip=1))
        assert len(raws.emulator.protocol_faults) == 1
        for number in range(3):
            await writer.broadcast("room", "e", number)
            assert (await reader.hear_only("broadcast"))["payload"] == number
        refs = [(await writer.hear())[1] for _ in range(2)]
        assert refs == ["2", "4"]
        await writer.nothing_more()
        await raws.control("/supabase/fault", {"does": "drop", "event": "broadcast"})
        await writer.broadcast("room", "e", 3)
        await writer.nothing_more()
        await reader.nothing_more()
        assert raws.emulator.protocol_faults == []


async def test_a_join_gets_no_answer_whether_it_took_place_or_not(database: str) -> None:
    """And a heartbeat none, of one socket alone; the rest is late."""
    async with serving(database) as raws:
        raw, other = await raws.open(), await raws.open()
        name = next(iter(raws.emulator.sockets))
        for moment in ("before", "after"):
            await raws.control("/supabase/fault", {"does": "drop", "event": "phx_join", "moment": moment})
            await raw.say(f"realtime:{moment}", "phx_join")
        raws.emulator.add_fault(Fault(does="drop", event="heartbeat", socket=name))
        await other.nothing_more()
        lost = await raw.say("phoenix", "heartbeat")
        await raw.broadcast("before", "e", 1)
        reason = {"status": "error", "response": {"reason": "unmatched topic"}}
        assert (await raw.hear())[4] == reason
        assert await raw.answer("realtime:after", "phx_leave") == ("ok", {})
        assert (await raw.hear())[1] != lost
        raws.emulator.add_fault(Fault(does="delay", event="heartbeat", seconds=9.0))
        ref = await raw.say("phoenix", "heartbeat")
        await other.nothing_more()
        raws.emulator.clock.advance(9.0)
        assert (await raw.hear())[1] == ref


async def test_a_connection_ends_at_an_event_or_falls_silent(database: str) -> None:
    """Before it is done or after; a channel crashes at one."""
    async with serving(database) as raws:
        reader = await raws.open()
        await reader.join("room")
        for moment in ("before", "after"):
            writer = await raws.open()
            await writer.join("room", ACK)
            raws.emulator.add_fault(Fault(does="abort", event="broadcast", moment=moment))
            await writer.broadcast("room", "e", moment)
            assert await writer.end() == 1006
        assert (await reader.hear_only("broadcast"))["payload"] == "after"
        await reader.nothing_more()
        raws.emulator.add_fault(Fault(does="crash", event="broadcast"))
        await reader.broadcast("room", "e", 1)
        await reader.hear_only("phx_error")
        raws.emulator.add_fault(Fault(does="stall", event="heartbeat"))
        await reader.say("phoenix", "heartbeat")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reader.hear()


@pytest.mark.parametrize(
    "fault",
    [
        {"does": "drop", "event": "presense"},
        {"does": "crash", "event": "phx_join"},
        {"does": "delay", "moment": "after"},
        {"does": "drop", "times": 0},
        {"does": "explode"},
    ],
)
def test_a_fault_that_could_never_strike_is_refused(fault: dict[str, object]) -> None:
    """Where it is made."""
    with pytest.raises(ValidationError):
        Fault(**fault)  # type: ignore[arg-type]


async def test_deeds_close_what_they_are_aimed_at(database: str) -> None:
    """Channels with or without a reason, connections with a code, without one, or not at all."""
    async with serving(database) as raws:
        raw, other = await raws.open(), await raws.open()
        for name in ("a", "b"):
            await raw.join(name)
        await other.join("a")

        await raws.deed("close-channel", topic="b")
        assert await raw.hear() == ["2", "2", "realtime:b", "phx_close", {}]
        first = next(iter(raws.emulator.sockets))
        await raws.deed("crash", topic="a", socket=first)
        assert await raw.hear() == ["1", "1", "realtime:a", "phx_error", {}]
        await raws.deed("shut", text="Too many messages per second")
        assert (await other.hear_only("system"))["message"] == "Too many messages per second"
        await other.hear_only("phx_close")
        await other.join("c")
        await raws.deed("expire")
        assert (await other.hear_only("system"))["message"] == "Token has expired 0 seconds ago"
        await other.hear_only("phx_close")
        await raw.nothing_more()

        await raw.join("a")
        await raws.deed("drain", socket=first)
        told = {"extension": "system", "status": "ok", "message": "Server requested disconnect"}
        assert await raw.hear() == [None, None, "realtime:a", "system", told]
        assert await raw.end() == 1012
        for code in (1000, 1001, 1012):
            raw = await raws.open()
            await raws.deed("close", socket=list(raws.emulator.sockets)[-1], code=code)
            assert await raw.end() == code
        await raws.deed("abort")
        assert await other.end() == 1006
        assert await raws.emulator.deeds.lose_replication(Aim()) == 1
        silent = await raws.open()
        await raws.deed("stall")
        await silent.say("phoenix", "heartbeat")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await silent.hear()


async def test_the_control_endpoint_tells_and_refuses(database: str) -> None:
    """Topics of a connection; an unknown deed by those that there are; faults are forgotten."""
    async with serving(database) as raws:
        raw = await raws.open()
        await raw.join("room")
        await raws.control("/supabase/fault", {"does": "drop", "event": "heartbeat"})
        await raws.control("/supabase/faults", method="DELETE")
        await raw.nothing_more()
        told = await raws.control("", method="GET")
        assert (told["name"], told["sockets"]) == ("supabase", {"1": {"stalled": False, "topics": ["room"]}})
        url = f"{raws.emulator.url}/_emulator/supabase/dance"
        async with raws.session.post(url, json={}) as answer:
            assert answer.status == 400
            assert "no deed 'dance'" in (await answer.json())["error"]
        async with raws.session.get(f"{raws.emulator.url}/realtime/v1/websocket") as answer:
            assert answer.status == 400


async def test_faults_of_any_protocol_hold_here_too(database: str) -> None:
    """Frames by their event, calls by their path, also after they had their effect."""
    async with serving(database) as raws:
        raw = await raws.open()
        await raw.join("room")
        raws.emulator.faults.add(FrameFault(does="duplicate", only="broadcast"))
        raws.emulator.faults.add(FrameFault(does="replace", only="unknown", way="in", text="{}"))
        raws.emulator.faults.add(CallFault(does="fail", moment="after", path="/broadcast", status=503))
        await raw.socket.send_str("?")
        status, _ = await raws.post("/realtime/v1/api/broadcast/room/events/e", {})
        assert status == 503
        for _ in range(2):
            assert isinstance(await raw.hear(), bytes)
        await raw.nothing_more()


async def test_answers_tell_what_time_it_is_at_the_emulator(database: str) -> None:
    """Tokens expire by its clock, and so clients are to know it: of calls, and of connections."""
    async with serving(database) as raws:
        raws.emulator.clock.advance(3_600)
        async with raws.session.get(raws.emulator.url + "/auth/v1/settings") as answer:
            told = parsedate_to_datetime(answer.headers["Date"]).timestamp()

        assert told == pytest.approx(raws.emulator.clock.unix(), abs=2)
