"""The soak judges what it measures, and a leak that is planted turns it red."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.soak.__main__ import told
from tests.soak.measure import Sample, judge, table
from tests.soak.run import Plan, Result, soak

if TYPE_CHECKING:
    from pathlib import Path


FLAT: Final = Sample(seconds=1.0, done=1, rss=70_000_000, blocks=200_000, tasks=100, threads=10, files=40)


def series(**last: int) -> list[Sample]:
    """Nine samples of which the last four are as given."""
    return [FLAT] * 5 + [replace(FLAT, **last)] * 4


@pytest.mark.parametrize(
    ("last", "breached"),
    [
        ({}, []),
        ({"rss": 73_000_000, "blocks": 209_000}, []),
        ({"rss": 74_000_000}, ["rss"]),
        ({"blocks": 211_000}, ["blocks"]),
        ({"tasks": 106}, ["tasks"]),
        ({"threads": 11, "files": 43}, ["threads", "files"]),
    ],
)
def test_what_grows_by_five_percent_is_a_breach(last: dict[str, int], breached: list[str]) -> None:
    """Between the first third after warming up and the last."""
    assert [one.partition(":")[0] for one in judge(series(**last)).breaches] == breached


def test_warming_up_is_not_counted() -> None:
    """Caches fill; and a peak that passes is no leak."""
    young = replace(FLAT, rss=30_000_000, blocks=90_000, tasks=20)
    peak = replace(FLAT, tasks=130)

    assert judge([young, young, *[FLAT] * 3, peak, *[FLAT] * 4]).breaches == ()


def test_too_few_samples_give_no_verdict() -> None:
    """A soak that broke off is no success."""
    with pytest.raises(ValueError, match="4 samples"):
        judge([FLAT] * 3)
    assert told(Result(samples=[FLAT] * 3)) == (f"{table([FLAT] * 3)}\n\nBREACH", False)


@pytest.mark.parametrize("wrong", [{"left": ["task x"]}, {"broken": ["a defect"]}])
def test_what_is_left_or_broken_is_a_breach(wrong: dict[str, Any]) -> None:
    """However flat all else is."""
    assert told(Result(samples=series()))[1]
    text, passes = told(Result(samples=series(), **wrong))

    assert not passes
    assert text.endswith("BREACH")


@pytest.mark.nightly  # in real time, and so alone on its machine
@pytest.mark.realtime
async def test_a_short_soak_leaves_nothing(tmp_path: Path) -> None:
    """No task, thread, file, lock or client; no defect, nothing lost or doubled. Growth takes minutes to judge."""
    result = await soak(Plan(5.0, 2.0, tmp_path, quiet=0.1))

    assert result.samples
    assert (result.left, result.broken) == ([], [])
    assert result.done["acts"] > 10
