"""What timelines, counts and pages showed: I2, I5, I7, I8, I9, I14."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chatkit.model.order import Ident, OrderKey
from chatkit.testing.checker.case import Breach, Case
from chatkit.testing.checker.truth import Truth
from chatkit.testing.history import Advanced, Counted, Line, Paged, Shown

GONE = frozenset({"failed", "expired", "discarded"})
"""Statuses of own messages that stay in view although nobody else will see them."""


def check_views(case: Case) -> Iterator[Breach]:
    """No copy, no step back; and in the end, what all see and what the log has."""
    for (life, channel), views in case.shown.items():
        where = case.name(life, channel)
        for view in views:
            yield from _single(view, where)
        yield from _forward(case, views, where)
        if case.settled(life) and views:
            yield from _confirmed(case, views[-1], where)
            yield from _as_accepted(case, views[-1], where)
    if case.terms.final:
        yield from _alike(case)


def _single(view: Shown, where: str) -> Iterator[Breach]:
    seen: set[Ident] = set()
    for line in view.lines:
        if line.ident in seen:
            yield Breach("I2", where, f"{line.ident.id} is shown twice")
        seen.add(line.ident)


def _forward(case: Case, views: Sequence[Shown], where: str) -> Iterator[Breach]:
    newest: dict[Ident, Line] = {}
    for view in views:
        for line in view.lines:
            before = newest.get(line.ident)
            if line.key is None or line.provisional or line.orphaned:
                continue
            if before is not None and line.version < before.version and not case.terms.replaced:
                yield Breach("I7", where, f"{line.ident.id} went back from version {before.version}")
            newest[line.ident] = line


def _confirmed(case: Case, view: Shown, where: str) -> Iterator[Breach]:
    for line in view.lines:
        waits = line.status != "sent" or line.key is None
        where_it_is = (view.channel, line.ident)
        excused = line.status in GONE or where_it_is in case.due or where_it_is in case.gone
        if waits and not excused:
            yield Breach("I8", where, f"{line.ident.id} is still {line.status}")


def _as_accepted(case: Case, view: Shown, where: str) -> Iterator[Breach]:
    """The loaded range is what the log has, without a hole that is not admitted."""
    lines = [line for line in view.lines if line.key is not None and not line.orphaned]
    truth = case.truth.get(view.channel, {})
    for line in lines:
        here = truth.get(line.ident)
        if here is None:
            if (view.channel, line.ident) not in case.lost:
                yield Breach("I2", where, f"{line.ident.id} is shown, and nobody sent it")
        elif line.status == "sent" and not (line.deleted or here.erased or line.text in here.written):
            yield Breach("I7", where, f"{line.ident.id} shows a text that its author never wrote")
        elif case.terms.log and view.state == "live" and not line.provisional:
            yield from _same(line, here, where)  # else what changes it has missed nobody can say
    places = [truth[line.ident].key for line in lines if line.ident in truth]
    if places != sorted(places):
        yield Breach("I5", where, "messages stand in another order than the provider has them in")
    if case.terms.log and view.state == "live" and not view.gaps and places:
        shown = {line.ident for line in lines}
        top = None if view.newest else places[-1]
        for here in truth.values():
            inside = places[0] < here.key and (top is None or here.key < top)
            if inside and here.ident not in shown:
                yield Breach("I8", where, f"{here.ident.id} is missing in the loaded range")


def _same(line: Line, here: Truth, where: str) -> Iterator[Breach]:
    if line.deleted != here.deleted:
        yield Breach("I7", where, f"{line.ident.id} is shown as {'' if line.deleted else 'not '}deleted")
    elif not line.deleted and not here.erased and line.text != here.text:
        yield Breach("I7", where, f"{line.ident.id} shows another text than its newest edit")
    given = {emoji: tuple(sorted(users)) for emoji, users in here.reactions.items() if users}
    if not line.deleted and not here.erased and dict(line.reactions) != given:
        yield Breach("I8", where, f"{line.ident.id} shows other reactions than were given")


def _alike(case: Case) -> Iterator[Breach]:
    """I5: what two clients both show they show alike; without a log, all that both were given."""
    by_channel: dict[str, list[Shown]] = {}
    for (life, channel), views in case.shown.items():
        if case.settled(life) and views:
            by_channel.setdefault(channel, []).append(views[-1])
    for channel, views in by_channel.items():
        first = _order(views[0])
        for other in views[1:]:
            second = _order(other)
            common = set(first) & set(second)
            if [one for one in first if one in common] != [one for one in second if one in common]:
                yield Breach("I5", channel, f"clients {views[0].life} and {other.life} show different orders")


def _order(view: Shown) -> list[Ident]:
    return [line.ident for line in view.lines if line.key is not None and not line.orphaned]


def check_marks(case: Case) -> Iterator[Breach]:
    """I9: marks only advance, and what counts as unread is what it says."""
    newest: dict[tuple[int, str, str, str], OrderKey] = {}
    for record in case.rest:
        if isinstance(record, Advanced):
            place = _place(case, record)
            mark = (record.life, record.channel, record.user, record.kind)
            before = newest.get(mark)
            if place is not None and before is not None and place < before and not case.terms.replaced:
                yield Breach("I9", case.name(record.life, record.channel), f"{record.user}'s mark went back")
            if place is not None:
                newest[mark] = place
        elif isinstance(record, Counted) and record.unread < 0:
            yield Breach("I9", case.name(record.life, record.channel), "fewer than none are unread")


def check_counts(case: Case, right: dict[tuple[str, str], int]) -> Iterator[Breach]:
    """I9: an exact count is exact; another one is a lower bound. `right`: by channel and user."""
    last: dict[tuple[int, str], Counted] = {}
    for record in case.rest:
        if isinstance(record, Counted):
            last[record.life, record.channel] = record
    for (life, channel), counted in last.items():
        wanted = right.get((channel, counted.user))
        if wanted is None or not case.settled(life):
            continue
        if counted.exact and counted.unread != wanted:
            yield Breach("I9", case.name(life, channel), f"{counted.unread} unread, exactly; it is {wanted}")
        elif counted.unread > wanted:
            yield Breach("I9", case.name(life, channel), f"at least {counted.unread} unread; it is {wanted}")


def _place(case: Case, record: Advanced) -> OrderKey | None:
    for ident, truth in case.truth.get(record.channel, {}).items():
        if ident.id == record.message_id:
            return truth.key
    return None


def check_pages(case: Case) -> Iterator[Breach]:
    """I14: pages cover everything once, in order, from either side, also while others write."""
    for record in case.rest:
        if not isinstance(record, Paged) or record.provisional:
            continue
        where = case.name(record.life, record.channel)
        if len(set(record.idents)) != len(record.idents):
            yield Breach("I14", where, f"pages {record.direction} gave a message twice")
        # Where the log was put back meanwhile nobody can say which of the two was read (D18).
        logs = case.truths(record.channel, record.began, record.at)
        wrong = [_amiss(record, truth) for truth in logs]
        if all(wrong):
            yield from (Breach("I14", where, what) for what in wrong[-1])


def _amiss(record: Paged, truth: dict[Ident, Truth]) -> list[str]:
    """Say in what pages differ from what a log holds."""
    found: list[str] = []
    places = [truth[ident].key for ident in record.idents if ident in truth]
    if places != sorted(places, reverse=record.direction == "backward"):
        found.append(f"pages {record.direction} came in another order than the log's")
    given = set(record.idents)
    for ident, here in truth.items():
        if here.told.at < record.began and ident not in given:
            found.append(f"pages {record.direction} left out {ident.id}")
    return found
