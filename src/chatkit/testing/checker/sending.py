"""What senders were promised: I1, I3, I4."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from chatkit.testing.checker.case import Breach, Case, Wish
from chatkit.testing.history import Promised, Retried, Settled

KEPT: Final = "kept"
"""Why a status is told that the store was asked for at the end."""
FINAL: Final = frozenset({"sent", "failed", "expired", "discarded"})


def check_fates(case: Case) -> Iterator[Breach]:
    """I1: every wish ends once, as it was said; I3: what outlives a death was kept."""
    for wish in case.wishes.values():
        yield from _legal(case, wish)
        yield from _true(case, wish)
        if case.terms.final:
            yield from _ended(case, wish)


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


def check_lanes(case: Case) -> Iterator[Breach]:
    """I4: what one device wished in a channel stands there in the order in which it was wished."""
    turns = {(wish.promised.channel, wish.promised.ident): wish for wish in case.wishes.values()}
    for channel, entries in case.told.items():
        newest: dict[tuple[str, str], tuple[int, int]] = {}
        seen: set[object] = set()
        for told in sorted(entries, key=lambda one: one.key):
            lane = (told.ident.user, told.device)
            if told.seq is None or (lane, told.ident) in seen:
                continue
            seen.add((lane, told.ident))
            wish = turns.get((channel, told.ident))
            seq, turn = newest.get(lane, (-1, -1))
            if told.seq <= seq:
                yield Breach(
                    "I4", f"{channel} {lane[0]}/{lane[1]}", f"{told.ident.id} stands after its successor"
                )
            mine = turn if wish is None or _moved(wish) or case.terms.copied else wish.turn
            if mine < turn:
                yield Breach(
                    "I4",
                    f"{channel} {lane[0]}/{lane[1]}",
                    f"{told.ident.id} was wished before one it follows",
                )
            newest[lane] = (max(seq, told.seq), max(turn, mine))


def _moved(wish: Wish) -> bool:
    """Whether it rightly stands elsewhere than where it was wished first."""
    promised = wish.promised
    earlier = not promised.made  # by a call that never returned
    return promised.due or promised.depends or earlier or any(isinstance(one, Retried) for one in wish.told)


def _breach(case: Case, wish: Wish, what: str, invariant: str = "I1") -> Breach:
    promised: Promised = wish.promised
    where = case.name(promised.life, promised.channel)
    return Breach(invariant, where, f"{promised.kind} {promised.ident.id} {what}")
