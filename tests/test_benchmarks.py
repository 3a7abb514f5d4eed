"""The benchmarks judge what they measure, and fail beyond a target and its slack alone."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.benchmarks.corpus import entries
from tests.benchmarks.measure import SLACK, Figure, interleave, middle, paired, table, write
from tests.benchmarks.peers.counting import Counting, Spending
from tests.benchmarks.receive import frame_of, signal_of


def figure(
    ratio: float, *, limit: float | None = 2.0, least: bool = False, held: float | None = None
) -> Figure:
    return Figure(
        name="x", unit="ms", chatkit=ratio, bare=1.0, ratio=ratio, limit=limit, least=least, held=held
    )


@pytest.mark.parametrize(
    ("one", "verdict", "passes"),
    [
        (figure(2.0), "met", True),
        (figure(2.0 * SLACK), "within slack", True),
        (figure(2.0 * SLACK + 0.01), "MISSED", False),
        (figure(2.0, least=True), "met", True),
        (figure(2.0 / SLACK, least=True), "within slack", True),
        (figure(2.0 / SLACK - 0.01, least=True), "MISSED", False),
        (figure(99.0, limit=None), "stated", True),
        (figure(2.0, held=5.0), "met", True),
        (figure(5.0, held=5.0), "NOT REACHED, held at 5", True),
        (figure(5.0 * SLACK + 0.01, held=5.0), "MISSED", False),
        (figure(0.1, least=True, held=0.1), "NOT REACHED, held at 0.1", True),
        (figure(0.1 / SLACK - 0.01, least=True, held=0.1), "MISSED", False),
    ],
)
def test_a_ratio_fails_beyond_its_target_and_slack(one: Figure, verdict: str, *, passes: bool) -> None:
    """A target that is not reached yet says so and must get no worse; without one a figure is only stated."""
    assert (one.verdict, one.passes) == (verdict, passes)


def test_sides_take_turns() -> None:
    """Each side runs once a round, and another one goes first from round to round."""
    order: list[str] = []

    def side(name: str) -> dict[str, float]:
        order.append(name)
        return {"ms": float(len(order))}

    ours, bare = interleave(2, lambda: side("ours"), lambda: side("bare"))

    assert order == ["ours", "bare", "bare", "ours"]
    assert middle(ours, "ms") == 2.5
    assert paired(ours, bare, "ms") == pytest.approx((1 / 2 + 4 / 3) / 2)


def test_figures_are_written_as_table_and_json(tmp_path: Path) -> None:
    """Both tell the verdict; the file also tells what it was measured on."""
    write(tmp_path / "found.json", [figure(9.0)], quick=True)
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))

    assert "MISSED" in table([figure(9.0)])
    assert found["figures"][0]["verdict"] == "MISSED"
    assert found["quick"] is True
    assert {"python", "system", "sqlite", "slack"} <= set(found)


def test_frames_of_the_benchmark_hold_what_was_sent() -> None:
    """A frame is JSON that the bare side parses whole, and gives the entry back byte by byte."""
    for entry in entries(20):
        frame = frame_of(entry)
        signal = signal_of(frame)
        said = json.loads(frame)

        assert (signal.data, signal.stamp) == (entry.data, entry.stamp)
        assert said["envelope"] == json.loads(entry.data)
        assert said["stamp"]["serial"] == entry.stamp.key.serial


def test_a_client_says_how_far_it_is_and_what_it_took(capfd: pytest.CaptureFixture[str]) -> None:
    """After each chunk the messages so far; with the last one, the processor time of all behind the first chunk."""
    ended: list[bool] = []
    counting = Counting(6, 2)
    counting.on_end = lambda: ended.append(True)
    for _ in range(6):
        counting.one()
    *said, spent = capfd.readouterr().out.split()

    assert said == ["2", "4", "6"]
    assert 0 <= float(spent) < 1e6
    assert ended == [True]


def test_who_sends_says_what_each_message_took() -> None:
    """Processor time of all behind those that warm up."""
    spending = Spending(5)
    for _ in range(spending.all):
        spending.next()

    assert spending.all == Spending.WARM + 5
    assert 0 <= spending.told()["µs"] < 1e6


def test_a_client_that_counts_nothing_tells_moments(capfd: pytest.CaptureFixture[str]) -> None:
    """By the clock that all processes of a machine share."""
    counting = Counting(0, 2)
    began = time.monotonic()
    counting.moment("connecting")
    counting.one()
    first, second = capfd.readouterr().out.splitlines()
    moments = [float(line.split()[1]) for line in (first, second)]

    assert (first.split()[0], second.split()[0]) == ("connecting", "message")
    assert began <= moments[0] <= moments[1] <= time.monotonic()
