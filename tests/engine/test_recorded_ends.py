"""That a wish ended without being sent is told once it is on disk: before that a restart would send it (I1)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from chatkit.core.delivery import Input, State
from chatkit.engine.entries import AGAIN
from chatkit.engine.holding import held_by
from chatkit.errors import StoreError
from chatkit.model.order import OrderKey
from chatkit.testing.clock import settle
from tests.engine.sending_kit import Client, FaultyStore, Fixed, Provider, refuse

if TYPE_CHECKING:
    from chatkit.engine.entry import OutboxEntry
    from chatkit.testing.clock import VirtualClock

LONG = 5
"""Settlings that fail, AGAIN seconds apart."""


def client(clock: VirtualClock, store: FaultyStore, *answers: Any, offline: bool = False) -> Client:
    ada = Client(clock, Provider(*answers).adapter(), store=store, offline=offline)
    ada.context.random = Fixed(0.5)
    if offline:  # it never connects, and its time is confirmed all the same
        ada.context.server_time.confirm(None)
    return ada


async def stored(ada: Client) -> list[str]:
    return [row.status for row in await ada.store.rows()]


def told(ada: Client, entry: OutboxEntry) -> tuple[str, int, int]:
    """Return what users see of an entry: its status, how many wait, how many have failed."""
    return entry.shown.status, ada.outbox.depth, ada.outbox.failed


async def test_a_refusal_is_told_when_it_is_on_disk(clock: VirtualClock) -> None:
    """Though the lane has gone on long before; whoever waits is told what it waits for."""
    store = FaultyStore(clock)
    async with client(clock, store, refuse(only="1")) as ada:
        store.failing["settle"] = LONG
        first = await ada.send("1")
        second = await ada.send("2")
        await asyncio.sleep((LONG - 1) * AGAIN)
        assert first.state is State.FAILED
        assert told(ada, first) == ("sending", 1, 0)
        assert [change for change in ada.changes if change[1] == "failed"] == []
        assert ada.outbox.totals == {"sent": 1}
        why = held_by(ada.outbox, ada.link, first)
        assert why.why == "it ended, which the store could not record yet"
        assert isinstance(why.cause, StoreError)

        await asyncio.sleep(2 * AGAIN)
        assert (second.state, await stored(ada)) == (State.SENT, ["failed"])
        assert told(ada, first) == ("failed", 0, 1)
        assert [(text, late) for text, status, late, _ in ada.changes if status == "failed"] == [("1", False)]
        assert ada.outbox.totals == {"sent": 1, "failed": 1}
        assert ada.outbox.unrecorded is None


async def test_what_expires_is_told_when_it_is_on_disk_and_its_edit_with_it(clock: VirtualClock) -> None:
    """Neither before the other (D7, D13)."""
    store = FaultyStore(clock)
    async with client(clock, store, offline=True) as ada:
        entry = await ada.send("1", expires_in=60.0)
        edit = await ada.send("edit", kind="message.update", of=entry)
        await asyncio.sleep(59)
        store.failing["settle"] = LONG
        await asyncio.sleep(LONG * AGAIN)
        assert (entry.state, edit.state) == (State.EXPIRED, State.FAILED)
        assert (told(ada, entry), told(ada, edit)) == (("queued", 2, 0), ("queued", 2, 0))

        await asyncio.sleep(3 * AGAIN)
        assert await stored(ada) == ["expired", "failed"]
        assert [(text, status) for text, status, _, _ in ada.changes] == [
            ("1", "expired"),
            ("edit", "failed"),
        ]
        assert ada.outbox.depth == 0


async def test_a_withdrawal_is_told_when_it_is_on_disk(clock: VirtualClock) -> None:
    """`discard()` has raised meanwhile, and nothing was sent."""
    store = FaultyStore(clock)
    async with client(clock, store, offline=True) as ada:
        entry = await ada.send("1")
        store.failing["settle"] = 1
        with pytest.raises(StoreError):
            await ada.outbox.discard(entry)
        assert told(ada, entry) == ("queued", 1, 0)

        await asyncio.sleep(2 * AGAIN)
        assert (told(ada, entry), await stored(ada)) == (("discarded", 0, 0), ["discarded"])


async def test_what_arrived_after_all_is_told_as_sent_alone(clock: VirtualClock) -> None:
    """Its end was never told: the proof is not late (D6)."""
    store = FaultyStore(clock)
    async with client(clock, store, refuse(only="1")) as ada:
        store.failing["settle"] = LONG
        entry = await ada.send("1")
        await asyncio.sleep(AGAIN)
        assert entry.state is State.FAILED

        ada.outbox.seen(entry.row.channel, entry.row.ident, OrderKey(1, "9"))
        await asyncio.sleep(LONG * AGAIN)
        assert [(status, late) for _, status, late, _ in ada.changes] == [("sending", False), ("sent", False)]
        assert ada.outbox.totals == {"sent": 1}


async def test_what_nobody_was_told_to_have_failed_is_not_sent_again_by_hand(clock: VirtualClock) -> None:
    """`retry()` is for what has failed; it does nothing for any other (D7)."""
    store = FaultyStore(clock)
    async with client(clock, store, refuse(only="1")) as ada:
        store.failing["settle"] = LONG
        entry = await ada.send("1")
        await asyncio.sleep(AGAIN)

        await ada.outbox.retry(entry)
        await settle()
        assert entry.state is State.FAILED

        await asyncio.sleep(LONG * AGAIN)
        await ada.outbox.retry(entry)
        await ada.drained()
        assert entry.state.value == "sent"


async def test_what_is_in_no_list_is_told_too(clock: VirtualClock) -> None:
    """A row that only the store knew, withdrawn before it was taken up."""
    store = FaultyStore(clock)
    async with client(clock, store, offline=True) as ada:
        await ada.store.add([ada.row("1")])
        [row] = await ada.store.rows()
        entry = ada.outbox.adopt_row(row)

        ada.outbox.move(entry, Input.DISCARD)
        assert told(ada, entry) == ("queued", 0, 0)
        await ada.outbox.settle()

        assert told(ada, entry) == ("discarded", 0, 0)
