"""The contract of logs: several doors to one log, one log in place of another, and what a log cannot do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, get_args

import pytest

from chatkit.ports.log import Log, LogFeature
from chatkit.testing.contract.base import needing
from chatkit.testing.contract.log.kit import SUPPORT, LogKit, append, outcomes, read, serial, state
from chatkit.testing.contract.log.part import CALLS, LogPart, assert_declined
from chatkit.testing.wishes import change, wish

PATIENCE: Final = 30.0
"""Seconds of the loop's time in which a log tells another door of an append."""


@asynccontextmanager
async def listening(log: Log) -> AsyncGenerator[AsyncIterator[str]]:
    """What a log tells from here on, given up after a while."""
    changes = log.changes()
    async with asyncio.timeout(PATIENCE):
        try:
            assert await anext(changes) == ""
            yield changes
        finally:
            if isinstance(changes, AsyncGenerator):
                await changes.aclose()


class DoorsContract(LogPart):
    """Whoever opens the log finds the same one."""

    needs = frozenset({"append", "fence"})

    @needing("registers")
    async def test_what_came_in_by_one_door_is_seen_through_the_other(self, kit: LogKit) -> None:
        """At once, with the same numbers, ids, lanes and roles (D9)."""
        async with kit.opened() as one, kit.opened() as other:
            created = wish(1)
            await append(one, created)
            await one.put([read(1)])

            assert await outcomes(other, created, wish(2)) == ["duplicate", "new"]
            assert (await state(one))[:4] == (await state(other))[:4]
            assert (await state(one)).head == serial(2)
            assert list(await other.registers(SUPPORT, ["read"])) == [read(1)]

    async def test_a_closed_door_leaves_the_log_as_it_was(self, kit: LogKit) -> None:
        """Closing is idempotent, and what was acknowledged is kept."""
        async with kit.opened() as one:
            await append(one, wish(1))
            log_id = (await state(one)).log_id
            await one.aclose()

        async with kit.opened() as other:
            assert await outcomes(other, wish(1)) == ["duplicate"]
            assert (await state(other)).log_id == log_id

    @needing("notify")
    async def test_appends_through_one_door_are_told_at_the_other(self, kit: LogKit) -> None:
        """By the channel's name, or by `""`; the first item says that listening has begun (D16)."""
        async with kit.opened() as one, kit.opened() as other, listening(one) as changes:
            await append(other, wish(1, channel="sales é"), channel="sales é")

            assert await anext(changes) in {"sales é", ""}

    @needing("notify")
    async def test_everyone_who_listens_is_told(self, kit: LogKit) -> None:
        """Of every channel, whoever else listens."""
        async with (
            kit.opened() as one,
            kit.opened() as other,
            listening(one) as first,
            listening(one) as second,
        ):
            for number, channel in enumerate(("sales", SUPPORT), start=1):
                await append(other, wish(number, channel=channel), channel=channel)
            for changes in (first, second):
                heard: set[str] = set()
                while not ({"sales", SUPPORT} <= heard or "" in heard):
                    heard.add(await anext(changes))

    async def test_a_backup_in_place_of_the_log_is_another_log(self, kit: LogKit) -> None:
        """Its id says so for certain: what clients remember may lie beyond it (D18)."""
        async with kit.opened() as log:
            await append(log, wish(1))
            before = await state(log)

            restored = await kit.restored(log)
            after = await state(restored)

            assert after.log_id != before.log_id
            assert after.epoch == before.epoch == 1
            await append(restored, wish(2))
            assert (await state(restored)).log_id == after.log_id
            if restored is not log:
                await restored.aclose()


class CapabilitiesContract(LogPart):
    """A log says what it can do, does it, and refuses the rest."""

    @pytest.mark.parametrize("call", CALLS)
    async def test_what_a_log_lacks_it_refuses(self, kit: LogKit, call: str) -> None:
        """By the declared error, never by an empty answer; what it has it answers."""
        feature, ask = CALLS[call]
        async with kit.opened() as log:
            if feature in log.capabilities:
                await ask(log)
                return
            await assert_declined(log, call)

    async def test_every_log_can_be_read(self, kit: LogKit) -> None:
        """Heads, entries, messages and ids, whatever it lacks."""
        async with kit.opened() as log:
            assert log.capabilities <= set(get_args(LogFeature))
            assert (await log.heads([SUPPORT]))[SUPPORT].head is None
            assert (await log.entries(SUPPORT, after=None, limit=1)).items == ()
            assert (await log.messages(SUPPORT, limit=1)).items == ()
            assert (await log.find(SUPPORT, [change(1, "reaction.add", wish(2)).ident])).items == {}
