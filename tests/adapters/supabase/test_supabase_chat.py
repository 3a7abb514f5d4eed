"""Whole chats over Supabase: users and backends together, and what breaks between them."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

import chatkit
from chatkit import Discontinuity, MessageCreated
from chatkit.adapters.supabase import rpc, topic_of
from chatkit.logs.postgres import migrate_supabase
from chatkit.testing.emulators.supabase import Aim, Fault
from tests.adapters.seen import heard, reactions, there
from tests.adapters.supabase.app import PATIENCE, App, texts, until

pytestmark = [pytest.mark.realtime, pytest.mark.long]

BROADCAST: Final = "&mode=broadcast&payload=3000"
_NUMBERS: Final = count(1)


@pytest.fixture
def name() -> str:
    """A channel that nobody has used before."""
    return f"support-{next(_NUMBERS)}"


@pytest.mark.parametrize("config", ["", BROADCAST, f"{BROADCAST}&private=1"])
async def test_users_share_a_channel(database: str, name: str, config: str) -> None:
    """Messages, edits, reactions, marks, typing and presence with its data pass both ways (D2, D25)."""
    async with App(database, config) as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel(name), bob.channel(name)
        _ = mine.timeline, theirs.timeline
        await mine.presence.enter(status="away", data={"desk": 4})
        await theirs.presence.enter()
        await until(lambda: mine.presence.synced and theirs.presence.synced, "both are attached")

        hello = await (await mine.send("Hello")).wait("sent", timeout=PATIENCE)
        await until(lambda: texts(theirs) == ["Hello"], "it is shown")
        _ = await (await theirs.send("Hi")).wait("sent", timeout=PATIENCE)
        await until(lambda: texts(mine) == texts(theirs) == ["Hello", "Hi"], "both show both")
        _ = await theirs.react(hello, "👍")
        _ = await mine.edit(hello, "Hello!")

        await until(lambda: texts(mine) == texts(theirs) == ["Hello!", "Hi"], "both show the edit")
        await until(lambda: reactions(mine) == reactions(theirs) == {"👍": {"bob"}}, "and the reaction")
        await theirs.typing.keystroke()
        await until(lambda: "bob" in mine.typing.users, "typing is shown")
        await until(lambda: "ada" in theirs.presence.members, "and who is there")
        await until(lambda: theirs.presence.members["ada"].status == "away", "and as what")
        assert theirs.presence.members["ada"].data == {"desk": 4}
        vouched = {message.attested for message in theirs.timeline.view.messages}
        assert vouched == ({"none"} if config else {"provider"})


async def test_the_database_has_what_was_said(database: str, name: str) -> None:
    """Who comes later reads it, with edits, reactions and marks; it is searched and counted (D24, D25)."""
    async with App(database) as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel(name), bob.channel(name)
        first = await (await mine.send("frist")).wait("sent", timeout=PATIENCE)
        for number in range(3):
            _ = await (await mine.send(f"message {number}")).wait("sent", timeout=PATIENCE)
        _ = await (await mine.edit(first, "first")).wait("sent", timeout=PATIENCE)

        _ = theirs.timeline
        await theirs.attach(timeout=PATIENCE)

        said = ["first", "message 0", "message 1", "message 2"]
        await until(lambda: texts(theirs) == said, "all is shown")
        page = await theirs.history(limit=2)
        assert [message.text for message in page.items] == ["message 2", "message 1"]
        assert [found.text for found in (await theirs.search("first")).items] == ["first"]
        await until(lambda: theirs.receipts.unread.messages == 4, "all is unread")
        _ = mine.timeline
        await mine.attach(timeout=PATIENCE)
        await theirs.receipts.mark_read(page.items[0])
        await until(lambda: mine.receipts.read_by(page.items[0]) == {"bob"}, "who has read what is seen")


async def test_a_backend_speaks_for_anybody(database: str, name: str) -> None:
    """With the service key; each message is its user's, and the log vouches for it (D2)."""
    async with App(database) as app, app.backend("bot") as bot, app.member("bob") as bob:
        theirs = bob.channel(name)
        events = theirs.events(MessageCreated)
        await theirs.attach(timeout=PATIENCE)

        _ = await (await bot.as_user("ada").channel(name).send("for Ada")).wait("sent", timeout=PATIENCE)
        _ = await (await bot.channel(name).send("for myself")).wait("sent", timeout=PATIENCE)

        told = [(await events.next(timeout=PATIENCE)).message for _ in range(2)]
        assert [(message.sender.user, message.text, message.attested) for message in told] == [
            ("ada", "for Ada", "provider"),
            ("bot", "for myself", "provider"),
        ]


async def test_in_the_database_nothing_is_missing(database: str, name: str) -> None:
    """Whatever is cut or lost on the way: each message is told once, in the order of the commits (I1, I2, I4)."""
    async with App(database) as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel(name), bob.channel(name)
        events = theirs.events(MessageCreated, Discontinuity)
        await theirs.attach(timeout=PATIENCE)
        said = [f"message {number}" for number in range(20)]

        for number, text in enumerate(said):
            delivery = await mine.send(text)
            if number % 5 == 2:
                await app.cut()
            if number % 5 == 4:
                await until(lambda: app.emulator.project.committed.ready, "somebody hears what is committed")
                _ = await app.emulator.deeds.lose_replication(Aim())
            _ = await delivery.wait("sent", timeout=PATIENCE)

        assert await heard(events, 20) == said


async def test_broadcasts_announce_every_gap(database: str, name: str) -> None:
    """After a reconnect a `Discontinuity` comes before the next message (I6)."""
    async with App(database, BROADCAST) as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel(name), bob.channel(name)
        events = theirs.events(MessageCreated, Discontinuity)
        await theirs.attach(timeout=PATIENCE)
        _ = await (await mine.send("before")).wait("sent", timeout=PATIENCE)
        assert await heard(events, 1) == ["before"]

        before, place = set(app.emulator.sockets), (False, topic_of(name, "live"))

        def anew() -> bool:
            return bool(app.emulator.project.topic(place).channels) and not before & set(app.emulator.sockets)

        app.emulator.add_fault(Fault(does="delay", event="phx_join", seconds=0.5))
        await app.cut()
        _ = await (await mine.send("missed")).wait("sent", timeout=PATIENCE)
        await until(lambda: bob.connection.state == "connected", "bob is back")
        await theirs.attach(timeout=PATIENCE)
        await until(anew, "bob's join, which was delayed, is through")
        _ = await (await mine.send("after")).wait("sent", timeout=PATIENCE)

        assert isinstance(await events.next(timeout=PATIENCE), Discontinuity)
        last = [event async for event in _until_after(events)]
        assert last[-1] == "after"


async def _until_after(events: Any) -> Any:
    while True:
        event = await events.next(timeout=PATIENCE)
        if isinstance(event, MessageCreated):
            yield event.message.text
            if event.message.text == "after":
                return


async def test_a_live_topic_that_is_closed_costs_no_message(database: str, name: str) -> None:
    """It is joined again apart, with who was there; messages pass meanwhile (D28)."""
    async with App(database) as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel(name), bob.channel(name)
        events = theirs.events(MessageCreated, Discontinuity)
        await mine.presence.enter()
        await theirs.presence.enter()
        await until(lambda: there(mine) == {"ada", "bob"} == there(theirs), "both are there")

        struck = await app.shut(name, "Query was cancelled, please try again", kind="live")
        _ = await (await mine.send("meanwhile")).wait("sent", timeout=PATIENCE)

        assert struck == 2
        assert await heard(events, 1) == ["meanwhile"]
        assert ada.health().status == "ok"
        place = app.emulator.project.topic((True, f"chatkit-live:{name}"))
        await until(lambda: len(place.presence.state()) == 2, "both are there again")
        await theirs.typing.keystroke()
        await until(lambda: "bob" in mine.typing.users, "and what passes by passes")


async def test_a_large_message_comes_whole(database: str, name: str) -> None:
    """One that no broadcast carries is read by whoever hears of it, in its place (D28)."""
    minutes = "Minutes: " + "so it was said. " * 20_000
    async with App(database) as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel(name), bob.channel(name)
        events = theirs.events(MessageCreated, Discontinuity)
        await theirs.attach(timeout=PATIENCE)

        for text in ("before", minutes, "after"):
            _ = await mine.send(text)

        assert await heard(events, 3) == ["before", minutes, "after"]
        with pytest.raises(chatkit.MessageTooLarge):
            _ = await mine.send("x" * 1_100_000)


async def test_a_token_is_renewed_before_it_ends(database: str, name: str) -> None:
    """In band, on every topic: the connection stands (D32)."""
    async with App(database) as app:
        app.lifetime = 4.0
        async with app.member("ada") as ada:
            channel = ada.channel(name)
            events = channel.events(MessageCreated, Discontinuity)
            await channel.attach(timeout=PATIENCE)
            before = list(app.emulator.sockets)

            now = app.emulator.project.clock.unix
            ended = now() + app.lifetime

            await until(lambda: len(app.asked) >= 3, "fresh tokens are asked for")
            await until(lambda: now() > ended, "and the first one has ended")

            _ = await (await channel.send("still here")).wait("sent", timeout=PATIENCE)
            assert await heard(events, 1) == ["still here"]
            assert list(app.emulator.sockets) == before


async def test_a_token_that_ended_unnoticed_is_renewed_once(database: str, name: str) -> None:
    """Whoever slept past its end comes back with another, and misses nothing (D32)."""
    async with App(database) as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel(name), bob.channel(name)
        events = theirs.events(MessageCreated, Discontinuity)
        await theirs.attach(timeout=PATIENCE)
        await mine.attach(timeout=PATIENCE)
        asked = len(app.asked)

        _ = await app.emulator.deeds.expire(Aim())
        _ = await (await mine.send("after")).wait("sent", timeout=PATIENCE)

        assert await heard(events, 1) == ["after"]
        await until(lambda: len(app.asked) == asked + 2, "each asked for one fresh token")


async def test_who_is_no_member_is_told(database: str, name: str) -> None:
    """The channel fails, and so does what was sent to it: after one fresh token (D12)."""
    async with App(database) as app, app.member("eve") as eve:
        await app.sql("DELETE FROM chatkit.members")
        channel = eve.channel(name)

        with pytest.raises(chatkit.NotAllowed):
            await channel.attach(timeout=PATIENCE)
        failed = await channel.send("let me in")
        await until(lambda: failed.status == "failed", "it fails")

        assert isinstance(failed.error, chatkit.NotAllowed)
        await app.sql("SELECT chatkit.add_member('', '*')")


async def test_a_project_without_the_schema_says_so(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that makes it, and before anybody is told that they have no right."""
    from tests.logs import postgres_server

    monkeypatch.setattr(rpc, "STALE", 1.0)
    with postgres_server.database(postgres) as empty:
        async with App(empty, schema=False) as app:
            with pytest.raises(chatkit.ConfigError) as refused:
                async with app.member("ada") as ada:
                    await ada.channel("support").attach(timeout=PATIENCE)

    assert "chatkit supabase migrate" in refused.value.hint


async def test_a_schema_that_comes_late_is_found(postgres: str) -> None:
    """By who connects and by who sends, without `retry_now()`."""
    from tests.logs import postgres_server

    with postgres_server.database(postgres) as empty:
        async with App(empty, schema=False) as app, app.member("ada") as ada:
            delivery = await ada.channel("support").send("hello")
            await until(lambda: app.asked != [], "it asks")
            await asyncio.to_thread(migrate_supabase, empty, everyone=True)

            _ = await delivery.wait("sent", timeout=PATIENCE)
            await ada.connection.wait("connected", timeout=PATIENCE)


async def test_another_users_token_is_refused(database: str) -> None:
    """`connect(user=)` and the token's `sub` must be one (D2)."""
    async with App(database) as app:

        async def auth(_: object) -> str:
            return app.token("mallory")

        with pytest.raises(chatkit.ConfigError, match="another user"):
            async with app.member("ada", auth=auth) as ada:
                await ada.channel("support").attach(timeout=PATIENCE)


async def test_beside_a_log_of_the_app_nothing_is_missing(database: str, name: str, tmp_path: Path) -> None:
    """Its entries are announced by broadcasts, and read where those were missed (D9, D16, D19)."""
    log = f"sqlite:///{tmp_path}/log.db"
    async with (
        App(database, BROADCAST) as app,
        app.backend("ada", log=log) as ada,
        app.backend("bob", log=log) as bob,
    ):
        mine, theirs = ada.channel(name), bob.channel(name)
        events = theirs.events(MessageCreated, Discontinuity)
        await theirs.attach(timeout=PATIENCE)
        said = [f"live {number}" for number in range(5)]
        for text in said:
            _ = await mine.send(text)
        assert await heard(events, 5) == said
        await app.cut()
        away = [f"away {number}" for number in range(5)]
        for text in away:
            _ = await mine.send(text)

        assert await heard(events, 5) == away
        assert ada.capabilities.announce == "after"
