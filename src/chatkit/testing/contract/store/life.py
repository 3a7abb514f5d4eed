"""The contract of stores: opening, closing, and what outlives an owner."""

from __future__ import annotations

from typing import Any

import pytest

from chatkit.errors import OutboxFull, StateError
from chatkit.model.options import OutboxLimits
from chatkit.model.order import Ident, OrderKey
from chatkit.model.registers import Register
from chatkit.ports.store import LaneKey, LaneMark, Mark
from chatkit.testing.contract.store.kit import StoreKit, StorePart, ids, send
from chatkit.testing.rows import DEVICE, NOON, attempted, batch_of, message, row

LANE = LaneKey("support", "ada", DEVICE)


class LifeContract(StorePart):
    """Opening and closing."""

    async def test_a_new_store_says_what_it_is(self, kit: StoreKit) -> None:
        """Bound to user and realm, with a device and a secret of its own, first owner, clean (D27)."""
        async with kit.opened() as store:
            header = kit.header

            assert store.durable == kit.durable
            assert header is not None
            assert header[:2] == ("ada", "memory:hub")
            assert header.device.isalnum()
            assert len(header.secret) >= 16
            assert (header.owner_epoch, header.clean, header.hlc) == (1, True, None)

    async def test_a_store_is_opened_once(self, kit: StoreKit) -> None:
        """The object has one life; the file may have many."""
        async with kit.opened() as store:
            with pytest.raises(StateError):
                await store.open("ada", "memory:hub", rebind=False)

    async def test_a_store_that_is_not_open_refuses_every_call(self, kit: StoreKit) -> None:
        """Before `open` and after `aclose` alike."""
        store = kit.make(OutboxLimits())
        with pytest.raises(StateError):
            await store.rows()
        await store.open("ada", "memory:hub", rebind=False)
        await store.aclose()

        for call in (
            store.rows(),
            store.add([row(1)]),
            store.settle([row(1)]),
            store.renew_device("a", "b"),
            store.lanes(),
            store.batches(),
            store.adopt(),
            store.prune(NOON),
            store.marks(),
            store.applied("support", None, [], [], keep=1),
            store.cached("support", before=None, limit=1),
            store.seen("support", []),
            store.put([]),
            store.registers(),
        ):
            with pytest.raises(StateError):
                await call

    async def test_closing_twice_is_closing_once(self, kit: StoreKit) -> None:
        """`aclose` is idempotent, before `open` too."""
        store = kit.make(OutboxLimits())
        await store.aclose()
        with pytest.raises(StateError):
            await store.open("ada", "memory:hub", rebind=False)

        async with kit.opened() as opened:
            await opened.aclose()


class DurableContract(StorePart):
    """What a store in a file keeps from one life to the next."""

    needs = frozenset({"durable"})

    async def test_everything_is_found_again(self, kit: StoreKit) -> None:
        """Rows, lanes, batches, marks, messages, ids, registers and the clock outlive the owner (I3)."""
        mark = Mark(OrderKey(1, "a"), "log-1")
        register = Register("support", "ada", "read", "5", "greatest", OrderKey(1, "5"))
        async with kit.opened() as store:
            first = kit.header
            await store.add([row(1), row(2)])
            [one] = await send(store, "b1", (row(1), 1))
            await store.applied("support", mark, [message(1)], [Ident("bob", "x")], keep=10)
            await store.put([register])

        async with kit.opened() as store:
            assert first is not None
            assert kit.header == first._replace(owner_epoch=2, hlc="0193581fa2c0-0001")
            assert list(await store.rows()) == [one, row(2)]
            assert await store.lanes() == {LANE: LaneMark(1, 1)}
            assert await store.batches() == {"b1": (one.ident,)}
            assert await store.marks() == {"support": mark}
            assert list(await store.cached("support", before=None, limit=9)) == [message(1)]
            assert await store.seen("support", [Ident("bob", "x")]) == {Ident("bob", "x")}
            assert list(await store.registers()) == [register]

    async def test_the_clock_never_goes_back(self, kit: StoreKit) -> None:
        """The greatest reading is kept (D4)."""
        async with kit.opened() as store:
            await store.add([row(1)])
            one = attempted(row(1), "b1", 1)
            for hlc in ("0193581fa2c0-0002", "0193581fa2c0-0001"):
                await store.attempt(batch_of("b1", one), [one], hlc=hlc)

        async with kit.opened():
            assert kit.header is not None
            assert kit.header.hlc == "0193581fa2c0-0002"

    async def test_a_new_device_stays(self, kit: StoreKit) -> None:
        """The next owner begins with it (D27)."""
        async with kit.opened() as store:
            assert kit.header is not None
            await store.renew_device(kit.header.device, "newone")

        async with kit.opened():
            assert kit.header.device == "newone"

    async def test_limits_count_what_was_stored_before(self, kit: StoreKit) -> None:
        """A restart makes no room (I10)."""
        async with kit.opened() as store:
            await store.add([row(1)])

        async with kit.opened(entries=1) as store:
            with pytest.raises(OutboxFull):
                await store.add([row(2)])

    async def test_another_user_is_refused(self, kit: StoreKit) -> None:
        """A store is bound to its user; it stays as it was (D27)."""
        async with kit.opened() as store:
            await store.add([row(1)])

        with pytest.raises(StateError):
            async with kit.opened("bob", rebind=True):
                pass

        async with kit.opened() as store:
            assert await ids(store) == ["entry-1"]
            assert kit.header is not None
            assert kit.header.owner_epoch == 2

    async def test_another_realm_is_refused(self, kit: StoreKit) -> None:
        """What was meant for one project is not sent to another by mistake (D27)."""
        async with kit.opened():
            pass

        with pytest.raises(StateError):
            async with kit.opened(realm="pusher:app"):
                pass

    async def test_rebinding_moves_what_was_never_attempted(self, kit: StoreKit) -> None:
        """What may have arrived in the old realm ends there, uncertain (D27)."""
        async with kit.opened() as store:
            await store.add([row(1), row(2), row(3)])
            [one] = await send(store, "b1", (row(1), 1))
            [two] = await send(store, "b2", (row(2), 2))
            await store.settle([two._replace(status="queued")])

        async with kit.opened(realm="pusher:app", rebind=True) as store:
            assert kit.header is not None
            assert kit.header.realm == "pusher:app"
            found = list(await store.rows())
            assert all(lost.reason for lost in found[:2])
            lost: dict[str, Any] = {"status": "failed", "certain": False, "reason": found[0].reason}
            assert found == [one._replace(**lost), two._replace(**lost), row(3)]
            assert await store.batches() == {}
            kit.clock.advance(1)
            assert await store.prune(kit.clock.wall()) == 2

        async with kit.opened(realm="pusher:app"):
            pass

    async def test_rebinding_keeps_only_marks_that_a_log_vouches_for(self, kit: StoreKit) -> None:
        """Places of a provider without a log mean nothing at another one (D18)."""
        placed, logged = Mark(OrderKey(1, "a"), None), Mark(OrderKey(1, "a"), "log-1")
        unlogged = message(1, stamp=message(1).stamp._replace(log_id=None))
        async with kit.opened() as store:
            await store.applied("support", placed, [unlogged], [], keep=10)
            await store.applied("sales", logged, [message(2)], [], keep=10)

        async with kit.opened(realm="pusher:app", rebind=True) as store:
            assert await store.marks() == {"sales": logged}
            assert list(await store.cached("support", before=None, limit=9)) == []
            assert list(await store.cached("sales", before=None, limit=9)) == [message(2)]

    async def test_after_a_crash_every_unfinished_entry_counts_as_attempted(self, kit: StoreKit) -> None:
        """One that waits for its next attempt is in doubt; one without any is not (D6)."""
        store: Any = kit.make(OutboxLimits())
        await store.open("ada", "memory:hub", rebind=False)
        await store.add([row(n) for n in range(1, 7)])
        [one] = await send(store, "b1", (row(1), 1))
        [two] = await send(store, "b2", (row(2), 2))
        await store.settle([two._replace(status="queued")])
        [three] = await send(store, "b3", (row(3), 3))
        failed = three._replace(status="failed")
        again = row(4, attempts=1)  # put back by hand: its next attempt takes a new number (D7)
        await store.settle([failed, again])
        [six] = await send(store, "b6", (row(6), 6))
        unnumbered = six._replace(seq=None)  # where no order is kept (D8)
        await store.settle([unnumbered._replace(status="queued")])
        store.abandon()

        async with kit.opened() as opened:
            assert kit.header is not None
            assert not kit.header.clean
            assert list(await opened.rows()) == [one, two, failed, again, row(5), unnumbered]

    async def test_a_clean_end_leaves_entries_as_they_were(self, kit: StoreKit) -> None:
        """What was refused for now and is known to have been is no doubt (D6)."""
        async with kit.opened() as store:
            await store.add([row(1)])
            [one] = await send(store, "b1", (row(1), 1))
            await store.settle([one._replace(status="queued")])

        async with kit.opened() as store:
            assert kit.header is not None
            assert kit.header.clean
            assert list(await store.rows()) == [one._replace(status="queued")]

    async def test_an_abandoned_store_refuses_calls_and_leaves_the_file_to_others(
        self, kit: StoreKit
    ) -> None:
        """Abandoning is dying, but for the process; doing so twice is once."""
        store: Any = kit.make(OutboxLimits())
        await store.open("ada", "memory:hub", rebind=False)
        store.abandon()
        store.abandon()

        with pytest.raises(StateError):
            await store.rows()
        await store.aclose()
        async with kit.opened():
            pass
