"""The catalogue of crash points and the code say the same."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final, get_args

import pytest

from chatkit.core.connection import State
from chatkit.testing.crash_points import CRASH_POINTS, ELSEWHERE, Part, table

SOURCES: Final = Path(__file__).parents[2] / "src" / "chatkit"


def labels(source: str) -> set[str]:
    """All names with which an observer is told something: literals, and `connection.` with each state."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(attr="point") | ast.Name(id="point"), args=[name, *_]):
                match name:
                    case ast.Constant(value=str(text)):
                        found.add(text)
                    case ast.JoinedStr(values=[ast.Constant(value="connection."), ast.FormattedValue()]):
                        found |= {f"connection.{state.public}" for state in State}
                    case _:
                        pytest.fail(f"line {node.lineno}: a label is a literal, so that it can be found")
            case _:
                pass
    return found


def test_each_label_of_the_code_is_in_the_catalogue_and_the_reverse() -> None:
    """A point that nobody crashes at says why; one that is gone from the code is gone from the catalogue."""
    said = set[str]().union(*(labels(path.read_text(encoding="utf-8")) for path in SOURCES.rglob("*.py")))

    names = [point.name for point in CRASH_POINTS]
    assert len(names) == len(set(names))
    assert not set(names) & set(ELSEWHERE)
    assert said == set(names) | set(ELSEWHERE)


def test_labels_are_found_in_code() -> None:
    """The search finds literals and states, by attribute and by a name of its own, and nothing else."""
    source = 'observer.point("a.b", x=1)\npoint("c.d")\nself._o.point(f"connection.{state}")\nother("e.f")'

    assert labels(source) == {"a.b", "c.d", *(f"connection.{state.public}" for state in State)}


def test_every_part_of_the_way_has_points() -> None:
    """Send, attempt, ack, receive, backfill, marks, adoption and close: at least 40 in all."""
    assert {point.part for point in CRASH_POINTS} == set(get_args(Part))
    assert len(CRASH_POINTS) >= 40


def test_the_table_shows_each_point_in_one_row() -> None:
    """What the docs show is the catalogue itself, nothing twice."""
    shown = [line.split(" | ")[0] for line in table().splitlines() if line.startswith("| `")]

    assert shown == [f"| `{point.name}`" for point in CRASH_POINTS]
