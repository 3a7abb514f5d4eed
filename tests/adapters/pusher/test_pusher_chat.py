"""Whole chats over Pusher: backends and members together, with a log and without, under lock."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from chatkit import CapabilityError, Channel, Discontinuity, MessageCreated, RateLimited, UnavailableBody
from chatkit.testing.emulators.faults import CallFault, FrameFault
from tests.adapters.pusher.app import PATIENCE, App, texts, until
from tests.adapters.seen import reactions

pytestmark = [pytest.mark.realtime, pytest.mark.long]


async def test_backends_and_members_share_a_channel() -> None:
    """Messages, edits, reactions, typing and presence with its data pass both ways (D2, D29, D32)."""
    async with App() as app, app.backend("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        _ = mine.timeline, theirs.timeline
        await mine.presence.enter(status="away", data={"desk": 4})
        await theirs.presence.enter()
        await until(lambda: mine.presence.synced and theirs.presence.synced, "both are attached")

        hello = await (await mine.send("Hello")).wait("sent", timeout=PATIENCE)
        _ = await (await theirs.send("Hi")).wait("sent", timeout=PATIENCE)
        await until(lambda: texts(mine) == texts(theirs) == ["Hello", "Hi"], "both show both")
        _ = await theirs.react(hello, "👍")
        _ = await mine.edit(hello, "Hello!")
        await theirs.typing.keystroke()

        await until(lambda: "bob" in mine.typing.users, "typing is shown")  # first: it is not shown for ever
        await until(lambda: texts(mine) == texts(theirs) == ["Hello!", "Hi"], "both show the edit")
        await until(lambda: reactions(mine) == reactions(theirs) == {"👍": {"bob"}}, "and the reaction")
        await until(lambda: "ada" in theirs.presence.members, "and who is there")
        await until(lambda: theirs.presence.members["ada"].status == "away", "and as what")
        assert theirs.presence.members["ada"].data == {"desk": 4}
        assert [m.attested for m in mine.timeline.view.messages] == ["backend", "provider"]
        assert [m.attested for m in theirs.timeline.view.messages] == ["backend", "provider"]


async def test_a_bot_changes_what_a_member_sent() -> None:
    """Its reaction, and an edit and a delete in the member's name: a backend's word is enough (D2)."""
    async with App() as app, app.backend("bot") as bot, app.member("bob") as bob:
        mine, theirs = bot.channel("support"), bob.channel("support")
        _ = mine.timeline, theirs.timeline
        await mine.attach(timeout=PATIENCE)
        await theirs.attach(timeout=PATIENCE)
        hello = await (await theirs.send("Hello")).wait("sent", timeout=PATIENCE)
        wrong = await (await theirs.send("Wrong")).wait("sent", timeout=PATIENCE)
        await until(lambda: texts(mine) == ["Hello", "Wrong"], "the bot hears them")

        _ = await mine.react(hello, "👍")
        for_bob = bot.as_user("bob").channel("support")
        _ = await for_bob.edit(hello, "Hello!")
        _ = await for_bob.delete(wrong)

        await until(lambda: texts(mine) == texts(theirs) == ["Hello!", ""], "both show the edit, and no more")
        await until(lambda: reactions(mine) == reactions(theirs) == {"👍": {"bot"}}, "and the reaction")


@pytest.mark.parametrize("config", ["", "&channels=private", "&cache=1"])
async def test_without_a_log_every_gap_is_announced(config: str) -> None:
    """After a reconnect a `Discontinuity` comes before the next message (I6)."""
    async with App(config) as app, app.backend("ada") as ada, app.backend("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        events = theirs.events(MessageCreated, Discontinuity)
        await theirs.attach(timeout=PATIENCE)
        _ = await (await mine.send("before")).wait("sent", timeout=PATIENCE)
        assert isinstance(await events.next(timeout=PATIENCE), MessageCreated)

        await _away(app, bob, mine)
        _ = await (await mine.send("after")).wait("sent", timeout=PATIENCE)

        assert isinstance(await events.next(timeout=PATIENCE), Discontinuity)
        last = await events.next(timeout=PATIENCE)
        assert isinstance(last, MessageCreated)
        assert last.message.text == "after"


async def _away(app: App, chat: Any, other: Any) -> None:
    """Cut everybody off, and let something be said that one client misses."""
    for socket in app.emulator.sockets.values():
        app.emulator.faults.add(
            FrameFault(does="drop", way="out", only="chatkit", socket=socket.name, times=100)
        )
    _ = await (await other.send("missed")).wait("sent", timeout=PATIENCE)
    app.emulator.faults.clear()
    await app.reconnect()
    await chat.channel("support").attach(timeout=PATIENCE)


async def test_a_cache_channel_proves_that_nothing_was_missed() -> None:
    """What it kept is what was heard last: no gap is announced, and nothing is told twice (D17)."""
    async with App("&cache=1") as app, app.backend("ada") as ada, app.backend("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        events = theirs.events(MessageCreated, Discontinuity)
        await theirs.attach(timeout=PATIENCE)
        _ = await (await mine.send("before")).wait("sent", timeout=PATIENCE)
        assert isinstance(await events.next(timeout=PATIENCE), MessageCreated)

        await app.reconnect()
        await theirs.attach(timeout=PATIENCE)
        _ = await (await mine.send("after")).wait("sent", timeout=PATIENCE)

        last = await events.next(timeout=PATIENCE)
        assert isinstance(last, MessageCreated)
        assert last.message.text == "after"


@pytest.mark.parametrize("config", ["", "&channels=encrypted"])
async def test_with_a_log_nothing_is_missing(tmp_path: Path, config: str) -> None:
    """Order, history, what was missed while away, marks (D9, D16, D19)."""
    log = f"sqlite:///{tmp_path}/log.db"
    async with App(config) as app, app.backend("ada", log=log) as ada, app.backend("bob", log=log) as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        _ = mine.timeline, theirs.timeline
        events = theirs.events(MessageCreated, Discontinuity)
        await theirs.attach(timeout=PATIENCE)
        for number in range(5):
            _ = await mine.send(f"live {number}")
        await until(lambda: len(texts(theirs)) == 5, "live messages are shown")
        app.drop_connections()
        for number in range(5):
            _ = await mine.send(f"away {number}")

        said = [*(f"live {n}" for n in range(5)), *(f"away {n}" for n in range(5))]
        await until(lambda: texts(theirs) == said, "all is shown, in order")
        told = [await events.next(timeout=PATIENCE) for _ in range(10)]
        assert [event.message.text for event in told if isinstance(event, MessageCreated)] == said
        page = await theirs.history(limit=10)
        assert [message.text for message in page.items] == said[::-1]
        assert {message.attested for message in theirs.timeline.view.messages} == {"provider"}


@pytest.mark.parametrize("config", ["", "&channels=encrypted"])
async def test_with_a_log_a_message_may_be_larger_than_a_frame(tmp_path: Path, config: str) -> None:
    """All is read from the log, in its place; without the log readers see that it is there (D29)."""
    log = f"sqlite:///{tmp_path}/log.db"
    minutes = "Minutes: " + "“so it was said”. " * 10_000
    async with (
        App(config) as app,
        app.backend("ada", log=log) as ada,
        app.backend("bob", log=log, staleness=600.0) as bob,
        app.backend("eve") as eve,
    ):
        mine, theirs, apart = (chat.channel("support") for chat in (ada, bob, eve))
        _ = theirs.timeline, apart.timeline
        await theirs.attach(timeout=PATIENCE)
        await apart.attach(timeout=PATIENCE)

        for text in ("before", minutes, "after"):
            _ = await mine.send(text)

        await until(lambda: texts(theirs) == ["before", minutes, "after"], "all is shown, in order")
        await until(lambda: texts(apart) == ["before", minutes[:200], "after"], "its beginning is shown")
        body = apart.timeline.view.messages[1].body
        assert isinstance(body, UnavailableBody)
        assert body.bytes > len(minutes.encode())


async def test_what_the_log_has_is_found_without_its_announcement(tmp_path: Path) -> None:
    """Receivers compare heads within `staleness` seconds (D16)."""
    log = f"sqlite:///{tmp_path}/log.db"
    async with (
        App() as app,
        app.backend("ada", log=log, drain=0) as ada,
        app.backend("bob", log=log, staleness=1.0) as bob,
    ):
        _ = bob.channel("support").timeline
        await bob.channel("support").attach(timeout=PATIENCE)
        app.emulator.faults.add(CallFault(does="fail", status=403, path="events", times=100))

        delivery = await ada.channel("support").send("quiet")

        _ = await delivery.wait("sent", timeout=PATIENCE)
        await until(lambda: texts(bob.channel("support")) == ["quiet"], "it is found")


async def test_members_read_what_is_under_lock() -> None:
    """With the secret of the channel that `auth=` brings; they cannot write there."""
    async with App("&channels=encrypted") as app, app.backend("ada") as ada, app.member("bob") as bob:
        theirs = bob.channel("support")
        _ = theirs.timeline
        await theirs.attach(timeout=PATIENCE)

        _ = await (await ada.channel("support").send("sealed")).wait("sent", timeout=PATIENCE)
        failed = await theirs.send("open")

        await until(lambda: "sealed" in texts(theirs), "it is read")
        await until(lambda: failed.status == "failed", "it is refused")
        assert "encrypted" in str(failed.error)


async def test_a_full_channel_is_told_and_received_when_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Over 100 members: an error that says what to do, and another attempt after a while."""
    monkeypatch.setattr("chatkit.adapters.pusher.session.FULL", 0.2)
    async with App(members=1) as app, app.backend("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        await mine.attach(timeout=PATIENCE)
        _ = theirs.events()
        await until(lambda: theirs.error is not None, "it is told")

        assert isinstance(theirs.error, RateLimited)
        assert "channels=private" in theirs.error.hint
        assert isinstance(theirs.presence.error, CapabilityError)
        await mine.detach()
        await theirs.attach(timeout=PATIENCE)


async def test_private_channels_hold_more_than_show_who_is_there() -> None:
    """Messages go on where the roster is full."""
    async with (
        App("&channels=private", members=1) as app,
        app.backend("ada") as ada,
        app.backend("bob") as bob,
    ):
        mine, theirs = ada.channel("support"), bob.channel("support")
        _ = mine.timeline
        await mine.attach(timeout=PATIENCE)
        _ = theirs.timeline
        await theirs.attach(timeout=PATIENCE)

        _ = await mine.send("still heard")

        await until(lambda: texts(theirs) == ["still heard"], "it is heard")
        assert isinstance(theirs.presence.error, CapabilityError)


async def test_members_of_private_channels_see_what_all_see() -> None:
    """Nobody vouches for what they say, to themselves either: all count the same changes (D2, I5)."""
    async with (
        App("&channels=private") as app,
        app.backend("bot") as bot,
        app.member("ada") as ada,
        app.member("bob") as bob,
    ):
        channels = [chat.channel("support") for chat in (ada, bob, bot)]
        for channel in channels:
            _ = channel.timeline
            await channel.attach(timeout=PATIENCE)
        mine, theirs, its = channels
        hello = await (await mine.send("Hello")).wait("sent", timeout=PATIENCE)
        welcome = await (await its.send("Welcome")).wait("sent", timeout=PATIENCE)
        await until(lambda: all(texts(one) == ["Hello", "Welcome"] for one in channels), "all show both")

        for channel in channels:
            _ = await channel.react(hello, "👍")
            _ = await channel.react(welcome, "👋")
        _ = await mine.edit(hello, "Hello!")
        _ = await (await theirs.send("Hi")).wait("sent", timeout=PATIENCE)
        for chat in (ada, bob, bot):
            assert (await chat.outbox.flush(timeout=PATIENCE)).queued == 0

        def seen(channel: Channel) -> list[tuple[Any, ...]]:
            return [(m.text, m.status, m.attested, m.reactions) for m in channel.timeline.view.messages]

        everyone = frozenset({"ada", "bob", "bot"})
        expected = [
            ("Hello!", "sent", "none", {"👍": everyone}),
            ("Welcome", "sent", "backend", {"👋": frozenset({"bot"})}),
            ("Hi", "sent", "none", {}),
        ]
        await until(lambda: all(seen(one) == expected for one in channels), "all see the same")
        assert [chat.capabilities.attested for chat in (ada, bob, bot)] == ["none", "none", "backend"]


async def test_a_burst_of_client_events_never_earns_a_4301() -> None:
    """Durable ones all arrive, in order; typing yields to them (D29)."""
    async with App() as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        _ = theirs.timeline
        await theirs.attach(timeout=PATIENCE)
        refused = app.record("pusher:error")

        for number in range(10):
            _ = await mine.send(f"message {number}")
            await mine.typing.keystroke()

        async with asyncio.timeout(PATIENCE):
            await ada.outbox.flush(timeout=PATIENCE)
        await until(lambda: texts(theirs) == [f"message {number}" for number in range(10)], "all came")
        assert refused == []
