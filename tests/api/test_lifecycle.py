"""Lives: opening, closing, restarting on the same store, the wrong loop, thread or process."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

import chatkit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.api.kit import Stage


async def test_a_client_is_opened_once_and_closed_for_good(stage: Stage) -> None:
    """Not open, opened twice, closed: each is its own misuse, said with what to do."""
    chat = stage.chat("ada")
    with pytest.raises(chatkit.StateError, match="not open"):
        chat.channel("support")
    opened = await chat
    assert opened is chat
    with pytest.raises(chatkit.StateError, match="opened before"):
        _ = await chat
    support = chat.channel("support")
    report = await chat.aclose()
    assert await chat.aclose() is report is chat.report
    assert report.clean
    assert report.left == ()
    for use in (lambda: support.send("late"), support.attach, support.history, lambda: support.emit("x")):
        with pytest.raises(chatkit.StateError, match="closed"):
            await use()
    with pytest.raises(chatkit.StateError, match="opened before"):
        _ = await chat
    assert chat.health().status == "down"
    assert repr(support) == "Channel('support')"


async def test_closing_sends_what_can_be_sent_and_tells_what_is_left(stage: Stage) -> None:
    """I12: leaving waits `drain` seconds for the outbox; the report says what stays and why."""
    async with stage.chat("ada") as ada:
        await ada.channel("support").send("one")
    assert ada.report is not None
    assert (ada.report.sent, ada.report.queued, ada.report.reason) == (1, 0, None)

    started = stage.clock.monotonic()
    stage.hub.network.cut("bob")
    async with stage.chat("bob", drain=3) as bob:
        await bob.channel("support").send("two")
    assert bob.report is not None
    assert (bob.report.sent, bob.report.queued, bob.report.durable) == (0, 1, False)
    assert isinstance(bob.report.reason, chatkit.ChatkitError)
    assert stage.clock.monotonic() - started < 15


async def test_closing_ends_what_waits_for_the_client(stage: Stage) -> None:
    """Law 2: nobody waits for ever for what this client does no more; streams end with it."""
    stage.hub.network.cut("ada")
    async with stage.chat("ada", drain=0) as ada:
        delivery = await ada.channel("support").send("Hello")
        statuses = delivery.watch()
        assert await statuses.next(timeout=1) == "queued"
        waits = [
            asyncio.ensure_future(wait)
            for wait in (delivery.wait(), statuses.next(), ada.outbox.flush(), ada.connection.wait())
        ]
        await asyncio.sleep(1)
    sent, status, flushed, connected = await asyncio.gather(*waits, return_exceptions=True)

    assert (type(sent), type(status), type(connected)) == (
        chatkit.StateError,
        StopAsyncIteration,
        chatkit.StateError,
    )
    assert isinstance(flushed, chatkit.FlushReport)
    assert flushed.queued == 1
    with pytest.raises(chatkit.StateError):
        await delivery.wait()
    assert [status async for status in delivery.watch()] == ["queued"]


async def test_a_part_that_fails_to_close_keeps_no_other_open(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """I12: it is named in the report, and the store is another's to open."""

    async def fail() -> None:
        raise RuntimeError("a defect")

    ada = stage.chat("ada", store=tmp_path / "ada.db")
    async with ada:
        monkeypatch.setattr(ada.engine.context.adapter, "aclose", fail)
    assert ada.report is not None
    assert (ada.report.left, ada.report.clean) == (("adapter",), False)
    async with stage.chat("ada", store=tmp_path / "ada.db"):
        pass


async def test_cancelling_a_close_cuts_the_drain_short(stage: Stage) -> None:
    """A second Ctrl-C does not wait for the outbox, and still closes everything."""
    stage.hub.network.cut("ada")
    ada = await stage.chat("ada", drain=3_000)
    await ada.channel("support").send("never")
    closing = asyncio.ensure_future(ada.aclose())
    await asyncio.sleep(1)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert ada.report is not None
    assert ada.report.queued == 1
    assert stage.clock.monotonic() < 60


async def test_wait_closed_keeps_a_program_alive_and_tells_a_failure(stage: Stage) -> None:
    """It returns when the client is closed, and raises the reason when the connection failed for good."""
    ada = await stage.chat("ada")
    waiting = asyncio.ensure_future(ada.wait_closed())
    await asyncio.sleep(1)
    assert not waiting.done()
    await ada.aclose()
    await waiting

    stage.hub.network.refuse("bob", chatkit.AuthenticationError("revoked"))
    async with stage.chat("bob") as bob:
        events = bob.events()
        delivery = await bob.channel("support").send("into the void")
        sending = asyncio.ensure_future(delivery.wait(timeout=3_600))
        with pytest.raises(chatkit.AuthenticationError):
            await bob.channel("support").attach(timeout=3_600)
        with pytest.raises(chatkit.AuthenticationError):
            await bob.wait_closed()
        with pytest.raises(chatkit.AuthenticationError):
            await sending
        assert stage.clock.monotonic() < 60
        assert delivery.status == "queued"
        with pytest.raises(chatkit.AuthenticationError):
            await bob.connection.wait(timeout=5)
        with pytest.raises(chatkit.AuthenticationError):
            async for _ in events:
                pass
        assert bob.connection.state == "failed"
        assert bob.health().status == "down"


async def test_what_was_queued_is_sent_by_the_next_life(stage: Stage, tmp_path: Path) -> None:
    """I3: offline, closed, opened again: the same message under the same id, once."""
    path = tmp_path / "ada.db"
    stage.hub.network.cut("ada")
    async with stage.chat("ada", store=path, drain=0) as ada:
        delivery = await ada.channel("support").send("written offline", key="k")
        assert ada.capabilities.support("durable") == "emulated"
    assert ada.report is not None
    assert ada.report.durable

    async with stage.chat("ada", store=path) as again:
        (found,) = await again.outbox.entries()
        assert (found.message_id, found.status) == (delivery.message_id, "queued") or found.in_doubt
        assert [m.text for m in again.channel("support").timeline.view.messages] == ["written offline"]
        stage.hub.network.heal("ada")
        message = await (await again.channel("support").send("written offline", key="k")).wait(timeout=60)
        assert message.message_id == delivery.message_id
    assert stage.texts("support") == ["written offline"]


async def test_a_stored_message_that_cannot_be_read_leaves_its_channel_usable(
    stage: Stage, tmp_path: Path
) -> None:
    """I11: it fails by itself, and stands in the way of nothing else."""
    path = tmp_path / "ada.db"
    stage.hub.network.cut("ada")
    async with stage.chat("ada", store=path, drain=0) as ada:
        hello = await ada.channel("support").send("Hello")
        await ada.channel("support").edit(hello, "Hello again")
    with sqlite3.connect(path) as file:
        file.execute("UPDATE outbox SET data = x'00' WHERE kind = 'update'")

    async with stage.chat("ada", store=path) as again:
        support = again.channel("support")
        assert [m.text for m in support.timeline.view.messages] == ["Hello"]
        newer = await support.edit(hello.message_id, "Goodbye")
        damaged = (await again.outbox.entries(status="queued"))[1]
        stage.hub.network.heal("ada")
        await newer.wait(timeout=60)

        assert (damaged.status, type(damaged.error)) == ("failed", chatkit.InvalidMessage)
        assert again.health().checks["defects"] == []
    assert stage.texts("support") == ["Goodbye"]


async def test_an_offline_start_shows_what_is_stored(stage: Stage, tmp_path: Path) -> None:
    """The timeline of the last life, before any network; caught up when it is back."""
    path = tmp_path / "ada.db"
    async with stage.chat("ada", store=path) as ada, stage.chat("bob") as bob:
        await ada.channel("support").attach(timeout=5)
        for text in ("one", "two"):
            await (await bob.channel("support").send(text)).wait(timeout=5)
        await asyncio.sleep(5)
    stage.hub.network.cut("ada")
    async with stage.chat("ada", store=path) as again, stage.chat("bob") as bob:
        support = again.channel("support")
        views = support.timeline.watch()
        await asyncio.sleep(1)
        assert [m.text for m in support.timeline.view.messages] == ["one", "two"]
        assert str(support.timeline.view.state) == "local"
        await (await bob.channel("support").send("three")).wait(timeout=5)
        stage.hub.network.heal("ada")
        await asyncio.sleep(90)
        assert [m.text for m in support.timeline.view.messages] == ["one", "two", "three"]
        assert str(support.timeline.view.state) == "live"
        await views.aclose()


async def test_a_store_has_one_owner_one_user_and_one_realm(stage: Stage, tmp_path: Path) -> None:
    """I17, D27: a second owner, another user and another realm are refused; `rebind` moves what it may."""
    path = tmp_path / "ada.db"
    async with stage.chat("ada", store=path):
        with pytest.raises(chatkit.StoreLocked):
            _ = await stage.chat("ada", store=path)
    with pytest.raises(chatkit.StateError):
        _ = await stage.chat("bob", store=path)
    elsewhere = chatkit.connect(
        "memory://elsewhere?offline=1", user="ada", store=path, clock=stage.clock, seed=9
    )
    with pytest.raises(chatkit.StateError):
        _ = await elsewhere
    moved = chatkit.connect(
        "memory://elsewhere?offline=1", user="ada", store=path, clock=stage.clock, seed=9, rebind=True
    )
    async with moved:
        assert moved.outbox.depth == 0


async def test_nothing_waits_for_a_closed_client(stage: Stage, tmp_path: Path) -> None:
    """I12: what waited when the client was closed, or waits afterwards, is told so; a view's last value stands."""
    stage.hub.network.cut("ada")
    ada = await stage.chat("ada", store=tmp_path / "ada.db", drain=0)
    support = ada.channel("support")
    delivery = await support.send("in the tunnel")
    with pytest.raises(chatkit.WaitTimeout) as late:
        await delivery.wait(timeout=1)
    assert (late.value.channel, late.value.message_id) == ("support", delivery.message_id)
    with pytest.raises(chatkit.WaitTimeout) as silent:
        await support.wait_for(chatkit.MessageCreated, timeout=1)
    assert silent.value.channel == "support"
    statuses = delivery.watch()
    waiting = [
        asyncio.create_task(wait)
        for wait in (
            delivery.wait(),
            ada.connection.wait(),
            support.attach(),
            support.wait_for(chatkit.MessageCreated),
        )
    ]
    await asyncio.sleep(1)

    await ada.aclose()

    for ended in (*waiting, delivery.wait(timeout=5), ada.connection.wait()):
        with pytest.raises(chatkit.StateError, match="closed"):
            await asyncio.wait_for(ended, 5)
    for use in (delivery.discard, delivery.retry, ada.outbox.entries, support.timeline.load_older):
        with pytest.raises(chatkit.StateError, match="the client is closed"):
            await use()
    assert [status async for status in statuses] == [delivery.status]
    assert [view.state async for view in ada.connection.watch()] == ["closed"]
    await ada.connection.wait("closed")


async def test_another_thread_is_refused(stage: Stage) -> None:
    """A client belongs to its loop: another thread gets a `StateError` that says what to do."""
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        delivery = await support.send("hello")
        await delivery.wait(timeout=5)
        uses: tuple[Callable[[], Any], ...] = (
            *(lambda: ada.channel("support"), ada.events, ada.connection.watch, ada.connection.retry_now),
            *(ada.outbox.watch, support.timeline.watch, delivery.watch, lambda: ada.as_user("bob")),
            *(lambda: support.send("x"), support.history, support.timeline.load_older, support.attach),
            *(ada.outbox.entries, lambda: ada.outbox.get(delivery.id), ada.outbox.flush, ada.connection.wait),
            *(delivery.wait, delivery.discard, delivery.retry, ada.aclose, ada.wait_closed),
            *(lambda: support.timeline.jump("newest"), support.detach, lambda: support.emit("x")),
        )
        refused: list[chatkit.StateError] = []

        async def use_all() -> None:
            for use in uses:
                with pytest.raises(chatkit.StateError, match="another event loop") as caught:
                    _ = await use()
                refused.append(caught.value)

        await asyncio.to_thread(asyncio.run, use_all())
        assert len(refused) == len(uses)
        assert "run_coroutine_threadsafe" in refused[0].hint

        def use_outside_any_loop() -> None:
            with pytest.raises(chatkit.StateError, match="no event loop"):
                ada.channel("support")

        await asyncio.to_thread(use_outside_any_loop)


async def test_a_forked_child_is_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client belongs to its process."""
    async with stage.chat("ada") as ada:
        monkeypatch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(chatkit.StateError, match="parent process"):
            ada.channel("support")
        monkeypatch.undo()


async def test_leaving_a_channel_detaches_it(stage: Stage) -> None:
    """`async with channel`: attached for the block; refusals are raised by `attach`."""
    async with stage.chat("ada") as ada:
        async with ada.channel("support") as support:
            await support.attach(timeout=5)
            assert (support.state, support.error, support.kind) == ("attached", None, "group")
        assert support.state == "detached"
        stage.hub.network.cut("ada")
        await asyncio.sleep(60)
        with pytest.raises(chatkit.WaitTimeout):
            await support.attach(timeout=5)
        stage.hub.network.heal("ada")
        ada.connection.retry_now()
        await support.attach(timeout=60)


async def test_channels_over_a_connections_limit_get_a_further_one(stage: Stage) -> None:
    """As many sessions as `channels_per_connection` asks for; every channel is heard."""
    config = {"capabilities": {"channels_per_connection": 2}}
    async with stage.chat("ada", config=config) as ada, stage.chat("bob") as bob:
        events = ada.events(chatkit.MessageCreated)
        for n in range(5):
            await ada.channel(f"c{n}").attach(timeout=5)
        assert stage.hub.sessions == 3 + 1
        for n in range(5):
            await (await bob.channel(f"c{n}").send(f"to {n}")).wait(timeout=5)
        heard = [(await events.next(timeout=5)).message.text for _ in range(5)]
        assert heard == [f"to {n}" for n in range(5)]
        assert await ada.channel("c4").emit("hello")
