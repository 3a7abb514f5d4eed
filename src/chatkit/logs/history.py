"""`RawHistory`: past envelopes as a provider without a log of ours keeps them: a window, unfolded, unfenced.

A page that touches the head has every change folded in. Any other holds only the changes that lie between
its own first and last message, and says so: it is provisional (D24).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from chatkit.core.fold import Voucher
from chatkit.core.raw_page import CREATE, fold_page
from chatkit.errors import CapabilityError
from chatkit.logs.pages import cut
from chatkit.logs.projection import fact_of
from chatkit.logs.record import Item, Record, Show, index_after, index_from
from chatkit.model.entry import Entry, Folded, Stamp
from chatkit.model.envelope import Envelope
from chatkit.model.order import Ident, OrderKey, Place
from chatkit.model.paging import ALWAYS, EPOCH, bounded
from chatkit.ports.log import Entries, Found, LogState, Messages

if TYPE_CHECKING:
    from chatkit.core.fact import Fact
    from chatkit.logs.core import LogCore


class RawHistory:
    """A window on the newest entries of each channel.

    Args:
        core: The log that keeps the entries.
        window: How many seconds it reaches back; `None`: as far as entries are kept.
        show: How it shows places.
    """

    def __init__(self, core: LogCore, *, window: float | None, show: Show) -> None:
        self._core = core
        self._window = window
        self._show = show

    def heads(self, channels: Sequence[str]) -> Mapping[str, LogState]:
        """Return where each channel stands; the head is known for ever, the floor rises with time."""
        with self._core.lock:
            return {channel: self._state(self._core.record(channel)) for channel in channels}

    def entries(self, channel: str, *, after: Place | None, limit: int) -> Entries:
        """Return up to `limit` entries of the window after a place, oldest first."""
        with self._core.lock:
            record = self._core.record(channel)
            items = self._items(record)
            start = 0 if after is None else index_after(items, after, self._show)
            stop = start + bounded(limit)
            return Entries(
                self._state(record),
                tuple(Entry(item.entry.data, self._show(item.stamp)) for item in items[start:stop]),
                stop < len(items),
            )

    def messages(
        self,
        channel: str,
        *,
        before: Place | None = None,
        after: Place | None = None,
        around: Place | None = None,
        limit: int,
        thread: Ident | None = None,
    ) -> Messages:
        """Return messages of the window, ascending.

        Raises:
            CapabilityError: A thread was asked for: raw history does not know threads.
        """
        if thread is not None:
            raise CapabilityError(
                "raw history cannot be read by thread",
                channel=channel,
                hint="Read all messages, or give a log.",
            )
        with self._core.lock:
            record = self._core.record(channel)
            items = self._items(record)
            creates = _first_creates(items)
            page = cut(
                [item.stamp for item in creates],
                before=before,
                after=after,
                around=around,
                limit=limit,
                show=self._show,
            )
            chosen = creates[page.start : page.stop]
            return Messages(
                state=self._state(record),
                items=self._fold(chosen, items, to_head=page.after is None),
                as_of=self._head(record) if page.after is None else None,
                before=page.before,
                after=page.after,
                provisional=page.after is not None,
            )

    def find(self, channel: str, idents: Sequence[Ident]) -> Found:
        """Say which of these envelopes are in the window, and how far that reaches back."""
        with self._core.lock:
            record = self._core.record(channel)
            wanted = set(idents)
            found: dict[Ident, OrderKey] = {}
            for item in self._items(record):
                if item.ident in wanted:
                    found.setdefault(item.ident, self._show(item.stamp).key)
            return Found(self._state(record), found, self._reaches(record))

    # ------------------------------------------------------------------ inside

    def _items(self, record: Record) -> list[Item]:
        if self._window is None:
            return record.items
        return record.items[index_from(record.items, self._since()) :]

    def _since(self) -> datetime:
        return ALWAYS if self._window is None else self._core.clock.wall() - timedelta(seconds=self._window)

    def _reaches(self, record: Record) -> datetime:
        return max(self._since(), record.floor.at) if record.floor else self._since()

    def _head(self, record: Record) -> OrderKey:
        return self._show(record.head).key if record.head else OrderKey(EPOCH, "")

    def _state(self, record: Record) -> LogState:
        gone = index_from(record.items, self._since())
        floor = record.items[gone - 1].stamp if gone else record.floor
        return LogState(
            log_id=self._core.log_id,
            epoch=EPOCH,
            head=self._head(record).serial or None,
            floor=self._show(floor).key.serial if floor else None,
            now=self._core.clock.wall(),
        )

    def _fold(self, creates: Sequence[Item], items: Sequence[Item], *, to_head: bool) -> tuple[Folded, ...]:
        """Return these messages with the changes between the first and the last, or up to the head."""
        if not creates:
            return ()
        voucher = Voucher("provider", self._core.log_id, stamped=True)
        stop = len(items) if to_head else index_after(items, creates[-1].stamp.key)
        between = items[index_from(items, creates[0].stamp.key) : stop]
        return fold_page(self._facts(between, voucher), {item.ident for item in creates}, voucher)

    def _facts(self, items: Sequence[Item], voucher: Voucher) -> Iterator[tuple[Fact, Stamp]]:
        for item in items:
            envelope = Envelope.parse(item.entry.data) if item.kind else None
            if envelope is not None:
                stamp = self._show(item.stamp)
                yield fact_of(envelope, item._replace(entry=Entry(item.entry.data, stamp)), voucher), stamp


def _first_creates(items: Sequence[Item]) -> list[Item]:
    """Return the creations; of a repeated one the first (D1)."""
    found: dict[Ident, Item] = {}
    for item in items:
        if item.kind == CREATE:
            found.setdefault(item.ident, item)
    return list(found.values())
