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
"""Facts remembered as given from a log whose order is not settled at once."""


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
        "given",
        "passed",
        "recent",
        "replaying",
        "unkept",
    )

    def __init__(self) -> None:
        self.replaying = False
        """Facts come to it from the log just now."""
        self.follows = False
        """It came from a place in the log: whatever it misses is read there, without a cap (D19)."""
        self.given: OrderKey | None = None
        """Place of the newest fact it was given."""
        self.after: OrderKey | None = None
        """It had all facts up to here from the log."""
        self.recent: dict[Ident, None] | None = None
        """Facts it had from a log in which a lower place may still turn up: there `after` says nothing."""
        self.cursor: Cursor | None = None
        """The furthest cursor that it was given: a later event's may lie below, while a range is open."""
        self.at: OrderKey | None = None
        """The place of that."""
        self.behind: Cursor | None = None
        """Below here something was kept from it that the log has: no cursor of it goes beyond (D17)."""
        self.passed: deque[Told] = deque()
        self.unkept: OrderKey | None = None
        """Newest fact that passed and is not kept: the log must be read at least so far."""

    def has(self, ident: Ident, key: OrderKey) -> bool:
        """Whether it was given a fact from the log."""
        if self.recent is not None:
            return ident in self.recent
        return self.after is not None and key <= self.after

    def note(self, ident: Ident, key: OrderKey) -> None:
        """Remember that a fact was given."""
        if self.given is None or key > self.given:
            self.given = key
        if self.recent is not None:
            self.recent[ident] = None
            if len(self.recent) > RECENT:
                del self.recent[next(iter(self.recent))]

    def pass_by(self, told: Told) -> None:
        """Keep a live fact until the log was read."""
        self.passed.append(told)
        if len(self.passed) > PASSED:
            lost = self.passed.popleft().key
            self.unkept = lost if self.unkept is None else max(lost, self.unkept)
