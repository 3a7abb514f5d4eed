"""`Projection`: the messages of one channel as their entries make them (D24)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from chatkit.core.fact import Fact
from chatkit.core.fold import MessageFold, Voucher
from chatkit.core.timeline_bytes import reparse
from chatkit.core.timeline_changes import change_of
from chatkit.logs.face import Face
from chatkit.logs.record import Item, index_after, index_from
from chatkit.model.entry import Folded, Stamp
from chatkit.model.envelope import Envelope
from chatkit.model.order import Ident, OrderKey


class Thread(NamedTuple):
    """The replies to one message, ascending."""

    stamps: list[Stamp]
    idents: list[Ident]


class Projection:
    """Messages in the order of their creation, changes folded in.

    Args:
        origin: Who numbered the entries.
    """

    def __init__(self, origin: str) -> None:
        self.all = Thread([], [])
        """Every message, replies included."""
        self._voucher = Voucher("provider", origin, stamped=True)
        self._folds: dict[Ident, MessageFold] = {}
        self._faces: dict[Ident, Face] = {}
        self._threads: dict[Ident, Thread] = {}
        self._roots: dict[Ident, Ident] = {}
        self._by_id: dict[str, tuple[Ident, ...]] = {}
        self._texts: dict[Ident, list[OrderKey]] = {}
        """Places of the entries whose text is kept."""
        self._changes: dict[Ident, list[OrderKey]] = {}
        """Places of edits, deletes and restores, where there are any."""

    def target(self, envelope: Envelope) -> MessageFold | None:
        """Return the message that a change is for."""
        ref = envelope.ref
        return None if ref is None else self._folds.get(Ident(ref.user, ref.id))

    def apply(self, envelope: Envelope, item: Item) -> Sequence[OrderKey]:
        """Fold in one entry, the newest; returns the places of entries whose text is erased by it (D26)."""
        fact = fact_of(envelope, item, self._voucher)
        if envelope.kind == "message.create":
            self._create(fact, item.stamp)
            return ()
        found = change_of(fact)
        target = self.target(envelope)
        if found is None or target is None:
            return ()
        register, change = found
        target.change(register, change, Counter())
        ident = target.ident
        if isinstance(register, tuple):
            return ()
        self._changes.setdefault(ident, []).append(fact.key)
        showing = None if target.deleted else reparse(target.edit or target.data)
        self._faces[ident] = self._faces[ident].showing(showing)
        texts = self._texts[ident]
        if register == "update":
            texts.append(fact.key)
        elif register == "delete":
            self._texts[ident] = []
            return texts
        return ()

    def trim(self, floor: OrderKey) -> None:
        """Forget the messages up to a place: the entries that created them are gone."""
        stop = index_after(self.all.stamps, floor)
        replies: Counter[Ident] = Counter()
        for ident in self.all.idents[:stop]:
            del self._folds[ident], self._faces[ident], self._texts[ident]
            self._changes.pop(ident, None)
            left = tuple(other for other in self._by_id.pop(ident.id) if other != ident)
            if left:
                self._by_id[ident.id] = left
            root = self._roots.pop(ident, None)
            if root is not None:
                replies[root] += 1
        del self.all.stamps[:stop], self.all.idents[:stop]
        for root, count in replies.items():
            thread = self._threads[root]
            del thread.stamps[:count], thread.idents[:count]
            if not thread.idents:
                del self._threads[root]

    def face(self, ident: Ident) -> Face:
        """Return what of a message is counted and searched."""
        return self._faces[ident]

    def versions(self, ident: Ident) -> Sequence[OrderKey]:
        """Return the places of the creation and of every edit, delete and restore; none: no such message."""
        fold = self._folds.get(ident)
        return () if fold is None else (fold.key, *self._changes.get(ident, ()))

    def at(self, index: int) -> Folded:
        """Return one of all messages."""
        return self._folded(self.all.idents[index], self.all.stamps[index])

    def thread(self, root: Ident | None) -> Thread:
        """Return the replies to a message, or all messages."""
        return self.all if root is None else self._threads.get(root, Thread([], []))

    def folded(self, thread: Thread, start: int, stop: int) -> tuple[Folded, ...]:
        """Return messages of a thread."""
        return tuple(
            self._folded(ident, stamp)
            for ident, stamp in zip(thread.idents[start:stop], thread.stamps[start:stop], strict=True)
        )

    def named(self, names: Sequence[Ident | str]) -> tuple[Folded, ...]:
        """Return the messages named, ascending; unknown ones are left out, a bare id may name several."""
        found = {ident for name in names for ident in self._resolve(name) if ident in self._folds}
        ordered = sorted(found, key=lambda ident: self._folds[ident].key)
        stamps = self.all.stamps
        return tuple(
            self._folded(ident, stamps[index_from(stamps, self._folds[ident].key)]) for ident in ordered
        )

    def _resolve(self, name: Ident | str) -> Iterator[Ident]:
        yield from (name,) if isinstance(name, Ident) else self._by_id.get(name, ())

    def _create(self, fact: Fact, stamp: Stamp) -> None:
        ident = fact.ident
        self._folds[ident] = MessageFold.created(fact, self._voucher)
        self._faces[ident] = Face.created(fact.envelope)
        self._texts[ident] = [fact.key]
        self._by_id[ident.id] = (*self._by_id.get(ident.id, ()), ident)
        threads = [self.all]
        root = fact.envelope.root
        if root is not None:
            self._roots[ident] = root
            threads.append(self._threads.setdefault(root, Thread([], [])))
        for thread in threads:
            thread.stamps.append(stamp)
            thread.idents.append(ident)

    def _folded(self, ident: Ident, stamp: Stamp) -> Folded:
        replies = self.thread(ident).stamps
        last = replies[-1].key if replies else None
        return self._folds[ident].folded(replies=len(replies), last_reply=last)._replace(stamp=stamp)


def fact_of(envelope: Envelope, item: Item, voucher: Voucher) -> Fact:
    """Return an entry as a fact: numbered, and its sender vouched for."""
    stamp = item.stamp
    return Fact(
        envelope=envelope,
        data=item.entry.data,
        ident=Ident(stamp.user, envelope.id),
        key=stamp.key,
        stamped=True,
        sent_at=stamp.at,
        attested=voucher.attested,
        origin=voucher.origin,
        prev=stamp.prev,
    )
