"""What senders were promised: I1, I3, I4."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from chatkit.model.order import Ident
from chatkit.testing.checker.case import Breach, Case, Wish
from chatkit.testing.history import Promised, Retried, Settled

KEPT: Final = "kept"
"""Why a status is told that the store was asked for at the end."""
FINAL: Final = frozenset({"sent", "failed", "expired", "discarded"})


def check_fates(case: Case) -> Iterator[Breach]:
    """I1: every wish ends once, as it was said; I3: what outlives a death was kept."""
    for wish in case.wishes.values():
        yield from _same_id(case, wish)
        yield from _legal(case, wish)
        yield from _true(case, wish)
        if case.terms.final:
            yield from _ended(case, wish)


def _same_id(case: Case, wish: Wish) -> Iterator[Breach]:
    """I2: a wish keeps its id for ever: under another one it would be another message (D7)."""
    others = {told.ident for told in wish.told if not isinstance(told, Retried)} - {wish.promised.ident}
    for other in sorted(others):
        yield _breach(case, wish, f"became {other.id}", "I2")


def _legal(case: Case, wish: Wish) -> Iterator[Breach]:
    """A final status stays, but for an uncertain one that turns out to be sent."""
    finals: dict[str, Settled | None] = {}  # a copied store has a wish of its own
    for told in wish.told:
        store = case.opened[told.life].store
        final = finals.get(store)
        if isinstance(told, Retried):
            finals[store] = None
        elif isinstance(told, Settled):
            late = told.status == "sent" and told.late
            again = (
                final is not None
                and told.status == final.status
                and (told.life != final.life or told.reason == KEPT)
            )
            if final is not None and not late and not again:
                yield _breach(case, wish, f"was {final.status}, then {told.status}")
            lied = final is not None and final.certain and final.status != "sent" and not case.terms.copied
            if late and lied and final is not None:
                yield _breach(case, wish, f"was certainly {final.status}, then sent")
            if told.status in FINAL:
                finals[store] = told


def _true(case: Case, wish: Wish) -> Iterator[Breach]:
    """What was said of it last is so."""
    last = wish.last
    if last is None:
        return
    where = (wish.promised.channel, wish.promised.ident)
    there = where in case.places
    if last.status == "sent" and case.terms.confirmed and not there and where not in case.lost:
        yield _breach(case, wish, "is sent, and the provider never had it")
    certain = last.status in ("failed", "expired", "discarded") and last.certain
    if certain and there and case.places[where].at <= last.at and not case.terms.copied:
        yield _breach(case, wish, f"is certainly {last.status}, and the provider has it")


def _ended(case: Case, wish: Wish) -> Iterator[Breach]:
    store, last = case.opened[wish.promised.life].store, wish.last
    lives = [life for life, opened in case.opened.items() if opened.store == store and store]
    living = next((life for life in lives if life not in case.ended), None)
    if not store:
        living = wish.promised.life if wish.promised.life not in case.ended else None
    if living is None or wish.promised.due:
        return  # it lies in a store that nobody has open, or died with its process as was said
    queued = bool(case.stood[living]) and wish.promised.entry in case.stood[living][-1].unfinished
    if queued:
        yield _breach(case, wish, "never ended, though all is whole")
    elif last is None or last.status not in FINAL:
        where = (wish.promised.channel, wish.promised.ident)
        if where not in case.places and where not in case.lost:
            died = case.ended.get(wish.promised.life)
            invariant = "I3" if died is not None and died.how == "killed" else "I1"
            yield _breach(case, wish, "was promised and is gone", invariant)


def check_copies(case: Case) -> Iterator[Breach]:
    """I2: a log with a fence holds each envelope once; I5: an attempt that is made again is the same (D7)."""
    for channel, entries in case.told.items():
        seen: set[Ident] = set()
        bytes_of: dict[tuple[Ident, str, int], bytes] = {}
        for told in entries:
            if told.ident in seen and case.terms.fenced:
                yield Breach("I2", channel, f"{told.ident.id} was taken twice")
            seen.add(told.ident)
            if told.seq is not None and not case.terms.copied:
                first = bytes_of.setdefault((told.ident, told.device, told.seq), told.digest)
                if first != told.digest:
                    yield Breach("I5", channel, f"{told.ident.id} was tried again with another place or body")


def check_lanes(case: Case) -> Iterator[Breach]:
    """I4: what one device wished in a channel stands there in the order in which it was wished."""
    turns = {(wish.promised.channel, wish.promised.ident): wish for wish in case.wishes.values()}
    for channel, entries in case.told.items():
        numbers: dict[tuple[str, str], int] = {}
        before: dict[str, list[int]] = {}
        seen: set[Ident] = set()
        for told in sorted(entries, key=lambda one: one.key):
            if told.seq is None or told.ident in seen:
                continue
            seen.add(told.ident)
            wish = turns.get((channel, told.ident))
            if wish is not None and not case.terms.log and _repeated(wish):
                continue  # it has a new number, and may have kept its clock reading, which is its place
            lane = (told.ident.user, told.device)
            if told.seq <= numbers.get(lane, -1):
                where = f"{channel} {lane[0]}/{lane[1]}"
                yield Breach("I4", where, f"{told.ident.id} stands after its successor")
            numbers[lane] = max(numbers.get(lane, -1), told.seq)
            if wish is None or _moved(wish) or case.terms.copied:
                continue
            life = wish.promised.life
            mine = case.opened[life].store or str(life)  # it may go on under another name (D27)
            wished = before.setdefault(mine, [])
            if any(turn > wish.turn for turn in wished):
                where = case.name(life, channel)
                yield Breach("I4", where, f"{told.ident.id} was wished before one it follows")
            wished.append(wish.turn)


def _moved(wish: Wish) -> bool:
    """Whether it rightly stands elsewhere than where it was wished first."""
    promised = wish.promised
    earlier = not promised.made  # by a call that never returned
    return promised.due or promised.depends or earlier or _repeated(wish)


def _repeated(wish: Wish) -> bool:
    """Whether it was sent again by hand."""
    return any(isinstance(one, Retried) for one in wish.told)


def _breach(case: Case, wish: Wish, what: str, invariant: str = "I1") -> Breach:
    promised: Promised = wish.promised
    where = case.name(promised.life, promised.channel)
    return Breach(invariant, where, f"{promised.kind} {promised.ident.id} {what}")
