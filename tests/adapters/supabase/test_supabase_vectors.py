"""The published vectors of Supabase; tests/javascript runs the same ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from chatkit.adapters.supabase import payload, topic_of
from chatkit.model.entry import Stamp
from chatkit.model.envelope import Envelope
from chatkit.model.order import Ident, OrderKey
from chatkit.ports.outgoing import Outgoing
from chatkit.postgres import rows

VECTORS: Final = json.loads(
    (Path(__file__).parents[2] / "vectors" / "supabase.json").read_text(encoding="ascii")
)


def test_topics() -> None:
    """Two for each channel (D28, D31)."""
    for case in VECTORS["topics"]:
        assert topic_of(case["channel"], "log") == case["log"]
        assert topic_of(case["channel"], "live") == case["live"]
    names = [case["log"] for case in VECTORS["topics"]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", VECTORS["live"], ids=lambda case: case["what"])
def test_live(case: dict[str, Any]) -> None:
    """Envelopes to the byte."""
    found = payload.unpack(case["payload"])

    assert (None if found is None else [data.decode() for data in found]) == case["envelopes"]


@pytest.mark.parametrize("case", VECTORS["entries"], ids=lambda case: case["what"])
def test_entries(case: dict[str, Any]) -> None:
    """The envelope to the byte, who vouches for its sender, and what the log says (D2, D17)."""
    found = payload.announced(case["payload"], case["channel"])

    assert (None if found is None else [(one.data, one.attested, one.stamp) for one in found]) == (
        None
        if case["told"] is None
        else [(_bytes(one["envelope"]), one["attested"], _stamp(one["stamp"])) for one in case["told"]]
    )


@pytest.mark.parametrize("case", VECTORS["answers"], ids=lambda case: case["what"])
def test_answers(case: dict[str, Any]) -> None:
    """Entries as they are read."""
    found = rows.entries(case["answer"])

    assert [(one.data, one.stamp) for one in found.items] == [
        (_bytes(one["envelope"]), _stamp(one["stamp"])) for one in case["told"]
    ]


def test_appends() -> None:
    """To be repeated as they are."""
    for case in VECTORS["appends"]:
        entries = [_outgoing(text) for text in case["envelopes"]]
        assert [rows.item(entry) for entry in entries] == case["call"]["entries"]


def test_broadcasts() -> None:
    """One envelope by itself, several as a list."""
    for case in VECTORS["broadcasts"]:
        assert payload.pack([text.encode() for text in case["envelopes"]]) == case["payload"]


def _outgoing(text: str) -> Outgoing:
    envelope = Envelope.parse(text.encode())
    assert envelope.seq is not None
    who = envelope.sender
    return Outgoing(Ident(who.user, envelope.id), who.device, envelope.seq, text.encode(), None)


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def _stamp(told: dict[str, Any]) -> Stamp:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=told["at"])
    return Stamp(OrderKey(told["epoch"], told["serial"]), told["prev"], told["log"], told["user"], at)
