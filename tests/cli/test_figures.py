"""Figures are what was measured, and nothing where nothing was."""

from __future__ import annotations

from chatkit.cli.demo.figures import Figures, measure, percentile
from chatkit.cli.demo.record import Heard, Said, Visit


def heard(line: str, at: float) -> Heard:
    return Heard(line, f"id-{line}", late=False, at=at)


def test_latency_runs_from_send_to_a_handler_in_another_client() -> None:
    """The sender's own handler and a second hearing do not count."""
    said = {"a": Said("a", "ada", 1.0, "id-a"), "b": Said("b", "ada", 2.0, "id-b")}
    visits = {
        "ada": [Visit("ada", heard=[heard("a", 1.5), heard("b", 99.0)])],
        "bob": [
            Visit("bob", heard=[heard("a", 3.0)]),
            Visit("bob", heard=[heard("a", 50.0), heard("b", 5.0)]),
        ],
    }

    figures = measure(said, visits)

    assert figures == Figures(p50=2.0, p99=3.0, throughput=2 / 4.0)


def test_where_nobody_heard_anybody_there_are_no_figures() -> None:
    """A line that nobody is known to have said is no measure either."""
    visits = {"bob": [Visit("bob", heard=[heard("a", 3.0)])]}

    assert measure({}, visits) == Figures(None, None, None)


def test_a_percentile_is_a_measured_value() -> None:
    """The nearest rank."""
    values = [float(number) for number in range(1, 201)]

    assert (percentile(values, 50), percentile(values, 99), percentile([7.0], 99)) == (100.0, 198.0, 7.0)
