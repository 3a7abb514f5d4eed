"""Edits and deletes as Ably's own: `native_edits=1`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

import chatkit
from chatkit import Discontinuity, MessageCreated, MessageDeleted, MessageUpdated
from chatkit.adapters.ably.places import version_key
from chatkit.adapters.ably.session import AblySession
from chatkit.model.order import OrderKey
from chatkit.testing.contract.adapter.stage import stage
from chatkit.testing.death import kill
from chatkit.testing.emulators.ably import Aim, Fault
from chatkit.testing.emulators.ably.publishing import Origin, fresh_id
from chatkit.testing.emulators.faults import CallFault
from tests.adapters.ably.app import PATIENCE, App, texts, until
from tests.adapters.ably.kit import AblyKit
from tests.adapters.ably.tokens import KEY, SECRET

pytestmark = [pytest.mark.realtime]

NATIVE = "&namespace=mutable&native_edits=1&history=72h"


def kept(app: App, channel: str = "mutable:support") -> list[dict[str, Any]]:
    """Return what Ably's history has, oldest first."""
    return app.emulator.app.channel(channel).store.latest()


async def test_edits_and_deletes_are_ablys_own() -> None:
    """Both sides show them, history has one message each, in its newest version; deleted text is gone (D26)."""
    async with App(NATIVE) as app, app.member("ada") as ada, app.backend("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        _ = mine.timeline, theirs.timeline
        await mine.attach(timeout=PATIENCE)
        await theirs.attach(timeout=PATIENCE)
        first = await (await mine.send("frist")).wait("sent", timeout=PATIENCE)
        second = await (await theirs.send("scond")).wait("sent", timeout=PATIENCE)
        gone = await (await mine.send("a secret")).wait("sent", timeout=PATIENCE)

        _ = await (await mine.edit(first, "first")).wait("sent", timeout=PATIENCE)
        _ = await (await theirs.edit(second, "second")).wait("sent", timeout=PATIENCE)
        _ = await (await mine.delete(gone)).wait("sent", timeout=PATIENCE)

        said = ["first", "second", ""]
        await until(lambda: texts(mine) == texts(theirs) == said, "both show all")
        for channel in (mine, theirs):
            shown = channel.timeline.view.messages
            assert [(m.version, m.edited, m.deleted) for m in shown] == [
                (2, True, False),
                (2, True, False),
                (2, False, True),
            ]
        assert [item["action"] for item in kept(app)] == [1, 1, 2]
        assert "a secret" not in str(kept(app))
        assert ada.health().checks["counters"].get("conflict", 0) == 0


async def test_without_the_rule_the_error_says_what_to_switch_on() -> None:
    """The edit fails and is rolled back; what was said stays (D12, D23)."""
    async with App("&native_edits=1") as app, app.member("ada") as ada:
        mine = ada.channel("support")
        _ = mine.timeline
        message = await (await mine.send("Hello")).wait("sent", timeout=PATIENCE)

        edit, delete = await mine.edit(message, "Hello!"), await mine.delete(message)
        await until(lambda: edit.status == delete.status == "failed", "both fail")

        for failed in (edit, delete):
            error = failed.error
            assert isinstance(error, chatkit.CapabilityError)
            assert error.channel == "support"
            assert "Message annotations, updates, deletes" in error.hint
        assert texts(mine) == ["Hello"]
        _ = await (await mine.send("goes on")).wait("sent", timeout=PATIENCE)


@pytest.mark.long
async def test_a_missing_right_is_named() -> None:
    """Of the key or token: which capabilities it needs (D12)."""
    rights = 'app.key:secret:{"*":["publish","subscribe","presence","history","message-update-own"]}'
    async with App(NATIVE, keys=(rights,)) as app, app.member("ada") as ada:
        mine = ada.channel("support")
        message = await (await mine.send("Hello")).wait("sent", timeout=PATIENCE)
        _ = await (await mine.edit(message, "Hello!")).wait("sent", timeout=PATIENCE)

        refused = await mine.delete(message)
        await until(lambda: refused.status == "failed", "the delete fails")

        assert isinstance(refused.error, chatkit.NotAllowed)
        assert "message-delete-own" in refused.error.hint
        assert kept(app)[0]["action"] == 1


@pytest.mark.long
async def test_who_comes_later_reads_the_newest_versions() -> None:
    """Out of pages of history, each message at its place, as often as it is read (D24, I14)."""
    async with App(NATIVE) as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        sent = [await (await mine.send(f"draft {n}")).wait("sent", timeout=PATIENCE) for n in range(4)]
        for number in (0, 2):
            _ = await (await mine.edit(sent[number], "dropped")).wait("sent", timeout=PATIENCE)
            _ = await (await mine.edit(sent[number], f"final {number}")).wait("sent", timeout=PATIENCE)
        _ = await (await mine.delete(sent[3])).wait("sent", timeout=PATIENCE)

        _ = theirs.timeline
        await theirs.attach(timeout=PATIENCE)

        said = ["final 0", "draft 1", "final 2", ""]
        await until(lambda: texts(theirs) == said, "all is shown")
        page = await theirs.history(limit=2)
        older = await theirs.history(limit=2, before=page.items[-1])
        assert [m.text for m in (*page.items, *older.items)] == said[::-1]
        assert [m.deleted for m in page.items] == [True, False]
        _ = await (await mine.edit(sent[1], "final 1")).wait("sent", timeout=PATIENCE)
        await until(lambda: texts(theirs)[1] == "final 1", "and live goes on")
        # Out of the log, as facts: what was created is told as it is now, then that it was changed.
        events = theirs.events(MessageCreated, MessageUpdated, MessageDeleted, since=chatkit.START)
        told = [await events.next(timeout=PATIENCE) for _ in range(8)]
        assert [event.message.text for event in told if isinstance(event, MessageCreated)] == [
            "final 0",
            "final 1",
            "final 2",
            "",
        ]
        changed = [event.message.message_id for event in told if not isinstance(event, MessageCreated)]
        assert sorted(changed) == sorted(m.message_id for m in sent)
        _ = await (await mine.send("next")).wait("sent", timeout=PATIENCE)
        following = await events.next(timeout=PATIENCE)
        assert isinstance(following, MessageCreated)
        assert bob.health().checks["counters"].get("conflict", 0) == 0


@pytest.mark.long
@pytest.mark.parametrize("transport", ["sse", "poll"])
async def test_without_a_socket_it_is_the_same(transport: str) -> None:
    """Edits and deletes go by calls, and are heard by streams or by looks into history, others' too."""
    async with App(NATIVE + "&poll=0.1") as app, app.member("ada") as ada:
        app._config += f"&transport={transport}"
        async with app.member("bob") as bob, app.backend("eve") as eve:
            mine, theirs, third = (chat.channel("support") for chat in (ada, bob, eve))
            for channel in (mine, theirs, third):
                _ = channel.timeline
                await channel.attach(timeout=PATIENCE)
            events = theirs.events(MessageCreated, MessageUpdated, MessageDeleted)
            first = await (await theirs.send("frist")).wait("sent", timeout=PATIENCE)
            second = await (await mine.send("scond")).wait("sent", timeout=PATIENCE)
            gone = await (await third.send("a secret")).wait("sent", timeout=PATIENCE)
            await until(lambda: texts(theirs) == ["frist", "scond", "a secret"], "all are there")

            _ = await (await theirs.edit(first, "first")).wait("sent", timeout=PATIENCE)
            _ = await (await mine.edit(second, "second")).wait("sent", timeout=PATIENCE)
            _ = await (await third.delete(gone)).wait("sent", timeout=PATIENCE)

            said = ["first", "second", ""]
            for channel in (mine, theirs, third):
                await until(lambda shown=channel: texts(shown) == said, "all show it")  # type: ignore[misc]
            assert [item["action"] for item in kept(app)] == [1, 1, 2]
            outside(app, {"action": 1, "serial": first.serial, "data": "by hand"})
            for channel in (mine, theirs, third):
                await until(lambda shown=channel: texts(shown)[0] == "by hand", "and that")  # type: ignore[misc]
            told = [await events.next(timeout=PATIENCE) for _ in range(7)]
            assert [type(event) for event in told].count(MessageCreated) == 3
            assert bob.connection.transport == transport


@pytest.mark.long
@pytest.mark.parametrize("resumed", [True, False])
async def test_a_change_without_an_answer_is_one_version(resumed: bool) -> None:  # a parameter
    """It is looked for before it is sent again, over the same connection or a new one (D10)."""
    async with App(NATIVE) as app, app.member("ada") as ada:
        mine = ada.channel("support")
        _ = mine.timeline
        message = await (await mine.send("draft")).wait("sent", timeout=PATIENCE)
        app.emulator.add_fault(Fault(does="abort", way="out", action="ACK", client="ada"))
        if not resumed:
            app.emulator.add_fault(Fault(does="refuse", action="CONNECT"))

        _ = await (await mine.edit(message, "final")).wait("sent", timeout=PATIENCE)

        assert [v["action"] for v in versions(app)] == [0, 1]
        await until(lambda: texts(mine) == ["final"], "it is shown")
        assert mine.timeline.view.messages[0].version == 2


@pytest.mark.long
async def test_a_retried_edit_does_not_win_over_a_newer_one() -> None:
    """Two devices: the first one's edit is there, unanswered, when the second one's comes (D10, D23)."""
    async with (
        App(NATIVE) as app,
        app.member("ada") as one,
        app.member("ada") as two,
        app.member("bob") as bob,
    ):
        first, second, theirs = (chat.channel("support") for chat in (one, two, bob))
        _ = first.timeline, second.timeline, theirs.timeline
        for channel in (first, second, theirs):
            await channel.attach(timeout=PATIENCE)
        message = await (await first.send("draft")).wait("sent", timeout=PATIENCE)
        await until(lambda: texts(second) == ["draft"], "the other device has it")
        mine = one_connection(one)
        app.emulator.add_fault(Fault(does="abort", way="out", connection=mine))  # no echo, no answer
        gate = app.emulator.add_fault(
            Fault(does="abort", action="CONNECT", query={"clientId": "ada"}, times=1_000)
        )

        early = await first.edit(message, "by the first")
        await until(lambda: len(versions(app)) == 2, "it is at Ably")
        late = await (await second.edit(message, "by the second")).wait("sent", timeout=PATIENCE)
        app.emulator.app.faults._waiting.remove(gate)
        app.emulator.add_fault(Fault(does="refuse", action="CONNECT"))
        _ = await early.wait("sent", timeout=PATIENCE)

        assert late.text == "by the second"
        for channel in (first, second, theirs):
            await until(showing(channel, "by the second"), "all show the newer one")
        _ = await (await first.send("next")).wait("sent", timeout=PATIENCE)  # behind it in its lane
        assert [v["action"] for v in versions(app)] == [0, 1, 1]


@pytest.mark.long
@pytest.mark.parametrize("newer", [True, False])
async def test_who_dies_before_the_answer_changes_once(tmp_path: Path, newer: bool) -> None:  # a parameter
    """The next life finds that the change is there, also below a newer one, and leaves it at that (D6, D10)."""
    async with App(NATIVE) as app, app.member("ada") as other:
        second = other.channel("support")
        _ = second.timeline
        await second.attach(timeout=PATIENCE)
        async with AsyncExitStack() as life:
            dying = await app.member("ada", store=tmp_path / "ada.db")
            message = await (await dying.channel("support").send("draft")).wait("sent", timeout=PATIENCE)
            app.emulator.add_fault(
                Fault(does="drop", way="out", action="ACK", connection=one_connection(dying))
            )
            _ = await dying.channel("support").edit(message, "by the first")
            await until(lambda: len(versions(app)) == 2, "it is at Ably")
            life.push_async_callback(kill, dying)
        if newer:
            _ = await (await second.edit(message, "by the second")).wait("sent", timeout=PATIENCE)

        async with app.member("ada", store=tmp_path / "ada.db") as ada:
            report = await ada.outbox.flush(timeout=PATIENCE)

            assert (report.failed, report.queued) == (0, 0)
            assert [v["action"] for v in versions(app)] == [0, 1, 1][: 2 + newer]
            said = "by the second" if newer else "by the first"
            await until(lambda: texts(second) == [said], "the newest is shown")


@pytest.mark.long
async def test_what_was_changed_offline_is_changed_once_online() -> None:
    """Of a message that Ably has, and of one that waits itself (D6, D7)."""
    async with App(NATIVE) as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        _ = mine.timeline, theirs.timeline
        await theirs.attach(timeout=PATIENCE)
        old = await (await mine.send("old")).wait("sent", timeout=PATIENCE)
        gone = await (await mine.send("gone")).wait("sent", timeout=PATIENCE)

        async def meanwhile() -> None:
            await until(lambda: ada.connection.state != "connected", "it is offline")
            new = await mine.send("new")
            _ = await mine.edit(old, "old, edited")
            _ = await mine.edit(new, "new, edited")
            _ = await mine.delete(gone)
            assert texts(mine) == ["old, edited", "", "new, edited"]
            assert texts(theirs) == ["old", "gone"]

        await app.cut_off("ada", meanwhile)
        await ada.outbox.flush(timeout=PATIENCE)

        await until(
            lambda: texts(theirs) == texts(mine) == ["old, edited", "", "new, edited"], "both show it"
        )
        assert [item["action"] for item in kept(app)] == [1, 2, 1]


@pytest.mark.long
async def test_clients_with_and_without_the_option_show_the_same() -> None:
    """Whoever does not use it hears the changes of those who do, and the other way round (I5)."""
    async with App("&namespace=mutable&history=72h") as app, app.member("ada") as ada:
        app._config += "&native_edits=1"
        async with app.member("ada") as native, app.member("bob") as bob:
            plain, own, theirs = (chat.channel("support") for chat in (ada, native, bob))
            _ = plain.timeline, own.timeline, theirs.timeline
            for channel in (plain, own, theirs):
                await channel.attach(timeout=PATIENCE)
            message = await (await plain.send("one")).wait("sent", timeout=PATIENCE)
            await until(lambda: texts(own) == ["one"], "the other device has it")

            for channel, text in ((own, "two"), (plain, "three"), (own, "four"), (plain, "five")):
                _ = await (await channel.edit(message, text)).wait("sent", timeout=PATIENCE)
                for other in (plain, own, theirs):
                    await until(showing(other, text), "all show it")

            page = await theirs.history()
            assert [(m.text, m.edited) for m in page.items] == [("five", True)]
            assert [item["action"] for item in kept(app)] == [1, 0, 0]  # the others' edits are messages
            _ = await (await own.delete(message)).wait("sent", timeout=PATIENCE)
            for other in (plain, own, theirs):
                await until(showing(other, ""), "all show that it is gone")
            assert "four" not in str(kept(app)[0])


@pytest.mark.long
@pytest.mark.parametrize("data", ["by hand", '{"text":"by hand","metadata":{}}'])
async def test_what_other_clients_change_is_shown(data: str) -> None:
    """Of the dashboard, of Ably's own clients, of Ably Chat: text as an edit, a delete as one, and back again."""
    async with App(NATIVE) as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        _ = mine.timeline, theirs.timeline
        await mine.attach(timeout=PATIENCE)
        await theirs.attach(timeout=PATIENCE)
        updates = theirs.events(MessageUpdated)
        message = await (await mine.send("draft")).wait("sent", timeout=PATIENCE)
        await until(lambda: texts(theirs) == ["draft"], "it is shown")

        outside(app, {"action": 1, "serial": message.serial, "data": data})
        await until(lambda: texts(mine) == texts(theirs) == ["by hand"], "as an edit")
        assert (await updates.next(timeout=PATIENCE)).message.text == "by hand"
        assert [m.sender.user for m in theirs.timeline.view.messages] == ["ada"]
        async with app.member("eve") as eve:
            late = eve.channel("support")
            _ = late.timeline
            await late.attach(timeout=PATIENCE)
            await until(lambda: texts(late) == ["by hand"], "also to whoever comes later")

        _ = await (await mine.edit(message, "by chatkit")).wait("sent", timeout=PATIENCE)
        await until(lambda: texts(mine) == texts(theirs) == ["by chatkit"], "and edited again")
        outside(app, {"action": 2, "serial": message.serial})
        await until(lambda: theirs.timeline.view.messages[0].deleted, "as a delete")
        assert texts(mine) == texts(theirs) == [""]
        page = await theirs.history()
        assert [(m.text, m.deleted) for m in page.items] == [("", True)]
        outside(app, {"action": 1, "serial": message.serial, "data": data})
        await until(lambda: texts(mine) == texts(theirs) == ["by hand"], "and there again")


@pytest.mark.long
async def test_an_edit_of_a_deleted_message_brings_nothing_back() -> None:
    """It goes as a message of its own, and shows when the delete is taken back (I7, D23)."""
    async with App(NATIVE) as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        _ = mine.timeline, theirs.timeline
        await theirs.attach(timeout=PATIENCE)
        message = await (await mine.send("a secret")).wait("sent", timeout=PATIENCE)
        _ = await (await mine.delete(message)).wait("sent", timeout=PATIENCE)

        _ = await (await mine.edit(message, "harmless")).wait("sent", timeout=PATIENCE)

        await until(lambda: len(kept(app)) == 2, "it is there")
        assert [item["action"] for item in kept(app)] == [2, 0]
        assert texts(mine) == [""]
        _ = await (await mine.undelete(message)).wait("sent", timeout=PATIENCE)
        await until(lambda: texts(mine) == texts(theirs) == ["harmless"], "both show it")


@pytest.mark.long
@pytest.mark.parametrize("option", ["&native_edits=1", ""])
async def test_what_was_changed_while_away_is_found(option: str) -> None:
    """Ably does not vouch for the channel: old messages are looked through for changes (D17, I6)."""
    async with App("&namespace=mutable&history=72h" + option) as app, app.member("bob") as bob:
        app._config = NATIVE
        async with app.member("ada") as ada:
            mine, theirs = ada.channel("support"), bob.channel("support")
            _ = theirs.timeline
            await theirs.attach(timeout=PATIENCE)
            sent = [await (await mine.send(f"draft {n}")).wait("sent", timeout=PATIENCE) for n in range(5)]
            _ = await (await mine.edit(sent[4], "final 4")).wait("sent", timeout=PATIENCE)
            await until(lambda: texts(theirs)[-1:] == ["final 4"], "bob has them, and a change")
            app.emulator.clock.advance(60)
            later = await (await mine.send("later")).wait("sent", timeout=PATIENCE)
            place = OrderKey(1, later.serial or "")
            _ = app.emulator.deeds.lose_continuity(Aim())
            app.cut("bob")  # what is read then sets the mark, a minute above the others
            mark = bob.engine.channels["support"].progress
            await until(lambda: mark.complete == place, "the mark is there")

            async def meanwhile() -> None:
                app.emulator.clock.advance(600)
                _ = await (await mine.edit(sent[0], "final 0")).wait("sent", timeout=PATIENCE)
                _ = await (await mine.delete(sent[1])).wait("sent", timeout=PATIENCE)
                _ = await (await mine.send("new")).wait("sent", timeout=PATIENCE)

            await app.cut_off("bob", meanwhile)

            said = ["final 0", "", "draft 2", "draft 3", "final 4", "later", "new"]
            await until(lambda: texts(theirs) == said, "all of it is shown")
            assert [m.version for m in theirs.timeline.view.messages] == [2, 2, 1, 1, 2, 1, 1]


@pytest.mark.long
async def test_a_reader_from_a_place_joins_what_changed_live() -> None:
    """A change of a message from before that place is told once, and live goes on behind it (D15, I2)."""
    async with App(NATIVE) as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        _ = theirs.timeline
        await theirs.attach(timeout=PATIENCE)
        old = await (await mine.send("draft")).wait("sent", timeout=PATIENCE)
        place = await (await mine.send("a place")).wait("sent", timeout=PATIENCE)
        _ = await (await mine.edit(old, "final")).wait("sent", timeout=PATIENCE)
        await until(lambda: texts(theirs) == ["final", "a place"], "it was told live")

        events = theirs.events(MessageCreated, MessageUpdated, since=place.cursor)
        _ = await (await mine.edit(old, "final!")).wait("sent", timeout=PATIENCE)
        _ = await (await mine.send("next")).wait("sent", timeout=PATIENCE)

        told: list[str] = []
        while "next" not in told:
            told.append((await events.next(timeout=PATIENCE)).message.text)
        assert told[-2:] == ["final!", "next"]
        assert len(told) == len(set(told))


@pytest.mark.long
async def test_a_life_goes_on_where_a_change_was_the_last_thing_seen(tmp_path: Path) -> None:
    """Its mark is a place at which no message stands; that is no reason to begin anew (D17, D18)."""
    async with App(NATIVE) as app, app.member("ada") as ada:
        mine = ada.channel("support")
        old = await (await mine.send("draft")).wait("sent", timeout=PATIENCE)
        _ = await (await mine.send("newest")).wait("sent", timeout=PATIENCE)
        async with app.member("bob", store=tmp_path / "bob.db") as bob:
            theirs = bob.channel("support")
            _ = theirs.timeline
            await theirs.attach(timeout=PATIENCE)
            await until(lambda: texts(theirs) == ["draft", "newest"], "it is read")
            _ = await (await mine.edit(old, "final")).wait("sent", timeout=PATIENCE)
            await until(lambda: texts(theirs) == ["final", "newest"], "it is told")
            app.emulator.deeds.lose_continuity(Aim())
            app.cut("bob")  # what is read then sets the mark
            _ = await (await mine.edit(old, "final!")).wait("sent", timeout=PATIENCE)
            await until(lambda: texts(theirs) == ["final!", "newest"], "it is read")
            engine = bob.engine.channels["support"]
            await until(lambda: ":v" in str(engine.progress.complete), "the mark is at the change")

        async with app.member("bob", store=tmp_path / "bob.db") as bob:
            theirs = bob.channel("support")
            gaps = theirs.events(Discontinuity)
            _ = theirs.timeline
            await theirs.attach(timeout=PATIENCE)
            _ = await (await mine.edit(old, "final?")).wait("sent", timeout=PATIENCE)
            await until(lambda: texts(theirs) == ["final?", "newest"], "it goes on")
            assert [m.version for m in theirs.timeline.view.messages][1] == 1
            await gaps.aclose()
            assert gaps.gaps == 0


@pytest.mark.long
async def test_what_ably_does_not_have_cannot_be_changed() -> None:
    """History has passed: the message stays as it is, and the error says why."""
    async with (
        App("&native_edits=1&namespace=mutable", persisted_seconds=120.0) as app,
        app.member("ada") as ada,
    ):
        mine = ada.channel("support")
        message = await (await mine.send("Hello")).wait("sent", timeout=PATIENCE)
        app.emulator.clock.advance(60)
        app.emulator.app.channel("mutable:support").store._messages.clear()
        app.emulator.deeds.move(Aim())  # a new connection asks for the time

        edit = await mine.edit(message, "Hello!")
        await until(lambda: edit.status == "failed", "it fails")

        assert isinstance(edit.error, chatkit.MessageNotFound)
        assert edit.error.channel == "support"
        assert edit.error.message_id == edit.message_id


@pytest.mark.long
async def test_a_message_that_history_does_not_have_yet_is_waited_for() -> None:
    """Storage may follow an acknowledgement: what was sent just now is not gone (D12)."""
    async with App(NATIVE) as app, app.member("ada") as ada:
        mine = ada.channel("support")
        message = await (await mine.send("draft")).wait("sent", timeout=PATIENCE)
        missing = '{"error":{"code":40400,"statusCode":404}}'
        app.emulator.faults.add(CallFault(does="fail", status=404, body=missing, path="/versions"))

        _ = await (await mine.edit(message, "final")).wait("sent", timeout=PATIENCE)

        assert [v["action"] for v in versions(app)] == [0, 1]


@pytest.mark.long
async def test_a_growing_message_grows_at_ably() -> None:
    """Each step is a version, the last one whole; in a thread, too."""
    async with App(NATIVE) as app, app.member("ada") as ada, app.member("bob") as bob:
        mine, theirs = ada.channel("support"), bob.channel("support")
        _ = theirs.timeline
        await theirs.attach(timeout=PATIENCE)

        async def words() -> AsyncIterator[str]:
            for word in ("It ", "was ", "a ", "dark ", "night."):
                yield word
                await asyncio.sleep(0.05)

        delivery = await mine.send_stream(words(), every=0.1)
        await ada.outbox.flush(timeout=PATIENCE)

        await until(showing(theirs, "It was a dark night."), "all of it is shown")
        assert not theirs.timeline.view.messages[0].incomplete
        assert len(kept(app)) == 1
        assert len(versions(app)) > 1
        root = await delivery.wait("sent", timeout=PATIENCE)
        reply = await (await mine.thread(root).send("rpely")).wait("sent", timeout=PATIENCE)
        _ = await (await mine.thread(root).edit(reply, "reply")).wait("sent", timeout=PATIENCE)
        thread = theirs.thread(root)
        _ = thread.timeline
        await until(
            lambda: [m.text for m in thread.timeline.view.messages][-1:] == ["reply"], "and in a thread"
        )


@pytest.mark.long
async def test_where_nobody_can_say_what_a_version_is_of_it_is_foreign() -> None:
    """Without the right to history, or when too much is asked at once; the next page shows it (I6, I10)."""
    rights = 'app.key:secret:{"*":["publish","subscribe","presence","message-update-own"]}'
    async with App(NATIVE, keys=(rights, f"{KEY}2:{SECRET}")) as app, app.member("ada") as ada:
        mine = ada.channel("support")
        foreign = mine.events(chatkit.ForeignFrame)
        await mine.attach(timeout=PATIENCE)
        message = await (await mine.send("draft")).wait("sent", timeout=PATIENCE)

        outside(app, {"action": 1, "serial": message.serial, "data": "by hand"}, key=f"{KEY}2")

        assert (await foreign.next(timeout=PATIENCE)).reason == "other_message"


@pytest.mark.long
@pytest.mark.parametrize("heard", [True, False])
async def test_too_much_is_not_asked_at_once(
    heard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:  # a parameter
    """What lies beyond is foreign; what is asked about after a detach is dropped (I10)."""
    monkeypatch.setattr("chatkit.adapters.ably.looking.LOOKS", 1)
    async with App(NATIVE) as app, app.member("bob") as bob, app.backend("ada") as ada:
        mine, theirs = ada.channel("support"), bob.channel("support")
        sent = [await (await mine.send(f"draft {n}")).wait("sent", timeout=PATIENCE) for n in range(3)]
        _ = theirs.timeline
        foreign = theirs.events(chatkit.ForeignFrame)
        await theirs.attach(timeout=PATIENCE)
        reading = bob.health
        await until(lambda: reading().checks["channels"]["caught_up"] == 1, "nothing is read any more")
        app.emulator.faults.add(CallFault(does="delay", seconds=0.3, path="/versions"))

        for number, message in enumerate(sent):
            outside(app, {"action": 1, "serial": message.serial, "data": f"final {number}"})

        for _ in range(2):
            assert (await foreign.next(timeout=PATIENCE)).reason == "other_message"
        if not heard:
            await theirs.detach()
            return
        said = ["final 0", "draft 1", "draft 2"]
        await until(lambda: texts(theirs) == said, "the first is shown")
        assert [m.text for m in (await theirs.history()).items] == ["final 2", "final 1", "final 0"]


@pytest.mark.long
def test_a_session_knows_a_place_at_which_no_message_stands() -> None:
    """A page of messages is no older than a change after which it attaches: no log stands behind it (D18)."""
    kit = AblyKit(namespace="mutable", native_edits=True)

    async def main() -> None:
        async with stage(kit) as on:
            ada = await on.join("ada")
            (said,) = await ada.say("draft")
            assert said.key is not None
            change = version_key("9" + said.key.serial[1:])

            _ = await ada.attach(change)

            page = await ada.log.messages(on.channel, limit=10)
            assert page.state.head == change.serial
            assert page.as_of == change

    kit.run(main())


def showing(channel: chatkit.Channel, text: str) -> Callable[[], bool]:
    """Say whether a channel shows this as its one message, at each call."""
    return lambda: texts(channel) == [text]


def versions(app: App) -> list[dict[str, Any]]:
    """Return all versions of the first message."""
    stored = next(iter(app.emulator.app.channel("mutable:support").store._messages.values()))
    return stored.versions


def outside(app: App, item: dict[str, Any], *, key: str = KEY) -> None:
    """Change a message as somebody without chatkit does."""
    emulated = app.emulator.app
    access = emulated.authority.by_key(f"{key}:{SECRET}")
    admin = Origin(access=access, client_id="admin", connection_id=None, base=fresh_id())
    emulated.publish(emulated.channel("mutable:support"), [item], admin)


def one_connection(chat: chatkit.Chat) -> str:
    """Return the id of a client's connection."""
    session = chat.engine.link.session
    assert isinstance(session, AblySession)
    return session.connection_id
