"""Envelopes that are read again."""

from __future__ import annotations

from typing import Any

import pytest

from chatkit.core.timeline_bytes import reparse
from chatkit.model.envelope import Envelope

ID = "0197a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"


def written(body: dict[str, Any]) -> bytes:
    return Envelope.from_dict(
        {
            "v": 1,
            "id": ID,
            "kind": "message.create",
            "channel": "red",
            "sender": {"user": "ada", "device": "a1b2c3"},
            "at": "2026-01-01T00:00:00.000Z",
            "body": body,
        }
    ).encode()


def test_a_text_message_is_read_once_for_all_who_ask() -> None:
    """A row, a count and a page ask for the same bytes: what nobody can change is shared."""
    data = written({"type": "text", "text": "hello"})
    assert reparse(data) is reparse(bytes(bytearray(data)))


@pytest.mark.parametrize(
    "body",
    [{"type": "data", "name": "poll", "data": {"votes": [1]}}, {"type": "text", "text": "a" * 2_000}],
    ids=["data", "long"],
)
def test_what_a_user_could_change_or_is_long_is_made_anew(body: dict[str, Any]) -> None:
    """Changing the data of one message changes no other copy of it, and memory stays bounded (I10)."""
    data = written(body)
    assert reparse(data) is not reparse(data)
    assert reparse(data).body == body
