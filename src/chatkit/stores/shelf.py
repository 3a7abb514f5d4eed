"""The rows of the memory store, in queue order, found by identity, key and batch without a search."""

from __future__ import annotations

from chatkit.model.order import Ident
from chatkit.ports.store import Row
from chatkit.stores.rules import Tally


class Shelf:
    """Rows in queue order, and what is asked about them all the time."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.tally = Tally()
        self._by_ident: dict[tuple[str, Ident], str] = {}
        self._by_key: dict[tuple[str, str, str], str] = {}
        self._by_batch: dict[str, dict[str, None]] = {}

    def put(self, row: Row) -> None:
        """Write a row: over the one with its `entry_id`, in that one's place, or at the end."""
        old = self.rows.get(row.entry_id)
        if old is not None:
            self._unlist(old)
        self.rows[row.entry_id] = row
        self._by_ident[row.channel, row.ident] = row.entry_id
        if row.key is not None:
            self._by_key[row.channel, row.ident.user, row.key] = row.entry_id
        if row.batch_id is not None:
            self._by_batch.setdefault(row.batch_id, {})[row.entry_id] = None
        self.tally.count(row.status, len(row.data), 1)

    def forget(self, entry_id: str) -> None:
        """Remove a row."""
        self._unlist(self.rows.pop(entry_id))

    def move_to_end(self, entry_id: str) -> None:
        """Make a row the last of the queue."""
        self.rows[entry_id] = self.rows.pop(entry_id)

    def known(self, row: Row) -> Row | None:
        """Return the row that has the same key or the same identity in its channel, if there is one."""
        entry_id = None
        if row.key is not None:
            entry_id = self._by_key.get((row.channel, row.ident.user, row.key))
        entry_id = entry_id or self._by_ident.get((row.channel, row.ident))
        return None if entry_id is None else self.rows[entry_id]

    def members(self, batch_id: str) -> tuple[Row, ...]:
        """Return the rows last attempted in a batch."""
        return tuple(self.rows[entry_id] for entry_id in self._by_batch.get(batch_id, ()))

    def _unlist(self, row: Row) -> None:
        del self._by_ident[row.channel, row.ident]
        if row.key is not None:
            del self._by_key[row.channel, row.ident.user, row.key]
        if row.batch_id is not None:
            members = self._by_batch[row.batch_id]
            del members[row.entry_id]
            if not members:
                del self._by_batch[row.batch_id]
        self.tally.count(row.status, len(row.data), -1)
