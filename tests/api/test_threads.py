"""Threads: replies under a message, with a timeline, events, typing and receipts of their own (D24, D25)."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit.engine import catchup, thread_pages
from chatkit.engine import threads as engine_threads
from chatkit.model.order import Ident
from tests.engine.kit import C, Stage, counters, engine, odd_log, ready

if TYPE_CHECKING:
    from pathlib import Path

    from chatkit.adapters.memory import Like
    from chatkit.testing.clock import VirtualClock

LIKES: tuple[Like, ...] = ("memory", "supabase", "ably", "pusher")


@pytest.fixture
def plain(clock: VirtualClock) -> Stage:
    """A hub with all that a hub can do."""
    return Stage(clock)


@pytest.fixture(params=LIKES)
def stage(clock: VirtualClock, request: pytest.FixtureRequest) -> Stage:
    """A hub like each provider."""
    return Stage(clock, like=request.param)


def texts(place: chatkit.Channel | chatkit.Thread) -> list[str]:
    """Return what a timeline shows."""
    return [message.text for message in place.timeline.view.messages]


def shown(thread: chatkit.Thread) -> tuple[str, bool]:
    """Return the state of a thread's timeline, and whether there is more."""
    view = thread.timeline.view
    return view.state, view.has_older


async def say(place: chatkit.Channel | chatkit.Thread, text: str, **options: Any) -> chatkit.Message:
    """Send a message, and return it as sent."""
    return await (await place.send(text, **options)).wait(timeout=30)


async def test_a_reply_stands_in_its_thread(stage: Stage) -> None:
    """Not in the channel's timeline, but for what was sent there, too; its message counts it."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await ready(ada, bob)
        root = await say(ada.channel(C), "question")
        thread = bob.channel(C).thread(root)
        views = thread.timeline.watch()
        assert (await views.next(timeout=1)).messages == ()

        await say(thread, "answer")
        await say(thread, "for all", also_in_channel=True)
        mine = await say(ada.channel(C).thread(root), "thanks")
        await asyncio.sleep(1)

        assert mine.thread == root.message_id
        assert thread.root == root.message_id
        for chat in (ada, bob):
            assert texts(chat.channel(C).thread(root)) == ["answer", "for all", "thanks"]
            assert texts(chat.channel(C)) == ["question", "for all"]
            assert chat.channel(C).timeline.view.messages[0].replies == 3
        assert [message.text for message in (await views.next(timeout=1)).messages][-1] == "thanks"


async def test_a_thread_tells_of_itself(stage: Stage) -> None:
    """Replies, who takes part, the one who wrote last first, and the last that is not deleted."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await ready(ada, bob)
        root = await say(ada.channel(C), "question")
        thread = ada.channel(C).thread(root)
        empty = await thread.info()
        assert (empty.root.text, empty.replies, empty.participants, empty.last) == ("question", 0, (), None)

        await say(bob.channel(C).thread(root), "one")
        await say(thread, "two")
        gone = await say(bob.channel(C).thread(root), "three")
        await (await bob.channel(C).delete(gone)).wait(timeout=5)
        await asyncio.sleep(1)

        info = await thread.info()
        assert (info.replies, info.participants) == (3, ("bob", "ada"))
        assert info.last is not None
        assert info.last.text == "two"

        stage.cut("ada")
        await asyncio.sleep(1)
        await thread.send("four")
        offline = await thread.info()
        assert (offline.replies, offline.participants) == (4, ("ada", "bob"))
        assert offline.last is not None
        assert (offline.last.text, offline.last.status) == ("four", "queued")


async def test_a_reply_shows_at_once_and_reconciles(stage: Stage) -> None:
    """Offline too (I3, D23); what was said meanwhile comes first once it is accepted."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await ready(ada, bob)
        root = await say(ada.channel(C), "question")
        await asyncio.sleep(1)
        thread = bob.channel(C).thread(root)
        stage.cut("bob")
        await asyncio.sleep(1)
        delivery = await thread.send("offline")
        assert texts(thread) == ["offline"]
        assert thread.timeline.view.messages[0].status == "queued"
        assert delivery.message.thread == root.message_id
        if stage.like != "pusher":  # which keeps nothing of what bob missed
            await say(ada.channel(C).thread(root), "meanwhile")
        stage.heal("bob")
        await delivery.wait(timeout=60)
        await asyncio.sleep(5)
        expected = ["offline"] if stage.like == "pusher" else ["meanwhile", "offline"]
        assert texts(thread) == expected
        assert texts(ada.channel(C).thread(root)) == expected
        assert {message.status for message in thread.timeline.view.messages} == {"sent"}


async def test_whoever_opens_a_thread_later_reads_it(stage: Stage) -> None:
    """Its newest page, then older ones; history both ways; raw history is picked over for it."""
    async with stage.chat("ada") as ada:
        await ready(ada)
        root = await say(ada.channel(C), "question")
        for number in range(60):
            await say(ada.channel(C).thread(root), f"r{number}")
            await say(ada.channel(C), f"c{number}")
        async with stage.chat("cid") as cid:
            channel = cid.channel(C, keep=10)
            if stage.like == "pusher":
                await channel.attach(timeout=5)
                with pytest.raises(chatkit.MessageNotFound):
                    channel.thread(root.message_id)
                with pytest.raises(chatkit.CapabilityError):
                    await channel.thread(root).history()
                return
            thread = channel.thread(root)
            _ = thread.timeline.watch()
            await asyncio.sleep(5)
            assert texts(thread)[-50:] == [f"r{number}" for number in range(10, 60)]
            assert shown(thread) == ("live", True)
            assert await thread.timeline.load_older(20) == 10
            assert texts(thread) == [f"r{number}" for number in range(60)]
            assert shown(thread) == ("live", False)
            await thread.timeline.jump(thread.timeline.view.messages[30])
            assert "r30" in texts(thread)

            page = await thread.history(limit=20)
            assert [message.text for message in page.items] == [f"r{number}" for number in range(59, 39, -1)]
            assert page.next is not None
            page = await thread.history(before=page.next, limit=20)
            assert page.items[0].text == "r39"
            assert [m.text async for m in thread.scan()] == [f"r{number}" for number in range(60)]
            around = await thread.history(around=page.items[0], limit=10)
            assert "r39" in [message.text for message in around.items]


async def test_raw_history_is_searched_within_bounds(clock: VirtualClock, monkeypatch: Any) -> None:
    """A page reads at most so much of the channel, and says where to go on."""
    monkeypatch.setattr(thread_pages, "PAGE", 10)
    monkeypatch.setattr(thread_pages, "READS", 3)
    stage = Stage(clock, like="ably")
    async with stage.chat("ada") as ada:
        await ready(ada)
        root = await say(ada.channel(C), "question")
        await say(ada.channel(C).thread(root), "early")
        for number in range(50):
            await ada.channel(C).send(f"c{number}")
        await say(ada.channel(C).thread(root), "late")
        thread = ada.channel(C).thread(root)
        _ = thread.timeline.watch()
        await asyncio.sleep(3)
        assert texts(thread) == ["early", "late"]
        first = await thread.history()
        assert ([message.text for message in first.items], first.provisional) == (["late"], True)
        assert first.next is not None
        second = await thread.history(before=first.next)
        assert [message.text for message in second.items] == ["early"]
        forward = await thread.history(after=chatkit.START, limit=1)
        assert [message.text for message in forward.items] == ["early"]
        assert forward.next is not None
        assert [message.text async for message in thread.scan()] == ["early", "late"]


async def test_changes_of_replies_show(stage: Stage) -> None:
    """Edits, deletes and reactions, by whichever way they were made; events are those of the thread alone."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await ready(ada, bob)
        root = await say(ada.channel(C), "question")
        other = await say(ada.channel(C), "other")
        await asyncio.sleep(1)
        thread = bob.channel(C).thread(root)
        events = thread.events(
            chatkit.MessageEvent, chatkit.ReactionChanged, chatkit.DeliveryChanged, buffer=100
        )
        reply = await say(ada.channel(C).thread(root), "anser")
        await say(ada.channel(C).thread(other), "elsewhere")
        await say(ada.channel(C), "in the channel")
        await (await ada.channel(C).thread(root).edit(reply, "answer")).wait(timeout=5)
        await (await bob.channel(C).react(other, "👍")).wait(timeout=5)
        await (await thread.react(reply.message_id, "👍")).wait(timeout=5)
        await asyncio.sleep(1)
        edited = thread.timeline.view.messages[0]
        assert (edited.text, edited.edited) == ("answer", True)
        assert dict(edited.reactions) == {"👍": frozenset({"bob"})}
        assert (await thread.get(reply.message_id)).text == "answer"
        assert (await thread.get(root)).text == "question"
        await (await ada.channel(C).delete(reply)).wait(timeout=5)
        await asyncio.sleep(1)
        assert thread.timeline.view.messages[0].deleted
        kinds = [type(await events.next(timeout=1)).__name__ for _ in range(6)]
        assert sorted(kinds) == [
            "DeliveryChanged",
            "DeliveryChanged",
            "MessageCreated",
            "MessageDeleted",
            "MessageUpdated",
            "ReactionChanged",
        ]
        with pytest.raises(chatkit.WaitTimeout):
            await events.next(timeout=1)


async def test_a_thread_grows_by_a_stream_and_a_forward(plain: Stage) -> None:
    """Whatever sends in a channel sends in a thread."""
    async with plain.chat("ada") as ada:
        await ready(ada)
        root = await say(ada.channel(C), "question")
        thread = ada.channel(C).thread(root)

        async def chunks() -> Any:
            for word in ("an ", "answer"):
                yield word

        await (await thread.send_stream(chunks())).wait(timeout=5)
        await (await thread.forward(root)).wait(timeout=5)
        assert texts(thread) == ["an answer", "question"]
        assert texts(ada.channel(C)) == ["question"]
        assert [m.text for m in (await thread.search("answer")).items] == ["an answer"]
        assert (await thread.search("nothing")).items == ()
        assert [m.text for m in (await thread.search("question")).items] == ["question"]


async def test_hits_are_picked_from_those_of_the_channel(plain: Stage) -> None:
    """A page that holds none of the thread's is passed over; after ten the reader decides whether to go on."""
    async with plain.chat("ada") as ada:
        await ready(ada)
        root = await say(ada.channel(C), "question")
        thread = ada.channel(C).thread(root)
        await say(thread, "word in the thread")
        for number in range(25):
            await ada.channel(C).send(f"word {number}")
        await ada.outbox.flush(timeout=5)
        page = await thread.search("word", limit=10)
        assert [message.text for message in page.items] == ["word in the thread"]
        page = await thread.search("word", limit=1)
        assert page.items == ()
        assert page.next is not None


async def test_events_from_a_place_are_those_of_the_thread(plain: Stage) -> None:
    """`events(since=)` reads the channel and gives what belongs to the thread, then live."""
    async with plain.chat("ada") as ada, plain.chat("bob") as bob:
        root = await say(ada.channel(C), "question")
        for number in range(3):
            await say(ada.channel(C).thread(root), f"r{number}")
            await say(ada.channel(C), f"c{number}")
        thread = bob.channel(C).thread(root)
        events = thread.events(chatkit.MessageCreated, since=chatkit.START)
        got = [(await events.next(timeout=5)).message.text for _ in range(3)]
        await say(ada.channel(C).thread(root), "live")
        assert [*got, (await events.next(timeout=5)).message.text] == ["r0", "r1", "r2", "live"]


async def test_who_types_in_a_thread_types_there_alone(stage: Stage) -> None:
    """So do events of the app's own; a reply clears the word."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await ready(ada, bob)
        root = await say(ada.channel(C), "question")
        await asyncio.sleep(1)
        mine, theirs = ada.channel(C).thread(root), bob.channel(C).thread(root)
        seen = theirs.typing.watch()
        custom = theirs.events(chatkit.CustomEvent)
        above = bob.channel(C).events(chatkit.TypingChanged, chatkit.CustomEvent)
        assert await seen.next(timeout=1) == frozenset()
        await mine.typing.keystroke()
        assert await seen.next(timeout=1) == {"ada"}
        assert await mine.emit("wave", {"to": "bob"})
        assert (await custom.next(timeout=1)).data == {"to": "bob"}
        await say(mine, "done")
        assert await seen.next(timeout=1) == frozenset()
        await mine.typing.keystroke()
        assert await seen.next(timeout=1) == {"ada"}
        assert await seen.next(timeout=30) == frozenset()
        with pytest.raises(chatkit.WaitTimeout):
            await above.next(timeout=1)
        await mine.typing.keystroke()
        await asyncio.sleep(1)
        assert theirs.typing.users == {"ada"}
        await bob.channel(C).detach()
        assert theirs.typing.users == frozenset()


async def test_a_thread_has_receipts_of_its_own(stage: Stage) -> None:
    """Unread, mentions, marks, the private one; the channel's counts and marks do not move (D25)."""
    exact = stage.like in {"memory", "supabase"}
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await ready(ada, bob)
        root = await say(ada.channel(C), "question")
        await asyncio.sleep(1)
        await bob.channel(C).receipts.mark_read()
        thread = bob.channel(C).thread(root)
        told = ada.channel(C).thread(root).events(chatkit.ReceiptAdvanced)
        above = ada.channel(C).events(chatkit.ReceiptAdvanced)
        counts = thread.receipts.watch()
        first = await say(ada.channel(C).thread(root), "one", mentions=["bob"])
        second = await say(ada.channel(C).thread(root), "two")
        await asyncio.sleep(5)
        assert (thread.receipts.unread.messages, thread.receipts.unread.mentions) == (2, 1)
        assert thread.receipts.unread.exact is exact
        assert bob.channel(C).receipts.unread.messages == 0
        assert (await above.next(timeout=5)).message_id == root.message_id

        await thread.receipts.mark_read(first)
        advanced = await told.next(timeout=5)
        assert (advanced.user, advanced.message_id) == ("bob", first.message_id)
        assert ada.channel(C).thread(root).receipts.read_by(first) == {"bob"}
        assert ada.channel(C).thread(root).receipts.read_by(second) == frozenset()
        assert ada.channel(C).receipts.read_by(root) == {"bob"}
        assert thread.receipts.unread.messages == 1
        await thread.receipts.mark_read()
        assert thread.receipts.unread.messages == 0
        await thread.receipts.mark_unread(second)
        assert thread.receipts.unread.messages == 1
        assert (await counts.next(timeout=1)).messages == 1
        with pytest.raises(chatkit.WaitTimeout):
            await above.next(timeout=1)


async def test_marks_of_a_thread_outlive_the_client(plain: Stage, tmp_path: Path) -> None:
    """In the store, and in the log for other devices; the oldest unread reply is where to go (D25)."""
    store = tmp_path / "bob.db"
    async with plain.chat("ada") as ada:
        root = await say(ada.channel(C), "question")
        replies = [await say(ada.channel(C).thread(root), f"r{number}") for number in range(5)]
        async with plain.chat("bob", store=store) as bob:
            await ready(bob)
            thread = bob.channel(C).thread(root)
            _ = thread.timeline.watch()
            await asyncio.sleep(2)
            await thread.receipts.mark_read(replies[1])
        async with plain.chat("bob", store=store) as bob, plain.chat("bob") as phone:
            plain.cut("bob")
            await asyncio.sleep(1)
            root_again = await bob.channel(C).get(root.message_id)
            thread = bob.channel(C).thread(root_again)
            _ = thread.receipts.unread
            await asyncio.sleep(1)
            assert texts(thread) == [f"r{number}" for number in range(5)]
            assert thread.receipts.unread.messages == 3
            plain.heal("bob")
            await ready(phone)
            there = phone.channel(C).thread(root)
            _ = there.receipts.watch()
            await asyncio.sleep(5)
            assert (there.receipts.unread.messages, there.receipts.unread.exact) == (3, True)
            await there.timeline.jump("first_unread")
            assert there.receipts.unread.first == replies[2].message_id


async def test_what_is_not_loaded_is_counted_at_least(plain: Stage) -> None:
    """More than the page that a thread opens with: `exact=False` until what is unread is loaded."""
    async with plain.chat("ada") as ada:
        root = await say(ada.channel(C), "question")
        for number in range(60):
            await ada.channel(C).thread(root).send(f"r{number}")
        for number in range(60):
            await ada.channel(C).send(f"c{number}")
        await ada.outbox.flush(timeout=30)
        async with plain.chat("bob") as bob:
            thread = bob.channel(C).thread(root)
            _ = thread.receipts.watch()
            await asyncio.sleep(5)
            assert (thread.receipts.unread.messages, thread.receipts.unread.exact) == (50, False)
            await thread.timeline.jump("first_unread")  # the oldest of which it is known
            assert texts(thread)[0] == "r10"
            await thread.timeline.load_older()
            assert (thread.receipts.unread.messages, thread.receipts.unread.exact) == (60, True)


async def test_a_skipped_range_is_read_anew(plain: Stage, monkeypatch: Any) -> None:
    """Where the channel records a hole, its threads are read from the log: nothing is missing in them."""
    monkeypatch.setattr(catchup, "CAP", 20)
    monkeypatch.setattr(catchup, "PAGE", 10)
    async with plain.chat("ada") as ada, plain.chat("bob") as bob:
        await ready(ada, bob)
        root = await say(ada.channel(C), "question")
        reply = await say(ada.channel(C).thread(root), "before")
        thread = bob.channel(C).thread(root)
        _ = thread.timeline.watch()
        await asyncio.sleep(2)
        plain.cut("bob")
        await asyncio.sleep(1)
        for number in range(30):  # more than is read one by one
            await ada.channel(C).send(f"a{number}")
        await ada.outbox.flush(timeout=30)
        await say(ada.channel(C).thread(root), "early")
        await (await ada.channel(C).edit(reply, "edited")).wait(timeout=5)
        for number in range(60):
            await ada.channel(C).send(f"c{number}")
        await ada.outbox.flush(timeout=30)
        plain.heal("bob")
        await asyncio.sleep(60)
        assert bob.channel(C).timeline.view.gaps
        assert texts(thread) == ["edited", "early"]
        assert thread.timeline.view.gaps == ()


async def test_somebody_who_reads_further_up_stays_there(plain: Stage, monkeypatch: Any) -> None:
    """A thread read anew shows the stretch that it showed."""
    monkeypatch.setattr(catchup, "CAP", 20)
    monkeypatch.setattr(catchup, "PAGE", 10)
    async with plain.chat("ada") as ada, plain.chat("bob") as bob:
        await ready(ada, bob)
        root = await say(ada.channel(C), "question")
        for number in range(200):
            await ada.channel(C).thread(root).send(f"r{number}")
        await ada.outbox.flush(timeout=30)
        thread = bob.channel(C).thread(root)
        _ = thread.timeline.watch()
        await asyncio.sleep(2)
        middle = (await thread.history(after=chatkit.START, limit=50)).items[-1]
        await thread.timeline.jump(middle)
        before = texts(thread)
        assert thread.timeline.view.has_newer
        plain.cut("bob")
        await asyncio.sleep(1)
        for number in range(60):
            await ada.channel(C).send(f"c{number}")
        await ada.outbox.flush(timeout=30)
        plain.heal("bob")
        await asyncio.sleep(60)
        assert middle.text in texts(thread)
        assert set(before) <= set(texts(thread)) | {before[0], before[-1]}
        await thread.timeline.jump("newest")
        assert texts(thread)[-1] == "r199"
        assert not thread.timeline.view.has_newer


class Shout:
    """Middleware that hides what is secret and raises its voice."""

    async def outgoing(self, draft: chatkit.Draft) -> chatkit.Draft:
        """Let it pass."""
        return draft

    async def incoming(self, event: chatkit.Event) -> chatkit.Event | None:
        """Change the text, or hide it."""
        await asyncio.sleep(0.1)
        if not isinstance(event, chatkit.MessageEvent) or event.message.deleted:
            return event
        if "secret" in event.message.text:
            return None
        from dataclasses import replace

        body = chatkit.Text(text=event.message.text.upper())
        return replace(event, message=replace(event.message, body=body))


async def test_middleware_sees_what_a_thread_shows(plain: Stage) -> None:
    """Live replies, pages, and changes of replies that only the thread has loaded."""
    async with plain.chat("ada") as ada:
        root = await say(ada.channel(C), "question")
        old = await say(ada.channel(C).thread(root), "old")
        await say(ada.channel(C).thread(root), "old secret")
        for number in range(30):
            await ada.channel(C).send(f"c{number}")
        await ada.outbox.flush(timeout=30)
        async with plain.chat("bob") as bob:
            bob.use(Shout())
            await bob.channel(C, keep=5).attach(timeout=5)
            thread = bob.channel(C, keep=5).thread(root)
            views = thread.timeline.watch()
            await asyncio.sleep(10)
            assert texts(thread) == ["OLD"]
            await say(ada.channel(C).thread(root), "secret")
            await say(ada.channel(C).thread(root), "new")
            await asyncio.sleep(2)
            assert texts(thread) == ["OLD", "NEW"]
            await (await ada.channel(C).edit(old, "older")).wait(timeout=5)
            await asyncio.sleep(2)
            assert texts(thread) == ["OLDER", "NEW"]
            assert (await thread.info()).participants == ("ada",)
        seen = {message.text async for view in views for message in view.messages}
        assert seen <= {"OLD", "NEW", "OLDER"}


async def test_what_a_thread_is_named_by(plain: Stage) -> None:
    """The message, its delivery, its id where it is loaded; a reply stands for the thread that it is in."""
    async with plain.chat("ada") as ada:
        channel = ada.channel(C)
        plain.cut("ada")
        queued = await channel.send("queued")
        assert channel.thread(queued) is channel.thread(queued.message_id)
        reply = await channel.thread(queued).send("reply")
        assert texts(channel.thread(queued)) == ["reply"]
        plain.heal("ada")
        await reply.wait(timeout=60)
        thread = channel.thread(queued)
        assert channel.thread(reply) is thread
        assert channel.thread(reply.message_id) is thread
        edit = await channel.edit(queued, "edited")
        assert channel.thread(edit) is thread
        assert repr(thread) == f"Thread('room', '{thread.root}')"
        with pytest.raises(chatkit.MessageNotFound, match="not loaded"):
            channel.thread("018f6c1e-0000-7000-8000-000000000000")
        with pytest.raises(chatkit.MessageNotFound, match="not loaded"):
            channel.thread(7)  # type: ignore[arg-type]
        with pytest.raises(chatkit.MessageNotFound, match="another channel"):
            ada.channel("elsewhere").thread(queued.message)
        with pytest.raises(chatkit.MessageNotFound):
            ada.channel("elsewhere").thread(queued)
        with pytest.raises(chatkit.MessageNotFound):
            ada.channel("elsewhere").thread(reply.message_id)
        with pytest.raises(chatkit.ConfigError, match="also_in_channel"):
            await channel.send("x", also_in_channel=True)


async def test_the_id_of_a_root_used_by_another_is_another_thread(plain: Stage) -> None:
    """D1: whoever repeats somebody's id has a thread of their own, with marks of its own."""
    async with plain.chat("ada") as ada:
        await ready(ada)
        root = await say(ada.channel(C), "question")
        await say(ada.channel(C).thread(root), "answer")
        eve = plain.peer("eve")
        eve.publish(eve.envelope(text="trap", id=root.message_id))
        eve.say("trapped", thread={"id": root.message_id, "user": "eve"})
        await asyncio.sleep(2)
        trap = next(m for m in ada.channel(C).timeline.view.messages if m.text == "trap")
        assert texts(ada.channel(C).thread(root)) == ["answer"]
        assert texts(ada.channel(C).thread(trap)) == ["trapped"]
        mine, theirs = ada.channel(C).thread(root), ada.channel(C).thread(trap)
        _ = mine.receipts.watch(), theirs.receipts.watch()
        await asyncio.sleep(3)
        await mine.receipts.mark_read()
        assert theirs.receipts.unread.messages == 1


async def test_a_reply_fails_with_the_message_it_is_under(plain: Stage) -> None:
    """D7: a dependant ends with what it depends on, and the error says so."""
    async with plain.chat("ada") as ada:
        plain.cut("ada")
        root = await ada.channel(C).send("short", expires_in=5)
        reply = await ada.channel(C).thread(root).send("reply")
        await asyncio.sleep(10)
        plain.heal("ada")
        with pytest.raises(chatkit.DeliveryFailed) as failed:
            await reply.wait(timeout=60)
        assert isinstance(failed.value.__cause__, chatkit.DependencyFailed)


async def test_another_user_of_the_client_has_receipts_and_typing_of_their_own(plain: Stage) -> None:
    """`as_user`: the timeline is shared, what one has read is not."""
    async with plain.chat("backend") as chat:
        await ready(chat)
        root = await say(chat.channel(C), "question")
        other = chat.as_user("bob")
        thread = other.channel(C).thread(root)
        await say(thread, "from bob")
        assert (await thread.info()).participants == ("bob",)
        assert texts(chat.channel(C).thread(root)) == ["from bob"]
        assert chat.channel(C).thread(root).receipts.unread.messages == 1
        assert thread.receipts.unread.messages == 0
        assert (await thread.history()).items[0].own
        with pytest.raises(chatkit.StateError, match="other options"):
            other.as_user("backend").channel(C, receipts="off")


async def test_threads_that_nobody_holds_go(plain: Stage, monkeypatch: Any) -> None:
    """I10: however many are opened; one that has something to say first stays until it is said."""
    monkeypatch.setattr(engine_threads, "IDLE", 3)
    async with plain.chat("ada") as ada, plain.chat("bob") as bob:
        await ready(ada, bob)
        roots = [await say(ada.channel(C), f"q{number}") for number in range(10)]
        held = bob.channel(C).thread(roots[0])
        for root in roots:
            await say(ada.channel(C).thread(root), "answer")
        await asyncio.sleep(1)
        for root in roots[1:]:
            await bob.channel(C).thread(root).receipts.mark_read()
            await asyncio.sleep(5)
            gc.collect()
        feeds = {feed.thread.id for feed in engine(bob).threads.all()}
        assert len(feeds) == 4
        assert held.root in feeds
        open_threads = len(engine(ada).threads.all()) + len(feeds)
        running = sum(task.get_name() == f"chatkit:receipts:{C}" for task in asyncio.all_tasks())
        assert running <= 2 + open_threads < 20
        again = bob.channel(C).thread(roots[1])
        _ = again.receipts.watch()
        await asyncio.sleep(5)
        assert again.receipts.unread.messages == 0


async def test_a_log_that_does_not_answer_is_asked_again(plain: Stage) -> None:
    """A thread shows what is loaded meanwhile; a refusal is told by its view."""
    async with plain.chat("ada") as ada:
        root = await say(ada.channel(C), "question")
        await say(ada.channel(C).thread(root), "answer")
        bob = plain.chat("bob")
        log = odd_log(bob)
        async with bob:
            await ready(bob)
            log.error = chatkit.TransportError("no answer")
            thread = bob.channel(C).thread(root)
            _ = thread.timeline.watch()
            await asyncio.sleep(60)
            assert texts(thread) == ["answer"]
            assert shown(thread) == ("loading", False)
            log.error = None
            await asyncio.sleep(60)
            assert shown(thread) == ("live", False)
            engine(bob).threads.skipped()
            log.error = chatkit.NotAllowed("no such right")
            engine(bob).threads.look()
            await asyncio.sleep(5)
            assert isinstance(thread.timeline.view.error, chatkit.NotAllowed)
            log.error = None


async def test_what_passes_by_in_a_thread_that_nobody_looks_at_is_nothing(plain: Stage) -> None:
    """Nor does a register of another kind there raise; a thread that came and went leaves no trace."""
    async with plain.chat("ada") as ada, plain.chat("bob") as bob:
        await ready(ada, bob)
        root = await say(ada.channel(C), "question")
        await ada.channel(C).thread(root).typing.keystroke()
        await asyncio.sleep(1)
        assert engine(bob).threads.all() == ()
        feed = bob.channel(C).thread(root)._thread
        assert feed is not None
        assert feed.thread == Ident("ada", root.message_id)
        assert counters(bob)["unread_kind"] == 0


async def test_a_change_of_what_the_thread_alone_has_loaded_shows(plain: Stage) -> None:
    """An old reply is edited that fell out of the channel's window long ago; a watcher gets the new view."""
    async with plain.chat("ada") as ada, plain.chat("bob") as bob:
        await ready(ada)
        root = await say(ada.channel(C), "question")
        reply = await say(ada.channel(C).thread(root), "answer")
        for number in range(10):
            await say(ada.channel(C), f"c{number}")
        channel = bob.channel(C, keep=5)
        await channel.attach(timeout=5)
        thread = channel.thread(root)
        views = thread.timeline.watch()
        await asyncio.sleep(3)
        assert reply.message_id not in {message.message_id for message in channel.timeline.view.messages}
        assert [m.text for m in (await views.next(timeout=1)).messages] == ["answer"]
        await (await ada.channel(C).edit(reply, "better")).wait(timeout=5)
        assert [m.text for m in (await views.next(timeout=1)).messages] == ["better"]


async def test_a_thread_opened_beside_another_stretch_begins_empty(plain: Stage) -> None:
    """What the channel shows then is not its newest replies; the log has those."""
    async with plain.chat("ada") as ada, plain.chat("bob") as bob:
        await ready(ada, bob)
        root = await say(ada.channel(C), "question")
        await say(ada.channel(C).thread(root), "early")
        for number in range(100):
            await ada.channel(C).send(f"c{number}")
        await ada.outbox.flush(timeout=30)
        await say(ada.channel(C).thread(root), "late")
        await asyncio.sleep(1)
        await bob.channel(C).timeline.jump(root)
        thread = bob.channel(C).thread(root)
        assert texts(thread) == []
        _ = thread.timeline.watch()
        await asyncio.sleep(3)
        assert texts(thread) == ["early", "late"]


async def test_an_older_page_that_comes_too_late_is_dropped(plain: Stage) -> None:
    """Another stretch shows by then."""
    async with plain.chat("ada") as ada:
        root = await say(ada.channel(C), "question")
        for number in range(120):
            await ada.channel(C).thread(root).send(f"r{number}")
        await ada.outbox.flush(timeout=30)
        bob = plain.chat("bob")
        log = odd_log(bob)
        async with bob:
            await ready(bob)
            thread = bob.channel(C, keep=1000).thread(root)
            _ = thread.timeline.watch()
            await asyncio.sleep(3)
            first = (await thread.history(after=chatkit.START, limit=1)).items[0]
            log.gate = asyncio.Event()
            older = asyncio.ensure_future(thread.timeline.load_older(5))
            await asyncio.sleep(0.1)
            gate, log.gate = log.gate, None
            await thread.timeline.jump(first)
            before = texts(thread)
            gate.set()
            assert await older == 0
            assert texts(thread) == before


async def test_a_thread_with_something_to_say_stays_until_it_is_said(plain: Stage, monkeypatch: Any) -> None:
    """What was marked read while offline reaches the log, although nobody holds the thread any more."""
    monkeypatch.setattr(engine_threads, "IDLE", 1)
    async with plain.chat("ada") as ada, plain.chat("bob") as bob:
        await ready(ada, bob)
        *roots, last = [await say(ada.channel(C), f"q{number}") for number in range(5)]
        for root in roots:
            await say(ada.channel(C).thread(root), "answer")
        await asyncio.sleep(1)
        plain.cut("bob")
        await asyncio.sleep(1)
        for root in roots:
            await bob.channel(C).thread(root).receipts.mark_read()
        gc.collect()
        _ = bob.channel(C).thread(last)
        assert len(engine(bob).threads.all()) == 5
        plain.heal("bob")
        await asyncio.sleep(60)
        gc.collect()
        for root in roots:
            assert "bob" in await read_by(ada, root)


async def read_by(chat: chatkit.Chat, root: chatkit.Message) -> frozenset[str]:
    """Return who has read the last reply of a thread, as the log says by now."""
    thread = chat.channel(C).thread(root)
    last = thread.timeline.view.messages[-1]
    _ = thread.receipts.read_by(last)
    await asyncio.sleep(5)
    return thread.receipts.read_by(last)
