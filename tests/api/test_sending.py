"""Sending: what is wrong is refused before anything is queued; what is accepted has a fate."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

import chatkit
from chatkit.testing.clock import settle

if TYPE_CHECKING:
    from pathlib import Path

    from tests.api.kit import Stage


class Stranger(BaseModel):
    """A model nobody registered."""

    x: int = 1


@pytest.mark.parametrize(
    ("content", "options", "error", "words"),
    [
        ("", {}, chatkit.InvalidMessage, "body.text"),
        ("  \n", {}, chatkit.InvalidMessage, "body.text"),
        ("x" * 1_100_000, {}, chatkit.MessageTooLarge, "frame"),
        ("a\x00b", {}, chatkit.InvalidMessage, "body.text"),
        ("\ud800", {}, chatkit.InvalidMessage, "body.text"),
        (Stranger(), {}, chatkit.InvalidMessage, "Stranger"),
        (object(), {}, chatkit.InvalidMessage, "object"),
        (chatkit.Image(source="x", caption="\ud800"), {}, chatkit.InvalidMessage, "body.caption"),
        ("hi", {"meta": {"n": 1}}, chatkit.InvalidMessage, "meta.n"),
        ("hi", {"meta": {"n": "x" * 2_000}}, chatkit.InvalidMessage, "meta"),
        ("hi", {"topic": "t" * 65}, chatkit.InvalidMessage, "topic"),
        ("hi", {"mentions": ["u"] * 51}, chatkit.InvalidMessage, "mentions"),
        ("hi", {"mentions": [""]}, chatkit.InvalidMessage, "mentions"),
        ("hi", {"mentions": "bob"}, chatkit.InvalidMessage, "mentions"),
        ("hi", {"mentions": 5}, chatkit.InvalidMessage, "mentions"),
        ("hi", {"meta": "text"}, chatkit.InvalidMessage, "meta"),
        ("hi", {"key": ""}, chatkit.InvalidMessage, "key"),
        ("hi", {"key": "k" * 513}, chatkit.InvalidMessage, "key"),
        ("hi", {"key": 5}, chatkit.InvalidMessage, "key"),
        ("hi", {"meta": {"n": "\x00"}}, chatkit.InvalidMessage, "meta.n"),
        ("hi", {"meta": {1: "n"}}, chatkit.InvalidMessage, "meta"),
        (chatkit.Image(source="x", width=2**53), {}, chatkit.InvalidMessage, "body.width"),
        (chatkit.Audio(source="x", duration=math.nan), {}, chatkit.InvalidMessage, "body.duration"),
        (None, {}, chatkit.InvalidMessage, "NoneType"),
        ("hi", {"expires_in": 0}, chatkit.ConfigError, "expires_in"),
        ("hi", {"expires_in": 10**9}, chatkit.ConfigError, "expires_in"),
        ("hi", {"expires_in": math.nan}, chatkit.ConfigError, "expires_in"),
        ("hi", {"expires_in": "5"}, chatkit.ConfigError, "expires_in"),
        ("hi", {"send_at": "tomorrow"}, chatkit.ConfigError, "send_at"),
        ("hi", {"send_at": datetime.max.replace(tzinfo=UTC)}, chatkit.ConfigError, "send_at"),
        ("hi", {"reply_to": 5}, chatkit.ConfigError, "int"),
        ("hi", {"send_at": datetime(2026, 1, 1)}, chatkit.ConfigError, "send_at"),  # noqa: DTZ001  # that is the point
        ("hi", {"reply_to": "no-such-message"}, chatkit.MessageNotFound, "no such message"),
    ],
)
async def test_a_message_that_cannot_be_sent_is_refused_and_nothing_is_queued(
    stage: Stage, content: Any, options: dict[str, Any], error: type[chatkit.ChatkitError], words: str
) -> None:
    """Each bad input has its own error, which names the field and the channel and never the body."""
    async with stage.chat("ada") as ada:
        with pytest.raises(error, match=words) as caught:
            await ada.channel("support").send(content, **options)
        assert ada.outbox.depth == 0
        assert caught.value.hint
        assert caught.value.channel == "support"
        assert "\x00" not in str(caught.value)
    assert stage.texts("support") == []


@pytest.mark.parametrize("name", ["", "x" * 65, "dm.ada", "u.ada", "a\nb", "\ud800"])
async def test_a_bad_channel_name_is_refused(stage: Stage, name: str) -> None:
    """D31: 1 to 64 characters that do not start as a derived name does."""
    async with stage.chat("ada") as ada:
        with pytest.raises(chatkit.InvalidMessage):
            ada.channel(name)


async def test_a_channel_keeps_its_options(stage: Stage) -> None:
    """The same object for the same name; other options are a misuse."""
    async with stage.chat("ada") as ada:
        assert ada.channel("support") is ada.channel("support")
        assert dict(ada.channels) == {"support": ada.channel("support")}
        with pytest.raises(chatkit.StateError):
            ada.channel("support", keep=5)
        with pytest.raises(chatkit.ConfigError):
            ada.channel("other", keep=0)


async def test_a_sent_message_has_its_serial_and_server_time(stage: Stage) -> None:
    """D11: `sent` means what the capability says, and tells place and time."""
    async with stage.chat("ada") as ada:
        delivery = await ada.channel("support").send("Hello")
        message = await delivery.wait(timeout=10)

        assert (message.text, message.own, message.status) == ("Hello", True, "sent")
        assert message.serial == "00000000000000000001"
        assert message.sent_at is not None
        assert delivery.done
        assert delivery.certain
        assert delivery.attempts == 1
        assert (delivery.kind, delivery.channel) == ("create", "support")
        assert delivery.to_dict()["status"] == "sent"
        assert "Hello" not in repr(delivery)
    assert stage.texts("support") == ["Hello"]


async def test_the_same_key_is_the_same_message(stage: Stage) -> None:
    """D14: a second send with one key returns the first delivery, queued or sent."""
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        first = await support.send("Hello", key="greeting")
        second = await support.send("Hello", key="greeting")
        await first.wait(timeout=10)
        third = await support.send("Hello again", key="greeting")

        assert first.message_id == second.message_id == third.message_id
        assert third.status == "sent"
    assert stage.texts("support") == ["Hello"]


async def test_a_queued_message_can_be_withdrawn_and_a_sent_one_not(stage: Stage) -> None:
    """D7: `discard` is for what was never attempted."""
    async with stage.chat("ada") as ada:
        stage.hub.network.cut("ada")
        support = ada.channel("support")
        delivery = await support.send("Never mind")
        statuses = delivery.watch()
        assert await statuses.next(timeout=1) == "queued"

        assert await delivery.discard()
        assert await statuses.next(timeout=1) == "discarded"
        with pytest.raises(chatkit.DeliveryFailed) as caught:
            await delivery.wait(timeout=1)
        assert caught.value.delivery is delivery
        assert not await delivery.discard()

        stage.hub.network.heal("ada")
        sent = await support.send("But this")
        await sent.wait(timeout=60)
        assert not await sent.discard()
        assert [status async for status in sent.watch()] == ["sent"] or sent.done
    assert stage.texts("support") == ["But this"]


async def test_cancelling_a_send_withdraws_it(stage: Stage) -> None:
    """D14: a cancelled `send()` leaves no message that was never attempted."""
    async with stage.chat("ada") as ada:
        stage.hub.network.cut("ada")
        sending = asyncio.ensure_future(ada.channel("support").send("Never mind"))
        await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        stage.hub.network.heal("ada")
        await ada.outbox.flush(timeout=60)
    assert stage.texts("support") == []


async def test_a_delivery_can_be_followed_to_its_end(stage: Stage) -> None:
    """The present status first, then the newest; the stream ends after a final one, which it always gives."""
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        stage.hub.network.cut("ada")
        delivery = await support.send("hello")
        statuses, slow = delivery.watch(), delivery.watch()
        assert await statuses.next(timeout=5) in ("queued", "sending")
        stage.hub.network.heal("ada")
        ada.connection.retry_now()
        await delivery.wait(timeout=60)

        assert [status async for status in statuses][-1:] == ["sent"]
        assert [status async for status in slow] == ["sent"]
        assert [status async for status in delivery.watch()] == ["sent"]


async def test_a_delivery_that_is_retried_can_be_followed_again(stage: Stage) -> None:
    """D7: `retry` makes a final status open again."""
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        stage.hub.network.refuse("ada", chatkit.Rejected("no"), calls={"publish"})
        delivery = await support.send("hello")
        assert [status async for status in delivery.watch()][-1:] == ["failed"]
        stage.hub.network.refuse("ada", None, calls={"publish"})
        await delivery.retry()
        assert [status async for status in delivery.watch()][-1:] == ["sent"]


async def test_a_status_is_watched_by_one_reader_a_stream(stage: Stage) -> None:
    """A second reader of one stream is a misuse; a second stream is not."""
    async with stage.chat("ada") as ada:
        views = ada.outbox.watch()
        assert (await views.next()).depth == 0
        reading = asyncio.create_task(views.next())
        await asyncio.sleep(0)
        with pytest.raises(chatkit.StateError, match="reader already"):
            await views.next()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        with pytest.raises(chatkit.WaitTimeout):
            await views.next(timeout=1)


async def test_cancelling_a_repeated_send_leaves_the_first_one(stage: Stage) -> None:
    """D14: what another call was promised under the same key is not this one's to withdraw."""
    async with stage.chat("ada") as ada:
        stage.hub.network.cut("ada")
        support = ada.channel("support")
        first = await support.send("Hello", key="greeting")
        again = asyncio.ensure_future(support.send("Hello", key="greeting"))
        await asyncio.sleep(0)
        again.cancel()
        await asyncio.wait({again})
        await settle()
        assert first.status == "queued"
        stage.hub.network.heal("ada")
        await first.wait(timeout=60)
    assert stage.texts("support") == ["Hello"]


@pytest.mark.parametrize("cancelled", [0, 1])
async def test_of_two_sends_with_one_key_one_may_be_cancelled(stage: Stage, cancelled: int) -> None:
    """D14: the message is kept for the other, whichever made it."""
    async with stage.chat("ada") as ada:
        stage.hub.network.cut("ada")
        sends = [asyncio.ensure_future(ada.channel("support").send("Hello", key="k")) for _ in range(2)]
        await asyncio.sleep(0)
        sends[cancelled].cancel()
        delivery = await sends[1 - cancelled]
        await settle()
        stage.hub.network.heal("ada")
        await delivery.wait(timeout=60)
    assert stage.texts("support") == ["Hello"]


async def test_a_cancelled_send_may_be_made_again_under_its_key(stage: Stage, tmp_path: Path) -> None:
    """D14: a key is for an app's own retries; in a later life too, with what it says then."""
    config, path = {"offline": True}, tmp_path / "ada.db"
    async with stage.chat("ada", config=config, store=path, drain=0) as ada:
        support = ada.channel("support")
        for _ in range(2):
            sending = asyncio.ensure_future(support.send("Hello", key="greeting"))
            await asyncio.sleep(0)
            sending.cancel()
            await asyncio.wait({sending})
            await settle()
        assert [d.status for d in await ada.outbox.entries()] == ["discarded"]
    async with stage.chat("ada", store=path) as ada:
        support = ada.channel("support")
        delivery = await support.send("Hello again", key="greeting")
        assert [m.text for m in support.timeline.view.messages] == ["Hello again"]
        assert (await delivery.wait(timeout=60)).text == "Hello again"
    assert stage.texts("support") == ["Hello again"]


async def test_a_message_withdrawn_by_hand_stays_withdrawn(stage: Stage) -> None:
    """D14: its key gives its delivery."""
    async with stage.chat("ada", config={"offline": True}, drain=0) as ada:
        first = await ada.channel("support").send("Hello", key="greeting")
        assert await first.discard()
        again = await ada.channel("support").send("Hello", key="greeting")
        assert again is first
        assert again.status == "discarded"


async def test_delivered_needs_receipts(stage: Stage) -> None:
    """What nobody can tell is an error, not a quiet wait."""
    async with stage.chat("ada") as ada:
        delivery = await ada.channel("support", receipts="off").send("Hello")
        with pytest.raises(chatkit.StateError, match="receipts are off"):
            await delivery.wait("delivered", timeout=1)
        edit = await ada.channel("support", receipts="off").edit(delivery, "Hi")
        with pytest.raises(chatkit.ConfigError, match="for messages"):
            await edit.wait("delivered", timeout=1)
        assert delivery.progress is None


async def test_changes_of_a_message_are_wishes_too(stage: Stage) -> None:
    """Edit, delete, react and unreact are queued like a send and fold where all see them."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        support, theirs = ada.channel("support"), bob.channel("support")
        await theirs.attach(timeout=5)
        hello = await (await support.send("Helo")).wait(timeout=5)

        await (await support.edit(hello, "Hello")).wait(timeout=5)
        await (await support.react(hello.message_id, "👍️")).wait(timeout=5)
        await (await support.unreact(hello, "👍")).wait(timeout=5)
        await (await support.react(hello, "🎉")).wait(timeout=5)
        await asyncio.sleep(1)
        shown = await theirs.get(hello.message_id)
        assert (shown.text, shown.edited, shown.version) == ("Hello", True, 2)
        assert shown.reactions == {"🎉": frozenset({"ada"})}

        with pytest.raises(chatkit.NotAllowed):
            await theirs.edit(shown, "Mine now")
        await (await support.delete(hello)).wait(timeout=5)
        await asyncio.sleep(1)
        gone = await theirs.get(hello.message_id)
        assert (gone.deleted, gone.text) == (True, "")


async def test_a_stale_edit_is_refused_where_a_log_can_tell(stage: Stage) -> None:
    """`expected_version` is checked in the log's append (D9); elsewhere it is a `CapabilityError`."""
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        hello = await (await support.send("Hello")).wait(timeout=5)
        await (await support.edit(hello, "Hello!", expected_version=1)).wait(timeout=5)
        late = await support.edit(hello, "Hello?", expected_version=1)
        with pytest.raises(chatkit.DeliveryFailed) as caught:
            await late.wait(timeout=5)
        assert isinstance(caught.value.__cause__, chatkit.VersionConflict)
        assert late.certain
        assert (await support.get(hello)).text == "Hello!"


async def test_without_a_log_nothing_can_check_a_version(stage: Stage) -> None:
    """No quiet nothing: `CapabilityError` before anything is queued."""
    async with stage.chat("ada", config={"like": "pusher"}) as ada:
        support = ada.channel("support")
        hello = await (await support.send("Hello")).wait(timeout=5)
        with pytest.raises(chatkit.CapabilityError):
            await support.edit(hello, "Hello!", expected_version=1)
        with pytest.raises(chatkit.CapabilityError):
            await support.history()
        with pytest.raises(chatkit.CapabilityError):
            support.events(since=chatkit.START)
        with pytest.raises(chatkit.NotAllowed):
            await ada.as_user("bob").channel("support").delete(hello)


async def test_a_change_of_a_message_that_is_not_loaded_is_waited_for_like_any_other(stage: Stage) -> None:
    """The message comes from the log; until then it is what was handed in, or `MessageNotFound`."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        hello = await (await ada.channel("support").send("Hello")).wait(timeout=5)
        support = bob.channel("support")  # detached

        by_id = await support.react(hello.message_id, "👋")
        by_message = await support.react(hello, "🎉")
        changed = await by_message.wait(timeout=5)

        assert (await by_id.wait(timeout=5)).text == "Hello"
        assert set(changed.reactions) == {"👋", "🎉"}
        assert (changed.own, by_message.message) == (False, hello)
        with pytest.raises(chatkit.MessageNotFound, match="not loaded") as caught:
            _ = by_id.message
        assert "channel.get" in caught.value.hint

        stage.hub.network.refuse("bob", chatkit.TransportError("no answer"), calls={"read"})
        assert await by_message.wait(timeout=60) == hello
        with pytest.raises(chatkit.MessageNotFound, match="not loaded"):
            await by_id.wait(timeout=60)


async def test_a_delivery_of_another_channel_names_no_message_here(stage: Stage) -> None:
    """Neither does what is no message at all; nothing is queued."""
    async with stage.chat("ada") as ada:
        delivery = await ada.channel("support").send("Hello")
        message = await delivery.wait(timeout=5)
        other = ada.channel("other")
        for ref in (delivery, message):
            with pytest.raises(chatkit.MessageNotFound, match="another channel") as caught:
                await other.edit(ref, "x")
            assert (caught.value.channel, caught.value.message_id) == ("other", message.message_id)
        for bad in (None, 5):
            with pytest.raises(chatkit.ConfigError, match="a message is named by"):
                await other.react(bad, "x")  # type: ignore[arg-type]  # that is the point
        assert ada.outbox.depth == 0
        assert await ada.outbox.entries(channel="other") == ()


async def test_what_was_discarded_says_that_nothing_is_left_to_do(stage: Stage) -> None:
    """A newer edit took its place: trying again is no advice."""
    async with stage.chat("ada") as ada:
        stage.hub.network.cut("ada")
        hello = await ada.channel("support").send("Hello")
        await hello.discard()
        with pytest.raises(chatkit.DeliveryFailed, match="was discarded") as caught:
            await hello.wait(timeout=5)
        assert "retry" not in caught.value.hint
        with pytest.raises(chatkit.ConfigError, match="until"):
            await hello.wait("read")  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("", {}, "name:"),
        ("a b", {}, "name:"),
        ("x" * 101, {}, "name:"),
        (5, {}, "name:"),
        ("cursor", [1], "data:"),
        ("cursor", {"x": {1}}, "body.data.x"),
        ("cursor", {"x": math.inf}, "body.data.x"),
        ("cursor", {"x": "x" * 1_000_000}, "frame"),
    ],
)
async def test_an_event_that_cannot_be_sent_is_refused(
    stage: Stage, name: Any, data: Any, words: str
) -> None:
    """Its name or field is named, and the channel."""
    async with stage.chat("ada") as ada:
        with pytest.raises(chatkit.InvalidMessage, match=words) as caught:
            await ada.channel("support").emit(name, data)
        assert caught.value.channel == "support"
        assert caught.value.hint


@pytest.mark.parametrize("emoji", ["", "x" * 65, "a\nb", 5])
async def test_a_bad_emoji_is_refused(stage: Stage, emoji: Any) -> None:
    """At most 64 bytes of text; the channel is named."""
    async with stage.chat("ada") as ada:
        hello = await (await ada.channel("support").send("Hello")).wait(timeout=5)
        with pytest.raises(chatkit.InvalidMessage, match="emoji") as caught:
            await ada.channel("support").react(hello, emoji)
        assert caught.value.channel == "support"


async def test_the_outbox_is_asked_for_what_it_can_have(stage: Stage) -> None:
    """A status that does not exist, or an id that is no text, is no empty answer."""
    async with stage.chat("ada") as ada:
        wrongs: tuple[dict[str, Any], ...] = ({"status": "lost"}, {"limit": 0})
        for wrong in wrongs:
            with pytest.raises(chatkit.ConfigError, match="entries"):
                await ada.outbox.entries(**wrong)
        with pytest.raises(chatkit.ConfigError, match="NoneType"):
            await ada.outbox.get(None)  # type: ignore[arg-type]  # that is the point
        with pytest.raises(chatkit.MessageNotFound):
            await ada.outbox.get("nothing")


async def test_a_newer_edit_replaces_one_that_was_never_attempted(stage: Stage) -> None:
    """D7: only never-attempted entries may be folded; the older one ends discarded."""
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        hello = await (await support.send("Hello")).wait(timeout=5)
        stage.hub.network.cut("ada")
        older = await support.edit(hello, "one")
        newer = await support.edit(hello, "two")
        assert older.status == "discarded"
        assert (await support.get(hello)).text == "two"
        stage.hub.network.heal("ada")
        await newer.wait(timeout=60)
    assert stage.texts("support") == ["two"]


async def test_of_edits_made_at_once_the_last_one_stays(stage: Stage) -> None:
    """D7: the newer one replaces the older one, and never the other way round."""
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        hello = await (await support.send("Hello")).wait(timeout=5)
        stage.hub.network.cut("ada")
        edits = await asyncio.gather(*(support.edit(hello, text) for text in ("one", "two", "three")))
        assert [edit.status for edit in edits] == ["discarded", "discarded", "queued"]
        stage.hub.network.heal("ada")
        await edits[-1].wait(timeout=60)
    assert stage.texts("support") == ["three"]


async def test_a_message_may_wait_for_its_time_without_holding_others(stage: Stage) -> None:
    """`send_at`: due later, and the lane goes on meanwhile."""
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        later = await support.send("later", send_at=stage.clock.wall() + timedelta(minutes=5))
        await (await support.send("now")).wait(timeout=5)
        assert later.status == "queued"
        await later.wait(timeout=301)
    assert stage.texts("support") == ["now", "later"]


async def test_a_message_that_waits_for_its_time_can_be_changed_meanwhile(stage: Stage) -> None:
    """D7: the change is sent behind it, not before there is anything to change."""
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        message = await support.send("Hello", send_at=stage.clock.wall() + timedelta(seconds=60))
        edit = await support.edit(message, "Hello again")
        await asyncio.sleep(30)
        assert (message.status, edit.status) == ("queued", "queued")
        await edit.wait(timeout=60)
    assert stage.texts("support") == ["Hello again"]


async def test_an_expired_message_says_so(stage: Stage) -> None:
    """D13: a deadline is an instant of server time; what was never written is certain to be absent."""
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        await support.attach(timeout=5)
        stage.hub.network.cut("ada")
        delivery = await support.send("Quick!", expires_in=30)
        with pytest.raises(chatkit.DeliveryFailed, match="expired"):
            await delivery.wait(timeout=120)
        assert delivery.status == "expired"
        stage.hub.network.heal("ada")
        await asyncio.sleep(120)
        assert stage.texts("support") == []
        await delivery.retry()
        await delivery.wait(timeout=60)
    assert stage.texts("support") == ["Quick!"]


async def test_each_change_of_a_delivery_says_whether_it_is_certain(stage: Stage) -> None:
    """Of the status that it tells, whatever the delivery knows by the time that it is heard (I1, D6)."""
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        await support.attach(timeout=5)
        await support.detach()
        changes = ada.events(chatkit.DeliveryChanged)
        stage.hub.network.lose_ack("ada", 100)
        doubtful = await support.send("Quick!", expires_in=30)
        await asyncio.sleep(0.5)
        stage.hub.network.cut("ada")
        await asyncio.sleep(60)
        never_written = await support.send("Quicker!", expires_in=10)
        await asyncio.sleep(60)
        stage.hub.network.heal("ada")
        await support.attach(timeout=120)
        await asyncio.sleep(5)

        heard = [await changes.next(timeout=1) for _ in range(4)]
        told = [(change.delivery, change.status, change.certain, change.late) for change in heard]
        assert told == [
            (doubtful, "sending", True, False),
            (doubtful, "expired", False, False),
            (never_written, "expired", True, False),
            (doubtful, "sent", True, True),
        ]
        assert doubtful.certain


async def test_emit_passes_by_and_is_never_queued(stage: Stage) -> None:
    """An ephemeral event reaches those who are there; offline it is `False`."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await ada.channel("support").attach(timeout=5)
        theirs = bob.channel("support")
        events = theirs.events(chatkit.CustomEvent)
        await theirs.attach(timeout=5)

        assert await ada.channel("support").emit("price-tick", {"eur": 12})
        event = await events.next(timeout=5)
        assert (event.name, dict(event.data), event.sender.user) == ("price-tick", {"eur": 12}, "ada")

        with pytest.raises(chatkit.InvalidMessage):
            await ada.channel("support").emit("price tick", {})
        with pytest.raises(chatkit.InvalidMessage):
            await ada.channel("support").emit("big", {"x": "y" * 1_100_000})
        stage.hub.network.cut("ada")
        await asyncio.sleep(30)
        assert not await ada.channel("support").emit("price-tick", {"eur": 13})
        assert ada.outbox.depth == 0


async def test_custom_bodies_arrive_as_the_apps_own_model(stage: Stage) -> None:
    """`@message_type` bodies go out and come in as the model."""

    @chatkit.message_type("test-poll.v1")
    class Poll(BaseModel):
        question: str

    async with stage.chat("ada") as ada:
        message = await (await ada.channel("support").send(Poll(question="Tea?"))).wait(timeout=5)
        assert message.body == Poll(question="Tea?")
        page = await ada.channel("support").history()
        assert page.items[0].body == Poll(question="Tea?")


async def test_the_outbox_has_limits_and_says_so(stage: Stage) -> None:
    """I10: over the limit `send` raises and what is queued stays."""
    async with stage.chat("ada", limits=chatkit.OutboxLimits(entries=2)) as ada:
        stage.hub.network.cut("ada")
        support = ada.channel("support")
        await support.send("one")
        await support.send("two")
        with pytest.raises(chatkit.OutboxFull):
            await support.send("three")
        assert ada.outbox.depth == 2
        assert ada.outbox.size > 0
        assert ada.outbox.oldest == datetime(2026, 1, 1, tzinfo=UTC)
        stage.hub.network.heal("ada")
        report = await ada.outbox.flush(timeout=60)
        assert (report.sent, report.queued, report.reason) == (2, 0, None)
    assert stage.texts("support") == ["one", "two"]


async def test_a_backend_speaks_for_many_users(stage: Stage) -> None:
    """`as_user`: another sender over the same socket, store and outbox; `own` is about who asks."""
    async with stage.chat("backend") as chat:
        ada, bob = chat.as_user("ada"), chat.as_user("bob")
        events = bob.channel("support").events(chatkit.MessageEvent)
        await bob.channel("support").attach(timeout=5)
        sent = await (await ada.channel("support").send("from ada")).wait(timeout=5)
        await (await bob.channel("support").send("from bob")).wait(timeout=5)

        first, second = await events.next(timeout=5), await events.next(timeout=5)
        assert [(e.message.sender.user, e.own, e.message.own) for e in (first, second)] == [
            ("ada", False, False),
            ("bob", True, True),
        ]
        await (await ada.channel("support").edit(sent, "from ada!")).wait(timeout=5)
        assert (await events.next(timeout=5)).message.text == "from ada!"
        page = await ada.channel("support").history()
        assert [m.own for m in page.items] == [False, True]


async def test_an_untrusted_credential_speaks_for_one_user(stage: Stage) -> None:
    """`as_user` without a backend's credential is a `CapabilityError`."""
    async with stage.chat("ada", config={"trusted": False}) as ada:
        assert ada.capabilities.support("as_user") == "none"
        with pytest.raises(chatkit.CapabilityError):
            _ = ada.as_user("bob")


async def test_a_change_of_what_was_certainly_not_sent_is_refused(stage: Stage) -> None:
    """D7: nobody else could make anything of it; once the message is on its way again it may be changed."""
    stage.hub.network.cut("ada")
    async with stage.chat("ada") as ada:
        room = ada.channel("room")
        delivery = await room.send("quick", expires_in=10)
        await asyncio.sleep(11)
        stage.hub.network.heal("ada")
        await asyncio.sleep(120)
        assert (delivery.status, delivery.certain) == ("expired", True)
        for change in (
            room.edit(delivery, "slow"),
            room.react(delivery, "👍"),
            room.send("see", reply_to=delivery),
        ):
            with pytest.raises(chatkit.DependencyFailed, match="is expired") as refused:
                await change
            assert (refused.value.channel, refused.value.message_id) == ("room", delivery.message_id)
        await delivery.retry()
        await (await room.edit(delivery, "slow")).wait(timeout=10)
        assert stage.texts("room") == ["slow"]
