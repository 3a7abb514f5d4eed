"""What the tests of the three tables share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatkit.core.table import E, I, S

if TYPE_CHECKING:
    from chatkit.core.table import Table

__all__ = ["asking", "causes", "leaving", "reachable"]


def reachable(table: Table[S, I, E], start: S, *, without: frozenset[I] = frozenset()) -> set[S]:
    """Return the states that any sequence of inputs leads to, the first one included."""
    found, new = {start}, {start}
    while new:
        new = {
            after for (state, heard), (after, _) in table.items() if state in new and heard not in without
        } - found
        found |= new
    return found


def causes(table: Table[S, I, E], state: S) -> set[I]:
    """Return the inputs that lead into a state from another."""
    return {heard for (before, heard), (after, _) in table.items() if after is state and before is not state}


def asking(table: Table[S, I, E], effect: E) -> set[tuple[S, I]]:
    """Return the pairs that ask for an effect."""
    return {pair for pair, (_, effects) in table.items() if effect in effects}


def leaving(table: Table[S, I, E], states: set[S]) -> set[I]:
    """Return the inputs that lead out of some states."""
    return {heard for (state, heard), (after, _) in table.items() if state in states and after not in states}
