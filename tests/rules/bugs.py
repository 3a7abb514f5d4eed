"""Defects to plant: each breaks one rule, and the machine that watches over it must see that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import pytest

from chatkit.core import receipts, timeline_kept
from chatkit.core.roster import Roster
from chatkit.core.timeline_changes import Changes
from chatkit.engine import receipts as engine_receipts
from chatkit.engine.lane import Lane
from chatkit.logs.fence import Fence
from chatkit.logs.record import Record
from chatkit.stores import outbox as stored
from chatkit.stores import ownership
from chatkit.stores.shelf import Shelf
from tests.rules.driving import Machine
from tests.rules.outbox_machine import OutboxMachine
from tests.rules.store_machine import FileMachine, StoreMachine
from tests.rules.test_log import InMemory
from tests.rules.test_marks import MarksMachine
from tests.rules.test_presence import PresenceMachine
from tests.rules.timeline_machine import TimelineMachine

Plant = Callable[[pytest.MonkeyPatch], None]


class Bug(NamedTuple):
    """One defect, and who is to find it."""

    rule: str
    machine: type[Machine]
    plant: Plant


def replaced(owner: Any, name: str, made: Callable[[Any], Any]) -> Plant:
    """Put something else in the place of a function, made from it."""
    return lambda patch: patch.setattr(owner, name, made(getattr(owner, name)))


def nothing(_: Any) -> Any:
    """Do nothing."""
    return lambda *_, **__: None


def _lane_forgotten(answer: Any) -> Any:
    return lambda self, entry, digest, now: answer(self, entry._replace(seq=None), digest, now)


def _last_to_come_wins(add: Any) -> Any:
    def added(self: Changes, register: Any, change: Any) -> Any:
        self.fronts.pop(register, None)
        return add(self, register, change)

    return added


def _words_stay(drop: Any) -> Any:
    def dropped(self: Roster, user: str, client: str, now: Any) -> None:
        words = dict(self._words)
        drop(self, user, client, now)
        self._words = words

    return dropped


def _own_count(tally: Any) -> Any:
    return lambda newest_first, user, faces, **rest: tally(newest_first, "", faces, **rest)


def _another_batch(silence: Any) -> Any:
    def silenced(self: Lane, group: Any, error: Any) -> None:
        silence(self, group, error)
        self._parcels.popleft()
        for entry in reversed(group):
            entry.batch = (entry,)
            self._parcels.appendleft((entry,))

    return silenced


BUGS: Final = {
    "a late attempt is taken": Bug("D9", InMemory, replaced(Fence, "answer", _lane_forgotten)),
    "deleted text stays in the entries": Bug("D26", InMemory, replaced(Record, "erase", nothing)),
    "a retry by hand keeps its place": Bug("D7", StoreMachine, replaced(Shelf, "move_to_end", nothing)),
    "a crash forgets a doubt": Bug("D6", FileMachine, replaced(ownership, "_count_as_attempted", nothing)),
    "a batch in doubt falls apart": Bug("D10", OutboxMachine, replaced(Lane, "_silence", _another_batch)),
    "an attempt is not recorded": Bug("D6", OutboxMachine, replaced(stored, "attempt", nothing)),
    "a stale edit wins": Bug("I7", TimelineMachine, replaced(Changes, "add", _last_to_come_wins)),
    "dropped changes leave no doubt": Bug(
        "D22", TimelineMachine, replaced(timeline_kept.Kept, "_doubt", nothing)
    ),
    "words outlive who said them": Bug("D32", PresenceMachine, replaced(Roster, "drop", _words_stay)),
    "whoever is cut is not seen": Bug("D32", PresenceMachine, replaced(Roster, "pause", nothing)),
    "a mark goes back": Bug("I9", MarksMachine, replaced(receipts, "merged", lambda _: lambda old, new: new)),
    "one's own messages are unread": Bug("D25", MarksMachine, replaced(engine_receipts, "tally", _own_count)),
}
