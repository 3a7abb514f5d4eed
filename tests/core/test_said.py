"""What a device says of itself: read from whatever came, copied, bounded (I10)."""

from __future__ import annotations

from typing import Any

import pytest

from chatkit.core.said import DATA, DEFAULT, Said, packed_data, read_said
from chatkit.errors import InvalidMessage


@pytest.mark.parametrize(
    ("fields", "said", "whole"),
    [
        ({}, DEFAULT, True),
        ({"status": "away", "data": {"a": [1]}}, Said("away", {"a": [1]}), True),
        ({"status": "offline"}, Said("offline"), True),
        ({"status": "busy", "data": {"a": 1}}, Said("online", {"a": 1}), False),
        ({"status": ["away"]}, DEFAULT, False),
        ({"status": "away", "data": "x"}, Said("away"), False),
        ({"data": {"a": object()}}, DEFAULT, False),
        ({"data": {"a": "x" * DATA}}, DEFAULT, False),
    ],
)
def test_what_cannot_be_read_is_left_out(fields: dict[str, Any], said: Said, *, whole: bool) -> None:
    """The rest counts."""
    assert read_said(fields) == (said, whole)


def test_it_comes_back_as_it_went() -> None:
    """Whatever it says."""
    said = Said("away", {"desk": 4})
    assert read_said(said.fields()) == (said, True)


def test_data_is_a_copy_within_bounds() -> None:
    """Nobody changes what others were told."""
    given = {"list": [1]}
    kept = packed_data(given)
    given["list"].append(2)
    assert kept == {"list": [1]}
    with pytest.raises(InvalidMessage, match="1,024 bytes"):
        _ = packed_data({"a": "x" * DATA})
