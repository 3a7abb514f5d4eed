"""The checker: reads the history of a world and says which promises were not kept, by invariant.

It knows only what was recorded and what was accepted (`truth`), never the library's own state or counters.
`certain`, `complete` and the floor are taken as they are meant: an uncertain end may still turn into `sent`,
a hole that was announced is no breach, and below the floor nothing is demanded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from chatkit.testing.checker.case import Breach, Case, Terms
from chatkit.testing.checker.hearing import check_handlers, check_readers
from chatkit.testing.checker.living import check_bounds, check_ends, check_liveness
from chatkit.testing.checker.sending import check_copies, check_fates, check_lanes
from chatkit.testing.checker.showing import check_counts, check_marks, check_pages, check_views
from chatkit.testing.history import Record

__all__ = ["Breach", "Terms", "check"]

LIVENESS: Final = 60.0
"""Seconds of silence after which health must not say `ok` any more."""


def check(
    records: Iterable[Record],
    terms: Terms,
    *,
    unread: Mapping[tuple[str, str], int] | None = None,
    liveness: float = LIVENESS,
) -> tuple[Breach, ...]:
    """Return every breach of I1 to I14 that the records show.

    Args:
        records: Of a `History`.
        terms: What the set-up promises, and whether the story has come to its end.
        unread: The right counts, by channel and user, where they are known.
        liveness: Seconds of silence that a client may take for health.
    """
    case = Case(records, terms)
    return (
        *check_fates(case),
        *check_copies(case),
        *check_lanes(case),
        *check_readers(case),
        *check_handlers(case),
        *check_views(case),
        *check_marks(case),
        *check_counts(case, dict(unread or {})),
        *check_pages(case),
        *check_bounds(case),
        *check_liveness(case, bound=liveness),
        *check_ends(case),
    )
