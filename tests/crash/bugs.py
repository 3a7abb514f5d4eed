"""Bugs to plant: each breaks one promise in one of the two lives, and the matrix must see it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from unittest.mock import patch

from chatkit.core.delivery import State
from chatkit.engine.accepting import Acceptor
from chatkit.engine.entry import state_of
from chatkit.engine.keeping import Keeper
from chatkit.engine.outbox import Outbox
from chatkit.ports import Row
from chatkit.stores import SqliteStore


def promise_before_commit() -> None:
    """`send()` returns while its wish is still on its way to the disk."""

    async def keep(self: Acceptor, *rows: Row) -> Sequence[Row]:
        async def add() -> None:
            await asyncio.sleep(1)
            await self._context.store.add(rows)

        self._later = asyncio.ensure_future(add())  # type: ignore[attr-defined]
        return rows

    _replace(Acceptor, "_keep", keep)


def fresh_id_on_retry() -> None:
    """What is in doubt after a crash is sent again as another message."""
    take_over = Outbox._take_over

    async def renamed(self: Outbox, rows: Sequence[Row]) -> Any:
        return await take_over(self, [_renamed(self, row) for row in rows])

    _replace(Outbox, "_take_over", renamed)


def _renamed(outbox: Outbox, row: Row) -> Row:
    if state_of(row) is not State.IN_DOUBT:
        return row
    id = outbox.new_id()
    data = row.data.replace(row.ident.id.encode(), id.encode(), 1)
    return row._replace(ident=row.ident._replace(id=id), data=data, batch_id=None)


def mark_without_messages() -> None:
    """The catch-up mark is written ahead of the messages that it covers."""
    flush = Keeper.flush

    async def flush_mark(self: Keeper) -> None:
        self._dirty.clear()
        await flush(self)

    _replace(Keeper, "flush", flush_mark)


def adopted_and_forgotten() -> None:
    """Files of dead processes are taken, and nobody is told what waits in them."""

    async def nothing(_store: SqliteStore) -> tuple[()]:
        return ()

    _replace(SqliteStore, "waiting", nothing)


def _replace(owner: type, name: str, new: object) -> None:
    patch.object(owner, name, new).start()  # for good: the process is there for nothing else


BUGS: Final[Mapping[str, Callable[[], None]]] = {
    bug.__name__: bug
    for bug in (promise_before_commit, fresh_id_on_retry, mark_without_messages, adopted_and_forgotten)
}
