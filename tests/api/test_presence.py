"""Presence: a wish that is renewed, devices merged, told truthfully or refused clearly (D32)."""

from __future__ import annotations

import asyncio
import gzip
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit.core.roster import GONE
from chatkit.engine.activity import IDLE
from chatkit.model.order import OrderKey
from chatkit.model.registers import Register
from chatkit.ports import Moved, Present, Roster
from chatkit.testing.clock import settle
from tests.engine.kit import C, Stage, counters, frame, taken
from tests.test_data import DATA

if TYPE_CHECKING:
    from chatkit.adapters.memory import Like
    from chatkit.testing.clock import VirtualClock

LIKES: tuple[Like, ...] = ("memory", "supabase", "ably", "pusher")
UNKNOWN = "01890000-0000-7000-8000-000000000000"


@pytest.fixture(params=LIKES)
def stage(clock: VirtualClock, request: pytest.FixtureRequest) -> Stage:
    """A hub like each provider."""
    return Stage(clock, like=request.param)


def shown(chat: chatkit.Chat) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return who is seen there."""
    members = chat.channel(C).presence.members.values()
    return {one.user: (one.status, dict(one.data)) for one in members}


async def entered(*chats: chatkit.Chat) -> None:
    """Enter everyone, one after the other."""
    for chat in chats:
        await chat.channel(C).attach(timeout=10)
        await chat.channel(C).presence.enter()
    await asyncio.sleep(1)


async def test_a_member_enters_changes_and_leaves(stage: Stage) -> None:
    """The present value first, then each change; facts beside it."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await entered(ada)
        events = ada.channel(C).events(chatkit.PresenceChanged)
        await entered(bob)
        await bob.channel(C).presence.update(status="away", data={"mood": "tea"})
        await asyncio.sleep(5)
        assert shown(ada) == shown(bob) == {"ada": ("online", {}), "bob": ("away", {"mood": "tea"})}
        await bob.channel(C).presence.update(status="online")
        await asyncio.sleep(1)
        assert shown(ada)["bob"] == ("online", {"mood": "tea"})
        await bob.channel(C).presence.leave()
        await bob.channel(C).presence.leave()
        await asyncio.sleep(1)
        assert shown(ada)["bob"] == ("offline", {})
        told = [await events.next(timeout=1) for _ in range(4)]
        assert [(one.change, one.member.user, one.own) for one in told] == [
            (change, "bob", False) for change in ("enter", "update", "update", "leave")
        ]
        assert ada.channel(C).presence.error is None


async def test_who_comes_later_learns_what_was_said(stage: Stage) -> None:
    """With the set, or because those who have something to say repeat it."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await entered(ada)
        await ada.channel(C).presence.update(status="away", data={"in": "Paris"})
        members = await bob.channel(C).presence.wait_synced(timeout=10)
        assert "ada" in members
        await asyncio.sleep(5)
        assert shown(bob)["ada"] == ("away", {"in": "Paris"})
        assert (bob.channel(C).presence.synced, ada.channel(C).presence.synced) == (True, True)


async def test_entering_offline_is_a_wish_and_is_renewed(stage: Stage) -> None:
    """The set is rebuilt after the reconnect; what changed meanwhile is told."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        stage.cut("ada")
        await ada.channel(C).presence.enter(data={"n": 1})
        await entered(bob)
        stage.heal("ada")
        ada.connection.retry_now()
        await asyncio.sleep(120)
        assert shown(bob)["ada"] == ("online", {"n": 1})
        stage.cut("ada")
        await asyncio.sleep(90)
        assert shown(bob)["ada"][0] == "offline"
        assert not ada.channel(C).presence.synced
        await bob.channel(C).presence.leave()
        stage.heal("ada")
        ada.connection.retry_now()
        await asyncio.sleep(20)
        assert shown(bob)["ada"] == ("online", {"n": 1})
        assert ada.channel(C).presence.synced


async def test_who_is_idle_is_away_until_the_client_is_used(stage: Stage) -> None:
    """Five minutes in which the app asked nothing; one who said away stays it."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await entered(ada, bob)
        await asyncio.sleep(IDLE + 5)
        assert shown(bob)["ada"][0] == "away"
        await ada.channel(C).send("back")
        await asyncio.sleep(5)
        assert shown(bob)["ada"][0] == "online"


async def test_devices_of_a_user_are_one_member(stage: Stage) -> None:
    """Online while one of them is."""
    async with stage.chat("bob") as bob, stage.chat("ada") as phone, stage.chat("ada") as desk:
        await entered(bob, phone, desk)
        await phone.channel(C).presence.update(status="away")
        await asyncio.sleep(10)
        assert shown(bob)["ada"][0] == "online"
        assert shown(phone)["ada"][0] == shown(desk)["ada"][0] == "online"
        await desk.channel(C).presence.update(status="away")
        await asyncio.sleep(10)
        assert shown(bob)["ada"][0] == "away"
        member = bob.channel(C).presence.members["ada"]
        assert member.devices == 2


def seen(chat: chatkit.Chat, user: str) -> datetime:
    """Return when a client saw somebody last."""
    found = chat.channel(C).presence.members[user].last_seen
    assert found is not None
    return found


async def test_last_seen_is_the_newest_sign(stage: Stage) -> None:
    """Presence, a message that somebody vouches for, or a mark."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await entered(ada, bob)
        await bob.channel(C).presence.leave()
        await asyncio.sleep(1)
        left = seen(ada, "bob")
        await asyncio.sleep(100)
        sent = await (await ada.channel(C).send("hello")).wait(timeout=10)
        await asyncio.sleep(5)
        assert seen(ada, "bob") == left
        await bob.channel(C).receipts.mark_read(sent)
        await asyncio.sleep(10)
        marked = seen(ada, "bob")
        assert timedelta(seconds=90) < marked - left < timedelta(seconds=115)
        await asyncio.sleep(100)
        await (await bob.channel(C).send("still here")).wait(timeout=10)
        await asyncio.sleep(1)
        wrote = seen(ada, "bob")
        assert timedelta(seconds=90) < wrote - marked < timedelta(seconds=120)
        assert shown(ada)["bob"][0] == "offline"


async def test_who_was_never_seen_is_known_by_what_they_left(clock: VirtualClock) -> None:
    """By a message, by a mark at one that is loaded, as late; of a mark at any other nobody knows when."""
    stage = Stage(clock)
    cleo, eve = stage.peer("cleo"), stage.peer("eve")
    [first] = cleo.say("an old one")
    key = stage.hub.log.core.find(C, [first]).items[first]
    marks = [Register(C, "dan", "read", first.id, "greatest", key)]
    marks += [Register(C, user, "read", UNKNOWN, "greatest", OrderKey(1, "0")) for user in ("fay", "cleo")]
    await stage.hub.log.put(marks)
    await asyncio.sleep(1000)
    async with stage.chat("ada") as ada:
        stage.deliver(frame(eve.envelope(text="forged"), user=None))
        views = ada.channel(C).receipts.watch()
        await ada.channel(C).attach(timeout=10)
        await asyncio.sleep(10)
        found = ada.channel(C).presence.members
        assert {user: one.last_seen for user, one in found.items()} == {
            "cleo": clock.wall() - timedelta(seconds=1010),
            "dan": clock.wall() - timedelta(seconds=1010),
            "fay": None,
        }
        assert {(one.status, one.devices) for one in found.values()} == {("offline", 0)}
        await views.aclose()


async def test_who_is_vouched_for_by_nobody_left_no_sign(clock: VirtualClock) -> None:
    """Else a forged message would show its victim; of several messages of a user the newest counts."""
    stage = Stage(clock, like="pusher")
    async with stage.chat("ada") as ada:
        await ada.channel(C).attach(timeout=10)
        cleo, eve = stage.peer("cleo"), stage.peer("eve")
        for one in ("first", "second"):
            await asyncio.sleep(10)
            stage.deliver(frame(cleo.envelope(text=one), user="cleo")._replace(attested="backend"))
        stage.deliver(frame(eve.envelope(text="forged")))
        await asyncio.sleep(1)
        assert len(ada.channel(C).timeline.view.messages) == 3
        assert set(ada.channel(C).presence.members) == {"ada", "cleo"}
        assert clock.wall() - seen(ada, "cleo") < timedelta(seconds=2)


async def test_receipts_that_are_off_are_no_sign(clock: VirtualClock) -> None:
    """Who asked not to be shown others' marks is shown nothing of them here either."""
    stage = Stage(clock)
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await ada.channel(C, receipts="off").attach(timeout=10)
        sent = await (await bob.channel(C).send("hello")).wait(timeout=10)
        async with stage.chat("cleo") as cleo:
            await cleo.channel(C).receipts.mark_read(sent)
            await asyncio.sleep(10)
        assert set(ada.channel(C, receipts="off").presence.members) == {"bob"}


async def test_a_mark_that_comes_by_shows_somebody_now(clock: VirtualClock) -> None:
    """However old the message is that it stands at."""
    stage = Stage(clock)
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        sent = await (await ada.channel(C).send("hello")).wait(timeout=10)
        await entered(ada)
        await bob.channel(C).attach(timeout=10)
        await asyncio.sleep(1000)
        await bob.channel(C).receipts.mark_read(sent)
        await asyncio.sleep(5)
        assert clock.wall() - seen(ada, "bob") < timedelta(seconds=6)


async def test_while_we_are_away_nobody_is_seen(clock: VirtualClock) -> None:
    """Who is gone when we come back was seen until we lost sight."""
    stage = Stage(clock)
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await entered(ada, bob)
        await asyncio.sleep(50)
        lost = clock.wall()
        stage.cut("ada")
        await asyncio.sleep(100)
        await bob.channel(C).presence.leave()
        stage.heal("ada")
        ada.connection.retry_now()
        await asyncio.sleep(20)
        assert (shown(ada)["bob"][0], seen(ada, "bob")) == ("offline", lost)


async def test_a_thousand_members(clock: VirtualClock) -> None:
    """As a whole set, one by one and all at once; each is told, and a reader may look after each."""
    stage = Stage(clock)
    many = tuple(Present(f"u{n}", f"c{n}", {"status": "away", "data": {"n": n}}) for n in range(1000))
    async with stage.chat("ada") as ada:
        events = ada.channel(C).events(chatkit.PresenceChanged, buffer=2000)
        await ada.channel(C).attach(timeout=10)
        views = ada.channel(C).presence.watch()
        stage.hub.inject(C, Roster(C, many))
        await settle()
        assert len((await views.next()).members) == 1000
        assert shown(ada)["u7"] == ("away", {"n": 7})
        for one in many[:100]:
            stage.hub.inject(C, Moved(C, "leave", one))
            await settle()
            view = await views.next()
            assert view.members[one.user].status == "offline"
            assert view.members["u999"].status == "away"
        for one in many[100:]:
            stage.hub.inject(C, Moved(C, "leave", one))
        told = [await events.next(timeout=1) for _ in range(2000)]
        assert [one.change for one in told] == ["enter"] * 1000 + ["leave"] * 1000


async def test_of_very_many_who_go_at_once_each_is_told(clock: VirtualClock) -> None:
    """Of whom less is remembered than went (I10): readers of events keep no ghosts."""
    stage = Stage(clock)
    many = tuple(Present(f"u{n}", f"c{n}", {}) for n in range(GONE + 5))
    async with stage.chat("ada") as ada:
        events = ada.channel(C).events(chatkit.PresenceChanged, buffer=5_000)
        await ada.channel(C).attach(timeout=10)
        stage.hub.inject(C, Roster(C, ()))
        stage.hub.inject(C, Roster(C, many))
        stage.hub.inject(C, Roster(C, ()))

        told = await taken(events)

        left = {event.member.user for event in told if event.change == "leave"}
        assert left == {one.user for one in many}
        assert all(event.member.status == "offline" for event in told if event.change == "leave")


@pytest.mark.long
async def test_who_came_and_went_on_a_busy_channel(clock: VirtualClock) -> None:
    """22 days of IRC over one connection: thousands of users, who are all there again after a reconnect."""
    stage = Stage(clock)
    with gzip.open(DATA / "ubuntu-irc.jsonl.gz", "rt", encoding="utf-8") as lines:
        moves = [row for row in map(json.loads, lines) if row["kind"] in {"join", "leave", "rename"}]
    there: set[str] = set()
    async with stage.chat("irc", config={"trusted": True}) as irc, stage.chat("bob") as bob:
        events = bob.channel(C).events(chatkit.PresenceChanged, buffer=10_000)
        await bob.channel(C).attach(timeout=10)
        for number, row in enumerate(moves):
            if row["kind"] != "join":
                await irc.as_user(row["user"]).channel(C).presence.leave()
                there.discard(row["user"])
            if row["kind"] != "leave":
                user = row["user"] if row["kind"] == "join" else row["text"]
                await irc.as_user(user).channel(C).presence.enter()
                there.add(user)
            if number % 100 == 0:
                await asyncio.sleep(1)
        await asyncio.sleep(1)

        def seen_there() -> set[str]:
            members = bob.channel(C).presence.members.values()
            return {one.user for one in members if one.status == "online"}

        assert len(there) > 1_500
        assert seen_there() == there
        told: set[str] = set()
        for event in await taken(events):
            (told.discard if event.change == "leave" else told.add)(event.member.user)
        assert told == there
        stage.cut("irc")
        await asyncio.sleep(1)
        assert seen_there() == set()
        stage.heal("irc")
        irc.connection.retry_now()
        await asyncio.sleep(60)
        assert seen_there() == there


async def test_where_there_is_none_it_is_said(clock: VirtualClock) -> None:
    """In `error`, by `enter` and by `wait_synced`; messages go all the same."""
    stage = Stage(clock)
    none = {"capabilities": {"features": {"presence": "none"}}}
    async with stage.chat("ada", config=none) as ada:
        presence = ada.channel(C).presence
        assert isinstance(presence.error, chatkit.CapabilityError)
        for call in (presence.enter(), presence.update(), presence.leave(), presence.wait_synced(timeout=1)):
            with pytest.raises(chatkit.CapabilityError):
                await call
        await (await ada.channel(C).send("hello")).wait(timeout=10)
    async with stage.chat("ada") as ada:
        presence = ada.channel("other", presence=False).presence
        with pytest.raises(chatkit.StateError):
            await presence.enter()
        with pytest.raises(chatkit.StateError):
            ada.channel("other")


async def test_over_the_limit_it_is_said_and_tried_again(stage: Stage) -> None:
    """The channel is received without it; once somebody leaves there is room."""
    few = {"capabilities": {"presence_members": 1}}
    async with stage.chat("ada", config=few) as ada, stage.chat("bob", config=few) as bob:
        await entered(ada)
        await bob.channel(C).attach(timeout=10)
        presence = bob.channel(C).presence
        if presence.error is None:
            await presence.enter()
        await asyncio.sleep(1)
        assert isinstance(bob.channel(C).presence.error, chatkit.CapabilityError)
        with pytest.raises(chatkit.CapabilityError):
            await presence.enter()
        await ada.aclose()
        await asyncio.sleep(1)
        if stage.like == "pusher":  # it is no member until it is attached again
            await bob.channel(C).detach()
            await bob.channel(C).attach(timeout=10)
        await asyncio.sleep(5)
        assert presence.error is None
        assert shown(bob)["bob"][0] == "online"


async def test_what_cannot_be_sent_is_refused(clock: VirtualClock) -> None:
    """Before anything is recorded, with the field named."""
    async with Stage(clock).chat("ada") as ada:
        presence: Any = ada.channel(C).presence
        for wrong in (
            {"status": "busy"},
            {"data": 1},
            {"data": {"a": object()}},
            {"data": {"a": "x" * 2000}},
        ):
            with pytest.raises(chatkit.InvalidMessage):
                await presence.enter(**wrong)
        assert presence.members == {}


async def test_a_backend_enters_for_others(stage: Stage) -> None:
    """Where the provider lets it; Pusher shows the connection's own user alone."""
    async with stage.chat("backend", config={"trusted": True}) as backend, stage.chat("bob") as bob:
        await entered(bob)
        ada = backend.as_user("ada").channel(C).presence
        assert ada is backend.as_user("ada").channel(C).presence
        if stage.like == "pusher":
            with pytest.raises(chatkit.CapabilityError):
                await ada.enter()
            return
        await ada.enter(data={"via": "irc"})
        await asyncio.sleep(1)
        assert shown(bob)["ada"] == ("online", {"via": "irc"})
        await ada.leave()
        await asyncio.sleep(1)
        assert shown(bob)["ada"][0] == "offline"


async def test_whom_a_backend_entered_is_there_again_after_a_reconnect(clock: VirtualClock) -> None:
    """The wish of each user is renewed, not that of the client's own alone."""
    stage = Stage(clock)
    async with stage.chat("backend", config={"trusted": True}) as backend, stage.chat("bob") as bob:
        await entered(bob)
        await backend.as_user("ada").channel(C).presence.enter()
        await asyncio.sleep(1)
        stage.cut("backend")
        await asyncio.sleep(90)
        assert shown(bob)["ada"][0] == "offline"
        stage.heal("backend")
        backend.connection.retry_now()
        await asyncio.sleep(20)
        assert shown(bob)["ada"][0] == "online"


async def test_hostile_words_change_nothing(clock: VirtualClock) -> None:
    """Of one who is not there, whom nobody vouches for, of an unknown kind, or too large; each is counted."""
    stage = Stage(clock, like="pusher")
    async with stage.chat("ada") as ada:
        await entered(ada)
        eve = stage.peer("eve")
        body = {"type": "presence", "status": "away", "data": {"x": "y" * 2000}}
        word = frame(eve.envelope("presence.status", body=body), user="eve")._replace(attested="backend")
        other = frame(eve.envelope("presence.other", body=body), user="eve")
        stage.deliver(word, other)
        await settle()
        assert set(shown(ada)) == {"ada"}
        stage.hub.inject(C, Moved(C, "enter", Present("eve", "eve", {})))
        stage.deliver(word._replace(attested="none"))
        await settle()
        assert shown(ada)["eve"] == ("online", {})
        stage.deliver(word)
        await settle()
        assert shown(ada)["eve"] == ("away", {})
        counted = counters(ada)
        assert [counted[name] for name in ("unread_kind", "unattested_presence", "unreadable_presence")] == [
            1,
            1,
            2,
        ]


async def test_hostile_members_are_left_out_and_counted(clock: VirtualClock) -> None:
    """Names that are none, clients without end, and words where the provider carries them itself."""
    stage = Stage(clock)
    async with stage.chat("ada") as ada:
        await entered(ada)
        strange = [Present(user, "c", {"status": ["x"], "data": 1}) for user in ("", "*", "x" * 200, "eve")]
        stage.hub.inject(C, Roster(C, (*strange, *(Present("mob", str(n), {}) for n in range(150)))))
        peer = stage.peer("eve")
        stage.deliver(frame(peer.envelope("presence.status", body={"type": "presence", "status": "away"})))
        await settle()
        members = ada.channel(C).presence.members
        assert {user: (one.status, one.devices) for user, one in members.items()} == {
            "ada": ("offline", 0),
            "eve": ("online", 1),
            "mob": ("online", 100),
        }
        counted = counters(ada)
        assert [counted[name] for name in ("presence_left_out", "unreadable_presence", "unread_kind")] == [
            53,
            4,
            1,
        ]


async def test_above_thirty_members_words_come_on_request(clock: VirtualClock) -> None:
    """And once for all who ask within three seconds."""
    stage = Stage(clock, like="pusher")
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await entered(ada)
        await ada.channel(C).presence.update(status="away")
        crowd = [Moved(C, "enter", Present(f"u{n}", f"u{n}", {})) for n in range(40)]
        for one in crowd:
            stage.hub.inject(C, one)
        await asyncio.sleep(10)
        await bob.channel(C).attach(timeout=10)
        await asyncio.sleep(10)
        assert shown(bob)["ada"][0] == "online"
        views = bob.channel(C).presence.watch()
        await asyncio.sleep(10)
        assert shown(bob)["ada"][0] == "away"
        await views.aclose()


async def test_a_machine_that_slept_is_there_again(stage: Stage) -> None:
    """The provider may have forgotten us: it is told again, over the same connection (D32)."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await entered(ada, bob)
        await ada.channel(C).presence.update(data={"n": 1})
        views = bob.channel(C).presence.watch()
        await asyncio.sleep(20)
        for member in tuple(ada_members(stage)):
            stage.hub.inject(C, Moved(C, "leave", member), link="bob")
        await asyncio.sleep(1)
        assert shown(bob)["ada"][0] == "offline"
        if stage.like == "pusher":
            stage.hub.inject(C, Moved(C, "enter", Present("ada", "ada", {})), link="bob")
        stage.clock.jump(3_600)
        await asyncio.sleep(20)
        assert shown(bob)["ada"] == ("online", {"n": 1})
        await views.aclose()


def ada_members(stage: Stage) -> list[Present]:
    """Return as whom the hub's sessions see ada."""
    if stage.like == "pusher":
        return [Present("ada", "ada", {})]
    return [held.member for held in stage.hub._rosters._held[C].values() if held.member.user == "ada"]


async def test_too_many_changes_wait_and_the_newest_counts(clock: VirtualClock) -> None:
    """Supabase takes five presence calls in thirty seconds: it is asked no more than that (D28)."""
    stage = Stage(clock, like="supabase")
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await entered(ada, bob)
        events = bob.channel(C).events(chatkit.PresenceChanged)
        for number in range(20):
            await ada.channel(C).presence.update(data={"n": number})
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        assert shown(bob)["ada"][1] == {"n": 3}
        await asyncio.sleep(30)
        assert shown(bob)["ada"][1] == {"n": 19}
        assert ada.channel(C).presence.error is None
        told = [await events.next(timeout=1) for _ in range(5)]
        assert [one.member.data["n"] for one in told] == [0, 1, 2, 3, 19]


async def test_what_is_refused_is_said(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """In `error`, until it is tried again; what may pass is tried again by itself."""
    stage = Stage(clock)
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await entered(bob)
        presence, session = ada.channel(C).presence, ada.engine.session
        await ada.channel(C).attach(timeout=10)
        answers: list[Exception] = [TimeoutError(), chatkit.NotAllowed("you may not")]

        async def refuse(*_: object) -> None:
            raise answers.pop(0)

        with monkeypatch.context() as patch:
            patch.setattr(session, "enter", refuse)
            await presence.enter()
            await asyncio.sleep(5)
            assert (presence.error, len(answers)) == (None, 1)
            await asyncio.sleep(10)
        assert isinstance(presence.error, chatkit.NotAllowed)
        assert presence.error.channel == C
        await bob.channel(C).presence.leave()
        await asyncio.sleep(10)
        assert isinstance(presence.error, chatkit.NotAllowed)
        await presence.update(data={"n": 1})
        await asyncio.sleep(1)
        assert ada.channel(C).presence.error is None
        assert shown(bob)["ada"] == ("online", {"n": 1})


async def test_a_leave_without_an_answer_is_made_again(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An enter that may have arrived counts as one; a leave that is refused is not asked for again."""
    stage = Stage(clock)
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await entered(bob)
        await ada.channel(C).attach(timeout=10)
        presence, session = ada.channel(C).presence, ada.engine.session
        assert session is not None
        enter = session.enter

        async def unanswered(channel: str, member: Present) -> None:
            await enter(channel, member)
            raise chatkit.TransportError("no answer")

        monkeypatch.setattr(session, "enter", unanswered)
        await presence.enter()
        await asyncio.sleep(1)
        assert shown(bob)["ada"][0] == "online"
        await presence.leave()
        await asyncio.sleep(15)
        assert shown(bob)["ada"][0] == "offline"
        refused: list[Present] = []

        async def refuse(_: str, member: Present) -> None:
            refused.append(member)
            raise chatkit.NotAllowed("you must stay")

        monkeypatch.setattr(session, "enter", enter)
        monkeypatch.setattr(session, "leave", refuse)
        await presence.enter()
        await asyncio.sleep(1)
        await presence.leave()
        await asyncio.sleep(30)
        assert (len(refused), presence.error) == (1, None)


async def test_a_change_of_mind_on_the_way_counts(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leave while the provider is still being told of the enter; offline nothing is kept of it (I10)."""
    stage = Stage(clock)
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await entered(bob)
        await ada.channel(C).attach(timeout=10)
        presence, session = ada.channel(C).presence, ada.engine.session
        assert session is not None
        enter = session.enter

        async def slow(channel: str, member: Present) -> None:
            await enter(channel, member)
            await asyncio.sleep(5)

        monkeypatch.setattr(session, "enter", slow)
        await presence.enter()
        await asyncio.sleep(1)
        await presence.leave()
        await asyncio.sleep(5)
        assert shown(bob)["ada"][0] == "offline"
        stage.cut("ada")
        await presence.enter()
        await presence.leave()
        stage.heal("ada")
        ada.connection.retry_now()
        await asyncio.sleep(5)
        assert presence.synced
        assert set(shown(ada)) == {"bob", "ada"}


async def test_words_that_cannot_be_written_are_said_later(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the adapter raises stays inside; a question for the others' words is asked again, too."""
    stage = Stage(clock, like="pusher")
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await entered(ada, bob)
        session = ada.engine.session
        with monkeypatch.context() as patch:

            async def fail(*_: object) -> None:
                raise chatkit.RateLimited("too many events")

            patch.setattr(session, "emit", fail)
            await ada.channel(C).presence.update(status="away")
            views = ada.channel(C).presence.watch()
            await asyncio.sleep(5)
            assert shown(bob)["ada"][0] == "online"
        await asyncio.sleep(20)
        assert shown(bob)["ada"][0] == "away"
        await views.aclose()


async def test_a_client_has_so_many_users_in_a_channel(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is in may change what they are (I10)."""
    monkeypatch.setattr("chatkit.engine.presence_wishes.MOST", 1)
    async with Stage(clock).chat("backend", config={"trusted": True}) as backend:
        await backend.channel(C).presence.enter()
        await backend.channel(C).presence.update(status="away")
        with pytest.raises(chatkit.CapabilityError, match="1 users") as refused:
            await backend.as_user("ada").channel(C).presence.enter()
        assert refused.value.channel == C


async def test_detaching_is_leaving_until_it_is_attached_again(stage: Stage) -> None:
    """Nothing is known of a channel that is not received; the wish stays."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await entered(ada, bob)
        await ada.channel(C).detach()
        await asyncio.sleep(1)
        assert shown(bob)["ada"][0] == "offline"
        assert (shown(ada), ada.channel(C).presence.synced) == ({}, False)
        await ada.channel(C).attach(timeout=10)
        await asyncio.sleep(5)
        assert shown(bob)["ada"][0] == shown(ada)["ada"][0] == "online"


async def test_waiting_ends_with_what_it_waits_for(clock: VirtualClock) -> None:
    """A client that is closed, a connection or channel that failed, or the time."""
    stage = Stage(clock)
    ada = await stage.chat("ada")
    stage.cut("ada")
    presence = ada.channel(C).presence
    views = presence.watch()
    with pytest.raises(chatkit.WaitTimeout):
        await presence.wait_synced(timeout=1)
    waiting = asyncio.ensure_future(presence.wait_synced())
    await settle()
    await ada.aclose()
    with pytest.raises(chatkit.StateError):
        await waiting
    assert [view.synced async for view in views] == [False]
    stage.heal("ada")
    async with stage.chat("ada") as ada:
        stage.hub.network.refuse("ada", chatkit.NotAllowed("no"), calls=["attach"])
        with pytest.raises(chatkit.NotAllowed):
            await ada.channel(C).presence.wait_synced(timeout=10)


async def test_facts_are_as_their_reader_sees_them(clock: VirtualClock) -> None:
    """`own` is about who listens; handlers and the whole client's readers are told, too."""
    stage = Stage(clock)
    told: list[tuple[str, bool]] = []
    async with stage.chat("backend", config={"trusted": True}) as backend:
        bob = backend.as_user("bob")
        events = bob.events(chatkit.PresenceChanged)

        @backend.channel(C).on(chatkit.PresenceChanged)
        async def note(event: chatkit.PresenceChanged) -> None:
            told.append((event.member.user, event.own))

        await bob.channel(C).presence.enter()
        await backend.channel(C).presence.enter()
        await asyncio.sleep(1)
        mine = [await events.next(timeout=1) for _ in range(2)]
        assert [(one.member.user, one.own) for one in mine] == [("bob", True), ("backend", False)]
        assert told == [("bob", False), ("backend", True)]
        with pytest.raises(chatkit.StateError):
            bob.channel(C, presence=False)
