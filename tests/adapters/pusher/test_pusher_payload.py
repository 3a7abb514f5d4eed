"""The data of an event: an envelope to the byte, its stamp, and the lock around both."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pusher.crypto import encrypt

from chatkit.adapters.pusher import box
from chatkit.adapters.pusher.config import PusherConfig
from chatkit.adapters.pusher.names import name_of
from chatkit.adapters.pusher.payload import BYTES, STAMP_BYTES, pack, unpack
from chatkit.adapters.pusher.signing import Signer
from chatkit.adapters.pusher.wire import Wire
from chatkit.model.entry import Stamp
from chatkit.model.envelope import Envelope
from chatkit.model.order import OrderKey
from chatkit.testing.wishes import wish

AT = datetime(2026, 11, 27, 12, 0, 0, 123_456, tzinfo=UTC)
MASTER = b"0" * 32


def stamp(user: str = "ada", serial: str = "7", prev: str | None = "6", log: str | None = "log") -> Stamp:
    return Stamp(OrderKey(2, serial), prev, log, user, AT)


@settings(max_examples=50)
@given(
    text=st.text(max_size=30),
    user=st.text(st.sampled_from('a"\\,{}:é😀'), min_size=1, max_size=20),
    at=st.datetimes(timezones=st.just(UTC), min_value=datetime(2000, 1, 1)),  # noqa: DTZ001  # hypothesis adds the zone
    prev=st.sampled_from([None, "", "00000000000000000001"]),
    spaces=st.sampled_from(["", " "]),
)
def test_a_stamp_goes_in_and_comes_out_to_the_byte(
    text: str, user: str, at: datetime, prev: str | None, spaces: str
) -> None:
    """Whatever is said, whoever says it, and even if it looks like a stamp itself (D7)."""
    envelope = {"v": 1, "sender": {"user": user}, "body": {"text": text, "stamp": {"serial": ',"stamp":{}'}}}
    data = json.dumps(envelope, ensure_ascii=False, separators=("," + spaces, ":")).encode("utf-8", "replace")
    made = Stamp(OrderKey(1, "9"), prev, "log", user, at)

    found = unpack(pack(data, made))

    assert (found.data, found.stamp) == (data, made)
    assert found.sender == json.loads(data)["sender"]["user"]
    assert unpack(pack(data, None)) == (data, found.sender, None)


@pytest.mark.parametrize(
    "body", [{}, {"stamp": {"epoch": 1, "serial": "1", "user": "eve", "at": "2026-01-01T00:00:00.000Z"}}]
)
def test_whose_it_is_and_its_stamp_are_told_by_an_envelopes_text(body: dict[str, Any]) -> None:
    """An envelope as clients write it needs no decoder; what looks like a stamp in its body is its body's (D7)."""
    fields = json.loads(wish(1).data) | {"body": {"type": "x-card", **body}}
    data = json.dumps(fields, separators=(",", ":")).encode()

    assert unpack(data.decode()) == (data, "ada", None)
    assert unpack(pack(data, stamp())) == (data, "ada", stamp())


def test_a_page_reads_the_stamp_as_a_field_of_the_envelope() -> None:
    """What is sent is an envelope as docs/wire.md has it."""
    outgoing = wish(1)
    packed = pack(outgoing.data, stamp()).encode()

    read = Envelope.parse(packed)

    assert read.stamp is not None
    assert (read.stamp.epoch, read.stamp.serial, read.stamp.prev, read.stamp.log) == (2, "7", "6", "log")
    assert read.stamp.at == AT - timedelta(microseconds=456)
    assert (read.id, read.sender.user, read.stamp.user) == (outgoing.ident.id, "ada", "ada")


@pytest.mark.parametrize(
    "data",
    [
        "",
        "plain",
        "[]",
        "{}",
        '{"stamp":{}}',
        '{"v":1,"stamp":{"epoch":1}}',
        '{"v":1,"stamp":{"epoch":"1","serial":"1","user":"ada","at":"2026-01-01T00:00:00.000Z"}}',
        '{"v":1,"stamp":{"epoch":1,"serial":"1","user":"ada","at":"yesterday"}}',
        '{"v":1,"stamp":{"epoch":1,"serial":"1","user":"ada","at":"2026-01-01T00:00:00.000Z","us":1000}}',
        '{"v":1,"body":{"x":1,"stamp":{"epoch":1,"serial":"1","user":"ada","at":"2026-01-01T00:00:00.000Z"}}}',
        '{"v":1,"stamp":[]}',
        '{"stamp":{},"body":{"x":1,"stamp":{"epoch":1,"serial":"1","user":"a","at":"2026-01-01T00:00:00.000Z"}}}',
        "[" * 5_000,
        "\ud800",
    ],
)
def test_what_carries_no_stamp_is_left_as_it_is(data: str) -> None:
    """Nothing is cut out of what somebody else wrote."""
    found = unpack(data)

    assert (found.data, found.stamp) == (data.encode("utf-8", "surrogatepass"), None)


def test_an_object_is_read_as_its_text() -> None:
    """A page may give an object in place of text."""
    assert unpack({"v": 1, "sender": {"user": "ü"}}) == ('{"v":1,"sender":{"user":"ü"}}'.encode(), "ü", None)


def test_room_is_kept_for_the_longest_stamp() -> None:
    """What fits by measure fits with its stamp, too."""
    longest = stamp(user='"' * 128, serial="9" * 20, prev="9" * 20, log="0" * 36)
    data = wish(1).data

    assert len(pack(data, longest).encode()) - len(data) <= STAMP_BYTES


@pytest.mark.parametrize("size", [1, 2, 3, 100, 1_001, 7_000])
def test_a_lock_is_measured_to_the_byte(size: int) -> None:
    """So that a message too large is refused before it is queued."""
    assert len(box.lock(MASTER, "x" * size)) == box.locked_bytes(size)


def test_what_the_official_package_locked_is_opened() -> None:
    """And by the same secret, which is the one that the sheet works out."""
    signer = Signer("1001", "app-key", "app-secret", MASTER)
    secret = signer.shared_secret("private-encrypted-room")
    sealed: dict[str, Any] = encrypt("private-encrypted-room", "grüße", MASTER)

    assert secret == b64decode("TCHUw1A5drIldmi9m60QUzai1PrAGuKEwcUzsCUeqbI=")
    assert box.opened(secret, sealed) == box.opened(secret, json.dumps(sealed)) == "grüße"


@pytest.mark.parametrize(
    "data",
    [
        None,
        "plain",
        {},
        {"nonce": 1, "ciphertext": 2},
        {"nonce": "AA==", "ciphertext": "AA=="},
        {"nonce": "é", "ciphertext": ""},
        pytest.param(box.lock(b"1" * 32, "other lock"), id="other lock"),  # with a random nonce
    ],
)
def test_what_is_not_under_this_lock_stays_closed(data: Any) -> None:
    """It is nothing, and no error."""
    assert box.opened(MASTER, data) is None


@pytest.mark.parametrize(
    ("kind", "stamps", "most"),
    [("presence", False, BYTES), ("private", True, BYTES - STAMP_BYTES), ("encrypted", False, 7_619)],
)
def test_an_event_holds_so_much(kind: Any, stamps: bool, most: int) -> None:
    """10,240 bytes, less the room for a stamp, less the lock."""
    config = PusherConfig(credential="k", place="eu", path="1", channels=kind)
    signer = Signer("1", "k", "s", MASTER)
    wire = Wire(config, signer, stamps=stamps)
    name = name_of("room", kind)

    assert wire.measure(b"x" * most) <= BYTES < wire.measure(b"x" * (most + 1))
    assert len(wire.pack(name, b"x" * most)) == wire.measure(b"x" * most) - (STAMP_BYTES if stamps else 0)
