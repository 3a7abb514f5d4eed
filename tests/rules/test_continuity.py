"""The catch-up mark beside the closure of all that came: every input in every state, and long walks (D17)."""

from __future__ import annotations

from enum import Enum
from itertools import product
from typing import Final

from hypothesis import strategies as st

from chatkit.core.continuity import MARGIN, Continuity, Verdict
from chatkit.model.order import OrderKey
from tests.rules.driving import examples, vary


class Input(Enum):
    """What can happen to a catch-up mark."""

    OLD = "a frame at or below the mark"
    NEXT = "a frame that follows it"
    BEYOND = "a frame above a hole"
    UNNAMED = "a frame that names no predecessor"
    READ = "a read to the head"
    READ_PART = "a read with more behind it"
    READ_OLD = "a read of a replica that lags"
    BROKEN = "the link was lost"
    RESUMED = "the session resumed"
    RESET = "another log stands behind"
    LATER = "time passes"


class Seen(Enum):
    """As what a mark can stand."""

    NEW = "nothing read yet"
    NEW_OPEN = "nothing read yet, and something came"
    EVEN = "at what came last"
    OPEN = "below something that came"


class Naive:
    """All frames that ever came and all reads; the mark follows from them (D17)."""

    def __init__(self) -> None:
        self.links: list[tuple[int, int]] = []
        self.loose: list[int] = []
        self.reads: list[int] = []
        self.loss = False

    @property
    def mark(self) -> int | None:
        """As far as anything leads without a hole from the highest read on."""
        if not self.reads:
            return None
        mark = self.reads[0]
        changed = True
        while changed:
            reached = [key for prev, key in self.links if prev <= mark < key]
            reached += [read for read in self.reads if read > mark]
            changed = bool(reached)
            mark = max([mark, *reached])
        return mark

    @property
    def open(self) -> bool:
        """Whether something came above it that does not follow."""
        mark = self.mark
        return any(mark is None or key > mark for key in (*(key for _, key in self.links), *self.loose))

    @property
    def seen(self) -> Seen:
        """As what it stands."""
        if self.mark is None:
            return Seen.NEW_OPEN if self.open else Seen.NEW
        return Seen.OPEN if self.open else Seen.EVEN


def place(number: int) -> OrderKey:
    """A place; nought is that of a log that holds nothing."""
    return OrderKey(1, f"{number:06d}" if number else "")


def hear(mark: Continuity, naive: Naive, heard: Input, amount: int) -> None:
    """Give a contiguous mark an input, and its model."""
    at, above = naive.mark or 0, max([naive.mark or 0, *(key for _, key in naive.links), *naive.loose])
    match heard:
        case Input.OLD | Input.NEXT | Input.BEYOND | Input.UNNAMED:
            key, prev = {
                Input.OLD: (max(1, at - amount), max(0, at - amount - 1)),
                Input.NEXT: (at + amount, at),
                Input.BEYOND: (above + amount + 1, above + amount),
                Input.UNNAMED: (above + amount, None),
            }[heard]
            known = naive.mark is not None and key <= naive.mark
            if not known and prev is not None:
                naive.links.append((prev, key))
            elif not known:
                naive.loose.append(key)
            joins = naive.mark is not None and key <= naive.mark
            verdict = mark.receive(place(key), None if prev is None else place(prev).serial, 0.0)
            assert verdict is (Verdict.KNOWN if known else Verdict.NEXT if joins else Verdict.AHEAD)
        case Input.READ | Input.READ_PART | Input.READ_OLD:
            head = {Input.READ: above, Input.READ_PART: at + amount, Input.READ_OLD: max(0, at - amount)}[
                heard
            ]
            mark.read(place(head), more=heard is Input.READ_PART)
            naive.reads.append(head)
        case Input.BROKEN:
            mark.broken()
        case Input.RESUMED:
            mark.resumed()
        case Input.RESET:
            mark.reset()
            naive.__init__()  # type: ignore[misc]  # all is forgotten
        case Input.LATER:
            mark.follow(amount * MARGIN)


WALK: Final = st.lists(st.tuples(st.sampled_from(Input), st.integers(1, 3)), max_size=60)


@examples(2, 30, 1_000)
def test_a_mark_stands_where_frames_and_reads_lead(examples: int) -> None:
    """Every input in every state, then up to 60: the mark is the closure of all that came (D17)."""
    vary(mark_hears, examples, walk=WALK)


async def mark_hears(walk: list[tuple[Input, int]]) -> None:
    ways: dict[Seen, list[Input]] = {
        Seen.NEW: [],
        Seen.NEW_OPEN: [Input.BEYOND],
        Seen.EVEN: [Input.READ],
        Seen.OPEN: [Input.READ, Input.NEXT, Input.BEYOND],
    }
    driven = set[tuple[Seen, Input]]()
    for state, first in product(ways, Input):
        mark, naive = Continuity(contiguous=True), Naive()
        before: int | None = None
        for number, (heard, amount) in enumerate([*((one, 1) for one in ways[state]), (first, 2), *walk]):
            if number == len(ways[state]):
                driven.add((naive.seen, heard))
            hear(mark, naive, heard, amount)
            at = naive.mark
            assert mark.complete == (None if at is None else place(at))
            assert mark.open == naive.open
            assert heard is Input.RESET or before is None or (at is not None and at >= before)
            before = at

    assert driven == set(product(Seen, Input))
