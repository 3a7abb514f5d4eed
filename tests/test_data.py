"""The conversation corpus is what its page says, so that figures drawn from it mean something."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """All of it, in the order of the file."""
    with gzip.open(DATA / "ubuntu-irc.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def said(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What people said: messages and actions."""
    return [row for row in rows if row["kind"] in {"message", "action"}]


def test_every_row_has_the_fields_of_the_page(rows: list[dict[str, Any]]) -> None:
    """The same seven, of the same types."""
    shapes = {tuple((name, type(value)) for name, value in row.items()) for row in rows}

    names = ("id", "channel", "at", "kind", "user", "text")
    assert shapes == {(*((name, str) for name in names), ("reply_to", list))}
    assert {row["channel"] for row in rows} == {"ubuntu"}
    assert all(row["user"] for row in rows)


def test_the_figures_of_the_page_hold(rows: list[dict[str, Any]], said: list[dict[str, Any]]) -> None:
    """Lines, kinds, users, days, replies and mean length."""
    kinds = Counter(row["kind"] for row in rows)

    assert len(rows) == 32_154
    assert len(said) == 28_607
    assert kinds["join"] + kinds["leave"] + kinds["rename"] == 3_547
    assert set(kinds) == {"message", "action", "join", "leave", "rename"}
    assert len({row["user"] for row in said}) == 2_808
    assert sum(bool(row["reply_to"]) for row in said) == 7_581
    assert round(sum(len(row["text"].encode()) for row in said) / len(said)) == 59


def test_ids_are_unique_and_count_the_lines_of_a_day(rows: list[dict[str, Any]]) -> None:
    """The order of the file is the order of the conversation."""
    places = [(day, int(line)) for day, _, line in (row["id"].partition("#") for row in rows)]

    assert len(set(places)) == len(rows)
    assert len({day for day, _ in places}) == 22
    assert all(before < after for before, after in pairwise(places) if before[0] == after[0])


def test_times_are_utc_minutes(rows: list[dict[str, Any]]) -> None:
    """From December 2004 to March 2017."""
    times = [datetime.fromisoformat(row["at"]) for row in rows]

    assert {(at.tzinfo, at.second) for at in times} == {(UTC, 0)}
    assert (min(times).date().isoformat(), max(times).date().isoformat()) == ("2004-12-25", "2017-03-02")


def test_replies_answer_earlier_lines(rows: list[dict[str, Any]]) -> None:
    """All but the three whose line is not in the file."""
    place = {row["id"]: index for index, row in enumerate(rows)}
    answers = [(index, place.get(other)) for index, row in enumerate(rows) for other in row["reply_to"]]

    assert sum(earlier is None for _, earlier in answers) == 3
    assert all(earlier < index for index, earlier in answers if earlier is not None)


def test_the_licence_travels_with_the_data() -> None:
    """Whoever has the file has its source, its licence and what was changed."""
    page = (DATA / "ATTRIBUTION.md").read_text(encoding="utf-8")

    for fact in (
        "A Large-Scale Corpus for Conversation Disentanglement",
        "Kummerfeld",
        "CC BY 4.0",
        "removed",
    ):
        assert fact in page
