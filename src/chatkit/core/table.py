"""What the three tables share: a step that refuses what is not tabled, and words for the docs."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

S = TypeVar("S", bound=Enum)
I = TypeVar("I", bound=Enum)
E = TypeVar("E", bound=Enum)


class Illegal(Exception):
    """An input that the table does not have in this state: a bug in the driver, never in the world."""


class Step(NamedTuple, Generic[S, E]):
    """Where an input leads and what the driver must then do, in order."""

    state: S
    effects: tuple[E, ...] = ()


Table = Mapping[tuple[S, I], Step[S, E]]


def step(table: Table[S, I, E], state: S, given: I) -> Step[S, E]:
    """Look an input up.

    Raises:
        Illegal: The pair is not tabled.
    """
    try:
        return table[state, given]
    except KeyError:
        raise Illegal(f"{given} in {state}") from None


def idle(table: Table[S, I, E], state: S) -> list[I]:
    """Return the inputs that may come in a state and change nothing."""
    return [given for (at, given), found in table.items() if at is state and found == Step(state)]


def word(member: Enum) -> str:
    """Return an enum member's text as words."""
    return str(member.value).replace("_", " ")
