"""`ViewFeed`: what readers are shown of a timeline, and what changed since each of them last looked.

Confirmed messages in order, then own pending ones in lane order (D3). Nothing is built until a reader asks:
till then the timeline and the overlay only note which messages may look different. All readers share one
bounded feed of changes; who falls behind it draws all.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Final, Literal, NamedTuple, TypeAlias

from chatkit.core.message import build, build_pending
from chatkit.core.overlay import Overlay
from chatkit.core.timeline_bytes import reparse
from chatkit.core.timeline_dirty import MAX_DIRTY, Dirty
from chatkit.core.timeline_kept import Kept
from chatkit.model.envelope import Envelope
from chatkit.model.message import Message
from chatkit.model.order import Ident
from chatkit.model.views import TimelineChange

MAX_FEED: Final = 1_000
"""Changes kept for readers that are behind."""

Mask: TypeAlias = Callable[[Message], Message | None]
"""What to show in place of a message; `None`: nothing."""
_Place: TypeAlias = tuple[int, int, str, str, str]


class Shown(NamedTuple):
    """What a reader is shown."""

    messages: tuple[Message, ...]
    """All, in the order of the view."""
    changes: tuple[TimelineChange, ...] | None
    """What leads here from what the reader saw last, to be applied in order; `None`: draw all."""


class Reader:
    """How far one reader has followed a feed."""

    __slots__ = ("position",)

    def __init__(self) -> None:
        self.position: int | None = None


class ViewFeed:
    """The view of one timeline under one overlay.

    Args:
        timeline: Confirmed messages.
        overlay: The viewer's pending wishes.
        thread: Show the replies of this message; `None`: the channel, with such replies alone as were sent
            to the channel too.
        screen: Asked of each message that is drawn, what is to be shown in its place; after the masks, which
            it leaves as they are. When it answers otherwise, all is to be drawn anew: `rest`.
    """

    def __init__(
        self,
        timeline: Kept,
        overlay: Overlay,
        *,
        thread: Ident | None = None,
        screen: Mask = lambda message: message,
    ) -> None:
        self._timeline = timeline
        self._overlay = overlay
        self._thread = thread
        self._screen = screen
        self._pending = overlay.dirty if thread is None else overlay.follow()
        self._masks: dict[Ident, Mask] = {}
        self._masked = Dirty()
        # The drawn view: two lists that run in step, and where each message stands.
        self._places: list[_Place] = []
        self._messages: list[Message] = []
        self._place_of: dict[Ident, _Place] = {}
        self._all: tuple[Message, ...] | None = None
        self._feed: deque[TimelineChange] = deque()
        self._first = 0
        """Number of the first change in the feed."""

    def read(self, reader: Reader) -> Shown:
        """Return the view as it is now, and what changed since the reader's last."""
        self._refresh()
        changes = None
        if reader.position is not None and reader.position >= self._first:
            changes = tuple(islice(self._feed, reader.position - self._first, None))
        reader.position = self._first + len(self._feed)
        if self._all is None:
            self._all = tuple(self._messages)
        return Shown(self._all, changes)

    def get(self, ident: Ident) -> Message | None:
        """Return a message as this view would show it, in whichever thread it is."""
        row = self._row(ident, anywhere=True)
        return row[1] if row else None

    def mask(self, ident: Ident, mask: Mask | None) -> None:
        """Hide or replace a message in this view; `None`: show it as it is.

        The fold is not touched. A mask goes with its message: set it again when that is loaded again.
        """
        if mask is None:
            self._masks.pop(ident, None)
        else:
            self._masks[ident] = mask
        self._masked.add(ident)
        if len(self._masks) > MAX_DIRTY + 2 * len(self._timeline):
            self._drop_masks()

    def mask_as(self, other: ViewFeed) -> None:
        """Hide and replace what another view of the channel does."""
        self._masks.update(other._masks)  # of its own kind
        self._masked.add_all()

    def rest(self) -> None:
        """Let go of what is drawn while nobody reads; whoever reads next draws all."""
        self._undraw()
        self._masked.add_all()

    def _refresh(self) -> None:
        dirty: set[Ident] | None = set()
        for source in (self._timeline.dirty, self._pending, self._masked):
            noted = source.take()
            dirty = None if dirty is None or noted is None else dirty | noted
        if dirty is None or len(dirty) > MAX_DIRTY:
            self._draw_all()
        else:
            for ident in sorted(dirty):  # in an order that a replay repeats (I15)
                self._draw(ident)

    def _draw_all(self) -> None:
        self._undraw()
        self._drop_masks()
        pending = (wish.target for wish in self._overlay.creations())
        idents = dict.fromkeys((*(fold.ident for fold in self._timeline.window), *pending))
        rows = [(ident, row) for ident in idents if (row := self._row(ident)) is not None]
        # Already in order: the window is, and what is pending stands after it.
        self._places = [place for _, (place, _) in rows]
        self._messages = [message for _, (_, message) in rows]
        self._place_of = {ident: place for ident, (place, _) in rows}

    def _undraw(self) -> None:
        self._places, self._messages, self._place_of = [], [], {}
        self._all = None
        self._first += len(self._feed) + 1  # no reader is there yet
        self._feed.clear()

    def _draw(self, ident: Ident) -> None:
        """Bring one message up to date, and tell the steps."""
        row, old = self._row(ident), self._place_of.pop(ident, None)
        at, before = -1, None
        if old is not None:
            at = bisect_left(self._places, old)
            del self._places[at]
            before = self._messages.pop(at)
        if row is None:
            if before is not None:
                self._tell("remove", at, before)
            if self._is_gone(ident):
                self._masks.pop(ident, None)
            return
        self._place_of[ident], message = row
        to = bisect_left(self._places, row[0])
        self._places.insert(to, row[0])
        self._messages.insert(to, message)
        if before is None:
            self._tell("insert", to, message)
        elif at != to:
            self._tell("remove", at, before)
            self._tell("insert", to, message)
        elif before != message:
            self._tell("update", to, message)

    def _tell(self, op: Literal["insert", "update", "remove"], index: int, message: Message) -> None:
        self._all = None
        self._feed.append(TimelineChange(op=op, index=index, message=message))
        if len(self._feed) > MAX_FEED:
            self._feed.popleft()
            self._first += 1

    def _row(self, ident: Ident, *, anywhere: bool = False) -> tuple[_Place, Message] | None:
        """Return what is shown of a message, and where; `None`: nothing."""
        fold, wishes = self._timeline.window.find(ident), self._overlay.of(ident)
        wish = next((wish for wish in wishes if wish.creates), None)
        channel, viewer = self._timeline.channel, self._timeline.viewer
        place: _Place
        if fold is not None:
            envelope, place = reparse(fold.data), (0, *fold.place)
        elif wish is not None:
            envelope, place = wish.envelope, (1, wish.order, "", "", "")
        else:
            return None
        if not (anywhere or self._belongs(envelope)):
            return None
        if fold is None:
            message = build_pending(wishes, channel=channel, viewer=viewer)
        else:
            replies = self._timeline.replies(fold)
            message = build(
                fold, channel=channel, viewer=viewer, replies=replies, wishes=wishes, envelope=envelope
            )
        mask = self._masks.get(ident)
        masked = mask(message) if mask else message
        shown = None if masked is None else self._screen(masked)
        return None if shown is None else (place, shown)

    def _belongs(self, envelope: Envelope) -> bool:
        if self._thread is None:
            return envelope.thread is None or envelope.also
        return envelope.root == self._thread

    def _is_gone(self, ident: Ident) -> bool:
        return ident not in self._timeline and not self._overlay.of(ident)

    def _drop_masks(self) -> None:
        self._masks = {ident: mask for ident, mask in self._masks.items() if not self._is_gone(ident)}
