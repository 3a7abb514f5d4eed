"""Whatever fails and whenever: what was acknowledged is kept, and nothing of what failed."""

from __future__ import annotations

import copy
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.errors import ChatkitError, StoreError
from chatkit.model.options import OutboxLimits
from chatkit.model.order import Ident, OrderKey
from chatkit.model.registers import Register
from chatkit.ports.store import Mark, Store
from chatkit.stores import MemoryStore
from chatkit.testing.clock import VirtualClock
from chatkit.testing.rows import attempted, batch_of, message, row
from tests.stores.doubles import Factory, disk_error, sqlite_error
from tests.stores.kits import file_store

LIMITS = OutboxLimits(entries=4)


class Call(NamedTuple):
    """A call of the store that depends on nothing but its own arguments."""

    name: str
    numbers: tuple[int, ...]
    status: Any

    async def on(self, store: Store) -> object:
        keys = {n: "key" if n % 2 else None for n in self.numbers}
        rows = [row(n, key=keys[n]) for n in self.numbers]
        first = self.numbers[0]
        if self.name == "add":
            return tuple(await store.add(rows))
        if self.name == "attempt":
            sending = [attempted(r, f"b{first}", n) for r, n in zip(rows, self.numbers, strict=True)]
            await store.attempt(batch_of(f"b{first}", *sending), sending, hlc=f"hlc-{first}")
        if self.name == "settle":
            batch_id = f"b{first}" if first % 3 else None
            await store.settle([r._replace(status=self.status, batch_id=batch_id) for r in rows])
        if self.name == "applied":
            mark = Mark(OrderKey(1, str(first)), "log-1")
            messages = [message(n) for n in self.numbers]
            await store.applied("support", mark, messages, [m.ident for m in messages], keep=2)
        if self.name == "put":
            await store.put([Register("support", "ada", "read", str(first), "newest", None)])
        return None


CALLS = st.builds(
    Call,
    st.sampled_from(["add", "add", "attempt", "settle", "applied", "put"]),
    st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True).map(tuple),
    st.sampled_from(["queued", "sending", "sent", "failed"]),
)


class Failure(NamedTuple):
    """Statements that fail: the first of them, how many, how, and whether they have happened all the same."""

    first: int
    length: int
    make: Callable[[], Exception]
    happened: bool

    def inject(self, factory: Factory) -> None:
        start = len(factory.statements)

        def decide(_: str) -> Exception | None:
            return self.make() if 0 < len(factory.statements) - start - self.first <= self.length else None

        if self.happened:
            factory.after = decide
        else:
            factory.before = decide


FAILURES = st.builds(
    Failure,
    st.integers(0, 60),
    st.integers(1, 5),
    st.sampled_from(
        [disk_error, lambda: sqlite_error(10), lambda: sqlite_error(13), lambda: sqlite_error(11)]
    ),
    st.booleans(),
)


async def outcome_of(call: Call, store: Store) -> object:
    """The result, or the kind of error."""
    try:
        return await call.on(store)
    except ChatkitError as error:
        return type(error)


async def contents(store: Store) -> dict[str, object]:
    """Everything that a store would tell."""
    idents = [Ident("bob", f"id-{n}") for n in range(6)]
    return {
        "rows": list(await store.rows()),
        "batches": await store.batches(),
        "lanes": await store.lanes(),
        "marks": await store.marks(),
        "cached": list(await store.cached("support", before=None, limit=9)),
        "seen": await store.seen("support", idents),
        "registers": list(await store.registers()),
    }


async def explained(calls: list[Call], failure: Failure, path: Path) -> None:
    """Make the calls on a failing store: it then holds what memory would hold after those that passed.

    A failed call other than `add` may have landed: repeating it changes nothing, so both worlds are allowed.
    """
    clock = VirtualClock()
    factory = Factory()
    store = file_store(path, inline=True, limits=LIMITS, clock=clock, connect=factory)
    await store.open("ada", "memory:hub", rebind=False)
    memory = MemoryStore(limits=LIMITS, clock=clock, random=Random(7))
    await memory.open("ada", "memory:hub", rebind=False)
    worlds = [memory]

    failure.inject(factory)
    for call in calls:
        outcome = await outcome_of(call, store)
        if outcome is StoreError:
            landed = copy.deepcopy(worlds) if failure.happened and call.name != "add" else []
            for world in landed:
                await outcome_of(call, world)
            worlds += landed
        else:
            worlds = [world for world in worlds if await outcome_of(call, world) == outcome]
        assert worlds, f"{call} gave {outcome}, which no allowed state explains"
    await store.aclose()

    again = file_store(path, inline=True, limits=LIMITS, clock=clock)
    header = await again.open("ada", "memory:hub", rebind=False)
    found = await contents(again)
    await again.aclose()
    expected = [await contents(world) for world in worlds]
    assert header.owner_epoch == 2
    assert found in expected or (not header.clean and settled_down(found) in map(settled_down, expected))


def settled_down(told: dict[str, Any]) -> dict[str, Any]:
    """What is told, with what an unclean end puts in doubt left open (D6)."""
    rows = [
        r._replace(status="sending") if r.status == "queued" and r.attempts and r.seq is not None else r
        for r in told["rows"]
    ]
    return told | {"rows": rows, "lanes": None}


@pytest.mark.long
@given(st.lists(CALLS, max_size=12), FAILURES)
async def test_a_failure_at_any_statement_neither_loses_nor_invents(
    calls: list[Call], failure: Failure
) -> None:
    """Nothing of a failed call is kept, everything acknowledged is (I3, D14)."""
    directory = Path(tempfile.mkdtemp())
    try:
        await explained(calls, failure, directory / "ada.db")
    finally:
        shutil.rmtree(directory)
