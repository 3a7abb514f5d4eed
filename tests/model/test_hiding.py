"""Named tuples that carry bodies or secrets through the layers show neither (I16)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

import pytest

from chatkit.core.fact import Fact
from chatkit.core.overlay import Wish
from chatkit.model.entry import Entry, Folded, Stamp
from chatkit.model.order import Ident, OrderKey
from chatkit.ports import Foreign, Outgoing, Present, Received, Row, StoreHeader

AT = datetime(2026, 11, 23, tzinfo=UTC)
KEY = OrderKey(1, "001")
IDENT = Ident("ada", "0193581f-a2c0-7000-8000-000000000000")
STAMP = Stamp(KEY, "", "log", "ada", AT)
SECRET = b"a body or a secret"
CARRIERS: list[NamedTuple] = [
    Entry(SECRET, STAMP),
    Folded(IDENT, SECRET, STAMP, SECRET, 1, KEY, False, 0, None, {}),
    Fact(cast("Any", None), SECRET, IDENT, KEY, True, AT, "provider", "log"),
    Outgoing(IDENT, "device", 1, SECRET, None),
    StoreHeader("ada", "memory://x", "device", SECRET, 1, 1, True, None),
    Row(
        "entry", IDENT, "device", "support", "create", "queued", True, SECRET, None, None, AT,
        None, None, None, 0, None, None, None, False, None,
    ),
    Received("support", SECRET, "ada", "provider", STAMP, True),
    Foreign("support", "name", SECRET, "unreadable"),
    Present("ada", "client", {"status": SECRET}),
    Wish("entry", IDENT.id, IDENT, SECRET, True, 1, "queued"),
]  # fmt: skip


@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda carrier: type(carrier).__name__)
def test_a_carrier_shows_what_names_it_and_nothing_of_what_it_carries(carrier: NamedTuple) -> None:
    """Its `repr` names its type and hides its data."""
    shown = repr(carrier)

    assert shown.startswith(f"{type(carrier).__name__}(")
    assert "=..." in shown
    assert "secret" not in shown.replace("secret=...", "")
