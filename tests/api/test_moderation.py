"""Blocks, mutes and slow mode: hidden, silenced, paced; the fold, cursors and marks know nothing of it (D21)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit.moderation import Blocks, Mutes, SlowMode
from chatkit.moderation import listing as listing_module
from chatkit.moderation import slow_mode as slow_mode_module
from tests.engine.kit import PROFILES, C, Stage, engine, later, ready, shown, taken, texts

if TYPE_CHECKING:
    from pathlib import Path

    from chatkit.testing.clock import VirtualClock


@pytest.fixture
def stage(clock: VirtualClock) -> Stage:
    """A hub with a log."""
    return Stage(clock)


@pytest.fixture(params=PROFILES)
def any_stage(clock: VirtualClock, request: pytest.FixtureRequest) -> Stage:
    """A hub like each provider."""
    return Stage(clock, like=request.param)


class Shouts:
    """Middleware that makes texts upper case."""

    async def outgoing(self, draft: chatkit.Draft) -> chatkit.Draft:
        return draft

    async def incoming(self, event: chatkit.Event) -> chatkit.Event | None:
        if isinstance(event, chatkit.MessageEvent) and not event.message.deleted:
            text = chatkit.Text(text=event.message.text.upper())
            return replace(event, message=replace(event.message, body=text))
        return event


# -- blocks ---------------------------------------------------------------------------------------------


async def test_nothing_of_a_blocked_user_is_shown_or_told(any_stage: Stage) -> None:
    """Messages, their changes, reactions: neither as events nor in the view; the fold has it all (D21)."""
    stage = any_stage
    async with stage.chat("ada") as ada:
        ada.use(Blocks(["mallory"]))
        stream = ada.channel(C).events(chatkit.MessageEvent, chatkit.ReactionChanged)
        await ready(ada)
        cleo, mallory = stage.peer("cleo"), stage.peer("mallory")
        (one,) = cleo.say("one")
        (bad,) = mallory.say("bad")
        mallory.edit(bad, "worse")
        mallory.react(one, "💩")
        cleo.react(one, "👍")
        cleo.react(bad, "👍")
        mallory.delete(bad)
        cleo.say("two")
        events = await later(stream, 3)

        told = [e for e in events if isinstance(e, chatkit.MessageEvent)]
        assert texts(told) == ["one", "two"]
        reactions = [e for e in events if isinstance(e, chatkit.ReactionChanged)]
        assert {e.user for e in reactions} == {"cleo"}
        assert shown(ada) == ["one", "two"]
        assert ada.channel(C).timeline.view.messages[0].reactions == {"👍": {"cleo"}}
        assert len(engine(ada).timeline) == 3
        assert ada.channel(C).timeline.view.gaps == ()


async def test_blocking_hides_at_once_and_unblocking_shows_again(any_stage: Stage) -> None:
    """What came meanwhile too, each in its place, and readers of the view are told (D21, I5)."""
    stage = any_stage
    async with stage.chat("ada") as ada:
        blocks = Blocks()
        ada.use(blocks)
        await ready(ada)
        cleo, mallory = stage.peer("cleo"), stage.peer("mallory")
        (one,) = cleo.say("one")
        mallory.say("bad")
        mallory.react(one, "💩")
        await asyncio.sleep(1)
        views = ada.channel(C).timeline.watch()
        assert [m.text for m in (await views.next(timeout=1)).messages] == ["one", "bad"]

        await blocks.block("mallory")
        assert [m.text for m in (await views.next(timeout=1)).messages] == ["one"]
        assert ada.channel(C).timeline.view.messages[0].reactions == {}
        mallory.say("worse")
        cleo.say("two")
        await asyncio.sleep(1)
        assert shown(ada) == ["one", "two"]

        await blocks.unblock("mallory")
        assert shown(ada) == ["one", "bad", "worse", "two"]
        assert ada.channel(C).timeline.view.messages[0].reactions == {"💩": {"mallory"}}


async def test_what_is_hidden_passes_other_middleware_all_the_same(stage: Stage) -> None:
    """Once it shows, it shows as that made it (D21)."""
    async with stage.chat("ada") as ada:
        blocks = Blocks(["mallory"])
        ada.use(Shouts(), blocks)
        await ready(ada)
        stage.peer("mallory").say("bad")
        await asyncio.sleep(1)
        assert shown(ada) == []

        await blocks.unblock("mallory")

        assert shown(ada) == ["BAD"]


async def test_a_client_may_block_what_it_shows_already(stage: Stage) -> None:
    """Using a block hides at once, and in every client that uses it; one that is closed hears no more."""
    blocks = Blocks(["mallory"])
    stage.peer("mallory").say("bad")
    async with stage.chat("ada") as ada:
        async with stage.chat("bob") as bob:
            await ready(ada, bob)
            assert shown(bob) == ["bad"]
            ada.use(blocks)
            bob.use(blocks)
            assert shown(ada) == shown(bob) == []
            await blocks.unblock("mallory")
            assert shown(ada) == shown(bob) == ["bad"]
        await blocks.block("mallory")
        assert shown(ada) == []


async def test_a_list_holds_no_client_that_nobody_has_any_more() -> None:
    """It may outlive very many (I10)."""

    class Client:
        def changed(self) -> None:
            raise AssertionError

    blocks, client = Blocks(), Client()
    blocks.follow(client.changed)
    del client
    await blocks.block("mallory")
    assert blocks._followers == []


async def test_pages_hits_and_versions_leave_it_out(stage: Stage, tmp_path: Path) -> None:
    """In the log and in what this device has cached; a cursor goes on behind it (I14)."""
    cleo, mallory = stage.peer("cleo"), stage.peer("mallory")
    (one,) = cleo.say("word one")
    (bad,) = mallory.say("word bad")
    mallory.react(one, "💩")
    cleo.say("word two")
    async with stage.chat("ada", store=tmp_path / "ada.db") as ada:
        ada.use(Blocks(["mallory"]))
        room = ada.channel(C)
        await ready(ada)
        newest = await room.history(limit=2)
        assert [m.text for m in newest.items] == ["word two"]
        older = await room.history(before=newest.next, limit=2)
        assert [m.text for m in older.items] == ["word one"]
        assert older.items[0].reactions == {}
        assert [m.text async for m in room.scan()] == ["word one", "word two"]
        assert [m.text for m in (await room.search("word")).items] == ["word two", "word one"]
        for read in (room.get, room.versions):
            with pytest.raises(chatkit.MessageNotFound):
                await read(bad.id)
        await asyncio.sleep(1)
        stage.cut("ada")
        assert [m.text for m in (await ada.search("word")).items] == ["word two", "word one"]


async def test_a_restart_shows_nothing_of_it(any_stage: Stage, tmp_path: Path) -> None:
    """Neither what the store holds nor what was missed (D19)."""
    stage = any_stage
    cleo, mallory = stage.peer("cleo"), stage.peer("mallory")
    async with stage.chat("ada", store=tmp_path / "ada.db") as ada:
        await ready(ada)
        cleo.say("one")
        mallory.say("bad")
        await asyncio.sleep(1)
    async with stage.chat("ada", store=tmp_path / "ada.db") as ada:
        ada.use(Blocks(["mallory"]))
        stage.cut("ada")
        ada.channel(C).timeline.watch()
        await asyncio.sleep(1)
        assert shown(ada) == ["one"]
        stage.heal("ada")
        await ready(ada)
        mallory.say("worse")
        cleo.say("two")
        await asyncio.sleep(60)
        assert shown(ada) == ["one", "two"]


async def test_a_replay_leaves_it_out_and_its_cursors_pass_it(stage: Stage) -> None:
    """Who comes back with the cursor of the last event is given nothing twice and nothing hidden (I6, D17)."""
    cleo, mallory = stage.peer("cleo"), stage.peer("mallory")
    cleo.say("one")
    mallory.say("bad")
    cleo.say("two")
    async with stage.chat("ada") as ada:
        blocks = Blocks(["mallory"])
        ada.use(blocks)
        await ready(ada)
        first = ada.channel(C).events(chatkit.MessageEvent, since=chatkit.START)
        told = await later(first, 2)
        assert texts(told) == ["one", "two"]
        mallory.say("worse")
        cleo.say("three")
        assert texts(await later(first, 2)) == ["three"]

        again = ada.channel(C).events(chatkit.MessageEvent, chatkit.Discontinuity, since=told[0].cursor)
        assert texts(await later(again, 2)) == ["two", "three"]
        assert again.gaps == 0


async def test_handlers_are_not_called_for_it(stage: Stage) -> None:
    """Of a channel and of all (I13)."""
    heard: list[str] = []
    async with stage.chat("ada") as ada:
        ada.use(Blocks(["mallory"]))

        @ada.on(chatkit.MessageCreated)
        async def _(event: chatkit.MessageCreated) -> None:
            heard.append(event.message.text)

        await ready(ada)
        stage.peer("mallory").say("bad")
        stage.peer("cleo").say("one")
        await asyncio.sleep(1)

        assert heard == ["one"]


async def test_typing_events_and_receipts_of_the_blocked_are_hidden(any_stage: Stage) -> None:
    """What passes by as well; whoever types when they are blocked ceases to be shown (D25)."""
    stage = any_stage
    async with stage.chat("ada") as ada, stage.chat("mallory") as mallory, stage.chat("cleo") as cleo:
        blocks = Blocks()
        ada.use(blocks)
        await ready(ada, mallory, cleo)
        stream = ada.channel(C).events(chatkit.TypingChanged, chatkit.CustomEvent, chatkit.ReceiptAdvanced)
        message = await (await ada.channel(C).send("one")).wait(timeout=5)
        await mallory.channel(C).typing.keystroke()
        await cleo.channel(C).typing.keystroke()
        await asyncio.sleep(0.5)
        assert ada.channel(C).typing.users == {"mallory", "cleo"}

        await blocks.block("mallory")
        assert ada.channel(C).typing.users == {"cleo"}
        typed = await taken(stream)
        assert [event.users for event in typed] == [{"mallory"}, {"mallory", "cleo"}, {"cleo"}]

        await mallory.channel(C).emit("wave")
        await mallory.channel(C).typing.keystroke()
        await cleo.channel(C).emit("wave")
        for reader in (mallory, cleo):
            await reader.channel(C).receipts.mark_read()
        events = await later(stream, 5)
        users = [event.user for event in events if isinstance(event, chatkit.ReceiptAdvanced)]
        waves = [event.sender.user for event in events if isinstance(event, chatkit.CustomEvent)]
        assert (waves, users) == (["cleo"], ["cleo"])
        assert "mallory" not in ada.channel(C).receipts.read_by(message)
        await blocks.unblock("mallory")
        assert "mallory" in ada.channel(C).receipts.read_by(message)


async def test_the_blocked_do_not_count_as_unread(any_stage: Stage) -> None:
    """Exactly where all that is unread is loaded (D25, I9)."""
    stage = any_stage
    async with stage.chat("ada") as ada:
        blocks = Blocks(["mallory"])
        ada.use(blocks)
        await ready(ada)
        counts = ada.channel(C).receipts.watch()
        before = (await counts.next(timeout=1)).exact
        stage.peer("mallory").say("bad", "worse", mentions=["ada"])
        stage.peer("cleo").say("one")
        await asyncio.sleep(3)
        unread = ada.channel(C).receipts.unread
        assert (unread.messages, unread.mentions, unread.exact) == (1, 0, before)
        assert (await ada.unread())[C] == unread

        await blocks.unblock("mallory")
        await asyncio.sleep(3)
        found = ada.channel(C).receipts.unread
        assert (found.messages, found.mentions) == (3, 2)
        assert (await counts.next(timeout=1)).messages == 3


async def test_where_the_log_would_have_to_count_a_lower_bound_is_told(stage: Stage) -> None:
    """It knows nothing of blocks: its count would hold what is hidden (I9)."""
    stage.peer("mallory").say(*(f"bad {n}" for n in range(40)))
    stage.peer("cleo").say(*(f"m{n}" for n in range(40)))
    async with stage.chat("ada") as ada:
        blocks = Blocks(["mallory"])
        ada.use(blocks)
        await ready(ada)
        ada.channel(C).receipts.watch()
        await asyncio.sleep(5)
        found = (await ada.unread())[C]
        assert (found.messages, found.exact) == (40, False)
        await blocks.unblock("mallory")
        await asyncio.sleep(5)
        assert ((await ada.unread())[C].messages, ada.channel(C).receipts.unread.exact) == (80, True)


@pytest.mark.parametrize("like", ["memory", "supabase", "ably", "pusher"])
async def test_the_blocked_are_not_there(clock: VirtualClock, like: Any) -> None:
    """Neither in the set nor told, in whatever way the provider knows of it; at once, both ways (D32)."""
    stage = Stage(clock, like=like)
    async with stage.chat("ada") as ada, stage.chat("mallory") as mallory, stage.chat("cleo") as cleo:
        blocks = Blocks(["mallory"])
        ada.use(blocks)
        told = ada.channel(C).events(chatkit.PresenceChanged)
        await ready(ada, mallory, cleo)
        for who in (mallory, cleo):
            await who.channel(C).presence.enter()
        await asyncio.sleep(10)
        views = ada.channel(C).presence.watch()
        members = set((await views.next(timeout=1)).members)
        assert "cleo" in members
        assert "mallory" not in members
        assert {event.member.user for event in await taken(told)} - {"ada"} == {"cleo"}

        await blocks.unblock("mallory")
        assert "mallory" in (await views.next(timeout=1)).members
        await blocks.block("mallory")
        assert "mallory" not in (await views.next(timeout=1)).members


async def test_in_a_thread_it_is_as_in_its_channel(any_stage: Stage) -> None:
    """Replies, who takes part, typing and counts; at once, both ways (D21)."""
    stage = any_stage
    async with stage.chat("ada") as ada, stage.chat("mallory") as mallory:
        blocks = Blocks()
        ada.use(blocks)
        await ready(ada, mallory)
        message = await (await ada.channel(C).send("one")).wait(timeout=5)
        mine, theirs = ada.channel(C).thread(message), mallory.channel(C).thread(message)
        mine.timeline.watch()
        await (await theirs.send("bad")).wait(timeout=5)
        await (await mine.send("fine")).wait(timeout=5)
        await theirs.typing.keystroke()
        await asyncio.sleep(1)
        assert [m.text for m in mine.timeline.view.messages] == ["bad", "fine"]
        assert mine.typing.users == {"mallory"}

        await blocks.block("mallory")
        assert [m.text for m in mine.timeline.view.messages] == ["fine"]
        assert mine.typing.users == frozenset()
        assert mine.receipts.unread.messages == 0
        assert (await mine.info()).participants == ("ada",)
        await blocks.unblock("mallory")
        assert [m.text for m in mine.timeline.view.messages] == ["bad", "fine"]


async def test_marks_pass_what_is_hidden(stage: Stage) -> None:
    """Reading up to a message reads what stands hidden below it; another device is told so (D25, I9)."""
    async with stage.chat("ada") as ada:
        ada.use(Blocks(["mallory"]))
        await ready(ada)
        stage.peer("mallory").say("bad")
        stage.peer("cleo").say("one")
        await asyncio.sleep(1)
        await ada.channel(C).receipts.mark_read()
        await asyncio.sleep(3)
    async with stage.chat("ada") as phone:
        await ready(phone)
        assert (await phone.unread())[C].messages == 0


async def test_one_is_never_hidden_from_oneself(stage: Stage) -> None:
    """A list that holds the client's own user hides and silences nothing of theirs."""
    async with stage.chat("ada") as ada:
        ada.use(Blocks(["ada"]), Mutes(["ada"], channels=[C]))
        events = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        message = await (await ada.channel(C).send("mine")).wait(timeout=5)
        await ada.channel(C).react(message, "👍")
        await asyncio.sleep(1)

        assert shown(ada) == ["mine"]
        assert ada.channel(C).timeline.view.messages[0].reactions == {"👍": {"ada"}}
        assert not (await events.next(timeout=1)).silent


async def test_blocks_of_a_backend_hold_for_all_it_speaks_for(stage: Stage) -> None:
    """Middleware is the client's, whoever listens through it."""
    async with stage.chat("backend") as backend:
        backend.use(Blocks(["mallory"]))
        bob = backend.as_user("bob")
        events = bob.channel(C).events(chatkit.MessageCreated)
        await ready(bob)
        stage.peer("mallory").say("bad")
        await bob.channel(C).send("mine")
        told = await later(events, 2)

        assert texts(told) == ["mine"]
        assert bob.channel(C).receipts.unread.messages == 0


async def test_an_edit_of_a_shown_message_shows_no_hidden_reaction_before_or_after(stage: Stage) -> None:
    """`previous` is a message as any other."""
    async with stage.chat("ada") as ada:
        ada.use(Blocks(["mallory"]))
        events = ada.channel(C).events(chatkit.MessageUpdated)
        await ready(ada)
        cleo = stage.peer("cleo")
        (one,) = cleo.say("one")
        stage.peer("mallory").react(one, "💩")
        stage.peer("dora").react(one, "👍")
        cleo.edit(one, "two")
        (event,) = await later(events, 2)

        assert event.previous is not None
        assert event.message.reactions == event.previous.reactions == {"👍": {"dora"}}


def names(folder: Path) -> list[str]:
    """Return what a folder holds."""
    return sorted(path.name for path in folder.iterdir())


# -- lists in files -------------------------------------------------------------------------------------


async def test_a_file_keeps_the_list_over_restarts(tmp_path: Path) -> None:
    """It holds instead of what is given, for its owner alone, and is whole at any moment."""
    file = tmp_path / "blocks.json"
    blocks = Blocks(["first"], file=file)
    assert blocks.users == {"first"}
    assert names(tmp_path) == []
    await blocks.block("mallory", "cafe\u0301")
    await blocks.unblock("first")
    await blocks.unblock("nobody")

    again = Blocks(["first"], file=str(file))
    assert again.users == {"mallory", "caf\u00e9"}
    assert again.active
    assert file.stat().st_mode & 0o077 == 0
    assert names(tmp_path) == ["blocks.json"]

    mutes = Mutes(file=tmp_path / "mutes.json")
    await mutes.mute("bob")
    await mutes.mute_channel("random", "dm.ada.bob")
    await mutes.unmute("bob")
    await mutes.unmute_channel("random")
    kept = Mutes(file=tmp_path / "mutes.json")
    assert not kept.users
    assert kept.channels == {"dm.ada.bob"}


async def test_what_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    """The error names the file, not who is on it (I16)."""
    blocks = Blocks(file=tmp_path / "nowhere" / "blocks.json")
    with pytest.raises(chatkit.StoreError, match=r"blocks\.json could not be written") as caught:
        await blocks.block("mallory")
    assert "mallory" not in str(caught.value)
    assert blocks.users == frozenset()
    onto = Blocks(file=tmp_path / "new.json")
    (tmp_path / "new.json").mkdir()
    with pytest.raises(chatkit.StoreError):
        await onto.block("mallory")
    assert names(tmp_path) == ["new.json"]


async def test_who_gives_up_waiting_stops_no_change_half_way(tmp_path: Path) -> None:
    """What was begun is done, in the file and here."""
    blocks = Blocks(file=tmp_path / "blocks.json")
    blocking = asyncio.ensure_future(blocks.block("mallory"))
    await asyncio.sleep(0)
    blocking.cancel()
    await blocks.block("trudy")

    assert blocks.users == Blocks(file=tmp_path / "blocks.json").users == {"mallory", "trudy"}


@pytest.mark.parametrize(
    "held", ["", "[]", "{}", '{"users": "mallory"}', '{"users": [7]}', '{"users": []} x', '{"users": [""]}']
)
def test_a_file_that_holds_no_list_is_refused(tmp_path: Path, held: str) -> None:
    """And left as it is."""
    file = tmp_path / "blocks.json"
    file.write_text(held, encoding="utf-8")
    with pytest.raises((chatkit.ConfigError, chatkit.InvalidMessage)):
        Blocks(file=file)
    assert file.read_text(encoding="utf-8") == held


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    """As anything else that cannot be read."""
    with pytest.raises(chatkit.ConfigError, match="cannot be read"):
        Blocks(file=tmp_path)


async def test_lists_are_bounded_and_hold_names_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 10,000 (I10); one name in place of a list would list its letters."""
    monkeypatch.setattr(listing_module, "MOST", 2)
    blocks = Blocks(["a", "b"])
    with pytest.raises(chatkit.ConfigError, match="at most 2"):
        await blocks.block("c")
    assert blocks.users == {"a", "b"}
    with pytest.raises(chatkit.ConfigError, match="at most 2"):
        Blocks(["a", "b", "c"])
    with pytest.raises(chatkit.ConfigError, match="no list"):
        Blocks("mallory")
    with pytest.raises(chatkit.InvalidMessage):
        await blocks.block("*")
    with pytest.raises(chatkit.InvalidMessage):
        Mutes(channels=["dm.bad"])


# -- mutes ----------------------------------------------------------------------------------------------


async def test_the_muted_are_shown_and_make_no_noise(any_stage: Stage) -> None:
    """Their events are told as silent, nothing of them counts as unread; all else is as ever (D21, D25)."""
    stage = any_stage
    async with stage.chat("ada") as ada:
        mutes = Mutes(["bob"])
        ada.use(mutes)
        stream = ada.channel(C).events(chatkit.MessageEvent, chatkit.ReactionChanged)
        await ready(ada)
        cleo, bob = stage.peer("cleo"), stage.peer("bob")
        (one,) = cleo.say("one")
        (two,) = bob.say("two", mentions=["ada"])
        bob.edit(two, "two!")
        bob.react(one)
        events = await later(stream, 3)

        assert [(type(e).__name__, e.silent) for e in events] == [
            ("MessageCreated", False),
            ("MessageCreated", True),
            ("MessageUpdated", True),
            ("ReactionChanged", True),
        ]
        assert shown(ada) == ["one", "two!"]
        unread = ada.channel(C).receipts.unread
        assert (unread.messages, unread.mentions) == (1, 0)

        await mutes.unmute("bob")
        unread = ada.channel(C).receipts.unread
        assert (unread.messages, unread.mentions) == (2, 1)


async def test_a_muted_channel_makes_itself_heard_by_a_mention_alone(stage: Stage) -> None:
    """By name, live and from the log; everyone is nobody in particular."""
    async with stage.chat("ada") as ada:
        mutes = Mutes()
        ada.use(mutes)
        await mutes.mute_channel(C)
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        cleo = stage.peer("cleo")
        cleo.say("one")
        cleo.say("two", mentions=["*"])
        cleo.say("three", mentions=["ada"])
        live = await later(stream, 3)
        replayed = await later(ada.channel(C).events(chatkit.MessageCreated, since=chatkit.START), 3)

        for told in (live, replayed):
            assert [(e.message.text, e.silent) for e in told] == [
                ("one", True),
                ("two", True),
                ("three", False),
            ]
        unread = ada.channel(C).receipts.unread
        assert (unread.messages, unread.mentions) == (1, 1)
        await mutes.unmute_channel(C)
        assert ada.channel(C).receipts.unread.messages == 3


async def test_a_moderator_that_breaks_hides_nothing(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """It is named once, without what it said, and the others are asked all the same (I13, I16)."""

    class Broken(Blocks):
        def hides(self, user: str) -> bool:
            raise RuntimeError(user)

    async with stage.chat("ada") as ada:
        ada.use(Broken(["x"]), Blocks(["mallory"]))
        events = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        stage.peer("mallory").say("bad")
        stage.peer("cleo").say("one", "two")

        assert texts(await later(events, 1)) == ["one", "two"]
        assert shown(ada) == ["one", "two"]
    assert [r.getMessage().rpartition(".")[2] for r in caplog.records] == ["Broken raised RuntimeError"]


# -- slow mode ------------------------------------------------------------------------------------------


async def test_a_message_that_comes_too_early_is_refused_with_the_wait(any_stage: Stage) -> None:
    """Before it is queued, offline too; after the wait it goes."""
    stage = any_stage
    async with stage.chat("ada") as ada:
        ada.use(SlowMode(30))
        room = ada.channel(C)
        stage.cut("ada")
        await room.send("one")
        await asyncio.sleep(10)
        with pytest.raises(chatkit.RateLimited, match="one message in 30 s") as caught:
            await room.send("two")
        assert caught.value.retry_after == pytest.approx(20)
        assert (caught.value.channel, "20.0 s" in caught.value.hint) == (C, True)
        assert ada.outbox.depth == 1

        await ada.channel("elsewhere").send("there too")
        await asyncio.sleep(caught.value.retry_after or 0)
        await room.send("two")
        assert shown(ada) == ["one", "two"]


async def test_only_new_messages_are_paced(stage: Stage) -> None:
    """Not what becomes of them: edits, deletes, reactions, and the growing of a message."""

    async def chunks() -> Any:
        for word in ("a ", "b ", "c"):
            yield word
            await asyncio.sleep(1)

    async with stage.chat("ada") as ada:
        ada.use(SlowMode(60))
        room = ada.channel(C)
        delivery = await room.send_stream(chunks(), every=0.5)
        await room.edit(delivery, "d")
        await room.react(delivery, "👍")
        await room.delete(delivery)
        with pytest.raises(chatkit.RateLimited):
            await room.send("too early")


async def test_each_user_of_a_backend_has_turns_of_their_own(stage: Stage) -> None:
    """And those who are exempt need none, nor does anybody where it does not hold."""
    async with stage.chat("backend") as backend:
        backend.use(SlowMode(60, channels=[C], exempt=["mod"]))
        for user in ("ada", "bob"):
            await backend.as_user(user).channel(C).send("one")
            with pytest.raises(chatkit.RateLimited):
                await backend.as_user(user).channel(C).send("two")
        for _ in range(2):
            await backend.as_user("mod").channel(C).send("order!")
            await backend.as_user("ada").channel("elsewhere").send("free")


class Refuses:
    """Middleware that lets nothing out."""

    async def outgoing(self, draft: chatkit.Draft) -> chatkit.Draft:
        raise chatkit.NotAllowed("not today", channel=draft.channel)

    async def incoming(self, event: chatkit.Event) -> chatkit.Event | None:
        return event


async def test_what_is_not_queued_costs_no_turn(stage: Stage) -> None:
    """Refused by its shape, its size, its target or by other middleware, it may be mended at once."""
    async with stage.chat("ada", limits=chatkit.OutboxLimits(size=2_000_000)) as ada:
        ada.use(SlowMode(60))
        room = ada.channel(C)
        bad: list[tuple[Any, dict[str, Any]]] = [
            ("", {}),
            ("x" * 3_000_000, {}),
            ("one", {"topic": "x" * 65}),
            ("one", {"reply_to": "018f6c1e-0000-7000-8000-000000000001"}),
        ]
        for content, options in bad:
            with pytest.raises(chatkit.ChatkitError) as caught:
                await room.send(content, **options)
            assert not isinstance(caught.value, chatkit.RateLimited)
        refuses = Refuses()
        ada.use(refuses)
        with pytest.raises(chatkit.NotAllowed):
            await room.send("one")
        ada._shared.middleware.remove(refuses)
        delivery = await room.send("one")
        with pytest.raises(chatkit.InvalidMessage):
            await room.edit(delivery, "")
        with pytest.raises(chatkit.RateLimited):
            await room.send("two")


async def test_two_at_once_do_not_slip_through(stage: Stage) -> None:
    """The turn is taken before the message is safe."""
    async with stage.chat("ada") as ada:
        ada.use(SlowMode(60))
        tries = (ada.channel(C).send(text) for text in ("one", "two", "three"))
        done = await asyncio.gather(*tries, return_exceptions=True)

        assert sorted(type(one).__name__ for one in done) == ["Delivery", "RateLimited", "RateLimited"]


async def test_turns_are_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are over are forgotten; of too many the oldest is free early (I10)."""
    monkeypatch.setattr(slow_mode_module, "MOST", 2)
    slow = SlowMode(60)
    async with stage.chat("backend") as backend:
        backend.use(slow)
        for user in ("ada", "bob", "cleo"):
            await backend.as_user(user).channel(C).send("one")
        assert len(slow._free_at) == 2
        await backend.as_user("ada").channel(C).send("two")
        await asyncio.sleep(61)
        await backend.as_user("dora").channel(C).send("one")
        assert list(slow._free_at) == [("dora", C)]


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), 86_401, "10"])
def test_seconds_that_cannot_be_are_refused(seconds: Any) -> None:
    """At once, not at the first message."""
    with pytest.raises(chatkit.ConfigError, match="slow mode"):
        SlowMode(seconds)


def test_one_name_in_place_of_a_list_is_refused() -> None:
    """Its letters are no channels."""
    with pytest.raises(chatkit.ConfigError, match="lists of names"):
        SlowMode(1, channels="support")
    with pytest.raises(chatkit.ConfigError, match="lists of names"):
        SlowMode(1, exempt="ada")


async def test_middleware_sees_who_sends_and_changes_it_not(stage: Stage) -> None:
    """A draft names its sender, its channel and what it is; only what it says can be changed."""
    seen: list[tuple[str, str, str]] = []

    class Notes:
        async def outgoing(self, draft: chatkit.Draft) -> chatkit.Draft:
            seen.append((draft.user, draft.channel, draft.kind))
            return chatkit.Draft(channel="elsewhere", content=draft.content, user="mallory")

        async def incoming(self, event: chatkit.Event) -> chatkit.Event | None:
            return event

    async with stage.chat("backend") as backend:
        backend.use(Notes(), Notes())
        delivery = await backend.as_user("bob").channel(C).send("one")
        await backend.as_user("bob").channel(C).edit(delivery, "two")

        assert seen == [("bob", C, "create")] * 2 + [("bob", C, "update")] * 2
        assert (delivery.message.sender.user, delivery.channel) == ("bob", C)
