"""Envelopes that are read again."""

from __future__ import annotations

from typing import Any

import pytest

from chatkit.core.timeline_bytes import erased, reparse, written, written_at
from chatkit.model.envelope import Envelope

ID = "0197a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"


def envelope(body: dict[str, Any], **more: Any) -> bytes:
    return Envelope.from_dict(
        {
            "v": 1,
            "id": ID,
            "kind": "message.create",
            "channel": "red",
            "sender": {"user": "ada", "device": "a1b2c3"},
            "at": "2026-01-01T00:00:00.000Z",
            "body": body,
            **more,
        }
    ).encode()


def test_a_text_message_is_read_once_for_all_who_ask() -> None:
    """A row, a count and a page ask for the same bytes: what nobody can change is shared."""
    data = envelope({"type": "text", "text": "hello"})
    assert reparse(data) is reparse(bytes(bytearray(data)))


@pytest.mark.parametrize(
    "body",
    [{"type": "data", "name": "poll", "data": {"votes": [1]}}, {"type": "text", "text": "a" * 2_000}],
    ids=["data", "long"],
)
def test_what_a_user_could_change_or_is_long_is_made_anew(body: dict[str, Any]) -> None:
    """Changing the data of one message changes no other copy of it, and memory stays bounded (I10)."""
    data = envelope(body)
    assert reparse(data) is not reparse(data)
    assert reparse(data).body == body


@pytest.mark.parametrize(
    "data",
    [
        envelope({"type": "text", "text": "hello"}),
        envelope({"type": "text", "text": "hello"}, seq=1, pred=0, hlc="0193581fa2c0-0003", topic="x"),
        envelope({"type": "data", "name": '"at":"', "data": {"at": "1999-01-01T00:00:00.000Z"}}),
        envelope({"type": "text", "text": "a" * 2_000}, sender={"user": '"at":"', "device": "a1b2c3"}),
        erased(envelope({"type": "text", "text": "hello"})),
        b'{"body":{"type":"x","at":"1"},"at":"2026-01-01T00:00:00.000Z","kind":"message.create","channel":"red",'
        b'"sender":{"device":"a1b2c3","user":"ada"},"id":"' + ID.encode() + b'","v":1}',
        b'{"v":1,"min":2,"id":"' + ID.encode() + b'","kind":"message.create","channel":"red","sender":'
        b'{"user":"ada","device":"a1b2c3"}}',
    ],
    ids=["plain", "more", "data", "long", "erased", "another order", "later version"],
)
def test_when_it_was_written_is_told_by_its_bytes(data: bytes) -> None:
    """The short way to it says what the whole envelope says, and so does the long one."""
    assert written(data) == written_at(Envelope.parse(data))
