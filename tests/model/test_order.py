"""Envelopes stand by number and bytes; without a sequencer by clock, user, device and id (D3)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatkit.model.names import user_problem
from chatkit.model.order import Ident, OrderKey, clock_key

users = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=6).filter(
    lambda user: user_problem(user) is None
) | st.text("ab -./!", min_size=1, max_size=4)
clocks = st.sampled_from(["0193581fa2c0-0003", "0193581fa2c0-0004"])
devices = st.sampled_from(["aaaaaa", "aaaaaaa", "k3v9x2"])
ids = st.sampled_from(["018f6c1e-7b3a-7c11-9d3e-0123456789aa", "018f6c1e-7b3a-7c11-9d3e-0123456789ab"])
parts = st.tuples(clocks, users, devices, ids)


def as_bytes(parts: tuple[str, ...]) -> list[bytes]:
    return [part.encode() for part in parts]


def test_epochs_come_before_serials() -> None:
    """A new sequencer's first entry stands after the old one's last (D3)."""
    assert OrderKey(1, "9") < OrderKey(2, "1") < OrderKey(10, "0")


def test_an_identity_is_user_and_id() -> None:
    """The same id of another user is another message (D1)."""
    assert Ident("ada", "1") != Ident("bob", "1")


@given(parts, parts)
def test_clock_keys_order_by_each_part_in_turn(
    one: tuple[str, str, str, str], other: tuple[str, str, str, str]
) -> None:
    """By bytes, and no two envelopes share one: in JavaScript as here (D3, I5)."""
    first, second = clock_key(*one), clock_key(*other)

    assert (first < second) == (as_bytes(one) < as_bytes(other))
    assert (first == second) == (one == other)


def test_a_shorter_user_comes_first() -> None:
    """Whatever character the longer one goes on with (D3)."""
    ada, longer = (clock_key("0193581fa2c0-0003", user, "zzzzzz", "1") for user in ("ada", "ada b"))

    assert ada < longer
    assert ada.epoch == 1


def test_a_clock_key_begins_with_its_reading() -> None:
    """By it alone one can tell which of two is older."""
    assert clock_key("0193581fa2c0-0003", "ada", "k3v9x2", "1").serial.startswith("0193581fa2c0-0003")
