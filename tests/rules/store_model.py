"""A store's outbox as a list of rows (D5, D6, D7, D10, D14, D27)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from chatkit.model.order import Ident
from chatkit.ports.store import LaneKey, LaneMark, Row

UNFINISHED = ("queued", "sending")


def lane_of(row: Row) -> LaneKey:
    """The lane of a row."""
    return LaneKey(row.channel, row.ident.user, row.device)


@dataclass
class FileModel:
    """One file, or memory."""

    device: str
    entries: int
    size: int
    rows: list[Row] = field(default_factory=list[Row])
    """In queue order."""
    ended: dict[str, datetime] = field(default_factory=dict[str, datetime])
    members: dict[str, tuple[Ident, ...]] = field(default_factory=dict[str, tuple[Ident, ...]])
    taken: dict[LaneKey, list[int]] = field(default_factory=dict[LaneKey, list[int]])
    acked: dict[LaneKey, list[int]] = field(default_factory=dict[LaneKey, list[int]])
    clean: bool = True
    epoch: int = 0

    # -- asked

    @property
    def unfinished(self) -> list[Row]:
        """What still waits for its end."""
        return [row for row in self.rows if row.status in UNFINISHED]

    @property
    def waiting(self) -> list[Row]:
        """What waits for its end, or for being told of."""
        return [
            row
            for row in self.rows
            if row.status in UNFINISHED or (row.status == "sent" and not row.announced)
        ]

    def known(self, row: Row) -> Row | None:
        """The row that answers for a wish: of the same key, else of the same identity (D14)."""
        mine = [old for old in self.rows if (old.channel, old.ident.user) == (row.channel, row.ident.user)]
        keyed = [old for old in mine if row.key is not None and old.key == row.key]
        return next(iter([*keyed, *(old for old in mine if old.ident == row.ident)]), None)

    def lanes(self) -> dict[LaneKey, LaneMark]:
        """How far each lane has come: what is being sent is in doubt (D5)."""
        return {
            lane: LaneMark(
                max(taken),
                max(
                    [0, *self.acked.get(lane, [])]
                    + [row.seq or 0 for row in self.rows if lane_of(row) == lane and row.status == "sending"]
                ),
            )
            for lane, taken in self.taken.items()
        }

    def batches(self) -> dict[str, tuple[Ident, ...]]:
        """The members of each batch of which not all have ended (D10)."""
        return {name: idents for name, idents in self.members.items() if self._open(name)}

    def fits(self, rows: Sequence[Row]) -> bool:
        """Whether there is room for all of some new rows (I10)."""
        waiting = [*self.unfinished, *rows]
        return len(waiting) <= self.entries and sum(len(row.data) for row in waiting) <= self.size

    # -- told

    def attempt(self, batch_id: str, members: tuple[Ident, ...], rows: Sequence[Row]) -> None:
        """An attempt is recorded (D6)."""
        for row in rows:
            self._write(row)
            if row.seq is not None:
                self.taken.setdefault(lane_of(row), []).append(row.seq)
        self.members[batch_id] = members
        self._forget_done()

    def settle(self, rows: Sequence[Row], now: datetime) -> None:
        """What rows became."""
        for row in rows:
            before = next((old for old in self.rows if old.entry_id == row.entry_id), None)
            if before is None:
                continue
            self._write(row)
            if row.status not in UNFINISHED:
                self.ended[row.entry_id] = now
            elif self.ended.pop(row.entry_id, None) is not None:
                self.rows.remove(row)
                self.rows.append(row)  # a manual retry goes to the end (D7)
            there = row.status == "sent" or (row.status not in UNFINISHED and not row.certain)
            if row.seq is not None and there:
                self.taken.setdefault(lane_of(row), []).append(row.seq)
                self.acked.setdefault(lane_of(row), []).append(row.seq)
        self._forget_done()

    def renew_device(self, old: str, new: str) -> None:
        """Another device goes on for one (D27)."""
        self.rows = [
            row._replace(device=new)
            if row.device == old and not row.attempts and row.status in UNFINISHED
            else row
            for row in self.rows
        ]
        self.device = new if self.device == old else self.device

    def prune(self, before: datetime) -> int:
        """Forget what ended long ago, unless its batch is still in doubt (D14)."""
        old = [
            row
            for row in self.rows
            if row.entry_id in self.ended
            and self.ended[row.entry_id] < before
            and not (row.batch_id and self._open(row.batch_id))
        ]
        for row in old:
            self._drop(row)
        return len(old)

    def die(self) -> None:
        """Its owner ended without a word: what was attempted before and waits may be on its way (D6)."""
        self.clean = False
        self.rows = [
            row._replace(status="sending")
            if row.status == "queued" and row.attempts and row.first_attempt
            else row
            for row in self.rows
        ]

    # -- inside

    def _open(self, batch_id: str) -> bool:
        return any(row.batch_id == batch_id for row in self.unfinished)

    def _write(self, row: Row) -> None:
        self.rows = [row if old.entry_id == row.entry_id else old for old in self.rows]

    def _forget_done(self) -> None:
        """What is sent, told of and has no key goes with the last of its batch (D10, D14)."""
        for row in tuple(self.rows):
            done = row.status == "sent" and row.announced and row.key is None
            if done and not (row.batch_id and self._open(row.batch_id)):
                self._drop(row)
        self.members = {name: idents for name, idents in self.members.items() if self._open(name)}

    def _drop(self, row: Row) -> None:
        self.rows.remove(row)
        self.ended.pop(row.entry_id, None)
