"""The contract of stores: marks, cached messages, seen ids and registers."""

from __future__ import annotations

import pytest

from chatkit.model.order import Ident, OrderKey
from chatkit.model.registers import Register
from chatkit.ports.store import Mark
from chatkit.testing.contract.store.kit import StoreKit, StorePart
from chatkit.testing.rows import message


class TimelineContract(StorePart):
    """What was received, and registers."""

    async def test_a_mark_is_kept_with_its_holes(self, kit: StoreKit) -> None:
        """`complete` comes back as recorded; `None` leaves it alone (D17, D19)."""
        first = Mark(OrderKey(1, "a"), None)
        mark = Mark(OrderKey(2, "c"), "log-1", ((OrderKey(1, "a"), OrderKey(2, "b")),))

        async with kit.opened() as store:
            assert await store.marks() == {}
            await store.applied("support", first, [], [], keep=10)
            await store.applied("support", mark, [], [], keep=10)
            await store.applied("support", None, [], [], keep=10)
            await store.applied("sales", first, [], [], keep=10)

            assert await store.marks() == {"support": mark, "sales": first}

    async def test_messages_come_back_as_they_were_folded(self, kit: StoreKit) -> None:
        """Every field is kept."""
        rich = message(
            2,
            stamp=message(2).stamp._replace(prev="p", log_id=None),
            edit=b"edit \x00",
            version=3,
            changed=OrderKey(4, "later"),
            deleted=True,
            replies=2,
            last_reply=OrderKey(1, "last"),
            reactions={"👋": ("ada", "bob")},
        )

        async with kit.opened() as store:
            await store.applied("support", None, [message(1), rich], [], keep=10)

            assert list(await store.cached("support", before=None, limit=10)) == [message(1), rich]

    async def test_the_cache_is_in_order_of_keys(self, kit: StoreKit) -> None:
        """Number first, then the serial as bytes, whatever the order of arrival (D3)."""
        places = [
            OrderKey(1, "B"),
            OrderKey(1, "a"),
            OrderKey(1, "é"),
            OrderKey(1, "\uff41"),
            OrderKey(1, "😀"),
            OrderKey(2, "A"),
            OrderKey(10, "A"),
        ]
        messages = [message(n, stamp=message(n).stamp._replace(key=key)) for n, key in enumerate(places)]

        async with kit.opened() as store:
            await store.applied("support", None, messages[::-1], [], keep=100)

            found = await store.cached("support", before=None, limit=100)
            assert [m.stamp.key for m in found] == places

    async def test_the_cache_is_read_backward_page_by_page(self, kit: StoreKit) -> None:
        """The newest before a place, ascending, and only of its channel."""
        messages = [message(n) for n in range(1, 6)]

        async with kit.opened() as store:
            await store.applied("support", None, messages, [], keep=10)
            await store.applied("sales", None, [message(9)], [], keep=10)

            assert list(await store.cached("support", before=None, limit=2)) == messages[3:]
            page = await store.cached("support", before=messages[3].stamp.key, limit=2)
            assert list(page) == messages[1:3]
            assert list(await store.cached("support", before=messages[0].stamp.key, limit=2)) == []

    async def test_a_message_is_replaced_by_its_newer_fold(self, kit: StoreKit) -> None:
        """One identity is one message, in its new place if it has one."""
        async with kit.opened() as store:
            await store.applied("support", None, [message(1), message(2)], [], keep=10)
            moved = message(1, stamp=message(3).stamp, version=2)

            await store.applied("support", None, [moved], [], keep=10)

            assert list(await store.cached("support", before=None, limit=10)) == [message(2), moved]

    @pytest.mark.parametrize(("keep", "kept"), [(0, []), (2, [4, 5]), (9, [1, 2, 3, 4, 5])])
    async def test_only_the_newest_messages_stay(self, kit: StoreKit, keep: int, kept: list[int]) -> None:
        """The cache is bounded; other channels are not touched (I10)."""
        async with kit.opened() as store:
            await store.applied("sales", None, [message(1)], [], keep=10)
            await store.applied("support", None, [message(n) for n in (5, 1, 4)], [], keep=10)
            await store.applied("support", None, [message(n) for n in (2, 3)], [], keep=keep)

            found = await store.cached("support", before=None, limit=10)
            assert list(found) == [message(n) for n in kept]
            assert len(await store.cached("sales", before=None, limit=10)) == 1

    async def test_seen_ids_are_known_in_their_channel(self, kit: StoreKit) -> None:
        """An id counts with its user, in its channel (D1, D20)."""
        ada, bob = Ident("ada", "x"), Ident("bob", "x")

        async with kit.opened() as store:
            await store.applied("support", None, [], [ada, ada], keep=10)

            assert await store.seen("support", [ada, bob]) == {ada}
            assert await store.seen("sales", [ada]) == frozenset()

    async def test_seen_ids_are_bounded(self, kit: StoreKit, monkeypatch: pytest.MonkeyPatch) -> None:
        """The oldest of a channel go first; one that comes again is no newer for it (D20, I10)."""
        for module in ("memory", "timeline"):
            monkeypatch.setattr(f"chatkit.stores.{module}.SEEN_LIMIT", 3)
        many = [Ident("bob", str(n)) for n in range(5)]

        async with kit.opened() as store:
            await store.applied("sales", None, [], many[:1], keep=10)
            await store.applied("support", None, [], many[:3], keep=10)
            await store.applied("support", None, [], [*many[:2], *many[3:]], keep=10)

            assert await store.seen("support", many) == set(many[2:])
            assert await store.seen("sales", many) == set(many[:1])

    async def test_registers_are_merged(self, kit: StoreKit) -> None:
        """One cell a (channel, user, name), never back (D25)."""
        read = Register("support", "ada", "read", "5", "greatest", OrderKey(1, "5"))
        muted = Register("support", "ada", "muted", "yes", "newest", None)
        elsewhere = Register("sales", "bob", "read", "1", "greatest", OrderKey(1, "1"))

        async with kit.opened() as store:
            await store.put([read, muted, elsewhere])
            await store.put([read._replace(value="4", key=OrderKey(1, "4")), muted._replace(value="no")])

            assert set(await store.registers("support")) == {read, muted._replace(value="no")}
            assert set(await store.registers()) == {read, muted._replace(value="no"), elsewhere}
