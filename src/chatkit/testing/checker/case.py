"""The case before the checker: the records of a history, put in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from chatkit.model.order import Ident
from chatkit.testing.checker.truth import Told, Truth, fold, read
from chatkit.testing.history import (
    Accepted,
    Ended,
    Forgotten,
    Gap,
    Heard,
    Life,
    Listening,
    Opened,
    Promised,
    Record,
    Retried,
    Settled,
    Shown,
    Silent,
    Stood,
)


class Terms(NamedTuple):
    """What the set-up promises, and how far the story has come."""

    log: bool = True
    """Messages are remembered: what was missed is read there."""
    ordered: bool = True
    """The order of a channel is settled when the provider answers; else the hybrid clock gives it."""
    fenced: bool = True
    """A log with a fence takes each envelope once, however often it is tried (D9)."""
    confirmed: bool = True
    """`sent` means that the provider has it."""
    final: bool = False
    """All is whole again and has been quiet for longer than `staleness`: nothing has an excuse any more."""
    replaced: bool = False
    """A log was put back to an older state: what it lost is lost, and was announced (D18)."""
    copied: bool = False
    """A store was copied while it was in use: each copy carries out what was wished before (D27)."""
    reaches: float | None = None
    """Seconds that history goes back; `None`: for ever."""


class Breach(NamedTuple):
    """One way in which a promise was not kept."""

    invariant: str
    """I1 to I15."""
    where: str
    """The channel and the client."""
    what: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.where}: {self.what}"


@dataclass
class Wish:
    """One accepted wish and all that was told of it."""

    promised: Promised
    turn: int
    """Which promise it was, of all."""
    told: list[Settled | Retried | Promised] = field(default_factory=list["Settled | Retried | Promised"])
    """In order; a second promise of it is a call that was told of the first (D14)."""

    @property
    def last(self) -> Settled | None:
        """The status that was told last."""
        return next((one for one in reversed(self.told) if isinstance(one, Settled)), None)


@dataclass
class Reader:
    """What one reader of events was given, in order."""

    began: Listening
    heard: list[Heard | Gap] = field(default_factory=list["Heard | Gap"])
    ended: bool = False


class Case:
    """A history, indexed.

    Args:
        records: All that happened.
        terms: What may be expected.
    """

    def __init__(self, records: Iterable[Record], terms: Terms) -> None:
        self.terms = terms
        self.opened: dict[Life, Opened] = {}
        self.ended: dict[Life, Ended] = {}
        self.wishes: dict[str, Wish] = {}
        self.readers: dict[tuple[Life, int, str], Reader] = {}
        self.told: dict[str, list[Told]] = defaultdict(list)
        self.lost: set[tuple[str, Ident]] = set()
        """Accepted, and forgotten by a log that was put back."""
        self._former: list[tuple[float, dict[str, dict[Ident, Truth]]]] = []
        """The messages of each log that was put back, and until when it was there."""
        self.shown: dict[tuple[Life, str], list[Shown]] = defaultdict(list)
        self.stood: dict[Life, list[Stood]] = defaultdict(list)
        self.rest: list[Record] = []
        self._accepted = 0
        takes: dict[type[Any], Callable[[Any], None]] = {
            Opened: lambda one: self.opened.update({one.life: one}),
            Ended: lambda one: self.ended.update({one.life: one}),
            Promised: self._promise,
            Settled: self._follow,
            Retried: self._follow,
            Accepted: self._accept,
            Forgotten: self._forget,
            Listening: self._listen,
            Heard: self._hear,
            Gap: self._hear,
            Silent: self._fall_silent,
            Shown: lambda one: self.shown[one.life, one.channel].append(one),
            Stood: lambda one: self.stood[one.life].append(one),
        }
        for record in records:
            takes.get(type(record), self.rest.append)(record)

    def _follow(self, record: Settled | Retried) -> None:
        wish = self.wishes.get(record.entry)
        if wish is not None:  # else of a call that never returned
            wish.told.append(record)

    def _listen(self, record: Listening) -> None:
        self.readers[record.life, record.reader, record.channel] = Reader(record)

    def _hear(self, record: Heard | Gap) -> None:
        self.readers[record.life, record.reader, record.channel].heard.append(record)

    def _fall_silent(self, record: Silent) -> None:
        for (life, number, _), reader in self.readers.items():
            if (life, number) == (record.life, record.reader):
                reader.ended = True

    def _promise(self, record: Promised) -> None:
        known = self.wishes.get(record.entry)
        if known is None:
            self.wishes[record.entry] = Wish(record, len(self.wishes))
        else:
            known.told.append(record)

    def _accept(self, record: Accepted) -> None:
        self._accepted += 1
        told = read(self._accepted, record)
        if told is not None:
            self.told[record.channel].append(told)

    def _forget(self, record: Forgotten) -> None:
        kept = dict(record.kept)
        self._former.append((record.at, {channel: fold(entries) for channel, entries in self.told.items()}))
        for channel, entries in self.told.items():
            entries.sort(key=lambda one: one.key)
            gone = entries[kept.get(channel, 0) :]
            del entries[kept.get(channel, 0) :]
            self.lost.update((channel, one.ident) for one in gone)

    @cached_property
    def gone(self) -> set[tuple[str, Ident]]:
        """Messages that ended otherwise than sent, certainly or not."""
        return {
            (one.promised.channel, one.promised.ident)
            for one in self.wishes.values()
            if one.last is not None and one.last.status in ("failed", "expired", "discarded")
        }

    @cached_property
    def due(self) -> set[tuple[str, Ident]]:
        """Messages that are not to be sent before a time of their own."""
        return {
            (one.promised.channel, one.promised.ident) for one in self.wishes.values() if one.promised.due
        }

    # -- what follows from it -----------------------------------------------------------------------------

    @cached_property
    def truth(self) -> dict[str, dict[Ident, Truth]]:
        """The messages of each channel, in order."""
        return {channel: fold(entries) for channel, entries in self.told.items()}

    def truths(self, channel: str, began: float, ended: float) -> list[dict[Ident, Truth]]:
        """Return the messages of a channel in each log that was there in that time, in order.

        Of a log that was put back: all that it held in the end.
        """
        found = [channels.get(channel, {}) for at, channels in self._former if began <= at]
        later = sum(ended <= at for at, _ in self._former)  # put in its place when all was read
        return [*found, self.truth.get(channel, {})][: len(found) + 1 - later]

    @cached_property
    def places(self) -> dict[tuple[str, Ident], Told]:
        """Where each accepted envelope stands."""
        found: dict[tuple[str, Ident], Told] = {}
        for channel, entries in self.told.items():
            for told in entries:
                first = found.get((channel, told.ident))
                if first is None or told.key < first.key:
                    found[channel, told.ident] = told
        return found

    @property
    def living(self) -> Iterator[Life]:
        """Clients that are open."""
        return (life for life in self.opened if life not in self.ended)

    def settled(self, life: Life) -> bool:
        """Whether a client has no excuse left: open, connected, and all has been quiet."""
        stood = self.stood.get(life)
        return self.terms.final and life not in self.ended and bool(stood)

    def name(self, life: Life, channel: str = "") -> str:
        """Return how a client is called in a breach."""
        opened = self.opened.get(life)
        who = "?" if opened is None else opened.user
        return f"{channel or '-'} {who} (client {life})"
