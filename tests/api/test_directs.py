"""Direct channels: two users, one name, and hearing of a first message (D31)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit import DeliveryChanged, DirectOpened, Discontinuity, ForeignFrame, MessageCreated, inviting
from chatkit.adapters.memory import MemoryConfig, new_hub
from chatkit.logs.memory import MemoryLog
from chatkit.model.directs import INVITATION
from chatkit.model.envelope import Envelope
from chatkit.model.names import personal
from chatkit.model.registers import Register
from chatkit.moderation import Blocks
from chatkit.ports import Ack, Moved, Present, Roster
from chatkit.testing.clock import settle
from chatkit.testing.death import kill
from tests.engine.kit import Stage, counters, frame, later, taken, texts

if TYPE_CHECKING:
    from pathlib import Path

    from chatkit.adapters.memory import Like
    from chatkit.testing.clock import VirtualClock

LIKES: tuple[Like, ...] = ("memory", "supabase", "ably", "pusher")
AB = "dm.ada.bob"
LONG = "é" * 60
"""Takes more bytes than a name has room for."""


@dataclass
class Directs(Stage):
    """A stage whose clients may share a log of their own."""

    log: MemoryLog | None = None

    def chat(self, user: str, /, **options: Any) -> chatkit.Chat:
        return super().chat(user, log=self.log, **options)

    def invitations(self, user: str) -> list[str]:
        """Return who invited a user, as the log has it; where the clock orders there is none."""
        log = self.log or self.hub.log
        found = log.core.entries(personal(user), after=None, limit=100).items
        envelopes = [Envelope.parse(entry.data) for entry in found]
        assert {one.kind for one in envelopes} <= {INVITATION}
        return [one.sender.user for one in envelopes]


@pytest.fixture
def stage(clock: VirtualClock) -> Directs:
    """A hub and a clock."""
    return Directs(clock)


@pytest.fixture(params=[*LIKES, *(f"{like}+log" for like in LIKES)])
def each(clock: VirtualClock, request: pytest.FixtureRequest) -> Directs:
    """A hub like each provider, with a log of the app's own and without."""
    like, _, log = request.param.partition("+")
    return Directs(clock, like=like, log=MemoryLog(clock, Random(5)) if log else None)


def remembers(stage: Directs) -> bool:
    """Whether there is a log or history."""
    return stage.like != "pusher" or stage.log is not None


async def say(chat: chatkit.Chat, other: str, *words: str) -> list[chatkit.Message]:
    """Send direct messages, and return them as sent."""
    return [await (await chat.direct(other).send(text)).wait(timeout=30) for text in words]


async def test_a_direct_channel_is_the_same_from_either_side(stage: Directs) -> None:
    """One name, and one object for it; a name of that kind is nobody's to give."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        mine, theirs = ada.direct(chatkit.User(id="bob")), bob.direct("ada")

        assert (mine.name, mine.kind, theirs.name) == (AB, "direct", AB)
        assert ada.direct("bob") is mine is ada.channels[AB]
        assert ada.as_user("bob").direct("ada").name == AB
        assert ada.direct("e\u0301va").name == ada.direct("\u00e9va").name
        for name in (AB, "u.ada"):
            with pytest.raises(chatkit.InvalidMessage, match="reserved"):
                ada.channel(name)
        for user in ("", "*", "a\nb"):
            with pytest.raises(chatkit.InvalidMessage):
                ada.direct(user)


async def test_a_first_message_is_heard_of_and_read(each: Directs) -> None:
    """On every provider: told once, however much is said; what was said first is there where it is remembered."""
    async with each.chat("ada") as ada, each.chat("bob", directs=True) as bob:
        assert ada.capabilities.support("direct") == "emulated"
        opened = bob.events(DirectOpened)
        await asyncio.sleep(1)
        if remembers(each):
            await say(ada, "bob", "first", "second")
        else:
            await ada.direct("bob").send("first")

        event = await opened.next(timeout=10)
        assert (event.user, event.channel, event.own) == ("ada", "u.bob", False)
        since = chatkit.START if remembers(each) else None
        heard = bob.direct(event.user).events(MessageCreated, since=since)
        await bob.direct("ada").attach(timeout=10)
        (last,) = await say(ada, "bob", "last")

        expected = ["first", "second", "last"] if remembers(each) else ["last"]
        assert texts(await later(heard, 3)) == expected
        assert await taken(opened) == []
        assert await bob.directs() == ("ada",)
        await ada.direct("bob").attach(timeout=10)
        await bob.direct("ada").receipts.mark_read(last)
        await (await ada.direct("bob").edit(last, "edited")).wait(timeout=10)
        await (await bob.direct("ada").react(last, "👍")).wait(timeout=10)
        await asyncio.sleep(5)
        await bob.direct("ada").typing.keystroke()
        await settle()
        shown = bob.direct("ada").timeline.view.messages[-1]
        assert shown.text == "edited"
        assert shown.reactions["👍"] == {"bob"}
        assert ada.direct("bob").typing.users == {"bob"}
        assert ada.direct("bob").receipts.read_by(last) == {"bob"}
        assert counters(bob)["unread_kind"] == counters(ada)["unread_kind"] == 0


async def test_an_invitation_is_heard_after_a_reconnect(each: Directs) -> None:
    """Where it is remembered; elsewhere the hole is told (I6)."""
    async with each.chat("ada") as ada, each.chat("bob", directs=True) as bob:
        opened = bob.events(DirectOpened, Discontinuity)
        await asyncio.sleep(1)
        each.cut("bob")
        await say(ada, "bob", "hello")
        each.heal("bob")
        event = await opened.next(timeout=60)
        if remembers(each):
            assert isinstance(event, DirectOpened)
            assert event.user == "ada"
        else:
            assert isinstance(event, Discontinuity)
            assert (event.channel, event.reason) == ("u.bob", "reconnected")


async def test_an_invitation_that_was_never_announced_is_found(stage: Directs) -> None:
    """The personal channel is compared with its log as any other is (D16)."""
    async with stage.chat("ada") as ada, stage.chat("bob", directs=True) as bob:
        opened = bob.events(DirectOpened)
        await asyncio.sleep(1)
        with stage.lost():
            await say(ada, "bob", "hello")
            await asyncio.sleep(1)
        assert (await opened.next(timeout=35)).user == "ada"


async def test_what_was_queued_goes_out_in_another_life(each: Directs, tmp_path: Path) -> None:
    """Message and invitation, without anybody asking for the channel again; and who was away hears of it."""
    store = tmp_path / "ada.db"
    each.cut("ada")
    async with each.chat("ada", store=store, drain=0) as ada:
        await ada.direct("bob").send("queued")
        await ada.direct("bob").send("behind it")
        if not each.log:
            assert ada.outbox.depth == 2
    bob = each.chat("bob", directs=True)
    if not remembers(each):
        _ = await bob
        await asyncio.sleep(1)
    each.heal("ada")
    async with each.chat("ada", store=store) as ada:
        await ada.outbox.flush(timeout=60)
        assert ada.channels == {}
    if remembers(each):
        _ = await bob
    opened = bob.events(DirectOpened)
    if remembers(each):
        page = await bob.direct("ada").history()
        assert [message.text for message in page.items] == ["behind it", "queued"]
    assert (await opened.next(timeout=10)).user == "ada"
    await bob.aclose()


@pytest.mark.parametrize("name", ["ada.db", "outbox/"])
async def test_no_crash_comes_between_a_message_and_its_invitation(
    stage: Directs, tmp_path: Path, name: str
) -> None:
    """They are kept in one transaction, and each goes out in its own time (I3)."""
    store = f"{tmp_path}/{name}"
    ada = await stage.chat("ada", store=store)
    stage.cut("ada")
    await ada.direct("bob").send("hello")
    await kill(ada)
    stage.heal("ada")
    async with stage.chat("ada", store=store) as again:
        await again.outbox.flush(timeout=60)
    assert (stage.invitations("bob"), stage.hub.log.core.heads([AB])[AB].head) == (["ada"], f"{1:020d}")


async def test_there_is_one_invitation(stage: Directs, tmp_path: Path) -> None:
    """For all messages of all lives of a store; of another store there is another, which is told no second time."""
    store = tmp_path / "ada.db"
    async with stage.chat("bob", directs=True) as bob:
        opened = bob.events(DirectOpened)
        for _ in range(2):
            async with stage.chat("ada", store=store) as ada:
                await say(ada, "bob", "one", "two")
        assert stage.invitations("bob") == ["ada"]
        async with stage.chat("ada") as ada:
            await say(ada, "bob", "three")
            await (await ada.direct("ada").send("a note")).wait(timeout=10)
        assert (stage.invitations("bob"), stage.invitations("ada")) == (["ada", "ada"], [])
        assert [event.user for event in await later(opened, 1)] == ["ada"]
        assert counters(bob)["known_invitation"] == 1


async def test_what_is_forgotten_of_invitations_the_store_knows(
    stage: Directs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that writes to very many remembers the last of them alone (I10)."""
    monkeypatch.setattr(inviting, "KNOWN", 1)
    async with stage.chat("ada") as ada:
        for other in ("bob", "eve", "bob"):
            await say(ada, other, "hello")
        await asyncio.sleep(1)
        assert (stage.invitations("bob"), stage.invitations("eve")) == (["ada"], ["ada"])


async def test_an_opened_channel_is_told_once_in_the_life_of_a_store(stage: Directs, tmp_path: Path) -> None:
    """Nobody listening, it waits, over a restart too; what was told is listed from then on."""
    store = tmp_path / "bob.db"
    async with stage.chat("ada") as ada:
        async with stage.chat("bob", directs=True, store=store):
            await say(ada, "bob", "hello")
            await asyncio.sleep(1)
        for expected in (["ada"], []):
            async with stage.chat("bob", directs=True, store=store) as bob:
                await asyncio.sleep(1)
                assert await bob.directs() == ("ada",)
                opened = bob.events(DirectOpened)
                assert [event.user for event in await later(opened, 1)] == expected
        async with stage.chat("eve") as eve:
            await say(eve, "bob", "hello")
        bob = await stage.chat("bob", directs=True, store=store)
        opened = bob.events(DirectOpened)
        assert (await opened.next(timeout=10)).user == "eve"
        await kill(bob)
        async with stage.chat("bob", store=store) as bob:
            assert await bob.directs() == ("ada", "eve")


async def test_a_third_is_refused_by_the_log(stage: Directs) -> None:
    """As is what is no invitation, in a personal channel; whoever vouches for the sender (D2)."""
    async with stage.chat("ada", directs=True) as ada:
        messages = ada.events(MessageCreated)
        mallory = ada.as_user("mallory")
        await say(ada, "bob", "for you")
        for name in (AB, "u.ada"):
            stray = mallory.channel("lobby")
            stray._name = name  # as a program would that is not chatkit
            failed = await stray.send("let me in")
            with pytest.raises(chatkit.DeliveryFailed) as refused:
                await failed.wait(timeout=10)
            assert isinstance(refused.value.__cause__, chatkit.NotAllowed)
        assert texts(await later(messages, 1)) == []


@pytest.mark.parametrize("like", ["ably", "pusher"])
async def test_a_third_is_not_heard_where_no_log_checks(clock: VirtualClock, like: Like) -> None:
    """Attested or claimed, live or from history: it is a foreign frame, counted (D2)."""
    stage = Directs(clock, like=like)
    async with stage.chat("ada", directs=True) as ada:
        events, strays = ada.events(MessageCreated), ada.events(ForeignFrame)
        mine = ada.direct("bob")
        await mine.attach(timeout=10)
        await asyncio.sleep(1)
        third, bob = stage.peer("mallory"), stage.peer("bob")
        for channel in (AB, "u.ada"):
            for envelope in (
                third.envelope(text="let me in", channel=channel),
                third.envelope("typing", channel=channel, body={"type": "typing", "active": True}),
                bob.envelope(text="truly", channel=channel),
            ):
                user = envelope.sender.user
                stage.deliver(
                    frame(envelope, user=user, unforgeable=True, channel=channel, serial=ticks(stage))
                )
        forged = third.envelope(text="I am bob", channel=AB, sender={"user": "bob", "device": "elsewhere"})
        stage.deliver(frame(forged, user="mallory", unforgeable=True, channel=AB, serial=ticks(stage)))
        assert texts(await later(events, 1)) == ["truly"]
        reasons = [event.reason for event in await taken(strays)]
        assert sorted(reasons) == ["forged_sender", *["not_a_member"] * 2, *["other_kind"] * 3]
        assert counters(ada)["foreign:other_kind"] == 3
        assert mine.typing.users == set()


def ticks(stage: Directs) -> int | None:
    """Return the next number of a frame, where somebody numbers."""
    stage.ticks += 1
    return None if stage.like == "pusher" else stage.ticks


async def test_history_is_read_without_a_third(clock: VirtualClock) -> None:
    """Raw history holds what anybody wrote: pages leave it out, as live does (I5)."""
    stage = Directs(clock, like="ably")
    async with stage.chat("mallory") as mallory:
        stray = mallory.channel("lobby")
        for name in (AB, "u.ada"):
            stray._name = name
            _ = mallory.engine.channel(name, 1000, presence=False)
            await (await stray.send("let me in")).wait(timeout=10)
    async with stage.chat("ada", directs=True) as ada:
        await say(ada, "bob", "for you")
        mine = ada.direct("bob")
        assert [message.text for message in (await mine.history()).items] == ["for you"]
        await mine.attach(timeout=10)
        await asyncio.sleep(1)
        assert [message.text for message in mine.timeline.view.messages] == ["for you"]
        again = mine.events(MessageCreated, since=chatkit.START)
        assert texts(await later(again, 1)) == ["for you"]
        assert counters(ada)["refused_entry:not_a_member"] == 1
        assert counters(ada)["refused_entry:other_kind"] == 1


async def test_marks_of_a_third_are_not_shown(stage: Directs) -> None:
    """The log keeps no register of theirs; where the name does not tell, nobody is shown it."""
    async with stage.chat("ada") as ada, stage.chat(LONG) as bob:
        await ada.direct(LONG).attach(timeout=10)
        (message,) = await say(ada, LONG, "hello")
        name = ada.direct(LONG).name
        log: Any = ada.engine.context.log
        mark = Register(name, "mallory", "read", message.message_id, "greatest", message.key)
        await log.put([mark])
        with pytest.raises(chatkit.InvalidMessage):
            await log.put([mark._replace(channel=AB)])
        await bob.direct("ada").attach(timeout=10)
        await bob.direct("ada").receipts.mark_read(message)
        await asyncio.sleep(5)
        assert ada.direct(LONG).receipts.read_by(message) == {LONG}


async def test_names_that_are_hashes_work_alike(stage: Directs) -> None:
    """Whoever asks for a channel knows its two users, although its name does not tell."""
    async with stage.chat("ada") as ada, stage.chat(LONG, directs=True) as bob:
        opened = bob.events(DirectOpened)
        await say(ada, LONG, "long")
        assert (await opened.next(timeout=10)).user == "ada"
        stray = ada.as_user("mallory").channel("lobby")
        stray._name = ada.direct(LONG).name
        await (await stray.send("let me in")).wait(timeout=10)
        page = await bob.direct("ada").history()
        assert [message.text for message in page.items] == ["long"]
        assert [hit.text for hit in (await bob.search("long")).items] == ["long"]
        assert (await ada.as_user("mallory").search("long")).items == ()


@pytest.mark.parametrize("like", ["memory", "ably"])
async def test_direct_and_personal_channels_are_their_users_to_read(clock: VirtualClock, like: Like) -> None:
    """A credential of one user reads neither those of others; theirs it may write invitations to."""
    stage = Directs(clock, like=like)
    alone = {"config": {"trusted": False}}
    async with stage.chat("ada", **alone) as ada, stage.chat("bob", directs=True, **alone) as bob:
        opened = bob.events(DirectOpened)
        await say(ada, "bob", "secret words")
        assert (await opened.next(timeout=10)).user == "ada"
        assert len((await bob.direct("ada").history()).items) == 1
        async with stage.chat("eve", **alone) as eve:
            for name in (AB, "u.bob"):
                await stage_refuses(eve, name)
            if like == "memory":
                assert (await eve.search("secret")).items == ()
                assert len((await ada.search("secret")).items) == 1
                log: Any = eve.engine.context.log
                for call in (
                    log.get(AB, ["id"]),
                    log.versions(AB, ("ada", "id")),
                    log.registers(AB, ["read"]),
                    log.unread("eve", [AB]),
                    log.search("secret", channels=[AB], limit=1),
                ):
                    with pytest.raises(chatkit.NotAllowed):
                        await call


async def stage_refuses(chat: chatkit.Chat, name: str) -> None:
    """A channel can be neither attached nor read."""
    await chat.connection.wait(timeout=10)
    log: Any = chat.engine.context.log
    session: Any = chat.engine.session
    with pytest.raises(chatkit.NotAllowed):
        await session.attach(name, None, presence=False)
    with pytest.raises(chatkit.NotAllowed):
        await log.entries(name, after=None, limit=1)
    with pytest.raises(chatkit.NotAllowed):
        await log.messages(name, limit=1)


async def test_a_backend_keeps_apart_whom_it_speaks_for(stage: Directs) -> None:
    """What two of its users say to one another reaches streams and searches of no third (D31)."""
    async with stage.chat("desk", directs=True) as desk:
        ada, bob, eve = (desk.as_user(name) for name in ("ada", "bob", "eve"))
        everything = {one: one.events() for one in (desk, ada, bob, eve)}
        for one, other in ((ada, "bob"), (bob, "ada")):
            await one.direct(other).attach(timeout=10)
        await say(ada, "bob", "between us")
        await say(bob, "desk", "a question")
        await asyncio.sleep(1)
        heard = {one.user.id: await taken(events) for one, events in everything.items()}
        said = {
            user: [event.message.text for event in events if isinstance(event, MessageCreated)]
            for user, events in heard.items()
        }
        assert said == {"ada": ["between us"], "bob": ["between us"], "desk": [], "eve": []}
        told = {
            user: [e.user for e in events if isinstance(e, DirectOpened)] for user, events in heard.items()
        }
        assert told == {"ada": [], "bob": [], "desk": ["bob"], "eve": []}
        sent = {
            user: {e.delivery.channel for e in events if isinstance(e, DeliveryChanged)}
            for user, events in heard.items()
        }
        assert sent == {"ada": {AB}, "bob": {AB, "dm.bob.desk"}, "desk": {AB, "dm.bob.desk"}, "eve": set()}
        found = {one.user.id: len((await one.search("between")).items) for one in everything}
        assert found == {"ada": 1, "bob": 1, "desk": 0, "eve": 0}


async def test_what_an_earlier_life_queued_is_told_to_those_it_concerns(
    stage: Directs, tmp_path: Path
) -> None:
    """Before anybody asked for the channel again: its name tells, and the owner of the outbox hears all."""
    store = tmp_path / "desk.db"
    stage.cut("desk")
    async with stage.chat("desk", store=store, drain=0) as desk:
        for other in ("bob", LONG):
            await desk.as_user("ada").direct(other).send("between us")
    async with stage.chat("desk", store=store) as desk:
        everybody = (desk, *(desk.as_user(name) for name in ("ada", "bob", "eve")))
        changes = {one.user.id: one.events(DeliveryChanged) for one in everybody}
        stage.heal("desk")
        await desk.outbox.flush(timeout=60)
        told = {user: {e.channel for e in await taken(stream)} for user, stream in changes.items()}
        long = desk.as_user("ada").direct(LONG).name
        assert told == {"desk": {AB, long}, "ada": {AB}, "bob": {AB}, "eve": set()}


async def test_older_messages_are_found_behind_those_of_a_third(clock: VirtualClock) -> None:
    """However many there are: a page that shows nothing is not the beginning (I14)."""
    stage = Directs(clock, like="ably")
    async with stage.chat("ada") as ada, stage.chat("mallory") as mallory:
        await say(ada, "bob", "first")
        stray = mallory.channel("lobby")
        stray._name = AB
        _ = mallory.engine.channel(AB, 1000, presence=False)
        for number in range(7):
            await (await stray.send(f"{number}")).wait(timeout=10)
        await say(ada, "bob", "last")
    async with stage.chat("bob") as bob:
        mine = bob.direct("ada")
        assert [await mine.timeline.load_older(2) for _ in range(3)] == [1, 1, 0]
        assert [message.text for message in mine.timeline.view.messages] == ["first", "last"]


async def test_an_invitation_is_nobodys_wish(stage: Directs) -> None:
    """It shows neither in the outbox nor in events, but takes part in closing."""
    async with stage.chat("ada") as ada:
        changes, views = ada.events(DeliveryChanged), ada.outbox.watch()
        stage.cut("ada")
        first = await ada.direct("bob").send("one")
        second = await ada.direct("bob").send("two")
        assert (ada.outbox.depth, (await views.next(timeout=1)).depth) == (2, 2)
        assert ada.outbox.oldest == first.queued_at
        for limit in (1, 2, 3):
            found = await ada.outbox.entries(limit=limit)
            assert [one.id for one in found] == [first.id, second.id][:limit]
        stage.heal("ada")
        report = await ada.outbox.flush(timeout=60)
        assert (report.sent, report.queued, report.reason) == (2, 0, None)
        assert {event.delivery.channel for event in await taken(changes)} == {AB}
        assert stage.invitations("bob") == ["ada"]


async def test_an_invitation_that_was_refused_goes_with_the_next_message(stage: Directs) -> None:
    """Else nobody would ever hear of the messages; as little as the refusal, which is no dead letter of the app's."""
    async with stage.chat("ada") as ada:
        await ada.connection.wait(timeout=10)
        channel = ada.direct("bob")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stage.hub, "append", refusing(stage))
            await channel.send("one")
            await asyncio.sleep(1)
        assert (stage.invitations("bob"), counters(ada)["failed_invitation"]) == ([], 1)
        assert (await ada.outbox.entries(status="failed"), ada.health().checks["outbox"]["failed"]) == ((), 0)
        await channel.send("two")
        await channel.send("three")
        await asyncio.sleep(1)
        assert stage.invitations("bob") == ["ada"]


def refusing(stage: Directs) -> Any:
    """Return an append that refuses invitations for good."""
    append = stage.hub.append

    def refuse(caller: Any, channel: str, entries: Any) -> Any:
        answer = append(caller, channel, () if channel == "u.bob" else entries)
        if channel != "u.bob":
            return answer
        error = chatkit.NotAllowed("not there", channel=channel)
        return answer._replace(acks=tuple(Ack(one.ident, "refused", error=error) for one in entries))

    return refuse


async def test_an_invitation_waits_with_a_message_for_its_time(stage: Directs) -> None:
    """And not with one that is sent before: whoever gets a message hears of it."""
    async with stage.chat("ada") as ada:
        then = stage.clock.wall() + timedelta(minutes=1)
        await ada.direct("bob").send("later", send_at=then)
        await ada.direct("eve").send("at once", send_at=stage.clock.wall() - timedelta(hours=1))
        await asyncio.sleep(1)
        assert (stage.invitations("bob"), stage.invitations("eve")) == ([], ["ada"])
        await say(ada, "bob", "now")
        await asyncio.sleep(1)
        assert stage.invitations("bob") == ["ada"]
        await asyncio.sleep(60)
        assert stage.invitations("bob") == ["ada", "ada"]


async def test_an_invitation_outlives_the_message_that_it_came_with(stage: Directs, tmp_path: Path) -> None:
    """A later one may speak of the channel still: it has no deadline of its own."""
    stage.cut("ada")
    async with stage.chat("ada", store=tmp_path / "ada.db") as ada:
        short = await ada.direct("bob").send("soon", expires_in=60)
        await ada.direct("bob").send("later")
        await asyncio.sleep(90)
        stage.heal("ada")
        await ada.outbox.flush(timeout=600)
        await asyncio.sleep(1)
        assert (short.status, stage.invitations("bob")) == ("expired", ["ada"])


async def test_who_gives_up_a_first_message_invites_nobody(stage: Directs, tmp_path: Path) -> None:
    """Both are withdrawn, and the next message brings both again (D14)."""
    stage.cut("ada")
    async with stage.chat("ada", store=tmp_path / "ada.db") as ada:
        sending = asyncio.ensure_future(ada.direct("bob").send("never mind"))
        await asyncio.sleep(0)
        sending.cancel()
        await asyncio.wait({sending})
        await settle()
        assert (ada.outbox.depth, ada.engine.outbox.depth) == (0, 0)
        stage.heal("ada")
        await say(ada, "bob", "hello")
        await asyncio.sleep(1)
        assert stage.invitations("bob") == ["ada"]


async def test_another_provider_is_told_anew(clock: VirtualClock, tmp_path: Path) -> None:
    """Under the same store: who hears there has perhaps never been here (D27)."""
    hubs = {name: new_hub(name, clock=clock, random=Random(7)) for name in ("before", "after")}
    stores = {user: tmp_path / f"{user}.db" for user in ("ada", "bob")}

    def chat(hub: str, user: str, **options: Any) -> chatkit.Chat:
        source: Any = MemoryConfig(hub=hubs[hub])
        return chatkit.connect(source, user=user, clock=clock, seed=1, store=stores[user], **options)

    for hub, expected in (("before", ["ada"]), ("after", [])):
        async with chat(hub, "ada", rebind=True) as ada, chat(hub, "bob", rebind=True, directs=True) as bob:
            opened = bob.events(DirectOpened)
            await say(ada, "bob", "hello")
            assert [event.user for event in await later(opened, 5)] == expected
            assert await bob.directs() == ("ada",)
        log = hubs[hub].log.core
        assert len(log.entries(personal("bob"), after=None, limit=10).items) == 1
    stores["bob"] = tmp_path / "new.db"
    async with chat("after", "bob", directs=True) as bob:
        opened = bob.events(DirectOpened)
        assert (await opened.next(timeout=10)).user == "ada"


async def test_a_third_is_not_present(stage: Directs) -> None:
    """Whoever enters a direct channel of others, where the provider lets them, is not shown there."""
    async with stage.chat("ada") as ada:
        channel = ada.direct("bob")
        await channel.attach(timeout=10)
        both = tuple(Present(user, user, {}) for user in ("bob", "mallory"))
        stage.hub.inject(AB, Roster(AB, both))
        stage.hub.inject(AB, Moved(AB, "enter", Present("eve", "eve", {})))
        await settle()
        assert set(channel.presence.members) == {"bob"}
        assert counters(ada)["foreign:not_a_member"] == 2


async def test_an_invitation_of_somebody_blocked_is_not_told(stage: Directs) -> None:
    """Nothing of whom a moderator hides is; what comes of others is."""
    async with (
        stage.chat("ada", directs=True) as ada,
        stage.chat("bob") as bob,
        stage.chat("mallory") as mallory,
    ):
        ada.use(Blocks(["mallory"]))
        opened = ada.events(DirectOpened)
        await say(mallory, "ada", "psst")
        await say(bob, "ada", "hello")
        assert (await opened.next(timeout=10)).user == "bob"
        with pytest.raises(chatkit.WaitTimeout):
            await opened.next(timeout=10)
