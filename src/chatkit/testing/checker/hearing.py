"""What readers of events were given: I2, I6, I7, I13."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from chatkit.model.order import Ident, OrderKey
from chatkit.testing.checker.case import Breach, Case, Reader
from chatkit.testing.checker.truth import Told, Truth
from chatkit.testing.history import Gap, Heard, Raised, Reported

PLANNED: Final = "PlannedError"
"""What handlers of a simulation raise."""


def check_readers(case: Case) -> Iterator[Breach]:
    """Each reader was given each message once, in order, and knows of every hole."""
    for reader in case.readers.values():
        yield from _once(case, reader)
        yield from _in_order(case, reader)
        yield from _versions(case, reader)
        if case.settled(reader.began.life) and not reader.ended:
            whole = _whole_with_log if case.terms.log else _whole_without
            yield from whole(case, reader)


def _once(case: Case, reader: Reader) -> Iterator[Breach]:
    given: set[Ident] = set()
    for heard in reader.heard:
        if isinstance(heard, Gap):
            if heard.reason == "log_reset":
                given.clear()  # what the new log was sent again is told again, behind this word (D18)
            continue
        if heard.what != "created":
            continue
        if heard.ident in given:
            yield _breach(case, reader, "I2", f"{heard.ident.id} was told twice")
        given.add(heard.ident)
        if (heard.channel, heard.ident) not in case.places and (heard.channel, heard.ident) not in case.lost:
            yield _breach(case, reader, "I2", f"{heard.ident.id} was told, and nobody sent it")


def _in_order(case: Case, reader: Reader) -> Iterator[Breach]:
    newest: OrderKey | None = reader.began.since
    for heard in reader.heard:
        if isinstance(heard, Gap):
            if heard.reason == "log_reset":
                newest = None  # places mean something else now (D18)
        elif heard.what == "created" and heard.key is not None:
            if not heard.late and newest is not None and heard.key < newest:
                yield _breach(case, reader, "I6", f"{heard.ident.id} came late, and did not say so")
            newest = heard.key if newest is None else max(newest, heard.key)


def _versions(case: Case, reader: Reader) -> Iterator[Breach]:
    newest: dict[Ident, int] = {}
    for heard in reader.heard:
        if isinstance(heard, Gap):
            if heard.reason == "log_reset":
                newest.clear()  # the new log may lack changes (D18)
        elif heard.what != "created":
            if heard.version < newest.get(heard.ident, 0):
                yield _breach(case, reader, "I7", f"{heard.ident.id} went back to version {heard.version}")
            newest[heard.ident] = heard.version


def _whole_with_log(case: Case, reader: Reader) -> Iterator[Breach]:
    """Whatever stands above its beginning was told, or lies in a hole that was announced."""
    since = reader.began.since
    if since is None:  # from the first that it was given; one's own may be an earlier life's
        me = case.opened[reader.began.life].user
        others = (heard for heard in _created(reader) if heard.ident.user != me and not heard.late)
        since = next((heard.key for heard in others), None)
        if since is None:
            return
    given = {heard.ident for heard in _created(reader)}
    gaps = [heard for heard in reader.heard if isinstance(heard, Gap)]
    for truth in case.truth.get(reader.began.channel, {}).values():
        if truth.key <= since or truth.ident in given or truth.erased:
            continue
        if not any(_covers(gap, truth.key) for gap in gaps):
            yield _breach(case, reader, "I6", f"{truth.ident.id} was never told, and no gap was")


def _covers(gap: Gap, key: OrderKey) -> bool:
    return (gap.after is None or gap.after <= key) and (gap.until is None or key <= gap.until)


def _whole_without(case: Case, reader: Reader) -> Iterator[Breach]:
    """Before the first message of others that followed a lost one there was a `Discontinuity`.

    One's own are told when they are acknowledged, which says nothing of what comes over the wire.
    """
    me = case.opened[reader.began.life].user
    accepted = case.truth.get(reader.began.channel, {})
    copies: dict[Ident, list[Told]] = {}
    for told in case.told.get(reader.began.channel, ()):
        copies.setdefault(told.ident, []).append(told)
    given = {heard.ident for heard in _created(reader)}
    turn = -1
    warned = True  # it may have begun in the middle
    for heard in reader.heard:
        if isinstance(heard, Gap):
            warned = True
        elif heard.late:
            continue  # it stands below others, and says nothing of what lies between
        elif heard.what == "created" and heard.ident in accepted and heard.ident.user != me:
            # Of a message that was sent again, the copy that came.
            here = max(told.index for told in copies[heard.ident] if told.at <= heard.at)
            for one in () if warned else _between(accepted, given, turn, here):
                yield _breach(case, reader, "I6", f"{one.ident.id} was lost, and no gap was told")
            if here > turn:
                turn, warned = here, False


def _between(accepted: dict[Ident, Truth], given: set[Ident], low: int, high: int) -> list[Truth]:
    return [one for one in accepted.values() if low < one.told.index < high and one.ident not in given]


def check_handlers(case: Case) -> Iterator[Breach]:
    """I13: what a handler raises is reported, by its name."""
    if not case.terms.final:
        return
    raised = Counter((one.life, one.handler) for one in case.rest if isinstance(one, Raised))
    reported = Counter(
        (one.life, one.handler) for one in case.rest if isinstance(one, Reported) and one.error == PLANNED
    )
    for (life, handler), count in raised.items():
        if life not in case.ended and reported[life, handler] < count:
            yield Breach(
                "I13", case.name(life), f"{handler} raised {count} times, told {reported[life, handler]}"
            )


def _created(reader: Reader) -> Iterator[Heard]:
    return (one for one in reader.heard if isinstance(one, Heard) and one.what == "created")


def _breach(case: Case, reader: Reader, invariant: str, what: str) -> Breach:
    began = reader.began
    return Breach(invariant, f"{case.name(began.life, began.channel)} reader {began.reader}", what)
