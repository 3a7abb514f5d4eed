"""The contract of stores: attempts, batches, lanes, and what becomes of entries."""

from __future__ import annotations

from typing import Any

import pytest

from chatkit.errors import StateError
from chatkit.model.order import Ident, OrderKey
from chatkit.ports.store import LaneKey, LaneMark
from chatkit.testing.contract.store.kit import StoreKit, StorePart, ids, send
from chatkit.testing.rows import DEVICE, attempted, batch_of, row

LANE = LaneKey("support", "ada", DEVICE)


class AttemptsContract(StorePart):
    """From the first attempt of an entry to its end."""

    async def test_an_attempt_is_recorded_with_its_batch_in_order(self, kit: StoreKit) -> None:
        """Number, first time, batch id, members in order and `seq` are kept before bytes are written (D6)."""
        async with kit.opened() as store:
            await store.add([row(1), row(2)])

            two, one = await send(store, "b1", (row(2), 1), (row(1), 2))

            assert list(await store.rows()) == [one, two]
            assert await store.batches() == {"b1": (two.ident, one.ident)}
            assert await store.lanes() == {LANE: LaneMark(2, 2)}

    async def test_an_attempt_of_an_unknown_row_is_refused_as_a_whole(self, kit: StoreKit) -> None:
        """What is not recorded must not be written to the provider (D6)."""
        async with kit.opened() as store:
            await store.add([row(1)])

            with pytest.raises(StateError):
                await send(store, "b1", (row(1), 1), (row(2), 2))

            assert list(await store.rows()) == [row(1)]
            assert await store.batches() == {}
            assert await store.lanes() == {}

    async def test_what_is_sent_without_a_key_is_forgotten(self, kit: StoreKit) -> None:
        """Nobody will ask for it again; its `seq` stays the lane's last acknowledged one (D5, D14)."""
        async with kit.opened() as store:
            await store.add([row(1)])
            [sending] = await send(store, "b1", (row(1), 4))

            await store.settle([sending._replace(status="sent")])

            assert await ids(store) == []
            assert await store.batches() == {}
            assert await store.lanes() == {LANE: LaneMark(4, 4)}

    async def test_what_is_sent_without_an_attempt_is_forgotten(self, kit: StoreKit) -> None:
        """An echo may end a row that this life never attempted (D6)."""
        async with kit.opened() as store:
            await store.add([row(1)])

            await store.settle([row(1, status="sent")])

            assert await ids(store) == []

    async def test_what_is_sent_and_not_announced_stays_until_it_is(self, kit: StoreKit) -> None:
        """An entry that the log has is told to receivers in the next life, if not in this one (D16)."""
        async with kit.opened() as store:
            await store.add([row(1), row(2)])
            one, two = await send(store, "b1", (row(1), 1), (row(2), 2))
            untold = one._replace(status="sent", announced=False)

            await store.settle([untold, two._replace(status="sent")])

            assert list(await store.rows()) == [untold]
            assert list(await store.rows(status="sent", announced=False)) == [untold]
            assert await store.rows(announced=True) == ()
            assert await store.batches() == {}

            await store.settle([untold._replace(announced=True)])
            assert await ids(store) == []

    async def test_what_is_sent_with_a_key_stays(self, kit: StoreKit) -> None:
        """The same key finds the same delivery (D14)."""
        keyed = row(1, key="order-17")

        async with kit.opened() as store:
            await store.add([keyed])
            [sending] = await send(store, "b1", (keyed, 1))
            sent = sending._replace(status="sent", stamp=OrderKey(1, "00000000000000000001"))
            await store.settle([sent])

            assert list(await store.add([row(2, key="order-17")])) == [sent]

    @pytest.mark.parametrize("status", ["failed", "expired", "discarded"])
    async def test_what_ended_otherwise_stays_with_its_reason(self, kit: StoreKit, status: Any) -> None:
        """A dead letter is kept until it is pruned (D12)."""
        ended = row(1, status=status, reason="Rejected")

        async with kit.opened() as store:
            await store.add([row(1)])
            await store.settle([ended])

            assert list(await store.rows(status=status)) == [ended]

    async def test_settling_what_is_forgotten_changes_nothing(self, kit: StoreKit) -> None:
        """An echo after the acknowledgement is no news."""
        async with kit.opened() as store:
            await store.settle([row(1, status="sent"), row(2, status="failed")])

            assert await ids(store) == []

    async def test_a_batch_in_doubt_stays_whole(self, kit: StoreKit) -> None:
        """Sent members stay until the last one has ended, for the identical batch (D10)."""
        async with kit.opened() as store:
            await store.add([row(1), row(2, key="k")])
            one, two = await send(store, "b1", (row(1), 1), (row(2, key="k"), 2))

            await store.settle([one._replace(status="sent")])

            assert await ids(store) == ["entry-1", "entry-2"]
            assert await store.batches() == {"b1": (one.ident, two.ident)}

            await store.settle([two._replace(status="sent")])

            assert await ids(store) == ["entry-2"]
            assert await store.batches() == {}

    async def test_a_batch_is_finished_when_its_last_member_goes_into_another(self, kit: StoreKit) -> None:
        """After a definite refusal a batch is split; the old one is then needed no more (D10)."""
        async with kit.opened() as store:
            await store.add([row(1), row(2)])
            one, two = await send(store, "b1", (row(1), 1), (row(2), 2))
            await store.settle([one._replace(status="sent"), two._replace(status="queued")])

            [two] = await send(store, "b2", (two, 2))

            assert await ids(store) == ["entry-2"]
            assert await store.batches() == {"b2": (two.ident,)}

    async def test_a_batch_is_the_same_on_every_attempt(self, kit: StoreKit) -> None:
        """Recording it again replaces its members by the same ones (D10)."""
        async with kit.opened() as store:
            await store.add([row(1), row(2)])
            one, two = await send(store, "b1", (row(1), 1), (row(2), 2))

            await store.attempt(batch_of("b1", one, two), [two._replace(attempts=2)], hlc="0193581fa2c0-0002")

            assert await store.batches() == {"b1": (one.ident, two.ident)}
            assert (await store.rows(entry_id="entry-2"))[0].attempts == 2

    @pytest.mark.parametrize(
        ("outcome", "acked"),
        [
            ({"status": "sent"}, 2),
            ({"status": "sending"}, 2),
            ({"status": "failed", "certain": False}, 2),
            ({"status": "failed", "certain": True}, 1),
            ({"status": "queued"}, 1),
        ],
    )
    async def test_a_lane_knows_its_last_acknowledged_or_doubtful_number(
        self, kit: StoreKit, outcome: dict[str, Any], acked: int
    ) -> None:
        """It is the `pred` of the next entry; what certainly did not arrive is none (D5)."""
        async with kit.opened() as store:
            await store.add([row(1), row(2)])
            [one] = await send(store, "b1", (row(1), 1))
            await store.settle([one._replace(status="sent")])
            [two] = await send(store, "b2", (row(2), 2))

            await store.settle([two._replace(**outcome)])

            assert await store.lanes() == {LANE: LaneMark(2, acked)}

    async def test_a_lane_never_goes_back(self, kit: StoreKit) -> None:
        """An old number that is attempted or acknowledged late leaves the newer one in place (D5)."""
        async with kit.opened() as store:
            await store.add([row(1, key="a"), row(2, key="b")])
            one, two = await send(store, "b1", (row(1, key="a"), 5), (row(2, key="b"), 4))

            await store.settle([one._replace(status="sent")])
            await store.settle([two._replace(status="sent")])

            assert await store.lanes() == {LANE: LaneMark(5, 5)}

    async def test_lanes_are_told_apart_by_channel_user_and_device(self, kit: StoreKit) -> None:
        """One lane is one user's wishes on one device for one channel (D8)."""
        other = row(2, channel="sales", ident=Ident("bob", "id-2"), device="zzzzzz")

        async with kit.opened() as store:
            await store.add([row(1), other])
            await send(store, "b1", (row(1), 1))
            await send(store, "b2", (other, 9))

            assert await store.lanes() == {
                LANE: LaneMark(1, 1),
                LaneKey("sales", "bob", "zzzzzz"): LaneMark(9, 9),
            }

    async def test_an_entry_without_a_number_moves_no_lane(self, kit: StoreKit) -> None:
        """`seq` may be absent (D5)."""
        async with kit.opened() as store:
            await store.add([row(1)])
            sending = attempted(row(1), "b1", 1)._replace(seq=None)
            await store.attempt(batch_of("b1", sending), [sending], hlc="0193581fa2c0-0001")
            await store.settle([sending._replace(status="failed", certain=False)])

            assert await store.lanes() == {}

    async def test_a_manual_retry_goes_to_the_end_of_the_queue(self, kit: StoreKit) -> None:
        """Set back from a final status, a row stands behind those that were queued meanwhile (D7)."""
        async with kit.opened() as store:
            await store.add([row(1), row(2)])
            await store.settle([row(1, status="failed")])

            await store.settle([row(1)])

            assert await ids(store) == ["entry-2", "entry-1"]

    async def test_a_refused_attempt_keeps_its_place_in_the_queue(self, kit: StoreKit) -> None:
        """Waiting for the next attempt is no retry by hand (D7)."""
        async with kit.opened() as store:
            await store.add([row(1), row(2)])
            [one] = await send(store, "b1", (row(1), 1))

            await store.settle([one._replace(status="queued")])

            assert await ids(store) == ["entry-1", "entry-2"]

    async def test_a_new_device_takes_over_what_was_never_attempted(self, kit: StoreKit) -> None:
        """What was attempted or has ended keeps the device that it was attempted under (D27)."""
        async with kit.opened() as store:
            await store.add([row(1), row(2), row(3, device="zzzzzz"), row(4, status="failed")])
            await send(store, "b1", (row(1), 1))

            await store.renew_device(DEVICE, "newone")

            devices = {found.entry_id: found.device for found in await store.rows()}
            assert devices == {
                "entry-1": DEVICE,
                "entry-2": "newone",
                "entry-3": "zzzzzz",
                "entry-4": DEVICE,
            }
