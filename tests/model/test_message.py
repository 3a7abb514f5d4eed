"""A message says what it is, where it stands, and who says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args

from chatkit.model.bodies import Card, Text, UnknownBody
from chatkit.model.cursor import Spot, decode_cursor
from chatkit.model.message import STRENGTH, Attested, Message, Sender
from chatkit.model.order import Ident, OrderKey

QUEUED = Message(
    message_id="m1",
    channel="support",
    sender=Sender(user="ada", device="k3v9x2"),
    body=Text(text="Hello"),
    own=True,
    status="queued",
    at=datetime(2026, 11, 23, tzinfo=UTC),
)
SENT = replace(QUEUED, status="sent", key=OrderKey(2, "00000000000000001042"), origin="6f1c")


def test_a_message_without_a_place_has_no_serial_and_no_cursor() -> None:
    """Until it is accepted nobody can come back to it (D3)."""
    assert QUEUED.serial is None
    assert QUEUED.cursor is None


def test_a_place_without_an_origin_has_no_cursor() -> None:
    """It could not be told from the same place in another log (D18)."""
    assert replace(SENT, origin=None).cursor is None
    assert replace(SENT, origin=None).serial == "00000000000000001042"


def test_a_cursor_says_where_the_message_stands() -> None:
    """Origin, channel and place."""
    assert SENT.cursor is not None
    assert decode_cursor(SENT.cursor) == Spot("6f1c", "support", OrderKey(2, "00000000000000001042"))


def test_user_and_id_name_a_message() -> None:
    """Within its channel (D1)."""
    assert QUEUED.ident == Ident("ada", "m1")


def test_text_is_what_the_body_says() -> None:
    """Of any body, or nothing."""
    assert QUEUED.text == "Hello"
    assert replace(QUEUED, body=Card(title="Due")).text == "Due"
    assert replace(QUEUED, body=UnknownBody(type="poll.v9", data={"fallback": "a poll"})).text == "a poll"
    assert replace(QUEUED, body=UnknownBody(type="poll.v9", data={})).text == ""


def test_a_deleted_message_says_nothing() -> None:
    """Even where a body was left (D26)."""
    assert replace(SENT, deleted=True).text == ""


def test_json_shows_text_serial_and_cursor_and_no_inside() -> None:
    """Beside the fields; key and origin are inside the cursor."""
    found = SENT.to_dict()

    assert (found["text"], found["serial"], found["cursor"]) == ("Hello", SENT.serial, SENT.cursor)
    assert "key" not in found
    assert "origin" not in found


def test_a_provider_vouches_more_than_a_backend() -> None:
    """Of two copies of a message the more strongly attested stands (D2)."""
    assert set(STRENGTH) == set(get_args(Attested))
    assert STRENGTH["none"] < STRENGTH["backend"] < STRENGTH["provider"]
