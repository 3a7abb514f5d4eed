"""What the three tables share: a step that refuses what is not tabled, and a drawing for the docs."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

S = TypeVar("S", bound=Enum)
I = TypeVar("I", bound=Enum)  # noqa: E741  # the name of an input type, never of a number
E = TypeVar("E")


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


def draw(table: Table[S, I, E]) -> str:
    """Return the table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2"]
    for (state, given), (after, effects) in table.items():
        does = f" / {', '.join(_word(effect) for effect in effects)}" if effects else ""
        lines.append(f"    {state.value} --> {after.value}: {_word(given)}{does}")
    return "\n".join(lines)


def _word(item: object) -> str:
    return str(item.value if isinstance(item, Enum) else item).replace("_", " ")
