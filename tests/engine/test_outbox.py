"""The outbox: taken, found, withdrawn, expired, sent again by hand, taken up after a restart, swept."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from chatkit.core.delivery import State
from chatkit.engine import timetable
from chatkit.engine.accepting import CANCELLED
from chatkit.engine.entries import AGAIN
from chatkit.engine.outbox import SWEEP, OutboxEntry
from chatkit.engine.timetable import LONGEST, LOOK
from chatkit.errors import DependencyFailed, OutboxFull, Rejected, StoreError, TransportError
from chatkit.model.envelope import Envelope
from chatkit.model.options import OutboxLimits
from chatkit.model.order import Ident, OrderKey
from chatkit.ports import LaneKey
from chatkit.testing.clock import settle
from tests.engine.sending_kit import (
    Client,
    FakeLog,
    FaultyStore,
    Fixed,
    Provider,
    accept,
    for_ever,
    keep_file,
    keep_memory,
    refuse,
    text_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from chatkit.ports import Batch, Row
    from chatkit.testing.clock import VirtualClock

SILENCE = None
DAY = 86_400.0


def client(clock: VirtualClock, provider: Provider | None = None, **options: Any) -> Client:
    own = {name: options.pop(name) for name in ("store", "limits", "seed", "offline") if name in options}
    found = Client(clock, (provider or Provider()).adapter(**options), **own)
    found.context.random = Fixed(0.5) if "seed" not in own else found.context.random
    return found


def offline(clock: VirtualClock, **options: Any) -> Client:
    """Return a client that never connects, whose time is confirmed all the same."""
    ada = client(clock, offline=True, **options)
    ada.context.server_time.confirm(None)
    return ada


# -- taking


async def test_a_wish_is_taken_offline(clock: VirtualClock) -> None:
    """It is safe when the call returns, whatever the network does (I3)."""
    async with offline(clock) as ada:
        entry = await ada.send("1")

        assert (entry.state, ada.outbox.depth, ada.outbox.size) == (State.QUEUED, 1, len(entry.row.data))
        assert await ada.store.rows() == (entry.row,)
        assert ada.outbox.oldest == clock.wall()
        assert "outbox.added" in ada.watcher.names


async def test_what_the_store_cannot_keep_is_not_taken(clock: VirtualClock) -> None:
    """The caller hears of it and nothing is sent (I3)."""
    store = FaultyStore(clock)
    async with client(clock, store=store) as ada:
        store.failing["add"] = 1
        with pytest.raises(StoreError):
            await ada.send("1")

        assert ada.outbox.depth == 0


async def test_a_full_outbox_takes_nothing_more(clock: VirtualClock) -> None:
    """Overflow raises; nothing durable is dropped (I10)."""
    limits = OutboxLimits(entries=2)
    async with offline(clock, store=keep_memory(clock, limits=limits)) as ada:
        await ada.send_all("12")
        with pytest.raises(OutboxFull):
            await ada.send("3")

        assert ada.outbox.depth == 2


async def test_an_equal_key_is_the_same_entry(clock: VirtualClock) -> None:
    """While it waits, also for two callers at once, and after it was sent (D14)."""
    provider = Provider()
    async with client(clock, provider) as ada:
        first, second = await asyncio.gather(ada.send("1", key="k"), ada.send("again", key="k"))
        await ada.drained()
        third = await ada.send("and again", key="k")

        assert first is second is third
        assert (third.state, provider.texts, ada.outbox.depth) == (State.SENT, [["1"]], 0)


async def test_a_key_of_an_earlier_life_gives_what_became_of_it(clock: VirtualClock, tmp_path: Path) -> None:
    """Sent and forgotten by this process, found in the store: it is not sent again (D14)."""
    async with client(clock, store=keep_file(tmp_path / "a.db", clock)) as ada:
        await ada.send("1", key="k")
        await ada.drained()
    provider = Provider()
    async with client(clock, provider, store=keep_file(tmp_path / "a.db", clock)) as ada:
        entry = await ada.send("again", key="k")
        await settle()

        assert (entry.state, ada.outbox.depth, provider.batches) == (State.SENT, 0, [])
        assert ada.outbox.get(entry.row.entry_id) is None


async def cancelled(ada: Client, row: Row, *, turns: int = 1) -> None:
    """Let a caller be cancelled while its wish is kept; after a turn more, while it is wished again."""
    accepting = asyncio.ensure_future(ada.outbox.acceptor.accept(row))
    for _ in range(turns):
        await asyncio.sleep(0)
    accepting.cancel()
    await asyncio.wait({accepting})
    await ada.outbox.acceptor.taken(1.0)


async def test_a_cancelled_wish_that_could_not_be_kept_is_no_defect(clock: VirtualClock) -> None:
    """Nobody is left to hear of it, and nothing is to be withdrawn (D14)."""
    store = FaultyStore(clock)
    store.failing["add"] = 1
    async with offline(clock, store=store) as ada:
        await cancelled(ada, ada.row("1"))

        assert (ada.changes, await store.rows()) == ([], ())


async def test_a_cancelled_wish_that_was_attempted_stays(clock: VirtualClock) -> None:
    """Made again after it was withdrawn, it may be there: it is listed, and has its fate (D14)."""
    provider = Provider()
    async with client(clock, provider) as ada:
        await ada.connected()
        await cancelled(ada, ada.row("0", key="k"))
        accepting = asyncio.ensure_future(ada.outbox.acceptor.accept(ada.row("1", key="k")))

        def cancel() -> None:
            accepting.cancel()

        ada.watcher.at["outbox.attempted"] = cancel
        await asyncio.wait({accepting})
        await settle()

        assert (accepting.cancelled(), provider.texts) == (True, [["1"]])


async def test_a_wish_made_again_can_be_cancelled_again(clock: VirtualClock) -> None:
    """Under its key it may be made any number of times (D14)."""
    async with offline(clock) as ada:
        await cancelled(ada, ada.row("1", key="k"))
        await cancelled(ada, ada.row("2", key="k"), turns=2)
        [withdrawn] = await ada.store.rows()
        entry = await ada.send("3", key="k")

        assert (withdrawn.status, withdrawn.reason) == ("discarded", CANCELLED)
        assert text_of(Envelope.parse(withdrawn.data)) == "2"
        assert (entry.state, ada.outbox.depth) == (State.QUEUED, 1)


async def test_what_a_store_cannot_say_to_be_kept_is_withdrawn_all_the_same(clock: VirtualClock) -> None:
    """No later life sends what its caller was cancelled for (D14)."""
    store = FaultyStore(clock)
    async with offline(clock, store=store) as ada:
        store.failing["rows"] = 1
        await cancelled(ada, ada.row("1"))

        assert ada.context.counters["store_errors"] == 1
        assert [row.status for row in await store.rows()] == ["discarded"]


async def test_whoever_shares_a_key_is_served_though_the_store_cannot_say_what_it_kept(
    clock: VirtualClock,
) -> None:
    """The first caller is cancelled before its wish has begun, and the second was promised it (D14)."""
    store, provider = FaultyStore(clock), Provider()
    async with client(clock, provider, store=store) as ada:
        await ada.connected()
        store.failing["rows"] = 1
        first, second = (
            asyncio.ensure_future(ada.outbox.acceptor.accept(ada.row("1", key="k"))) for _ in range(2)
        )
        await asyncio.sleep(0)
        first.cancel()
        entry = await second
        await settle()

        assert (first.cancelled(), entry.state, provider.texts) == (True, State.SENT, [["1"]])


async def test_a_wish_made_again_that_cannot_be_kept_stays_cancelled(clock: VirtualClock) -> None:
    """The caller hears of it, and may make it once more (I3, D14)."""
    store = FaultyStore(clock)
    async with offline(clock, store=store) as ada:
        await cancelled(ada, ada.row("1", key="k"))
        store.failing["settle"] = 1
        with pytest.raises(StoreError):
            await ada.send("2", key="k")
        await settle()
        assert [(row.status, row.reason) for row in await store.rows()] == [("discarded", CANCELLED)]
        entry = await ada.send("3", key="k")

        assert [row.status for row in await store.rows()] == ["queued"]
        assert (ada.outbox.depth, text_of(Envelope.parse(entry.row.data))) == (1, "3")


async def test_a_wish_made_again_has_its_place_and_time_anew(clock: VirtualClock) -> None:
    """It is the later caller's, due and ending when that one says (D13, D14)."""
    async with offline(clock) as ada:
        await cancelled(ada, ada.row("1", key="k", expires_in=1.0))
        between = await ada.send("between")
        again = await ada.send("again", key="k", expires_in=60.0)
        await asyncio.sleep(50)
        before = again.state
        assert [row.entry_id for row in await ada.store.rows()] == [e.row.entry_id for e in (between, again)]
        await asyncio.sleep(20)

        assert (before, again.state) == (State.QUEUED, State.EXPIRED)


async def test_what_is_to_be_sent_later_waits_outside_its_lane(clock: VirtualClock) -> None:
    """Others pass it; it goes out when its time has come (`send_at`)."""
    provider = Provider()
    async with client(clock, provider) as ada:
        later = await ada.send("later", send_in=60.0)
        await ada.send("now")
        await asyncio.sleep(59)
        assert (provider.texts, later.state) == ([["now"]], State.QUEUED)
        await asyncio.sleep(2)

        assert provider.texts == [["now"], ["later"]]


async def test_what_refers_to_a_message_that_is_not_due_waits_for_it(clock: VirtualClock) -> None:
    """In order behind it, what refers to that again too; what was withdrawn or is due later does not go (D7)."""
    provider = Provider()
    async with client(clock, provider) as ada:
        message = await ada.send("message", send_in=60.0)
        edit = await ada.send("edit", kind="message.update", of=message)
        await ada.send("of the edit", of=edit)
        withdrawn = await ada.send("withdrawn", of=message)
        await ada.send("later", of=message, send_in=90.0)
        await ada.outbox.discard(withdrawn)
        await asyncio.sleep(59)
        assert provider.batches == []
        await asyncio.sleep(2)
        assert provider.texts == [["message", "edit", "of the edit"]]
        await asyncio.sleep(30)

        assert provider.texts[1:] == [["later"]]


async def test_a_later_life_lets_it_wait_too(clock: VirtualClock, tmp_path: Path) -> None:
    """Whatever of it was due before (D7)."""
    async with offline(clock, store=keep_file(tmp_path / "a.db", clock)) as ada:
        message = await ada.send("message", send_in=60.0)
        await ada.send("edit", kind="message.update", of=message)
    provider = Provider()
    async with client(clock, provider, store=keep_file(tmp_path / "a.db", clock)) as ada:
        await ada.drained()

        assert provider.texts == [["message", "edit"]]


async def test_what_refers_to_a_message_in_another_lane_waits_until_it_is_there(clock: VirtualClock) -> None:
    """Nothing keeps two lanes in order but this (D7, D8)."""
    provider = Provider(SILENCE, refuse(outcome="unsent", again="later"))
    async with client(clock, provider) as ada:
        message = await ada.send("message")
        await ada.send("answer", of=message, user="bob")
        await ada.send("other", user="bob")
        await ada.drained()

        assert provider.texts[-1] == ["answer"]
        assert provider.texts.count(["answer"]) == 1


async def test_what_was_withdrawn_before_it_was_due_is_forgotten(clock: VirtualClock) -> None:
    """Nothing is left to be sent (D7)."""
    provider = Provider()
    async with client(clock, provider) as ada:
        later = await ada.send("later", send_in=60.0)
        assert await ada.outbox.discard(later)
        await asyncio.sleep(100)

        assert (provider.texts, ada.outbox._timetable._waiting) == ([], {})


async def test_a_wish_whose_target_has_failed_fails_at_once(clock: VirtualClock) -> None:
    """It was made just before and queued just after (D7)."""
    provider = Provider(refuse(Rejected("no")))
    async with client(clock, provider) as ada:
        message = await ada.send("message")
        row = ada.row("edit", kind="message.update", of=message)
        await ada.drained()
        edit = await ada.outbox.acceptor.add(row)

        assert isinstance(edit.error, DependencyFailed)


# -- finding


async def test_entries_are_found_by_what_names_them(clock: VirtualClock) -> None:
    """By their own id, by message, by identity, by channel."""
    async with offline(clock) as ada:
        outbox = ada.outbox
        one, two = await ada.send("1"), await ada.send("2", "hall")
        edit = await ada.send("edit", kind="message.update", of=one)

        assert outbox.get(one.row.entry_id) is one
        assert outbox.by_message(two.row.ident.id) is two
        assert outbox.by_message(edit.row.ident.id) is None
        assert outbox.for_ident("room", one.row.ident) is one
        assert outbox.for_ident("hall", one.row.ident) is None
        assert outbox.of_channel("room") == [one, edit]
        assert outbox.adopt_row(one.row) is one


async def test_a_row_that_only_the_store_knows_has_one_entry(clock: VirtualClock) -> None:
    """Whoever asks for it twice holds the same object, and sees it change."""
    async with offline(clock) as ada:
        row = (await ada.send("1")).row._replace(entry_id="other", status="sent")

        entry = ada.outbox.adopt_row(row)

        assert (entry.state, ada.outbox.adopt_row(row)) == (State.SENT, entry)


async def test_edits_that_were_never_attempted_are_found(clock: VirtualClock) -> None:
    """A newer edit replaces them; one that was written is its own entry (D7)."""
    provider = Provider(*[SILENCE] * 100)
    async with client(clock, provider) as ada:
        message = await ada.send("message")
        tried = await ada.send("tried", kind="message.update", of=message)
        await settle()
        edit = await ada.send("edit", kind="message.update", of=message)
        await ada.send("other target", kind="message.update", of=edit)
        await ada.send("other user", kind="message.update", of=message, user="bob")
        await ada.send("damaged", kind="message.update", of=message, data=b"damaged")
        newer = await ada.send("newer", kind="message.update", of=message)
        newest = await ada.send("newest", kind="message.update", of=message)
        ident = message.row.ident

        assert tried.state is State.IN_DOUBT
        assert ada.outbox.older_edits(newer.row.entry_id, ident) == [edit]
        assert ada.outbox.older_edits(newest.row.entry_id, ident) == [edit, newer]
        assert ada.outbox.older_edits(edit.row.entry_id, ident) == []
        assert ada.outbox.older_edits("gone", ident) == []


async def test_who_waits_hears_of_every_change(clock: VirtualClock) -> None:
    """Several at once (law 4: state)."""
    async with offline(clock) as ada:
        waiting = [asyncio.ensure_future(ada.outbox.changed()) for _ in range(3)]
        await settle()
        assert not any(future.done() for future in waiting)
        await ada.send("1")

        await asyncio.gather(*waiting)


async def test_the_oldest_is_the_first_that_still_waits(clock: VirtualClock) -> None:
    """However often it was tried."""
    provider = Provider(*[SILENCE] * 50)
    async with client(clock, provider) as ada:
        queued = clock.wall()
        await ada.send("1")
        await asyncio.sleep(5)
        await ada.send("2")
        await asyncio.sleep(5)
        assert ada.outbox.oldest == queued
        provider.script.clear()
        await ada.drained()

        assert ada.outbox.oldest is None


async def test_counts_tell_what_waits_and_what_failed(clock: VirtualClock) -> None:
    """Withdrawn entries are neither; what failed and was sent by hand is no failure any more."""
    provider = Provider(refuse(Rejected("no"), only=["bad"]))
    async with client(clock, provider) as ada:
        bad = await ada.send("bad")
        await ada.send("good")
        gone = await ada.send("gone", send_in=60.0)
        await ada.outbox.discard(gone)
        await ada.drained()
        assert (ada.outbox.failed, ada.outbox.depth, ada.outbox.size) == (1, 0, 0)
        assert ada.outbox.totals == {"failed": 1, "sent": 1, "discarded": 1}

        await ada.outbox.retry(bad)
        await ada.drained()

        assert (ada.outbox.failed, ada.outbox.oldest) == (0, None)


# -- withdrawing


async def test_what_was_never_attempted_can_be_withdrawn(clock: VirtualClock) -> None:
    """It is never sent, in this life or the next, and neither is what refers to it (D7)."""
    async with offline(clock) as ada:
        message = await ada.send("message")
        edit = await ada.send("edit", kind="message.update", of=message)

        assert await ada.outbox.discard(message)

        assert (message.state, edit.state) == (State.DISCARDED, State.FAILED)
        assert [row.status for row in await ada.store.rows()] == ["discarded", "failed"]
        assert ada.outbox.depth == 0


async def test_what_was_attempted_cannot_be_withdrawn(clock: VirtualClock) -> None:
    """It may be there, or was certainly refused for now: it stays (D7, D14)."""
    provider = Provider(refuse(outcome="unsent", again="later", scope="lane", after=60.0))
    async with client(clock, provider) as ada:
        entry = await ada.send("1")
        await settle()
        assert (entry.state, await ada.outbox.discard(entry)) == (State.QUEUED, False)
        await ada.drained()

        assert not await ada.outbox.discard(entry)


async def test_a_withdrawal_that_the_store_cannot_keep_is_told(clock: VirtualClock) -> None:
    """In this life it is withdrawn; the next would know nothing of it, unless the store recovers (D7)."""
    store = FaultyStore(clock)
    async with offline(clock, store=store) as ada:
        entry = await ada.send("1")
        store.failing["settle"] = 2
        with pytest.raises(StoreError):
            await ada.outbox.discard(entry)
        await settle()
        assert (entry.state, [row.status for row in await store.rows()]) == (State.DISCARDED, ["queued"])

        await asyncio.sleep(2 * AGAIN)
        assert [row.status for row in await store.rows()] == ["discarded"]


# -- deadlines


async def test_what_waits_past_its_deadline_expires(clock: VirtualClock) -> None:
    """It was never written: that is certain; its dependants end with it (D13, D7)."""
    async with offline(clock) as ada:
        entry = await ada.send("1", expires_in=60.0)
        edit = await ada.send("edit", kind="message.update", of=entry)
        await asyncio.sleep(59)
        before = entry.state
        await asyncio.sleep(2)
        await settle()

        assert (before, entry.state, entry.row.certain) == (State.QUEUED, State.EXPIRED, True)
        assert edit.state is State.FAILED
        assert [row.status for row in await ada.store.rows()] == ["expired", "failed"]


async def test_what_is_past_its_deadline_when_its_turn_comes_is_not_sent(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though nobody has looked at the clock since: looks lie some time apart (D13)."""
    monkeypatch.setattr(timetable, "LOOK", 100.0)
    provider = Provider(refuse(outcome="unsent", again="later", scope="lane", after=60.0))
    async with client(clock, provider) as ada:
        ada.context.server_time.confirm(None)
        await ada.send("1")
        await settle()
        late = await ada.send("2", expires_in=59.9)
        await ada.drained()

        assert (late.state, late.row.certain, provider.texts) == (State.EXPIRED, True, [["1"], ["1"]])


async def test_nothing_expires_before_a_contact(clock: VirtualClock) -> None:
    """The device's clock may be a year ahead: only a contact shows it (D13)."""
    ada = offline(clock)
    ada.context.server_time.confirmed = False
    async with ada:
        clock.jump(DAY)
        ada.context.server_time.sleeps()
        entry = await ada.send("1", expires_in=60.0)
        await asyncio.sleep(DAY)
        assert entry.state is State.QUEUED

        ada.context.server_time.confirm(clock.wall() - timedelta(days=2))
        await asyncio.sleep(LOOK)
        assert ada.changes == []
        await asyncio.sleep(DAY + 60)

        assert ada.changes == [("1", "expired", False, None)]


async def test_a_clock_that_was_behind_ends_nothing_early(clock: VirtualClock) -> None:
    """Its deadlines are put off as soon as a contact shows it, in the store too (D13)."""
    provider = Provider(SILENCE)
    ada = client(clock, provider, offline=True)
    async with ada:
        late = await ada.send("late", expires_in=60.0)
        ended = await ada.send("ended")
        await ada.outbox.discard(ended)
        await ada.send("never", expires_at=None)
        await asyncio.sleep(10)
        deadline = late.row.expires_at
        assert deadline is not None
        ada.context.server_time.confirm(clock.wall() + timedelta(days=300))
        await settle()

        assert late.state is State.QUEUED
        assert late.row.expires_at == deadline + timedelta(days=300)
        assert (await ada.store.rows(entry_id=late.row.entry_id))[0].expires_at == late.row.expires_at
        await asyncio.sleep(60)
        assert [(text, status) for text, status, *_ in ada.changes] == [
            ("ended", "discarded"),
            ("late", "expired"),
        ]


async def test_after_a_sleep_deadlines_wait_for_a_contact(clock: VirtualClock) -> None:
    """And what passed meanwhile ends as soon as there is one (D13, D32)."""
    async with offline(clock) as ada:
        entry = await ada.send("1", expires_in=600.0)
        clock.jump(3_600)
        ada.context.server_time.sleeps()
        await asyncio.sleep(300)
        assert entry.state is State.QUEUED

        ada.context.server_time.confirm(clock.wall())
        await asyncio.sleep(LOOK)

        assert ada.changes == [("1", "expired", False, None)]


async def test_in_doubt_a_deadline_leaves_it_uncertain(clock: VirtualClock) -> None:
    """An attempt may have arrived; nothing is sent for it any more (D6, I1)."""
    provider = Provider(*[SILENCE] * 100)
    async with client(clock, provider) as ada:
        entry = await ada.send("1", expires_in=10.0)
        await asyncio.sleep(11)
        sent = len(provider.batches)
        await asyncio.sleep(100)

        assert (entry.state, entry.row.certain, len(provider.batches)) == (State.EXPIRED, False, sent)


async def test_what_is_being_sent_has_its_answer_before_its_deadline_counts(clock: VirtualClock) -> None:
    """And ends right after it where the answer is silence (D6, I11)."""
    provider = Provider(lambda batch: for_ever())
    async with client(clock, provider) as ada:
        entry = await ada.send("1", expires_in=2.0)
        await asyncio.sleep(9)
        before = entry.state
        provider.script = [SILENCE] * 100
        await asyncio.sleep(2)

        assert (before, entry.state, entry.row.certain) == (State.SENDING, State.EXPIRED, False)


async def test_a_log_that_calls_it_too_late_is_certain(clock: VirtualClock) -> None:
    """It looked the id up first (D9)."""
    provider = Provider(SILENCE, refuse(outcome="too_late"))
    async with client(clock, provider, log=FakeLog("fence")) as ada:
        entry = await ada.send("1")
        await ada.drained()

        assert (entry.state, entry.row.certain) == (State.EXPIRED, True)


async def test_a_log_is_told_each_deadline(clock: VirtualClock) -> None:
    """In server time, so that it can refuse what comes later (D9)."""
    provider = Provider()
    async with client(clock, provider) as ada:
        entry = await ada.send("1", expires_in=60.0)
        await ada.drained()

        assert provider.batches[0].entries[0].not_after == entry.row.expires_at


async def test_a_log_is_told_no_deadline_by_an_unconfirmed_clock(clock: VirtualClock) -> None:
    """It would refuse what is in time where that clock is behind, and what follows would overtake it (D9, D13)."""
    provider = Provider(SILENCE)
    ada = client(clock, provider)
    async with ada:
        await settle()
        ada.context.server_time.confirmed = False
        entry = await ada.send("1", expires_in=60.0)
        await settle()
        ada.context.server_time.confirm(None)
        await ada.drained()

        told = [batch.entries[0].not_after for batch in provider.batches]
        assert told == [None, entry.row.expires_at]


async def test_a_late_echo_turns_an_end_into_sent(clock: VirtualClock) -> None:
    """Whatever was thought: it is there (D6, I1)."""
    provider = Provider(*[SILENCE] * 50)
    async with client(clock, provider) as ada:
        expired = await ada.send("1", expires_in=2.0)
        await asyncio.sleep(5)
        ada.outbox.seen("room", expired.row.ident, OrderKey(1, "9"))
        await settle()

        assert (expired.state, expired.row.certain, expired.row.stamp) == (State.SENT, True, OrderKey(1, "9"))
        assert ada.changes[-1] == ("1", "sent", True, None)
        assert await ada.store.rows() == ()


async def test_an_echo_of_somebody_elses_message_is_none_of_ours(clock: VirtualClock) -> None:
    """Nothing changes."""
    async with offline(clock) as ada:
        await ada.send("1")
        ada.outbox.seen("room", Ident("ada", "unknown"), OrderKey(1, "9"))

        assert ada.changes == []


async def test_deadlines_are_met_while_others_come_and_go(clock: VirtualClock) -> None:
    """An earlier deadline that comes later is not overlooked (I11)."""
    async with offline(clock) as ada:
        await ada.send("long", expires_in=DAY)
        await asyncio.sleep(10)
        await ada.send("short", expires_in=5.0)
        await ada.send("shorter", expires_in=3.0)
        await asyncio.sleep(4)
        await ada.send("new", expires_in=30.0)
        await asyncio.sleep(40)

        assert [change[0] for change in ada.changes] == ["shorter", "short", "new"]


async def test_an_entry_without_a_deadline_waits_for_ever(clock: VirtualClock) -> None:
    """A row of a later version may have none."""
    async with offline(clock) as ada:
        entry = await ada.send("1", expires_at=None)
        await asyncio.sleep(10 * LONGEST)

        assert entry.unfinished


async def test_watching_costs_nothing_while_nothing_is_due(clock: VirtualClock) -> None:
    """One look an hour, not twenty a second, also when what is past its deadline may not end yet (I10)."""
    ada = offline(clock)
    ada.context.server_time.confirmed = False
    async with ada:
        await ada.send("1", expires_in=1.0)
        looks = 0
        look = ada.outbox._timetable._look

        def count() -> Any:
            nonlocal looks
            looks += 1
            return look()

        ada.outbox._timetable._look = count  # type: ignore[method-assign]
        await asyncio.sleep(10 * LONGEST)

        assert looks <= 11


# -- again by hand


async def test_a_failed_entry_is_sent_again_at_the_end_of_its_lane(clock: VirtualClock) -> None:
    """Same id and body, new number and reading: its old number would be superseded for ever (D7)."""
    provider = Provider(refuse(Rejected("no")))
    async with client(clock, provider) as ada:
        entry = await ada.send("1")
        await ada.drained()
        await ada.send("2")
        await ada.outbox.retry(entry)
        assert ada.outbox.of_channel("room")[-1] is entry
        await ada.drained()

        assert entry.state is State.SENT
        assert provider.texts == [["1"], ["2", "1"]]
        old, new = (Envelope.parse(batch.entries[-1].data) for batch in provider.batches)
        assert (old.id, old.body) == (new.id, new.body)
        assert (old.seq, new.seq, new.pred) == (1, 3, 2)
        assert old.hlc is not None
        assert new.hlc is not None
        assert old.hlc < new.hlc
        assert ("1", "queued", False, None) in ada.changes


async def test_what_is_sent_again_goes_before_what_changes_it(clock: VirtualClock) -> None:
    """An edit of a message that may be there waits in the lane: a log refuses it without its target (D7)."""
    free = asyncio.Event()

    async def hold(batch: Batch) -> Any:
        await free.wait()
        return accept(batch)

    provider = Provider(SILENCE, hold)
    async with client(clock, provider) as ada:
        entry = await ada.send("1", expires_in=0.01)
        await asyncio.sleep(1)
        assert (entry.state, entry.row.certain) == (State.EXPIRED, False)
        await ada.send_all("2")
        await settle()
        await ada.send("4")
        edit = ada.row("edited", kind="message.update", of=entry)._replace(depends_on=None)  # it has ended
        await ada.outbox.acceptor.add(edit)
        await ada.send("5")
        await ada.outbox.retry(entry)
        free.set()
        await ada.drained()

        assert provider.texts == [["1"], ["2"], ["4", "1", "edited", "5"]]


async def test_what_may_be_there_keeps_its_clock_reading(clock: VirtualClock) -> None:
    """Who has it already and who gets it now show it in one place, where clocks order (D7, I5)."""
    provider = Provider(SILENCE, SILENCE)
    async with client(clock, provider) as ada:
        entry = await ada.send("1", expires_in=0.1)
        await asyncio.sleep(1)
        assert (entry.state, entry.row.certain) == (State.EXPIRED, False)
        await ada.send("2")
        await ada.outbox.retry(entry)
        await ada.drained()

        first, last = (Envelope.parse(provider.batches[at].entries[-1].data) for at in (0, -1))
        assert (first.id, first.hlc) == (last.id, last.hlc)
        assert (first.seq, last.seq) == (1, 3)


async def test_only_what_failed_or_expired_is_sent_again(clock: VirtualClock) -> None:
    """For any other `retry` does nothing (D7)."""
    async with offline(clock) as ada:
        waiting = await ada.send("1")
        gone = await ada.send("2")
        await ada.outbox.discard(gone)

        await ada.outbox.retry(waiting)
        await ada.outbox.retry(gone)

        assert (waiting.state, gone.state, ada.outbox.depth) == (State.QUEUED, State.DISCARDED, 1)


async def test_an_expired_entry_sent_again_has_a_new_deadline(clock: VirtualClock) -> None:
    """The outbox's age from now; and that is watched (D13)."""
    limits = OutboxLimits(age=100.0)
    async with offline(clock, limits=limits) as ada:
        entry = await ada.send("1", expires_in=10.0)
        await asyncio.sleep(20)
        await ada.outbox.retry(entry)
        await asyncio.sleep(99)
        before = entry.state
        await asyncio.sleep(2)

        assert (before, entry.state) == (State.QUEUED, State.EXPIRED)


async def test_what_was_attempted_and_is_sent_again_cannot_be_withdrawn(clock: VirtualClock) -> None:
    """It was written once (D7)."""
    provider = Provider(refuse(Rejected("no")))
    async with client(clock, provider) as ada:
        entry = await ada.send("1")
        await ada.drained()
        await ada.outbox.retry(entry)

        assert not await ada.outbox.discard(entry)
        await ada.drained()


async def uncertain(ada: Client, provider: Provider) -> OutboxEntry:
    """Return an entry that expired in doubt."""
    provider.script = [SILENCE] * 100
    entry = await ada.send("1", expires_in=2.0)
    await asyncio.sleep(5)
    assert (entry.state, entry.row.certain) == (State.EXPIRED, False)
    provider.script = []
    return entry


async def test_after_an_uncertain_failure_it_is_looked_up_first(clock: VirtualClock) -> None:
    """What is found is sent, and not sent again (D7, D10)."""
    log, provider = FakeLog(), Provider()
    async with client(clock, provider, log=log) as ada:
        entry = await uncertain(ada, provider)
        log.has.add(entry.row.ident)
        count = len(provider.batches)
        await ada.outbox.retry(entry)

        assert (entry.state, entry.row.stamp) == (State.SENT, OrderKey(1, "7"))
        assert ada.changes[-1] == ("1", "sent", True, None)
        assert len(provider.batches) == count


async def test_what_is_certainly_absent_starts_afresh(clock: VirtualClock) -> None:
    """Its next end is certain again (D10)."""
    log, provider = FakeLog(), Provider()
    async with client(clock, provider, log=log) as ada:
        log.reaches = clock.wall()
        entry = await uncertain(ada, provider)
        provider.script = [refuse(Rejected("no"))]
        await ada.outbox.retry(entry)
        await ada.drained()

        assert (entry.state, entry.row.certain, entry.maybe_duplicate) == (State.FAILED, True, False)


async def test_what_nobody_can_look_up_stays_in_doubt(clock: VirtualClock) -> None:
    """It is sent, may be a duplicate, and its next failure is no more certain than the last (D10)."""
    provider = Provider()
    async with client(clock, provider) as ada:
        entry = await uncertain(ada, provider)
        provider.script = [refuse(Rejected("no"))]
        await ada.outbox.retry(entry)
        assert (entry.state, entry.maybe_duplicate) == (State.IN_DOUBT, True)
        await ada.drained()

        assert (entry.state, entry.row.certain) == (State.FAILED, False)


async def test_a_fence_needs_no_look_before_a_repeat(clock: VirtualClock) -> None:
    """It answers `duplicate` where the first attempt arrived (D9)."""
    log, provider = FakeLog("fence"), Provider()
    async with client(clock, provider, log=log) as ada:
        entry = await uncertain(ada, provider)
        await ada.outbox.retry(entry)
        await ada.drained()

        assert (entry.state, entry.maybe_duplicate, log.asked) == (State.SENT, False, [])


async def test_without_an_answer_to_the_look_nothing_has_changed(clock: VirtualClock) -> None:
    """The caller hears of it and may try again (D10)."""
    log, provider = FakeLog(), Provider()
    async with client(clock, provider, log=log) as ada:
        entry = await uncertain(ada, provider)
        log.errors = [TransportError("away")] * 4
        row = entry.row
        with pytest.raises(TransportError):
            await ada.outbox.retry(entry)

        assert (entry.row, entry.state) == (row, State.EXPIRED)
        await ada.outbox.retry(entry)
        await ada.drained()


async def test_two_who_ask_at_once_queue_it_once(clock: VirtualClock) -> None:
    """The second finds it queued already (I2)."""
    log, provider = FakeLog(), Provider()
    async with client(clock, provider, log=log) as ada:
        entry = await uncertain(ada, provider)
        count = len(provider.batches)
        await asyncio.gather(ada.outbox.retry(entry), ada.outbox.retry(entry))
        await ada.drained()

        assert (entry.state, len(provider.batches)) == (State.SENT, count + 1)


async def test_while_its_batch_is_in_doubt_it_goes_on_in_it(clock: VirtualClock) -> None:
    """Other bytes under this batch's id would not be the identical batch (D10)."""
    provider = Provider(*[SILENCE] * 100)
    async with client(clock, provider) as ada:
        entries = await ada.send_all("1", expires_in=2.0) + await ada.send_all("2")
        await asyncio.sleep(5)
        assert [entry.state for entry in entries] == [State.EXPIRED, State.IN_DOUBT]
        await ada.outbox.retry(entries[0])
        assert entries[0].state is State.IN_DOUBT
        provider.script = []
        await ada.drained()

        assert [entry.state for entry in entries] == [State.SENT] * 2
        frozen = {(batch.batch_id, *(out[:4] for out in batch.entries)) for batch in provider.batches}
        assert len(frozen) == 1
        assert provider.texts[-1] == ["1", "2"]


async def test_those_of_a_batch_that_ended_whole_are_sent_again_one_by_one(clock: VirtualClock) -> None:
    """The first that was queued again has left the batch: the second does not wait for it there (I1, D10)."""
    provider = Provider(*[SILENCE] * 100)
    async with client(clock, provider) as ada:
        first, second = await ada.send_all("12", expires_in=2.0)
        await asyncio.sleep(5)
        assert (first.state, second.state) == (State.EXPIRED, State.EXPIRED)
        provider.script = []
        await ada.outbox.retry(first)
        await ada.outbox.retry(second)
        await ada.drained()

        assert (first.state, second.state) == (State.SENT, State.SENT)
        assert provider.texts[-1] == ["1", "2"]


async def test_what_goes_on_in_its_batch_has_its_new_deadline_watched(clock: VirtualClock) -> None:
    """Nothing else that is in doubt need end before it (D13, I11)."""
    provider = Provider(*[SILENCE] * 1_000)
    async with client(clock, provider, limits=OutboxLimits(age=60.0)) as ada:
        [first] = await ada.send_all("1", expires_in=2.0)
        await ada.send("2", expires_in=DAY)
        await asyncio.sleep(5)
        assert (first.state, first.batch[1].state) == (State.EXPIRED, State.IN_DOUBT)
        await ada.outbox.retry(first)
        await asyncio.sleep(59)
        before = first.state
        await asyncio.sleep(2)

        assert (before, first.state, first.row.certain) == (State.IN_DOUBT, State.EXPIRED, False)


async def test_so_has_what_goes_on_in_a_batch_of_an_earlier_life(clock: VirtualClock, tmp_path: Path) -> None:
    """The batch was put together again, what had ended of it too (D10, D13)."""
    provider, limits = Provider(*[SILENCE] * 1_000), OutboxLimits(age=60.0)
    async with client(clock, provider, store=keep_file(tmp_path / "a.db", clock)) as ada:
        await ada.send("1", expires_in=2.0)
        await ada.send("2", expires_in=DAY)
        await asyncio.sleep(5)
    store = keep_file(tmp_path / "a.db", clock)
    async with client(clock, provider, store=store, limits=limits) as ada:
        first = next(entry for entry in ada.outbox.of_channel("room") if entry.state is State.EXPIRED)
        await ada.connected()
        await ada.outbox.retry(first)
        await asyncio.sleep(59)
        before = first.state
        await asyncio.sleep(2)

        assert (before, first.state, first.row.certain) == (State.IN_DOUBT, State.EXPIRED, False)
        assert {tuple(texts) for texts in provider.texts} == {("1", "2")}


async def test_all_of_a_batch_that_ended_go_out_when_sent_again(clock: VirtualClock) -> None:
    """The first of them leaves the batch; no other waits for it to go out as it was (D7, I11)."""
    provider = Provider(*[SILENCE] * 100)
    async with client(clock, provider) as ada:
        entries = await ada.send_all("123", expires_in=2.0)
        await asyncio.sleep(5)
        assert [entry.state for entry in entries] == [State.EXPIRED] * 3
        provider.script = []
        for entry in entries:
            await ada.outbox.retry(entry)
        await ada.drained()

        assert [entry.state for entry in entries] == [State.SENT] * 3
        assert provider.texts[-1] == ["1", "2", "3"]


async def test_what_is_sent_again_by_hand_does_not_come_again_when_it_is_due(clock: VirtualClock) -> None:
    """A reply planned for later failed with its message: now it waits in the queue, once (I2)."""
    put_off = refuse(again="later", scope="lane", after=1_000.0)
    provider = Provider(refuse(Rejected("no")), put_off)
    async with client(clock, provider) as ada:
        message = await ada.send("message")
        reply = await ada.send("reply", of=message, send_in=600.0)
        await ada.drained()
        assert reply.state is State.FAILED
        await ada.outbox.retry(message)
        await settle()
        await ada.outbox.retry(reply)
        await ada.drained(2_000.0)

        assert provider.texts == [["message"], ["message"], ["message"], ["reply"]]


async def test_what_expired_in_a_queue_that_stands_leaves_its_old_place(clock: VirtualClock) -> None:
    """Sent again while offline it stands at the end of the lane, and only there (D7, I2)."""
    provider = Provider()
    ada = client(clock, provider)
    ada.context.adapter.script = [TransportError("away")] * 5  # type: ignore[attr-defined]
    async with ada:
        ada.context.server_time.confirm(None)
        entries = await ada.send_all("1", expires_in=1.0) + await ada.send_all("23")
        await asyncio.sleep(2)
        assert entries[0].state is State.EXPIRED
        await ada.outbox.retry(entries[0])
        await ada.drained()

        assert provider.texts == [["2", "3", "1"]]


@pytest.mark.parametrize(
    "answer",
    [
        TransportError("no answer"),
        refuse(again="later", scope="lane", after=5.0),
        refuse(outcome="superseded"),
    ],
    ids=["silence", "put off", "superseded"],
)
async def test_what_ends_on_its_way_and_is_sent_again_goes_on_as_it_is(
    clock: VirtualClock, answer: object
) -> None:
    """The answer that is still to come decides where it goes on, and nowhere besides (D10, I2)."""
    hold = asyncio.Event()

    async def slow(batch: Batch) -> Any:
        await hold.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer(batch)  # type: ignore[operator]

    provider = Provider(SILENCE, slow)
    async with client(clock, provider, log=FakeLog("fence")) as ada:
        entry = await ada.send("1", expires_in=4.0)
        await asyncio.sleep(5)
        assert (entry.state, len(provider.batches)) == (State.EXPIRED, 2)
        await ada.outbox.retry(entry)
        hold.set()
        await ada.drained()

        assert (entry.state, provider.texts) == (State.SENT, [["1"]] * 3)
        assert [out.seq for batch in provider.batches for out in batch.entries] == [1, 1, 1]


async def test_a_deadline_given_on_its_way_outlives_a_record_that_fails(clock: VirtualClock) -> None:
    """All else is as before the attempt that did not happen (D13)."""
    provider, store = Provider(), FaultyStore(clock)
    async with client(clock, provider, store=store, limits=OutboxLimits(age=60.0)) as ada:
        entry = await uncertain(ada, provider)

        async def outlast() -> None:
            await asyncio.sleep(61)
            assert entry.state is State.EXPIRED
            await ada.outbox.retry(entry)

        store.failing["attempt"], store.during["attempt"] = 1, outlast
        await ada.outbox.retry(entry)
        await asyncio.sleep(62)
        await ada.drained()

        assert entry.state is State.SENT
        assert ada.changes[-2:] == [("1", "sending", False, None), ("1", "sent", False, None)]


async def test_a_dependant_fails_again_while_its_target_is_dead(clock: VirtualClock) -> None:
    """The message it refers to is to be sent first; then it goes out behind it (D7)."""
    provider = Provider(refuse(Rejected("no")))
    async with client(clock, provider, capable={"batch": 1}) as ada:
        message = await ada.send("message")
        edit = await ada.send("edit", kind="message.update", of=message)
        await ada.drained()
        await ada.outbox.retry(edit)
        await ada.drained()
        first = edit.state
        await ada.outbox.retry(message)
        await ada.outbox.retry(edit)
        await ada.drained()

        assert (first, edit.state) == (State.FAILED, State.SENT)
        assert provider.texts == [["message"], ["message"], ["edit"]]


# -- after a restart


async def test_what_refers_to_one_message_is_let_go_one_by_one(clock: VirtualClock) -> None:
    """An edit that was sent leaves the others to their fate (D7)."""
    put_off = refuse(outcome="unsent", again="later", only=["message"])
    provider = Provider(put_off, refuse(Rejected("no"), only=["message"]))
    async with client(clock, provider) as ada:
        message = await ada.send("message")
        first = await ada.send("first", kind="message.update", of=message)
        later = await ada.send("later", kind="message.update", of=message, send_in=90.0)
        await asyncio.sleep(5)

        assert provider.texts == [["message", "first"], ["message"]]
        assert (first.state, later.state) == (State.SENT, State.FAILED)


async def test_what_waited_is_taken_up_in_order(clock: VirtualClock, tmp_path: Path) -> None:
    """Under the same ids, deadlines and numbers (I3, D5)."""
    path = tmp_path / "a.db"
    async with client(clock, store=keep_file(path, clock)) as ada:
        await ada.send("0")
        await ada.drained()
    async with offline(clock, store=keep_file(path, clock)) as ada:
        ids = [entry.row.ident for entry in await ada.send_all("123")]
    provider = Provider()
    ada = client(clock, provider, store=keep_file(path, clock))
    found = await ada.open()
    assert [entry.row.ident for entry in found] == ids
    assert ada.outbox.depth == 3
    await ada.drained()
    await ada.aclose()

    assert provider.texts == [["1", "2", "3"]]
    assert [Envelope.parse(out.data).seq for out in provider.batches[0].entries] == [2, 3, 4]


async def test_more_than_one_page_is_read(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much waited (I3)."""
    monkeypatch.setattr("chatkit.engine.outbox.PAGE", 2)
    store = keep_memory(clock)
    async with offline(clock, store=store) as ada:
        await ada.send_all("12345")
        other = client(clock, store=store)

        assert len(await other.outbox.load(ada.outbox.device)) == 5
        await other.context.tasks.aclose(1.0)


async def test_what_was_in_doubt_goes_out_identical(clock: VirtualClock, tmp_path: Path) -> None:
    """The whole batch, byte for byte, before what waited behind it; ended members go along (D10)."""
    path, first = tmp_path / "a.db", Provider(*[SILENCE] * 100)
    async with client(clock, first, store=keep_file(path, clock)) as ada:
        entries = await ada.send_all("12") + await ada.send_all("3", expires_in=2.0) + await ada.send_all("4")
        await asyncio.sleep(1)
        ada.outbox.seen("room", entries[0].row.ident, OrderKey(1, "1"))
        await asyncio.sleep(2)
        await ada.send("5")
        doubt = State.IN_DOUBT
        assert [entry.state for entry in entries] == [State.SENT, doubt, State.EXPIRED, doubt]
    second = Provider()
    async with client(clock, second, store=keep_file(path, clock)) as ada:
        await ada.drained()

    assert [second.batches[0].batch_id] == list({batch.batch_id for batch in first.batches})
    assert second.batches[0].entries == first.batches[0].entries
    assert second.texts == [["1", "2", "3", "4"], ["5"]]


async def test_a_batch_that_is_not_whole_any_more_goes_out_in_singles(clock: VirtualClock) -> None:
    """A part under the whole's id could be taken for another: each is looked up and sent alone (D10)."""
    log, store = FakeLog(), FaultyStore(clock)
    first = client(clock, Provider(*[SILENCE] * 100), store=store, log=log)
    await first.open()
    entries = await first.send_all("123")
    await settle()
    await first.context.tasks.aclose(1.0)
    store._shelf.forget(entries[1].row.entry_id)
    provider = Provider()
    ada = client(clock, provider, log=log)
    ada.context.store = store
    await ada.outbox.load(first.outbox.device)
    ada.link.start()
    await ada.drained()

    assert provider.texts == [["1"], ["3"]]
    assert len(log.asked) == 2
    for one in (first, ada):
        await one.link.aclose()
        await one.context.tasks.aclose(1.0)


async def test_a_member_that_went_on_elsewhere_does_not_count_as_one(clock: VirtualClock) -> None:
    """It was sent again by hand in another batch: the old one cannot be made whole (D10)."""
    store = FaultyStore(clock)
    first = client(clock, Provider(*[SILENCE] * 100), store=store)
    await first.open()
    entries = await first.send_all("12")
    await settle()
    await first.context.tasks.aclose(1.0)
    store._shelf.put(entries[0].row._replace(batch_id="other"))
    provider = Provider()
    ada = client(clock, provider)
    ada.context.store = store
    await ada.outbox.load(first.outbox.device)
    ada.link.start()
    await ada.drained()

    assert provider.texts == [["1"], ["2"]]
    for one in (first, ada):
        await one.link.aclose()
        await one.context.tasks.aclose(1.0)


async def test_dead_letters_are_found_again(clock: VirtualClock, tmp_path: Path) -> None:
    """With their reason, to be sent by hand in a later life (D12)."""
    path = tmp_path / "a.db"
    async with client(clock, Provider(refuse(Rejected("no"))), store=keep_file(path, clock)) as ada:
        message_id = (await ada.send("1")).row.ident.id
        await ada.drained()
    async with client(clock, store=keep_file(path, clock)) as ada:
        entry = ada.outbox.by_message(message_id)
        assert entry is not None
        assert (entry.row.reason, ada.outbox.failed, ada.outbox.depth) == ("Rejected: no", 1, 0)
        await ada.outbox.retry(entry)
        await ada.drained()

        assert ada.outbox.failed == 0


async def test_a_dependant_whose_target_failed_in_an_earlier_life_fails(clock: VirtualClock) -> None:
    """The crash came between the two ends (D7)."""
    store = FaultyStore(clock)
    async with offline(clock, store=store) as ada:
        message = await ada.send("message")
        edit = await ada.send("edit", kind="message.update", of=message)
        await store.settle([message.row._replace(status="failed")])
        later = client(clock, store=store)
        await later.outbox.load(ada.outbox.device)

        found = later.outbox.get(edit.row.entry_id)
        assert found is not None
        assert isinstance(found.error, DependencyFailed)
        await later.context.tasks.aclose(1.0)


async def test_what_was_sent_again_in_doubt_is_taken_up_so(clock: VirtualClock, tmp_path: Path) -> None:
    """It has no number yet, and is numbered when its turn comes (D7)."""
    path, provider = tmp_path / "a.db", Provider(*[SILENCE] * 100)
    ada = client(clock, provider, store=keep_file(path, clock))
    async with ada:
        entry = await ada.send("1", expires_in=2.0)
        await asyncio.sleep(5)
        session = ada.link.live
        assert session is not None
        ada.context.adapter.script = [for_ever] * 9  # type: ignore[attr-defined]
        ada.link.lost(session, TransportError("gone"))
        await ada.outbox.retry(entry)
    again = Provider()
    async with client(clock, again, store=keep_file(path, clock)) as ada:
        await ada.drained()

    [[out]] = [batch.entries for batch in again.batches]
    assert (out.ident, Envelope.parse(out.data).seq) == (entry.row.ident, 2)


# -- a store directory


async def test_what_a_dead_process_left_is_taken_over(clock: VirtualClock, tmp_path: Path) -> None:
    """It keeps its device and its order; own wishes have theirs (D27)."""
    path = f"{tmp_path}/outbox/"
    provider = Provider()
    dead = offline(clock, seed=1, store=keep_file(path, clock, seed=1))
    await dead.open()
    heir = offline(clock, provider=provider, seed=2, store=keep_file(path, clock, seed=2))
    await heir.open()
    await dead.send_all("123")
    await heir.send("own")
    devices = dead.outbox.device, heir.outbox.device
    dead.store.abandon()  # type: ignore[attr-defined]
    await dead.context.tasks.aclose(1.0)
    await dead.link.aclose()

    assert len(await heir.outbox.adopt()) == 3
    assert await heir.outbox.adopt() == []
    heir.link.start()
    await heir.drained()
    await heir.aclose()

    assert sorted(provider.texts) == [["1", "2", "3"], ["own"]]
    by_text = {tuple(texts): batch for texts, batch in zip(provider.texts, provider.batches, strict=True)}
    assert {out.device for out in by_text["1", "2", "3"].entries} == {devices[0]}
    assert {out.device for out in by_text[("own",)].entries} == {devices[1]}


async def test_a_wish_whose_key_is_being_adopted_is_taken_once(clock: VirtualClock, tmp_path: Path) -> None:
    """The file is ours, its entries are not in their lanes yet: whoever adopts them puts them there (D14)."""
    path = f"{tmp_path}/outbox/"
    dead = offline(clock, seed=1, store=keep_file(path, clock, seed=1))
    await dead.open()
    provider = Provider()
    heir = client(clock, provider, seed=2, store=keep_file(path, clock, seed=2))
    await heir.open()
    await dead.send("1", key="k")
    dead.store.abandon()  # type: ignore[attr-defined]
    await dead.context.tasks.aclose(1.0)
    await dead.link.aclose()
    adopt = heir.store.adopt

    async def slow() -> Any:
        rows = await adopt()
        await asyncio.sleep(1)
        return rows

    heir.store.adopt = slow  # type: ignore[method-assign]
    adopting = asyncio.ensure_future(heir.outbox.adopt())
    await asyncio.sleep(0.5)
    entry = await heir.send("again", key="k")
    assert await adopting == [entry]
    await heir.drained()
    await heir.aclose()

    assert (provider.texts, entry.state) == ([["1"]], State.SENT)


async def test_a_dead_letter_of_an_adopted_file_can_be_sent_again(
    clock: VirtualClock, tmp_path: Path
) -> None:
    """Under the device of its file, where its row lies (D27)."""
    path = f"{tmp_path}/outbox/"
    dead = client(clock, Provider(refuse(Rejected("no"))), seed=1, store=keep_file(path, clock, seed=1))
    await dead.open()
    provider = Provider()
    heir = client(clock, provider, seed=2, store=keep_file(path, clock, seed=2))
    await heir.open()
    bad = await dead.send("1")
    await dead.drained()
    await settle()
    dead.store.abandon()  # type: ignore[attr-defined]
    await dead.context.tasks.aclose(1.0)
    await dead.link.aclose()
    await heir.outbox.adopt()
    [row] = await heir.store.rows(entry_id=bad.row.entry_id)
    entry = heir.outbox.adopt_row(row)
    await heir.outbox.retry(entry)
    await heir.drained()
    await settle()

    assert (entry.state, provider.texts) == (State.SENT, [["1"]])
    assert provider.batches[0].entries[0].device == bad.row.device
    assert await heir.store.rows() == ()
    await heir.aclose()


@pytest.mark.parametrize("call", ["adopt", "batches"])
async def test_an_adoption_that_breaks_off_is_finished_later(clock: VirtualClock, call: str) -> None:
    """Before the files were ours or after: nothing of them is overlooked (D27)."""
    provider, store = Provider(), FaultyStore(clock)
    async with client(clock, provider, store=store) as ada:
        row = ada.row("left", device="adopted01")
        _ = await store.add((row,))
        store.left = (row,)
        store.failing[call] = 1
        assert await ada.outbox.adopt() == []
        assert ada.context.counters["store_errors"] == 1

        assert [entry.row for entry in await ada.outbox.adopt()] == [row]
        assert await ada.outbox.adopt() == []
        await ada.drained()

        assert provider.texts == [["left"]]


async def test_what_is_known_of_a_lane_is_newer_than_the_store(clock: VirtualClock) -> None:
    """An adoption does not set numbers back (D5)."""
    async with client(clock) as ada:
        await ada.send("1")
        await ada.drained()
        await settle()
        key = LaneKey("room", "ada", ada.outbox.device)
        known = ada.outbox.lanes._marks[key]
        ada.outbox.lanes.learn({key: known._replace(seq=0)})

        assert ada.outbox.lanes._marks[key] == known


# -- sweeping


async def test_what_ended_long_ago_is_forgotten(clock: VirtualClock) -> None:
    """A day past the outbox's age, in memory and in the store (D14, I10)."""
    async with offline(clock, limits=OutboxLimits(age=DAY)) as ada:
        entry = await ada.send("1", expires_in=1.0)
        await asyncio.sleep(2 * DAY - SWEEP)
        before = ada.outbox.failed
        await asyncio.sleep(2 * SWEEP + 1)

        assert (before, ada.outbox.failed) == (1, 0)
        assert ada.outbox.for_ident("room", entry.row.ident) is None
        assert await ada.store.rows() == ()


async def test_a_store_that_cannot_sweep_is_asked_again(clock: VirtualClock) -> None:
    """It is no defect of ours: it is counted, and the next sweep comes (D14)."""
    store = FaultyStore(clock)
    async with client(clock, store=store) as ada:
        store.failing["prune"] = 1
        await asyncio.sleep(2 * SWEEP + 1)

        assert (ada.context.counters["store_errors"], ada.context.defects) == (1, {})


async def test_a_settling_that_is_cut_short_is_done_at_the_end(clock: VirtualClock) -> None:
    """Closing writes what its tasks could not any more (I3)."""
    store = FaultyStore(clock)
    ada = client(clock, store=store)
    await ada.open()

    async def hang() -> None:
        await asyncio.sleep(1_000)

    store.during["settle"] = hang
    await ada.send("1")
    await ada.drained()
    await settle()
    assert [row.status for row in await store.rows()] == ["sending"]
    await ada.context.tasks.aclose(1.0)
    await ada.outbox.settle()

    assert await store.rows() == ()
    await ada.aclose()
