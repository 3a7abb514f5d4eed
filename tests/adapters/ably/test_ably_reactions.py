"""Reactions as Ably's annotations: `native_edits=1`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest

import chatkit
from chatkit import ReactionChanged
from chatkit.adapters.ably.annotations import TYPE
from chatkit.adapters.ably.session import AblySession
from chatkit.testing.death import kill
from chatkit.testing.emulators.ably import ErrorInfo, Fault
from chatkit.testing.emulators.ably.publishing import Origin, fresh_id
from chatkit.testing.emulators.ably.store import Stored
from chatkit.testing.emulators.faults import CallFault
from tests.adapters.ably.app import PATIENCE, App, texts, until
from tests.adapters.ably.tokens import KEY, SECRET

pytestmark = [pytest.mark.realtime]

NATIVE = "&namespace=mutable&native_edits=1&history=72h"
PLAIN = "&namespace=mutable&history=72h"


def given(channel: chatkit.Channel) -> list[dict[str, list[str]]]:
    """Return the reactions of each message that a channel shows."""
    return [
        {emoji: sorted(users) for emoji, users in message.reactions.items()}
        for message in channel.timeline.view.messages
    ]


def shows(channel: chatkit.Channel, *reactions: Mapping[str, list[str]]) -> Callable[[], bool]:
    """Say whether a channel shows these reactions, at each call."""
    return lambda: given(channel) == list(reactions)


def stored(app: App) -> Stored:
    """Return the first message at Ably."""
    return next(iter(app.emulator.app.channel("mutable:support").store._messages.values()))


def summed(app: App) -> dict[str, list[str]]:
    """Return the reactions that Ably sums up of the first message."""
    return {name: one["clientIds"] for name, one in stored(app).summary().get(TYPE, {}).items()}


def outside(app: App, user: str, *annotations: dict[str, Any]) -> None:
    """Annotate the first message as somebody without chatkit does."""
    emulated = app.emulator.app
    access = emulated.authority.by_key(f"{KEY}:{SECRET}")
    origin = Origin(access=access, client_id=user, connection_id=None, base=fresh_id())
    serial = stored(app).versions[-1]["serial"]
    items = [{"messageSerial": serial, "type": TYPE, **one} for one in annotations]
    emulated.publisher.annotate(emulated.channel("mutable:support"), items, origin)


class Points:
    """An observer that remembers the points it was told."""

    def __init__(self) -> None:
        self.names = set[str]()

    def point(self, name: str, /, **fields: str | float | None) -> None:
        self.names.add(name)


def come_back(*chats: chatkit.Chat) -> None:
    """Have those that are cut off try at once, however often they were."""
    for chat in chats:
        if chat.connection.state != "connected":
            chat.connection.retry_now()


async def opened(*chats: chatkit.Chat) -> list[chatkit.Channel]:
    """Attach a channel in each client, with its timeline."""
    channels = [chat.channel("support") for chat in chats]
    for channel in channels:
        _ = channel.timeline
        await channel.attach(timeout=PATIENCE)
    return channels


async def test_reactions_are_annotations() -> None:
    """Both sides show them, Ably sums them up, and the channel holds no message for them."""
    async with App(NATIVE) as app, app.member("ada") as ada, app.backend("bob") as bob:
        mine, theirs = await opened(ada, bob)
        message = await (await mine.send("Hello")).wait("sent", timeout=PATIENCE)
        await until(lambda: texts(theirs) == ["Hello"], "it is there")
        events = mine.events(ReactionChanged)

        _ = await (await mine.react(message, "👍")).wait("sent", timeout=PATIENCE)
        _ = await (await mine.react(message, "❤️")).wait("sent", timeout=PATIENCE)
        _ = await (await theirs.react(message, "👍")).wait("sent", timeout=PATIENCE)
        _ = await (await theirs.react(message, "🎉")).wait("sent", timeout=PATIENCE)
        _ = await (await mine.unreact(message, "👍")).wait("sent", timeout=PATIENCE)

        said = {"❤": ["ada"], "🎉": ["bob"], "👍": ["bob"]}
        for channel in (mine, theirs):
            await until(shows(channel, said), "both show all")
        assert summed(app) == said
        assert len(app.emulator.app.channel("mutable:support").store) == 1
        told = [await events.next(timeout=PATIENCE) for _ in range(5)]
        assert [(one.emoji, one.user, one.added) for one in told] == [
            ("👍", "ada", True),
            ("❤", "ada", True),
            ("👍", "bob", True),
            ("🎉", "bob", True),
            ("👍", "ada", False),
        ]


async def test_without_the_rule_the_error_says_what_to_switch_on() -> None:
    """The reaction fails and is rolled back; what was said stays (D12, D23)."""
    async with App("&native_edits=1") as app, app.member("ada") as ada:
        (mine,) = await opened(ada)
        message = await (await mine.send("Hello")).wait("sent", timeout=PATIENCE)

        refused = await mine.react(message, "👍")
        await until(lambda: refused.status == "failed", "it fails")

        assert isinstance(refused.error, chatkit.CapabilityError)
        assert refused.error.channel == "support"
        assert "Message annotations, updates, deletes" in refused.error.hint
        await until(shows(mine, {}), "it is taken back")


@pytest.mark.long
@pytest.mark.parametrize("lacking", ["annotation-publish", "annotation-subscribe"])
async def test_a_missing_right_is_named(lacking: str) -> None:
    """Of the key or token: which capabilities it needs; all else goes on (D12)."""
    rights = ["publish", "subscribe", "presence", "history", "annotation-publish", "annotation-subscribe"]
    rights.remove(lacking)
    key = f'app.key:secret:{{"*":{rights}}}'.replace("'", '"')
    async with App(NATIVE, keys=(key,)) as app, app.member("ada") as ada:
        (mine,) = await opened(ada)
        message = await (await mine.send("Hello")).wait("sent", timeout=PATIENCE)

        refused = await mine.react(message, "👍")
        await until(lambda: refused.status == "failed", "it fails")

        assert isinstance(refused.error, chatkit.NotAllowed)
        assert refused.error.channel == "support"
        assert lacking in refused.error.hint
        _ = await (await mine.send("goes on")).wait("sent", timeout=PATIENCE)


@pytest.mark.long
async def test_who_may_not_read_annotations_reads_all_else() -> None:
    """Reactions are not shown to it, and a point of the observer says so."""
    rights = '{"*":["publish","subscribe","presence","history"]}'
    async with App(NATIVE, keys=(f"{KEY}:{SECRET}", f"app.less:{SECRET}:{rights}")) as app:
        less = Points()
        url = app.trusted_url.replace(KEY, "app.less")
        async with (
            app.member("ada") as ada,
            chatkit.connect(url, user="bob", store=":memory:", observer=less) as bob,
        ):
            mine, theirs = await opened(ada, bob)
            message = await (await mine.send("Hello")).wait("sent", timeout=PATIENCE)
            _ = await (await mine.react(message, "👍")).wait("sent", timeout=PATIENCE)
            await until(shows(mine, {"👍": ["ada"]}), "it is shown to one")

            assert [m.text for m in (await theirs.history()).items] == ["Hello"]

            await until(lambda: given(theirs) == [{}], "the message is shown to the other")
            await until(lambda: "ably.no_annotations" in less.names, "and something is missing")


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
async def test_all_timelines_end_equal(seed: int) -> None:
    """With the option and without, live and read later, whoever reacted by what, in any order (I5)."""
    random = Random(seed)
    async with App(PLAIN) as app, AsyncExitStack() as clients:
        plain = [await clients.enter_async_context(app.member(user)) for user in ("ada", "bob")]
        app._config = NATIVE
        native = [await clients.enter_async_context(app.member(user)) for user in ("ada", "bob")]
        app._config = random.choice((PLAIN, NATIVE)) + "&transport=sse"
        native.append(await clients.enter_async_context(app.member("eve")))
        channels = await opened(*plain, *native)
        message = await (await channels[0].send("Hello")).wait("sent", timeout=PATIENCE)
        for channel in channels:
            await until(lambda shown=channel: texts(shown) == ["Hello"], "all have it")  # type: ignore[misc]

        for _ in range(30):
            come_back(*plain, *native)
            emoji = random.choice("👍🎉🚀")
            if random.random() < 0.2:
                outside(app, random.choice(("ada", "bob")), {"name": emoji, "action": random.randrange(2)})
                continue
            channel = random.choice(channels)
            react = channel.react if random.random() < 0.6 else channel.unreact
            _ = await (await react(message, emoji)).wait("sent", timeout=PATIENCE)
            if random.random() < 0.2:
                app.cut(random.choice(("ada", "bob")))

        come_back(*plain, *native)
        app._config = NATIVE
        late_native = await clients.enter_async_context(app.member("eve"))
        app._config = PLAIN
        late_plain = await clients.enter_async_context(app.member("eve"))
        channels += await opened(late_native, late_plain)
        await until(lambda: len({str(given(channel)) for channel in channels}) == 1, "all show the same")
        for channel in channels:
            page = await channel.history()
            shown = {emoji: sorted(users) for emoji, users in page.items[0].reactions.items()}
            assert [shown] == given(channels[0])


@pytest.mark.long
@pytest.mark.parametrize("option", [NATIVE, PLAIN])
async def test_the_later_one_counts_whatever_it_is(option: str) -> None:
    """An annotation and a message of its own are ordered by their serials, for who reads them later, too (I5)."""
    async with App(PLAIN) as app, app.member("ada") as ada:
        app._config = NATIVE
        async with app.member("ada") as native:
            plain, own = await opened(ada, native)
            message = await (await plain.send("Hello")).wait("sent", timeout=PATIENCE)
            await until(lambda: texts(own) == ["Hello"], "the other device has it")
            steps = [(plain, True), (own, True), (plain, False), (own, True), (own, False), (plain, True)]
            for channel, add in steps:
                react = channel.react if add else channel.unreact
                _ = await (await react(message, "👍")).wait("sent", timeout=PATIENCE)
                said = {"👍": ["ada"]} if add else {}
                for each in (plain, own):
                    await until(shows(each, said), "both show it")
                app._config = option
                async with app.member("eve") as eve:
                    (late,) = await opened(eve)
                    await until(shows(late, said), "and who comes later")
            _ = await (await own.unreact(message, "👍")).wait(
                "sent", timeout=PATIENCE
            )  # a message of its own
            await until(shows(plain, {}), "it is taken back")
            # Of these two changed what Ably sums up; the others are messages of their own.
            assert [one["action"] for one in stored(app).annotations] == [0, 1]


@pytest.mark.long
@pytest.mark.parametrize("resumed", [True, False])
async def test_a_reaction_without_an_answer_is_one_annotation(resumed: bool) -> None:  # a parameter
    """It is looked for before it is sent again, over the same connection or a new one (D10)."""
    async with App(NATIVE) as app, app.member("ada") as ada:
        (mine,) = await opened(ada)
        message = await (await mine.send("Hello")).wait("sent", timeout=PATIENCE)
        app.emulator.add_fault(Fault(does="abort", way="out", action="ACK", client="ada"))
        if not resumed:
            app.emulator.add_fault(Fault(does="refuse", action="CONNECT"))

        _ = await (await mine.react(message, "👍")).wait("sent", timeout=PATIENCE)

        assert [one["name"] for one in stored(app).annotations] == ["👍"]
        await until(shows(mine, {"👍": ["ada"]}), "it is shown")


@pytest.mark.long
@pytest.mark.parametrize(
    "fault",
    [
        Fault(does="drop", action="ANNOTATION"),
        Fault(does="duplicate", action="ANNOTATION"),
        Fault(does="duplicate", way="out", action="ANNOTATION"),
        Fault(does="abort", action="ANNOTATION"),
        Fault(does="abort", action="ANNOTATION", after=True),
        Fault(does="abort", way="out", action="ANNOTATION"),
        Fault(does="nack", action="ANNOTATION", error=ErrorInfo(code=42911)),
        Fault(does="nack", action="ANNOTATION", error=ErrorInfo(code=50000)),
    ],
    ids=lambda fault: f"{fault.does}-{fault.way}-{fault.after}",
)
async def test_whatever_befalls_an_annotation_it_is_made_once(fault: Fault) -> None:
    """On its way in, or out to others; all show it in the end (I2, I5)."""
    async with App(NATIVE) as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = await opened(ada, bob)
        message = await (await mine.send("Hello")).wait("sent", timeout=PATIENCE)
        await until(lambda: texts(theirs) == ["Hello"], "it is there")
        app.emulator.add_fault(fault)

        given_up = await mine.react(message, "👍")
        await asyncio.sleep(0)
        if fault.does == "drop":  # Ably leaves it without an answer, which the end of a connection tells
            await until(lambda: not app.emulator.app.faults._waiting, "it is lost")
            app.cut("ada")
        _ = await given_up.wait("sent", timeout=PATIENCE)

        for channel in (mine, theirs):
            await until(shows(channel, {"👍": ["ada"]}), "it is shown")
        assert [one["name"] for one in stored(app).annotations] == ["👍"]


@pytest.mark.long
async def test_a_retried_reaction_does_not_win_over_a_later_one() -> None:
    """Two devices: the first one's is there, unanswered, when the second one takes it back (D10)."""
    async with (
        App(NATIVE) as app,
        app.member("ada") as one,
        app.member("ada") as two,
        app.member("bob") as bob,
    ):
        first, second, theirs = await opened(one, two, bob)
        message = await (await first.send("Hello")).wait("sent", timeout=PATIENCE)
        await until(lambda: texts(second) == ["Hello"], "the other device has it")
        session = one.engine.link.session
        assert isinstance(session, AblySession)
        app.emulator.add_fault(Fault(does="abort", way="out", connection=session.connection_id))
        gate = app.emulator.add_fault(
            Fault(does="abort", action="CONNECT", query={"clientId": "ada"}, times=1_000)
        )

        early = await first.react(message, "👍")
        await until(lambda: len(stored(app).annotations) == 1, "it is at Ably")
        _ = await (await second.unreact(message, "👍")).wait("sent", timeout=PATIENCE)
        app.emulator.app.faults._waiting.remove(gate)
        app.emulator.add_fault(Fault(does="refuse", action="CONNECT"))
        _ = await early.wait("sent", timeout=PATIENCE)

        for channel in (first, second, theirs):
            await until(shows(channel, {}), "all show that it was taken back")
        assert [one["action"] for one in stored(app).annotations] == [0, 1]


@pytest.mark.long
async def test_who_dies_before_the_answer_reacts_once(tmp_path: Path) -> None:
    """The next life finds that the reaction is there, and leaves it at that (D6, D10)."""
    async with App(NATIVE) as app:
        async with AsyncExitStack() as life:
            dying = await app.member("ada", store=tmp_path / "ada.db")
            (mine,) = await opened(dying)
            message = await (await mine.send("Hello")).wait("sent", timeout=PATIENCE)
            app.emulator.add_fault(Fault(does="drop", way="out", action="ACK", client="ada"))
            app.emulator.add_fault(Fault(does="drop", way="out", action="ANNOTATION", client="ada"))
            _ = await mine.react(message, "👍")
            await until(lambda: len(stored(app).annotations) == 1, "it is at Ably")
            life.push_async_callback(kill, dying)

        async with app.member("ada", store=tmp_path / "ada.db") as ada:
            report = await ada.outbox.flush(timeout=PATIENCE)

            assert (report.failed, report.queued) == (0, 0)
            assert [one["action"] for one in stored(app).annotations] == [0]
            (mine,) = await opened(ada)
            await until(shows(mine, {"👍": ["ada"]}), "it is shown")


@pytest.mark.long
async def test_who_reacted_offline_has_reacted_online() -> None:
    """To a message that Ably has, and to one that waits itself (D6, D7)."""
    async with App(NATIVE) as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = await opened(ada, bob)
        old = await (await theirs.send("old")).wait("sent", timeout=PATIENCE)
        await until(lambda: texts(mine) == ["old"], "it is there")

        async def meanwhile() -> None:
            await until(lambda: ada.connection.state != "connected", "it is offline")
            new = await mine.send("new")
            _ = await mine.react(old, "👍")
            _ = await mine.react(new, "🎉")
            assert given(mine) == [{"👍": ["ada"]}, {"🎉": ["ada"]}]
            assert given(theirs) == [{}]

        await app.cut_off("ada", meanwhile)
        await ada.outbox.flush(timeout=PATIENCE)

        for channel in (mine, theirs):
            await until(shows(channel, {"👍": ["ada"]}, {"🎉": ["ada"]}), "both show it")
        assert summed(app) == {"👍": ["ada"]}


@pytest.mark.long
@pytest.mark.parametrize("option", [NATIVE, PLAIN])
@pytest.mark.parametrize("minutes", [1, 10])
async def test_reactions_while_away_are_found(option: str, minutes: int) -> None:
    """Within what Ably brings again, and beyond (D17, D19)."""
    async with App(option) as app, app.member("ada") as ada:
        app._config = NATIVE
        async with app.member("bob") as bob:
            mine, theirs = await opened(ada, bob)
            message = await (await mine.send("Hello")).wait("sent", timeout=PATIENCE)
            await until(lambda: texts(theirs) == ["Hello"], "it is there")
            _ = await (await theirs.react(message, "👍")).wait("sent", timeout=PATIENCE)
            await until(shows(mine, {"👍": ["bob"]}), "it is shown")

            async def meanwhile() -> None:
                _ = await (await theirs.unreact(message, "👍")).wait("sent", timeout=PATIENCE)
                _ = await (await theirs.react(message, "🎉")).wait("sent", timeout=PATIENCE)
                app.emulator.clock.advance(minutes * 60)

            await app.cut_off("ada", meanwhile)

            await until(shows(mine, {"🎉": ["bob"]}), "it is known")


@pytest.mark.long
async def test_an_annotation_that_is_lost_is_listed() -> None:
    """Ably does not say that it vouches for each of them: what stands says that one is missing."""
    async with App(NATIVE) as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = await opened(ada, bob)
        message = await (await mine.send("Hello")).wait("sent", timeout=PATIENCE)
        await until(lambda: texts(theirs) == ["Hello"], "it is there")
        app.emulator.add_fault(Fault(does="drop", way="out", action="ANNOTATION", client="bob"))

        _ = await (await mine.react(message, "👍")).wait("sent", timeout=PATIENCE)

        await until(shows(theirs, {"👍": ["ada"]}), "it is known")


@pytest.mark.long
async def test_what_was_listed_when_the_connection_is_lost_is_told() -> None:
    """The reader has it before it hears of the end: Ably brings none of it again."""
    async with App(PLAIN) as app, app.member("bob") as bob:
        app._config = NATIVE
        async with app.member("ada") as ada:
            mine, theirs = await opened(ada, bob)
            message = await (await mine.send("Hello")).wait("sent", timeout=PATIENCE)
            await until(lambda: texts(theirs) == ["Hello"], "it is there")
            app.emulator.add_fault(Fault(does="abort", action="HEARTBEAT", client="bob"))

            _ = await (await mine.react(message, "👍")).wait("sent", timeout=PATIENCE)

            await until(lambda: not app.emulator.app.faults._waiting, "it is cut off when it was listed")
            await until(shows(theirs, {"👍": ["ada"]}), "it is known")


@pytest.mark.long
@pytest.mark.parametrize("transport", ["sse", "poll"])
async def test_without_a_socket_it_is_the_same(transport: str) -> None:
    """Reactions go by calls, and are heard by streams or by looks into history, others' too."""
    async with App(NATIVE + "&poll=0.1") as app, app.member("ada") as ada:
        app._config += f"&transport={transport}"
        async with app.member("bob") as bob, app.backend("eve") as eve:
            mine, theirs, third = channels = await opened(ada, bob, eve)
            message = await (await theirs.send("Hello")).wait("sent", timeout=PATIENCE)
            await until(lambda: texts(mine) == texts(third) == ["Hello"], "all have it")

            _ = await (await mine.react(message, "👍")).wait("sent", timeout=PATIENCE)
            _ = await (await theirs.react(message, "👍")).wait("sent", timeout=PATIENCE)
            _ = await (await third.react(message, "🎉")).wait("sent", timeout=PATIENCE)
            _ = await (await theirs.unreact(message, "👍")).wait("sent", timeout=PATIENCE)
            outside(app, "moderator", {"name": "❤️"})

            for channel in channels:
                said = {"❤": ["moderator"], "🎉": ["eve"], "👍": ["ada"]}
                await until(shows(channel, said), "all show all")
            assert summed(app) == {"❤️": ["moderator"], "🎉": ["eve"], "👍": ["ada"]}
            assert bob.connection.transport == transport


@pytest.mark.long
@pytest.mark.parametrize("steps", [(1, 0), (0,)], ids=["taken back and given again", "given once more"])
async def test_what_changes_nothing_that_stands_is_found_by_looks(steps: tuple[int, ...]) -> None:
    """Between two of them, and after a message that said the opposite: the annotation is the later word (I5)."""
    async with App(NATIVE + "&poll=0.1") as app, app.member("ada") as ada:
        app._config += "&transport=poll"
        async with app.member("bob") as bob:
            app._config = PLAIN
            async with app.member("ada") as plain:
                mine, theirs, own = channels = await opened(ada, bob, plain)
                message = await (await mine.send("Hello")).wait("sent", timeout=PATIENCE)
                for channel in channels:
                    await until(lambda shown=channel: texts(shown) == ["Hello"], "all have it")  # type: ignore[misc]
                _ = await (await mine.react(message, "👍")).wait("sent", timeout=PATIENCE)
                await until(shows(theirs, {"👍": ["ada"]}), "it is shown")
                _ = await (await own.unreact(message, "👍")).wait("sent", timeout=PATIENCE)
                await until(shows(theirs, {}), "it is taken back by a message")

                outside(app, "ada", *({"name": "👍", "action": action} for action in steps))

                for channel in channels:
                    await until(shows(channel, {"👍": ["ada"]}), "it is given")


@pytest.mark.long
@pytest.mark.parametrize("option", [NATIVE, PLAIN], ids=["native", "plain"])
async def test_the_first_change_of_an_older_message_is_found_by_looks(
    option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one that looks for new messages do not reach: seldom, until the first was found (I5)."""
    monkeypatch.setattr("chatkit.adapters.ably.listening.SELDOM", 0.3)
    async with App(NATIVE) as app, app.member("ada") as ada:
        app._config = f"{option}&transport=poll&poll=0.1"
        async with app.member("bob") as bob:
            mine, theirs = await opened(ada, bob)
            old = await (await mine.send("old")).wait("sent", timeout=PATIENCE)
            app.emulator.clock.advance(60)
            _ = await (await mine.send("new")).wait("sent", timeout=PATIENCE)
            await until(lambda: texts(theirs) == ["old", "new"], "they are there")

            _ = await (await mine.react(old, "👍")).wait("sent", timeout=PATIENCE)

            await until(shows(theirs, {"👍": ["ada"]}, {}), "it is shown")


@pytest.mark.long
async def test_what_comes_while_a_list_is_on_its_way_is_listed_too() -> None:
    """It was made before; what stands is the same, and a message said the opposite in between (I5)."""
    async with App(PLAIN) as app, app.member("bob") as bob, app.member("ada") as ada:
        app._config = NATIVE
        async with app.member("ada") as native:
            _, plain, own = channels = await opened(bob, ada, native)
            message = await (await own.send("Hello")).wait("sent", timeout=PATIENCE)
            for channel in channels:
                await until(lambda shown=channel: texts(shown) == ["Hello"], "all have it")  # type: ignore[misc]
            lists = CallFault(
                does="delay", moment="after", path="/annotations", skip=1, times=2, seconds=1.0
            )  # the first is by who reacts, the others by who is told of it
            app.emulator.faults.add(lists)
            _ = await (await own.react(message, "👍")).wait("sent", timeout=PATIENCE)
            await until(lambda: lists.times == 0, "both that have no option are about to know")

            _ = await (await plain.unreact(message, "👍")).wait("sent", timeout=PATIENCE)
            outside(app, "ada", {"name": "👍"})

            for channel in channels:
                await until(shows(channel, {"👍": ["ada"]}), "the last word counts")


@pytest.mark.long
async def test_each_way_of_writing_an_emoji_is_taken_back() -> None:
    """What another client of the same user called with a variation selector, too."""
    async with App(NATIVE) as app, app.member("ada") as ada:
        (mine,) = await opened(ada)
        message = await (await mine.send("Hello")).wait("sent", timeout=PATIENCE)
        outside(app, "ada", {"name": "❤️"}, {"name": "❤"})
        await until(shows(mine, {"❤": ["ada"]}), "it is one reaction")
        assert summed(app) == {"❤️": ["ada"], "❤": ["ada"]}

        _ = await (await mine.unreact(message, "❤")).wait("sent", timeout=PATIENCE)

        await until(shows(mine, {}), "it is none any more")
        assert summed(app) == {}
