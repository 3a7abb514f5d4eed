"""A cursor brings a program back to its place, and a forged or damaged one is refused."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.errors import CursorInvalid
from chatkit.model.cursor import START, Cursor, Spot, decode_cursor, encode_cursor
from chatkit.model.order import OrderKey, clock_key

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=64)
spots = st.builds(Spot, texts, texts, st.builds(OrderKey, st.integers(0, 2**53 - 1), texts))


def written(packed: object) -> str:
    data = packed if isinstance(packed, bytes) else json.dumps(packed, separators=(",", ":")).encode()
    return "c1." + base64.urlsafe_b64encode(data).decode().rstrip("=")


@given(spots)
def test_a_place_makes_the_journey(spot: Spot) -> None:
    """As plain ASCII, for a database, a header or an address."""
    cursor = encode_cursor(spot)

    assert decode_cursor(cursor) == spot
    assert cursor.isascii()
    assert cursor.replace(".", "").replace("-", "").replace("_", "").isalnum()


@given(spots, spots)
def test_two_places_have_two_cursors(one: Spot, other: Spot) -> None:
    """It says all that a place is."""
    assert (encode_cursor(one) == encode_cursor(other)) == (one == other)


def test_the_longest_place_can_be_read_back() -> None:
    """Names at their limits, in the script that takes most bytes."""
    key = clock_key("0193581fa2c0-0003", "😀" * 32, "k3v9x2" * 2, "018f6c1e-7b3a-7c11-9d3e-0123456789ab")
    spot = Spot("supabase:" + "p" * 100, "😀" * 64, key)

    assert decode_cursor(encode_cursor(spot)) == spot


def test_the_written_form_stays() -> None:
    """Programs keep cursors for years: what an earlier version wrote is read for ever."""
    cursor = "c1.WyI2ZjFjIiwic3VwcG9ydCIsMiwiMDAwMDAwMDAwMDAwMDAwMDEwNDIiXQ"

    assert decode_cursor(cursor) == Spot("6f1c", "support", OrderKey(2, "00000000000000001042"))


def refused(cursor: str) -> None:
    with pytest.raises(CursorInvalid) as caught:
        decode_cursor(cursor)
    assert caught.value.hint
    if len(cursor) > 3:
        assert cursor not in str(caught.value)


def test_the_start_is_no_place() -> None:
    """Whoever takes cursors asks for it first."""
    with pytest.raises(CursorInvalid, match="not a cursor"):
        decode_cursor(START)


@pytest.mark.parametrize(
    "packed",
    [
        [],
        ["o", "c", 1],
        ["o", "c", 1, "s", "more"],
        {"o": "c"},
        "text",
        None,
        ["o", "c", True, "s"],
        ["o", "c", 1.0, "s"],
        ["o", "c", "1", "s"],
        ["o", "c", -1, "s"],
        ["o", "c", 2**53, "s"],
        ["o", 5, 1, "s"],
        ["\ud800", "c", 1, "s"],
        ["o", "c", 1, "\u00e9"],  # as escapes: another spelling of a place
        b'["o", "c",1,"s"]',
        b'["o","c",1,"s"]\n',
        '["o","c",1,"s"]'.encode("utf-16"),
        b"\xff\xfe\xfd",
        b"[" * 1_400,
        b"1" * 1_400,
        b"[" + b"9" * 1_400 + b"]",
    ],
    ids=str,
)
def test_what_we_never_write_is_not_read(packed: object) -> None:
    """One place has one cursor, and none holds what a log or a database would choke on."""
    refused(written(packed))


@pytest.mark.parametrize("tail", ["=", "==", " ", "\n", "!", "A", "é", "\0"])
def test_a_changed_cursor_is_refused(tail: str) -> None:
    """Also where a lenient reader would skip what was added."""
    refused(encode_cursor(Spot("o", "c", OrderKey(1, "s"))) + tail)


def test_a_stranger_s_megabyte_is_not_looked_at() -> None:
    """Its length alone refuses it, whatever it says (I10)."""
    refused(encode_cursor(Spot("o" * 1_500, "c", OrderKey(1, "s"))))
    refused("c1." + "A" * 1_000_000)


@given(st.text() | st.text("abcXYZ019-_=+/").map("c1.".__add__) | st.binary(max_size=60).map(written))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    """Never another error; and what is read is what is written."""
    try:
        spot = decode_cursor(text)
    except CursorInvalid:
        return
    assert encode_cursor(spot) == Cursor(text)
