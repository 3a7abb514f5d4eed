"""The published vectors of Ably; tests/javascript runs the same ones."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest

from chatkit.adapters.ably import name_of, versions
from chatkit.adapters.ably.envelopes import pack, signal_of
from chatkit.adapters.ably.places import key_of
from chatkit.adapters.ably.versions import version_of
from chatkit.model.entry import Stamp
from chatkit.model.envelope import Envelope
from chatkit.model.order import Ident, OrderKey
from chatkit.ports.adapter import Foreign, Received
from chatkit.ports.outgoing import Batch, Outgoing

VECTORS: Final = json.loads((Path(__file__).parents[2] / "vectors" / "ably.json").read_text(encoding="ascii"))


def test_names() -> None:
    """One for each channel."""
    for case in VECTORS["names"]:
        assert name_of(case["channel"], case["namespace"]) == case["name"]
    names = [case["name"] for case in VECTORS["names"]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", VECTORS["messages"], ids=lambda case: case["what"])
def test_messages(case: dict[str, Any]) -> None:
    """The envelope to the byte, who is vouched for, where it stands, and what the log says (D2, D3, D17)."""
    apart = signal_of("support", case["message"])
    beside = signal_of("support", case["message"], logged=True)

    if case["envelope"] is None:
        assert isinstance(apart, Foreign)
        assert isinstance(beside, Foreign)
        return
    assert isinstance(apart, Received)
    assert isinstance(beside, Received)
    assert (apart.data, apart.user) == (beside.data, beside.user) == (case["envelope"].encode(), case["user"])
    assert (None if apart.stamp is None else apart.stamp.key) == (case["place"] and key_of(case["place"]))
    assert beside.stamp == (None if case["stamp"] is None else _stamp(case["stamp"]))


def test_publishes() -> None:
    """To be repeated as they are."""
    for case in VECTORS["publishes"]:
        entries = tuple(
            Outgoing(Ident("ada", str(n)), "k3v9x2", n, text.encode(), None)
            for n, text in enumerate(case["envelopes"])
        )
        assert pack(Batch(case["batch"], "support", entries), entries, named=False) == case["messages"]


@pytest.mark.parametrize("case", VECTORS["versions"], ids=lambda case: case["what"])
def test_versions(case: dict[str, Any]) -> None:
    """Of which message, what it is now, and by whose change (D1, D26)."""
    version = version_of(case["message"])

    if case["place"] is None:
        assert version is None
        return
    assert version is not None
    assert version.key == key_of(case["place"])
    now = version.creation("support")
    assert (None if now is None else now.id) == case["id"]
    first = Envelope.parse(VECTORS["changes"][0]["creation"].encode())
    changed = Envelope.parse(version.changes(now or version.creation_from(first))[-1].data)
    assert changed.kind == ("message.delete" if case["deleted"] else "message.update")
    assert changed.body == case["body"]
    assert (changed.id == case["change"]) == (case["change"] is not None)


def test_changes() -> None:
    """The creation as it is then, and the change beside it."""
    for case in VECTORS["changes"]:
        change, creation = (Envelope.parse(case[name].encode()) for name in ("change", "creation"))
        assert versions.pack(case["serial"], change, creation, user=None) == case["message"]


def _stamp(told: dict[str, Any]) -> Stamp:
    at = datetime.fromisoformat(told["at"])
    return Stamp(OrderKey(told["epoch"], told["serial"]), told["prev"], told["log"], told["user"], at)
