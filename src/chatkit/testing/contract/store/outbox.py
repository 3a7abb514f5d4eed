"""The contract of stores: rows, keys, limits and pruning."""

from __future__ import annotations

from typing import Any

import pytest

from chatkit.errors import MessageNotFound, OutboxFull, StoreError
from chatkit.model.order import Ident
from chatkit.testing.contract.store.kit import StoreKit, StorePart, ids, send
from chatkit.testing.rows import full_row, row


class OutboxContract(StorePart):
    """Rows in their queue, under their keys, within their limits."""

    async def test_rows_come_back_as_they_were_added(self, kit: StoreKit) -> None:
        """Every field of a row is kept, to the microsecond and the byte."""
        rows = [row(1), full_row(2)]

        async with kit.opened() as store:
            added = await store.add(rows)

            assert list(added) == rows
            assert list(await store.rows()) == rows

    async def test_rows_come_in_queue_order_and_page_by_page(self, kit: StoreKit) -> None:
        """`limit` rows after an `entry_id`, in the order they were added."""
        async with kit.opened() as store:
            await store.add([row(3), row(1)])
            await store.add([row(2)])

            assert await ids(store) == ["entry-3", "entry-1", "entry-2"]
            assert await ids(store, limit=2) == ["entry-3", "entry-1"]
            assert await ids(store, after="entry-1", limit=2) == ["entry-2"]

    async def test_paging_on_after_a_row_that_is_gone_is_refused(self, kit: StoreKit) -> None:
        """Silently starting again, or ending, would lose rows."""
        async with kit.opened() as store:
            await store.add([row(1)])

            with pytest.raises(MessageNotFound):
                await store.rows(after="entry-9")

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            ({"status": "failed"}, ["entry-2"]),
            ({"channel": "sales"}, ["entry-3"]),
            ({"ident": Ident("ada", "id-1")}, ["entry-1"]),
            ({"ident": Ident("bob", "id-1")}, ["entry-4"]),
            ({"entry_id": "entry-3"}, ["entry-3"]),
            ({"channel": "support", "status": "queued", "after": "entry-1"}, ["entry-4"]),
            ({"channel": "nowhere"}, []),
        ],
    )
    async def test_rows_are_chosen_by_what_is_asked(
        self, kit: StoreKit, wanted: dict[str, Any], found: list[str]
    ) -> None:
        """Every question narrows the answer."""
        async with kit.opened() as store:
            await store.add(
                [row(1), full_row(2), row(3, channel="sales"), row(4, ident=Ident("bob", "id-1"))]
            )

            assert await ids(store, **wanted) == found

    async def test_an_equal_key_gives_the_stored_row(self, kit: StoreKit) -> None:
        """The app's own retry finds what it sent before, whatever it says now (D14)."""
        first, again = row(1, key="order-17"), row(2, key="order-17", data=b"other")

        async with kit.opened() as store:
            await store.add([first])

            assert list(await store.add([again, row(3)])) == [first, row(3)]
            assert await ids(store) == ["entry-1", "entry-3"]

    @pytest.mark.parametrize(
        "changes", [{"channel": "sales"}, {"ident": Ident("bob", "id-2")}, {"key": "order-18"}, {"key": None}]
    )
    async def test_a_key_counts_within_a_user_and_a_channel(
        self, kit: StoreKit, changes: dict[str, Any]
    ) -> None:
        """The same key elsewhere is another key (D14)."""
        other = row(2, key="order-17")._replace(**changes)

        async with kit.opened() as store:
            await store.add([row(1, key="order-17")])

            assert list(await store.add([other])) == [other]

    async def test_an_equal_identity_gives_the_stored_row(self, kit: StoreKit) -> None:
        """One (channel, user, id) is one entry (D1)."""
        async with kit.opened() as store:
            await store.add([row(1)])

            assert list(await store.add([row(2, ident=row(1).ident)])) == [row(1)]

    async def test_a_row_may_be_known_from_the_same_call(self, kit: StoreKit) -> None:
        """Two equal wishes in one call are one entry."""
        async with kit.opened() as store:
            added = await store.add([row(1, key="k"), row(2, key="k")])

            assert list(added) == [row(1, key="k")] * 2
            assert await ids(store) == ["entry-1"]

    async def test_a_known_key_is_answered_even_when_the_outbox_is_full(self, kit: StoreKit) -> None:
        """What is stored already needs no room (D14)."""
        async with kit.opened(entries=1) as store:
            await store.add([row(1, key="k")])

            assert list(await store.add([row(2, key="k")])) == [row(1, key="k")]

    async def test_an_entry_id_is_given_once(self, kit: StoreKit) -> None:
        """Another row under it is refused, and nothing of the call is kept."""
        async with kit.opened() as store:
            await store.add([row(1)])

            with pytest.raises(StoreError):
                await store.add([row(2), row(1, ident=Ident("ada", "id-9"))])

            assert await ids(store) == ["entry-1"]

    @pytest.mark.parametrize("limits", [{"entries": 2}, {"size": 20}])
    async def test_a_full_outbox_refuses_the_whole_call(self, kit: StoreKit, limits: dict[str, Any]) -> None:
        """Beyond the limits nothing of a call is kept, and the message is named (I10)."""
        async with kit.opened(**limits) as store:
            await store.add([row(1)])

            with pytest.raises(OutboxFull) as caught:
                await store.add([row(2), row(3)])

            assert caught.value.message_id == "id-3"
            assert await ids(store) == ["entry-1"]
            await store.add([row(2)])

    @pytest.mark.parametrize("status", ["sent", "failed", "expired", "discarded"])
    async def test_what_has_ended_leaves_room(self, kit: StoreKit, status: Any) -> None:
        """Only unfinished entries count against the limits (I10)."""
        async with kit.opened(entries=1) as store:
            await store.add([row(1, key="k")])
            await store.settle([row(1, key="k", status=status)])

            await store.add([row(2)])

            with pytest.raises(OutboxFull):
                await store.add([row(3)])

    async def test_a_frozen_envelope_counts_with_its_own_length(self, kit: StoreKit) -> None:
        """What grows at its first attempt takes the room that it then needs (I10)."""
        small = row(1, data=b"12345")

        async with kit.opened(size=20) as store:
            await store.add([small])
            await send(store, "b", (small, 1))  # "frozen id-1": 11 bytes

            with pytest.raises(OutboxFull):
                await store.add([row(2, data=b"1234567890")])
            await store.add([row(2, data=b"123456789")])

    async def test_a_row_that_ended_before_it_was_added_needs_no_room(self, kit: StoreKit) -> None:
        """It is a record, not work (I10)."""
        async with kit.opened(entries=1) as store:
            await store.add([row(1)])

            await store.add([row(2, status="discarded")])

            assert await ids(store) == ["entry-1", "entry-2"]

    async def test_adopting_finds_nothing_where_nobody_died(self, kit: StoreKit) -> None:
        """The own rows are no legacy (D27)."""
        async with kit.opened() as store:
            await store.add([row(1)])

            assert list(await store.adopt()) == []

    async def test_pruning_forgets_what_ended_before(self, kit: StoreKit) -> None:
        """Ended rows and ids go when they are old enough, unfinished ones never (D14, D20)."""
        async with kit.opened() as store:
            await store.add([row(1), row(2), row(3, key="k")])
            await store.settle([row(1, status="failed")])
            await store.applied("support", None, [], [Ident("bob", "old")], keep=10)
            kit.clock.advance(10)
            between = kit.clock.wall()
            await store.settle([row(3, key="k", status="sent")])
            await store.applied("support", None, [], [Ident("bob", "new")], keep=10)

            assert await store.prune(between) == 2

            assert await ids(store) == ["entry-2", "entry-3"]
            seen = await store.seen("support", [Ident("bob", "old"), Ident("bob", "new")])
            assert seen == {Ident("bob", "new")}
            assert await store.prune(between) == 0

    async def test_pruning_spares_a_batch_in_doubt(self, kit: StoreKit) -> None:
        """The identical batch can be sent again however long it takes (D10)."""
        async with kit.opened() as store:
            await store.add([row(1), row(2)])
            one, two = await send(store, "b1", (row(1), 1), (row(2), 2))
            await store.settle([one._replace(status="failed")])
            kit.clock.advance(10)

            assert await store.prune(kit.clock.wall()) == 0

            await store.settle([two._replace(status="sent")])
            assert await store.prune(kit.clock.wall()) == 1

    async def test_pruning_spares_the_batch_of_what_was_retried(self, kit: StoreKit) -> None:
        """Sent again by hand while its batch was under way, it goes on in it, all members there (D7, D10)."""
        async with kit.opened() as store:
            await store.add([row(1), row(2)])
            one, two = await send(store, "b1", (row(1), 1), (row(2), 2))
            await store.settle([one._replace(status="failed"), two._replace(status="failed")])
            await store.settle([two._replace(status="queued")])
            kit.clock.advance(10)

            assert await store.prune(kit.clock.wall()) == 0
            assert await ids(store) == ["entry-1", "entry-2"]

    async def test_a_row_that_was_retried_is_not_pruned(self, kit: StoreKit) -> None:
        """Its end is undone; a new end counts from then (D14)."""
        async with kit.opened() as store:
            await store.add([row(1)])
            await store.settle([row(1, status="failed")])
            await store.settle([row(1)])
            kit.clock.advance(10)

            assert await store.prune(kit.clock.wall()) == 0
            assert await ids(store) == ["entry-1"]
