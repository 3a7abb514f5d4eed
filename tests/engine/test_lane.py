"""Lanes: order, batches, doubt, refusals and how far each reaches."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from chatkit.core.delivery import State
from chatkit.core.message import build_pending
from chatkit.core.overlay import Wish
from chatkit.engine.answers import REFUSALS, REFUSED_FOR
from chatkit.engine.lane import PAUSE
from chatkit.engine.tasks import RESTART
from chatkit.errors import (
    AuthenticationError,
    CapabilityError,
    DependencyFailed,
    GaveUp,
    NotAllowed,
    ProviderError,
    RateLimited,
    Rejected,
    TransportError,
)
from chatkit.model.envelope import Envelope
from chatkit.model.order import OrderKey
from chatkit.ports import Ack, Batch, SessionClosed
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
    refuse,
    text_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from chatkit.testing.clock import VirtualClock

SILENCE = None
"""A step of a `Provider`: no answer."""
LATER: dict[str, Any] = {"outcome": "unsent", "again": "later"}
"""How a provider puts something off."""


def client(clock: VirtualClock, provider: Provider, *, chance: float = 0.5, **options: Any) -> Client:
    own = {name: options.pop(name) for name in ("store", "window", "limits") if name in options}
    found = Client(clock, provider.adapter(**options), **own)
    found.context.random = Fixed(chance)
    return found


def numbers(provider: Provider) -> list[list[tuple[int | None, int | None]]]:
    """Return the `seq` and `pred` of each entry of each batch."""
    return [[(e.seq, e.pred) for e in map(envelope_of, batch.entries)] for batch in provider.batches]


def envelope_of(outgoing: Any) -> Envelope:
    return Envelope.parse(outgoing.data)


# -- forming batches


async def test_one_publish_is_in_flight_and_the_rest_is_the_next_batch(
    clock: VirtualClock,
) -> None:
    """No window: a later wish never overtakes an earlier one (D8)."""
    release = asyncio.Event()

    async def slow(batch: Batch) -> list[Ack]:
        await release.wait()
        return accept(batch)

    provider = Provider(slow)
    async with client(clock, provider) as ada:
        await ada.send("1")
        await settle()
        await ada.send_all("234")
        await settle()
        assert provider.texts == [["1"]]

        release.set()
        await ada.drained()

        assert provider.texts == [["1"], ["2", "3", "4"]]


async def test_a_batch_holds_no_more_than_the_provider_takes(clock: VirtualClock) -> None:
    """Never across `capabilities.batch`."""
    provider = Provider()
    async with client(clock, provider, capable={"batch": 3}) as ada:
        await ada.send_all("1234567")
        await ada.drained()

        assert provider.texts == [["1", "2", "3"], ["4", "5", "6"], ["7"]]


async def test_a_batch_is_no_larger_than_a_frame(clock: VirtualClock) -> None:
    """As it goes out, numbered; one that is too large alone goes alone, for the provider to judge."""
    provider = Provider()
    async with client(clock, provider, capable={"frame_bytes": 1_000}) as ada:
        await ada.send_all(["a" * 100, "b" * 100, "c" * 100, "d" * 2_000, "e"])
        await ada.drained()

        assert [[text[0] for text in batch] for batch in provider.texts] == [["a", "b"], ["c"], ["d"], ["e"]]
        sizes = [sum(len(out.data) for out in batch.entries) for batch in provider.batches]
        assert all(size <= 1_000 for size in sizes if size != sizes[2])


async def test_channels_and_users_have_lanes_of_their_own(clock: VirtualClock) -> None:
    """One that stands still holds up no other (D8)."""
    provider = Provider(lambda batch: for_ever())
    async with client(clock, provider) as ada:
        await ada.send("stuck")
        await settle()
        await ada.send("other channel", "hall")
        await ada.send("other user", user="bob")
        await settle()

        assert sorted(provider.texts) == [["other channel"], ["other user"], ["stuck"]]


async def test_wishes_are_numbered_in_order(clock: VirtualClock) -> None:
    """Each names its predecessor; a lane that had nothing to do goes on where it was (D5)."""
    provider = Provider()
    async with client(clock, provider) as ada:
        await ada.send_all("12")
        await ada.drained()
        await settle()
        await ada.send("3")
        await ada.drained()

        assert numbers(provider) == [[(1, 0), (2, 1)], [(3, 2)]]


async def test_a_refused_wish_is_nobodys_predecessor(clock: VirtualClock) -> None:
    """It is not in the channel: naming it would send every reader looking for it (D5)."""
    provider = Provider(accept, refuse(Rejected("no")))
    async with client(clock, provider) as ada:
        for text in "123":
            await ada.send(text)
            await ada.drained()

        assert numbers(provider) == [[(1, 0)], [(2, 1)], [(3, 1)]]


async def test_one_in_doubt_may_be_a_predecessor(clock: VirtualClock) -> None:
    """It may be there; who comes after it says so (D5)."""
    provider = Provider(*[SILENCE] * 50)
    async with client(clock, provider) as ada:
        first = await ada.send("1", expires_in=1)
        await asyncio.sleep(5)
        assert first.state is State.EXPIRED
        provider.script.clear()
        await ada.send("2")
        await ada.drained()

        assert numbers(provider)[-1] == [(2, 1)]


@pytest.mark.parametrize(("order", "epoch"), [("clock", 1), ("provider", None), ("log", None)])
async def test_where_nobody_numbers_the_envelope_carries_its_epoch(
    clock: VirtualClock, order: str, epoch: int | None
) -> None:
    """And the hybrid clock's reading always (D3, D4)."""
    provider = Provider()
    async with client(clock, provider, capable={"order": order}) as ada:
        entry = await ada.send("1")
        await ada.drained()

        [[out]] = [batch.entries for batch in provider.batches]
        envelope = envelope_of(out)
        assert (envelope.epoch, envelope.hlc) == (epoch, ada.context.hlc.last)
        assert (entry.row.stamp is not None) == (order == "clock")


async def test_what_cannot_be_read_any_more_fails_alone(clock: VirtualClock) -> None:
    """A damaged row would hold its lane for ever (I11)."""
    provider = Provider()
    async with client(clock, provider) as ada:
        bad, good = ada.row("bad")._replace(data=b"{"), ada.row("good")
        entries = [await ada.outbox.acceptor.add(row) for row in (bad, good)]
        await ada.drained()

        assert [entry.state for entry in entries] == [State.FAILED, State.SENT]
        assert provider.texts == [["good"]]
        assert await ada.store.rows(status="failed") != ()


async def test_what_the_adapter_chokes_on_fails_alone(clock: VirtualClock) -> None:
    """A defect of its own in measuring one message holds up no other; its text stays out (I11, I16)."""
    provider = Provider()
    async with client(clock, provider) as ada:
        adapter: Any = ada.context.adapter

        def choke(channel: str, data: bytes) -> int:
            if b"bad" in data:
                raise ValueError("secret")
            return len(data)

        adapter.measure = choke
        entries = await ada.send_all(["1", "bad", "2"])
        await ada.drained()

        assert [entry.state for entry in entries] == [State.SENT, State.FAILED, State.SENT]
        assert provider.texts == [["1", "2"]]
        assert "ValueError" in (entries[1].row.reason or "")
        assert "secret" not in (entries[1].row.reason or "")


async def test_a_window_gives_up_order_and_numbers(clock: VirtualClock) -> None:
    """Publishes made at once arrive in any order: a fence would refuse the late ones by number (D8)."""
    provider = Provider(lambda batch: for_ever(), lambda batch: for_ever())
    async with client(clock, provider, capable={"batch": 1}, window=3) as ada:
        await ada.send_all("12345")
        await settle()

        assert provider.texts == [["1"], ["2"], ["3"], ["4"], ["5"]]
        assert numbers(provider) == [[(None, None)]] * 5
        assert ada.outbox.depth == 2


async def test_a_window_has_as_many_publishes_in_flight_as_it_says(clock: VirtualClock) -> None:
    """And no more (D8, I10)."""
    provider = Provider(*[lambda batch: for_ever()] * 5)
    async with client(clock, provider, capable={"batch": 1}, window=3) as ada:
        await ada.send_all("12345")
        await settle()

        assert provider.texts == [["1"], ["2"], ["3"]]


# -- doubt


async def test_in_doubt_the_identical_batch_goes_out_again(clock: VirtualClock) -> None:
    """Byte for byte and before anything that queued meanwhile, until it is answered (D7, D10)."""
    provider = Provider(SILENCE, SILENCE)
    async with client(clock, provider) as ada:
        entries = await ada.send_all("12")
        await asyncio.sleep(0.05)
        assert [entry.state for entry in entries] == [State.IN_DOUBT] * 2
        await ada.send("3")
        await ada.drained()

        assert provider.texts == [["1", "2"], ["1", "2"], ["1", "2"], ["3"]]
        assert provider.batches[0] == provider.batches[1] == provider.batches[2]
        assert [entry.row.attempts for entry in entries] == [3, 3]


async def test_doubt_backs_off_and_silence_never_gives_up(clock: VirtualClock) -> None:
    """Hours without an answer cost nothing but time (D12)."""
    provider = Provider(*[SILENCE] * 3_000)
    async with client(clock, provider, chance=1.0) as ada:
        entry = await ada.send("1")
        await asyncio.sleep(3 * REFUSED_FOR)
        provider.script.clear()
        await ada.drained()

        waits = [later - earlier for earlier, later in zip(provider.at, provider.at[1:], strict=False)]
        assert waits[:8] == pytest.approx([0.5, 1, 2, 4, 8, 16, 30, 30])
        assert entry.state is State.SENT
        assert entry.row.attempts > 300


async def test_lanes_do_not_sit_out_their_backoff_when_the_path_is_back(clock: VirtualClock) -> None:
    """Also the lane that was waiting for the session itself (D15)."""
    provider = Provider(*[SILENCE] * 8)
    async with client(clock, provider, chance=1.0) as ada:
        await ada.send("1")
        await asyncio.sleep(40)  # the next wait is thirty seconds
        assert len(provider.batches) == 7
        ada.outbox.wake()
        await settle()
        assert len(provider.batches) == 8

        def cut(batch: Batch) -> list[Ack]:
            session = ada.link.live
            assert session is not None
            ada.link.lost(session, TransportError("gone"))
            raise TransportError("gone")

        provider.script = [cut]
        ada.outbox.wake()
        await settle()
        await ada.connected()
        await settle()
        assert ada.outbox.depth == 0


@pytest.mark.parametrize(
    "wrong", [lambda batch: accept(batch)[:1], lambda batch: list(reversed(accept(batch)))]
)
async def test_answers_to_other_entries_are_no_answer(clock: VirtualClock, wrong: Any) -> None:
    """Nobody can say which entry an answer belongs to."""
    provider = Provider(wrong)
    async with client(clock, provider) as ada:
        entries = await ada.send_all("12")
        await settle()
        assert [entry.state for entry in entries] == [State.IN_DOUBT] * 2
        assert isinstance(entries[0].error, TransportError)
        await ada.drained()

        assert provider.texts == [["1", "2"]] * 2


async def test_a_session_that_goes_while_a_lane_waits_its_turn_stops_it(clock: VirtualClock) -> None:
    """Nothing is recorded or written before there is one again (D15)."""
    provider = Provider()
    async with client(clock, provider, capable={"publish_rate": 1.0, "batch": 1}) as ada:
        await ada.send_all("12")
        await asyncio.sleep(0.5)
        session = ada.link.live
        assert session is not None
        ada.context.adapter.script = [SessionClosed("no", again="later", after=10.0)]  # type: ignore[attr-defined]
        ada.link.lost(session, TransportError("gone"))
        await asyncio.sleep(5)
        assert (provider.texts, ada.watcher.count("outbox.attempted")) == ([["1"]], 1)
        await ada.drained()

        assert provider.texts == [["1"], ["2"]]


async def test_a_session_that_goes_before_the_write_leaves_no_doubt(clock: VirtualClock) -> None:
    """Nothing was written, and that is known (D6)."""
    provider, store = Provider(), FaultyStore(clock)
    async with client(clock, provider, store=store) as ada:
        await ada.connected()

        async def cut() -> None:
            session = ada.link.live
            assert session is not None
            ada.link.lost(session, TransportError("gone"))

        store.during["attempt"] = cut
        entry = await ada.send("1")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (entry.state, provider.batches) == (State.QUEUED, [])
        await ada.drained()

        assert (entry.maybe_duplicate, len(provider.batches)) == (False, 1)


async def test_an_echo_while_the_attempt_is_recorded_makes_it_needless(clock: VirtualClock) -> None:
    """Where everything of the batch is there nothing is written again (D6)."""
    provider, store = Provider(SILENCE), FaultyStore(clock)
    async with client(clock, provider, store=store) as ada:
        entry = await ada.send("1")
        await settle()

        async def echo() -> None:
            ada.outbox.seen("room", entry.row.ident, OrderKey(1, "5"))

        store.during["attempt"] = echo
        await ada.drained()
        await settle()

        assert (entry.state, entry.row.stamp) == (State.SENT, OrderKey(1, "5"))
        assert len(provider.batches) == 1


async def test_an_echo_before_the_answer_counts_once(clock: VirtualClock) -> None:
    """The frame may overtake the acknowledgement: one change, one entry sent (D6)."""
    provider = Provider()
    async with client(clock, provider) as ada:

        async def echo_first(batch: Batch) -> list[Ack]:
            ada.outbox.seen("room", batch.entries[0].ident, OrderKey(1, "5"))
            return accept(batch)

        provider.script.append(echo_first)
        entries = await ada.send_all("12")
        await ada.drained()
        await settle()

        assert [change[:3] for change in ada.changes if change[0] == "1"] == [
            ("1", "sending", False),
            ("1", "sent", False),
        ]
        assert (ada.outbox.totals, ada.outbox.size) == ({"sent": 2}, 0)
        assert [entry for entry, _ in ada.sent] == entries
        assert entries[0].row.stamp == OrderKey(1, "5")
        assert await ada.store.rows() == ()


async def test_an_echo_before_the_answer_is_lost_is_enough(clock: VirtualClock) -> None:
    """It is there: nobody asks for it again (D6)."""
    provider = Provider()
    async with client(clock, provider) as ada:

        async def echo_first(batch: Batch) -> list[Ack]:
            ada.outbox.seen("room", batch.entries[0].ident, OrderKey(1, "5"))
            raise TransportError("lost")

        provider.script.append(echo_first)
        entry = await ada.send("1")
        await asyncio.sleep(60)

        assert (entry.state, len(provider.batches)) == (State.SENT, 1)


async def test_a_batch_is_not_sent_for_those_that_ended(clock: VirtualClock) -> None:
    """Once the echo of each of its entries came, and not before (D10)."""
    provider = Provider(SILENCE, SILENCE)
    async with client(clock, provider) as ada:
        entries = await ada.send_all("12")
        await settle()
        ada.outbox.seen("room", entries[0].row.ident, OrderKey(1, "5"))
        await asyncio.sleep(0.3)
        assert provider.batches[0] == provider.batches[1]  # the one that is there goes along

        ada.outbox.seen("room", entries[1].row.ident, OrderKey(1, "6"))
        await ada.send("3")
        await ada.drained()

        assert provider.texts == [["1", "2"], ["1", "2"], ["3"]]


async def test_of_a_batch_that_was_put_off_goes_out_what_has_not_ended(clock: VirtualClock) -> None:
    """Nothing of it is there, so that it need not be whole; what has expired is not sent after all (D6, I1)."""
    provider = Provider(refuse(**LATER, scope="lane", after=20.0))
    async with client(clock, provider) as ada:
        entries = [await ada.send(text, expires_in=age) for text, age in (("1", 10.0), ("2", 60.0))]
        await ada.drained()

        assert [entry.state for entry in entries] == [State.EXPIRED, State.SENT]
        assert provider.texts == [["1", "2"], ["2"]]
        assert provider.batches[0].batch_id != provider.batches[1].batch_id


async def test_what_ended_while_in_flight_hears_only_that_it_arrived(clock: VirtualClock) -> None:
    """A deadline passed in doubt; the answer to its last attempt turns it into sent, late (D6, I1)."""
    answer = asyncio.Event()

    async def slow(batch: Batch) -> list[Ack]:
        await answer.wait()
        return accept(batch)

    provider = Provider(SILENCE, slow)
    async with client(clock, provider) as ada:
        entry = await ada.send("1", expires_in=3)
        await asyncio.sleep(4)
        assert (entry.state, entry.row.certain) == (State.EXPIRED, False)
        answer.set()
        await settle()

        assert (entry.state, entry.row.certain) == (State.SENT, True)
        assert ada.changes[-1] == ("1", "sent", True, None)
        assert await ada.store.rows() == ()


async def test_a_refusal_says_nothing_to_what_ended_meanwhile(clock: VirtualClock) -> None:
    """It is uncertain as before: an earlier attempt may have arrived (D6)."""
    answer = asyncio.Event()

    async def slow(batch: Batch) -> list[Ack]:
        await answer.wait()
        return refuse(Rejected("no"))(batch)

    provider = Provider(SILENCE, slow)
    async with client(clock, provider) as ada:
        entry = await ada.send("1", expires_in=3)
        await asyncio.sleep(4)
        answer.set()
        await settle()

        assert (entry.state, entry.row.certain) == (State.EXPIRED, False)


async def test_a_refusal_after_silence_is_not_certain(clock: VirtualClock) -> None:
    """Of the attempt that had no answer it says nothing, where no fence looked the id up (D9)."""
    provider = Provider(SILENCE, refuse(Rejected("no")))
    async with client(clock, provider) as ada:
        entry = await ada.send("1")
        await ada.drained()

        assert (entry.state, entry.row.certain) == (State.FAILED, False)
        assert entry.row.reason == "Rejected: no"


async def test_a_fence_makes_a_refusal_certain(clock: VirtualClock) -> None:
    """It looked the id up before it refused (D9)."""
    provider = Provider(SILENCE, refuse(Rejected("no")))
    async with client(clock, provider, log=FakeLog("fence")) as ada:
        entry = await ada.send("1")
        await ada.drained()

        assert (entry.state, entry.row.certain) == (State.FAILED, True)


async def test_a_conflict_is_sent_and_proves_nothing_of_our_bytes(clock: VirtualClock) -> None:
    """The first create stands: ours is not what the channel shows at that place (D1)."""
    place = OrderKey(1, "5")
    provider = Provider(lambda batch: [Ack(batch.entries[0].ident, "conflict", place)])
    async with client(clock, provider) as ada:
        entry = await ada.send("1")
        await ada.drained()

        assert (entry.state, entry.row.stamp, ada.sent) == (State.SENT, place, [(entry, None)])
        assert ada.context.counters["conflict"] == 1


async def test_an_acknowledgement_proves_what_was_sent(clock: VirtualClock) -> None:
    """With place, time and who numbered it: the fact that the timeline folds, and the message of the wish."""
    place, at = OrderKey(1, "5"), clock.wall()
    provider = Provider(lambda batch: [Ack(batch.entries[0].ident, "new", place, at)])
    async with client(clock, provider) as ada:
        entry = await ada.send("1")
        await ada.drained()

        [(_, fact)] = ada.sent
        assert fact is not None
        assert (fact.key, fact.data, fact.sent_at) == (place, provider.batches[0].entries[0].data, at)
        assert (entry.sent_at, entry.origin) == (at, "origin")
        wish = Wish(entry.row.entry_id, fact.ident.id, fact.ident, fact.data, True, 1, "sent")
        message = entry.placed(build_pending([wish], channel="room", viewer="ada"), "realm")
        assert (message.key, message.sent_at, message.origin) == (place, at, "origin")


async def test_an_acknowledgement_with_its_time_is_a_contact(clock: VirtualClock) -> None:
    """Where nobody else tells the time, deadlines count from then on (D13)."""
    at = clock.wall() + timedelta(hours=1)
    provider = Provider(lambda batch: [Ack(batch.entries[0].ident, "new", sent_at=at)])
    adapter = provider.adapter(publisher=provider)
    adapter.script = [for_ever]
    async with Client(clock, adapter) as ada:
        await ada.send("1")
        await ada.drained()

        assert ada.context.server_time.confirmed
        assert ada.context.server_time.now() == at


# -- past the provider's memory


def forgetful(**more: Any) -> dict[str, Any]:
    """Return the capabilities of a provider that knows no duplicates."""
    return {"duplicate_window": 0.0, **more}


async def test_within_the_providers_memory_nothing_is_looked_up(clock: VirtualClock) -> None:
    """It knows the batch itself (D10)."""
    log = FakeLog()
    async with client(clock, Provider(SILENCE), log=log) as ada:
        entry = await ada.send("1")
        await ada.drained()

        assert (log.asked, entry.maybe_duplicate) == ([], False)


async def test_past_the_providers_memory_what_is_found_is_confirmed(clock: VirtualClock) -> None:
    """And not sent again (D10)."""
    log, provider = FakeLog(), Provider(SILENCE)
    async with client(clock, provider, log=log, capable={"duplicate_window": 20.5}, chance=1.0) as ada:
        entry = await ada.send("1")
        await settle()
        log.has.add(entry.row.ident)
        await ada.drained()

        assert (entry.state, entry.row.stamp) == (State.SENT, OrderKey(1, "7"))
        assert len(provider.batches) == 1
        assert ada.sent == [(entry, None)]  # so that a timeline that does not have it says sent


async def test_what_is_certainly_absent_is_sent_again_without_a_doubt(clock: VirtualClock) -> None:
    """History reaches back to the first attempt: a refusal is certain then (D10)."""
    log, provider = FakeLog(), Provider(SILENCE, refuse(Rejected("no")))
    log.reaches = clock.wall()
    async with client(clock, provider, log=log, capable=forgetful()) as ada:
        entry = await ada.send("1")
        await ada.drained()

        assert provider.batches[0] == provider.batches[1]
        assert (entry.state, entry.row.certain, entry.maybe_duplicate) == (State.FAILED, True, False)


@pytest.mark.parametrize("reaches", [timedelta(seconds=1), None])
async def test_where_history_does_not_reach_it_may_be_a_duplicate(
    clock: VirtualClock, reaches: timedelta | None
) -> None:
    """The same bytes go out again, and the Delivery says so (D10)."""
    log, provider = FakeLog(), Provider(SILENCE)
    log.reaches = None if reaches is None else clock.wall() + reaches
    async with client(clock, provider, log=log, capable=forgetful()) as ada:
        entry = await ada.send("1")
        await ada.drained()

        assert provider.batches[0] == provider.batches[1]
        assert (entry.state, entry.maybe_duplicate) == (State.SENT, True)


async def test_of_a_batch_what_is_found_is_confirmed_and_the_rest_sent_with_it(clock: VirtualClock) -> None:
    """The batch stays whole (D10)."""
    log, provider = FakeLog(), Provider(SILENCE)
    async with client(clock, provider, log=log, capable=forgetful()) as ada:
        entries = await ada.send_all("12")
        await settle()
        log.has.add(entries[0].row.ident)
        await ada.drained()

        assert provider.texts == [["1", "2"]] * 2
        assert [entry.maybe_duplicate for entry in entries] == [False, True]


@pytest.mark.parametrize("log", [None, FakeLog()])
async def test_where_nobody_can_be_asked_it_may_be_a_duplicate(clock: VirtualClock, log: Any) -> None:
    """No log, or one that finds nothing by id (D10)."""
    if log is not None:
        log.errors.append(CapabilityError("no find"))
    async with client(clock, Provider(SILENCE), log=log, capable=forgetful()) as ada:
        entry = await ada.send("1")
        await ada.drained()

        assert (entry.state, entry.maybe_duplicate) == (State.SENT, True)


async def test_a_look_without_an_answer_is_tried_again(clock: VirtualClock) -> None:
    """Nothing is sent blindly because a log was away for a moment (D10)."""
    log, provider = FakeLog(), Provider(SILENCE)
    async with client(clock, provider, log=log, capable=forgetful()) as ada:
        entry = await ada.send("1")
        await settle()
        log.errors += [TransportError("away")] * 9
        log.has.add(entry.row.ident)
        await ada.drained()

        assert (entry.state, len(provider.batches), len(log.asked)) == (State.SENT, 1, 10)
        assert ada.watcher.count("outbox.not_looked_up") == 2


async def test_what_was_certainly_not_sent_is_not_looked_up(clock: VirtualClock) -> None:
    """Only doubt asks for it (D10)."""
    log, provider = FakeLog(), Provider(refuse(**LATER, scope="lane", after=1.0))
    async with client(clock, provider, log=log, capable=forgetful()) as ada:
        entry = await ada.send("1")
        await ada.drained()

        assert (log.asked, entry.maybe_duplicate, len(provider.batches)) == ([], False, 2)


async def test_a_clock_that_went_back_is_no_proof_of_freshness(clock: VirtualClock) -> None:
    """An attempt that seems to lie in the future is looked up (D10)."""
    log = FakeLog()
    async with client(clock, Provider(SILENCE), log=log) as ada:
        await ada.send("1")
        await settle()
        ada.context.server_time.confirm(clock.wall() - timedelta(hours=1))
        await ada.drained()

        assert len(log.asked) == 1


async def test_a_fence_needs_no_looking_up(clock: VirtualClock) -> None:
    """It knows every id, and answers `duplicate` (D9, D10)."""
    log = FakeLog("fence")
    async with client(clock, Provider(SILENCE), log=log, capable=forgetful()) as ada:
        entry = await ada.send("1")
        await ada.drained()

        assert (log.asked, entry.maybe_duplicate) == ([], False)


# -- refusals


async def test_a_refused_entry_fails_and_its_lane_goes_on(clock: VirtualClock) -> None:
    """It is kept as a dead letter with its reason (D12)."""
    provider = Provider(refuse(NotAllowed("muted"), only="2"))
    async with client(clock, provider) as ada:
        entries = await ada.send_all("123")
        await ada.drained()
        await ada.send("4")
        await ada.drained()

        assert [entry.state for entry in entries] == [State.SENT, State.FAILED, State.SENT]
        assert provider.texts == [["1", "2", "3"], ["4"]]
        [row] = await ada.store.rows()
        assert (row.status, row.certain, row.reason) == ("failed", True, "NotAllowed: muted")
        assert isinstance(entries[1].error, NotAllowed)


async def test_a_batch_refused_as_a_whole_is_split_into_singles(clock: VirtualClock) -> None:
    """One bad entry may be the reason: each is judged on its own, in order (D10)."""
    whole = refuse(Rejected("a batch of it was bad"))
    provider = Provider(whole, accept, refuse(Rejected("bad")), accept)
    async with client(clock, provider) as ada:
        entries = await ada.send_all("123")
        await settle()
        await ada.send("4")
        await ada.drained()

        assert provider.texts == [["1", "2", "3"], ["1"], ["2"], ["3"], ["4"]]
        assert [entry.state for entry in entries] == [State.SENT, State.FAILED, State.SENT]
        ids = [batch.batch_id for batch in provider.batches]
        assert len(set(ids)) == len(ids)  # each single is a batch of its own


async def test_a_fence_answers_for_each_row(clock: VirtualClock) -> None:
    """Where every row was judged by itself nothing is split and asked again (D9)."""
    provider = Provider(refuse(Rejected("no")))
    async with client(clock, provider, log=FakeLog("fence")) as ada:
        entries = await ada.send_all("12")
        await ada.drained()

        assert [entry.state for entry in entries] == [State.FAILED] * 2
        assert len(provider.batches) == 1


async def test_singles_out_of_a_batch_in_doubt_are_looked_up(clock: VirtualClock) -> None:
    """The provider remembers the batch and not its parts, so a part could arrive twice (D10)."""
    log = FakeLog()
    provider = Provider(SILENCE, refuse(Rejected("a batch of it was bad")))
    async with client(clock, provider, log=log) as ada:
        entries = await ada.send_all("12")
        await settle()
        log.has.add(entries[0].row.ident)
        await ada.drained()

        assert provider.texts == [["1", "2"], ["1", "2"], ["2"]]
        assert [entry.state for entry in entries] == [State.SENT] * 2
        assert [entry.maybe_duplicate for entry in entries] == [False, True]


async def test_a_refused_connection_pauses_all_lanes_and_fails_nothing(clock: VirtualClock) -> None:
    """Quota, a disabled app: health says why, and the same batch goes out when it is over (D12)."""
    quota = RateLimited("quota")
    provider = Provider(refuse(quota, **LATER, scope="connection", after=60.0))
    async with client(clock, provider) as ada:
        entries = await ada.send_all("12")
        await settle()
        await ada.send("3")
        await ada.send("other", "hall")
        await asyncio.sleep(59)
        assert (ada.publishing.paused, len(provider.batches)) == (quota, 1)
        assert [entry.state for entry in entries] == [State.QUEUED] * 2
        assert entries[0].error is quota

        await ada.drained()

        assert provider.texts[1:] in ([["1", "2"], ["other"], ["3"]], [["other"], ["1", "2"], ["3"]])
        assert provider.batches[0] in provider.batches[1:]
        assert ada.publishing.paused is None


@pytest.mark.parametrize(("after", "wait"), [(5.0, 5.0), (None, PAUSE)])
async def test_a_refused_lane_waits_alone(clock: VirtualClock, after: float | None, wait: float) -> None:
    """Frozen, or in slow mode: other lanes go on, and this one when it was asked to (D12)."""
    provider = Provider(refuse(RateLimited("slow mode"), **LATER, scope="lane", after=after))
    async with client(clock, provider) as ada:
        await ada.send("1")
        await settle()
        await ada.send("other", "hall")
        await settle()
        assert provider.texts == [["1"], ["other"]]
        await ada.drained()

        assert provider.texts == [["1"], ["other"], ["1"]]
        assert provider.at[-1] == pytest.approx(wait)


async def test_a_pause_asked_for_outlasts_a_reconnect(clock: VirtualClock) -> None:
    """`Retry-After` is no backoff of ours: nothing shortens it (D12)."""
    provider = Provider(refuse(RateLimited("slow mode"), **LATER, scope="lane", after=50.0))
    async with client(clock, provider) as ada:
        await ada.send("1")
        await asyncio.sleep(1)
        ada.outbox.wake()
        await ada.drained()

        assert provider.at == [0.0, pytest.approx(50.0)]


async def test_an_entry_put_off_holds_its_lane(clock: VirtualClock) -> None:
    """A failing head keeps its place; its error shows meanwhile (I4)."""
    provider = Provider(*[refuse(ProviderError("500"), **LATER)] * 3)
    async with client(clock, provider, chance=1.0) as ada:
        head = await ada.send("1")
        await settle()
        await ada.send("2")
        assert (head.state, str(head.error)) == (State.QUEUED, "500")
        await ada.drained()

        assert provider.texts == [["1"]] * 4 + [["2"]]
        waits = [later - earlier for earlier, later in zip(provider.at, provider.at[1:], strict=False)]
        assert waits == pytest.approx([0.5, 1.0, 2.0, 0.0])


async def test_an_entry_that_alone_meets_errors_is_given_up_after_twenty(clock: VirtualClock) -> None:
    """While others pass: then it is this entry, and its lane goes on (D12)."""
    bad = refuse(ProviderError("500"), **LATER, only=["bad"])
    provider = Provider(*[bad] * 400)
    async with client(clock, provider) as ada:
        entry = await ada.send("bad")
        while entry.unfinished:
            await ada.send("good", "hall")
            await asyncio.sleep(1)

        assert (entry.state, entry.row.attempts, entry.row.certain) == (State.FAILED, REFUSALS, True)
        assert isinstance(entry.error, GaveUp)
        assert isinstance(entry.error.__cause__, ProviderError)


async def test_errors_for_everything_give_nothing_up_for_an_hour(clock: VirtualClock) -> None:
    """The provider is down: twenty answers of that kind say nothing of one entry (D12)."""
    provider = Provider(*[refuse(ProviderError("500"), **LATER)] * 10_000)
    async with client(clock, provider) as ada:
        head = await ada.send("1")
        await asyncio.sleep(REFUSED_FOR - 60)
        assert head.unfinished
        assert head.refusals > REFUSALS
        await asyncio.sleep(120)

        assert isinstance(head.error, GaveUp)


async def test_lost_answers_never_count_against_an_entry(clock: VirtualClock) -> None:
    """Only what the server said does (D12)."""
    put_off = refuse(ProviderError("500"), **LATER, only=["bad"])
    provider = Provider(*[put_off, SILENCE, SILENCE] * (REFUSALS - 1))
    async with client(clock, provider) as ada:
        entry = await ada.send("bad")
        await ada.send("good", "hall")
        await ada.drained(within=3_000)

        assert entry.state is State.SENT


async def test_a_refusal_for_now_is_tried_at_once_and_does_not_count(clock: VirtualClock) -> None:
    """The batch was refused for another's sake: it was never about this entry (D12)."""
    provider = Provider(*[refuse(outcome="unsent", again="now")] * 30)
    async with client(clock, provider) as ada:
        entry = await ada.send("1")
        await ada.send("other", "hall")
        await ada.drained(within=3_000)

        assert (entry.state, entry.refusals) == (State.SENT, 0)
        assert provider.at[1] < 0.2


async def test_a_refusal_without_a_word_is_put_off(clock: VirtualClock) -> None:
    """It did not happen, and nobody said why or for how long."""
    provider = Provider(refuse(outcome="unsent"))
    async with client(clock, provider) as ada:
        entry = await ada.send("1")
        await settle()
        assert isinstance(entry.error, ProviderError)
        await ada.drained()

        assert (entry.state, entry.refusals) == (State.SENT, 1)


# -- credentials

MEMBER: dict[str, Any] = {"again": "reauthenticate"}


async def test_a_member_no_more_fails_after_one_fresh_token(clock: VirtualClock) -> None:
    """The right may be in the next token; if not, it is gone (D12)."""
    provider = Provider(*[refuse(NotAllowed("not a member"), **MEMBER)] * 2)
    async with client(clock, provider) as ada:
        entry = await ada.send("1")
        await ada.drained()

        assert (entry.state, ada.refreshes, len(provider.batches)) == (State.FAILED, 1, 2)
        assert isinstance(entry.error, NotAllowed)
        assert provider.batches[0] == provider.batches[1]


async def test_a_fresh_token_may_help(clock: VirtualClock) -> None:
    """Then the batch goes out as it was, almost at once; a later refusal has its own refresh (D12)."""
    refused = refuse(NotAllowed("not a member"), **MEMBER)
    provider = Provider(refused, SILENCE, refused)
    async with client(clock, provider) as ada:
        entries = await ada.send_all("12")
        await ada.drained()

        assert ada.refreshes == 2
        assert provider.texts == [["1", "2"]] * 4
        assert [entry.state for entry in entries] == [State.SENT] * 2
        assert provider.at[1] < 1.0


async def test_each_refusal_of_a_right_has_a_refresh_of_its_own(clock: VirtualClock) -> None:
    """Another answer between two of them: the token may have expired meanwhile (D12)."""
    refused = refuse(NotAllowed("not a member"), **MEMBER)
    provider = Provider(refused, refuse(ProviderError("500"), **LATER), refused)
    async with client(clock, provider) as ada:
        entry = await ada.send("1")
        await ada.drained()

        assert (entry.state, ada.refreshes) == (State.SENT, 2)


async def test_a_token_that_cannot_be_refreshed_fails_nothing(clock: VirtualClock) -> None:
    """The app's token server is down: that says nothing of membership (D12)."""
    provider = Provider(*[refuse(NotAllowed("not a member"), **MEMBER)] * 5)
    async with client(clock, provider) as ada:

        async def down() -> None:
            raise ConnectionError("token server")

        ada.on_refresh = down
        entry = await ada.send("1")
        await asyncio.sleep(30)

        assert (entry.state, ada.refreshes) == (State.SENT, 5)
        assert "credential.not_refreshed" in ada.watcher.names


async def test_a_refused_credential_is_refreshed_before_anything_pauses(clock: VirtualClock) -> None:
    """An expired token is daily business: no lane waits half a minute for it (D12, D32)."""
    refused = refuse(AuthenticationError("expired"), outcome="unsent", **MEMBER, scope="connection")
    provider = Provider(refused)
    async with client(clock, provider) as ada:
        await ada.send("1")
        await ada.drained()

        assert (ada.refreshes, len(provider.batches)) == (1, 2)
        assert clock.monotonic() < 1.0
        assert "publishing.paused" not in ada.watcher.names


async def test_a_credential_refused_twice_pauses_all_lanes_and_fails_nothing(clock: VirtualClock) -> None:
    """Revoked: what is queued waits for a good one (D12)."""
    error = AuthenticationError("revoked")
    provider = Provider(*[refuse(error, outcome="unsent", **MEMBER, scope="connection")] * 4)
    async with client(clock, provider) as ada:
        entry = await ada.send("1")
        await asyncio.sleep(5)
        assert ada.publishing.paused is error
        assert ada.changes[-1][:2] == ("1", "queued")
        await ada.drained()

        assert entry.state is State.SENT


async def test_a_credential_that_cannot_be_refreshed_pauses_all_lanes(clock: VirtualClock) -> None:
    """Nothing is tried every second with a token known to be bad (D12)."""
    error = AuthenticationError("expired")
    provider = Provider(refuse(error, outcome="unsent", **MEMBER, scope="connection"))
    async with client(clock, provider) as ada:

        async def down() -> None:
            raise ConnectionError("token server")

        ada.on_refresh = down
        await ada.send("1")
        await asyncio.sleep(5)

        assert ada.publishing.paused is error


# -- dependants


async def test_a_failure_takes_its_dependants_along(clock: VirtualClock) -> None:
    """In cascade, each with its reason; what refers to something else goes on (D7)."""
    provider = Provider(refuse(Rejected("no")))
    async with client(clock, provider, capable={"batch": 1}) as ada:
        message = await ada.send("message")
        edit = await ada.send("edit", kind="message.update", of=message)
        reply = await ada.send("reply", of=edit)
        other = await ada.send("other")
        await ada.drained()

        assert [e.state for e in (message, edit, reply, other)] == [State.FAILED] * 3 + [State.SENT]
        assert isinstance(edit.error, DependencyFailed)
        assert isinstance(reply.error, DependencyFailed)
        assert edit.error.message_id == edit.row.ident.id
        assert [change[0] for change in ada.changes if change[1] == "failed"] == ["message", "edit", "reply"]
        assert [row.status for row in await ada.store.rows()] == ["failed"] * 3


async def test_a_dependant_in_the_same_batch_fails_when_it_comes_back(clock: VirtualClock) -> None:
    """Its own answer was not about itself: it has lost its target all the same (D7)."""

    def answer(batch: Batch) -> list[Ack]:
        first, second = batch.entries
        return [
            Ack(first.ident, "refused", error=Rejected("no")),
            Ack(second.ident, "unsent", again="now"),
        ]

    provider = Provider(answer)
    async with client(clock, provider) as ada:
        message = await ada.send("message")
        edit = await ada.send("edit", kind="message.update", of=message)
        await ada.drained()

        assert (message.state, edit.state, len(provider.batches)) == (State.FAILED, State.FAILED, 1)
        assert isinstance(edit.error, DependencyFailed)


async def test_a_dependant_in_doubt_ends_uncertain(clock: VirtualClock) -> None:
    """It was written with its target, and may be there as that may (D7)."""
    provider = Provider(*[SILENCE] * 100)
    async with client(clock, provider) as ada:
        message = await ada.send("message", expires_in=3)
        edit = await ada.send("edit", kind="message.update", of=message)
        await asyncio.sleep(4)

        assert (message.state, edit.state) == (State.EXPIRED, State.FAILED)
        assert (message.row.certain, edit.row.certain) == (False, False)
        ada.outbox.seen("room", edit.row.ident, OrderKey(1, "2"))
        assert edit.state is State.SENT


# -- the store


async def test_nothing_is_written_before_the_attempt_is_recorded(clock: VirtualClock) -> None:
    """Where the store cannot, the entry is as it was: not attempted, its number free (D6, D7)."""
    provider, store = Provider(), FaultyStore(clock)
    async with client(clock, provider, store=store) as ada:
        store.failing["attempt"] = 1
        first = await ada.send("1")
        await settle()
        assert (first.state, first.row.attempts, first.row.seq, provider.batches) == (
            State.QUEUED,
            0,
            None,
            [],
        )
        assert ada.context.counters["store_errors"] == 1

        assert await ada.outbox.discard(first)
        await ada.send("2")
        await ada.drained()

        assert provider.texts == [["2"]]
        assert numbers(provider) == [[(1, 0)]]
        assert ada.outbox.size == 0


async def test_a_store_that_cannot_record_a_repeat_delays_it(clock: VirtualClock) -> None:
    """What is in doubt stays so, and goes out identical later (D6, D10)."""
    provider, store = Provider(SILENCE), FaultyStore(clock)
    async with client(clock, provider, store=store) as ada:
        entry = await ada.send("1")
        await settle()
        store.failing["attempt"] = 3
        await asyncio.sleep(0.3)
        assert (entry.state, entry.row.attempts) == (State.IN_DOUBT, 1)
        await ada.drained()

        assert provider.batches[0] == provider.batches[1]
        assert entry.row.attempts == 2


async def test_what_came_true_while_its_attempt_could_not_be_recorded_stays_true(clock: VirtualClock) -> None:
    """An echo during a failing write is not undone by it (D6)."""
    provider, store = Provider(), FaultyStore(clock)
    async with client(clock, provider, store=store) as ada:
        await ada.connected()

        async def echo() -> None:
            ada.outbox.seen("room", entry.row.ident, OrderKey(1, "5"))

        store.failing["attempt"] = 1
        store.during["attempt"] = echo
        entry = await ada.send("1")
        await ada.drained()
        await asyncio.sleep(5)

        assert (entry.state, provider.batches) == (State.SENT, [])


async def test_what_could_not_be_recorded_as_sent_is_recorded_later(clock: VirtualClock) -> None:
    """With the next thing that is: else every restart would send it again (I3)."""
    provider, store = Provider(), FaultyStore(clock)
    async with client(clock, provider, store=store) as ada:
        store.failing["settle"] = 2
        await ada.send("1")
        await ada.drained()
        await settle()
        assert [row.status for row in await store.rows()] == ["sending"]

        await ada.send("2")
        await ada.drained()
        await settle()

        assert await store.rows() == ()


async def test_what_was_put_off_keeps_its_bytes_over_a_restart(clock: VirtualClock, tmp_path: Path) -> None:
    """It waits in the queue again, and is not numbered anew (D5, D7)."""
    put_off = Provider(refuse(**LATER, scope="lane", after=60.0))
    async with client(clock, put_off, store=keep_file(tmp_path / "a.db", clock)) as ada:
        await ada.send_all("12")
        await asyncio.sleep(1)
    provider = Provider()
    async with client(clock, provider, store=keep_file(tmp_path / "a.db", clock)) as ada:
        await ada.send("3")
        await ada.drained()

    assert provider.texts == [["1", "2", "3"]]
    assert provider.batches[0].entries[:2] == put_off.batches[0].entries
    assert numbers(provider) == [[(1, 0), (2, 1), (3, 2)]]


async def test_what_was_due_meanwhile_goes_behind_what_has_its_number(
    clock: VirtualClock, tmp_path: Path
) -> None:
    """After a restart, too, though it was wished before: else the numbers behind it are superseded (D5, D9)."""
    put_off = Provider(refuse(**LATER, scope="lane", after=600.0))
    async with client(clock, put_off, store=keep_file(tmp_path / "a.db", clock)) as ada:
        await ada.send("later", send_in=60.0)
        await ada.send_all("12")
        await asyncio.sleep(1)
    await asyncio.sleep(100)
    provider = Provider()
    async with client(clock, provider, store=keep_file(tmp_path / "a.db", clock)) as ada:
        await ada.drained()

    assert provider.texts == [["1", "2", "later"]]
    assert numbers(provider) == [[(1, 0), (2, 1), (3, 2)]]


# -- another device


def overtaken(*texts: str) -> Any:
    """Return an answer that calls entries superseded."""
    return refuse(outcome="superseded", only=texts)


async def test_numbers_used_by_a_copy_make_a_new_device(clock: VirtualClock) -> None:
    """The entry goes on under its id, and what waits behind it too, in order (D9, D27)."""
    provider = Provider(overtaken("1"))
    async with client(clock, provider, log=FakeLog("fence"), capable={"batch": 1}) as ada:
        old = ada.outbox.device
        entries = await ada.send_all("123")
        await ada.drained()

        new = ada.outbox.device
        assert new != old
        assert provider.texts == [["1"], ["1"], ["2"], ["3"]]
        assert [batch.entries[0].device for batch in provider.batches] == [old, new, new, new]
        assert numbers(provider) == [[(1, 0)], [(1, 0)], [(2, 1)], [(3, 2)]]
        assert provider.batches[0].entries[0].ident == provider.batches[1].entries[0].ident
        assert envelope_of(provider.batches[1].entries[0]).sender.device == new
        assert ada.context.counters["device_renewed"] == 1
        assert entries[0].row.attempts == 2


async def test_what_is_numbered_anew_keeps_its_order(clock: VirtualClock) -> None:
    """Also where only some of a batch were overtaken and others put off (D27, I4)."""

    def answer(batch: Batch) -> list[Ack]:
        outcomes: list[Any] = ["unsent", "superseded", "unsent", "superseded"]
        return [Ack(out.ident, what) for out, what in zip(batch.entries, outcomes, strict=True)]

    provider = Provider(answer)
    async with client(clock, provider, log=FakeLog("fence")) as ada:
        await ada.send_all("1234")
        await ada.drained()

        assert provider.texts == [["1", "2", "3", "4"]] * 2
        assert numbers(provider)[1] == [(1, 0), (2, 1), (3, 2), (4, 3)]
        assert {out.device for out in provider.batches[1].entries} == {ada.outbox.device}


async def test_all_channels_of_a_copied_store_go_on_as_the_new_device(clock: VirtualClock) -> None:
    """Once, whoever meets the copy first; what waits elsewhere goes before what is sent later (D27)."""
    hold = asyncio.Event()

    async def slow(batch: Batch) -> Any:
        await hold.wait()
        return overtaken("hall 1")(batch)

    provider = Provider()

    async def answer(batch: Batch) -> Any:
        text = text_of(envelope_of(batch.entries[0]))
        provider.batches.append(batch)
        if len(provider.batches) <= 2:
            return await slow(batch) if text.startswith("hall") else overtaken("room 1")(batch)
        return accept(batch)

    adapter = provider.adapter(log=FakeLog("fence"), capable={"batch": 1})
    adapter.answer = answer
    async with Client(clock, adapter) as ada:
        await ada.send("hall 1", "hall")
        await ada.send("room 1")
        await ada.send("hall 2", "hall")
        await settle()
        await ada.send("hall 3", "hall")
        hold.set()
        await ada.drained()

        hall = [texts for texts in provider.texts if texts[0].startswith("hall")]
        assert hall == [["hall 1"], ["hall 1"], ["hall 2"], ["hall 3"]]
        assert ada.context.counters["device_renewed"] == 1
        assert {batch.entries[0].device for batch in provider.batches[2:]} == {ada.outbox.device}


async def test_what_is_in_doubt_has_its_answer_before_the_device_changes(clock: VirtualClock) -> None:
    """Nothing that waits may overtake what may have arrived (D10, I4)."""
    provider = Provider(SILENCE, SILENCE, SILENCE, overtaken("1"))
    async with client(clock, provider, log=FakeLog("fence")) as ada:
        old = ada.outbox.device
        await ada.send_all("1")
        await settle()
        await ada.outbox.lanes.renew(old)  # met in another channel
        await ada.send("2")
        await ada.drained()

        assert provider.texts == [["1"]] * 4 + [["1", "2"]]
        assert [batch.entries[0].device for batch in provider.batches] == [old] * 4 + [ada.outbox.device]


async def test_a_store_that_cannot_take_note_of_the_new_device_loses_nothing(clock: VirtualClock) -> None:
    """The entry is numbered anew under the old device, until the store can (D27)."""
    provider, store = Provider(overtaken("1"), overtaken("1")), FaultyStore(clock)
    async with client(clock, provider, store=store, log=FakeLog("fence")) as ada:
        old = ada.outbox.device
        store.failing["renew_device"] = 1
        entries = await ada.send_all("12")
        await ada.drained()

        assert [entry.state for entry in entries] == [State.SENT] * 2
        assert [[out.device == old for out in batch.entries] for batch in provider.batches] == [
            [True, True],
            [True],
            [False],
        ]
        assert provider.at[1] > provider.at[0]  # not at once again: the store may fail for long


async def test_a_lane_that_backs_off_hands_over_what_waits(clock: VirtualClock) -> None:
    """Its device was left meanwhile: nothing more goes out under it (D27)."""
    provider, store = Provider(), FaultyStore(clock)
    async with client(clock, provider, store=store, log=FakeLog("fence")) as ada:
        store.failing["attempt"] = 1
        await ada.send("1")
        await settle()
        await ada.outbox.lanes.renew(ada.outbox.device)
        await ada.drained()

        assert [batch.entries[0].device for batch in provider.batches] == [ada.outbox.device]


async def test_a_copy_of_an_adopted_file_leaves_the_own_device_alone(clock: VirtualClock) -> None:
    """Each device has its own successor, and that one its own again (D27)."""
    provider = Provider()
    async with client(clock, provider, log=FakeLog("fence")) as ada:
        own = ada.outbox.device
        await ada.send("own", send_in=1.0)
        adopted = await ada.outbox.acceptor.add(ada.row("adopted", "hall", device="adopted01"))
        await ada.outbox.lanes.renew("adopted01")
        await ada.outbox.lanes.renew(ada.outbox.lanes.current("adopted01"))
        await ada.drained()

        assert ada.outbox.device == own
        assert adopted.row.device == ada.outbox.lanes.current("adopted01")
        assert {batch.channel: batch.entries[0].device for batch in provider.batches} == {
            "hall": adopted.row.device,
            "room": own,
        }


async def test_a_device_that_is_left_takes_no_new_lane(clock: VirtualClock) -> None:
    """A wish written down under it before goes on under its successor (D27)."""
    provider = Provider()
    async with client(clock, provider, log=FakeLog("fence")) as ada:
        old = ada.outbox.device
        row = ada.row("1")
        await ada.outbox.lanes.renew(old)
        await ada.outbox.lanes.renew(old)
        entry = await ada.outbox.acceptor.add(row)
        await ada.drained()

        assert entry.row.device == ada.outbox.device != old
        assert ada.context.counters["device_renewed"] == 1


async def test_a_lane_that_has_nothing_left_when_its_device_changes_is_forgotten(clock: VirtualClock) -> None:
    """What comes later makes the successor's lane (D27)."""
    provider = Provider(SILENCE)
    async with client(clock, provider, log=FakeLog("fence")) as ada:
        await ada.send("1")
        await settle()
        await ada.outbox.lanes.renew(ada.outbox.device)
        await ada.drained()
        await settle()
        assert ada.outbox.lanes._leaving == {}
        await ada.send("2")
        await ada.drained()

        assert [batch.entries[0].device for batch in provider.batches][-1] == ada.outbox.device


# -- defects


async def test_a_lane_whose_worker_meets_a_defect_goes_on(clock: VirtualClock) -> None:
    """Nothing of the batch is lost: it is in doubt, and goes out again (I11, D10)."""
    provider = Provider()
    async with client(clock, provider) as ada:
        await ada.connected()

        def defect() -> None:
            ada.watcher.at.clear()
            raise RuntimeError("a broken observer")

        ada.watcher.at["outbox.attempted"] = defect
        entries = await ada.send_all("12")
        await settle()
        assert [entry.state for entry in entries] == [State.IN_DOUBT] * 2
        await asyncio.sleep(RESTART)
        await ada.drained()

        assert provider.texts == [["1", "2"]]
        assert ada.context.defects == {"lane:room": 1}
        ada.context.defects.clear()


async def test_a_defect_after_the_answer_was_read_repeats_nothing(clock: VirtualClock) -> None:
    """What has its place in the lane again is not put there twice (I2)."""
    provider = Provider(refuse(RateLimited("quota"), **LATER, scope="connection", after=1.0))
    async with client(clock, provider) as ada:
        await ada.connected()

        def defect() -> None:
            ada.watcher.at.clear()
            raise RuntimeError("a broken observer")

        ada.watcher.at["publishing.paused"] = defect
        await ada.send("1")
        await ada.drained()
        await asyncio.sleep(10)

        assert provider.texts == [["1"], ["1"]]
        ada.context.defects.clear()


async def test_a_defect_after_a_batch_was_split_leaves_it_split(clock: VirtualClock) -> None:
    """Its parts have their places: the whole does not come back beside them (D10)."""
    provider = Provider(refuse(Rejected("a batch of it was bad")))
    async with client(clock, provider) as ada:
        await ada.connected()

        def defect() -> None:
            ada.watcher.at.clear()
            raise RuntimeError("a broken observer")

        ada.watcher.at["outbox.settled"] = defect
        await ada.send_all("12")
        await ada.drained()

        assert provider.texts == [["1", "2"], ["1"], ["2"]]
        ada.context.defects.clear()


async def test_who_listens_cannot_break_a_lane(clock: VirtualClock) -> None:
    """A defect in what is told of a change, or of a proof, is counted and costs nothing (I13)."""
    provider = Provider()
    async with client(clock, provider) as ada:

        def broken(*_: object) -> None:
            raise RuntimeError("oops")

        ada.outbox._on_change = broken
        ada.outbox._on_sent = broken
        entry = await ada.send("1")
        await ada.drained()

        assert (entry.state, len(provider.batches)) == (State.SENT, 1)
        assert ada.context.defects == {"on_change": 2, "on_sent": 1}
        ada.context.defects.clear()


# -- bounds


async def test_what_ended_does_not_stay_in_a_lane_that_stands_still(clock: VirtualClock) -> None:
    """Offline for weeks with short deadlines: the queue holds what may still be sent (I10)."""
    provider = Provider()
    ada = client(clock, provider)
    ada.context.adapter.script = [for_ever] * 50  # type: ignore[attr-defined]
    async with ada:
        ada.context.server_time.confirm(None)
        keep = await ada.send("keep")
        for _ in range(50):
            await ada.send("short", expires_in=1)
            await asyncio.sleep(2)

        [lane] = ada.outbox.lanes._lanes.values()
        assert keep in lane._queue
        assert len(lane._queue) < 4


async def test_a_lane_is_dropped_when_it_has_nothing_to_do(clock: VirtualClock) -> None:
    """Ten thousand channels once written to cost no task (I10)."""
    async with client(clock, Provider()) as ada:
        for number in range(20):
            await ada.send("x", f"c{number}")
        await ada.drained()
        await settle()

        assert ada.outbox.lanes._lanes == {}
        assert not [task for task in asyncio.all_tasks() if "lane" in task.get_name()]
