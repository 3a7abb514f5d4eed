"""The machines see what is wrong: each finds the defects that are planted for it."""

from __future__ import annotations

from typing import Any, Final

import pytest

from chatkit.core import attachment, delivery
from chatkit.core.attachment import Input
from chatkit.core.connection import Effect
from chatkit.core.continuity import Continuity, Verdict
from chatkit.core.table import Step
from chatkit.engine.attaching import Attacher
from chatkit.engine.entries import Entries
from chatkit.engine.link import Link
from tests.rules import test_continuity as continuity
from tests.rules import test_tables as tables
from tests.rules.bugs import BUGS
from tests.rules.driving import found_after, vary

QUICK: Final = {
    "deleted text stays in the entries",
    "a retry by hand keeps its place",
    "an attempt is not recorded",
    "dropped changes leave no doubt",
    "whoever is cut is not seen",
    "one's own messages are unread",
}
"""One of each machine; the others take longer."""


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in BUGS]
)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within 300 examples of its machine, of 50 steps each; without the bug the same machine runs clean."""
    bug = BUGS[name]
    bug.plant(monkeypatch)

    assert found_after(bug.machine, 300, steps=50) > 0


# -- of the tables


def test_a_sent_message_that_is_queued_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """`sent` is for ever, whatever the table says (I1)."""
    pair = delivery.State.SENT, delivery.Input.UNSENT
    monkeypatch.setitem(delivery.TABLE, pair, Step(delivery.State.QUEUED))

    with pytest.raises(AssertionError):
        vary(tables.entry_hears, 100, kind=tables.kinds, walk=tables.walks)


def test_a_doubt_that_is_not_noted_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that calls every end certain (D6)."""
    move = Entries.move

    def moved(self: Entries, entry: Any, *given: Any) -> None:
        move(self, entry, *given)
        entry.row = entry.row._replace(certain=True)

    monkeypatch.setattr(Entries, "move", moved)

    with pytest.raises(AssertionError):
        vary(tables.all_of_an_entry, 4, **tables.ENTRY)


def test_a_link_that_does_not_watch_its_absence_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would never be called suspended (I11)."""
    perform = Link._perform
    monkeypatch.setattr(
        Link, "_perform", lambda self, effect: effect is Effect.WATCH_ABSENCE or perform(self, effect)
    )

    with pytest.raises(AssertionError):
        vary(tables.all_of_a_link, 4, **tables.LINK)


def test_a_channel_that_leaves_out_an_input_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was driven is what was looked up in the table, not what a test believes to have given."""
    feed = Attacher._feed

    def fed(self: Attacher, given: Input) -> None:
        if (self.state, given) != (attachment.State.ATTACHED, Input.WANT):  # it would change nothing
            feed(self, given)

    monkeypatch.setattr(Attacher, "_feed", fed)

    with pytest.raises(AssertionError):
        vary(tables.all_of_a_channel, 4, **tables.CHANNEL)


def test_a_mark_that_passes_a_hole_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one frame would hide all that lie below it (D17)."""
    monkeypatch.setattr(Continuity, "receive", _passes)

    with pytest.raises(AssertionError):
        vary(continuity.mark_hears, 4, walk=continuity.WALK)


def _passes(self: Any, key: Any, prev: str | None, _now: float) -> Any:
    if self.complete is not None and key <= self.complete:
        return Verdict.KNOWN
    self._advance(key)
    return Verdict.NEXT if prev is not None else Verdict.AHEAD
