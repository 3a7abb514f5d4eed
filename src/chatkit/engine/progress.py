"""`Progress`: how far one channel has come: its mark, its log, its recorded holes (D17, D18, D19)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from chatkit.core.continuity import Continuity
from chatkit.model.cursor import Cursor, Spot, encode_cursor
from chatkit.model.order import OrderKey

if TYPE_CHECKING:
    from chatkit.engine.context import Context
    from chatkit.ports import LogState

HOLES: Final = 100
"""Most holes recorded of one channel; beyond it the two lowest become one (I10)."""
LAG: Final = 10.0
"""Seconds for which a log may stand behind what it had shown: a replica may; then it counts as restored."""

Hole: TypeAlias = tuple[OrderKey, OrderKey]
"""Messages strictly between the two places may be missing."""


def head_of(state: LogState) -> OrderKey:
    """Return the place of a log's newest entry; of an empty log the place before the first."""
    return OrderKey(state.epoch, state.head or "")


class Progress:
    """Where one channel stands.

    Args:
        context: The client's parts.
        channel: Its name.
    """

    def __init__(self, context: Context, channel: str) -> None:
        self._context = context
        self._channel = channel
        # Without a log a missing number cannot be looked up, so nothing may wait for it.
        contiguous = context.adapter.capabilities.contiguous and context.log is not None
        self.continuity = Continuity(contiguous=contiguous)
        self.log_id: str | None = None
        """The log that the mark is of."""
        self.answered: str | None = None
        """The log that answered first: to an append, or to a reader's own reads, before the channel's."""
        self.holes: tuple[Hole, ...] = ()
        self.floor: OrderKey | None = None
        """The newest entry that the log is known to have trimmed away."""
        self.unproven = False
        """The mark is an earlier life's: nobody has asked yet whether the log is still the one it is of."""
        self.whole = False
        """The log is read from its oldest entry on, and whoever has it read keeps the mark."""
        self.gap = False
        """Something is missing below what comes next, or may be, until the log was read."""

    @property
    def complete(self) -> OrderKey | None:
        """Up to where everything is applied, but for recorded holes."""
        return self.continuity.complete

    def is_of(self, log_id: str) -> bool:
        """Whether a log is the one that what is known here comes from, as far as that is known (D18)."""
        return (self.log_id or self.answered) in (None, log_id)

    @property
    def proven(self) -> OrderKey | None:
        """The same, where it was asked in this life whether the log is still the one it is of."""
        return None if self.unproven else self.complete

    def follow(self) -> None:
        """Let the mark follow what came, where frames do not say what comes before them."""
        self.continuity.follow(self._context.clock.monotonic())

    def lose(self) -> None:
        """Frames may be lost from now on: the mark stays where it may be by now, until somebody vouches."""
        self.follow()
        self.continuity.broken()

    def behind(self, state: LogState) -> bool:
        """Whether a log says less of itself than it has shown: a replica lags, or it was restored (D18)."""
        seen = self.continuity.seen
        return self.is_of(state.log_id) and seen is not None and head_of(state) < seen

    def cursor(self, key: OrderKey | None) -> Cursor | None:
        """Return the cursor of a place in this channel, where there is a log to come back to."""
        if key is None or self._context.log is None:
            return None
        return encode_cursor(Spot(self.log_id or self._context.origin, self._channel, key))

    def add_hole(self, below: OrderKey, above: OrderKey) -> None:
        """Record that what lies between two places was skipped."""
        self.holes = (*self.holes, (below, above))
        if len(self.holes) > HOLES:
            (first, _), (_, second), *rest = self.holes
            self.holes = ((first, second), *rest)

    def fill_holes(self, down_to: OrderKey) -> None:
        """Take note that everything from the newest messages down to a place was loaded."""
        self.holes = tuple(
            (below, min(above, down_to)) for below, above in self.holes if below < min(above, down_to)
        )
