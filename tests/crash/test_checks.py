"""What the matrix takes for told: by the place of the cursor that was saved, not by when it was saved."""

from __future__ import annotations

from typing import Any

from chatkit.model.cursor import Spot, encode_cursor
from chatkit.model.order import OrderKey
from tests.crash.checks import told_and_in_hand


def effect(serial: int) -> dict[str, Any]:
    return {"what": "effect", "id": f"m{serial}", "serial": f"{serial:020d}", "late": False}


def saved(serial: int) -> dict[str, Any]:
    return {"what": "saved", "cursor": encode_cursor(Spot("log", "support", OrderKey(1, f"{serial:020d}")))}


def names(found: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> tuple[list[str], list[str]]:
    done, in_hand = found
    return [one["id"] for one in done], [one["id"] for one in in_hand]


def test_what_lies_behind_the_cursor_is_told() -> None:
    """And one event may be in hand when the process dies."""
    trail = [effect(1), saved(1), effect(2), saved(2), effect(3)]

    assert names(told_and_in_hand(trail)) == (["m1", "m2"], ["m3"])


def test_what_lies_beyond_a_hole_is_to_be_told_again() -> None:
    """The cursor stays before the hole while what is behind it is told (D17)."""
    trail = [effect(1), saved(1), effect(3), saved(1), effect(4), saved(1)]

    assert names(told_and_in_hand(trail)) == (["m1"], [])


def test_without_a_cursor_nothing_is_told_for_good() -> None:
    """Neither where nothing happened."""
    assert names(told_and_in_hand([effect(1)])) == ([], ["m1"])
    assert names(told_and_in_hand([])) == ([], [])
