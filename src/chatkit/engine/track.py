"""`Track`: how far one reader has come in one channel."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from chatkit.model.cursor import Cursor
    from chatkit.model.events import Event
    from chatkit.model.order import Ident, OrderKey

PASSED: Final = 1_000
"""Live facts kept for a reader that is being read the log; what is older is read there too."""
RECENT: Final = 2_000
"""Facts remembered as given although they may be read again."""


class Told(NamedTuple):
    """A durable fact as readers get it."""

    event: Event | None
    """`None`: it shows nothing, or is hidden."""
    ident: Ident
    key: OrderKey
    at: OrderKey | None
    """The place that the event's cursor stands for."""


class Track:
    """What one reader was given of one channel.

    While the log is read to it, live facts pass by; at the end it gets of them what the log had not.
    """

    __slots__ = (
        "after",
        "at",
        "behind",
        "cursor",
        "follows",
        "passed",
        "recent",
        "replaying",
        "settled",
        "sure",
        "unkept",
    )

    def __init__(self, *, settled: bool = True) -> None:
        self.settled = settled
        """The order of the log is settled at once: nothing turns up below what was read."""
        self.replaying = False
        """Facts come to it from the log just now."""
        self.follows = False
        """It came from a place in the log: whatever it misses is read there, without a cap (D19)."""
        self.sure: OrderKey | None = None
        """It has all facts up to here, since it listens: from here on the log is read to it again."""
        self.after: OrderKey | None = None
        """It had all facts up to here from the log."""
        self.recent: dict[Ident, None] = {}
        """Facts it was given that lie beyond `sure`, or may turn up again where no order is settled."""
        self.cursor: Cursor | None = None
        """The furthest cursor that it was given: a later event's may lie below, while a range is open."""
        self.at: OrderKey | None = None
        """The place of that."""
        self.behind: Cursor | None = None
        """Below here something was kept from it that the log has: no cursor of it goes beyond (D17)."""
        self.passed: deque[Told] = deque()
        self.unkept: OrderKey | None = None
        """Newest fact that passed and is not kept."""

    def has(self, ident: Ident, key: OrderKey) -> bool:
        """Whether it was given a fact."""
        return ident in self.recent or (self.after is not None and key <= self.after)

    def begin(self, place: OrderKey | None, cursor: Cursor | None) -> None:
        """Take note from where on it is told facts; one that came from the log has a place of its own."""
        if not self.follows:
            self.sure = self.at = place
            self.cursor = cursor

    def note(self, ident: Ident, key: OrderKey, at: OrderKey | None) -> None:
        """Remember that a fact was given; `at`: there is none at or below that it was not given."""
        if at is None:
            return  # there is no log that it could be read again
        self.reached(at)
        if at < key or not self.settled:
            self.recent[ident] = None
            if len(self.recent) > RECENT:
                del self.recent[next(iter(self.recent))]

    def reached(self, place: OrderKey) -> None:
        """Take note that it has all facts up to a place."""
        self.sure = place if self.sure is None else max(place, self.sure)

    def must_read(self, key: OrderKey | None) -> None:
        """Take note that the log must be read at least so far before live facts join on."""
        if key is not None:
            self.unkept = key if self.unkept is None else max(key, self.unkept)

    def pass_by(self, told: Told) -> None:
        """Keep a live fact until the log was read."""
        self.passed.append(told)
        if len(self.passed) > PASSED:
            self.must_read(self.passed.popleft().key)
