"""Small values that callers hand in, checked where they are made."""

from __future__ import annotations

import pytest

from chatkit.errors import ConfigError
from chatkit.model.options import OutboxLimits, Token


@pytest.mark.parametrize(
    "limits",
    [
        {"entries": 0},
        {"entries": -1},
        {"size": 0},
        {"age": 0.0},
        {"age": -1.0},
        {"age": 31_536_001.0},
        {"age": float("nan")},
        {"age": float("inf")},
    ],
    ids=str,
)
def test_limits_that_hold_nothing_are_refused(limits: dict[str, float]) -> None:
    """An outbox that takes no entry, or keeps one for ever, was not meant (I10)."""
    with pytest.raises(ConfigError, match="limits"):
        OutboxLimits(**limits)  # type: ignore[arg-type]  # what a caller may hand in


@pytest.mark.parametrize("age", [0.001, 31_536_000.0])
def test_limits_may_be_tight(age: float) -> None:
    """One entry of one byte; a moment or a year."""
    assert OutboxLimits(entries=1, size=1, age=age).age == age


def test_limits_are_generous_by_themselves() -> None:
    """Ten thousand entries, 64 MB, seven days (D13)."""
    assert OutboxLimits() == OutboxLimits(entries=10_000, size=64_000_000, age=7 * 24 * 3600.0)


def test_a_token_may_have_no_end() -> None:
    """Then it is used until it is refused (D32)."""
    assert Token(value="t").to_dict() == {"value": "***", "expires_at": None}
