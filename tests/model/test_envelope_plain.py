"""The short way to read an envelope agrees with the long way, on whatever bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.errors import InvalidMessage
from chatkit.model import ijson
from chatkit.model.envelope import MAX_BYTES, Envelope
from chatkit.model.envelope_plain import read_head, read_plain

ID = "018f6c1e-7b3a-7c11-9d3e-0123456789ab"
PLAIN: dict[str, Any] = {
    "v": 1,
    "min": 1,
    "id": ID,
    "kind": "message.create",
    "channel": "support",
    "sender": {"user": "ada", "device": "k3v9x2"},
    "seq": 42,
    "pred": 0,
    "hlc": "0193581fa2c0-0003",
    "epoch": 9,
    "at": "2026-11-23T10:00:00.000Z",
    "ref": {"id": ID, "user": "Zoë"},
    "thread": {"id": ID, "user": "bob"},
    "body": {"type": "text", "text": 'a "quoted"\nline — ✓'},
}
OPTIONAL = ("min", "seq", "pred", "hlc", "epoch", "ref", "thread")


def packed(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def long_way(data: bytes) -> Envelope | str:
    try:
        return Envelope.from_dict(ijson.loads(data, limit=MAX_BYTES))
    except InvalidMessage as error:
        return str(error)


def either_way(data: bytes) -> Envelope | str:
    try:
        return Envelope.parse(data)
    except InvalidMessage as error:
        return str(error)


def assert_agrees(data: bytes) -> None:
    """Both ways give one envelope, field by field and in one order, or refuse in the same words."""
    short, long = either_way(data), long_way(data)
    assert short == long
    if isinstance(short, Envelope) and isinstance(long, Envelope):
        assert list(vars(short)) == list(vars(long))
        assert short.encode() == long.encode()
        assert short.to_dict() == long.to_dict()


@given(st.sets(st.sampled_from(OPTIONAL)), st.text(max_size=20), st.sampled_from(["create", "update"]))
def test_a_plain_message_is_read_the_short_way(left_out: set[str], text: str, kind: str) -> None:
    """Whatever of its optional fields is there, and whatever its text, it equals what the long way makes."""
    fields = {name: value for name, value in PLAIN.items() if name not in left_out}
    data = packed(fields | {"kind": f"message.{kind}", "body": {"type": "text", "text": text}})

    assert_agrees(data)
    escaped = "\\u" in data.decode()  # control characters: the long way decides
    lacks_target = kind == "update" and "ref" in left_out
    assert (read_plain(data) is None) == (escaped or lacks_target)


@given(st.sets(st.sampled_from(OPTIONAL)), st.text(max_size=20), st.booleans())
def test_the_first_part_says_who_and_when(left_out: set[str], text: str, other_order: bool) -> None:
    """Whatever follows; where the fields stand in another order it says nothing."""
    fields = {name: value for name, value in PLAIN.items() if name not in left_out}
    fields["body"] = {"type": "text", "text": text}
    data = packed(dict(reversed(fields.items())) if other_order else fields)
    head = read_head(data.decode())

    assert head == (None if other_order else (PLAIN["sender"]["user"], PLAIN["at"]))


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"min": 2},
        {"id": ID.upper()},
        {"kind": "message.delete"},
        {"channel": "dm.x"},
        {"channel": "a\u0301"},
        {"sender": {"user": "*", "device": "k3v9x2"}},
        {"sender": {"user": "e\u0301", "device": "k3v9x2"}},
        {"sender": {"user": "x" * 129, "device": "k3v9x2"}},
        {"sender": {"user": "ada", "device": "K3V9X2"}},
        {"seq": 0},
        {"seq": 2**53},
        {"pred": -1},
        {"hlc": "0193581fa2c0-003"},
        {"at": "2026-02-30T10:00:00.000Z"},
        {"at": "2026-11-23T24:00:00.000Z"},
        {"ref": {"id": ID, "user": "*"}},
        {"thread": {"id": "1", "user": "bob"}},
        {"topic": "x"},
        {"body": {"type": "text", "text": 7}},
        {"body": {"type": "text", "text": "x", "fallback": "y"}},
    ],
    ids="-".join,
)
def test_what_is_not_plain_is_read_the_long_way(changes: dict[str, Any]) -> None:
    """The short way grants nothing that it was not made for, and refuses nothing itself."""
    data = packed(PLAIN | changes)

    assert read_plain(data) is None
    assert_agrees(data)


@pytest.mark.parametrize(
    "body",
    [
        b'"text":"\\ud800"',
        b'"text":"\\u0000"',
        b'"text":"\x01"',
        b'"text":"\xff"',
        b'"text":"a","text":"b"',
        b'"text":"\\x"',
        b'"text":"a" ',
    ],
)
def test_a_text_outside_i_json_is_left_to_the_long_way(body: bytes) -> None:
    """Lone surrogates, U+0000, control characters, bytes that are no UTF-8 and doubled keys never pass."""
    data = packed(PLAIN).replace(b'"text":"a \\"quoted\\"\\nline \xe2\x80\x94 \xe2\x9c\x93"', body)

    assert body in data
    assert read_plain(data) is None
    assert_agrees(data)


@given(st.integers(0, 10_000), st.binary(max_size=3), st.integers(0, 3))
def test_damaged_bytes_are_judged_alike(place: int, put: bytes, taken: int) -> None:
    """A few bytes replaced anywhere: both ways give the same envelope or the same refusal."""
    data = packed(PLAIN)
    at = place % len(data)

    assert_agrees(data[:at] + put + data[at + taken :])


def test_a_plain_message_beyond_the_limit_is_refused() -> None:
    """The limit holds on the short way too."""
    data = packed(PLAIN)

    with pytest.raises(InvalidMessage, match="bytes long"):
        Envelope.parse(data, limit=len(data) - 1)


@given(
    st.fixed_dictionaries(
        {
            "text": st.text(st.characters(exclude_categories=[]), max_size=8) | st.integers(),
            "user": st.sampled_from(["ada", "Zoë", "*", "e\u0301"]),
            "mentions": st.sampled_from([[], ["bob"]]),
            "meta": st.sampled_from([{}, {"a": "b"}, {"a": 1}]),
            "topic": st.sampled_from([None, "x", ""]),
            "ref": st.sampled_from([None, {"id": ID, "user": "bob"}, {"id": ID, "user": "bob", "base": 2}]),
        }
    )
)
def test_an_envelope_is_packed_as_the_long_way_writes_it(chosen: dict[str, Any]) -> None:
    """`pack` gives the same bytes, or refuses in the same words, whatever it is asked to write."""
    fields = {
        "v": 1,
        "min": 1,
        "id": ID,
        "kind": "message.create",
        "channel": "support",
        "sender": {"user": chosen["user"], "device": "k3v9x2"},
        "at": "2026-11-23T10:00:00.000Z",
        "ref": chosen["ref"],
        "topic": chosen["topic"],
        "mentions": chosen["mentions"],
        "body": {"type": "text", "text": chosen["text"]},
        "meta": chosen["meta"],
    }
    found: list[bytes | str] = []
    for write in (Envelope.pack, lambda given_fields: Envelope.from_dict(given_fields).encode()):
        try:
            found.append(write(fields))
        except InvalidMessage as error:
            found.append(str(error))

    assert found[0] == found[1]
