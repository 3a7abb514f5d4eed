"""Streams, handlers and middleware: cancel-safe, isolated, in order."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit.stream import Watched
from chatkit.testing import World

if TYPE_CHECKING:
    from pathlib import Path

    from tests.api.kit import Stage


async def say(chat: chatkit.Chat, *texts: str) -> None:
    """Send texts and wait until they are sent."""
    for text in texts:
        await (await chat.channel("support").send(text)).wait(timeout=30)


async def test_a_timed_out_read_loses_nothing(stage: Stage) -> None:
    """A stream is no generator: the next read gives the next event."""
    async with stage.chat("ada") as ada:
        events = ada.channel("support").events(chatkit.MessageCreated)
        with pytest.raises(chatkit.WaitTimeout):
            await events.next(timeout=1)
        await say(ada, "one", "two")
        assert [(await events.next(timeout=1)).message.text for _ in range(2)] == ["one", "two"]
        assert events.gaps == 0


async def test_a_stream_has_one_reader_and_an_end(stage: Stage) -> None:
    """Two readers are a misuse; a closed stream, and a closed client, end it."""
    async with stage.chat("ada") as ada:
        channel = ada.channel("support")
        async with channel.events() as events:
            first = asyncio.ensure_future(events.next(timeout=60))
            await asyncio.sleep(0)
            with pytest.raises(chatkit.StateError, match="reader"):
                await events.next(timeout=1)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
        assert [event async for event in events if isinstance(event, chatkit.MessageCreated)] == []
        left_open = channel.events(chatkit.MessageCreated)
    assert [event async for event in left_open] == []


async def test_a_dropped_stream_is_forgotten(stage: Stage) -> None:
    """A stream nobody holds stops listening."""
    async with stage.chat("ada") as ada:
        events = ada.channel("support").events()
        assert ada.engine.dispatcher.readers("support")
        del events
        gc.collect()
        assert not ada.engine.dispatcher.readers("support")


async def test_chat_events_come_from_all_attached_channels(stage: Stage) -> None:
    """A chat hears its channels, its connection and its outbox."""
    async with stage.chat("ada") as ada:
        events = ada.events(chatkit.MessageCreated, chatkit.DeliveryChanged, chatkit.ChannelChanged)
        for name in ("one", "two"):
            await ada.channel(name).attach(timeout=5)
            await (await ada.channel(name).send(name)).wait(timeout=5)
        await asyncio.sleep(1)
        seen = [await events.next(timeout=1) for _ in range(10)]
        with pytest.raises(chatkit.WaitTimeout):
            await events.next(timeout=1)
        created = [e.channel for e in seen if isinstance(e, chatkit.MessageCreated)]
        statuses = [e.status for e in seen if isinstance(e, chatkit.DeliveryChanged)]
        assert created == ["one", "two"]
        assert statuses == ["sending", "sent"] * 2
        assert {e.state for e in seen if isinstance(e, chatkit.ChannelChanged)} == {"attaching", "attached"}
        with pytest.raises(chatkit.ConfigError, match="channel"):
            ada.events(since=chatkit.START)


async def test_wait_for_gives_the_first_that_fits(stage: Stage) -> None:
    """With a condition, a place to begin and a time."""
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        await say(ada, "one", "two")
        found = await support.wait_for(
            chatkit.MessageCreated, where=lambda e: e.message.text == "two", since=chatkit.START, timeout=5
        )
        assert found.message.text == "two"
        with pytest.raises(chatkit.WaitTimeout):
            await support.wait_for(chatkit.MessageCreated, timeout=1)
        waiting = asyncio.ensure_future(support.wait_for(chatkit.MessageCreated))
        await asyncio.sleep(0)
    with pytest.raises(chatkit.StateError, match="closed"):
        await waiting


async def test_an_overflowing_stream_ends_with_an_error_or_a_gap(stage: Stage) -> None:
    """I10: what a slow reader loses is raised, or stands as a `Discontinuity`."""
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        strict = support.events(chatkit.MessageCreated, buffer=2)
        lenient = support.events(chatkit.MessageCreated, chatkit.Discontinuity, buffer=2, overflow="gap")
        await say(ada, "one", "two", "three", "four")
        assert [(await strict.next(timeout=1)).message.text for _ in range(2)] == ["one", "two"]
        with pytest.raises(chatkit.EventOverflow):
            await strict.next(timeout=1)
        kinds = [type(await lenient.next(timeout=1)).__name__ for _ in range(3)]
        assert kinds == ["MessageCreated", "MessageCreated", "Discontinuity"]
        assert lenient.gaps >= 1
        with pytest.raises(chatkit.ConfigError):
            support.events(buffer=0)
        with pytest.raises(chatkit.ConfigError):
            support.events(str)  # type: ignore[type-var]  # that is the point


async def test_handlers_are_isolated(stage: Stage) -> None:
    """I13: one that raises, hangs, cancels itself or blocks stops nobody else, and is named."""
    errors: list[chatkit.HandlerError] = []
    async with stage.chat("ada", on_error=errors.append) as ada:
        support = ada.channel("support")
        heard: list[str] = []

        @support.on(chatkit.MessageCreated)
        async def raises(event: chatkit.MessageCreated) -> None:
            raise ValueError(event.message.message_id)

        @support.on(chatkit.MessageCreated)
        async def hangs(event: chatkit.MessageCreated) -> None:
            await asyncio.Event().wait()

        @support.on(chatkit.MessageCreated)
        async def cancels_itself(event: chatkit.MessageCreated) -> None:
            raise asyncio.CancelledError

        @support.on(chatkit.MessageCreated)
        async def blocks(event: chatkit.MessageCreated) -> None:
            await asyncio.sleep(0)
            stage.clock.advance(1.0)

        @support.on(chatkit.MessageCreated, chatkit.MessageUpdated)
        async def hears(event: chatkit.MessageCreated | chatkit.MessageUpdated) -> None:
            await asyncio.sleep(0.01)
            heard.append(event.message.text)

        await say(ada, "one", "two")
        await asyncio.sleep(5)
        assert heard == ["one", "two"]
        named = [(error.handler.rpartition(".")[2], type(error.error).__name__) for error in errors]
        assert sorted(set(named)) == [
            ("blocks", "StateError"),
            ("cancels_itself", "CancelledError"),
            ("raises", "ValueError"),
        ]
        assert sorted(name for name, _ in named).count("raises") == 2

        support.off(hears)
        with pytest.raises(chatkit.StateError):
            support.off(hears)
        await say(ada, "three")
        assert heard == ["one", "two"]


async def test_a_handler_that_is_off_is_called_no_more(stage: Stage) -> None:
    """Not for what waits in its queue either; what it is handling goes on."""
    heard: list[str] = []
    async with stage.chat("ada") as ada:
        support = ada.channel("support")

        @support.on(chatkit.MessageCreated)
        async def slow(event: chatkit.MessageCreated) -> None:
            await asyncio.sleep(1)
            heard.append(event.message.text)

        await say(ada, "one", "two", "three")
        await asyncio.sleep(0.5)
        support.off(slow)
        await asyncio.sleep(10)

        assert heard == ["one"]


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_a_handler_whose_task_the_app_cancels_is_called_again(stage: Stage, concurrency: int) -> None:
    """While it handles an event, which is reported, or afterwards, which nobody needs to know (I13)."""
    heard: list[str] = []
    errors: list[chatkit.HandlerError] = []
    tasks: list[asyncio.Task[object]] = []
    async with stage.chat("ada", on_error=errors.append) as ada:

        @ada.channel("support").on(chatkit.MessageCreated, concurrency=concurrency)
        async def debounced(event: chatkit.MessageCreated) -> None:
            heard.append(event.message.text)
            task = asyncio.current_task()
            assert task is not None
            tasks.append(task)
            if event.message.text == "hangs":
                await asyncio.Event().wait()

        for text in ("hangs", "idle", "last"):
            await say(ada, text)
            await asyncio.sleep(1)
            tasks[-1].cancel()
            await asyncio.sleep(1)

        assert heard == ["hangs", "idle", "last"]
        assert [type(error.error) for error in errors] == [asyncio.CancelledError]
    assert all(task.done() for task in tasks)


async def test_handlers_may_run_several_at_once(stage: Stage) -> None:
    """`concurrency=` lets slow handlers overlap."""
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        running: list[int] = []
        most = 0

        @support.on(chatkit.MessageCreated, concurrency=3)
        async def slow(event: chatkit.MessageCreated) -> None:
            nonlocal most
            running.append(1)
            most = max(most, len(running))
            await asyncio.sleep(10)
            running.pop()

        await say(ada, *"abcde")
        await asyncio.sleep(60)
        assert most == 3
        assert running == []


async def test_a_handler_that_broke_on_error_is_still_isolated(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Even a broken `on_error` stops nobody; it is logged."""

    def broken(error: chatkit.HandlerError) -> None:
        raise RuntimeError("on_error broke")

    async with stage.chat("ada", on_error=broken) as ada:

        @ada.channel("support").on(chatkit.MessageCreated)
        async def raises(event: chatkit.MessageCreated) -> None:
            raise ValueError

        await say(ada, "one")
        await asyncio.sleep(1)
    assert "on_error raised" in caplog.text


def not_a_coroutine(event: chatkit.MessageCreated) -> None:
    """A plain function."""


async def no_arguments() -> None:
    """Takes nothing."""


async def two_arguments(event: chatkit.MessageCreated, other: int) -> None:
    """Takes too much."""


class Callable:
    """An object that can be called, but not awaited."""

    def __call__(self, event: object) -> None:
        """Do nothing."""


class Handler:
    """A class whose objects are handlers, but which is none itself."""

    async def __call__(self, event: object) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    "handler",
    [
        not_a_coroutine,
        no_arguments,
        two_arguments,
        Callable(),
        Handler,
        None,
        partial(no_arguments),
    ],
)
async def test_what_is_no_handler_is_refused_at_once(stage: Stage, handler: Any) -> None:
    """Wrong arity and plain functions fail at registration, not at the first event."""
    async with stage.chat("ada") as ada:
        with pytest.raises(chatkit.ConfigError, match="handler"):
            ada.on(chatkit.MessageCreated)(handler)
        with pytest.raises(chatkit.ConfigError):
            ada.on()(handler)  # type: ignore[call-overload]  # that is the point
        with pytest.raises(chatkit.ConfigError):
            ada.on(chatkit.MessageCreated, concurrency=0)(handler)


async def test_a_handler_may_be_a_partial_or_an_object(stage: Stage) -> None:
    """Whatever can be called with one event and awaited."""
    heard: list[str] = []

    async def note(name: str, event: chatkit.MessageCreated) -> None:
        heard.append(f"{name}: {event.message.text}")

    class Noting:
        async def __call__(self, event: chatkit.MessageCreated) -> None:
            heard.append(f"object: {event.message.text}")

    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        for handler in (partial(note, "partial"), Noting()):
            assert support.on(chatkit.MessageCreated)(handler) is handler
        await support.attach(timeout=5)
        await say(ada, "hello")
        await asyncio.sleep(1)
    assert sorted(heard) == ["object: hello", "partial: hello"]


async def test_off_ends_every_registration_of_a_handler(stage: Stage) -> None:
    """One that was registered twice is called by neither."""
    heard: list[str] = []
    async with stage.chat("ada") as ada:
        support = ada.channel("support")

        async def note(event: chatkit.MessageEvent) -> None:
            heard.append(type(event).__name__)

        support.on(chatkit.MessageCreated)(note)
        support.on(chatkit.MessageUpdated)(note)
        await support.attach(timeout=5)
        hello = await (await support.send("hello")).wait(timeout=5)
        await (await support.edit(hello, "Hello")).wait(timeout=5)
        await asyncio.sleep(1)
        support.off(note)
        with pytest.raises(chatkit.StateError, match="note is not registered") as caught:
            support.off(note)
        assert caught.value.hint
        await (await support.edit(hello, "Hello!")).wait(timeout=5)
        await say(ada, "again")
        await asyncio.sleep(1)
    assert heard == ["MessageCreated", "MessageUpdated"]


class Shout:
    """Middleware that shouts, refuses one word and hides one user."""

    async def outgoing(self, draft: chatkit.Draft) -> chatkit.Draft:
        """Change or refuse what goes out."""
        if draft.content == "secret":
            raise chatkit.NotAllowed("not that word", channel=draft.channel)
        return replace(draft, content=str(draft.content).upper())

    async def incoming(self, event: chatkit.Event) -> chatkit.Event | None:
        """Hide what comes from mallory."""
        if isinstance(event, chatkit.MessageEvent) and event.message.sender.user == "mallory":
            return None
        return event


async def test_middleware_changes_refuses_and_hides(stage: Stage) -> None:
    """What is hidden is hidden from readers, views and pages, never from the log."""
    async with stage.chat("ada") as ada, stage.chat("mallory") as mallory:
        ada.use(Shout())
        support = ada.channel("support")
        events = support.events(chatkit.MessageCreated)
        await support.attach(timeout=5)
        await say(mallory, "boo")
        await say(ada, "hello")
        assert (await events.next(timeout=5)).message.text == "HELLO"
        assert [m.text for m in support.timeline.view.messages] == ["HELLO"]
        assert [m.text for m in (await support.history()).items] == ["HELLO"]
        with pytest.raises(chatkit.NotAllowed, match="not that word"):
            await support.send("secret")
        assert stage.texts("support") == ["boo", "HELLO"]
        by_mallory = (await mallory.channel("support").history()).items[-1]
        for hidden in (by_mallory, by_mallory.message_id):
            with pytest.raises(chatkit.MessageNotFound):
                await support.get(hidden)


class Careless:
    """Middleware that forgets to give the draft back."""

    async def outgoing(self, draft: chatkit.Draft) -> Any:
        """Give nothing back."""

    async def incoming(self, event: chatkit.Event) -> chatkit.Event | None:
        """Let it pass."""
        return event


class Blocking:
    """Middleware that cannot be awaited."""

    def outgoing(self, draft: chatkit.Draft) -> chatkit.Draft:
        """Let it pass."""
        return draft

    def incoming(self, event: chatkit.Event) -> chatkit.Event | None:
        """Let it pass."""
        return event


@pytest.mark.parametrize("middleware", [object(), Shout, Blocking()])
async def test_what_is_no_middleware_is_refused_at_once(stage: Stage, middleware: Any) -> None:
    """A class in place of its object, plain functions and anything else fail at `use()`, and are named."""
    async with stage.chat("ada") as ada:
        with pytest.raises(chatkit.ConfigError, match="is no middleware") as caught:
            ada.use(middleware)
        assert "async def outgoing" in caught.value.hint
        await say(ada, "hello")


async def test_middleware_that_gives_no_draft_back_queues_nothing(stage: Stage) -> None:
    """It is named, and so is the channel."""
    async with stage.chat("ada") as ada:
        ada.use(Careless())
        with pytest.raises(chatkit.StateError, match="Careless gave no draft back") as caught:
            await ada.channel("support").send("hello")
        assert caught.value.channel == "support"
        assert ada.outbox.depth == 0


class Broken:
    """Middleware that raises on everything that comes in."""

    async def outgoing(self, draft: chatkit.Draft) -> chatkit.Draft:
        """Let it pass."""
        return draft

    async def incoming(self, event: chatkit.Event) -> chatkit.Event | None:
        """Raise."""
        raise ValueError("broken filter")


async def test_a_broken_filter_loses_no_message(stage: Stage) -> None:
    """Middleware that raises is reported and passed over."""
    errors: list[chatkit.HandlerError] = []
    async with stage.chat("ada", on_error=errors.append) as ada:
        ada.use(Broken())
        events = ada.channel("support").events(chatkit.MessageCreated)
        await say(ada, "hello")
        assert (await events.next(timeout=5)).message.text == "hello"
        assert "Broken" in errors[0].handler


async def test_the_connection_can_be_watched_and_waited_for(stage: Stage) -> None:
    """The present value first, then the newest; a failure is raised at once by what waits."""
    async with stage.chat("ada") as ada:
        views = ada.connection.watch()
        assert (await views.next(timeout=1)).state in ("connecting", "connected")
        await ada.connection.wait(timeout=5)
        assert (ada.connection.state, ada.connection.reason) == ("connected", None)
        assert ada.health().status == "ok"
        stage.hub.network.cut("ada")
        await ada.connection.wait("disconnected", timeout=60)
        assert ada.connection.reason is not None
        assert ada.health().status == "degraded"
        await ada.connection.wait("suspended", timeout=300)
        stage.hub.network.heal("ada")
        ada.connection.retry_now()
        await ada.connection.wait(timeout=5)
        with pytest.raises(chatkit.ConfigError):
            await ada.connection.wait("online")
        with pytest.raises(chatkit.WaitTimeout):
            await ada.connection.wait("failed", timeout=1)
    assert ada.connection.state == "closed"
    assert [view.state async for view in views][-1:] in ([], ["closed"])


async def test_the_outbox_can_be_watched(stage: Stage) -> None:
    """Depth and size, the present value first."""
    async with stage.chat("ada") as ada:
        views = ada.outbox.watch()
        assert (await views.next(timeout=1)).depth == 0
        stage.hub.network.cut("ada")
        delivery = await ada.channel("support").send("hello")
        view = await views.next(timeout=30)
        assert (view.depth, view.failed) == (1, 0)
        assert view.size > 0
        assert await ada.outbox.get(delivery.id) is delivery
        assert await ada.outbox.get(delivery.message_id) is delivery
        assert await ada.outbox.entries(channel="support") == (delivery,)
        with pytest.raises(chatkit.MessageNotFound):
            await ada.outbox.get("no-such-entry")
        report = await ada.outbox.flush(timeout=1)
        assert (report.sent, report.queued, report.durable) == (0, 1, False)
        assert report.reason is not None


def test_a_program_that_breaks_off_shows_why(tmp_path: Path) -> None:
    """A client with handlers that nobody closed does not hold `asyncio.run` up at the end (I12)."""
    program = tmp_path / "program.py"
    program.write_text(BREAKS_OFF, encoding="utf-8")

    ended = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=30, check=False)

    assert ended.returncode == 1
    assert "RuntimeError: the app's own" in ended.stderr


BREAKS_OFF = """
import asyncio
import chatkit

async def main():
    chat = await chatkit.connect("memory://breaks-off", user="ada")

    @chat.on(chatkit.MessageCreated)
    async def idle(event): ...

    @chat.on(chatkit.MessageCreated)
    async def busy(event):
        await asyncio.sleep(3600)

    await (await chat.channel("support").send("Hello")).wait("sent")
    await asyncio.sleep(0.1)
    raise RuntimeError("the app's own")

asyncio.run(main())
"""


async def test_a_stream_from_a_place_is_not_given_what_lies_before_it() -> None:
    """D15, D17: also where no order is settled at once, and the client hears of older messages only now."""
    async with World(like="ably") as world:
        ada, bob = await world.connect("ada"), await world.connect("bob")
        heard, said = ada.channel("room"), bob.channel("room")
        await heard.attach(timeout=10)
        world.cut("ada")
        await said.send("one")
        await said.send("two")
        last = await (await said.send("three")).wait(timeout=10)
        await world.advance(40)
        world.heal("ada")
        events = heard.events(chatkit.MessageCreated, since=last)
        await world.advance(60)
        await said.send("four")
        assert (await events.next(timeout=60)).message.text == "four"


async def test_an_edit_heard_live_shows_on_a_message_that_was_read() -> None:
    """D2: what a log has numbered it vouches for, whether it is read there or announced by another path."""
    async with World(like="pusher", log=True) as world:
        ada, bob = await world.connect("ada"), await world.connect("bob")
        delivery = await ada.channel("room").send("first")
        await world.advance(1)
        room = bob.channel("room")
        await room.attach(timeout=10)
        await world.advance(1)
        assert [message.text for message in room.timeline.view.messages] == ["first"]
        await ada.channel("room").edit(delivery, "mended")
        await world.advance(1)
        for chat in (ada, bob):
            assert [message.text for message in chat.channel("room").timeline.view.messages] == ["mended"]


def test_a_stream_that_is_collected_while_others_are_told_disturbs_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whenever garbage is collected: whoever tells goes on (I13)."""
    watched = Watched(lambda: 1)
    streams = [watched.watch() for _ in range(3)]
    monkeypatch.setattr("chatkit.stream._Follower.wake", lambda _: streams.clear())

    watched.changed()

    assert not watched.followed
