"""`Overlay`: my own pending wishes, shown over the confirmed messages and never written into them (D23).

A wish stands from when it is queued until its acknowledgement, when the confirmed fold has it. While it may
still come true it shows its effect: a new message at the end in lane order, a change on its target. A failed
change shows its effect no more, but its message says `failed` and why; a failed message stays visible until
it is sent again or pruned.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple
from weakref import WeakSet

from chatkit.core.timeline_bytes import reparse
from chatkit.core.timeline_dirty import Dirty
from chatkit.errors import ChatkitError
from chatkit.model.envelope import Envelope
from chatkit.model.message import Status
from chatkit.model.order import Ident, OrderKey
from chatkit.model.values import hide

_FAILED: Final = frozenset({"failed", "expired"})


class Wish(NamedTuple):
    """One entry of the outbox, as far as a timeline shows it."""

    entry_id: str
    id: str
    """Of its envelope."""
    target: Ident
    """The message it makes or changes."""
    data: bytes
    """Its envelope, parsed when it is drawn: most come true before anybody looks."""
    creates: bool
    """It makes a message rather than changing one."""
    order: int
    """Its place in the lane."""
    status: Status
    error: ChatkitError | None = None
    settled: bool = False
    """It failed and a newer wish for the same message came true: its status is not the message's any more."""

    def __repr__(self) -> str:
        return hide(self, "data")

    @property
    def envelope(self) -> Envelope:
        """What it says."""
        return reparse(self.data)

    @property
    def hopeful(self) -> bool:
        """It may still come true, so it shows its effect."""
        return self.status not in _FAILED


class Overlay:
    """The pending wishes of one user in one channel.

    Not bounded here: it shows what the outbox holds, which is (I10).
    """

    def __init__(self, user: str) -> None:
        self.user = user
        self.dirty = Dirty()
        """Messages that may look different since it was last asked."""
        # Weak: a thread that nobody holds any more follows no longer.
        self._followers: WeakSet[Dirty] = WeakSet()
        self._targets: dict[str, Ident] = {}
        self._wishes: dict[Ident, dict[str, Wish]] = {}
        self._placed: dict[str, OrderKey] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._targets)

    def __contains__(self, entry_id: str) -> bool:
        return entry_id in self._targets

    def follow(self) -> Dirty:
        """Return what is told, from now on, which messages may look different, as `dirty` is."""
        follower = Dirty()
        self._followers.add(follower)
        return follower

    def of(self, ident: Ident) -> tuple[Wish, ...]:
        """Return the wishes for one message, in lane order."""
        return _in_order(self._wishes.get(ident, {}).values())

    def creations(self) -> tuple[Wish, ...]:
        """Return the wishes that make a message, in lane order."""
        return _in_order(wish for wishes in self._wishes.values() for wish in wishes.values() if wish.creates)

    def add(
        self,
        entry_id: str,
        ident: Ident,
        target: Ident,
        data: bytes,
        *,
        status: Status = "queued",
        error: ChatkitError | None = None,
    ) -> None:
        """Show a wish. New ones go to the end of the lane; a known one is replaced where it stands.

        Args:
            entry_id: Of the outbox.
            ident: What names its envelope.
            target: The message that it makes, which has the same name, or changes.
            data: The envelope: bytes that were parsed before.
            status: What became of it so far.
            error: Why.
        """
        known = self._wish(entry_id)
        order = known.order if known else self._next()
        self._put(Wish(entry_id, ident.id, target, data, target == ident, order, status, error))

    def status(self, entry_id: str, status: Status, error: ChatkitError | None = None) -> None:
        """Show what became of a wish so far; one that is not shown is passed over.

        A discarded wish is dropped. One that failed and is queued again goes to the end of the lane (D7).
        """
        wish = self._wish(entry_id)
        if wish is None:
            return
        if status == "discarded":
            self.drop(entry_id)
        elif wish.hopeful or status in _FAILED:
            self._put(wish._replace(status=status, error=error))
        else:
            self._put(wish._replace(status=status, error=error, order=self._next(), settled=False))

    def sent(self, entry_id: str, key: OrderKey | None) -> None:
        """Show that a wish came true; `key`: where it is known to stand, though it was not read there."""
        self.status(entry_id, "sent")
        wish = self._wish(entry_id)
        if wish is not None and key is not None and not wish.creates:
            self._placed[entry_id] = key

    def reached(self, complete: OrderKey | None) -> None:
        """Drop changes that came true up to a place: whatever was read, or is read from now on, has them."""
        for entry_id, key in tuple(self._placed.items()):
            if complete is not None and key <= complete:
                self.confirm(entry_id)

    def confirm(self, entry_id: str) -> None:
        """Drop a wish that the confirmed fold has; what failed before it no longer marks the message."""
        wish = self._wish(entry_id)
        self.drop(entry_id)
        if wish is not None:
            for older in self.of(wish.target):
                if older.order < wish.order and not older.hopeful:
                    self._put(older._replace(settled=True))

    def drop(self, entry_id: str) -> None:
        """Show a wish no longer: it was withdrawn or pruned."""
        target = self._targets.pop(entry_id, None)
        _ = self._placed.pop(entry_id, None)
        if target is None:
            return
        wishes = self._wishes[target]
        del wishes[entry_id]
        if not wishes:
            del self._wishes[target]
        self._touch(target)

    def _wish(self, entry_id: str) -> Wish | None:
        target = self._targets.get(entry_id)
        return None if target is None else self._wishes[target][entry_id]

    def _put(self, wish: Wish) -> None:
        self._targets[wish.entry_id] = wish.target
        self._wishes.setdefault(wish.target, {})[wish.entry_id] = wish
        self._touch(wish.target)

    def _touch(self, target: Ident) -> None:
        self.dirty.add(target)
        for follower in self._followers:
            follower.add(target)

    def _next(self) -> int:
        self._last += 1
        return self._last


def _in_order(wishes: Iterable[Wish]) -> tuple[Wish, ...]:
    return tuple(sorted(wishes, key=lambda wish: wish.order))
