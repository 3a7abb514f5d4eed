"""The judge: compares what was said with what the log holds and what each listener was given. Pure.

It believes no counter of the library: the truth is what was sent and the places in the hub's own log.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from chatkit.cli.demo.record import Heard, Logged, Said, Visit
from chatkit.model.order import OrderKey

LOG: Final = "the log"


class Finding(NamedTuple):
    """One message with which something is wrong."""

    message_id: str
    where: str
    """A listener, or the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came out."""

    sent: int
    """Lines that `send()` accepted."""
    logged: int
    """Of these, how many the log holds."""
    once: Mapping[str, int]
    """By listener: how many it was given, and no second time."""
    lost: tuple[Finding, ...] = ()
    """Accepted, no longer queued, and missing in the log or at a listener."""
    doubled: tuple[Finding, ...] = ()
    shuffled: tuple[Finding, ...] = ()
    """Against the order of the log or of the sender, and not marked late."""
    queued: tuple[Finding, ...] = ()
    pending: int = 0
    """Still on their way when the story was interrupted."""
    late: int = 0
    again: int = 0
    """Given again, rightly, to a listener that came back to a place below them."""

    @property
    def broken(self) -> bool:
        """Whether the promise was not kept."""
        return bool(self.lost or self.doubled or self.shuffled or self.queued)


def judge(
    said: Iterable[Said],
    logged: Iterable[Logged],
    visits: Mapping[str, Sequence[Visit]],
    *,
    queued: Collection[str] = (),
    finished: bool = True,
) -> Verdict:
    """Return the verdict.

    Args:
        said: In the order in which each client said it.
        logged: In the order of the log.
        visits: By listener, in order.
        queued: Ids of messages that an outbox still holds.
        finished: False: the story was interrupted; what is missing may have been on its way.
    """
    spoken = _Spoken(said)
    shelf = _Shelf(spoken, logged)
    hearings = [_Hearing(listener, shelf, turns) for listener, turns in visits.items()]
    accepted = [one.message_id for one in spoken.by_line.values() if one.message_id is not None]
    waiting = tuple(Finding(id, LOG) for id in accepted if id not in shelf.places and id in queued)
    missing = [Finding(id, LOG) for id in accepted if id not in shelf.places and id not in queued]
    missing += [
        Finding(id, hearing.listener)
        for hearing in hearings
        for id in accepted
        if id in shelf.places and id not in hearing.given
    ]
    return Verdict(
        sent=len(accepted),
        logged=sum(id in shelf.places for id in accepted),
        once={hearing.listener: len(hearing.given - hearing.twice) for hearing in hearings},
        lost=tuple(missing) if finished else (),
        doubled=(*shelf.doubled, *(found for hearing in hearings for found in hearing.doubled)),
        shuffled=(*shelf.shuffled, *(found for hearing in hearings for found in hearing.shuffled)),
        queued=waiting if finished else (),
        pending=0 if finished else len(waiting) + len(missing),
        late=sum(hearing.late for hearing in hearings),
        again=sum(hearing.again for hearing in hearings),
    )


class _Spoken:
    """What was said, by line; and when, by sender."""

    def __init__(self, said: Iterable[Said]) -> None:
        self.by_line = {one.line: one for one in said}
        self.turn = {line: number for number, line in enumerate(self.by_line)}

    def is_of(self, line: str, message_id: str) -> bool:
        """Whether this is the message that a line was promised to become."""
        one = self.by_line.get(line)
        return one is not None and one.message_id in (None, message_id)


class _Shelf:
    """The log: where each message stands, and what stands there that should not."""

    def __init__(self, spoken: _Spoken, logged: Iterable[Logged]) -> None:
        self.spoken = spoken
        self.places: dict[str, OrderKey] = {}
        self.doubled: list[Finding] = []
        self.shuffled: list[Finding] = []
        lines: set[str] = set()
        newest: dict[str, int] = {}
        for entry in logged:
            if entry.line in lines or not spoken.is_of(entry.line, entry.message_id):
                self.doubled.append(Finding(entry.message_id, LOG))
                continue
            lines.add(entry.line)
            self.places[entry.message_id] = entry.key
            turn = spoken.turn[entry.line]
            if turn < newest.get(entry.user, -1):
                self.shuffled.append(Finding(entry.message_id, LOG))
            newest[entry.user] = max(turn, newest.get(entry.user, -1))


class _Hearing:
    """What one listener was given, over all its visits."""

    def __init__(self, listener: str, shelf: _Shelf, visits: Sequence[Visit]) -> None:
        self.listener = listener
        self.given: set[str] = set()
        self.twice: set[str] = set()
        self.doubled: list[Finding] = []
        self.shuffled: list[Finding] = []
        self.late = 0
        self.again = 0
        self._shelf = shelf
        for visit in visits:
            self._follow(visit)

    def _follow(self, visit: Visit) -> None:
        here: set[str] = set()
        newest = visit.since
        for event in visit.heard:
            place = self._shelf.places.get(event.message_id)
            if self._is_double(event, place, here, visit.since):
                self.doubled.append(Finding(event.message_id, self.listener))
                self.twice.add(event.message_id)
                continue
            self.again += event.message_id in self.given
            self.late += event.late
            here.add(event.message_id)
            if place is None:
                continue  # the log has lost it, and is told so
            if not event.late and newest is not None and place < newest:
                self.shuffled.append(Finding(event.message_id, self.listener))
            newest = place if newest is None else max(newest, place)
        self.given |= here

    def _is_double(
        self, event: Heard, place: OrderKey | None, here: set[str], since: OrderKey | None
    ) -> bool:
        if event.message_id in here or not self._shelf.spoken.is_of(event.line, event.message_id):
            return True
        # Whoever comes back is given again what stands above the place it came back to, and nothing else.
        return event.message_id in self.given and (since is None or place is None or place <= since)
