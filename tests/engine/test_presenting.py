"""Middleware: what readers and views get, whatever the app's own code does (D21, I13)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit.adapters.memory import Like
from chatkit.engine.presenting import MIDDLEWARE_TIMEOUT
from tests.engine.kit import PROFILES, C, Stage, engine, later, odd_log, ready, shown, taken, texts

if TYPE_CHECKING:
    from pathlib import Path

    from chatkit.testing.clock import VirtualClock


class Filter:
    """A middleware that does to each incoming event what a test says."""

    def __init__(self, act: Callable[[chatkit.Event], Any]) -> None:
        self.act = act
        self.seen: list[chatkit.Event] = []

    async def outgoing(self, draft: chatkit.Draft) -> chatkit.Draft:
        return draft

    async def incoming(self, event: chatkit.Event) -> chatkit.Event | None:
        self.seen.append(event)
        found = self.act(event)
        if asyncio.iscoroutine(found):
            found = await found
        return found  # type: ignore[no-any-return]  # whatever a test likes


def hides(*words: str) -> Callable[[chatkit.Event], Any]:
    """Hide messages that say one of these."""
    return lambda event: (
        None if isinstance(event, chatkit.MessageEvent) and event.message.text in words else event
    )


def shouts(event: chatkit.Event) -> chatkit.Event:
    """Change what a message says."""
    if isinstance(event, chatkit.MessageEvent) and not event.message.deleted:
        body = chatkit.Text(text=event.message.text.upper())
        return replace(event, message=replace(event.message, body=body))
    return event


async def test_what_middleware_hides_no_reader_and_no_view_shows(stage: Stage) -> None:
    """It is folded all the same: it has its place, and what follows it is no gap (D21)."""
    async with stage.chat("ada") as ada:
        ada.use(Filter(hides("secret")))
        stream = ada.channel(C).events(chatkit.MessageEvent)
        await ready(ada)
        stage.peer("cleo").say("one", "secret", "two")

        assert texts(await later(stream, 1)) == ["one", "two"]
        assert shown(ada) == ["one", "two"]
        assert len(engine(ada).timeline) == 3


async def test_what_middleware_changes_readers_and_views_show(stage: Stage) -> None:
    """A reaction changes nothing of that, and shows; a delete shows; an edit passes it again (D21)."""
    async with stage.chat("ada") as ada:
        ada.use(Filter(shouts))
        stream = ada.channel(C).events(chatkit.MessageEvent)
        await ready(ada)
        peer = stage.peer("cleo")
        one, two = peer.say("one", "two")
        peer.react(one)
        peer.edit(one, "one, edited")
        peer.react(one, "🎉")
        peer.delete(two)
        assert texts(await later(stream, 1)) == ["ONE", "TWO", "ONE, EDITED", ""]

        view = ada.channel(C).timeline.view.messages
        assert [m.text for m in view] == ["ONE, EDITED", ""]
        assert set(view[0].reactions) == {"👍", "🎉"}
        assert view[1].deleted


async def test_a_message_that_is_shown_as_it_is_again_is_unmasked(stage: Stage) -> None:
    """What was hidden or changed once is not so for ever: the newest word counts (D21)."""
    async with stage.chat("ada") as ada:
        ada.use(Filter(hides("bad")))
        await ready(ada)
        peer = stage.peer("cleo")
        (one,) = peer.say("bad")
        await asyncio.sleep(1)
        assert shown(ada) == []
        peer.edit(one, "good")
        await asyncio.sleep(1)
        assert shown(ada) == ["good"]
        peer.edit(one, "bad")
        await asyncio.sleep(1)

        assert shown(ada) == []


async def test_my_own_pending_edit_shows_over_what_middleware_changed(stage: Stage) -> None:
    """A wish of mine is shown as I wrote it until it is confirmed (D23)."""
    async with stage.chat("ada") as ada:
        ada.use(Filter(shouts))
        await ready(ada)
        delivery = await ada.channel(C).send("one")
        message = await delivery.wait(timeout=5)
        await asyncio.sleep(1)
        assert shown(ada) == ["ONE"]
        stage.cut("ada")
        await ada.channel(C).edit(message, "two")
        await asyncio.sleep(1)
        assert shown(ada) == ["two"]
        stage.heal("ada")
        await asyncio.sleep(60)

        assert shown(ada) == ["TWO"]


@pytest.mark.parametrize("like", ["memory", "ably"])
async def test_no_view_shows_what_middleware_has_not_seen(
    clock: VirtualClock, like: Like, tmp_path: Path
) -> None:
    """Neither a live message that waits, nor a page, nor what was kept shows unseen (D21)."""
    stage = Stage(clock, like=like)
    peer = stage.peer("cleo")
    peer.say(*(f"{n}" for n in range(60)), "secret")

    async def slowly(event: chatkit.Event) -> chatkit.Event | None:
        await asyncio.sleep(0.5)
        return hides("secret")(event)  # type: ignore[no-any-return]

    for _ in range(2):
        async with stage.chat("ada", store=tmp_path / "ada.db") as ada:
            ada.use(Filter(slowly))
            views: list[str] = []
            ada.channel(C).timeline.watch()
            for _ in range(200):
                await asyncio.sleep(0.05)
                views += shown(ada)
                if not ada.channel(C).timeline.view.has_older or len(shown(ada)) != 49:
                    continue
            await ada.channel(C).timeline.load_older(50)
            peer.say("secret", "next")
            for _ in range(100):
                await asyncio.sleep(0.05)
                views += shown(ada)
            await ada.channel(C).timeline.jump("newest")
            views += shown(ada)
            await asyncio.sleep(2)

            assert "secret" not in views
            assert "next" in views
            assert shown(ada)[-1] == "next"
    async with stage.chat("ada", store=tmp_path / "ada.db") as ada:
        ada.use(Filter(hides("secret")))
        stage.cut("ada")
        ada.channel(C).timeline.watch()
        await asyncio.sleep(1)
        assert "next" in shown(ada)
        assert "secret" not in shown(ada)


async def test_an_edit_shows_the_old_text_until_middleware_has_seen_the_new_one(stage: Stage) -> None:
    """Nothing flickers and nothing leaks meanwhile (D21)."""

    async def slowly(event: chatkit.Event) -> chatkit.Event | None:
        if isinstance(event, chatkit.MessageUpdated):
            await asyncio.sleep(1)
        return shouts(event)

    async with stage.chat("ada") as ada:
        ada.use(Filter(slowly))
        await ready(ada)
        peer = stage.peer("cleo")
        (one,) = peer.say("one")
        await asyncio.sleep(1)
        peer.edit(one, "two")
        await asyncio.sleep(0.5)
        assert shown(ada) == ["ONE"]
        await asyncio.sleep(1)

        assert shown(ada) == ["TWO"]


async def shouts_slowly(event: chatkit.Event) -> chatkit.Event:
    await asyncio.sleep(0.5)
    return shouts(event)


async def test_of_edits_that_come_at_once_none_shows_unseen(stage: Stage) -> None:
    """What middleware made of one says nothing of the next, which it has not seen (D21)."""
    async with stage.chat("ada") as ada:
        ada.use(Filter(shouts_slowly))
        await ready(ada)
        peer = stage.peer("cleo")
        with stage.lost():
            (one,) = peer.say("one")
            peer.edit(one, "two")
        peer.edit(one, "three")
        views: set[str] = set()
        for _ in range(100):
            await asyncio.sleep(0.05)
            views.update(shown(ada))

        assert views == {"THREE"}


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize("like", PROFILES)
async def test_a_change_that_waited_for_its_message_passes_middleware_too(
    clock: VirtualClock, like: Like, heard: bool
) -> None:
    """It was told before its message was there; what the view shows then, middleware has seen (D21, D22)."""
    stage = Stage(clock, like=like)
    async with stage.chat("ada") as ada:
        ada.use(Filter(shouts))
        stream = ada.channel(C).events() if heard else None
        await ready(ada)
        peer = stage.peer("cleo")
        with stage.captured() as frames:
            (one,) = peer.say("one")
            peer.edit(one, "two")
        stage.deliver(*reversed(frames))
        await asyncio.sleep(5)

        assert shown(ada) == ["TWO"]
        assert stream is None or "TWO" in texts(await taken(stream))


async def test_a_load_that_is_cancelled_hides_nothing_for_ever(stage: Stage) -> None:
    """Middleware sees the page to its end, whoever waits for that (D21)."""
    stage.peer("cleo").say(*(f"m{n}" for n in range(60)))
    async with stage.chat("ada") as ada:
        ada.use(Filter(shouts_slowly))
        await ready(ada)
        loading = asyncio.ensure_future(ada.channel(C).timeline.load_older(50))
        await asyncio.sleep(0.2)
        loading.cancel()
        await asyncio.sleep(2)

        assert shown(ada) == [f"M{n}" for n in range(60)]


async def test_an_edit_that_overtakes_its_page_shows(stage: Stage) -> None:
    """While middleware sees a page, a message of it changes: the newer version stands (D21, I7)."""
    peer = stage.peer("cleo")
    one, *_ = peer.say(*(f"m{n}" for n in range(60)))
    views: set[str] = set()

    async def uneven(event: chatkit.Event) -> chatkit.Event:
        await asyncio.sleep(2 if isinstance(event, chatkit.MessageCreated) else 0)
        return shouts(event)

    async with stage.chat("ada") as ada:
        ada.use(Filter(uneven))
        await ready(ada)
        loading = asyncio.ensure_future(ada.channel(C).timeline.load_older(50))
        await asyncio.sleep(0.5)
        peer.edit(one, "edited")
        for _ in range(100):
            await asyncio.sleep(0.05)
            views.update(shown(ada))
        await loading

        assert "EDITED" in shown(ada)
        assert not {"m0", "edited"} & views


async def test_messages_of_an_earlier_time_pass_middleware_without_being_told(
    stage: Stage, tmp_path: Path
) -> None:
    """What a catch-up brings that nobody is told of is filtered for the view all the same (D15, D21)."""
    peer = stage.peer("cleo")
    async with stage.chat("ada", store=tmp_path / "ada.db") as ada:
        await ready(ada)
        peer.say("zero")
        await asyncio.sleep(1)
    peer.say("one", "secret")
    async with stage.chat("ada", store=tmp_path / "ada.db") as ada:
        ada.use(Filter(hides("secret")))
        stream = ada.channel(C).events(chatkit.MessageEvent)
        await ready(ada)

        assert await taken(stream) == []
        assert shown(ada) == ["zero", "one"]


async def test_my_own_message_passes_middleware_though_nobody_listens(stage: Stage) -> None:
    """A view that is looked at later shows what middleware made of it (D21)."""
    async with stage.chat("ada") as ada:
        ada.use(Filter(shouts))
        delivery = await ada.channel(C).send("one")
        await delivery.wait(timeout=5)
        await asyncio.sleep(1)

        assert shown(ada) == ["ONE"]


def _raise(_: chatkit.Event) -> chatkit.Event:
    raise ZeroDivisionError


async def _hang(_: chatkit.Event) -> None:
    await asyncio.Event().wait()


async def _cancel(_: chatkit.Event) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (_raise, ZeroDivisionError),
        (_hang, TimeoutError),
        (_cancel, asyncio.CancelledError),
        (lambda _: "text", chatkit.StateError),
    ],
    ids=["raises", "hangs", "cancels itself", "returns no event"],
)
async def test_a_broken_middleware_is_reported_and_passed_over(
    stage: Stage, act: Any, error: type[BaseException]
) -> None:
    """A filter that breaks loses no message, stops no channel and no other filter (I13)."""
    errors: list[chatkit.HandlerError] = []
    async with stage.chat("ada", on_error=errors.append) as ada:
        ada.use(Filter(shouts), Filter(act))
        stream = ada.channel(C).events(chatkit.MessageEvent)
        await ready(ada)
        stage.peer("cleo").say("one", "two")

        assert texts(await later(stream, 3 * MIDDLEWARE_TIMEOUT)) == ["ONE", "TWO"]
        assert {type(found.error) for found in errors} == {error}
        assert {found.handler for found in errors} == {"Filter"}
        assert ada.channel(C).state == "attached"


async def test_middleware_runs_newest_first(stage: Stage) -> None:
    """What comes in passes in the reverse order of what goes out."""
    async with stage.chat("ada") as ada:
        order: list[str] = []

        def note(name: str) -> Filter:
            def act(event: chatkit.Event) -> chatkit.Event:
                order.append(name)
                return event

            return Filter(act)

        ada.use(note("first"), note("second"))
        ada.use(note("third"))
        ada.channel(C).events(chatkit.MessageEvent)
        await ready(ada)
        stage.peer("cleo").say("one")
        await asyncio.sleep(1)

        assert order == ["third", "second", "first"]


async def test_a_client_that_is_closed_while_middleware_runs_closes(stage: Stage) -> None:
    """A cancellation from outside is no fault of the filter's (I12)."""
    errors: list[chatkit.HandlerError] = []
    ada = await stage.chat("ada", on_error=errors.append)
    ada.use(Filter(_hang))
    await ready(ada)
    stage.peer("cleo").say("one")
    await asyncio.sleep(1)
    report = await ada.aclose()

    assert report.clean
    assert errors == []


async def test_a_replay_passes_middleware_too(stage: Stage) -> None:
    """Readers that come from the log get what live readers get (D21)."""
    stage.peer("cleo").say("one", "secret", "two")
    async with stage.chat("ada") as ada:
        ada.use(Filter(shouts), Filter(hides("secret")))
        stream = ada.channel(C).events(chatkit.MessageEvent, since=chatkit.START)
        await ready(ada)

        assert texts(await taken(stream)) == ["ONE", "TWO"]


async def test_a_late_message_may_become_another_event(stage: Stage) -> None:
    """What middleware makes of it is handed on as it is (D21)."""

    def other(event: chatkit.Event) -> chatkit.Event:
        if isinstance(event, chatkit.MessageCreated):
            return chatkit.CustomEvent(
                event_id=event.event_id,
                channel=event.channel,
                at=event.at,
                name="made",
                sender=event.message.sender,
            )
        return event

    async with stage.chat("ada") as ada:
        ada.use(Filter(other))
        stream = ada.channel(C).events(chatkit.CustomEvent)
        await ready(ada)
        with stage.captured() as frames:
            stage.peer("cleo").say("one", "two")
        stage.deliver(frames[1])
        await asyncio.sleep(0.5)
        stage.deliver(frames[0])

        assert [event.name for event in await later(stream, 3)] == ["made", "made"]
        assert shown(ada) == []


async def test_a_restored_log_shows_nothing_unseen_either(stage: Stage) -> None:
    """Pages that are read anew pass middleware as all others (D18, D21)."""
    chat = stage.chat("ada")
    odd_log(chat)
    core: Any = stage.hub.log.core
    async with chat as ada:
        ada.use(Filter(hides("secret")))
        await ready(ada)
        stage.peer("cleo").say("one", "secret")
        await asyncio.sleep(1)
        core._channels, core.log_id = {}, "e" * 32
        stage.peer("dora").say("two", "secret")
        engine(ada).receiver.prompt_read(0.0)
        await asyncio.sleep(3)

        assert shown(ada) == ["one", "two"]


async def test_what_on_error_raises_is_logged(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """The app's last resort may break too; nothing stops for it (I13)."""

    def broken(_: chatkit.HandlerError) -> None:
        raise KeyError

    async with stage.chat("ada", on_error=broken) as ada:
        ada.use(Filter(_raise))
        stream = ada.channel(C).events(chatkit.MessageEvent)
        await ready(ada)
        with caplog.at_level(logging.ERROR, "chatkit"):
            stage.peer("cleo").say("one")
            assert texts(await later(stream, 1)) == ["one"]

        assert [record.message for record in caplog.records] == ["on_error raised"]


async def test_by_default_an_error_is_logged_without_the_message(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """The handler and the event are named; what the message says is not (I16)."""
    async with stage.chat("ada") as ada:
        ada.use(Filter(_raise))
        ada.channel(C).events(chatkit.MessageEvent)
        await ready(ada)
        with caplog.at_level(logging.ERROR, "chatkit"):
            stage.peer("cleo").say("a private word")
            await asyncio.sleep(1)

        (record,) = caplog.records
        assert "Filter" in record.message
        assert "MessageCreated" in record.message
        assert "private" not in caplog.text
