"""The engine as a whole: parts that fail on their own leave the client standing (I11, I12, D16, D27, D32)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit.ports import Ack, Alive, SessionClosed, Shed
from chatkit.testing.death import kill
from tests.api.kit import Stage

if TYPE_CHECKING:
    from pathlib import Path

    from chatkit.testing.clock import VirtualClock


@pytest.fixture
def stage(clock: VirtualClock) -> Stage:
    """A hub and a clock; clients open on it."""
    return Stage(clock)


@pytest.mark.parametrize(
    "error",
    [chatkit.TransportError("no answer"), SessionClosed("it died", again="now")],
    ids=["mute", "dead"],
)
async def test_an_event_that_cannot_be_written_is_said_to_be_lost(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """`emit` answers False and the client goes on, over a new connection if need be (D25)."""

    async def fail(channel: str, data: bytes) -> None:
        raise error

    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        await support.attach(timeout=5)
        monkeypatch.setattr(ada.engine.session, "emit", fail)
        assert not await support.emit("tick")
        monkeypatch.undo()
        await asyncio.sleep(5)
        assert await support.emit("tick")


@pytest.mark.parametrize("cancelled", [True, False])
async def test_closing_waits_for_what_is_being_kept(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    cancelled: bool,
) -> None:
    """Whoever was cancelled just before has nothing sent by the next life, the others all (D14, I12)."""
    chat = stage.chat("ada", config={"offline": True}, store=tmp_path / "ada.db", drain=0)
    store = chat._setup.context.store
    add = store.add

    async def slow(rows: Any) -> Any:
        kept = await add(rows)
        await asyncio.sleep(1)
        return kept

    monkeypatch.setattr(store, "add", slow)
    async with chat as ada:
        sending = asyncio.ensure_future(ada.channel("support").send("Hello"))
        await asyncio.sleep(0.1)
        if cancelled:
            sending.cancel()
    await asyncio.wait({sending})
    assert chat.report is not None
    assert (chat.report.left, chat.report.queued) == ((), int(not cancelled))

    async with stage.chat("ada", store=tmp_path / "ada.db"):
        pass
    assert stage.texts("support") == ([] if cancelled else ["Hello"])


async def test_a_signal_of_no_channel_is_counted(stage: Stage) -> None:
    """It stops nobody; signs of life are no signals of a channel."""
    async with stage.chat("ada") as ada:
        ada.engine._signal(Alive(0.0))
        ada.engine._signal(Shed("nowhere", "too much"))
        assert ada.engine.context.counters["stray_signal"] == 1


async def test_a_machine_that_slept_reads_what_it_missed(stage: Stage) -> None:
    """The wall clock ran ahead: nothing is vouched for until the log was read (D32)."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        events = ada.channel("support").events(chatkit.MessageCreated)
        await ada.channel("support").attach(timeout=5)
        await asyncio.sleep(1)
        stage.hub.hold(lose=True)
        await (await bob.channel("support").send("while you slept")).wait(timeout=5)
        stage.hub.release()
        stage.clock.jump(3_600)
        assert (await events.next(timeout=10)).message.text == "while you slept"


async def test_an_acceptance_without_a_place_shows_as_sent(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D30: an ACK with a null serial is `sent` without a place, until its frame comes."""
    async with stage.chat("ada", config={"like": "ably"}) as ada:
        support = ada.channel("support")
        await ada.connection.wait(timeout=5)
        session: Any = ada.engine.session
        publish = session.publish

        async def without_places(*args: Any) -> list[Ack]:
            return [ack._replace(key=None) for ack in await publish(*args)]

        monkeypatch.setattr(session, "publish", without_places)
        message = await (await support.send("somewhere")).wait(timeout=5)
        assert (message.status, message.serial) == ("sent", None)
        assert [m.status for m in support.timeline.view.messages] == ["sent"]


async def test_a_fresh_credential_is_presented_over_the_session(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D12: asked for once where a publish is refused for it; without a session nothing is refreshed."""
    async with stage.chat("ada") as ada:
        await ada.connection.wait(timeout=5)
        asked: list[str] = []

        async def reauthenticate() -> None:
            asked.append("now")

        monkeypatch.setattr(ada.engine.session, "reauthenticate", reauthenticate)
        await ada.engine._reauthenticate()
        assert asked == ["now"]
        stage.hub.network.cut("ada")
        await asyncio.sleep(30)
        with pytest.raises(chatkit.ChatkitError):
            await ada.engine._reauthenticate()


async def test_the_queue_of_a_dead_neighbour_is_taken_over(stage: Stage, tmp_path: Path) -> None:
    """D27: a worker that lives adopts, within half a minute, what a killed one left in the directory."""
    folder = f"{tmp_path}/outbox/"
    survivor = await stage.chat("ada", store=folder)
    victim = await stage.chat("ada", store=folder, config={"link": "victim"})
    stage.hub.network.cut("ada/victim")
    await victim.channel("support").send("last words")
    await kill(victim)
    await asyncio.sleep(60)
    assert stage.texts("support") == ["last words"]
    await survivor.aclose()


async def test_a_log_that_gives_no_heads_is_asked_again(stage: Stage) -> None:
    """D16: heads are compared again after an error, and a lost last frame shows in the end."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        events = ada.channel("support").events(chatkit.MessageCreated)
        await ada.channel("support").attach(timeout=5)
        await asyncio.sleep(1)
        stage.hub.network.refuse("ada", chatkit.TransportError("away"), calls={"read"})
        stage.hub.hold(lose=True)
        await (await bob.channel("support").send("unheard")).wait(timeout=5)
        stage.hub.release()
        await asyncio.sleep(120)
        stage.hub.network.refuse("ada", None)
        assert (await events.next(timeout=60)).message.text == "unheard"


async def test_a_part_that_does_not_end_is_named(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """I12: closing returns in time and the report names what stayed."""
    ada = await stage.chat("ada")

    async def hang() -> None:
        await asyncio.sleep(3_600)

    monkeypatch.setattr(ada.engine.context.adapter, "aclose", hang)
    started = stage.clock.monotonic()
    report = await ada.aclose(drain=0)
    assert (report.clean, report.left) == (False, ("adapter",))
    assert stage.clock.monotonic() - started < 15


async def test_one_engine_serves_a_channel_of_all_users(stage: Stage) -> None:
    """`as_user` meets the same channel, whoever asks first."""
    async with stage.chat("backend") as backend:
        first = backend.channel("support")
        second = backend.as_user("ada").channel("support")
        assert backend.engine.channel("support", 5) is first._channel_engine is second._channel_engine


async def test_a_pause_says_why_something_is_still_queued(stage: Stage) -> None:
    """Nothing fails while credentials are refused, and whoever waits learns why nothing goes out (D12)."""
    async with stage.chat("ada") as ada:
        await ada.connection.wait(timeout=5)
        stage.hub.network.refuse("ada", chatkit.AuthenticationError("expired"), calls={"publish"})
        await ada.channel("support").send("held up")
        flushed = await ada.outbox.flush(timeout=5)
        stage.hub.network.refuse("ada", None)

        assert flushed.queued == 1
        assert isinstance(flushed.reason, chatkit.AuthenticationError)
        assert not (await ada.outbox.flush(timeout=120)).queued
