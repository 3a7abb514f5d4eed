"""Whole chats over Ably: members and backends together, and what breaks between them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

import chatkit
from chatkit import Discontinuity, MessageCreated
from chatkit.testing.emulators.ably import Aim, ErrorInfo, Fault
from tests.adapters.ably.app import PATIENCE, App, texts, until
from tests.adapters.seen import heard, reactions, there

pytestmark = [pytest.mark.realtime, pytest.mark.long]


@pytest.mark.parametrize("config", ["", "&format=json", "&namespace=persisted&history=72h"])
async def test_members_and_backends_share_a_channel(config: str) -> None:
    """Messages, edits, reactions, typing and presence with its data pass both ways (D2, D25)."""
    async with App(config) as app, app.backend("ada") as ada, app.member("bob") as bob:
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

        await until(lambda: texts(mine) == texts(theirs) == ["Hello!", "Hi"], "both show the edit")
        await until(lambda: reactions(mine) == reactions(theirs) == {"👍": {"bob"}}, "and the reaction")
        await theirs.typing.keystroke()
        await until(lambda: "bob" in mine.typing.users, "typing is shown")
        await until(lambda: "ada" in theirs.presence.members, "and who is there")
        await until(lambda: theirs.presence.members["ada"].status == "away", "and as what")
        assert theirs.presence.members["ada"].data == {"desk": 4}
        assert {m.attested for m in theirs.timeline.view.messages} == {"provider"}


async def test_who_comes_later_reads_what_was_said() -> None:
    """With its edits and reactions, out of Ably's history (D24)."""
    async with App() as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
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
        older = await theirs.history(limit=10, before=page.items[-1])
        assert "message 0" in [message.text for message in older.items]


async def test_a_killed_transport_is_gone_on_with() -> None:
    """What was said meanwhile comes, in order and once, and no gap is told: Ably vouches for it (I2, I6)."""
    async with App() as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        events = theirs.events(MessageCreated, Discontinuity)
        await theirs.attach(timeout=PATIENCE)
        said = ["live"]
        _ = await (await mine.send("live")).wait("sent", timeout=PATIENCE)
        assert await heard(events, 1) == said
        before = app.emulator.app.connections.keys()

        async def meanwhile() -> None:
            for number in range(5):
                said.append(f"away {number}")
                _ = await (await mine.send(said[-1])).wait("sent", timeout=PATIENCE)

        await app.cut_off("bob", meanwhile)
        _ = await (await mine.send("back")).wait("sent", timeout=PATIENCE)

        assert await heard(events, 6) == [*said[1:], "back"]
        assert set(before) == set(app.emulator.app.connections)  # it was the same connection


@pytest.mark.parametrize("how", ["forgotten", "moved", "discontinuous", "dropped"])
async def test_a_refused_resume_is_filled_from_history(how: str) -> None:
    """A new connection, or a channel that nobody vouches for: what was missed is read, in order, once (D30)."""
    async with App() as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        events = theirs.events(MessageCreated)
        await theirs.attach(timeout=PATIENCE)
        said = [f"message {number}" for number in range(12)]
        deeds, bobs = app.emulator.deeds, Aim(client="bob", channel="support")

        for number, text in enumerate(said):
            delivery = await mine.send(text)
            if number == 5:
                if how == "forgotten":
                    app.emulator.add_fault(Fault(does="refuse", action="CONNECT"))
                    app.cut("bob")
                elif how == "moved":
                    _ = deeds.move(Aim())
                elif how == "discontinuous":
                    _ = deeds.lose_continuity(Aim())
                    app.cut()
                else:
                    app.emulator.add_fault(Fault(does="drop", way="out", action="MESSAGE", client="bob"))
                    _ = await delivery.wait("sent", timeout=PATIENCE)
                    _ = deeds.attached(Aim(client="bob", channel=bobs.channel, error=ErrorInfo(code=80020)))
            _ = await delivery.wait("sent", timeout=PATIENCE)

        assert await heard(events, 12) == said


@pytest.mark.parametrize("seed", range(4))
async def test_a_bad_day_loses_and_doubles_nothing(seed: int) -> None:
    """Whatever breaks while both speak: each message is told once, each sender's in order (I1, I2, I4)."""
    chance = Random(seed)
    async with App() as app, app.member("ada") as ada, app.member("bob") as bob:
        deeds, everywhere = app.emulator.deeds, Aim()

        def lose_answers() -> None:
            app.emulator.add_fault(Fault(does="abort", way="out", action="ACK"))

        def refuse_resumes() -> None:
            app.emulator.add_fault(Fault(does="refuse", action="CONNECT", times=2))
            app.cut()

        mishaps = [
            lambda: deeds.abort(everywhere),
            lambda: deeds.move(everywhere),
            lambda: deeds.forget(everywhere) and deeds.abort(everywhere),
            lambda: deeds.lose_continuity(everywhere) and deeds.abort(everywhere),
            lambda: deeds.detach(everywhere),
            lambda: deeds.attached(everywhere),
            lambda: deeds.reauth(everywhere),
            lambda: deeds.expire(everywhere),
            lose_answers,
            refuse_resumes,
        ]
        mine, theirs = ada.channel("support"), bob.channel("support")
        streams = [channel.events(MessageCreated) for channel in (mine, theirs)]
        for channel in (mine, theirs):
            await channel.attach(timeout=PATIENCE)

        for number in range(20):
            _ = await mine.send(f"ada {number}")
            _ = await theirs.send(f"bob {number}")
            if number % 2:
                _ = chance.choice(mishaps)()
            await asyncio.sleep(chance.random() * 0.2)

        for stream in streams:
            told = await heard(stream, 40)
            for user in ("ada", "bob"):
                said = [f"{user} {number}" for number in range(20)]
                assert [text for text in told if text.startswith(user)] == said
        await until(lambda: texts(mine) == texts(theirs), "both show one order")
        assert len(texts(mine)) == 40


async def test_what_history_no_longer_holds_is_told() -> None:
    """After two minutes away nobody can say what was said: a `Discontinuity`, then what follows (I6)."""
    async with App() as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        events = theirs.events(MessageCreated, Discontinuity)
        await theirs.attach(timeout=PATIENCE)
        _ = await (await mine.send("before")).wait("sent", timeout=PATIENCE)
        assert await heard(events, 1) == ["before"]

        async def meanwhile() -> None:
            _ = await (await mine.send("lost")).wait("sent", timeout=PATIENCE)
            app.emulator.clock.advance(125)

        await app.cut_off("bob", meanwhile)
        await until(lambda: ada.connection.state == "connected" == bob.connection.state, "both are back")
        await theirs.attach(timeout=PATIENCE)
        _ = await (await mine.send("after")).wait("sent", timeout=PATIENCE)

        assert isinstance(await events.next(timeout=PATIENCE), Discontinuity)
        assert await heard(events, 1) == ["after"]


@pytest.mark.parametrize("resumed", [True, False])
async def test_a_publish_without_an_answer_happens_once(resumed: bool) -> None:  # a parameter
    """It goes out again under its ids, over the same connection or a new one (D10)."""
    async with App() as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        _ = theirs.timeline
        await theirs.attach(timeout=PATIENCE)
        said: list[str] = []
        for number in range(6):
            said.append(f"message {number}")
            if number % 2:
                app.emulator.add_fault(Fault(does="abort", way="out", action="ACK", client="ada"))
                if not resumed:
                    app.emulator.add_fault(Fault(does="refuse", action="CONNECT"))
            _ = await (await mine.send(said[-1])).wait("sent", timeout=PATIENCE)

        await until(lambda: texts(theirs) == said, "all is shown")
        await asyncio.sleep(0.1)
        assert texts(theirs) == said
        kept = app.emulator.app.channels["support"].store.latest()
        assert len(list(kept)) == len(said)


async def test_a_token_is_renewed_before_it_ends() -> None:
    """In band: the transport stands (D32)."""
    async with App() as app:
        app.lifetime = 3.0
        async with app.member("ada") as ada:
            channel = ada.channel("support")
            await channel.attach(timeout=PATIENCE)
            before = list(app.emulator.sockets)

            await until(lambda: len(app.asked) >= 3, "fresh tokens are asked for")

            _ = await (await channel.send("still here")).wait("sent", timeout=PATIENCE)
            assert list(app.emulator.sockets) == before


@pytest.mark.parametrize("deed", ["expire", "reauth"])
async def test_a_token_is_renewed_when_ably_asks(deed: str) -> None:
    """By AUTH in band, by DISCONNECTED with a new transport; the connection goes on (D32)."""
    async with App() as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        events = theirs.events(MessageCreated, Discontinuity)
        await theirs.attach(timeout=PATIENCE)
        _ = await (await mine.send("before")).wait("sent", timeout=PATIENCE)
        asked, before = len(app.asked), set(app.emulator.app.connections)

        _ = app.emulator.deeds.named[deed](Aim())

        await until(lambda: len(app.asked) == asked + 2, "both ask for fresh ones, once each")
        _ = await (await mine.send("after")).wait("sent", timeout=PATIENCE)
        assert await heard(events, 2) == ["before", "after"]
        assert set(app.emulator.app.connections) == before


async def test_clients_of_one_user_are_one_member() -> None:
    """Who has two of them is there until the last has gone (D32)."""
    async with App() as app, app.member("ada") as ada:
        mine = ada.channel("support")
        await mine.presence.enter()
        async with app.member("bob") as one:
            await one.channel("support").presence.enter()
            async with app.member("bob") as two:
                await two.channel("support").presence.enter(status="away")
                await until(lambda: there(mine) == {"ada", "bob"}, "bob is there")
                room = app.emulator.app.channels["support"].presence
                await until(lambda: len(room) == 3, "with both clients")
            await asyncio.sleep(0.1)
            assert there(mine) == {"ada", "bob"}
        await until(lambda: there(mine) == {"ada"}, "bob is gone")


async def test_members_are_there_again_after_a_new_connection() -> None:
    """Entered again without being asked, whatever Ably remembers (D32)."""
    async with App() as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        await mine.presence.enter()
        await theirs.presence.enter()
        await until(lambda: there(mine) == {"ada", "bob"} == there(theirs), "both are there")

        _ = app.emulator.deeds.move(Aim())

        room = app.emulator.app.channels["support"].presence
        await until(lambda: {m["clientId"] for m in room.present()} == {"ada", "bob"}, "both came back")
        await until(lambda: there(mine) == {"ada", "bob"} == there(theirs), "and see it")


async def test_a_missing_right_is_no_reason_for_a_new_connection() -> None:
    """40160 has the status of a refused token and is none: one fresh token, then the message fails (D12)."""
    rights = 'app.key:secret:{"support":["*"],"other":["subscribe"]}'
    async with App(keys=(rights,)) as app, app.member("ada") as ada:
        _ = await (await ada.channel("support").send("taken")).wait("sent", timeout=PATIENCE)
        before = set(app.emulator.app.connections)

        failed = await ada.channel("other").send("refused")

        await until(lambda: failed.status == "failed", "it fails")
        assert isinstance(failed.error, chatkit.NotAllowed)
        assert len(app.asked) == 2
        assert set(app.emulator.app.connections) == before
        _ = await (await ada.channel("support").send("taken too")).wait("sent", timeout=PATIENCE)


async def test_with_a_log_nothing_is_missing(tmp_path: Path) -> None:
    """Order, history, what was missed while away; and Ably's own memory is not asked (D9, D16, D19)."""
    log = f"sqlite:///{tmp_path}/log.db"
    async with App() as app, app.backend("ada", log=log) as ada, app.backend("bob", log=log) as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        _ = mine.timeline, theirs.timeline
        events = theirs.events(MessageCreated, Discontinuity)
        await theirs.attach(timeout=PATIENCE)
        said = [f"live {number}" for number in range(5)]
        for text in said:
            _ = await mine.send(text)
        assert await heard(events, 5) == said
        _ = app.emulator.deeds.lose_continuity(Aim())
        app.cut()
        away = [f"away {number}" for number in range(5)]
        for text in away:
            _ = await mine.send(text)

        assert await heard(events, 5) == away
        await until(lambda: texts(theirs) == texts(mine) == [*said, *away], "all is shown, in order")
        page = await theirs.history(limit=3)
        assert [message.text for message in page.items] == away[:-4:-1]
        assert ada.capabilities.announce == "after"


async def test_with_a_log_a_message_may_be_larger_than_a_frame(tmp_path: Path) -> None:
    """By its claim check; who has no log sees that it is there (D29, D30)."""
    log = f"sqlite:///{tmp_path}/log.db"
    minutes = "Minutes: " + "so it was said. " * 10_000
    async with (
        App() as app,
        app.backend("ada", log=log) as ada,
        app.backend("bob", log=log) as bob,
        app.member("eve") as eve,
    ):
        mine, theirs, apart = (chat.channel("support") for chat in (ada, bob, eve))
        _ = theirs.timeline, apart.timeline
        await theirs.attach(timeout=PATIENCE)
        await apart.attach(timeout=PATIENCE)

        for text in ("before", minutes, "after"):
            _ = await mine.send(text)

        await until(lambda: texts(theirs) == ["before", minutes, "after"], "all is read")
        await until(lambda: len(apart.timeline.view.messages) == 3, "all is heard")
        bodies = [message.body for message in apart.timeline.view.messages]
        assert [isinstance(body, chatkit.UnavailableBody) for body in bodies] == [False, True, False]
        with pytest.raises(chatkit.MessageTooLarge):
            _ = await apart.send(minutes)


async def test_a_burst_is_never_refused_for_its_rate() -> None:
    """What is kept and what passes by share 50 messages a second on our side (D12)."""
    async with App() as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        _ = theirs.timeline
        await theirs.attach(timeout=PATIENCE)
        said = [f"message {number}" for number in range(40)]

        for text in said:
            _ = await mine.send(text)
            await mine.typing.keystroke()
        await ada.outbox.flush(timeout=PATIENCE)

        await until(lambda: texts(theirs) == said, "all came")
        assert ada.health().checks["outbox"]["paused"] is None
